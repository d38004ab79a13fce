"""The commands that prove: the live proof, the proof of one model, and the check of a certificate."""
