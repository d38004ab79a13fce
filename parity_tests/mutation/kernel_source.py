"""Ways to plant a bug in the fused paths, past the check that would refuse to use them."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL

from parity_tests.mutation.bugs import Planting, Value
from pytorch_sketch_rnn.model.fused import build, choice

QUICKLY = ("-O1",)  # compiles in half the time; loops marked `omp simd` still become vector code


class Unchecked:
    """Another planting, and no self-check of the fused paths, which would refuse a path with a bug.

    Args:
        planting: of the bug.
    """

    def __init__(self, planting: Planting) -> None:
        self.planting = planting

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Keep the bug in the code while the ``with`` block runs; see :meth:`Planting.planted`."""
        choice.proven.cache_clear()
        try:
            with Value(choice, "disagreement", lambda *_: None).planted(), self.planting.planted():
                yield
        finally:
            choice.proven.cache_clear()


class Source:
    """Other source text for the compiled kernels; it is compiled when a fused path asks for it.

    Args:
        changes: pairs of old and new text; each old text must occur exactly once in the source.
        file: the C++ file that is changed.
    """

    def __init__(self, *changes: tuple[str, str], file: str = "kernels.cpp") -> None:
        self.changes, self.file = changes, file

    def changed(self) -> bytes:
        """The changed source.

        Raises:
            LookupError: when an old text does not occur exactly once.
        """
        source = build.source(self.file).decode()
        for old, new in self.changes:
            if source.count(old) != 1:
                raise LookupError(f"{old!r} occurs {source.count(old)} times in {self.file}, expected once")
            source = source.replace(old, new)
        return source.encode()

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Let the kernels be those of the changed source; see :meth:`Planting.planted`."""
        changed = self.changed()

        def library(name: str, level: str) -> CDLL:
            source = changed if name == self.file else build.source(name)
            return build.compiled(name, level, source, QUICKLY)

        with Value(build, "library", functools.cache(library)).planted():
            yield
