"""``python -m pytorch_sketch_rnn sample MODEL -o FILE`` draws sketches: from the prior, or like those of a set."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_sketch_rnn.commands.backend_flag import notices_as_notes
from pytorch_sketch_rnn.commands.drawing_flags import (
    MOST_SKETCHES,
    Drawer,
    add_drawing_flags,
    holds_strokes,
    lengths_of,
    open_drawer,
    refuse_same_file,
    require_encoder,
    write_page,
)
from pytorch_sketch_rnn.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pytorch_sketch_rnn.data.magenta_loader import Batch

COUNT = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port")
    add(
        "--count",
        type=int,
        help=f"number of sketches, up to {MOST_SKETCHES} (default {COUNT}; with --like, no more than the set has)",
    )
    add(
        "--like",
        metavar="SET",
        type=Path,
        help="encode random sketches of this stroke set's test split, and draw them above their reconstructions; "
        "drawings will do as well, such as one.svg",
    )
    add_drawing_flags(parser, max_len="maximum points in a sketch (default: the model's max_seq_len)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    if arguments.like is not None:
        refuse_same_file(arguments, arguments.like)
    drawer = open_drawer(arguments)
    with notices_as_notes():
        if arguments.like is None:
            return _draw_from_the_prior(arguments, drawer)
        return _draw_reconstructions(arguments, drawer)


def _drawn(drawer: Drawer, count: int, z: "Tensor | None" = None) -> "list[np.ndarray]":
    from pytorch_sketch_rnn.model.sampling import sample_batch

    return sample_batch(drawer.model, count, drawer.max_len, drawer.temperature, z=z, draws=drawer.draws)


def _draw_from_the_prior(arguments: argparse.Namespace, drawer: Drawer) -> int:
    count = COUNT if arguments.count is None else arguments.count
    sketches = _drawn(drawer, count)
    columns = None if arguments.columns is None else min(arguments.columns, count)
    conditional = drawer.model.hparams.conditional
    source = "drawn from the prior" if conditional else "drawn by an unconditional model"
    told = f"{len(sketches)} sketches of {lengths_of(sketches)} points, {source}"
    write_page(arguments, drawer, sketches, source, told, columns=columns)
    if conditional:
        print(
            "If they look broken, the training may have been too short for the prior, though not for reconstructions; "
            "with --like SET.npz, sketches of a set are drawn above their reconstructions."
        )
    return 0


def _draw_reconstructions(arguments: argparse.Namespace, drawer: Drawer) -> int:
    import numpy as np
    import torch

    from pytorch_sketch_rnn.data.stroke_set import holds_drawings

    path = arguments.like
    require_encoder(arguments, drawer, "--like")
    batch = _test_sketches(path, arguments.count, arguments.seed)
    count = len(batch.strokes)
    with torch.no_grad():
        z, _ = drawer.model.encode(batch.sketches[:, 1:], batch.lengths)
    reconstructions = _drawn(drawer, count, z)
    # strokes are written in pairs: an original, then its reconstruction
    columns = 1 if holds_strokes(arguments) else min(arguments.columns or math.ceil(math.sqrt(2 * count)), count)
    rows = [row for first in range(0, count, columns) for row in (batch.strokes[first:], reconstructions[first:])]
    nothing = [np.zeros((0, 3), np.float32)] * columns
    source = path if holds_drawings(path) else f"the test split of {path}"
    order = "each before" if holds_strokes(arguments) else "each above"
    write_page(
        arguments,
        drawer,
        [sketch for row in rows for sketch in [*row[:columns], *nothing][:columns]],
        f"sketches of {path.name} and their reconstructions",
        f"{count} sketches of {source}, {order} its reconstruction of {lengths_of(reconstructions)} points",
        columns=columns,
        row_labels=["originals", "reconstructions"] * (len(rows) // 2),
    )
    return 0


def _test_sketches(path: Path, count: int | None, seed: int) -> "Batch":
    """Random sketches of a set's test split, normalised as for training."""
    import numpy as np

    from pytorch_sketch_rnn.data.batches import Split
    from pytorch_sketch_rnn.data.stroke_set import open_set

    with open_set(path) as stroke_set:
        test = stroke_set.splits["test"]
        if not len(test):
            raise BadInput(f"{path}: its test split is empty, so there is nothing to encode; give it some by --split")
        if count is not None and len(test) < count:
            raise BadInput(f"{path}: its test split has {len(test)} sketches, fewer than --count {count}")
        order = np.random.RandomState(seed).permutation(len(test))
        sketches = [test[int(index)] for index in order[: COUNT if count is None else count]]
        split = Split(sketches, stroke_set.scale_factor(), max(map(len, sketches)))
        return split.in_order(range(len(sketches)))
