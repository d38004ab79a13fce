"""QuickDraw's drawings become lines; everything else is BadInput with the number of its line."""

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.data.sources import ndjson
from pytorch_sketch_rnn.data.sources.ndjson import NOT_RECOGNIZED, read_ndjson
from pytorch_sketch_rnn.data.sources.simplify import scale_lines, simplify_lines, sketch_of
from pytorch_sketch_rnn.errors import BadInput

SIMPLE = [[[0, 10, 255], [5, 6, 7]], [[1, 2], [3, 4]]]


def write(path: Path, *records: object) -> Path:
    """A file of these records; bytes are written as a line of their own."""
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def read(path: Path, recognized_only: bool = False, left_out: Counter | None = None) -> list[list]:
    """All drawings as lists, which can be compared."""
    drawings = read_ndjson(path, recognized_only, Counter() if left_out is None else left_out)
    return [[line.tolist() for line in lines] for lines in drawings]


def test_simplified_drawings_are_read_without_change(tmp_path):
    path = write(tmp_path / "a.ndjson", {"word": "cat", "drawing": SIMPLE}, b"  ", {"drawing": [[[7], [8.5]]]})
    expected = [[[[0, 5], [10, 6], [255, 7]], [[1, 3], [2, 4]]], [[[7, 8.5]]]]
    assert read(path) == expected


def test_raw_drawings_are_aligned_and_their_longer_side_becomes_255(tmp_path):
    raw = [[[100.5, 300.5], [-20, 380], [0, 17]], [[200.5], [180], [40]]]
    assert read(write(tmp_path / "a.ndjson", {"drawing": raw})) == [[[[0, 0], [127.5, 255]], [[63.75, 127.5]]]]


def test_a_raw_dot_stays_a_dot(tmp_path):
    path = write(tmp_path / "a.ndjson", {"drawing": [[[9.5, 9.5], [4, 4], [0, 1]]]})
    assert read(path) == [[[[0, 0], [0, 0]]]]


def test_the_smallest_extent_is_scaled_without_overflow():
    lines = scale_lines([np.array([[0, 0], [5e-324, 0]])])
    np.testing.assert_array_equal(lines[0], [[0, 0], [255, 0]])


@pytest.mark.parametrize("drawing", [[], [[[], []]], [[[], [], []]]])
def test_empty_drawings_have_no_lines(tmp_path, drawing):
    assert read(write(tmp_path / "a.ndjson", {"drawing": drawing})) == [[]]


def test_with_recognized_only_other_drawings_are_skipped(tmp_path):
    records = [{"recognized": flag, "drawing": [[[number], [0]]]} for number, flag in enumerate((True, False, True))]
    path, left_out = write(tmp_path / "a.ndjson", *records), Counter()
    assert read(path, True, left_out) == [[[[0, 0]]], [[[2, 0]]]]
    assert left_out == {NOT_RECOGNIZED: 1}
    assert len(read(path, False, left_out)) == 3
    assert left_out == {NOT_RECOGNIZED: 1}


def test_a_file_is_read_line_by_line(tmp_path):
    path = write(tmp_path / "a.ndjson", {"drawing": SIMPLE}, b"no JSON")
    drawings = read_ndjson(path, False, Counter())
    assert len(next(drawings)) == 2
    with pytest.raises(BadInput, match="line 2"):
        next(drawings)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b'{"drawing": [[[1, 2], [3',
            "expected a whole JSON object, got text that is none (Expecting ',' delimiter at",
        ),
        (b"\xff\xfe", "expected text in UTF-8, got byte 0xff"),
        (b'{"word": "caf\xe9"}', "expected text in UTF-8, got byte 0xe9"),
        (b"[" * 200_000, "expected a drawing, got JSON nested too deeply"),
        (b'{"drawing": [[[1' + b"0" * 5000 + b"], [1]]]}", "got a number of too many digits"),
        (b'{"drawing": [[[1' + b"0" * 400 + b"], [1]]]}", "stroke 1: expected coordinates, got an integer beyond"),
        (
            b'{"drawing": [[[1e400], [1]]]}',
            "stroke 1: expected finite coordinates of at most 1e+09 either way, got inf",
        ),
        (b'{"drawing": [[[1, 2], [1, NaN]]]}', "either way, got nan"),
        (b'{"drawing": [[[1], [-Infinity]]]}', "either way, got -inf"),
        (b'{"drawing": [[[1], [1.1e9], [0]]]}', "either way, got 1.1e+09"),
        (b"[1, 2]", 'expected a JSON object with "drawing", got [1, 2]'),
        (b"3", 'expected a JSON object with "drawing", got 3'),
        (b'{"word": "cat"}', 'expected a JSON object with "drawing", got {"word": "cat"}'),
        (b'{"word": "' + b"x" * 999 + b'"}', 'expected a JSON object with "drawing", got {"word": "xxx'),
        (b'{"drawing": "[[1]]"}', 'expected a drawing as a list of strokes, got "[[1]]"'),
        (b'{"drawing": null}', "expected a drawing as a list of strokes, got null"),
        (b'{"drawing": [[[1], [2]], 5]}', "stroke 2: expected lists [x, y] or [x, y, t], got 5"),
        (b'{"drawing": [[1, 2]]}', "stroke 1: expected lists [x, y] or [x, y, t], got [1, 2]"),
        (b'{"drawing": [[[1]]]}', "stroke 1: expected lists [x, y] or [x, y, t], got [[1]]"),
        (b'{"drawing": [[[1], [2], [3], [4]]]}', "expected lists [x, y] or [x, y, t], got [[1], [2], [3], [4]]"),
        (b'{"drawing": [[[1, 2], [3]]]}', "stroke 1: expected x, y and t of one length, got 2 and 1 numbers"),
        (b'{"drawing": [[[1, 2], [3, 4], [5]]]}', "of one length, got 2 and 2 and 1 numbers"),
        (b'{"drawing": [[["1"], [2]]]}', 'stroke 1: expected numbers, got "1"'),
        (b'{"drawing": [[[1], [true]]]}', "stroke 1: expected numbers, got true"),
        (b'{"drawing": [[[1], [null]]]}', "stroke 1: expected numbers, got null"),
        (b'{"drawing": [[[1, [2]], [3, 4]]]}', "stroke 1: expected numbers, got [2]"),
        (b'{"drawing": [[[1], [2]], [[1], [2], [3]]]}', "expected strokes that all have times or none, got both"),
        (b'{"drawing": [[[0, 300], [0, 1]]]}', "expected coordinates 0 to 255 in a simplified drawing, got 0 to 300"),
        (b'{"drawing": [[[-1], [0]]]}', "expected coordinates 0 to 255 in a simplified drawing, got -1 to 0"),
    ],
)
def test_an_invalid_line_is_one_message_with_its_number(tmp_path, line, message):
    path = write(tmp_path / "a.ndjson", {"drawing": SIMPLE}, b"", line)
    with pytest.raises(BadInput) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: line 3")
    assert message in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize("record", [{"drawing": SIMPLE}, {"drawing": SIMPLE, "recognized": "yes"}])
def test_recognized_must_be_true_or_false_if_it_is_needed(tmp_path, record):
    path = write(tmp_path / "a.ndjson", record)
    assert len(read(path)) == 1
    with pytest.raises(BadInput, match=r'line 1: expected "recognized" to be true or false, got (null|"yes")'):
        read(path, True)


def test_a_line_may_be_as_long_as_the_limit_and_no_longer(tmp_path, monkeypatch):
    path = write(tmp_path / "a.ndjson", {"drawing": SIMPLE})
    monkeypatch.setattr(ndjson, "MAX_LINE", path.stat().st_size)
    assert len(read(path)) == 1
    monkeypatch.setattr(ndjson, "MAX_LINE", path.stat().st_size - 1)
    with pytest.raises(BadInput, match=r"line 1: expected at most \d+ bytes, got more"):
        read(path)


def test_a_line_beyond_the_limit_is_not_read_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.ndjson"
    path.write_bytes(b" " * (8 << 20))
    monkeypatch.setattr(ndjson, "MAX_LINE", 1000)
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="line 1: expected at most 1000 bytes"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"none.ndjson: cannot be read \(No such file or directory\)"):
        read(tmp_path / "none.ndjson")


def test_lines_are_simplified_within_epsilon():
    pytest.importorskip("shapely")
    line = np.array([[0, 0], [10, 1.9], [20, 0], [30, 2.1], [40, 0]])
    np.testing.assert_array_equal(simplify_lines([line], 2.0)[0], line[[0, 3, 4]])
    np.testing.assert_array_equal(simplify_lines([line], 1.0)[0], line)
    np.testing.assert_array_equal(simplify_lines([line], 3.0)[0], line[[0, 4]])


def test_epsilon_0_keeps_every_point_and_dots_are_kept():
    line = np.array([[0.0, 0], [1, 0], [2, 0]])
    np.testing.assert_array_equal(simplify_lines([line], 0)[0], line)
    np.testing.assert_array_equal(simplify_lines([line[:1]], 2.0)[0], line[:1])


def test_points_are_rounded_not_offsets_and_a_sketch_begins_at_the_origin():
    lines = [np.array([[10.4, 5], [10.8, 5], [11.2, 5], [11.6, 5]]), np.array([[20.0, 7.2]])]
    sketch = sketch_of(lines, np.dtype("int16"))
    assert sketch.dtype == np.int16
    np.testing.assert_array_equal(sketch, [[0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 1], [8, 2, 1]])
    exact = sketch_of(lines, np.dtype("float32"))
    assert exact.dtype == np.float32
    np.testing.assert_allclose(exact[1], [0.4, 0, 0], atol=1e-6)
    assert sketch_of([], np.dtype("int16")).shape[0] == 0
