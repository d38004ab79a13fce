"""Arrays of other forms are recognised and converted, and those of no form are refused."""

import numpy as np
import pytest
from made_sets import run

from pytorch_sketch_rnn.data.npz import SPLITS, read_npz
from pytorch_sketch_rnn.data.stroke_forms import PEN_AND_END, PEN_FIRST, STROKE_5, TWO_PENS, to_stroke_3
from pytorch_sketch_rnn.data.strokes import to_big_strokes
from pytorch_sketch_rnn.errors import BadInput

# Two strokes, of three points and of one.
SKETCH = np.array([[0, 0, 0], [30, -5, 0], [7, 40, 1], [-9, 12, 1]], np.int16)
OTHER = np.array([[2, 1, 0], [3, 4, 1]], np.int16)


def pens(sketch: np.ndarray, *columns: list[int]) -> np.ndarray:
    """The offsets of a sketch with other columns after them."""
    return np.column_stack([sketch[:, :2], *columns]).astype(sketch.dtype)


def in_form(form: str | None, sketch: np.ndarray) -> np.ndarray:
    lifted = sketch[:, 2]
    last = np.arange(len(sketch)) == len(sketch) - 1
    return {
        None: sketch,
        PEN_FIRST: sketch[:, [2, 0, 1]],
        STROKE_5: to_big_strokes(sketch, 20).astype(np.int16),
        PEN_AND_END: pens(sketch, lifted * ~last, last),
        TWO_PENS: pens(sketch, 1 - lifted, lifted),
    }[form]


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("form", [None, PEN_FIRST, STROKE_5, PEN_AND_END, TWO_PENS])
def test_every_form_gives_the_same_sketches(form, dtype):
    arrays = [in_form(form, sketch).astype(dtype) for sketch in (SKETCH, OTHER)]
    sketches, found = to_stroke_3(arrays)
    assert found == form
    for ours, expected in zip(sketches, (SKETCH, OTHER), strict=True):
        np.testing.assert_array_equal(ours, expected)
        assert ours.dtype == dtype


def test_a_last_point_that_is_marked_as_the_end_is_kept_with_the_pen_lifted():
    marked = np.array([[1, 2, 1, 0, 0], [3, 4, 0, 0, 1], [0, 0, 0, 0, 1]])
    (sketch,), _ = to_stroke_3([marked])
    np.testing.assert_array_equal(sketch, [[1, 2, 0], [3, 4, 1]])


def test_padding_after_the_end_is_left_out_in_four_columns_too():
    (sketch,), form = to_stroke_3([np.array([[1, 2, 0, 0], [3, 4, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]])])
    assert form == PEN_AND_END
    np.testing.assert_array_equal(sketch, [[1, 2, 0], [3, 4, 1]])


def test_the_form_is_that_of_all_arrays_together():
    """A single array of offsets 0 and 1 could be either; the others decide."""
    small = np.array([[1, 0, 1], [0, 1, 1]])
    assert to_stroke_3([small])[1] is None
    sketches, form = to_stroke_3([small, SKETCH[:, [2, 0, 1]]])
    assert form == PEN_FIRST
    np.testing.assert_array_equal(sketches[0], small[:, [1, 2, 0]])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([SKETCH * 2], r"sketch 0: expected 0 or 1 in its third column"),
        ([SKETCH, to_big_strokes(SKETCH, 5)], r"sketch 1: expected an array \[n, 3\], got shape \(5, 5\)"),
        ([SKETCH[:, :2]], r"sketch 0: expected an array \[n, 3\], got shape \(4, 2\)"),
        ([SKETCH[0]], r"sketch 0: expected an array \[n, 3\], got shape \(3,\)"),
        ([pens(SKETCH, [0, 0, 2, 1], [0, 0, 0, 1])], r"four columns as \(dx, dy, pen lifted, end\) or"),
        ([pens(SKETCH, [0, 0, 1, 1], [0, 1, 0, 0])], "got other numbers in the last two"),
        ([to_big_strokes(OTHER, 5), pens(SKETCH, [1] * 4, [1] * 4, [0] * 4)], "sketch 1: expected stroke-5"),
        ([pens(OTHER, [0, 0], [0, 1], [1, 0])], "sketch 0: expected no point after the end of the sketch"),
        ([np.array([[1, 2, 0, 1, 0], [0, 0, 0, 0, 1], [5, 0, 0, 0, 1]])], "expected offsets of 0 after the end"),
        ([to_big_strokes(SKETCH, 5), np.array([[0, 0, 0, 0, 1]])], "sketch 1: expected at least one point"),
        ([np.array([[np.nan, 2, 0, 1, 0]])], "sketch 0: expected finite numbers"),
    ],
)
def test_what_fits_no_form_is_refused(arrays, message):
    with pytest.raises(BadInput, match=message):
        to_stroke_3(arrays)


def test_dataset_says_what_it_converted(tmp_path, capsys):
    pytest.importorskip("shapely")
    forms = {"train": PEN_FIRST, "valid": STROKE_5, "test": PEN_FIRST}
    np.savez(tmp_path / "odd.npz", **{split: np.stack([in_form(form, SKETCH)] * 2) for split, form in forms.items()})
    assert run(tmp_path / "odd.npz", tmp_path / "out.npz") == 0
    output = capsys.readouterr().out.splitlines()
    assert f"converted: 4 sketches from {PEN_FIRST}" in output
    assert f"converted: 2 sketches from {STROKE_5}" in output
    splits = read_npz(tmp_path / "out.npz")
    for split in SPLITS:
        np.testing.assert_array_equal(splits[split], [SKETCH] * 2)
