"""Runs ``python ARGUMENTS`` in a fork of a process that has imported torch and what else takes seconds to import.

Only packages of others are imported beforehand. Working folder, environment, ``sys.path``, standard streams and exit
code are those of a new process: the fork leaves the server's loop and ends as any program does. Linux and macOS.
"""

import contextlib
import importlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

BEFOREHAND = ("h5py", "matplotlib.backends.backend_agg", "matplotlib.figure", "safetensors.torch", "torch")


class ForkedPython:
    """The process that forks; a context manager."""

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, which ends it

    def run(
        self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """As ``subprocess.run([sys.executable, *arguments], capture_output=True, text=True)`` with an empty input.

        Args:
            arguments: ``-m`` and a module, ``-c`` and code, or a script; and what follows.
            cwd: the working folder.
            environment: all of it.
        """
        with tempfile.TemporaryDirectory() as name:
            outputs = [Path(name) / "stdout", Path(name) / "stderr"]
            request = {
                "arguments": list(arguments),
                "cwd": str(cwd),
                "environment": dict(environment),
                "outputs": [str(path) for path in outputs],
            }
            print(json.dumps(request), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
            assert answer, f"the forking process has ended with {self._process.wait()}"
            out, err = (path.read_text(encoding="utf-8") for path in outputs)
        return subprocess.CompletedProcess([sys.executable, *arguments], int(answer), out, err)


def _requests(stdin: Iterator[str]) -> dict[str, Any] | None:
    """Fork for each request. Returns the request in the fork, and None at the end of the input."""
    for line in stdin:
        pid = os.fork()
        if pid == 0:
            request: dict[str, Any] = json.loads(line)
            return request
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def _become(request: dict[str, Any]) -> list[str]:
    """Give the fork what a new process has; returns its arguments."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptor, path in enumerate((os.devnull, *request["outputs"])):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT if descriptor else os.O_RDONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = sys.__stdin__ = _stream(0, sys.stdin, "rb")
    sys.stdout = sys.__stdout__ = _stream(1, sys.stdout, "wb")
    sys.stderr = sys.__stderr__ = _stream(2, sys.stderr, "wb")
    tempfile.tempdir = None
    arguments: list[str] = request["arguments"]
    first = {"-m": request["cwd"], "-c": ""}.get(arguments[0], os.path.dirname(os.path.realpath(arguments[0])))
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [first, *(os.path.abspath(path) for path in paths if path)]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    return arguments


def _stream(descriptor: int, like: io.TextIOWrapper, mode: str) -> io.TextIOWrapper:
    """A standard stream with nothing in its buffer."""
    options = {"line_buffering": like.line_buffering, "write_through": like.write_through}
    return io.TextIOWrapper(open(descriptor, mode, closefd=False), like.encoding, like.errors, **options)


def _run(arguments: list[str]) -> None:
    """Run a module, code or a script as ``__main__``."""
    kind, *rest = arguments
    if kind == "-m":
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv[:] = ["-c", *rest[1:]]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), sys.modules["__main__"].__dict__)
    else:
        sys.argv[:] = arguments
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    for module in BEFOREHAND:
        importlib.import_module(module)
    with contextlib.suppress(FileNotFoundError):
        assert len(os.listdir("/proc/self/task")) == 1, "a fork does not have the threads of this process"
    accepted = _requests(sys.stdin)
    if accepted is not None:
        _run(_become(accepted))
