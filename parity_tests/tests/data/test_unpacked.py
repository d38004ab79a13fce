"""Compressed sources are unpacked while they are read, never to more than drawings would unpack to."""

import gzip
import re
import time

import pytest

from pytorch_sketch_rnn.data.sources import unpacked
from pytorch_sketch_rnn.data.sources.unpacked import open_unpacked
from pytorch_sketch_rnn.errors import BadInput, Refused

TEXT = b"".join(b"line %d\n" % number for number in range(10_000))


@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.ndjson.GZ", "a.ndjson"])
def test_a_file_is_read_line_by_line_compressed_or_not(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(TEXT if name == "a.ndjson" else gzip.compress(TEXT))
    with open_unpacked(path) as file:
        assert file.readline() == b"line 0\n"
        assert file.read() == TEXT[7:]


def test_several_compressed_parts_are_one_file(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(TEXT) + gzip.compress(b"more"))
    with open_unpacked(tmp_path / "a.gz") as file:
        assert file.read() == TEXT + b"more"


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda data: data[:-6] + b"xxxxxx", lambda _: b"no gzip"])
def test_damage_is_refused(tmp_path, damage):
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(TEXT)))
    with pytest.raises(Refused, match="expected an intact gzip file"), open_unpacked(tmp_path / "a.gz") as file:
        file.read()


def test_what_unpacks_to_far_too_much_is_refused_while_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "_ALWAYS_ALLOWED", 1 << 20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(100 << 20)))
    started = time.monotonic()
    with open_unpacked(tmp_path / "a.gz") as file:
        file.read(1 << 20)
        with pytest.raises(Refused, match="unpacks to more than 100 times its size"):
            file.read()
        assert file.raw._count < 30 << 20
    assert time.monotonic() - started < 10


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=rf"^{re.escape(str(tmp_path))}/a\.gz: cannot be read \(No such file"):
        open_unpacked(tmp_path / "a.gz")
