"""What both sides share: recordings, the configurations that are recorded, and the launch of the official process."""
