"""The proof that our Sketch-RNN equals the official one, run live in a process of its own."""
