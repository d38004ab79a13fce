"""What the commands that draw with a model share: their flags, the model, its random numbers, and the page."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytorch_sketch_rnn.commands.backend_flag import add_backend, chosen_backend
from pytorch_sketch_rnn.commands.flag_ranges import check_range
from pytorch_sketch_rnn.errors import BadInput, enumerated

if TYPE_CHECKING:
    import numpy as np

    from pytorch_sketch_rnn.model.draws import Draws
    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

LARGEST_SEED = 2**32 - 1  # that NumPy's RandomState accepts
MOST_SKETCHES = 10_000
LONGEST_SKETCH = 100_000  # points


class Drawer(NamedTuple):
    """A model, and how it draws."""

    model: "SketchRNN"
    temperature: float
    max_len: int | None
    draws: "Draws"


def add_drawing_flags(parser: argparse.ArgumentParser, *, max_len: str, temperature: float = 0.5) -> None:
    """Add the flags.

    Args:
        parser: of a command, whose argument MODEL is there.
        max_len: the help of ``--max-len``.
        temperature: the default.
    """
    add = parser.add_argument
    add("-o", "--out", metavar="FILE", type=Path, required=True, help="a .svg, .png, .gif (animated) or .npz file")
    add("--animate", action="store_true", help="let an .svg draw itself, point by point")
    add(
        "--temperature",
        type=float,
        default=temperature,
        help=f"randomness, from 0.01 (low) to 1 (as trained; default {temperature:g})",
    )
    add(
        "--seed",
        type=int,
        default=0,
        help=f"0 to {LARGEST_SEED}; the same seed gives the same picture on the same machine",
    )
    add("--max-len", type=int, help=max_len)
    add("--columns", type=int, help="sketches per row (default: a nearly square page)")
    add("--device", default="auto", help="such as cpu, cuda or mps (default: the best that is there)")
    add_backend(parser)


def open_drawer(arguments: argparse.Namespace) -> Drawer:
    """Check the flags, and read the model.

    Raises:
        BadInput: when a flag is out of its range, or the model cannot be used.
    """
    import torch

    from pytorch_sketch_rnn.commands.usable_model import usable_model
    from pytorch_sketch_rnn.data.saving import check_suffix
    from pytorch_sketch_rnn.device import usable_device
    from pytorch_sketch_rnn.model.draws import TorchDraws
    from pytorch_sketch_rnn.model.sampling import check_temperature

    check_range("--count", arguments.count, 1, MOST_SKETCHES)
    check_range("--seed", arguments.seed, 0, LARGEST_SEED)
    check_range("--max-len", arguments.max_len, 1, LONGEST_SKETCH)
    check_range("--columns", arguments.columns, 1)
    check_temperature(arguments.temperature)
    check_suffix(arguments.out, animate=arguments.animate)
    if arguments.columns is not None and holds_strokes(arguments):
        raise BadInput(f"--columns: for a page only, and {arguments.out} gets the strokes themselves")
    device = usable_device(arguments.device, "--device")
    generator = torch.Generator(device).manual_seed(arguments.seed)
    model = usable_model(arguments.model, device, chosen_backend(arguments.backend, device))
    return Drawer(model, arguments.temperature, arguments.max_len, TorchDraws(generator))


def refuse_same_file(arguments: argparse.Namespace, *sketches: str | Path) -> None:
    """Refuse to write over a file that a sketch is read from.

    Raises:
        BadInput: naming it.
    """
    for text in map(str, sketches):
        for path in (text, *(text.rsplit(":", cut)[0] for cut in (1, 2))):
            if os.path.exists(path) and os.path.exists(arguments.out) and os.path.samefile(path, arguments.out):
                raise BadInput(f"-o {arguments.out}: is the file that {text} is read from; choose another name")


def require_encoder(arguments: argparse.Namespace, drawer: Drawer, what: str) -> None:
    """Refuse a model without an encoder.

    Raises:
        BadInput: naming what needs one.
    """
    if drawer.model.encoder is None:
        raise BadInput(f"{what} needs an encoder, but the model {arguments.model} is unconditional (decoder only)")


def write_page(
    arguments: argparse.Namespace,
    drawer: Drawer,
    sketches: "Sequence[np.ndarray]",
    title: str,
    told: str,
    *,
    columns: int | None = None,
    row_labels: Sequence[str] | None = None,
) -> None:
    """Write sketches, and print what was written.

    Args:
        arguments: of the command.
        drawer: whose scale factor, if it is known, multiplies the offsets of an ``.npz``.
        sketches: stroke-3 [n, 3] each, in normalised units.
        title: of a page.
        told: what the sketches are, for the printed line.
        columns, row_labels: see :func:`drawing.grid_svg`.
    """
    from pytorch_sketch_rnn.data.saving import save_drawing

    save_drawing(
        arguments.out,
        sketches,
        columns,
        title=f"{title}, temperature {arguments.temperature:g}",
        row_labels=row_labels,
        animate=arguments.animate,
        scale_factor=drawer.model.scale_factor,
    )
    print(f"wrote {arguments.out}: {told}")
    if not holds_strokes(arguments):
        return
    empty = [str(index) for index, sketch in enumerate(sketches) if not len(sketch)]
    if empty:
        print(f"left out {len(empty)} of {len(sketches)} sketches, which have no points (from 0: {enumerated(empty)})")
    if drawer.model.scale_factor is None:
        print("offsets are in normalised units, because the model's scale factor is not known")


def holds_strokes(arguments: argparse.Namespace) -> bool:
    """Whether the command writes strokes, not a page."""
    from pytorch_sketch_rnn.data.saving import NPZ

    return Path(arguments.out).suffix.lower() == NPZ


def lengths_of(sketches: "Sequence[np.ndarray]") -> str:
    """How many points they have, as a range."""
    lengths = sorted(map(len, sketches))
    return f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"
