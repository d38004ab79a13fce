"""Adapters of ports other than our own: worked examples, and the ports that ``docs/ports.md`` judges."""
