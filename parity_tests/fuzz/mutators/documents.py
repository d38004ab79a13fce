"""Changes of JSON documents: values of other types, huge and odd numbers, repeated and missing names, deep nesting."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

from parity_tests.fuzz.mutators.raw import mutate_bytes

ODD_TEXTS = (
    "", "a", "../../x", "/dev/zero", "\x00", "\x1b[31mred\x07", "two\nlines\r\n", "\u202eright to left\u2028", "\ud800",
    "é" * 300, "x" * 5000, "1", "null", "nan", "%s{}", "lstm", "kanjivg",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 10**6, 2**31, 2**53 + 1, 2**63, -(2**64), 10**400, 0.5, -0.0, 1e-320, 1e30,
    1e308,
    float("nan"), float("inf"), float("-inf"), [], {}, [[]], [None], [0], [0] * 2000, ["\x1b[2J\n"], {"": 0},
    {"\x1b]0;title\x07\n": 1}, *ODD_TEXTS,
)  # fmt: skip
_TWICE = "\ue000"  # marks a name that is to come twice; taken out of the text
_DEEP = "\ue001"  # marks a value that is to be nested deeply
_DEPTHS = (100, 1500, 100_000)
_TOKENS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"1e999",
    b"\xef\xbb\xbf",
    b"\xff",
)

Place = tuple[Any, Any]  # a list or dict, and an index or key of it


def mutate_json(random: Random, document: Any) -> bytes:
    """The text of a changed document: mostly valid JSON, sometimes with changed bytes.

    Args:
        random: decides everything.
        document: what a valid file holds; it is not changed.
    """
    holder = [deepcopy(document)]
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if places := list(_places(holder)):
            random.choice(_OPERATIONS)(random, *random.choice(places))
    text = json.dumps(holder[0] if holder else None, ensure_ascii=random.random() < 0.8)
    text = text.replace(_TWICE, "").replace(json.dumps(_TWICE)[1:-1], "")
    opening, closing = random.choice(("[]", ('{"a":', "}")))
    depth = random.choice(_DEPTHS)
    for mark in (f'"{_DEEP}"', json.dumps(_DEEP)):
        text = text.replace(mark, f"{opening * depth}{closing * depth if opening == '[' else '0' + closing * depth}")
    data = text.encode("utf-8", "surrogatepass")
    return mutate_bytes(random, data, _TOKENS) if random.random() < 0.15 else data


def _places(holder: Any) -> Iterator[Place]:
    """Every place in a document where a value stands."""
    items = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
    for key, value in items:
        yield holder, key
        yield from _places(value)


def _replace(random: Random, holder: Any, key: Any) -> None:
    holder[key] = deepcopy(random.choice(ODD_VALUES))  # other operations change it further


def _remove(random: Random, holder: Any, key: Any) -> None:
    del holder[key]


def _change_number(random: Random, holder: Any, key: Any) -> None:
    value = holder[key]
    if isinstance(value, int | float):
        near = (value + 1, value - 1, -value, value * 2, value * 10**6, str(value))
        holder[key] = random.choice((*near, float(value)) if abs(value) < 2**1000 else near)
    else:
        holder[key] = random.choice((len(str(value)), [value], {"value": value}))


def _change_text(random: Random, holder: Any, key: Any) -> None:
    text = list(str(holder[key]))
    place = random.randrange(len(text) + 1)
    text[place : place + random.choice((0, 1, 4))] = random.choice(ODD_TEXTS)
    holder[key] = "".join(text)


def _repeat(random: Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[f"{key}{_TWICE}"] = random.choice((holder[key], 0))
    else:
        holder[key:key] = [deepcopy(holder[key])] * random.choice((1, 1, 100))


def _rename(random: Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[random.choice((*ODD_TEXTS, f"{key}_", str(key)[:-1], str(key).upper()))] = holder.pop(key)


def _swap(random: Random, holder: Any, key: Any) -> None:
    other = random.choice(list(holder.keys() if isinstance(holder, dict) else range(len(holder))))
    holder[key], holder[other] = holder[other], holder[key]


def _crowd(random: Random, holder: Any, key: Any) -> None:
    """Put in many names, of which the last one comes twice."""
    count = random.choice((10, 50_000))
    holder[key] = {f"name {number}": 0 for number in range(count)} | {f"name {count - 1}{_TWICE}": 0}


def _nest(random: Random, holder: Any, key: Any) -> None:
    holder[key] = _DEEP


_OPERATIONS: tuple[Callable[[Random, Any, Any], None], ...] = (
    _replace, _replace, _replace, _change_number, _change_number, _change_text, _remove, _repeat, _rename, _swap, _nest,
    _crowd,
)  # fmt: skip
