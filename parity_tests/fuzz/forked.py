"""Commands in forked processes, each with limits on time, memory and output. Linux only.

A process that has imported everything forks one child for each command, which takes milliseconds where a start of
Python with torch takes seconds. A crash, a hang or a blow-up ends the child alone.
"""

import contextlib
import dataclasses
import gc
import importlib
import io
import os
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path

from pytorch_sketch_rnn.errors import run_command

WORK, TEMPORARY, STDOUT, STDERR, MODULES = "work", "tmp", "stdout", "stderr", "modules"
HANG, MEMORY = "hang", "memory"
INCOMPLETE = 97  # exit code of a child whose command succeeded but left something incomplete
_CLOCK = 12  # times the limit of processor time that may pass on the clock: the machine may be busy
_BACKSTOP = 8 * 2**30  # bytes of address space; memory that is touched is limited far below, by watching it


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one command may take.

    Attributes:
        seconds: of processor time; a command that waits without using any is ended after twelve times as many.
        memory: bytes of resident memory that it may take beyond those of the forking process.
        file_size: bytes of each file that it writes.
    """

    seconds: int = 10
    memory: int = 2**30
    file_size: int = 2**28


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: the exit code; the negative number of the signal that ended it.
        killed: ``HANG`` or ``MEMORY`` if a limit ended it, else empty.
        seconds: of processor time.
        memory: most bytes of resident memory beyond those of the forking process.
    """

    code: int
    killed: str
    seconds: float
    memory: int


class Child:
    """A running child.

    Args:
        main: the command's own entry function.
        argv: its arguments; paths in them are relative to ``folder / WORK``.
        folder: has ``WORK``, the working folder, and ``TEMPORARY``, an empty one. Standard output and error are
            written beside them.
        whole: called in the child after success; an exception says that something is incomplete.
        limits: of the child.
    """

    def __init__(
        self, main: Callable[[list[str]], int], argv: list[str], folder: Path, whole: Callable[[], None], limits: Limits
    ) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._limits = limits
        self._own, self._own_private = _memory(os.getpid())
        self._started = time.monotonic()
        self._peak, self._killed = 0, ""
        self.pid = os.fork()
        if self.pid == 0:
            _run_in_child(main, argv, folder, whole, limits)
        self.descriptor = os.pidfd_open(self.pid)  # readable as soon as the child has ended

    def watch(self) -> None:
        """Kill the child if it is beyond a limit."""
        self._peak = max(self._peak, _memory(self.pid)[1] - self._own_private)
        if self._peak > self._limits.memory:
            self.kill(MEMORY)
        elif time.monotonic() - self._started > _CLOCK * self._limits.seconds:
            self.kill(HANG)

    def kill(self, reason: str) -> None:
        """End the child and what it started."""
        self._killed = reason
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> Ended:
        """Wait for the end of the child; called once."""
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.descriptor)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGXCPU:
            self._killed = HANG
        # the system's own maximum also knows what came and went between two looks
        peak = max(self._peak, usage.ru_maxrss * 1024 - self._own)
        if peak > self._limits.memory:
            self._killed = MEMORY
        return Ended(code, self._killed, usage.ru_utime + usage.ru_stime, peak)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C to the end: in the middle of a fork, Python may lose it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def import_modules(names: list[str]) -> None:
    """Import modules before forking, so that no child needs to.

    Args:
        names: as a child has listed them in its file ``MODULES``; one that cannot be imported is left to the children.
    """
    # TensorBoard imports TensorFlow, which must not share a process with torch, unless a module of this name exists
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    for name in names:
        if name not in sys.modules and not name.startswith("tensorflow"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the collector of a child would otherwise copy the memory that it shares


def _memory(pid: int) -> tuple[int, int]:
    """Bytes of resident memory of a process, all of them and those that are no file's; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0, 0
    if len(fields) < 3:
        return 0, 0
    resident, of_files = (int(field) * os.sysconf("SC_PAGE_SIZE") for field in fields[1:3])
    return resident, resident - of_files


def _run_in_child(
    main: Callable[[list[str]], int], argv: list[str], folder: Path, whole: Callable[[], None], limits: Limits
) -> None:
    code = 1
    try:
        _enter(folder, limits)
        code = run_command(main, argv)
        if code == 0:
            code = INCOMPLETE
            whole()
            code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            (folder / MODULES).write_text("\n".join(sys.modules), encoding="utf-8")
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)  # no destructors or exit handlers: those are the parent's


def _enter(folder: Path, limits: Limits) -> None:
    """Give the child a session, files, folders and limits of its own."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.chdir(folder / WORK)
    os.environ["TMPDIR"] = str(folder / TEMPORARY)
    os.environ["XDG_CACHE_HOME"] = str(folder / TEMPORARY)
    tempfile.tempdir = None
    for descriptor, name, mode in ((0, os.devnull, os.O_RDONLY), (1, STDOUT, os.O_WRONLY), (2, STDERR, os.O_WRONLY)):
        opened = os.open(folder / name, mode | (os.O_CREAT if descriptor else 0))
        os.dup2(opened, descriptor)
        os.close(opened)
    # as the interpreter opens them
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "strict", write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
    import resource  # other systems do not have it, but import this module

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_size, limits.file_size))
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _BACKSTOP,) * 2)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
