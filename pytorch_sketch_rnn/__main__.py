"""``python -m pytorch_sketch_rnn COMMAND``: trains a model, draws with it, evaluates it, makes a stroke set."""

import argparse
import sys

from pytorch_sketch_rnn.command_line import Parser
from pytorch_sketch_rnn.commands import complete, demo, evaluate, interpolate, reconstruct, sample
from pytorch_sketch_rnn.data import make_set_command
from pytorch_sketch_rnn.errors import BadInput, run_command

# Each module has add_arguments(parser) and run(arguments), which returns the exit code.
COMMANDS = {
    "sample": (sample, "draw new sketches, as one page"),
    "reconstruct": (reconstruct, "encode a sketch and draw it again, several times"),
    "interpolate": (interpolate, "draw sketches between two given ones"),
    "complete": (complete, "finish a drawing that somebody began, several times"),
    "demo": (demo, "serve a page on which the model finishes what a person begins to draw"),
    "evaluate": (evaluate, "compute the costs of a model on a stroke set"),
    "dataset": (make_set_command, "make a stroke set for training from drawings"),
}
TRAIN = "train"  # has a parser of its own, which train.py shares
PROGRAM = "python -m pytorch_sketch_rnn"


def parser() -> argparse.ArgumentParser:
    """The parser of the command's name; each command has a parser of its own for the rest."""
    result = Parser(prog=PROGRAM, description="Sketch-RNN in PyTorch.")
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(TRAIN, help="train a model")
    for name, (_, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return result


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    name = argv[0] if argv else ""
    if name == TRAIN:
        from pytorch_sketch_rnn.training import command as training

        return training.main(argv[1:])
    if name in COMMANDS:
        command, summary = COMMANDS[name]
        flags = Parser(prog=f"{PROGRAM} {name}", description=f"{summary[0].upper()}{summary[1:]}.")
        command.add_arguments(flags)
        code: int = command.run(flags.parse_args(argv[1:]))
        return code
    parser().parse_args(argv)  # shows the help, or refuses
    raise BadInput(f"expected the command first, got {name!r}; see {PROGRAM} --help")


def entry() -> int:
    """The command ``sketch-rnn``; returns the exit code."""
    code = run_command(main)
    if sys.argv[1:2] == [TRAIN]:
        from pytorch_sketch_rnn.distributed import exit_code

        code = exit_code(code)
    return code


if __name__ == "__main__":
    sys.exit(entry())
