"""``python -m pytorch_sketch_rnn reconstruct MODEL SKETCH -o FILE`` encodes a sketch and draws it again."""

import argparse
from pathlib import Path

from pytorch_sketch_rnn.commands.backend_flag import notices_as_notes
from pytorch_sketch_rnn.commands.drawing_flags import (
    add_drawing_flags,
    lengths_of,
    open_drawer,
    refuse_same_file,
    require_encoder,
    write_page,
)
from pytorch_sketch_rnn.commands.sketch_argument import SKETCH_HELP, add_scale, read_sketch

COUNT = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port, of a conditional model")
    add("sketch", metavar="SKETCH", help=SKETCH_HELP)
    add("--count", type=int, default=COUNT, help=f"number of drawings (default {COUNT})")
    add_scale(parser)
    add_drawing_flags(parser, max_len="maximum points in a drawing (default: the model's max_seq_len)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    refuse_same_file(arguments, arguments.sketch)
    drawer = open_drawer(arguments)
    require_encoder(arguments, drawer, "reconstruct")
    given = read_sketch(arguments.sketch, drawer.model.scale_factor, arguments.scale)
    with notices_as_notes():
        drawn = drawer.model.reconstruct(
            given.strokes, arguments.count, drawer.temperature, max_len=drawer.max_len, draws=drawer.draws
        )
    title = f"{given.name}, then drawn again"
    told = f"{given.name}, then {len(drawn)} reconstructions of {lengths_of(drawn)} points"
    write_page(arguments, drawer, [given.strokes, *drawn], title, told, columns=arguments.columns)
    return 0
