"""Files of sketches that tests build by hand, down to the instructions of a pickle."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.npz import read_npz


def sketches(count: int, dtype: str = "int16", seed: int = 0, length: int | None = None) -> list[np.ndarray]:
    """Seeded sketches [n, 3] of 1 to 120 points, or all of one length."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        n = length or int(rng.integers(1, 121))
        sketch = rng.integers(-100, 100, (n, 3))
        sketch[:, 2] = rng.random(n) < 0.2
        made.append(sketch.astype(dtype))
    return made


def objects(items: list) -> np.ndarray:
    """A 1-D object array."""
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def npy(pickled: bytes, shape: tuple[int, ...] = (1,), descr: str = "|O") -> bytes:
    """A .npy member: a header, then these bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + pickled


def save(path: Path, **members: bytes) -> Path:
    """A zip archive with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def load_as_magenta(path: Path, split: str = "train") -> np.ndarray:
    """What Magenta does. Our own reader, which runs nothing, must have accepted the file before."""
    read_npz(path, splits=[split])
    with np.load(path, allow_pickle=True, encoding="latin1") as archive:
        return archive[split]


def assert_same(result: list[np.ndarray], expected: list[np.ndarray] | np.ndarray) -> None:
    """Equal in number, type, shape and every value."""
    assert len(result) == len(expected)
    for ours, theirs in zip(result, expected, strict=True):
        assert ours.dtype == theirs.dtype.newbyteorder("=")
        assert ours.flags.writeable
        np.testing.assert_array_equal(ours, theirs)


# --- Pickles by hand, one function for each thing in them.


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def python2_string(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if -(2**31) <= value < 2**31 else b"\x8a\x0a" + value.to_bytes(10, "little")


def called(name: str, *arguments: bytes) -> bytes:
    """GLOBAL, arguments, REDUCE; name is "module name"."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def number_type(code: str, order: str, fields: bytes = b"N") -> bytes:
    made = called("numpy dtype", python2_string(code.encode()), integer(0), integer(1))
    flags = 63 if code.startswith("O") else 0
    state = [integer(3), python2_string(order.encode()), b"N", b"N", fields, integer(-1), integer(-1), integer(flags)]
    return made + b"(" + b"".join(state) + b"tb"


def array(shape: tuple[int | str, ...], dtype: bytes, data: bytes, fortran: bool = False) -> bytes:
    made = called(
        "numpy.core.multiarray _reconstruct", b"cnumpy\nndarray\n", integer(0) + b"\x85", python2_string(b"b")
    )
    lengths = b"".join(text(length) if isinstance(length, str) else integer(length) for length in shape)
    return made + b"(" + integer(1) + b"(" + lengths + b"t" + dtype + (b"\x88" if fortran else b"\x89") + data + b"tb"


def object_array(items: list[bytes], length: int | None = None) -> bytes:
    shape = (len(items) if length is None else length,)
    return b"\x80\x02" + array(shape, number_type("O8", "|"), b"](" + b"".join(items) + b"e") + b"."


def python2_sketch(sketch: np.ndarray) -> bytes:
    order, code = sketch.dtype.str[0], sketch.dtype.str[1:]
    return array(sketch.shape, number_type(code, order), python2_string(sketch.tobytes()))


NUMBERS = number_type("i2", "<")
GOOD = python2_sketch(np.array([[1, 2, 0], [3, 4, 1]], dtype="<i2"))
