"""A page on which a person begins a drawing and a model finishes it."""
