"""Magenta's stroke files, read without executing anything in them, and written.

A file is a zip archive with a member ``<split>.npy`` for each split. A member is an object array [N] of sketches
[n, 3], which NumPy stores as a pickle, or, where all sketches are of one length, a plain array [N, n, 3].

A pickle is a program, and ``np.load(allow_pickle=True)`` runs what a stranger wrote into it. Here nothing is run: a
call or a state in the pickle is only recorded, as a :class:`_Call`. When the pickle has ended, the records are
checked against what NumPy's own pickles look like, and only then arrays are made from the bytes in them.

Sources: the docstring of ``numpy.lib.format`` for the .npy format, ``pickletools`` of the Python standard library for
the pickle instructions, Magenta ``sketch_rnn_train.py`` (``load_dataset``) for the members.
"""

import io
import math
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import numpy as np

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

SPLITS = ("train", "valid", "test")
MAX_BYTES = 4 << 30

# What a pickle instruction, or an array beyond its data, is taken to need: one byte of pickle can make so large an
# object. Charging it bounds the numbers of objects and of sketches, too.
_BYTES_PER_OBJECT = 128
# NumPy writes only these. Python unpacks the other methods of the zip format without a limit on what comes out.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_NUMBER_CODES = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
_NUMBER_TYPES = {
    text: np.dtype(text) for text in ["|i1", "|u1", *(order + code for order in "<>" for code in _NUMBER_CODES)]
}


def read_npz(path: Path, *, splits: Sequence[str] = SPLITS, max_bytes: int = MAX_BYTES) -> dict[str, list[np.ndarray]]:
    """Read the sketches of the named splits: for each an array [n, 3] of dx, dy, pen lifted, n >= 1.

    Every array is a writable copy of its own, with the stored number type, in native byte order.

    Args:
        path: the .npz file.
        splits: the splits to read; others may be absent.
        max_bytes: an estimate of the memory that all of it may take: unpacked members, pickle instructions (128
            bytes each, about 20 of them for a sketch) and resulting arrays.

    Raises:
        BadInput: where the file or a member is missing, damaged, encrypted, too large or empty, where a pickle asks
            for anything but NumPy arrays, and where a sketch is not [n, 3] of finite numbers with n >= 1.
    """
    path = Path(path)
    budget = _Budget(max_bytes)
    result = {}
    with _bad_input(path), zipfile.ZipFile(path) as archive:
        for split in splits:
            with _bad_input(f"{path}: {split}.npy"):
                result[split] = _read_member(_unpack_member(archive, f"{split}.npy", budget), budget)
    return result


def write_npz(path: Path, splits: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write sketches [n, 3] in the form of Magenta's own files, for any version of NumPy to read.

    The same sketches give the same bytes.

    Raises:
        BadInput: where ``read_npz`` would refuse the result, or the file cannot be written.
    """
    path = Path(path)
    members = {}
    for split, sketches in splits.items():
        with _bad_input(f"{path}: {split}.npy"):
            members[f"{split}.npy"] = _pack_member(sketches)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in members.items():
            # A bare ZipInfo carries a fixed date, where a name alone would store the time of writing.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


class _Refused(Exception):
    """What was expected and what came, still without the name of the file."""


@contextmanager
def _bad_input(where: Path | str) -> Iterator[None]:
    """Turn whatever goes wrong inside into BadInput: a damaged file can raise nearly any type of exception."""
    try:
        yield
    except BadInput:
        raise
    except _Refused as error:
        raise BadInput(f"{where}: {error}") from None
    except FileNotFoundError:
        raise BadInput(f"{where}: expected a .npz file, but there is no such file") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]!a}"
        raise BadInput(f"{where}: expected an intact .npz file, got one that cannot be read ({reason})") from None


class _Budget:
    """Bytes that may still be spent."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.left = max_bytes

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _Refused(
                f"needs more than max_bytes = {self.max_bytes} bytes; if you trust the file, raise max_bytes"
            )


def _unpack_member(archive: zipfile.ZipFile, name: str, budget: _Budget) -> bytes:
    """Return the bytes of a member, never unpacking more than the archive declares and the budget allows."""
    names = archive.namelist()
    if name not in names:
        raise _Refused(f"no such member; expected the split in the file, which has {ascii(sorted(names))[:300]}")
    info = archive.getinfo(name)
    if info.flag_bits & _ENCRYPTED:
        raise _Refused("expected an unencrypted member, got an encrypted one; unpack it and make the .npz anew")
    if info.compress_type not in _ZIP_METHODS:
        raise _Refused(f"expected a stored or deflated member, got zip method {info.compress_type}")
    budget.spend(info.file_size)
    with archive.open(info) as member:
        # With a limit, zipfile also stops a deflated stream that holds more than was declared; without one it
        # unpacks up to 2 GiB before it looks.
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise _Refused(f"expected the declared {info.file_size} bytes, got {len(data)}")
    return data


def _read_member(data: bytes, budget: _Budget) -> list[np.ndarray]:
    """Return the sketches of a .npy member."""
    file = io.BytesIO(data)
    shape, fortran, number_type = _read_header(file)
    if number_type.kind == "O" and len(shape) == 1:
        sketches = _read_pickle(file, shape, budget)
    elif number_type.str in _NUMBER_TYPES and len(shape) == 3:
        sketches = _read_numbers(data[file.tell() :], shape, number_type, fortran, budget)
    else:
        raise _Refused(
            "expected an object array [N] of sketches [n, 3], or numbers [N, n, 3], "
            f"got shape {shape} of type {str(number_type)[:60]!a}"
        )
    if not sketches:
        raise _Refused("expected sketches, got an empty split")
    for index, sketch in enumerate(sketches):
        _check_sketch(sketch, index)
    return sketches


def _read_header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read a .npy header; NumPy parses it as a literal, at most 10,000 characters of it."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise _Refused(f"expected .npy version 1.0 or 2.0, got {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers by Python 2, which are fine
        return readers[version](file)


def _read_numbers(
    data: bytes, shape: tuple[int, ...], number_type: np.dtype, fortran: bool, budget: _Budget
) -> list[np.ndarray]:
    """Return the sketches of a plain array [N, n, 3]."""
    budget.spend(shape[0] * _BYTES_PER_OBJECT)
    return [sketch.copy() for sketch in _make_array(data, shape, number_type, fortran, budget)]


def _make_array(
    raw: bytes, shape: tuple[int, ...], number_type: np.dtype, fortran: bool, budget: _Budget
) -> np.ndarray:
    """Copy raw bytes into an array of native byte order, once they are as many as the shape needs."""
    size = math.prod(shape) * number_type.itemsize
    if len(raw) != size or min(shape) < 0:
        raise _Refused(f"expected the {size} bytes of shape {shape}, got {len(raw)}")
    budget.spend(size + _BYTES_PER_OBJECT)
    stored = np.frombuffer(raw, number_type).reshape(shape, order="F" if fortran else "C")
    return stored.astype(number_type.str[1:], order="C")  # without its byte order a type is a native one


def _check_sketch(sketch: np.ndarray, index: int) -> None:
    if not isinstance(sketch, np.ndarray) or sketch.ndim != 2 or sketch.shape[1] != 3:
        raise _Refused(f"sketch {index}: expected an array [n, 3], got {_describe(sketch)}")
    if sketch.dtype.str not in _NUMBER_TYPES:
        raise _Refused(f"sketch {index}: expected integers or floats, got {sketch.dtype}")
    if len(sketch) == 0:
        raise _Refused(f"sketch {index}: expected at least one point, got none; remove the sketch")
    if sketch.dtype.kind == "f" and not np.isfinite(sketch).all():
        raise _Refused(f"sketch {index}: expected finite numbers, got NaN or infinity")
    if not ((sketch[:, 2] == 0) | (sketch[:, 2] == 1)).all():
        raise _Refused(f"sketch {index}: expected 0 or 1 in its third column, pen lifted, got other numbers")


def _describe(value: Any) -> str:
    return f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


class _Global(Enum):
    """The names that a pickle may mention. They are marks, not the things themselves."""

    RECONSTRUCT = auto()
    FROMBUFFER = auto()
    NDARRAY = auto()
    DTYPE = auto()
    ENCODE = auto()


_GLOBALS = {
    ("numpy", "ndarray"): _Global.NDARRAY,
    ("numpy", "dtype"): _Global.DTYPE,
    ("numpy.core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    # Arrays in pickles of protocol 5.
    ("numpy.core.numeric", "_frombuffer"): _Global.FROMBUFFER,
    ("numpy._core.numeric", "_frombuffer"): _Global.FROMBUFFER,
    # Bytes in pickles of protocol 2 by Python 3.
    ("_codecs", "encode"): _Global.ENCODE,
}


@dataclass(slots=True, eq=False, repr=False)
class _Call:
    """A call, and a state given to its result, that a pickle asked for. Neither happens."""

    function: _Global
    arguments: Any
    state: Any = None


class _Reader(pickle._Unpickler):
    """Runs the instructions that NumPy's pickles consist of, with records in place of calls and states.

    This is the standard library's unpickler in Python, not the one in C: its memo is a dict, so a hostile memo index
    costs nothing (the one in C allocates a list that long), and its instructions can be replaced.
    """

    def __init__(self, file: io.BytesIO, budget: _Budget) -> None:
        # Strings by Python 2 hold bytes; latin1 keeps each byte as one character.
        super().__init__(file, encoding="latin1")
        self.dispatch = _Instructions(budget)

    def find_class(self, module: str, name: str) -> _Global:
        if (module, name) not in _GLOBALS:
            raise _Refused(
                "expected a pickle of NumPy arrays only, "
                f"got one that asks for {f'{module}.{name}'[:100]!a}, which could run code; do not trust this file"
            )
        return _GLOBALS[module, name]

    def record_call(self) -> None:
        arguments = self.stack.pop()
        if type(self.stack[-1]) is not _Global:
            raise _Refused(f"expected a pickle of NumPy arrays, got one that calls a {type(self.stack[-1]).__name__}")
        self.stack[-1] = _Call(self.stack[-1], arguments)

    def record_state(self) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) is not _Call:
            raise _Refused(f"expected a pickle of NumPy arrays, got a state for a {type(self.stack[-1]).__name__}")
        self.stack[-1].state = state

    def read_bytearray(self) -> None:
        # The standard library allocates the declared length first; reading stops where the file ends.
        self.append(self.read(int.from_bytes(self.read(8), "little")))


# Absent are all instructions that make objects of a class, extend other types than lists, or look outside the
# pickle: OBJ, INST, NEWOBJ, EXT1, PERSID, NEXT_BUFFER and so on.
# fmt: off
_STANDARD_INSTRUCTIONS = (
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL",
)
# fmt: on
_HANDLERS: dict[int, Callable[[_Reader], None]] = {
    **{
        code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _STANDARD_INSTRUCTIONS)
    },
    pickle.REDUCE[0]: _Reader.record_call,
    pickle.BUILD[0]: _Reader.record_state,
    pickle.BYTEARRAY8[0]: _Reader.read_bytearray,
}


class _Instructions:
    """Finds the handler of each instruction, and charges for it."""

    def __init__(self, budget: _Budget) -> None:
        self.budget = budget

    def __getitem__(self, code: int) -> Callable[[_Reader], None]:
        self.budget.spend(_BYTES_PER_OBJECT)
        if code not in _HANDLERS:
            known = pickletools.code2op.get(chr(code))
            name = known.name if known else f"{code:#04x}"
            raise _Refused(
                f"expected a pickle of NumPy arrays only, got the instruction {name}; do not trust this file"
            )
        return _HANDLERS[code]


def _read_pickle(file: io.BytesIO, shape: tuple[int, ...], budget: _Budget) -> list[np.ndarray]:
    """Return the sketches of a pickled object array [N]."""
    pickled_shape, number_type, _, items = _array_parts(_Reader(file, budget).load())
    if not _type_text(number_type).endswith("O") or pickled_shape != shape or type(items) is not list:
        raise _Refused(f"expected a pickled object array of shape {shape}, got another array")
    if len(items) != shape[0]:
        raise _Refused(f"expected {shape[0]} sketches, got {len(items)}")
    sketches = []
    for index, item in enumerate(items):
        try:
            sketches.append(_sketch(item, budget))
        except _Refused as error:
            raise _Refused(f"sketch {index}: {error}") from None
    return sketches


def _sketch(item: Any, budget: _Budget) -> np.ndarray:
    """Make the array that a record describes."""
    shape, number_type, fortran, raw = _array_parts(item)
    text = _type_text(number_type)
    if text not in _NUMBER_TYPES:
        raise _Refused(f"expected integers or floats, got type {text[:20]!a}")
    return _make_array(_raw_bytes(raw), shape, _NUMBER_TYPES[text], fortran, budget)


def _array_parts(value: Any) -> tuple[tuple[int, ...], Any, bool, Any]:
    """Return shape, number type, whether in Fortran order, and data of a recorded array; the shape is checked."""
    if type(value) is not _Call:
        raise _Refused(f"expected a NumPy array, got {type(value).__name__}")
    if value.function is _Global.RECONSTRUCT and value.arguments[0] is _Global.NDARRAY and value.state is not None:
        _, shape, number_type, fortran, data = value.state
    elif value.function is _Global.FROMBUFFER and value.state is None:
        data, number_type, shape, order = value.arguments
        fortran = order == "F"
    else:
        raise _Refused("expected a NumPy array, got another object")
    if type(shape) is not tuple or not shape or any(type(length) is not int for length in shape):
        raise _Refused("expected a NumPy array, got a damaged shape")
    return shape, number_type, bool(fortran), data


def _type_text(value: Any) -> str:
    """Return byte order and type code of a recorded number type, such as "<i2", or "|O" for objects."""
    if type(value) is not _Call or value.function is not _Global.DTYPE:
        raise _Refused("expected a NumPy number type, got another object")
    code, (_, order, *structure) = value.arguments[0], value.state[:5]
    if type(code) is not str or type(order) is not str or structure != [None, None, None]:
        raise _Refused("expected a plain number type, got a type with fields")
    # The number behind O is the size of a pointer where the file was written.
    return order + (code if code not in ("O4", "O8") else "O")


def _raw_bytes(value: Any) -> bytes:
    """Return array data, which Python 2 pickled as a string, and Python 3 as bytes or as a string to be encoded."""
    if type(value) is _Call and value.function is _Global.ENCODE:
        value, encoding = value.arguments
        if encoding != "latin1":
            raise _Refused("expected data encoded in latin1, got another encoding")
    if type(value) is str:
        return value.encode("latin1")
    if type(value) is not bytes:
        raise _Refused(f"expected data as bytes, got {type(value).__name__}")
    return value


def _pack_member(sketches: Sequence[np.ndarray]) -> bytes:
    """Return a .npy member with an object array [N]."""
    if len(sketches) == 0:
        raise _Refused("expected sketches, got an empty split")
    objects = np.empty(len(sketches), dtype=object)
    for index, sketch in enumerate(sketches):  # one by one: sketches of one length assigned at once are a 3-D array
        _check_sketch(sketch, index)
        objects[index] = np.ascontiguousarray(sketch, dtype=_NUMBER_TYPES[sketch.dtype.str])
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": objects.shape})
    # NumPy 1 does not know the module name that NumPy 2 gives; NumPy 2 knows both. Protocol 3 spells it as a line.
    pickled = pickle.dumps(objects, protocol=3)
    file.write(pickled.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1))
    return file.getvalue()
