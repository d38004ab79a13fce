"""pytorch_sketch_rnn.data.npz gives BadInput for files and data that are no stroke set."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from handmade_npz import (
    GOOD,
    array,
    assert_same,
    npy,
    number_type,
    object_array,
    objects,
    python2_sketch,
    python2_string,
    save,
    sketches,
)

from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none\.npz: .*no such file"):
        read_npz(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_zip_archive_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.npz: expected an intact \.npz file"):
        read_npz(tmp_path / "a.npz")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match="expected an intact"):
        read_npz(tmp_path)


def test_a_missing_split_is_named_with_those_there(tmp_path):
    write_npz(tmp_path / "a.npz", {"train": sketches(1), "test": sketches(1)})
    with pytest.raises(BadInput, match=r"valid\.npy: no such member; .*\['test\.npy', 'train\.npy'\]"):
        read_npz(tmp_path / "a.npz")


def test_a_missing_split_comes_with_what_to_do(tmp_path):
    write_npz(tmp_path / "a.npz", {"train": sketches(1)})
    with pytest.raises(BadInput, match=r"dataset OLD\.npz NEW\.npz --split 0\.9,0\.05,0\.05` divides a set afresh"):
        read_npz(tmp_path / "a.npz")


def test_data_after_the_array_are_refused(tmp_path):
    path = save(tmp_path / "a.npz", train=npy(object_array([GOOD])) + b"x")
    with pytest.raises(BadInput, match="expected the end of the member after its array"):
        read_npz(path, splits=["train"])


def test_an_encrypted_member_is_refused(tmp_path):
    path = save(tmp_path / "a.npz", train=npy(object_array([GOOD])))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flags of the local header, and those of the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match="got an encrypted one"):
        read_npz(path, splits=["train"])


def test_a_wrong_checksum_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train.npy", npy(object_array([GOOD])))
    data = (tmp_path / "a.npz").read_bytes()
    changed = data.replace(np.int16([1, 2, 0, 3]).tobytes(), np.int16([1, 9, 0, 3]).tobytes())
    assert changed != data
    (tmp_path / "a.npz").write_bytes(changed)
    with pytest.raises(BadInput, match="CRC"):
        read_npz(tmp_path / "a.npz", splits=["train"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (objects([]), "got an empty split"),
        (np.zeros((0, 4, 3)), "got an empty split"),
        (objects([*sketches(2), np.zeros((0, 3), "int16")]), "sketch 2: expected at least one point"),
        (np.zeros((2, 0, 3)), "sketch 0: expected at least one point"),
        (objects([np.zeros((4, 5))]), "dataset OLD.npz NEW.npz` converts arrays of four or five columns"),
        (objects([np.array([[1, 5, 7], [0, 2, -4]])]), r"NEW.npz` converts \(pen lifted, dx, dy\)"),
        (objects([*sketches(1), np.zeros((4, 2))]), r"sketch 1: expected an array \[n, 3\], got shape \(4, 2\)"),
        (objects([np.zeros((4, 5))]), r"sketch 0: expected an array \[n, 3\], got shape \(4, 5\)"),
        (objects([np.zeros(3)]), r"sketch 0: expected an array \[n, 3\], got shape \(3,\)"),
        (np.zeros((2, 4, 5)), r"sketch 0: expected an array \[n, 3\], got shape \(4, 5\)"),
        (np.zeros((4, 3)), r"or numbers \[N, n, 3\], got shape \(4, 3\)"),
        (np.zeros((2, 4, 3), dtype=object), r"got shape \(2, 4, 3\) of type 'object'"),
        (np.zeros((2, 4, 3), dtype=bool), "of type 'bool'"),
        (np.zeros((2, 4, 3), dtype=complex), "of type 'complex128'"),
        (np.zeros((2, 4, 3), dtype="S3"), "of type '|S3'"),
        (np.zeros((2, 4, 3), dtype=[("a", "i2")]), r"of type .*'a'"),
        (np.zeros((2, 4, 3), dtype="datetime64[s]"), "datetime64"),
        (np.array(objects([1]))[0:1].reshape(()), r"got shape \(\)"),
        (objects([np.array([[1, 2, 0], [3, np.nan, 1.0]])]), "sketch 0: expected finite numbers"),
        (objects([*sketches(1), np.array([[np.inf, 2, 0]], "float32")]), "sketch 1: expected finite numbers"),
        (np.array([[[1, 2, 0]], [[1, -np.inf, 1]]]), "sketch 1: expected finite numbers"),
        (objects([[1, 2, 3]]), "sketch 0: expected a NumPy array, got list"),
        (objects(["abc"]), "sketch 0: expected a NumPy array, got str"),
        (objects([None]), "sketch 0: expected a NumPy array, got NoneType"),
        (objects([np.zeros((2, 3), dtype=bool)]), "expected integers or floats, got type '|b1'"),
        (objects([np.zeros((2, 3), dtype="longdouble")]), "expected integers or floats, got type '<f16'"),
    ],
)
def test_data_that_is_no_set_of_sketches_is_refused(tmp_path, array, message):
    np.savez(tmp_path / "a.npz", train=array)
    with pytest.raises(BadInput, match=message):
        read_npz(tmp_path / "a.npz", splits=["train"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ValueError"),
        (b"\x93NUMPY\x03\x00", r"version 1.0 or 2.0, got \(3, 0\)"),
        (b"\x93NUMPY\x01\x00\x04\x00[1]\n", "not a dictionary"),
        (b"\x93NUMPY\x01\x00" + struct.pack("<H", 20_000) + b"(" * 20_000, "large"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{}", "EOF"),
        (npy(b"x" * 35, (2, 3, 3), "<i2"), "expected the 36 bytes"),
        (npy(b"x" * 37, (2, 3, 3), "<i2"), "expected the 36 bytes"),
        (npy(b"", (2**50, 2**50, 3), "<i2"), "max_bytes"),
        (npy(b"x" * 36, (-2, -3, 3), "<i2"), "expected the 36 bytes"),
    ],
)
def test_a_damaged_member_with_the_right_checksum_is_refused(tmp_path, data, message):
    path = save(tmp_path / "a.npz", train=data)
    with pytest.raises(BadInput, match=message):
        read_npz(path, splits=["train"])


def test_a_message_is_short_and_keeps_control_characters_of_the_file_out(tmp_path):
    escape = "\x1b[31m" * 2000
    with zipfile.ZipFile(tmp_path / "names.npz", "w") as archive:
        archive.writestr(escape, b"")
    save(tmp_path / "global.npz", train=npy(b"\x80\x02c" + escape.encode() + b"\nname\n."))
    save(tmp_path / "type.npz", train=npy(object_array([array((1, 3), number_type(escape, "<"), python2_string(b""))])))
    save(tmp_path / "header.npz", train=b"\x93NUMPY\x01\x00" + struct.pack("<H", 5000) + b"[" + b"1," * 2499 + b"]")
    for name in ("names", "global", "type", "header"):
        with pytest.raises(BadInput) as caught:
            read_npz(tmp_path / f"{name}.npz", splits=["train"])
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < len(str(tmp_path)) + 600


def read_or_refuse(path: Path) -> dict[str, list[np.ndarray]] | None:
    """The sketches, or None for BadInput; anything else fails the test."""
    message = ""
    try:
        return read_npz(path, splits=["train", "valid"], max_bytes=50_000_000)
    except BadInput as error:
        message = str(error)
    assert message.startswith(str(path))
    assert "\n" not in message
    return None


def test_a_damaged_file_gives_the_same_sketches_or_bad_input(tmp_path):
    expected = {"train": sketches(6), "valid": sketches(2, "float32", 1)}
    write_npz(tmp_path / "good.npz", expected)
    good = (tmp_path / "good.npz").read_bytes()
    rng = np.random.default_rng(1)
    outcomes = {"same": 0, "refused": 0}
    for trial in range(500):
        data = bytearray(good)
        if trial % 4 == 3:
            del data[int(rng.integers(0, len(data))) :]
        else:
            # Half of the flips in the headers and the directory, where they are not all found by a checksum.
            start = len(data) - 250 if trial % 2 else 0
            data[int(rng.integers(start, len(data)))] ^= 1 << int(rng.integers(0, 8))
        (tmp_path / "bad.npz").write_bytes(data)
        result = read_or_refuse(tmp_path / "bad.npz")
        outcomes["refused" if result is None else "same"] += 1
        if result is not None:
            for split in expected:
                assert_same(result[split], expected[split])
    assert min(outcomes.values()) > 20, outcomes


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_damaged_pickle_with_the_right_checksum_gives_sketches_or_bad_input(tmp_path, protocol):
    items = sketches(3) + sketches(1, "float32", 1)
    good = npy(pickle.dumps(objects(items), protocol), (4,))
    if protocol == 2:
        good = npy(object_array([python2_sketch(sketch) for sketch in items]), (4,))
    rng = np.random.default_rng(2)
    outcomes = {"read": 0, "refused": 0}
    for trial in range(400):
        data = bytearray(good)
        position = int(rng.integers(0, len(data)))
        if trial % 3 == 0:
            data[position] ^= 1 << int(rng.integers(0, 8))
        elif trial % 3 == 1:
            data[position:position] = rng.bytes(int(rng.integers(1, 5)))
        else:
            del data[position : position + int(rng.integers(1, 9))]
        path = save(tmp_path / "bad.npz", train=bytes(data), valid=npy(object_array([GOOD])))
        result = read_or_refuse(path)
        outcomes["refused" if result is None else "read"] += 1
        if result is not None:
            assert len(result["train"]) == 4
            for sketch in result["train"]:
                assert sketch.shape == (len(sketch), 3)
                assert sketch.dtype.kind in "iuf"
    assert min(outcomes.values()) > 20, outcomes
