"""``python -m parity_tests.why``: the command of :mod:`parity_tests.causes.command`."""

import sys

from parity_tests.causes.command import main
from pytorch_sketch_rnn.errors import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
