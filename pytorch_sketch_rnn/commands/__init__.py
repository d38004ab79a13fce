"""The commands of ``python -m pytorch_sketch_rnn``, one module each; they import torch only when they run."""
