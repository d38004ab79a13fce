"""Reads Magenta's stroke files without executing anything in them, and writes such files.

A file is a zip archive with a member ``<split>.npy`` for each split. A member is an object array [N] of sketches
[n, 3], which NumPy stores as a pickle, or, if all sketches have the same length, a plain array [N, n, 3].

A pickle is a program, and ``np.load(allow_pickle=True)`` runs it, even if a stranger wrote it. Here nothing is run: a
call or a state in the pickle is only recorded, as a :class:`_Call`. When the pickle has ended, the records are compared
with the structure of NumPy's own pickles, and only then are arrays made from the bytes in them.

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

from pytorch_sketch_rnn.errors import Refused, naming, within
from pytorch_sketch_rnn.files import atomic_path

SPLITS = ("train", "valid", "test")
MAX_BYTES = 4 << 30

# The memory counted for each pickle instruction, and for each array in addition to its data, because one byte of a
# pickle can create an object of this size. This also bounds the numbers of objects and of sketches.
_BYTES_PER_OBJECT = 128
# The only methods that NumPy writes. Python decompresses the other zip methods without a limit on the output.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_NUMBER_CODES = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
_NUMBER_TYPES = {
    text: np.dtype(text) for text in ["|i1", "|u1", *(order + code for order in "<>" for code in _NUMBER_CODES)]
}


def read_npz(path: Path, *, splits: Sequence[str] = SPLITS, max_bytes: int = MAX_BYTES) -> dict[str, list[np.ndarray]]:
    """Read the sketches of the named splits, each an array [n, 3] of dx, dy, pen lifted, with n >= 1.

    Every array owns its memory, is writable, and has the stored number type in native byte order.

    Args:
        path: the .npz file.
        splits: the splits to read; others may be absent.
        max_bytes: limit on the estimated memory for decompressed members, pickle instructions (128 bytes each, about
            20 per sketch) and the resulting arrays together.

    Raises:
        BadInput: if the file or a member is missing, damaged, encrypted, too large or empty, if a pickle asks for
            anything but NumPy arrays, or if a sketch is not [n, 3] of finite numbers with n >= 1.
    """
    path = Path(path)
    budget = _Budget(max_bytes)
    result = {}
    with naming(path), _refusing(), zipfile.ZipFile(path) as archive:
        for split in splits:
            with within(f"{split}.npy"), _refusing():
                result[split] = _read_member(_unpack_member(archive, f"{split}.npy", budget), budget)
    return result


def write_npz(path: Path, splits: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write sketches [n, 3] in the format of Magenta's own files, readable by any version of NumPy.

    The bytes are a function of the sketches alone.

    Raises:
        BadInput: if ``read_npz`` would refuse the result, or the file cannot be written.
    """
    path = Path(path)
    members = {}
    for split, sketches in splits.items():
        with naming(path), within(f"{split}.npy"), _refusing():
            members[f"{split}.npy"] = _pack_member(sketches)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in members.items():
            # A bare ZipInfo has a fixed date; with a name alone, zipfile would store the current time.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn every exception into Refused, as a damaged file can make zipfile and NumPy raise almost any type."""
    try:
        yield
    except Refused:
        raise
    except FileNotFoundError:
        raise Refused("expected a .npz file, but there is no such file") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]!a}"
        raise Refused(f"expected an intact .npz file, got one that cannot be read ({reason})") from None


class _Budget:
    """The memory, in bytes, that may still be used."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.left = max_bytes

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Refused(f"needs more than max_bytes = {self.max_bytes} bytes; if you trust the file, raise max_bytes")


def _unpack_member(archive: zipfile.ZipFile, name: str, budget: _Budget) -> bytes:
    """Decompress a member, never more of it than the archive declares and the budget allows."""
    names = archive.namelist()
    if name not in names:
        raise Refused(f"no such member; expected the split in the file, which has {ascii(sorted(names))[:300]}")
    info = archive.getinfo(name)
    if info.flag_bits & _ENCRYPTED:
        raise Refused("expected an unencrypted member, got an encrypted one; decrypt it and create the .npz again")
    if info.compress_type not in _ZIP_METHODS:
        raise Refused(f"expected a stored or deflated member, got zip method {info.compress_type}")
    budget.spend(info.file_size)
    with archive.open(info) as member:
        # With a limit, zipfile stops a deflated stream that holds more than was declared; without one, it
        # decompresses up to 2 GiB first.
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise Refused(f"expected the declared {info.file_size} bytes, got {len(data)}")
    return data


def _read_member(data: bytes, budget: _Budget) -> list[np.ndarray]:
    """The sketches of a .npy member."""
    file = io.BytesIO(data)
    shape, fortran, number_type = _read_header(file)
    if number_type.kind == "O" and len(shape) == 1:
        sketches = _read_pickle(file, shape, budget)
    elif number_type.str in _NUMBER_TYPES and len(shape) == 3:
        sketches = _read_numbers(data[file.tell() :], shape, number_type, fortran, budget)
    else:
        raise Refused(
            "expected an object array [N] of sketches [n, 3], or numbers [N, n, 3], "
            f"got shape {shape} of type {str(number_type)[:60]!a}"
        )
    if not sketches:
        raise Refused("expected sketches, got an empty split")
    for index, sketch in enumerate(sketches):
        _check_sketch(sketch, index)
    return sketches


def _read_header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read a .npy header, which NumPy parses as a literal of at most 10,000 characters."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise Refused(f"expected .npy version 1.0 or 2.0, got {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers written by Python 2, which are valid
        return readers[version](file)


def _read_numbers(
    data: bytes, shape: tuple[int, ...], number_type: np.dtype, fortran: bool, budget: _Budget
) -> list[np.ndarray]:
    """The sketches of a plain array [N, n, 3]."""
    budget.spend(shape[0] * _BYTES_PER_OBJECT)
    return [sketch.copy() for sketch in _make_array(data, shape, number_type, fortran, budget)]


def _make_array(
    raw: bytes, shape: tuple[int, ...], number_type: np.dtype, fortran: bool, budget: _Budget
) -> np.ndarray:
    """Copy raw bytes into an array of native byte order, after a check that their number fits the shape."""
    size = math.prod(shape) * number_type.itemsize
    if len(raw) != size or min(shape) < 0:
        raise Refused(f"expected the {size} bytes of shape {shape}, got {len(raw)}")
    budget.spend(size + _BYTES_PER_OBJECT)
    stored = np.frombuffer(raw, number_type).reshape(shape, order="F" if fortran else "C")
    return stored.astype(number_type.str[1:], order="C")  # a type code without its byte order is a native type


def _check_sketch(sketch: np.ndarray, index: int) -> None:
    if not isinstance(sketch, np.ndarray) or sketch.ndim != 2 or sketch.shape[1] != 3:
        raise Refused(f"sketch {index}: expected an array [n, 3], got {_describe(sketch)}")
    if sketch.dtype.str not in _NUMBER_TYPES:
        raise Refused(f"sketch {index}: expected integers or floats, got {sketch.dtype}")
    if len(sketch) == 0:
        raise Refused(f"sketch {index}: expected at least one point, got none; remove the sketch")
    if sketch.dtype.kind == "f" and not np.isfinite(sketch).all():
        raise Refused(f"sketch {index}: expected finite numbers, got NaN or infinity")
    if not ((sketch[:, 2] == 0) | (sketch[:, 2] == 1)).all():
        raise Refused(f"sketch {index}: expected 0 or 1 in its third column, pen lifted, got other numbers")


def _describe(value: Any) -> str:
    return f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


class _Global(Enum):
    """The names that a pickle may mention, as markers instead of the real functions and classes."""

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
    # Arrays in pickles of protocol 5
    ("numpy.core.numeric", "_frombuffer"): _Global.FROMBUFFER,
    ("numpy._core.numeric", "_frombuffer"): _Global.FROMBUFFER,
    # Bytes in pickles of protocol 2 that Python 3 wrote
    ("_codecs", "encode"): _Global.ENCODE,
}


@dataclass(slots=True, eq=False, repr=False)
class _Call:
    """A call that a pickle asked for, and the state to set on its result; neither is carried out."""

    function: _Global
    arguments: Any
    state: Any = None


class _Reader(pickle._Unpickler):
    """Interprets the instructions of NumPy's pickles, recording calls and states instead of executing them.

    This is the standard library's unpickler in Python. The one in C allocates a list as long as the largest memo
    index, which a hostile file can choose, and its instructions cannot be replaced.
    """

    # Attributes that the type stubs of the standard library leave out.
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    def __init__(self, file: io.BytesIO, budget: _Budget) -> None:
        # Strings written by Python 2 hold bytes; latin1 maps each byte to one character.
        super().__init__(file, encoding="latin1")
        self.dispatch = _Instructions(budget)  # type: ignore[misc, assignment]  # declared as a dict of the class

    def find_class(self, module: str, name: str) -> _Global:
        if (module, name) not in _GLOBALS:
            raise Refused(
                "expected a pickle of NumPy arrays only, "
                f"got one that asks for {f'{module}.{name}'[:100]!a}, which could run code; do not trust this file"
            )
        return _GLOBALS[module, name]

    def record_call(self) -> None:
        arguments = self.stack.pop()
        if type(self.stack[-1]) is not _Global:
            raise Refused(f"expected a pickle of NumPy arrays, got one that calls a {type(self.stack[-1]).__name__}")
        self.stack[-1] = _Call(self.stack[-1], arguments)

    def record_state(self) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) is not _Call:
            raise Refused(f"expected a pickle of NumPy arrays, got a state for a {type(self.stack[-1]).__name__}")
        self.stack[-1].state = state

    def read_bytearray(self) -> None:
        # The standard library would allocate the declared length first; reading stops at the end of the file.
        self.append(self.read(int.from_bytes(self.read(8), "little")))


# Excluded are all instructions that create objects of a class, extend types other than lists, or refer to anything
# outside the pickle: OBJ, INST, NEWOBJ, EXT1, PERSID, NEXT_BUFFER and so on.
# fmt: off
_STANDARD_INSTRUCTIONS = (
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL",
)
# fmt: on
_HANDLERS: dict[int, Callable[[Any], None]] = {
    **{
        code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _STANDARD_INSTRUCTIONS)
    },
    pickle.REDUCE[0]: _Reader.record_call,
    pickle.BUILD[0]: _Reader.record_state,
    pickle.BYTEARRAY8[0]: _Reader.read_bytearray,
}


_INSTRUCTION_NAMES = {ord(known.code): known.name for known in pickletools.opcodes}


class _Instructions:
    """Finds the handler of each instruction, and charges the budget for it."""

    def __init__(self, budget: _Budget) -> None:
        self.budget = budget

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.budget.spend(_BYTES_PER_OBJECT)
        if code not in _HANDLERS:
            name = _INSTRUCTION_NAMES.get(code, f"{code:#04x}")
            raise Refused(f"expected a pickle of NumPy arrays only, got the instruction {name}; do not trust this file")
        return _HANDLERS[code]


def _read_pickle(file: io.BytesIO, shape: tuple[int, ...], budget: _Budget) -> list[np.ndarray]:
    """The sketches of a pickled object array [N]."""
    pickled_shape, number_type, _, items = _array_parts(_Reader(file, budget).load())
    if not _type_text(number_type).endswith("O") or pickled_shape != shape or type(items) is not list:
        raise Refused(f"expected a pickled object array of shape {shape}, got another array")
    if len(items) != shape[0]:
        raise Refused(f"expected {shape[0]} sketches, got {len(items)}")
    sketches = []
    for index, item in enumerate(items):
        try:  # not within(): entering a context manager a million times takes seconds
            sketches.append(_sketch(item, budget))
        except Refused as error:
            raise Refused(f"sketch {index}: {error}") from None
    return sketches


def _sketch(item: Any, budget: _Budget) -> np.ndarray:
    """The array that a recorded call describes."""
    shape, number_type, fortran, raw = _array_parts(item)
    text = _type_text(number_type)
    if text not in _NUMBER_TYPES:
        raise Refused(f"expected integers or floats, got type {text[:20]!a}")
    return _make_array(_raw_bytes(raw), shape, _NUMBER_TYPES[text], fortran, budget)


def _array_parts(value: Any) -> tuple[tuple[int, ...], Any, bool, Any]:
    """Shape (checked), number type, whether in Fortran order, and data of a recorded array."""
    if type(value) is not _Call:
        raise Refused(f"expected a NumPy array, got {type(value).__name__}")
    if value.function is _Global.RECONSTRUCT and value.arguments[0] is _Global.NDARRAY and value.state is not None:
        _, shape, number_type, fortran, data = value.state
    elif value.function is _Global.FROMBUFFER and value.state is None:
        data, number_type, shape, order = value.arguments
        fortran = order == "F"
    else:
        raise Refused("expected a NumPy array, got another object")
    if type(shape) is not tuple or not shape or any(type(length) is not int for length in shape):
        raise Refused("expected a NumPy array, got a damaged shape")
    return shape, number_type, bool(fortran), data


def _type_text(value: Any) -> str:
    """Byte order and type code of a recorded number type, such as "<i2", or "|O" for objects."""
    if type(value) is not _Call or value.function is not _Global.DTYPE:
        raise Refused("expected a NumPy number type, got another object")
    code, (_, order, *structure) = value.arguments[0], value.state[:5]
    if type(code) is not str or type(order) is not str or structure != [None, None, None]:
        raise Refused("expected a plain number type, got a type with fields")
    # The number after O is the size of a pointer on the machine that wrote the file.
    return order + (code if code not in ("O4", "O8") else "O")


def _raw_bytes(value: Any) -> bytes:
    """Array data, which Python 2 pickles as a string, and Python 3 as bytes or as a string to be encoded."""
    if type(value) is _Call and value.function is _Global.ENCODE:
        value, encoding = value.arguments
        if encoding != "latin1":
            raise Refused("expected data encoded in latin1, got another encoding")
    if type(value) is str:
        return value.encode("latin1")
    if type(value) is not bytes:
        raise Refused(f"expected data as bytes, got {type(value).__name__}")
    return value


def _pack_member(sketches: Sequence[np.ndarray]) -> bytes:
    """A .npy member with an object array [N]."""
    if len(sketches) == 0:
        raise Refused("expected sketches, got an empty split")
    objects = np.empty(len(sketches), dtype=object)
    for index, sketch in enumerate(sketches):  # assigned at once, sketches of equal length would become a 3-D array
        _check_sketch(sketch, index)
        objects[index] = np.ascontiguousarray(sketch, dtype=_NUMBER_TYPES[sketch.dtype.str])
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": objects.shape})
    # NumPy 2 knows its own and NumPy 1's module name, NumPy 1 only the latter. Protocol 3 stores the name as a line.
    pickled = pickle.dumps(objects, protocol=3)
    file.write(pickled.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1))
    return file.getvalue()
