"""Writes sketches to a file in the form of its suffix: a page as .svg, .png or .gif, or the strokes as .npz."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.animation import FRAMES_A_SECOND, LAST_SECONDS, animated_svg, frames
from pytorch_sketch_rnn.data.drawing import grid_image, grid_svg, stroke3
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

SVG, PNG, GIF, NPZ = SUFFIXES = (".svg", ".png", ".gif", ".npz")


def save_drawing(
    path: Path,
    sketches: Sequence[np.ndarray],
    columns: int | None = None,
    *,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
    animate: bool = False,
    scale_factor: float | None = None,
) -> None:
    """Write sketches to a file.

    Args:
        path: ends in ``.svg``; ``.png``; ``.gif``, which is always animated; or ``.npz``, which becomes a stroke set
            of a training split alone.
        sketches, columns, title, row_labels: see :func:`drawing.grid_svg`; an ``.npz`` has only those sketches that
            have points.
        animate: whether an ``.svg`` draws itself.
        scale_factor: what offsets of an ``.npz`` are multiplied by.

    Raises:
        BadInput: for another suffix, if the file cannot be written, and as in :func:`drawing.grid_svg`.
    """
    path = Path(path)
    check_suffix(path, animate=animate)
    suffix = path.suffix.lower()
    if suffix == NPZ:
        scaled = [
            strokes for index, sketch in enumerate(sketches) if len(strokes := _scaled(sketch, index, scale_factor))
        ]
        if not scaled:
            raise BadInput(f"{path}: no sketch has a point, so there is nothing to write")
        write_npz(path, {"train": scaled})
        return
    with atomic_path(path) as temporary:
        if suffix == SVG:
            drawing = (animated_svg if animate else grid_svg)(sketches, columns, title=title, row_labels=row_labels)
            temporary.write_text(drawing, encoding="utf-8", newline="\n")
        elif suffix == PNG:
            grid_image(sketches, columns, title=title, row_labels=row_labels).save(temporary, format="PNG")
        else:
            first, *others = frames(sketches, columns, title=title, row_labels=row_labels)
            seconds = [1 / FRAMES_A_SECOND] * len(others) + [LAST_SECONDS]
            times = [round(1000 * second) for second in seconds]
            first.save(temporary, format="GIF", save_all=True, append_images=others, duration=times, loop=0)


def _scaled(sketch: np.ndarray, index: int, scale_factor: float | None) -> np.ndarray:
    strokes = stroke3(np.asarray(sketch), index).astype(np.float32)
    strokes[:, :2] *= 1.0 if scale_factor is None else scale_factor
    return strokes


def check_suffix(path: Path, *, animate: bool = False) -> None:
    """Raise BadInput if :func:`save_drawing` does not know the format, so that callers can check before any work."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        expected = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise BadInput(f"{path}: expected a name that ends in {expected}, got {path.suffix or 'no suffix'}")
    if animate and suffix not in (SVG, GIF):
        raise BadInput(f"{path}: cannot be animated; expected a name that ends in .svg or .gif")
