"""Ways to plant a bug into the code that runs, and the kinds of bugs that are planted."""

import contextlib
import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol


class Planting(Protocol):
    """A way to put a bug into the code that runs, and to take it out again."""

    def planted(self) -> contextlib.AbstractContextManager[None]:
        """Put it in for as long as the ``with`` lasts.

        Raises:
            LookupError: when the code does not hold what is to be changed.
        """
        ...


class Text:
    """A change of source text: the function runs what is compiled from it, by whatever name it was imported."""

    def __init__(self, owner: Any, function: str, *changes: tuple[str, str]) -> None:
        self.owner, self.function, self.changes = owner, function, changes  # the owner is a class or a module

    @contextmanager
    def planted(self) -> Iterator[None]:
        """See :class:`Planting`."""
        sound = self._sound()
        code = sound.__code__
        sound.__code__ = self.code()
        try:
            yield
        finally:
            sound.__code__ = code

    def code(self) -> Any:
        """The changed code.

        Raises:
            LookupError: when a text to change does not stand exactly once in the function.
        """
        sound = self._sound()
        source = textwrap.dedent(inspect.getsource(sound))
        for old, new in self.changes:
            if source.count(old) != 1:
                raise LookupError(f"{old!r} stands {source.count(old)} times in {self.function}, expected once")
            source = source.replace(old, new)
        return _compiled(sound, source).__code__

    def _sound(self) -> Any:
        return _bare(inspect.getattr_static(self.owner, self.function))


def _bare(found: Any) -> Any:
    """The function under a classmethod, a property or a decorator."""
    for attribute in ("__func__", "fget", "func"):
        found = getattr(found, attribute, None) or found
    return inspect.unwrap(found)


def _compiled(sound: Any, source: str) -> Any:
    """The changed function; what it has from around it (``super()`` needs its class) stays its own."""
    outer = sound.__code__.co_freevars
    if outer:
        inner = textwrap.indent(source, "    ")
        source = f"def around({', '.join(outer)}):\n{inner}\n    return {sound.__name__}\n"
    namespace: dict[str, Any] = {}
    exec(compile(source, inspect.getsourcefile(sound) or "", "exec"), vars(sys.modules[sound.__module__]), namespace)
    return _bare(namespace["around"](*outer) if outer else namespace[sound.__name__])


@dataclasses.dataclass(frozen=True)
class Value:
    """Another value of a constant."""

    owner: Any
    name: str
    value: Any

    @contextmanager
    def planted(self) -> Iterator[None]:
        """See :class:`Planting`."""
        if not hasattr(self.owner, self.name):
            raise LookupError(f"{self.owner.__name__} has no {self.name}")
        sound = getattr(self.owner, self.name)
        setattr(self.owner, self.name, self.value)
        try:
            yield
        finally:
            setattr(self.owner, self.name, sound)


@dataclasses.dataclass(frozen=True)
class Entries:
    """Other entries of a table."""

    table: MutableMapping[str, str]
    entries: Mapping[str, str]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """See :class:`Planting`."""
        if not set(self.entries) <= set(self.table):
            raise LookupError(f"the table has no {', '.join(set(self.entries) - set(self.table))}")
        sound = dict(self.table)
        self.table.update(self.entries)
        try:
            yield
        finally:
            self.table.update(sound)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A bug of a port."""

    name: str
    family: str
    planting: Planting
    parts: tuple[str, ...]  # of the report, one of which must be named first
    quantity: str = ".*"  # which quantity of that part, as a regular expression

    def planted(self) -> contextlib.AbstractContextManager[None]:
        """See :class:`Planting`."""
        return self.planting.planted()


@dataclasses.dataclass(frozen=True)
class HarnessMutant:
    """A bug of the harness, and which of its self-tests must catch it."""

    name: str
    planting: Planting
    tests: tuple[str, ...]  # files below parity_tests/tests


@dataclasses.dataclass(frozen=True)
class ProductMutant:
    """A bug outside the model's equations, and which unit tests must catch it."""

    name: str
    family: str
    planting: Planting
    tests: tuple[str, ...]  # files below parity_tests/tests
