"""Bugs planted on purpose, and how many of them the proof catches."""
