"""Stroke sets: reading, writing, converting and batching."""
