"""The official code, run in a process of its own with TensorFlow; nothing here may import torch.

Two things come out of it: genuine checkpoints that it trained and saved, and recordings.
"""
