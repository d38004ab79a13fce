"""Drives a port through a recording: one step of a layer, one model, one training."""
