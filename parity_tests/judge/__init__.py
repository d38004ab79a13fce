"""Judges whether a port computed what the official code computed, by one rule for each kind of quantity.

Local quantities (one step or one function, from official values) have a strict bound. The bound of accumulated
quantities is a multiple of how far the official code drifts from itself. Exact quantities must have the same bits.
"""
