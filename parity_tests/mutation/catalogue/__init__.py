"""The catalogue: bugs of a port, of the harness, and of what surrounds the model and of the fused paths."""
