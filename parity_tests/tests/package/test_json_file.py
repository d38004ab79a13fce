"""Reading JSON as RFC 8259 defines it; anything else is bad input in one line."""

import io
import json
import re
from pathlib import Path

import pytest

from pytorch_sketch_rnn import json_file
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.json_file import read_json

CONTENT = {"a": [1, -2.5, 1e300, None, True], "é": {"a": "b"}}


def write(folder: Path, data: bytes) -> Path:
    path = folder / "file.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_json_in_utf_8_is_read_with_or_without_a_byte_order_mark(tmp_path, encoding):
    assert read_json(write(tmp_path, json.dumps(CONTENT, ensure_ascii=False).encode(encoding))) == CONTENT


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"a": ', "Expecting value"),
        (b"{'a': 1}", "Expecting property name"),
        (b"1 2", "Extra data"),
        (b'{"a": 1, "b": 2, "a": 1}', "the name 'a' comes twice"),
        (b'[{"x": {"a": 1, "a": 2}}]', "the name 'a' comes twice"),
        (b'{"a\\nb": 1, "a\\nb": 1}', r"the name 'a\\nb' comes twice"),
        (b"[NaN]", "NaN is not a finite number"),
        (b"[Infinity]", "Infinity is not a finite number"),
        (b"[-Infinity]", "-Infinity is not a finite number"),
        (b"[1e999]", "1e999 is not a finite number"),
        (b"1" * 5000, "Exceeds the limit"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b'"\xff"', "'utf-8' codec can't decode"),
        *((json.dumps(CONTENT).encode(encoding), ".") for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, data, reason):
    path = write(tmp_path, data)
    with pytest.raises(BadInput, match=rf"^{re.escape(str(path))}: expected JSON, but {reason}") as caught:
        read_json(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(path)) + 200


def test_a_long_name_that_comes_twice_is_cut_in_the_message(tmp_path):
    path = write(tmp_path, b'{"%s": 1, "%s": 2}' % (b"a" * 10_000, b"a" * 10_000))
    with pytest.raises(BadInput, match=f"the name '{'a' * 60}' comes twice$"):
        read_json(path)


class Unread(io.BufferedReader):
    """A file that must not be read."""

    def read(self, size: int | None = -1) -> bytes:
        pytest.fail("the file was read")


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = write(tmp_path, b"[1, 2]")
    assert read_json(path, limit=6) == [1, 2]
    monkeypatch.setattr(json_file, "open_regular", lambda path: Unread(path.open("rb")))
    with pytest.raises(BadInput, match=r"file\.json: has 6 bytes, more than the limit of 5; expected a list$"):
        read_json(path, "a list", limit=5)


def test_a_missing_file_and_a_folder_are_bad_input(tmp_path):
    for path, reason in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(BadInput, match=rf"^{re.escape(str(path))}: cannot be read \({reason}.*; expected a list$"):
            read_json(path, "a list")


def test_one_of_many_names_that_comes_twice_is_found_in_linear_time(tmp_path):
    path, count = tmp_path / "a.json", 100_000
    path.write_text("{" + ",".join(f'"{number}": 0' for number in [*range(count), count - 1]) + "}")
    with pytest.raises(BadInput, match=f"the name '{count - 1}' comes twice"):  # minutes, if every name were counted
        read_json(path)
