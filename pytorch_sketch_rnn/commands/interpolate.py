"""``python -m pytorch_sketch_rnn interpolate MODEL FIRST SECOND -o FILE`` morphs one sketch into another."""

import argparse
from pathlib import Path

from pytorch_sketch_rnn.commands.backend_flag import notices_as_notes
from pytorch_sketch_rnn.commands.drawing_flags import (
    MOST_SKETCHES,
    add_drawing_flags,
    lengths_of,
    open_drawer,
    refuse_same_file,
    require_encoder,
    write_page,
)
from pytorch_sketch_rnn.commands.flag_ranges import check_range
from pytorch_sketch_rnn.commands.sketch_argument import SKETCH_HELP, add_scale, read_sketch

COUNT = 10
TEMPERATURE = 0.1  # so that neighbours differ by their latent vectors more than by chance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port, of a conditional model")
    add("first", metavar="FIRST", help=SKETCH_HELP)
    add("second", metavar="SECOND", help="likewise")
    add("--count", type=int, default=COUNT, help=f"number of drawings, both ends included (default {COUNT})")
    add_scale(parser)
    add_drawing_flags(
        parser, max_len="maximum points in a drawing (default: the model's max_seq_len)", temperature=TEMPERATURE
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    check_range("--count", arguments.count, 2, MOST_SKETCHES)
    refuse_same_file(arguments, arguments.first, arguments.second)
    drawer = open_drawer(arguments)
    require_encoder(arguments, drawer, "interpolate")
    first, second = (
        read_sketch(text, drawer.model.scale_factor, arguments.scale) for text in (arguments.first, arguments.second)
    )
    with notices_as_notes():
        drawn = drawer.model.interpolate(
            first.strokes,
            second.strokes,
            arguments.count,
            drawer.temperature,
            max_len=drawer.max_len,
            draws=drawer.draws,
        )
    title = f"from {first.name} to {second.name}"
    columns = arguments.count if arguments.columns is None else arguments.columns
    told = f"{len(drawn)} drawings of {lengths_of(drawn)} points, {title}"
    write_page(arguments, drawer, drawn, title, told, columns=min(columns, arguments.count))
    return 0
