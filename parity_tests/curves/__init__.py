"""Training curves of both sides with independent random numbers, and the permutation test that compares them."""
