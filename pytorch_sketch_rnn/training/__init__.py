"""Training: the trainer, optimizer, checkpoints, run folders, and the command behind ``train.py``."""
