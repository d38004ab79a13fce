"""Measurements of our code and the official code; figures are printed, never asserted."""
