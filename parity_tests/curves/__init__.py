"""Training curves of both sides with independent randomness, and the test that compares them."""
