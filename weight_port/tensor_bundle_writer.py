"""Write a TensorFlow V2 checkpoint, a "tensor bundle", without TensorFlow: the inverse of :mod:`tensor_bundle`.

TensorFlow reads what this writes; ``test_tensor_bundle.py`` proves it. Sources of the format: as in the two readers,
:mod:`tensor_bundle` and :mod:`leveldb_table`. The functions that encode a part of a file are public because tests build
broken files from them.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import cramjam
import google_crc32c
import numpy as np
from numpy.typing import ArrayLike

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from weight_port.leveldb_table import FOOTER_BYTES, MAGIC, MAX_KEY_BYTES
from weight_port.tensor_bundle import FORMAT_VERSION, TF_TYPES

_NUMBERS = {dtype: number for number, (_, dtype) in TF_TYPES.items() if dtype is not None}


def varint(value: int) -> bytes:
    """A number as a base-128 varint; negative ones as the 64-bit complement."""
    value %= 2**64
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value % 0x80 | 0x80])
        value //= 0x80
    return encoded + bytes([value])


def number_field(number: int, value: int) -> bytes:
    """A protocol buffer field that holds a varint; empty for 0, which is the default."""
    return varint(number << 3) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A protocol buffer field that holds bytes or a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked(data: bytes) -> int:
    """The masked CRC32C; computed apart from the reader's, so that each of the two can be tested by the other."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def header(num_shards: int = 1, endianness: int = 0, min_consumer: int = 0) -> bytes:
    """A BundleHeaderProto."""
    version = number_field(1, FORMAT_VERSION) + number_field(2, min_consumer)
    return number_field(1, num_shards) + number_field(2, endianness) + bytes_field(3, version)


def entry(
    tf_type: int = 1,
    shape: Sequence[int] = (),
    shard: int = 0,
    offset: int = 0,
    size: int = 4,
    crc32c: int = 0,
) -> bytes:
    """A BundleEntryProto."""
    dimensions = b"".join(bytes_field(2, number_field(1, dimension)) for dimension in shape)
    return (
        number_field(1, tf_type)
        + bytes_field(2, dimensions)
        + number_field(3, shard)
        + number_field(4, offset)
        + number_field(5, size)
        + varint(6 << 3 | 5)
        + crc32c.to_bytes(4, "little")
    )


def block(pairs: Sequence[tuple[bytes, bytes]], restart_interval: int = 16) -> bytes:
    """A block without its trailer."""
    encoded, restarts, previous = b"", [], b""
    for index, (key, value) in enumerate(pairs):
        shared = 0
        if index % restart_interval == 0:
            restarts.append(len(encoded))
        else:
            while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
                shared += 1
        encoded += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        previous = key
    restarts = restarts or [0]
    return encoded + b"".join(position.to_bytes(4, "little") for position in [*restarts, len(restarts)])


def with_trailer(stored: bytes, kind: int) -> bytes:
    """A block as a file holds it: its bytes, its compression, its checksum."""
    return stored + bytes([kind]) + masked(stored + bytes([kind])).to_bytes(4, "little")


def assemble(blocks: Sequence[tuple[bytes, bytes, int]]) -> bytes:
    """A table of data blocks, each given as (last key, stored bytes, compression)."""
    table, handles = b"", []
    for last_key, stored, kind in blocks:
        handles.append((last_key, varint(len(table)) + varint(len(stored))))
        table += with_trailer(stored, kind)
    footer = b""
    for stored in (block([]), block(handles, 1)):
        footer += varint(len(table)) + varint(len(stored))
        table += with_trailer(stored, 0)
    return table + footer.ljust(FOOTER_BYTES - 8, b"\0") + MAGIC.to_bytes(8, "little")


def table(
    pairs: Sequence[tuple[bytes, bytes]], per_block: int = 1000, restart_interval: int = 16, snappy: bool = False
) -> bytes:
    """A table of the pairs in the order given, ``per_block`` of them in each block."""
    blocks = []
    for start in range(0, len(pairs), per_block):
        part = pairs[start : start + per_block]
        plain = block(part, restart_interval)
        stored = bytes(cramjam.snappy.compress_raw(plain)) if snappy else plain
        blocks.append((part[-1][0], stored, int(snappy)))
    return assemble(blocks)


def write_bundle(
    prefix: Path,
    variables: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]],
    *,
    num_shards: int = 1,
    per_block: int = 1000,
    restart_interval: int = 16,
    snappy: bool = False,
) -> None:
    """Write ``PREFIX.index`` and its data files; the folder is made if it does not exist.

    All files are written under temporary names first, and the index is renamed last. The defaults are those of
    TensorFlow's ``Saver``: one data file, an index without compression.

    Args:
        prefix: of the files' names.
        variables: values by name, or pairs of both; any order.
        num_shards: number of data files; the variables are dealt out to them in turn.
        per_block: most variables in one block of the index.
        restart_interval: of the keys in a block, every how many one is stored whole.
        snappy: whether the blocks of the index are compressed.

    Raises:
        BadInput: when a name comes twice or is not one that TensorFlow can read, a value has a type that TensorFlow
            lacks, or a file cannot be written.
    """
    shards = [b""] * num_shards
    pairs = [(b"", header(num_shards))]
    for index, (key, value) in enumerate(_sorted_values(prefix, variables)):
        shard, data = index % num_shards, value.tobytes()
        place = {"shard": shard, "offset": len(shards[shard]), "size": len(data), "crc32c": masked(data)}
        pairs.append((key, entry(_NUMBERS[value.dtype], value.shape, **place)))
        shards[shard] += data
    try:
        prefix.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{prefix}: cannot be written ({error.strerror})") from None
    contents = {f"{prefix.name}.index": table(pairs, per_block, restart_interval, snappy)}
    contents |= {f"{prefix.name}.data-{i:05d}-of-{num_shards:05d}": data for i, data in enumerate(shards)}
    with ExitStack() as renames:  # in the reverse order: the index, entered first, is renamed last
        for name, data in contents.items():
            renames.enter_context(atomic_path(prefix.parent / name)).write_bytes(data)


def _sorted_values(
    prefix: Path, variables: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]]
) -> list[tuple[bytes, np.ndarray]]:
    """Keys and little-endian values, sorted by key as the format asks; raises BadInput for what it cannot hold."""
    values: dict[bytes, np.ndarray] = {}
    for name, given in variables.items() if isinstance(variables, Mapping) else variables:
        value = np.asarray(given)
        little = value.dtype.newbyteorder("<")
        key = _key(name)
        if key is None:
            raise BadInput(f"{prefix}: {name[:60]!r} cannot be the name of a variable in a checkpoint")
        if key in values:
            raise BadInput(f"{prefix}: the variable {name!r} comes twice")
        if little not in _NUMBERS:
            raise BadInput(f"{prefix}: the variable {name!r} holds {value.dtype}, a type that TensorFlow lacks")
        values[key] = value.astype(little, copy=False)
    return sorted(values.items(), key=lambda pair: pair[0])


def _key(name: str) -> bytes | None:
    """The key of a variable, or None: an empty one is the header's, and a zero byte begins those of slices."""
    try:
        key = name.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return key if 0 < len(key) <= MAX_KEY_BYTES and not key.startswith(b"\0") else None
