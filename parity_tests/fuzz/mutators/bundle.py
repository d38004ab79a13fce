"""Changes of a TensorFlow checkpoint below its checksums, which are made right afterwards.

Sources of the format: as in :mod:`weight_port.tensor_bundle` and :mod:`weight_port.leveldb_table`.
"""

from collections.abc import Callable
from random import Random

import cramjam

from parity_tests.fuzz.mutators.documents import ODD_TEXTS
from parity_tests.fuzz.mutators.raw import NUMBERS, mutate_bytes
from weight_port import tensor_bundle_writer as writer
from weight_port.leveldb_table import FOOTER_BYTES, MAGIC, Cursor, Damaged, read_table

Pairs = list[tuple[bytes, bytes]]
Field = tuple[int, int, int | bytes]  # number, wire type, value

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_KEYS = (
    b"",
    b"\0\1",
    b"\xff\xfe",
    b"a" * 1025,
    b"vector_rnn/RNN/output_w",
    *(t.encode("utf-8", "replace") for t in ODD_TEXTS),
)


def mutate_index(random: Random, index: bytes) -> bytes:
    """A changed index with right checksums.

    Args:
        random: decides everything.
        index: the bytes of a valid ``.index`` file.
    """
    return random.choice(_CHANGES)(random, list(read_table(index)))


def _change_record(random: Random, pairs: Pairs) -> bytes:
    for _ in range(random.choice((1, 1, 2))):
        place = random.randrange(len(pairs))
        pairs[place] = (pairs[place][0], mutate_message(random, pairs[place][1]))
    return _table(random, pairs)


def _change_key(random: Random, pairs: Pairs) -> bytes:
    place = random.randrange(len(pairs))
    key, value = pairs[place]
    pairs[place] = (random.choice((*_KEYS, mutate_bytes(random, key), key + b"_1")), value)
    return _table(random, sorted(pairs) if random.random() < 0.7 else pairs)


def _change_pairs(random: Random, pairs: Pairs) -> bytes:
    place = random.randrange(len(pairs))
    change = random.randrange(4)
    if change == 0:
        del pairs[place]
    elif change == 1:
        pairs.insert(place, pairs[place])
    elif change == 2:
        random.shuffle(pairs)
    else:
        pairs += [(b"z%05d" % number, pairs[-1][1]) for number in range(random.choice((1, 100, 3000)))]
    return _table(random, pairs) if pairs else writer.assemble([(b"", writer.block([]), 0)])


def _change_block(random: Random, pairs: Pairs) -> bytes:
    """Change the bytes of the one data block, before or after it is compressed."""
    plain = writer.block(pairs)
    snappy = random.random() < 0.5
    if not snappy or random.random() < 0.5:
        plain = mutate_bytes(random, plain)
        return writer.assemble([(pairs[-1][0], bytes(cramjam.snappy.compress_raw(plain)) if snappy else plain, snappy)])
    stored = mutate_bytes(random, bytes(cramjam.snappy.compress_raw(plain)))
    return writer.assemble([(pairs[-1][0], stored, random.choice((1, 1, 1, 0, 2)))])


def _change_handles(random: Random, pairs: Pairs) -> bytes:
    """Change the places of the blocks in the block that lists them, or in the footer."""
    table = writer.table(pairs)
    body, footer = table[:-FOOTER_BYTES], table[-FOOTER_BYTES:-8]
    if random.random() < 0.5:
        return body + mutate_bytes(random, footer)[: FOOTER_BYTES - 8].ljust(FOOTER_BYTES - 8, b"\0") + table[-8:]
    handle = writer.varint(random.choice(NUMBERS)) + writer.varint(random.choice((*NUMBERS, len(body))))
    listing = mutate_bytes(random, writer.block([(pairs[-1][0], handle)], 1))
    meta = writer.varint(0) + writer.varint(len(writer.block(pairs)))
    footer = meta + writer.varint(len(body)) + writer.varint(len(listing))
    return body + writer.with_trailer(listing, 0) + footer.ljust(FOOTER_BYTES - 8, b"\0") + MAGIC.to_bytes(8, "little")


def _table(random: Random, pairs: Pairs) -> bytes:
    return writer.table(pairs, random.choice((1, 3, 1000)), random.choice((1, 16)), random.random() < 0.2)


_CHANGES: tuple[Callable[[Random, Pairs], bytes], ...] = (
    _change_record, _change_record, _change_record, _change_record, _change_key, _change_pairs, _change_block,
    _change_handles,
)  # fmt: skip


def mutate_message(random: Random, data: bytes) -> bytes:
    """A protocol buffer message with one field changed, at any depth; other bytes if it is none.

    Args:
        random: decides everything.
        data: the message.
    """
    fields = _fields(data)
    if not fields or random.random() < 0.1:
        return mutate_bytes(random, data)
    place = random.randrange(len(fields))
    number, wire_type, value = fields[place]
    change = random.randrange(6)
    if change == 0:
        del fields[place]
    elif change == 1:
        fields.insert(place, fields[place])
    elif change == 2:
        fields[place] = (random.choice((number + 1, 0, 7, 2**28)), wire_type, value)
    elif isinstance(value, int):
        fields[place] = (number, wire_type, random.choice((*NUMBERS, value + 1, value * 2)))
    else:
        fields[place] = (number, wire_type, mutate_message(random, value))
    return b"".join(map(_encoded, fields))


def _fields(data: bytes) -> list[Field]:
    """The fields of a message; empty if it is none."""
    cursor, found = Cursor(data), []
    sizes: dict[int, Callable[[], int]] = {_BYTES: cursor.varint, _FIXED32: lambda: 4, _FIXED64: lambda: 8}
    try:
        while not cursor.at_end:
            tag = cursor.varint()
            wire_type = tag & 7
            value = cursor.varint() if wire_type == _VARINT else cursor.take(sizes[wire_type]())
            found.append((tag >> 3, wire_type, value))
    except (Damaged, KeyError):
        return []
    return found


def _encoded(field: Field) -> bytes:
    number, wire_type, value = field
    tag = writer.varint(number << 3 | wire_type)
    if isinstance(value, int):
        return tag + writer.varint(value)
    return tag + (writer.varint(len(value)) if wire_type == _BYTES else b"") + value
