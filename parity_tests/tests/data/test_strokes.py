"""pytorch_sketch_rnn.data.strokes equals Magenta's utils.py, bit for bit."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.data import strokes
from pytorch_sketch_rnn.errors import BadInput

# Runs Magenta's utils.py by its path (it imports only random and numpy) on every case of the .npz file argv[2].
ORACLE = """
import importlib.util, sys
import numpy as np
spec = importlib.util.spec_from_file_location("utils", sys.argv[1])
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)
result = {}
for name, value in np.load(sys.argv[2]).items():
    kind, case = name.split(":")
    if kind == "stroke3":
        result["big:" + case] = utils.to_big_strokes(value, 30)
        lines = utils.strokes_to_lines(value)
        result["lengths:" + case] = np.array([len(line) for line in lines], dtype=int)
        result["lines:" + case] = np.array([point for line in lines for point in line], dtype=float)
        result["strokes:" + case] = utils.lines_to_strokes(lines)
        integers = [[[int(x), int(y)] for x, y in line] for line in lines]
        result["integers:" + case] = utils.lines_to_strokes(integers)
    else:
        result["normal:" + case] = utils.to_normal_strokes(value)
np.savez(sys.argv[3], **result)
"""


def cases() -> dict[str, np.ndarray]:
    """Seeded inputs named kind:case, edge cases included."""
    rng = np.random.default_rng(5)
    made = {}
    for number, dtype in enumerate(["int16", "float32", "float64", "int8", "float64", "float32"] * 3):
        length = int(rng.integers(1, 31))
        stroke = rng.normal(size=(length, 3)) * 40
        stroke[:, 2] = rng.random(length) < 0.3
        made[f"stroke3:{number}"] = stroke.astype(dtype)
        big = np.zeros((length, 5))
        big[:, :2] = rng.normal(size=(length, 2))
        big[np.arange(length), 2 + rng.integers(0, 2, length)] = 1
        big[int(rng.integers(0, length)) :, 2:] = (0, 0, 1)
        made[f"stroke5:{number}"] = big.astype(dtype if "float" in dtype else "float64")
    made["stroke3:negative zero"] = np.array([[-0.0, -0.0, 1], [-0.0, 3.0, 0]])
    made["stroke3:empty"] = np.zeros((0, 3))
    made["stroke3:never lifted"] = np.array([[1.0, 2, 0], [3, 4, 0]])
    made["stroke5:no end"] = np.array([[1.0, 2, 1, 0, 0], [3, 4, 0, 1, 0]])
    made["stroke5:end in row 0"] = np.array([[1.0, 2, 0, 0, 1], [3, 4, 0, 1, 0], [0, 0, 0, 0, 1]])
    return made


def ours() -> dict[str, np.ndarray]:
    """The same results as the oracle's, from our functions."""
    result = {}
    for name, value in cases().items():
        kind, case = name.split(":")
        if kind == "stroke3":
            result["big:" + case] = strokes.to_big_strokes(value, 30)
            lines = strokes.strokes_to_lines(value)
            result["lengths:" + case] = np.array([len(line) for line in lines], dtype=int)
            result["lines:" + case] = np.array([point for line in lines for point in line], dtype=float)
            result["strokes:" + case] = strokes.lines_to_strokes(lines)
            integers = [[[int(x), int(y)] for x, y in line] for line in lines]
            result["integers:" + case] = strokes.lines_to_strokes(integers)
        else:
            result["normal:" + case] = strokes.to_normal_strokes(value)
    return result


def magenta_utils() -> Path:
    """The path of Magenta's installed utils.py, from the package's list of files, without importing anything."""
    try:
        files = importlib.metadata.files("magenta") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.as_posix() == "magenta/models/sketch_rnn/utils.py":
            return Path(str(file.locate()))
    pytest.skip("magenta is not installed")


@pytest.mark.oracle
def test_every_function_equals_magenta_bit_for_bit(tmp_path):
    np.savez(tmp_path / "cases.npz", **cases())
    arguments = [str(magenta_utils()), str(tmp_path / "cases.npz"), str(tmp_path / "official.npz")]
    subprocess.run([sys.executable, "-c", ORACLE, *arguments], check=True)
    with np.load(tmp_path / "official.npz") as archive:
        official = dict(archive)
    result = ours()
    assert result.keys() == official.keys()
    for name, expected in official.items():
        assert result[name].dtype == expected.dtype, name
        assert result[name].shape == expected.shape, name
        assert result[name].tobytes() == expected.tobytes(), name


def test_big_strokes_are_one_hot_and_padded_with_the_end():
    big = strokes.to_big_strokes(np.array([[3, -4, 0], [5, 6, 1]], dtype=np.int16), 4)
    expected = [[3, -4, 1, 0, 0], [5, 6, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(big, expected)
    assert big.dtype == np.float64


def test_normal_strokes_undo_big_strokes():
    stroke = np.array([[3, -4, 0], [5, 6, 1], [7, 8, 0]], dtype=np.float64)
    for max_len in (3, 9):
        np.testing.assert_array_equal(strokes.to_normal_strokes(strokes.to_big_strokes(stroke, max_len)), stroke)


def test_an_end_flag_in_row_0_is_ignored():
    big = np.array([[1.0, 2, 0, 0, 1], [3, 4, 0, 1, 0], [0, 0, 0, 0, 1]])
    np.testing.assert_array_equal(strokes.to_normal_strokes(big), [[1, 2, 0], [3, 4, 1], [0, 0, 0]])


def test_a_sketch_longer_than_max_len_is_bad_input():
    with pytest.raises(BadInput, match="at most max_len = 2 points, got 3"):
        strokes.to_big_strokes(np.zeros((3, 3)), 2)


def test_lines_are_absolute_and_an_unfinished_line_is_dropped():
    stroke = np.array([[1, 1, 0], [2, 3, 1], [5, 5, 1], [1, 0, 0]], dtype=np.int16)
    assert strokes.strokes_to_lines(stroke) == [[[1, 1], [3, 4]], [[8, 9]]]


def test_integer_lines_give_integer_strokes_and_come_back():
    lines = [[[1, 1], [3, 4]], [], [[8, 9]]]
    result = strokes.lines_to_strokes(lines)
    np.testing.assert_array_equal(result, [[1, 1, 0], [2, 3, 1], [5, 5, 1]])
    assert result.dtype == np.int64
    assert strokes.strokes_to_lines(result) == [[[1, 1], [3, 4]], [[8, 9]]]
