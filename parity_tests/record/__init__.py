"""What both sides share: recordings, the configurations to record, and the launch of the official process."""
