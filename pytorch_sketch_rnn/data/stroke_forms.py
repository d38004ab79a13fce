"""Recognises the other forms in which people store strokes, and converts them to stroke-3.

The form is found from the numbers of a whole split, never from one sketch alone, and it is named, so that a command can
say what it converted. Arrays that fit no form are refused.

Sources: section 3.1 of Ha & Eck 2017, https://arxiv.org/abs/1704.03477, for stroke-5; Graves 2013,
https://arxiv.org/abs/1308.0850, for the pen before the offsets.
"""

from collections.abc import Callable, Sequence

import numpy as np

from pytorch_sketch_rnn.data.npz import check_sketch, is_binary
from pytorch_sketch_rnn.errors import Refused, within

STROKE_5 = "stroke-5 (dx, dy, pen down, pen lifted, end)"
PEN_FIRST = "(pen lifted, dx, dy)"
PEN_AND_END = "(dx, dy, pen lifted, end)"
TWO_PENS = "(dx, dy, pen down, pen lifted)"

_Sketches = Sequence[np.ndarray]


def to_stroke_3(arrays: _Sketches) -> tuple[list[np.ndarray], str | None]:
    """Convert the arrays of a split to stroke-3 [n, 3]; their number type is kept.

    Args:
        arrays: all of one form: [n, 3], [n, 4] or [n, 5].

    Returns:
        The sketches, and the name of the form that they were converted from; None if they are stroke-3 already.

    Raises:
        BadInput: if the arrays are of no known form, or a sketch is empty or not of finite numbers.
    """
    form, convert = _form(arrays)
    sketches = []
    for index, array in enumerate(arrays):
        if form is not None and convert is not None:
            with within(f"sketch {index}"):
                array = convert(array)
        check_sketch(array, index)
        sketches.append(array)
    return sketches, form


def _form(arrays: _Sketches) -> tuple[str | None, Callable[[np.ndarray], np.ndarray] | None]:
    """The name of the arrays' form and its conversion; None for stroke-3 and for what is no form at all."""
    widths = {array.shape[1] if array.ndim == 2 else None for array in arrays}
    if widths == {5}:
        return STROKE_5, _from_stroke_5
    if widths == {4}:
        return _form_of_four(arrays)
    if widths == {3} and not _binary(arrays, 2) and _binary(arrays, 0):
        return PEN_FIRST, _from_pen_first
    return None, None


def _form_of_four(arrays: _Sketches) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """The last two columns are either one-hot at every point, or the second marks the end of the sketch alone."""
    if _binary(arrays, 2) and _binary(arrays, 3):
        if all((array[:, 2] + array[:, 3] == 1).all() for array in arrays):
            return TWO_PENS, lambda array: array[:, [0, 1, 3]]
        if all(is_end_mark(array[:, 3]) for array in arrays):
            return PEN_AND_END, _from_pen_and_end
    raise Refused(f"expected arrays of four columns as {PEN_AND_END} or {TWO_PENS}, got other numbers in the last two")


def _binary(arrays: _Sketches, column: int) -> bool:
    return all(is_binary(array[:, column]) for array in arrays)


def is_end_mark(column: np.ndarray) -> bool:
    """Whether 0s are followed by 1s alone [n]; there may be none of either."""
    return bool((column[1:] >= column[:-1]).all())


def _from_pen_first(array: np.ndarray) -> np.ndarray:
    return array[:, [1, 2, 0]]


def _from_stroke_5(array: np.ndarray) -> np.ndarray:
    pens = array[:, 2:]
    if not is_binary(pens) or not (pens.sum(axis=1) == 1).all():
        raise Refused(f"expected {STROKE_5}, one of the last three 1 at each point, got other numbers")
    return _until_end(array[:, [0, 1, 3]], pens[:, 2])


def _from_pen_and_end(array: np.ndarray) -> np.ndarray:
    lifted = np.maximum(array[:, 2], array[:, 3])
    return _until_end(np.column_stack([array[:, :2], lifted]).astype(array.dtype), array[:, 3])


def _until_end(sketch: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """The points [m, 3] before the end, and the first one marked as the end, with the pen lifted, if it has an offset.

    Args:
        sketch: stroke-3 [n, 3].
        ended: 1 from the end on, else 0 [n].
    """
    if not is_end_mark(ended):
        raise Refused("expected no point after the end of the sketch, got one")
    length = len(sketch) - int((ended == 1).sum())
    moves = np.asarray(sketch[length:, :2].any(axis=1))
    if moves[1:].any():
        raise Refused("expected offsets of 0 after the end of the sketch, got another")
    if moves[:1].any():
        sketch = sketch[: length + 1].copy()
        sketch[length, 2] = 1
        return sketch
    return sketch[:length].copy()
