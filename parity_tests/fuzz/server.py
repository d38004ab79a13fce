"""Makes mutants and runs commands on them, some at a time."""

import dataclasses
import importlib
import select
import shutil
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import torch

from parity_tests.fuzz.forked import (
    MODULES,
    STDERR,
    TEMPORARY,
    WORK,
    Child,
    Ended,
    Limits,
    import_modules,
    uninterrupted,
)
from parity_tests.fuzz.inputs import make_inputs
from parity_tests.fuzz.kinds import Command, Kind
from parity_tests.fuzz.verdict import Snapshot, fault, message_of, snapshot
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sampling import sample_batch
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

_TICK = 20  # milliseconds between two looks at the memory of the children
_INPUTS = "inputs"
_SLOW = Limits(seconds=300)  # for what is not a test: the making of the inputs


@dataclasses.dataclass(frozen=True)
class Job:
    """One mutant: kind and seed decide everything about it."""

    kind: Kind
    seed: int

    @property
    def name(self) -> str:
        """For messages and folders."""
        return f"{self.kind.name}-{self.seed}"


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a mutant.

    Attributes:
        job: which mutant.
        command: what read it.
        ended: how the command ended.
        fault: what is wrong with that; None if nothing is.
        message: the error line without names and numbers; empty if the command worked.
        folder: holds the mutant and the output; removed when the next result is asked for.
    """

    job: Job
    command: Command
    ended: Ended
    fault: str | None
    message: str
    folder: Path


@dataclasses.dataclass(frozen=True)
class _Running:
    job: Job
    command: Command
    before: Snapshot
    folder: Path
    child: Child


class Server:
    """Forks a child for each mutant.

    Args:
        scratch: an empty folder, for inputs and mutants.
        limits: of each command.
        workers: number of children at a time.
    """

    def __init__(self, scratch: Path, limits: Limits, workers: int) -> None:
        self._scratch, self._limits, self._workers = scratch.absolute(), limits, workers
        self._running: dict[int, _Running] = {}

    def prepare(self, kinds: Iterable[Kind]) -> None:
        """Make the valid inputs, see that the commands accept them, and import what the commands import.

        Raises:
            RuntimeError: when the inputs cannot be made, or a command does not accept them.
        """
        for module in {command.module for kind in kinds for command in kind.commands}:
            importlib.import_module(module)
        torch.set_num_threads(1)  # a forked process must not find threads that were started before it
        sample_batch(SketchRNN(HParams(enc_rnn_size=1, dec_rnn_size=1)), 1, 1)  # else each child compiles its backend
        folder = self._new_folder("make")
        (self._scratch / _INPUTS).mkdir()
        maker = Child(self._make_inputs, [], folder, lambda: None, _SLOW)
        if maker.ended().code != 0:
            raise RuntimeError(f"the valid inputs cannot be made: {(folder / STDERR).read_text(errors='replace')}")
        self._learn(folder)
        for kind in kinds:
            for command in dict.fromkeys(kind.commands):
                self._check_unchanged(kind, kind.inputs[0], command)

    def _make_inputs(self, argv: list[str]) -> int:
        make_inputs(self._scratch / _INPUTS)
        return 0

    def _check_unchanged(self, kind: Kind, inputs: str, command: Command) -> None:
        folder = self._new_folder("unchanged")
        shutil.copytree(self._scratch / _INPUTS / inputs, folder / WORK, dirs_exist_ok=True)
        before = snapshot(folder / WORK)
        ended = self._fork(command, folder, _SLOW).ended()
        wrong = fault(command, before, folder, ended) or (f"exit code {ended.code}" if ended.code else None)
        if wrong:
            err = (folder / STDERR).read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{kind.name}, unchanged, {' '.join(command.arguments)}: {wrong}: {err}")
        self._learn(folder)

    def _learn(self, folder: Path) -> None:
        import_modules((folder / MODULES).read_text(encoding="utf-8").splitlines())
        shutil.rmtree(folder)

    def results(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Run the jobs; yield each result as soon as it is there."""
        try:
            for job in jobs:
                yield from self._start(job)
                while len(self._running) >= self._workers:
                    yield from self._ended()
            while self._running:
                yield from self._ended()
        finally:
            self._stop()

    def _start(self, job: Job) -> Iterator[Result]:
        """Start a job; yields a result at once if there is no mutant, which is a fault of ours."""
        folder = self._new_folder(job.name)
        command = choose_command(job)
        try:
            make_mutant(job, self._scratch / _INPUTS, folder / WORK)
        except Exception as error:  # must not end a run of an hour
            (folder / STDERR).write_text(traceback.format_exc(), encoding="utf-8")
            yield Result(job, command, Ended(0, "", 0, 0), f"no mutant: {type(error).__name__}", "", folder)
            shutil.rmtree(folder, ignore_errors=True)
            return
        before = snapshot(folder / WORK)
        limits = dataclasses.replace(self._limits, seconds=self._limits.seconds + job.kind.seconds)
        with uninterrupted():  # so that no child is forgotten
            child = self._fork(command, folder, limits)
            self._running[child.descriptor] = _Running(job, command, before, folder, child)

    def _fork(self, command: Command, folder: Path, limits: Limits) -> Child:
        main = importlib.import_module(command.module).main
        return Child(main, list(command.arguments), folder, command.whole, limits)

    def _ended(self) -> Iterator[Result]:
        """The results of the children that have ended; looks at the memory of the others."""
        poll = select.poll()
        for descriptor in self._running:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(_TICK):
            running = self._running.pop(descriptor)
            ended = running.child.ended()
            wrong = fault(running.command, running.before, running.folder, ended)
            message = message_of(running.folder) if ended.code else ""
            yield Result(running.job, running.command, ended, wrong, message, running.folder)
            shutil.rmtree(running.folder, ignore_errors=True)
        for running in self._running.values():
            running.child.watch()

    def _stop(self) -> None:
        """End the children that still run."""
        for running in self._running.values():
            running.child.kill("")
            running.child.ended()
        self._running.clear()

    def _new_folder(self, name: str) -> Path:
        folder = self._scratch / name
        for part in (WORK, TEMPORARY):
            (folder / part).mkdir(parents=True)
        return folder


def choose_command(job: Job) -> Command:
    """The command that reads the mutant."""
    return Random(f"{job.kind.name} {job.seed} command").choice(job.kind.commands)


def make_mutant(job: Job, inputs: Path, folder: Path) -> None:
    """Write a mutant, with everything that belongs to it.

    Args:
        job: decides everything.
        inputs: folder of all valid inputs.
        folder: an empty one.
    """
    random = Random(f"{job.kind.name} {job.seed}")
    shutil.copytree(inputs / random.choice(job.kind.inputs), folder, dirs_exist_ok=True)
    job.kind.mutate(random, folder)
