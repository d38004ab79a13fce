"""Ways to plant a bug in the running code, and the kinds of bugs.

A :class:`Text` edits a function's source, compiles it, and gives the new code object to the function that runs. So the
bug reaches every module that has imported the function, under any name, and decorators keep working.
"""

import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from types import CodeType, FunctionType
from typing import Any, Protocol


class Planting(Protocol):
    """A way to put a bug into the running code and to take it out again."""

    def planted(self) -> AbstractContextManager[None]:
        """Keep the bug in the code while the ``with`` block runs.

        Raises:
            LookupError: when the code does not contain what is to be changed.
        """
        ...


class Text:
    """Other source text for one function.

    Args:
        owner: the class or module that has the function.
        function: its name.
        changes: pairs of old and new text; each old text must occur exactly once in the function.
    """

    def __init__(self, owner: Any, function: str, *changes: tuple[str, str]) -> None:
        self.owner, self.function, self.changes = owner, function, changes

    @property
    def target(self) -> Any:  # a FunctionType, which mypy takes for a descriptor
        """The function that is changed, without its decorators.

        Raises:
            LookupError: when the owner has no such function.
        """
        try:
            return _undecorated(inspect.getattr_static(self.owner, self.function))
        except AttributeError:
            raise LookupError(f"{self.owner.__name__} has no {self.function}") from None

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Let the function run the changed code while the ``with`` block runs; see :meth:`Planting.planted`."""
        with running(self.target, self.changed_code()):
            yield

    def changed_code(self) -> CodeType:
        """The changed function, compiled.

        Raises:
            LookupError: when an old text does not occur exactly once in the function.
        """
        source = textwrap.dedent(inspect.getsource(self.target))
        for old, new in self.changes:
            if source.count(old) != 1:
                raise LookupError(f"{old!r} occurs {source.count(old)} times in {self.function}, expected once")
            source = source.replace(old, new)
        return _compiled(self.target, source)


@contextmanager
def running(function: FunctionType, code: CodeType) -> Iterator[None]:
    """Let a function run other code while the ``with`` block runs."""
    own = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = own


def _undecorated(attribute: Any) -> FunctionType:
    """The function inside a classmethod, a property, a cached property or a decorator."""
    for name in ("__func__", "fget", "func"):
        attribute = getattr(attribute, name, None) or attribute
    return inspect.unwrap(attribute)


def _compiled(function: FunctionType, source: str) -> CodeType:
    """Compile new source for a function; it keeps the variables of the scope around it.

    A method that calls ``super()`` has such a variable, ``__class__``. Its new source is therefore compiled inside an
    outer function with parameters of these names, so that it gets the same free variables.
    """
    free = function.__code__.co_freevars
    if free:
        inner = textwrap.indent(source, "    ")
        source = f"def outer({', '.join(free)}):\n{inner}\n    return {function.__name__}\n"
    module = vars(sys.modules[function.__module__])
    namespace: dict[str, Any] = {}
    exec(compile(source, inspect.getsourcefile(function) or "", "exec"), module, namespace)
    changed = namespace["outer"](*free) if free else namespace[function.__name__]
    return _undecorated(changed).__code__


@dataclasses.dataclass(frozen=True)
class Value:
    """Another value for an attribute of a module, such as a constant."""

    owner: Any
    name: str
    value: Any

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Set the other value while the ``with`` block runs; see :meth:`Planting.planted`."""
        if not hasattr(self.owner, self.name):
            raise LookupError(f"{self.owner.__name__} has no {self.name}")
        own = getattr(self.owner, self.name)
        setattr(self.owner, self.name, self.value)
        try:
            yield
        finally:
            setattr(self.owner, self.name, own)


@dataclasses.dataclass(frozen=True)
class Entries:
    """Other values for some keys of a dictionary."""

    table: MutableMapping[Any, Any]
    entries: Mapping[Any, Any]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Set the other values while the ``with`` block runs; see :meth:`Planting.planted`."""
        if unknown := set(self.entries) - set(self.table):
            raise LookupError(f"the table has no {', '.join(map(str, unknown))}")
        own = dict(self.table)
        self.table.update(self.entries)
        try:
            yield
        finally:
            self.table.update(own)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A bug of a port."""

    name: str
    family: str
    planting: Planting
    parts: tuple[str, ...]  # parts of the report; the first departure must be in one of them
    quantity: str = ".*"  # a regular expression for the quantity that departs first

    def planted(self) -> AbstractContextManager[None]:
        """Keep the bug in the code while the ``with`` block runs; see :meth:`Planting.planted`."""
        return self.planting.planted()


@dataclasses.dataclass(frozen=True)
class HarnessMutant:
    """A bug of the harness, with the self-tests that must catch it."""

    name: str
    planting: Planting
    tests: tuple[str, ...]  # below parity_tests/tests: a file, or file::test


@dataclasses.dataclass(frozen=True)
class ProductMutant:
    """A bug outside the model's equations, with the unit tests that must catch it."""

    name: str
    family: str
    planting: Planting
    tests: tuple[str, ...]  # below parity_tests/tests: a file, or file::test


@dataclasses.dataclass(frozen=True)
class Hypothesis(Mutant):
    """A bug that is not part of the mutation score, with a sentence for the author of a port that has it."""

    sentence: str = dataclasses.field(default="", kw_only=True)
