"""Measurements, ours beside the official code; figures are printed, never asserted."""
