"""Bugs of the fused paths."""
