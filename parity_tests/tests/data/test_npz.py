"""pytorch_sketch_rnn.data.npz reads what NumPy reads."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from handmade_npz import (
    GOOD,
    assert_same,
    load_as_magenta,
    npy,
    object_array,
    objects,
    python2_sketch,
    save,
    sketches,
)

from pytorch_sketch_rnn.data.npz import read_npz

NUMBER_CODES = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
NUMBER_TYPES = ["i1", "u1", *(order + code for order in "<>" for code in NUMBER_CODES)]
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "strokes"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_every_protocol_by_python_3_are_read(tmp_path, protocol):
    expected = sketches(20) + sketches(5, "float32", 1) + [np.asfortranarray(sketches(1, "int8", 2)[0])]
    path = save(tmp_path / "a.npz", train=npy(pickle.dumps(objects(expected), protocol), (len(expected),)))
    assert_same(read_npz(path, splits=["train"])["train"], expected)
    assert_same(read_npz(path, splits=["train"])["train"], load_as_magenta(path))


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "|i1", "|u1", "<f4", ">f8", "<i8", ">u4"])
def test_pickles_by_python_2_are_read(tmp_path, dtype):
    expected = sketches(10, dtype)
    path = save(tmp_path / "a.npz", train=npy(object_array([python2_sketch(sketch) for sketch in expected]), (10,)))
    result = read_npz(path, splits=["train"])["train"]
    assert_same(result, expected)
    assert_same(result, load_as_magenta(path))


def test_a_header_by_python_2_with_long_integers_is_read(tmp_path):
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1L,), }"
    header += b" " * (117 - len(header)) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + object_array([GOOD])
    assert_same(
        read_npz(save(tmp_path / "a.npz", train=data), splits=["train"])["train"], [np.int16([[1, 2, 0], [3, 4, 1]])]
    )


@pytest.mark.parametrize("dtype", NUMBER_TYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_number_type_and_order_is_read_as_objects_and_as_numbers(tmp_path, dtype, order):
    expected = [np.array(sketch, order=order) for sketch in sketches(4, dtype, length=7)]
    np.savez(tmp_path / "a.npz", train=objects(expected), valid=np.array(np.stack(expected), order=order))
    result = read_npz(tmp_path / "a.npz", splits=["train", "valid"])
    assert_same(result["train"], expected)
    assert_same(result["valid"], expected)


@pytest.mark.parametrize("savez", [np.savez, np.savez_compressed])
def test_what_numpy_saves_is_read_as_numpy_reads_it(tmp_path, savez):
    splits = {"train": objects(sketches(300)), "valid": objects(sketches(30, seed=1)), "test": objects(sketches(3))}
    savez(tmp_path / "a.npz", **splits)
    result = read_npz(tmp_path / "a.npz")
    assert list(result) == ["train", "valid", "test"]
    for split, expected in splits.items():
        assert_same(result[split], expected)
        assert_same(result[split], load_as_magenta(tmp_path / "a.npz", split))


def test_sketches_share_no_memory_even_where_the_pickle_shares_them(tmp_path):
    sketch = sketches(1)[0]
    np.savez(tmp_path / "a.npz", train=objects([sketch, sketch]), valid=np.zeros((2, 3, 3)))
    for first, second in read_npz(tmp_path / "a.npz", splits=["train", "valid"]).values():
        assert first.base is None
        before = second.copy()
        first += 1
        np.testing.assert_array_equal(second, before)


@pytest.mark.parametrize("name", ["aaron_sheep", "omniglot", "short_kanji"])
def test_real_files_are_read_as_numpy_reads_them(name):
    path = REAL / f"{name}.npz"
    if not path.exists():
        pytest.skip("the real data is not here")
    for split, result in read_npz(path).items():
        assert_same(result, load_as_magenta(path, split))
