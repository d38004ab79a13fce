"""pytorch_sketch_rnn.data.npz writes what it and any NumPy can read, always the same bytes, or nothing."""

import zipfile

import numpy as np
import pytest
from handmade_npz import (
    assert_same,
    load_as_magenta,
    sketches,
)

from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput


@pytest.mark.parametrize("dtype", ["int16", "int8", ">i2", "float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("length", [None, 5])
def test_what_is_written_is_read_by_numpy_and_by_us(tmp_path, dtype, length):
    expected = {"train": sketches(20, dtype, length=length), "valid": sketches(1, dtype), "test": sketches(3, dtype)}
    write_npz(tmp_path / "a.npz", expected)
    result = read_npz(tmp_path / "a.npz")
    for split, items in expected.items():
        loaded = load_as_magenta(tmp_path / "a.npz", split)
        assert loaded.dtype == object
        assert loaded.shape == (len(items),)
        assert_same(loaded, items)
        assert_same(result[split], items)


def test_sketches_that_are_views_are_written_correctly(tmp_path):
    whole = np.arange(60, dtype="int16").reshape(10, 6)
    whole[:, [2, 4, 5]] %= 2  # what each view has in its third column
    expected = [whole[::2, ::2], np.asfortranarray(whole[:, :3]), whole[::-1, 3:]]
    write_npz(tmp_path / "a.npz", {"train": expected})
    assert_same(read_npz(tmp_path / "a.npz", splits=["train"])["train"], expected)


def test_what_is_written_names_the_modules_of_numpy_1(tmp_path):
    write_npz(tmp_path / "a.npz", {"train": sketches(3)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        data = archive.read("train.npy")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in data
    assert b"numpy._core" not in data
    assert data[128:130] == b"\x80\x03"


def test_the_same_sketches_give_the_same_bytes(tmp_path):
    splits = {"train": sketches(20), "valid": sketches(3, "float32")}
    write_npz(tmp_path / "a.npz", splits)
    write_npz(tmp_path / "b.npz", read_npz(tmp_path / "a.npz", splits=["train", "valid"]))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_neither_layout_nor_time_changes_the_bytes(tmp_path):
    expected = sketches(5)
    views = [np.repeat(np.asfortranarray(sketch), 2, axis=0)[::2] for sketch in expected]
    # A number type that is equal to the usual one, but another object, which a pickle would write out again.
    views[0] = views[0].astype(np.dtype(">i2").newbyteorder("="))
    write_npz(tmp_path / "a.npz", {"train": expected})
    write_npz(tmp_path / "b.npz", {"train": views})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.getinfo("train.npy").date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "expected sketches, got an empty split"),
        ([np.zeros((2, 5))], r"sketch 0: expected an array \[n, 3\], got shape \(2, 5\)"),
        ([[[1, 2, 3]]], r"sketch 0: expected an array \[n, 3\], got list"),
        ([np.zeros((1, 3)), np.zeros((0, 3))], "sketch 1: expected at least one point"),
        ([np.full((1, 3), np.nan)], "sketch 0: expected finite numbers"),
        ([np.zeros((1, 3), dtype=bool)], "sketch 0: expected integers or floats, got bool"),
        ([np.zeros((1, 3), dtype=object)], "sketch 0: expected integers or floats, got object"),
    ],
)
def test_what_could_not_be_read_is_not_written_and_the_old_file_is_kept(tmp_path, items, message):
    (tmp_path / "a.npz").write_bytes(b"old")
    with pytest.raises(BadInput, match=rf"a\.npz: valid\.npy: {message}"):
        write_npz(tmp_path / "a.npz", {"train": sketches(1), "valid": items})
    assert (tmp_path / "a.npz").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


@pytest.mark.parametrize("pen", [2, -1, 0.5])
def test_a_pen_is_0_or_1_where_it_is_read_and_where_it_is_written(tmp_path, pen):
    sound = np.array([[1, 2, 0], [3, 4, 1]], np.float32)
    wrong = sound.copy()
    wrong[0, 2] = pen
    np.savez(tmp_path / "numbers.npz", train=np.stack([sound, wrong]))
    objects = np.empty(2, object)
    objects[:] = [sound, wrong[:1]]
    np.savez(tmp_path / "objects.npz", train=objects)
    for name in ("numbers", "objects"):
        with pytest.raises(BadInput, match=r"train\.npy: sketch 1: expected 0 or 1 in its third column"):
            read_npz(tmp_path / f"{name}.npz", splits=["train"])
    with pytest.raises(BadInput, match=r"train\.npy: sketch 1: expected 0 or 1 in its third column"):
        write_npz(tmp_path / "written.npz", {"train": [sound, wrong]})
    assert not (tmp_path / "written.npz").exists()


def test_after_a_failed_write_the_old_file_is_kept_and_nothing_else_is_left(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(BadInput, match="No space left"):
        write_npz(tmp_path / "a.npz", {"train": sketches(1)})
    assert (tmp_path / "a.npz").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]
