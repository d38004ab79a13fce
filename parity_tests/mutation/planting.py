"""Several bugs of the catalogue planted at the same time, and which code a bug changes."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from types import CodeType, ModuleType
from typing import Any

from parity_tests.mutation.bugs import Entries, Mutant, Planting, Text, Value


@dataclasses.dataclass(frozen=True)
class Hypothesis(Mutant):
    """A bug that is no part of the mutation score, with what it says to the author of a port that has it."""

    sentence: str = dataclasses.field(default="", kw_only=True)


@contextmanager
def planted_together(bugs: Sequence[Mutant]) -> Iterator[None]:
    """Plant all of them for as long as the ``with`` lasts; none may be planted already.

    The code is changed for the whole process: nothing else may use it meanwhile.

    Raises:
        LookupError: when two of them change the same text, constant or entry.
    """
    with ExitStack() as stack:
        for context in _contexts(bugs):
            stack.enter_context(context())
        yield


def is_run(bug: Mutant, executed: set[CodeType]) -> bool:
    """Whether a computation that executed this code can be affected by a bug.

    What reads a constant or a table is not known, so a constant counts as read wherever its module was run.
    """
    planting = bug.planting
    if isinstance(planting, Text):
        return planting._sound().__code__ in executed
    if isinstance(planting, Value) and isinstance(planting.owner, ModuleType):
        return planting.owner.__file__ in {code.co_filename for code in executed} or _holds_tables(planting.owner)
    return True


def is_same(a: Mutant, b: Mutant) -> bool:
    """Whether two entries of a catalogue make the same change."""
    one, other = a.planting, b.planting
    if isinstance(one, Text) and isinstance(other, Text):
        return one._sound() is other._sound() and one.changes == other.changes
    if isinstance(one, Value) and isinstance(other, Value):
        return (one.owner, one.name, one.value) == (other.owner, other.name, other.value)
    return isinstance(one, Entries) and isinstance(other, Entries) and (one.table is other.table) and one == other


def _holds_tables(module: ModuleType) -> bool:
    """Whether a module is data that other modules read, which leaves no trace."""
    return module.__name__ == "weight_port.names"


def _contexts(bugs: Sequence[Mutant]) -> list[Callable[[], Any]]:
    """What is to be entered: the changes of one function as one change, everything else one by one."""
    texts: dict[int, list[Text]] = {}
    others: list[Planting] = []
    for bug in bugs:
        if isinstance(bug.planting, Text):
            texts.setdefault(id(bug.planting._sound()), []).append(bug.planting)
        else:
            others.append(bug.planting)
    for a, b in itertools.combinations(others, 2):
        if _collide(a, b):
            raise LookupError(f"{a} and {b} change the same thing")
    changed = [_swapped(tuple(group)) for group in texts.values()]
    return [*changed, *(planting.planted for planting in others)]


def _collide(a: Planting, b: Planting) -> bool:
    if isinstance(a, Value) and isinstance(b, Value):
        return a.owner is b.owner and a.name == b.name
    if isinstance(a, Entries) and isinstance(b, Entries):
        return a.table is b.table and not set(a.entries).isdisjoint(b.entries)
    return False


@cache
def _swapped(texts: tuple[Text, ...]) -> Callable[[], Any]:
    """Of one function. Compiled once, and always from the sound source: a planted function's own is not in a file."""
    first = texts[0]
    code = Text(first.owner, first.function, *(change for text in texts for change in text.changes)).code()
    sound = first._sound()

    @contextmanager
    def swapped() -> Iterator[None]:
        before = sound.__code__
        sound.__code__ = code
        try:
            yield
        finally:
            sound.__code__ = before

    return swapped
