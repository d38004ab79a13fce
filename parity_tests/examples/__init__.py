"""Ports other than our own, as worked examples of an adapter: one that is right, and one that departs."""
