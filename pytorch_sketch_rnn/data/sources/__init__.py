"""Drawings of several kinds, read and turned into sketches."""
