"""A way to plant a bug in the Triton kernels, which a process of its own runs in Triton's interpreter."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from pytorch_sketch_rnn.model import fused

MODULE = f"{fused.__name__}.triton_kernels"
# Python imports a module of this name when it starts
_START = "sitecustomize.py"
_START_TEXT = f"""\
import importlib.util, sys
from pathlib import Path


class Changed:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {MODULE!r}:
            return importlib.util.spec_from_file_location(name, Path(__file__).with_name("triton_kernels.py"))


sys.meta_path.insert(0, Changed)
"""


class TritonSource:
    """Other source text for one function of ``triton_kernels.py``, in every Python that this process starts.

    Args:
        function: its name.
        old: the text to be changed, which must occur exactly once in the function.
        new: what it becomes.
    """

    def __init__(self, function: str, old: str, new: str) -> None:
        self.function, self.old, self.new = function, old, new

    def changed(self) -> str:
        """The changed file.

        Raises:
            LookupError: when there is no such function, or the old text does not occur exactly once in it.
        """
        source = (resources.files(fused) / "triton_kernels.py").read_text(encoding="utf-8")
        found = re.search(rf"^def {self.function}\(.*?(?=^@triton\.jit|\Z)", source, flags=re.MULTILINE | re.DOTALL)
        if found is None:
            raise LookupError(f"triton_kernels.py has no function {self.function}")
        if (count := found[0].count(self.old)) != 1:
            raise LookupError(f"{self.old!r} occurs {count} times in {self.function}, expected once")
        return source[: found.start()] + found[0].replace(self.old, self.new) + source[found.end() :]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Let the processes that are started meanwhile have the changed file; see :meth:`Planting.planted`."""
        changed, before = self.changed(), dict(os.environ)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "triton_kernels.py").write_text(changed, encoding="utf-8")
            (Path(folder) / _START).write_text(_START_TEXT, encoding="utf-8")
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, before.get("PYTHONPATH"))))
            try:
                yield
            finally:
                os.environ.clear()
                os.environ.update(before)
