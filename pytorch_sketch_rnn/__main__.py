"""``python -m pytorch_sketch_rnn COMMAND``: draws sketches, evaluates a model, makes a stroke set."""

import argparse
import sys

from pytorch_sketch_rnn.commands import evaluate, sample
from pytorch_sketch_rnn.data import make_set_command
from pytorch_sketch_rnn.errors import run_command

# Each module has add_arguments(parser) and run(arguments), which returns the exit code.
COMMANDS = {
    "sample": (sample, "draw new sketches, as one page of SVG or PNG"),
    "evaluate": (evaluate, "compute the costs of a model on a stroke set"),
    "dataset": (make_set_command, "make a stroke set for training from drawings"),
}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    result = argparse.ArgumentParser(prog="python -m pytorch_sketch_rnn", description="Sketch-RNN in PyTorch.")
    commands = result.add_subparsers(dest="command", required=True)
    for name, (command, summary) in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=summary))
    return result


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    command, _ = COMMANDS[arguments.command]
    return command.run(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main))
