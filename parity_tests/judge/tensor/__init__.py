"""How one tensor is judged: its elements, pools of them, its steps, its decisions, and where an error is."""
