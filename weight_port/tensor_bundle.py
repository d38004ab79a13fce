"""Read a TensorFlow V2 checkpoint, a "tensor bundle", without TensorFlow.

A bundle is ``PREFIX.index``, a table of what is stored where, and the bytes in ``PREFIX.data-SSSSS-of-NNNNN``.
Sources of the format: TensorFlow's ``tensor_bundle.proto``, ``tensor_shape.proto``, ``types.proto`` and
``versions.proto``, and the description of the protocol buffers' wire format.
"""

import math
import mmap
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.errors import BadInput, excerpt
from pytorch_sketch_rnn.regular_file import check_regular, is_no_folder, open_regular
from weight_port.leveldb_table import Cursor, Damaged, masked_crc32c, read_table

# The names of a bundle's files.
BUNDLE_FILE = re.compile(r"(?P<prefix>.+)\.(?:index|data-\d{5}-of-\d{5})", re.DOTALL)

# An index of Sketch-RNN has 2 KiB and 60 variables. The limits only keep a hostile one from filling the memory.
MAX_INDEX_BYTES = 16 * 2**20
MAX_VARIABLES = 100_000
MAX_SHARDS = 99_999
MAX_DIMENSIONS = 64
FORMAT_VERSION = 1

# DataType of types.proto: its number, TensorFlow's name, and the NumPy type where NumPy has one.
TF_TYPES: dict[int, tuple[str, np.dtype | None]] = {
    1: ("float32", np.dtype("<f4")),
    2: ("float64", np.dtype("<f8")),
    3: ("int32", np.dtype("<i4")),
    4: ("uint8", np.dtype("u1")),
    5: ("int16", np.dtype("<i2")),
    6: ("int8", np.dtype("i1")),
    7: ("string", None),
    8: ("complex64", np.dtype("<c8")),
    9: ("int64", np.dtype("<i8")),
    10: ("bool", np.dtype("?")),
    14: ("bfloat16", None),
    17: ("uint16", np.dtype("<u2")),
    18: ("complex128", np.dtype("<c16")),
    19: ("float16", np.dtype("<f2")),
    20: ("resource", None),
    21: ("variant", None),
    22: ("uint32", np.dtype("<u4")),
    23: ("uint64", np.dtype("<u8")),
}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_PARTITIONED = "the checkpoint holds variables partitioned into slices, which is not supported; save them whole"


@dataclass(frozen=True)
class Entry:
    """Where one variable lies and what it is.

    ``dtype`` is None where NumPy has no such type; ``tf_dtype`` is TensorFlow's name of it, always. ``offset`` and
    ``size`` are in bytes, ``crc32c`` is the masked checksum of those bytes.
    """

    name: str
    dtype: np.dtype | None
    tf_dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int


class TensorBundle:
    """One checkpoint: what its index lists, and the values where the data files are there."""

    def __init__(self, prefix: Path, num_shards: int, entries: dict[str, Entry]) -> None:
        self.prefix = prefix
        self.num_shards = num_shards
        self.entries = entries
        self._maps: dict[int, mmap.mmap] = {}

    @classmethod
    def open(cls, prefix: Path) -> "TensorBundle":
        """Read ``PREFIX.index``; the data files are not looked at and may be missing.

        Raises:
            BadInput: The index is missing or damaged, or the bundle is of a kind that is not supported: big-endian,
                or with variables that were partitioned into slices.
        """
        path = prefix.parent / f"{prefix.name}.index"
        try:
            with open_regular(path) as file:
                table = file.read(MAX_INDEX_BYTES + 1)
        except OSError as error:
            raise BadInput(f"{path}: the checkpoint's index cannot be read ({error.strerror})") from None
        if len(table) > MAX_INDEX_BYTES:
            raise BadInput(f"{path}: is larger than {MAX_INDEX_BYTES} bytes, which no Sketch-RNN index is")
        try:
            num_shards, entries = _parse_index(table)
        except Damaged as damage:
            raise BadInput(
                f"{path}: is not the index of a TensorFlow V2 checkpoint, or is damaged: {damage}; copy or download it "
                "again"
            ) from None
        except _Unsupported as reason:
            raise BadInput(f"{path}: {reason}") from None
        return cls(prefix, num_shards, entries)

    @property
    def shard_paths(self) -> list[Path]:
        """All data files that the index asks for, there or not."""
        return [self._shard_path(shard) for shard in range(self.num_shards)]

    @property
    def missing_shards(self) -> list[Path]:
        """The data files that are not there."""
        return [path for path in self.shard_paths if not is_no_folder(path)]

    def odd_shards(self) -> dict[Path, str]:
        """The data files that are there but are not what the index asks for, and what is wrong with each.

        The length is that of the variables in the index. Nothing else of a file is read.
        """
        ends = [0] * self.num_shards
        for entry in self.entries.values():
            ends[entry.shard] = max(ends[entry.shard], entry.offset + entry.size)
        found = {}
        for path, end in zip(self.shard_paths, ends, strict=True):
            if not is_no_folder(path):
                continue
            try:
                check_regular(path)
                size = path.stat().st_size
            except BadInput as error:
                found[path] = str(error).removeprefix(f"{path}: ")
            except OSError as error:
                found[path] = f"cannot be read ({error.strerror})"
            else:
                if size != end:
                    found[path] = f"has {size:,} bytes, but the index tells of {end:,}"
        return found

    def read(self, name: str) -> np.ndarray:
        """The value of a variable: a read-only view of its data file, mapped into memory.

        The view need not be aligned to its item size. The checksum is verified at every call.

        Raises:
            BadInput: No such variable, a type that NumPy lacks, a missing or short data file, or a wrong checksum.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise BadInput(f"{self.prefix}: the checkpoint has no variable {excerpt(name)}")
        if entry.dtype is None:
            raise BadInput(
                f"{self.prefix}: the variable {excerpt(name)} is of type {entry.tf_dtype}, which is not supported"
            )
        path = self._shard_path(entry.shard)
        buffer = self._bytes_of(entry, path)
        if masked_crc32c(buffer) != entry.crc32c:
            raise BadInput(
                f"{path}: the bytes of the variable {excerpt(name)} differ from their checksum in the index: the file "
                "is damaged or belongs to another checkpoint"
            )
        return np.ndarray(entry.shape, entry.dtype, buffer=buffer)

    def _shard_path(self, shard: int) -> Path:
        return self.prefix.parent / f"{self.prefix.name}.data-{shard:05d}-of-{self.num_shards:05d}"

    def _bytes_of(self, entry: Entry, path: Path) -> memoryview:
        try:
            if entry.shard not in self._maps:
                with open_regular(path) as file:
                    if os.fstat(file.fileno()).st_size > 0:
                        self._maps[entry.shard] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except BadInput:
            raise
        except FileNotFoundError:
            raise BadInput(
                f"{path}: this data file is missing, and the variable {excerpt(entry.name)} is in it; put it beside "
                "the index"
            ) from None
        except (OSError, ValueError) as error:
            raise BadInput(f"{path}: this data file of the checkpoint cannot be read ({error})") from None
        # An empty file cannot be mapped.
        shard = memoryview(self._maps.get(entry.shard, b""))
        if entry.offset + entry.size > len(shard):
            raise BadInput(
                f"{path}: has {len(shard)} bytes, but the variable {excerpt(entry.name)} takes the {entry.size} bytes "
                f"from {entry.offset} on: the file is cut off or belongs to another checkpoint"
            )
        return shard[entry.offset : entry.offset + entry.size]


class _Unsupported(Exception):
    """The index is sound but says something that this reader does not do."""


class _Message:
    """The fields of one protocol buffer message that the caller knows; others are skipped, as the format asks."""

    def __init__(self, data: bytes, wire_types: dict[int, int]) -> None:
        self._found: dict[int, list[int | bytes]] = {number: [] for number in wire_types}
        for number, wire_type, value in _fields(Cursor(data)):
            if number not in wire_types:
                continue
            if wire_type != wire_types[number]:
                raise Damaged(f"field {number} of a record has the wire type {wire_type}")
            self._found[number].append(value)

    def integer(self, number: int) -> int:
        """A signed integer; as in the format, 0 if absent and the last one if repeated."""
        value = int(self._last(number, 0))
        return value - 2**64 if value >= 2**63 else value

    def fixed32(self, number: int) -> int:
        """An unsigned integer of four bytes."""
        return int.from_bytes(bytes(self._last(number, b"")), "little")

    def single(self, number: int) -> bytes:
        """The bytes of a message within this one, empty if absent."""
        if len(self._found[number]) > 1:
            raise Damaged(f"field {number} of a record comes twice")
        return bytes(self._last(number, b""))

    def repeated(self, number: int) -> list[bytes]:
        """The bytes of each message of a repeated field."""
        return [bytes(value) for value in self._found[number]]

    def _last(self, number: int, default: int | bytes) -> int | bytes:
        return self._found[number][-1] if self._found[number] else default


def _fields(cursor: Cursor) -> Iterator[tuple[int, int, int | bytes]]:
    while not cursor.at_end:
        tag = cursor.varint()
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise Damaged("a record has a field number 0")
        if wire_type == _VARINT:
            yield number, wire_type, cursor.varint()
        elif wire_type == _BYTES:
            yield number, wire_type, cursor.take(cursor.varint())
        elif wire_type in (_FIXED32, _FIXED64):
            yield number, wire_type, cursor.take(4 if wire_type == _FIXED32 else 8)
        else:
            raise Damaged(f"a record has a field of the unknown wire type {wire_type}")


def _parse_index(table: bytes) -> tuple[int, dict[str, Entry]]:
    num_shards = None
    entries: dict[str, Entry] = {}
    for key, value in read_table(table):
        if num_shards is None:
            if key != b"":
                raise Damaged("it lacks the header record")
            num_shards = _parse_header(value)
        elif len(entries) == MAX_VARIABLES:
            raise Damaged(f"it lists more than {MAX_VARIABLES} variables")
        else:
            name = _variable_name(key)
            entries[name] = _parse_entry(name, value, num_shards)
    if num_shards is None:
        raise Damaged("it lacks the header record")
    return num_shards, entries


def _parse_header(value: bytes) -> int:
    """BundleHeaderProto: 1 num_shards, 2 endianness (0 little), 3 VersionDef with 2 min_consumer."""
    header = _Message(value, {1: _VARINT, 2: _VARINT, 3: _BYTES})
    if header.integer(2) != 0:
        raise _Unsupported("the checkpoint is big-endian, which is not supported; save it again on a usual machine")
    needed = _Message(header.single(3), {2: _VARINT}).integer(2)
    if needed > FORMAT_VERSION:
        raise _Unsupported(f"the checkpoint is in format version {needed}; this reader knows up to {FORMAT_VERSION}")
    num_shards = header.integer(1)
    if not 1 <= num_shards <= MAX_SHARDS:
        raise Damaged(f"it claims {num_shards} data files")
    return num_shards


def _variable_name(key: bytes) -> str:
    # TensorFlow keys the slices of partitioned variables by an encoding that starts with a zero byte.
    if key.startswith(b"\0"):
        raise _Unsupported(_PARTITIONED)
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        raise Damaged(f"the variable name {excerpt(key)} is not UTF-8") from None


def _parse_entry(name: str, value: bytes, num_shards: int) -> Entry:
    """BundleEntryProto: 1 dtype, 2 shape, 3 shard_id, 4 offset, 5 size, 6 crc32c, 7 slices."""
    fields = {1: _VARINT, 2: _BYTES, 3: _VARINT, 4: _VARINT, 5: _VARINT, 6: _FIXED32, 7: _BYTES}
    record = _Message(value, fields)
    if record.repeated(7):
        raise _Unsupported(_PARTITIONED)
    number = record.integer(1)
    if number <= 0:
        raise Damaged(f"the variable {excerpt(name)} has the impossible type {number}")
    tf_dtype, dtype = TF_TYPES.get(number, (f"DataType {number}", None))
    entry = Entry(
        name=name,
        dtype=dtype,
        tf_dtype=tf_dtype,
        shape=_parse_shape(name, record.single(2)),
        shard=record.integer(3),
        offset=record.integer(4),
        size=record.integer(5),
        crc32c=record.fixed32(6),
    )
    _check_place(entry, num_shards)
    return entry


def _parse_shape(name: str, value: bytes) -> tuple[int, ...]:
    """TensorShapeProto: 2 dim (each with 1 size), 3 unknown_rank."""
    record = _Message(value, {2: _BYTES, 3: _VARINT})
    dimensions = record.repeated(2)
    if record.integer(3) or len(dimensions) > MAX_DIMENSIONS:
        raise Damaged(f"the variable {excerpt(name)} has no shape, or one of more than {MAX_DIMENSIONS} dimensions")
    shape = tuple(_Message(dimension, {1: _VARINT}).integer(1) for dimension in dimensions)
    if min(shape, default=0) < 0:
        raise Damaged(f"the variable {excerpt(name)} has a negative dimension: {list(shape)}")
    return shape


def _check_place(entry: Entry, num_shards: int) -> None:
    if not 0 <= entry.shard < num_shards:
        raise Damaged(f"the variable {excerpt(entry.name)} is in data file {entry.shard}, of {num_shards}")
    if entry.offset < 0 or entry.size < 0:
        raise Damaged(f"the variable {excerpt(entry.name)} has a negative place: {entry.size} bytes at {entry.offset}")
    if entry.dtype is None:
        return
    if math.prod(entry.shape) * entry.dtype.itemsize != entry.size:
        raise Damaged(
            f"the variable {excerpt(entry.name)} of type {entry.tf_dtype} and shape {list(entry.shape)} cannot take "
            f"{entry.size} bytes"
        )
    # NumPy refuses an empty array too whose other dimensions are beyond its size type.
    if math.prod(dimension for dimension in entry.shape if dimension) * entry.dtype.itemsize >= 2**63:
        raise Damaged(f"the variable {excerpt(entry.name)} has the impossible shape {list(entry.shape)}")
