"""Train Sketch-RNN: ``python train.py --data_dir=DIR --save_dir=model1_save``; ``--help`` lists all flags.

It is the command ``python -m pytorch_sketch_rnn train`` for those who work in the source folder.
"""

import sys

from pytorch_sketch_rnn.training.command import run

if __name__ == "__main__":
    sys.exit(run())
