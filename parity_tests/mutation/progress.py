"""Results of an interrupted run, kept in a file so that the next run continues from there."""

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Protocol, TypeVar

import parity_tests
import pytorch_sketch_rnn
import weight_port
from parity_tests.record.recording import FOLDER
from parity_tests.record.shipped import LOCK
from pytorch_sketch_rnn.files import atomic_path

_PACKAGES = (pytorch_sketch_rnn, weight_port, parity_tests)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Job = TypeVar("Job", bound=_Named)


class Progress:
    """Results by kind and name, written to a file as they come.

    Args:
        path: the file. It is written after every result and removed by :meth:`finish`.
        fingerprint: of everything that the results depend on; results with another one are discarded.
        fresh: discard the results of an interrupted run in any case.
    """

    def __init__(self, path: Path, fingerprint: str, *, fresh: bool = False) -> None:
        self.path, self.fingerprint = path, fingerprint
        found = None if fresh else _read(path)
        self._results: dict[str, dict[str, dict[str, Any]]] = {}
        if found is not None and found["fingerprint"] == fingerprint:
            self._results = found["results"]
        kept = sum(map(len, self._results.values()))
        self.note = ""  # what became of an interrupted run; empty where there was none
        if kept:
            self.note = f"kept {kept} results of an interrupted run; --fresh starts over"
        elif not fresh and path.exists():
            self.note = f"{path}: of other code, recordings or versions, or not intact; starting over"

    def kept(self, kind: str) -> dict[str, dict[str, Any]]:
        """The results of one kind, by name."""
        return dict(self._results.get(kind, {}))

    def add(self, kind: str, name: str, result: dict[str, Any]) -> None:
        """Keep a result.

        Raises:
            BadInput: when the file cannot be written.
        """
        self._results.setdefault(kind, {})[name] = result
        content = {"fingerprint": self.fingerprint, "results": self._results}
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")

    def continued(
        self, kind: str, jobs: Sequence[Job], run: Callable[[Sequence[Job]], Iterable[dict[str, Any]]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Run the jobs that have no result yet; yield each new result with the number of results so far.

        Args:
            kind: of the jobs.
            jobs: each with a name of its own.
            run: yields one result for each of the jobs it is given, in their order.

        A result with a true ``broken`` is passed on without it, but not kept: the next run tries that job again.
        """
        kept = self.kept(kind)
        missing = [job for job in jobs if job.name not in kept]
        done = len(jobs) - len(missing)
        for job, result in zip(missing, run(missing) if missing else (), strict=True):
            if not result.pop("broken", False):
                self.add(kind, job.name, result)
            done += 1
            yield done, result

    def finish(self) -> None:
        """Remove the file: the next run starts over."""
        self.path.unlink(missing_ok=True)


def fingerprint(*details: str) -> str:
    """SHA-256 of what results depend on: every file of the packages, recordings, versions, and ``details``."""
    digest = hashlib.sha256()
    versions = sorted(f"{each.metadata['Name']} {each.version}" for each in distributions())
    for detail in (*details, platform.python_version(), *versions):
        digest.update(f"{detail}\n".encode())
    for package in _PACKAGES:
        folder = Path(package.__path__[0])
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            digest.update(f"{package.__name__}/{path.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update((FOLDER / LOCK).read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """What an interrupted run left; None where it left nothing that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or "fingerprint" not in content or not isinstance(content.get("results"), dict):
        return None
    return content if all(isinstance(results, dict) for results in content["results"].values()) else None
