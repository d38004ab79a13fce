"""Prefixes of the names of recorded and compared quantities, read by the official process and by the judge alike."""

FED = "fed/"  # computed from official values, one step or one function at a time
PREFIX = "prefix/"  # computed from the first points of each sketch
VARIABLES = "variables/"  # weights as the port holds them
