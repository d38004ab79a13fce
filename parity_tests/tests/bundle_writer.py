"""Write small tensor bundles for tests, sound or broken on purpose: the inverse of ``weight_port.tensor_bundle``.

TensorFlow reads what this writes; ``test_tensor_bundle.py`` proves it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cramjam
import google_crc32c
import numpy as np

TF_TYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "string": 7,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}


def varint(value: int) -> bytes:
    """A number as a base-128 varint; negative ones as the 64-bit complement."""
    value %= 2**64
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value % 0x80 | 0x80])
        value //= 0x80
    return encoded + bytes([value])


def number_field(number: int, value: int) -> bytes:
    """A protocol buffer field that holds a varint; nothing for 0, as the format has it."""
    return varint(number << 3) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A protocol buffer field that holds bytes or a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked(data: bytes) -> int:
    """The masked CRC32C."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def header(num_shards: int = 1, endianness: int = 0, min_consumer: int = 0) -> bytes:
    """A BundleHeaderProto."""
    version = number_field(1, 1) + number_field(2, min_consumer)
    return number_field(1, num_shards) + number_field(2, endianness) + bytes_field(3, version)


def entry(
    tf_type: int = 1,
    shape: Sequence[int] = (),
    shard: int = 0,
    offset: int = 0,
    size: int = 4,
    crc32c: int = 0,
    more: bytes = b"",
) -> bytes:
    """A BundleEntryProto; ``more`` is put behind it as it is."""
    dimensions = b"".join(bytes_field(2, number_field(1, dimension)) for dimension in shape)
    return (
        number_field(1, tf_type)
        + bytes_field(2, dimensions)
        + number_field(3, shard)
        + number_field(4, offset)
        + number_field(5, size)
        + varint(6 << 3 | 5)
        + crc32c.to_bytes(4, "little")
        + more
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
    """A block as it lies in the file: its compression and its checksum behind it."""
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
    return table + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


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
    variables: Mapping[str, np.ndarray],
    num_shards: int = 1,
    per_block: int = 1000,
    restart_interval: int = 16,
    snappy: bool = False,
) -> None:
    """Write a whole checkpoint; its variables take turns in the data files."""
    shards = [b""] * num_shards
    pairs = [(b"", header(num_shards))]
    for index, name in enumerate(sorted(variables, key=str.encode)):
        value = np.asarray(variables[name])
        shard, data = index % num_shards, value.tobytes()
        place = {"shard": shard, "offset": len(shards[shard]), "size": len(data), "crc32c": masked(data)}
        pairs.append((name.encode(), entry(TF_TYPES[value.dtype.name], value.shape, **place)))
        shards[shard] += data
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(pairs, per_block, restart_interval, snappy))
    for shard, data in enumerate(shards):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{num_shards:05d}").write_bytes(data)
