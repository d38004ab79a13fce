"""Runs the official code with TensorFlow, in a process of its own; nothing here may import torch.

It produces genuine checkpoints, trained and saved by the official trainer, and recordings.
"""
