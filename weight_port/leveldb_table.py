"""Read the sorted key-value table that TensorFlow stores a checkpoint's index in.

Sources of the format: LevelDB's ``table_format.md`` (blocks, shared prefixes, restart arrays, footer), Snappy's
``format_description.txt`` (the length in front of a compressed block), and RFC 3720 (CRC32C). TensorFlow has a magic
number of its own in the footer and writes no filter block.
"""

from collections.abc import Iterator

import cramjam
import google_crc32c

MAGIC = 0xDB4775248B80FB57
FOOTER_BYTES = 48
TRAILER_BYTES = 5  # after each block: one byte for the compression, four for the checksum
UNCOMPRESSED, SNAPPY = 0, 1
# Nothing stops a small hostile file from unpacking to gigabytes; TensorFlow cuts its blocks at 256 KiB.
MAX_BLOCK_BYTES = 16 * 2**20
MAX_KEY_BYTES = 1024
_CRC_CHUNK_BYTES = 2**20


class Damaged(Exception):
    """The bytes break their format. The message says how; the caller adds the file's name."""


class Cursor:
    """Reads a byte string from front to back and never past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def at_end(self) -> bool:
        """Whether every byte has been read."""
        return self._position == len(self._data)

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; :class:`Damaged` if there are fewer."""
        end = self._position + count
        if end > len(self._data):
            raise Damaged("it ends in the middle of a record")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def varint(self) -> int:
        """The next number of 1 to 10 bytes, seven bits each, low ones first: 0 to 2**64 - 1."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 2**64:
                    break
                return value
        raise Damaged("a number in it is longer than 64 bits")


def masked_crc32c(*parts: bytes | memoryview) -> int:
    """The CRC32C of the parts in a row, masked as LevelDB stores it: rotated by 15 bits, plus a constant."""
    crc = 0
    for part in parts:
        for start in range(0, len(part), _CRC_CHUNK_BYTES):
            # The library takes bytes alone; chunks keep the copy of a memory-mapped variable small.
            crc = google_crc32c.extend(crc, bytes(part[start : start + _CRC_CHUNK_BYTES]))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) pairs of a whole table, in strictly ascending order of their keys.

    Raises:
        Damaged: Wherever the bytes are no such table, a checksum differs, or a size is beyond all reason.
    """
    previous = None
    handles = _footer_handles(table)
    _read_block(table, handles)  # the meta index, in which TensorFlow has nothing: only to see that it is sound
    for _, handle in _block_entries(_read_block(table, handles)):
        block = _read_block(table, Cursor(handle))
        is_empty = True
        for key, value in _block_entries(block):
            if previous is not None and key <= previous:
                raise Damaged(f"the key {key!r} comes twice or out of order")
            yield key, value
            previous, is_empty = key, False
        if is_empty:
            raise Damaged("one of its blocks is empty")


def _footer_handles(table: bytes) -> Cursor:
    if len(table) < FOOTER_BYTES:
        raise Damaged(f"it has {len(table)} bytes, and the footer alone takes {FOOTER_BYTES}")
    footer = table[-FOOTER_BYTES:]
    if int.from_bytes(footer[-8:], "little") != MAGIC:
        raise Damaged("it does not end with the magic number of a checkpoint index")
    return Cursor(footer[:-8])


def _read_block(table: bytes, handle: Cursor) -> bytes:
    offset, size = handle.varint(), handle.varint()
    end = offset + size
    if end + TRAILER_BYTES > len(table) - FOOTER_BYTES:
        raise Damaged(f"a block of {size} bytes at {offset} would end beyond the {len(table)} bytes of the file")
    stored, kind, checksum = table[offset:end], table[end : end + 1], table[end + 1 : end + TRAILER_BYTES]
    if masked_crc32c(stored, kind) != int.from_bytes(checksum, "little"):
        raise Damaged(f"the checksum of the block at {offset} is wrong")
    if kind[0] == UNCOMPRESSED:
        return stored
    if kind[0] == SNAPPY:
        return _unpack_snappy(stored)
    raise Damaged(f"the block at {offset} has the unknown compression {kind[0]}")


def _unpack_snappy(packed: bytes) -> bytes:
    size = Cursor(packed).varint()
    if size > MAX_BLOCK_BYTES:
        raise Damaged(f"a compressed block claims {size} bytes; the limit is {MAX_BLOCK_BYTES}")
    try:
        block = bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise Damaged(f"a compressed block cannot be unpacked ({error})") from None
    if len(block) != size:
        raise Damaged(f"a compressed block claims {size} bytes and holds {len(block)}")
    return block


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of one block. The restart array at its end only serves binary search, so it is skipped."""
    restarts_end = len(block) - 4
    if restarts_end < 0:
        raise Damaged("a block in it is too short to hold anything")
    entries_end = restarts_end - 4 * int.from_bytes(block[restarts_end:], "little")
    if entries_end < 0:
        raise Damaged("a block in it claims more restart points than it has room for")
    cursor = Cursor(block[:entries_end])
    key = b""
    while not cursor.at_end:
        shared, unshared, value_size = cursor.varint(), cursor.varint(), cursor.varint()
        if shared > len(key):
            raise Damaged("a key shares more bytes with the one before than that one has")
        if shared + unshared > MAX_KEY_BYTES:
            raise Damaged(f"a key has {shared + unshared} bytes; the limit is {MAX_KEY_BYTES}")
        key = key[:shared] + cursor.take(unshared)
        yield key, cursor.take(value_size)
