"""Reads the pickles in which NumPy stores object arrays, without executing anything in them.

A pickle is a program, and ``np.load(allow_pickle=True)`` runs it, even if a stranger wrote it. Here nothing is run: a
call or a state in the pickle is only recorded, as a :class:`_Call`. When the pickle has ended, the records are compared
with the structure of NumPy's own pickles, and only then are arrays made from the bytes in them.

A pickle of a few kilobytes, compressed, can hold hundreds of millions of instructions. Those of NumPy follow one
pattern, with a call every few instructions, so a pickle that leaves it is refused at once.

Source: ``pickletools`` of the Python standard library for the pickle instructions.
"""

import io
import math
import pickle
import pickletools
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np

from pytorch_sketch_rnn.data.memory_budget import MemoryBudget
from pytorch_sketch_rnn.errors import Refused

# The memory counted for each pickle instruction, and for each array in addition to its data, because one byte of a
# pickle can create an object of this size. This also bounds the numbers of objects and of sketches.
BYTES_PER_OBJECT = 128
MAX_POINTS = 1_000_000  # in one sketch
# NumPy writes about 20 instructions for a sketch, a sketch that comes again is one, and 1,000 are put into the list at
# once.
_INSTRUCTIONS_PER_SKETCH = 80
_OTHER_INSTRUCTIONS = 1000
_INSTRUCTIONS_PER_CALL = 2000
_DEEPEST = 32  # open marks; NumPy needs 5
# A sketch of MAX_POINTS float64 points has 24 MB, and up to twice that as text in UTF-8.
_LONGEST_PAYLOAD = 64 << 20
_LONGEST_NAME = 200  # bytes in a line of GLOBAL
_NUMBER_CODES = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
NUMBER_TYPES = {
    text: np.dtype(text) for text in ["|i1", "|u1", *(order + code for order in "<>" for code in _NUMBER_CODES)]
}


def read_pickle(file: io.BufferedReader, size: int, shape: tuple[int, ...], budget: MemoryBudget) -> list[np.ndarray]:
    """Read a pickled object array [N] of arrays.

    Args:
        file: is read from its position to the end of the pickle.
        size: of the whole file, in bytes.
        shape: (N,), which the header of the file gives.
        budget: is charged for every instruction, for all data in the pickle and for the arrays.

    Raises:
        BadInput: if the pickle holds anything but such an array, or the budget does not suffice. Damaged pickles can
            make the unpickler raise almost any other type, too.
    """
    pickled_shape, number_type, _, items = _array_parts(_Reader(file, size, shape[0], budget).load())
    if not _type_text(number_type).endswith("O") or pickled_shape != shape or type(items) is not list:
        raise Refused(f"expected a pickled object array of shape {shape}, got another array")
    if len(items) != shape[0]:
        raise Refused(f"expected {shape[0]} sketches, got {len(items)}")
    arrays = []
    for index, item in enumerate(items):
        try:  # not within(): entering a context manager a million times takes seconds
            arrays.append(_array(item, budget))
        except Refused as error:
            raise Refused(f"sketch {index}: {error}") from None
        items[index] = None  # frees the data in the pickle
    return arrays


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
    metastack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    load_mark: Callable[[], None]
    load_appends: Callable[[], None]
    _unframer: Any

    def __init__(self, file: io.BufferedReader, size: int, sketches: int, budget: MemoryBudget) -> None:
        # Strings written by Python 2 hold bytes; latin1 maps each byte to one character.
        super().__init__(file, encoding="latin1")
        self._size = size
        self._budget = budget
        self._instructions = _Instructions(sketches, budget)
        self.dispatch = self._instructions  # type: ignore[misc, assignment]  # declared as a dict of the class

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
        self._instructions.until_call = _INSTRUCTIONS_PER_CALL

    def record_state(self) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) is not _Call:
            raise Refused(f"expected a pickle of NumPy arrays, got a state for a {type(self.stack[-1]).__name__}")
        self.stack[-1].state = state
        self._instructions.until_call = _INSTRUCTIONS_PER_CALL

    def appends(self) -> None:
        self.load_appends()
        items = self.stack[-1]
        if type(items) is list and items and type(items[-1]) is _Call:
            self._instructions.until_call = _INSTRUCTIONS_PER_CALL

    def mark(self) -> None:
        if len(self.metastack) >= _DEEPEST:
            raise Refused(f"expected a pickle of NumPy arrays, got one nested more than {_DEEPEST} deep")
        self.load_mark()

    def read_global(self) -> None:
        module, name = (self._line().decode("utf-8", "replace") for _ in range(2))
        self.append(self.find_class(module, name))

    def _line(self) -> bytes:
        # The standard library would read a line of any length.
        line = bytearray()
        while (character := self.read(1)) not in (b"\n", b""):
            line += character
            if len(line) > _LONGEST_NAME:
                break
        return bytes(line)

    def read_frame(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self._check_length(length)
        self._unframer.load_frame(length)

    def read_bytes(self, code: str) -> None:
        self.append(self._payload(code))

    def read_latin1(self, code: str) -> None:
        self.append(self._payload(code).decode("latin1"))

    def read_text(self, code: str) -> None:
        data = self._payload(code)
        text = data.decode("utf-8", "surrogatepass")
        self._budget.spend(max(0, sys.getsizeof(text) - len(data)))  # up to four bytes a character
        self.append(text)

    def _payload(self, code: str) -> bytes:
        """The data of an instruction: a length as ``struct`` reads it by ``code``, then as many bytes."""
        (length,) = struct.unpack(code, self.read(struct.calcsize(code)))
        self._check_length(length)
        self._budget.spend(length)
        data = self.read(length)
        if len(data) != length:
            raise Refused(f"expected {length} bytes of data in the pickle, got {len(data)}")
        return data

    def _check_length(self, length: int) -> None:
        """Refuse a length before that much memory is allocated."""
        if not 0 <= length <= min(self._size, _LONGEST_PAYLOAD):
            raise Refused(f"expected a pickle of NumPy arrays, got one that declares {length} bytes of data at once")


# Excluded are all instructions that create objects of a class, extend types other than lists, or refer to anything
# outside the pickle: OBJ, INST, NEWOBJ, EXT1, PERSID, NEXT_BUFFER and so on.
# fmt: off
_STANDARD_INSTRUCTIONS = (
    "PROTO", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "STACK_GLOBAL",
)
# fmt: on
_HANDLERS: dict[int, Callable[[Any], None]] = {
    **{
        code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _STANDARD_INSTRUCTIONS)
    },
    pickle.REDUCE[0]: _Reader.record_call,
    pickle.BUILD[0]: _Reader.record_state,
    pickle.APPENDS[0]: _Reader.appends,
    pickle.MARK[0]: _Reader.mark,
    pickle.GLOBAL[0]: _Reader.read_global,
    pickle.FRAME[0]: _Reader.read_frame,
    pickle.SHORT_BINBYTES[0]: lambda reader: reader.read_bytes("<B"),
    pickle.BINBYTES[0]: lambda reader: reader.read_bytes("<I"),
    pickle.BYTEARRAY8[0]: lambda reader: reader.read_bytes("<Q"),
    pickle.SHORT_BINSTRING[0]: lambda reader: reader.read_latin1("<B"),
    pickle.BINSTRING[0]: lambda reader: reader.read_latin1("<i"),
    pickle.SHORT_BINUNICODE[0]: lambda reader: reader.read_text("<B"),
    pickle.BINUNICODE[0]: lambda reader: reader.read_text("<I"),
}


_INSTRUCTION_NAMES = {ord(known.code): known.name for known in pickletools.opcodes}


class _Instructions:
    """Finds the handler of each instruction, charges the budget for it, and counts the instructions."""

    def __init__(self, sketches: int, budget: MemoryBudget) -> None:
        self.budget = budget
        self.left = _OTHER_INSTRUCTIONS + _INSTRUCTIONS_PER_SKETCH * sketches
        self.until_call = _INSTRUCTIONS_PER_CALL

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.budget.left -= BYTES_PER_OBJECT
        self.left -= 1
        self.until_call -= 1
        if self.budget.left < 0 or self.left < 0 or self.until_call < 0:
            self._refuse()
        if code not in _HANDLERS:
            name = _INSTRUCTION_NAMES.get(code, f"{code:#04x}")
            raise Refused(f"expected a pickle of NumPy arrays only, got the instruction {name}; do not trust this file")
        return _HANDLERS[code]

    def _refuse(self) -> None:
        if self.budget.left < 0:
            self.budget.refuse()
        raise Refused("expected a pickle of NumPy arrays, got one of far too many instructions; do not trust this file")


def _array(item: Any, budget: MemoryBudget) -> np.ndarray:
    """The array that a recorded call describes."""
    shape, number_type, fortran, raw = _array_parts(item)
    text = _type_text(number_type)
    if text not in NUMBER_TYPES:
        raise Refused(f"expected integers or floats, got type {text[:20]!a}")
    return make_array(_raw_bytes(raw), shape, NUMBER_TYPES[text], fortran, budget)


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


def make_array(
    raw: bytes, shape: tuple[int, ...], number_type: np.dtype, fortran: bool, budget: MemoryBudget
) -> np.ndarray:
    """Copy raw bytes into an array of native byte order, after a check that their number fits the shape."""
    size = math.prod(shape) * number_type.itemsize
    if len(raw) != size or min(shape) < 0:
        raise Refused(f"expected the {size} bytes of shape {shape}, got {len(raw)}")
    budget.spend(size + BYTES_PER_OBJECT)
    stored = np.frombuffer(raw, number_type).reshape(shape, order="F" if fortran else "C")
    return stored.astype(number_type.str[1:], order="C")  # a type code without its byte order is a native type
