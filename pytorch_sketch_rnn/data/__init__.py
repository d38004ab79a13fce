"""Stroke sets: read, written, made from drawings, and batched."""
