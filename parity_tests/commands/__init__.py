"""The commands of the harness: the live proof, the proof of one model, the certificate."""
