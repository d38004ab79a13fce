"""Patterns in the numbers of a departure that suggest its cause; see :mod:`parity_tests.judge.likely_cause`."""
