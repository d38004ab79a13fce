"""Several bugs planted at the same time, and comparisons of bugs: which are the same, which code each changes."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from types import CodeType, ModuleType

from parity_tests.mutation.bugs import Entries, Mutant, Planting, Text, Value, running
from weight_port import names


@contextmanager
def planted_together(bugs: Sequence[Mutant]) -> Iterator[None]:
    """Keep all of these bugs in the code while the ``with`` block runs; none may be planted already.

    The code changes for the whole process: nothing else may use it meanwhile.

    Raises:
        LookupError: when two of them change the same text, constant or entry.
    """
    texts, others = _by_function(bugs)
    for a, b in itertools.combinations(others, 2):
        if _collide(a, b):
            raise LookupError(f"{a} and {b} change the same thing")
    changed = [(changes[0].target, _changed_code(tuple(changes))) for changes in texts]
    contexts: list[AbstractContextManager[None]] = [running(function, code) for function, code in changed]
    contexts += [planting.planted() for planting in others]
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def may_affect(bug: Mutant, executed: set[CodeType]) -> bool:
    """Whether a bug may affect a computation that executed this code.

    Which code reads a constant is not known, so a constant counts as read if any code of its module ran. A table of
    ``weight_port.names`` counts as always read: other modules import it.
    """
    planting = bug.planting
    if isinstance(planting, Text):
        return planting.target.__code__ in executed
    if isinstance(planting, Value) and isinstance(planting.owner, ModuleType) and planting.owner is not names:
        return planting.owner.__file__ in {code.co_filename for code in executed}
    return True


def is_same(a: Mutant, b: Mutant) -> bool:
    """Whether two bugs make the same change."""
    one, other = a.planting, b.planting
    if isinstance(one, Text) and isinstance(other, Text):
        return one.target is other.target and one.changes == other.changes
    if isinstance(one, Value) and isinstance(other, Value):
        return (one.owner, one.name, one.value) == (other.owner, other.name, other.value)
    return isinstance(one, Entries) and isinstance(other, Entries) and one.table is other.table and one == other


def _by_function(bugs: Sequence[Mutant]) -> tuple[list[list[Text]], list[Planting]]:
    """The changes of text, grouped by function, and all other plantings."""
    texts: dict[int, list[Text]] = {}
    others: list[Planting] = []
    for bug in bugs:
        if isinstance(bug.planting, Text):
            texts.setdefault(id(bug.planting.target), []).append(bug.planting)
        else:
            others.append(bug.planting)
    return list(texts.values()), others


def _collide(a: Planting, b: Planting) -> bool:
    if isinstance(a, Value) and isinstance(b, Value):
        return a.owner is b.owner and a.name == b.name
    if isinstance(a, Entries) and isinstance(b, Entries):
        return a.table is b.table and not set(a.entries).isdisjoint(b.entries)
    return False


@cache
def _changed_code(texts: tuple[Text, ...]) -> CodeType:
    """The code of one function with several changes.

    It is compiled once and then kept, since a search plants the same bugs many times.
    """
    changes = (change for text in texts for change in text.changes)
    return Text(texts[0].owner, texts[0].function, *changes).changed_code()
