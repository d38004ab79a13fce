"""QuickDraw's binary files are read as their description says."""

import gzip
import struct
from collections import Counter
from pathlib import Path

import pytest
from made_sets import drawing, listed, made, run, write

from pytorch_sketch_rnn.data.sources.ndjson import NOT_RECOGNIZED
from pytorch_sketch_rnn.data.sources.quickdraw_bin import read_quickdraw_bin
from pytorch_sketch_rnn.errors import BadInput

STROKES = [[[0, 10, 255], [5, 6, 7]], [[1, 3], [2, 4]]]


def packed(strokes: list, recognized: int = 1) -> bytes:
    """A drawing, written as the description of the data set unpacks it."""
    data = struct.pack("<Q", 5891796615823360) + b"DE" + struct.pack("<b", recognized) + struct.pack("<I", 1490045021)
    data += struct.pack("<H", len(strokes))
    for xs, ys in strokes:
        data += struct.pack("<H", len(xs)) + bytes(xs) + bytes(ys)
    return data


def save(path: Path, *drawings: bytes) -> Path:
    path.write_bytes(b"".join(drawings))
    return path


def read(path: Path, recognized_only: bool = False, left_out: Counter | None = None) -> list[list]:
    drawings = read_quickdraw_bin(path, recognized_only, Counter() if left_out is None else left_out)
    return [[line.tolist() for line in lines] for lines in drawings]


def test_drawings_are_read_stroke_by_stroke(tmp_path):
    long = [list(range(256)) * 2, [9] * 512]  # a number of points in two bytes
    path = save(tmp_path / "a.bin", packed(STROKES), packed([]), packed([[[], []], [[7], [8]]]), packed([long]))
    first, *others, last = read(path)
    assert first == [[[0, 5], [10, 6], [255, 7]], [[1, 2], [3, 4]]]
    assert others == [[], [[[7, 8]]]]
    assert last == [[[x, 9] for x in long[0]]]


def test_with_recognized_only_other_drawings_are_skipped(tmp_path):
    path, left_out = save(tmp_path / "a.bin", packed(STROKES, 0), packed([[[1], [2]]])), Counter()
    assert read(path, True, left_out) == [[[[1, 2]]]]
    assert left_out == {NOT_RECOGNIZED: 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (packed(STROKES)[:-1], "drawing 2: expected 4 more bytes, got 3; the file is cut short"),
        (packed(STROKES)[:10], "drawing 2: expected 17 more bytes, got 10"),
        (packed(STROKES, 7), "drawing 2: expected 0 or 1 for recognized, got 7"),
        (b'{"word": "cat", "drawing": []}', "drawing 2: expected 0 or 1 for recognized"),
        (packed([[[1] * 65_535, [2] * 65_535]] * 16), "drawing 2: expected at most 1,000,000 points"),
    ],
)
def test_damage_is_one_message_with_the_number_of_the_drawing(tmp_path, data, message):
    with pytest.raises(BadInput, match=rf"a\.bin: {message}"):
        read(save(tmp_path / "a.bin", packed(STROKES), data))


@pytest.mark.parametrize("name", ["a.bin", "a.bin.gz", "a.ndjson.gz", "bom.ndjson"])
def test_the_same_drawings_in_any_file_make_the_same_set(tmp_path, name):
    pytest.importorskip("shapely")
    drawings = [drawing(number, 6) for number in range(10, 30)]
    expected = write(tmp_path / "plain.ndjson", *drawings)
    text = expected.read_bytes()
    binary = b"".join(packed(each["drawing"], each["recognized"]) for each in drawings)
    content = {"a.bin": binary, "a.bin.gz": gzip.compress(binary), "a.ndjson.gz": gzip.compress(text)}
    (tmp_path / name).write_bytes(content.get(name, b"\xef\xbb\xbf" + text))
    for flags in ([], ["--recognized_only"]):
        assert run(expected, tmp_path / "expected.npz", "--force", *flags) == 0
        assert run(tmp_path / name, tmp_path / "out.npz", "--force", *flags) == 0
        assert listed(made(tmp_path / "out.npz")) == listed(made(tmp_path / "expected.npz"))
