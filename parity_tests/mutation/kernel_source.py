"""Ways to plant a bug in the fused paths, past the check that would refuse to use them."""

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL
from pathlib import Path

from parity_tests.mutation.bugs import Planting, Value
from pytorch_sketch_rnn.model.fused import build, choice, sequence

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
        choice.forget()
        try:
            with (
                Value(choice, "disagreement", lambda *_: None).planted(),
                Value(sequence, "sampling_disagreement", lambda *_: None).planted(),
                self.planting.planted(),
            ):
                yield
        finally:
            choice.forget()


class Source:
    """Other source text for one of the compiled files; it is compiled when a fused path asks for it.

    Args:
        name: of the file, such as ``kernels.cpp``.
        changes: pairs of old and new text; each old text must occur exactly once in the source.
    """

    def __init__(self, name: str, *changes: tuple[str, str]) -> None:
        self.name, self.changes = name, changes

    def changed(self) -> bytes:
        """The changed source.

        Raises:
            LookupError: when an old text does not occur exactly once.
        """
        source = build.read_source(self.name).decode()
        for old, new in self.changes:
            if source.count(old) != 1:
                raise LookupError(f"{old!r} occurs {source.count(old)} times in {self.name}, expected once")
            source = source.replace(old, new)
        return source.encode()

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Let the file be the changed one; see :meth:`Planting.planted`."""
        changed, sound = self.changed(), build.library
        with tempfile.TemporaryDirectory() as folder:

            def compiled(name: str, level: str) -> CDLL:
                if name != self.name:
                    return sound(name, level)
                with Value(build, "folder", lambda: Path(folder)).planted():  # not the cache that others use
                    return build.compiled(name, level, changed, QUICKLY)

            library: Callable[[str, str], CDLL] = functools.cache(compiled)
            with Value(build, "library", library).planted():
                yield
