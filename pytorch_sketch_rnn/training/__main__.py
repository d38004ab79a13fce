"""``python -m pytorch_sketch_rnn.training`` is another name of ``python -m pytorch_sketch_rnn train``."""

import sys

from pytorch_sketch_rnn.training.command import run

if __name__ == "__main__":
    sys.exit(run())
