"""``python -m pytorch_sketch_rnn complete MODEL SKETCH -o FILE`` finishes a drawing that somebody began."""

import argparse
from pathlib import Path

from pytorch_sketch_rnn.commands.backend_flag import notices_as_notes
from pytorch_sketch_rnn.commands.drawing_flags import (
    add_drawing_flags,
    lengths_of,
    open_drawer,
    refuse_same_file,
    write_page,
)
from pytorch_sketch_rnn.commands.flag_ranges import check_range
from pytorch_sketch_rnn.commands.sketch_argument import SKETCH_HELP, add_scale, read_sketch
from pytorch_sketch_rnn.errors import BadInput

COUNT = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port")
    add("sketch", metavar="SKETCH", help=SKETCH_HELP)
    add(
        "--points",
        metavar="N",
        type=int,
        help="take only the first N points of the sketch as its beginning (default: all)",
    )
    add("--count", type=int, default=COUNT, help=f"number of endings (default {COUNT})")
    add_scale(parser)
    add_drawing_flags(
        parser, max_len="maximum new points (default: what the beginning leaves of the model's max_seq_len)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    check_range("--points", arguments.points, 1)
    refuse_same_file(arguments, arguments.sketch)
    drawer = open_drawer(arguments)
    given = read_sketch(arguments.sketch, drawer.model.scale_factor, arguments.scale)
    begun = given.strokes[: arguments.points]
    if not len(begun):
        raise BadInput(f"{given.name}: the sketch has no points, so nothing is begun")
    with notices_as_notes():
        finished = drawer.model.complete(
            begun, arguments.count, drawer.temperature, max_new=drawer.max_len, draws=drawer.draws
        )
    title = f"{given.name}, begun, then finished"
    told = (
        f"{len(begun)} points of {given.name}, then {len(finished)} drawings of {lengths_of(finished)} points that "
        "begin with them"
    )
    write_page(arguments, drawer, [begun, *finished], title, told, columns=arguments.columns)
    return 0
