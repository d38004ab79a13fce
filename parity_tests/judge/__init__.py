"""Judging: whether what a port computed is equal to what the official code computed, by one rule for each kind.

Local quantities (one step or one function, from official values) are held to a strict bound; accumulated ones to how
far the official code drifts from itself; exact ones to their bits.
"""
