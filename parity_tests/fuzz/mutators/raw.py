"""Changes of a string of bytes that know nothing of its format."""

import re
from collections.abc import Callable, Sequence
from random import Random

# Edges of the usual number types, and lengths that are far too large.
NUMBERS = (
    0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 10**6, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**63 - 1, 2**63, 2**64 - 1, -1,
)  # fmt: skip
TEXT_NUMBERS = (
    b"0", b"-1", b"1", b"-0.0", b"1e-320", b"1e308", b"1e999", b"-1e999", b"NaN", b"Infinity", b"65536", b"2147483648",
    b"9223372036854775808", b"99999999999999999999999999", b"1" * 400, b"0x10", b"1_000", b"\xd9\xa1",
)  # fmt: skip
MOST_BYTES = 2**20  # of a mutant that grows

Tokens = Sequence[bytes]
_Operation = Callable[[Random, bytearray, Tokens], None]


def mutate_bytes(random: Random, data: bytes, tokens: Tokens = ()) -> bytes:
    """Change bytes in one to eight places.

    Args:
        random: decides everything.
        data: the valid bytes.
        tokens: pieces of the format that may be inserted.
    """
    result = bytearray(data)
    wanted = random.choice((1, 1, 1, 2, 3, 8))
    for done in range(100):  # some changes change nothing
        random.choice(_OPERATIONS)(random, result, tokens)
        if done + 1 >= wanted and result != data:
            break
    return bytes(result[:MOST_BYTES])


def _span(random: Random, data: bytearray) -> slice:
    """Some bytes, mostly a few."""
    start = random.randrange(len(data) + 1)
    return slice(start, start + random.choice((1, 2, 4, 8, 32, 256, len(data))))


def _flip(random: Random, data: bytearray, tokens: Tokens) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_byte(random: Random, data: bytearray, tokens: Tokens) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice(
            (0, 1, 0x0A, 0x1B, 0x22, 0x7F, 0x80, 0xFF, random.randrange(256))
        )


def _set_number(random: Random, data: bytearray, tokens: Tokens) -> None:
    size, order = random.choice((1, 2, 4, 8)), random.choice(("little", "big"))
    if len(data) >= size:
        start = random.randrange(len(data) - size + 1)
        data[start : start + size] = (random.choice(NUMBERS) % 256**size).to_bytes(size, order)


def _set_text_number(random: Random, data: bytearray, tokens: Tokens) -> None:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[:50_000]))
    if found:
        match = random.choice(found)
        data[match.start() : match.end()] = random.choice(TEXT_NUMBERS)


def _delete(random: Random, data: bytearray, tokens: Tokens) -> None:
    del data[_span(random, data)]


def _truncate(random: Random, data: bytearray, tokens: Tokens) -> None:
    del data[random.randrange(len(data) + 1) :]


def _fill(random: Random, data: bytearray, tokens: Tokens) -> None:
    span = _span(random, data)
    data[span] = bytes([random.choice((0, 0xFF, random.randrange(256)))]) * len(data[span])


def _insert(random: Random, data: bytearray, tokens: Tokens) -> None:
    start = random.randrange(len(data) + 1)
    data[start:start] = random.randbytes(random.choice((1, 2, 8, 64)))


def _insert_token(random: Random, data: bytearray, tokens: Tokens) -> None:
    if tokens:
        start = random.randrange(len(data) + 1)
        data[start : start + random.choice((0, 0, 1, 8))] = random.choice(tokens)


def _repeat(random: Random, data: bytearray, tokens: Tokens) -> None:
    span = _span(random, data)
    times = min(random.choice((2, 3, 100, 5000)), MOST_BYTES // (len(data[span]) + 1))
    data[span] = bytes(data[span]) * times


def _copy(random: Random, data: bytearray, tokens: Tokens) -> None:
    start = random.randrange(len(data) + 1)
    data[start : start + random.choice((0, 4))] = data[_span(random, data)]


_OPERATIONS: tuple[_Operation, ...] = (
    _flip, _flip, _set_byte, _set_byte, _set_number, _set_number, _set_text_number, _delete, _truncate, _fill, _insert,
    _insert_token, _insert_token, _repeat, _copy,
)  # fmt: skip
