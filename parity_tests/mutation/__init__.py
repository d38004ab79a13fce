"""Bugs that are planted on purpose, and how many of them the proof finds."""
