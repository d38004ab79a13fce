"""Ways to damage one part of a recording: each group, array and claim is missing, empty or of another type."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from parity_tests.record.recording import Recording

Change = Callable[[Recording], object]
# what may stand in place of an array
ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "no elements": lambda value: value[..., None][..., :0],
    "no rows": lambda value: value[:0] if value.ndim else np.zeros(0, value.dtype),
    "a row less": lambda value: value[:-1] if value.ndim else value[None],
    "one number": lambda value: np.zeros((), value.dtype),
    "an axis more": lambda value: value[None],
    "whole numbers": lambda value: np.zeros(value.shape, np.int64),
    "negative numbers": lambda value: np.full(value.shape, -1, value.dtype),
    "truth values": lambda value: np.ones(value.shape, bool),
    "half precision": lambda value: value.astype(np.float16),
    "text": lambda value: np.full(value.shape, b"owl"),
    "NaN": lambda value: np.full(value.shape, np.nan, np.float64),
    "huge numbers": lambda value: np.full(value.shape, np.iinfo(np.int64).max),
}
# what may stand in place of a claim
CLAIMS: dict[str, Any] = {
    "null": None, "text": "owl", "no text": "", "a half pair": "\ud800", "zero": 0, "a negative number": -1,
    "true": True, "a fraction": 0.5, "a huge number": 10**400, "a large number": 2**40, "a list": [1],
    "an empty list": [], "an empty object": {}, "an object": {"owl": 1}, "infinity": float("inf"),
}  # fmt: skip


def changes(recording: Recording) -> Iterator[tuple[str, Change]]:
    """Name and change of every damage to one part."""
    for group, arrays in recording.groups.items():
        yield f"{group} is missing", lambda r, group=group: r.groups.pop(group)
        yield f"{group} is empty", lambda r, group=group: r.groups.update({group: {}})
        yield f"{group} has one more", lambda r, group=group: r.groups[group].update(owl=np.zeros(3))
        for name, value in arrays.items():
            yield f"{group}/{name} is missing", lambda r, group=group, name=name: r.groups[group].pop(name)
            for what, change in ARRAYS.items():
                with np.errstate(over="ignore"):
                    changed = change(value)
                yield (
                    f"{group}/{name} is {what}",
                    lambda r, group=group, name=name, changed=changed: r.groups[group].update({name: changed}),
                )
    for field in ("kind", "name", "hparams", "provenance"):
        for what, value in CLAIMS.items():
            yield f"{field} is {what}", lambda r, field=field, value=value: setattr(r, field, value)
    for field in ("hparams", "provenance"):
        yield from _claims(field, getattr(recording, field), ())


def _claims(field: str, claims: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Change]]:
    """The same for what is inside a claim."""
    for name, value in claims.items():
        label = "/".join((field, *path, name))
        yield f"{label} is missing", _inside(field, path, lambda table, name=name: table.pop(name))
        for what, other in CLAIMS.items():
            change = lambda table, name=name, other=other: table.update({name: other})  # noqa: E731
            yield f"{label} is {what}", _inside(field, path, change)
        if isinstance(value, Mapping):
            yield from _claims(field, value, (*path, name))


def _inside(field: str, path: tuple[str, ...], change: Callable[[dict[str, Any]], object]) -> Change:
    def changed(recording: Recording) -> None:
        table = getattr(recording, field)
        for name in path:
            table = table[name]
        change(table)

    return changed


def damaged(recording: Recording, change: Change) -> Recording:
    """A copy with one change; the arrays are shared."""
    result = dataclasses.replace(
        recording,
        groups={group: dict(arrays) for group, arrays in recording.groups.items()},
        hparams=copy.deepcopy(recording.hparams),
        provenance=copy.deepcopy(recording.provenance),
    )
    change(result)
    return result
