"""Magenta's Sketch-RNN models in any of their forms into PyTorch, without TensorFlow."""
