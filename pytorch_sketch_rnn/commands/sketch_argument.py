"""A sketch on the command line: ``FILE.npz:SPLIT:INDEX``, an SVG file, or ``FILE.ndjson:INDEX``."""

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytorch_sketch_rnn.errors import BadInput, printable

if TYPE_CHECKING:
    import numpy as np

SKETCH_HELP = "FILE.npz:SPLIT:INDEX (such as sheep.npz:test:3), an SVG file, or FILE.ndjson:INDEX, counted from 0"
SCALES = ("set", "model")
_CHOICE = re.compile(r"(?::(?P<split>train|valid|test))?(?::(?P<index>[0-9]{1,18}))?")


class Given(NamedTuple):
    """A sketch that somebody gave."""

    name: str  # for people
    strokes: "np.ndarray"  # stroke-3 in normalised units, float32


def add_scale(parser: argparse.ArgumentParser) -> None:
    """Add ``--scale`` to a command that takes sketches."""
    parser.add_argument(
        "--scale",
        choices=SCALES,
        default="set",
        help="divide offsets by the scale factor of the file that a sketch comes from, or of the model (default set)",
    )


def read_sketch(text: str, model_scale: float | None, scale: str) -> Given:
    """Read a sketch.

    Args:
        text: what the user gave.
        model_scale: the scale factor of the model, if it is known.
        scale: one of :data:`SCALES`; offsets are divided by the scale factor of the sketch's file, or of the model.

    Raises:
        BadInput: when there is no such sketch, or it is not clear which one is meant, or the scale is not known.
    """
    import numpy as np

    from pytorch_sketch_rnn.data.batches import Split
    from pytorch_sketch_rnn.data.stroke_set import holds_drawings, open_set

    if scale == "model" and model_scale is None:
        raise BadInput("--scale model: the model has no scale_factor in its config.json; use --scale set")
    path, split, number = _parsed(text)
    with open_set(Path(path), whole=False) as stroke_set:
        splits, drawings = dict(stroke_set.splits), holds_drawings(Path(path))
        if split is not None and drawings:
            raise BadInput(f"{text}: {path} has no splits; expected {path}:INDEX")
        chosen = split or ("test" if "test" in splits else next(iter(splits), "test"))
        if chosen not in splits:
            raise BadInput(f"{text}: {path} has no {chosen} split; it has {', '.join(splits) or 'none'}")
        sketches = splits[chosen]
        where = path if drawings else f"the {chosen} split of {path}"
        if number is None and len(sketches) != 1:
            example = f"{path}:0" if drawings else f"{path}:{chosen}:0"
            raise BadInput(f"{text}: {where} has {len(sketches)} sketches; choose one, such as {example}")
        index = int(number or 0)
        if index >= len(sketches):
            raise BadInput(f"{text}: {where} has {len(sketches)} sketches, counted from 0")
        sketch = sketches[index]
        if scale == "model":
            factor = np.float32(model_scale)
        else:
            factor = replace(stroke_set, splits={"train": sketches} | splits).scale_factor()
    strokes = Split([sketch], factor, len(sketch)).in_order([0]).strokes[0]
    return Given(printable(text), strokes)


def _parsed(text: str) -> tuple[str, str | None, str | None]:
    """Path, split and index. A file may have colons in its name: the longest part that is there is the path."""
    ends = [at for at, character in enumerate(text) if character == ":"] + [len(text)]
    there = [end for end in ends if end > 0 and os.path.lexists(text[:end])]
    if not there:
        named = text.partition(":")[0] if ".npz:" in text or ".ndjson:" in text else text
        raise BadInput(f"{text}: there is no {named or 'file without a name'}; expected {SKETCH_HELP}")
    path, choice = text[: there[-1]], text[there[-1] :]
    match = _CHOICE.fullmatch(choice)
    if match is None:
        raise BadInput(f"{text}: {choice} chooses no sketch of {path}; expected {SKETCH_HELP}")
    return path, match["split"], match["index"]
