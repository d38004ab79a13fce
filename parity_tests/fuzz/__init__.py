"""``make fuzz``: damaged and hostile files through every command, each of which must work or end in one line."""
