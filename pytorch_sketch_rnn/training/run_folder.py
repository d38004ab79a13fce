"""A training run from its first step to its last, and what it leaves in its folder at each save.

``save_dir`` holds the latest model (``config.json``, ``model.safetensors``), ``best/`` the one of the lowest validation
cost, ``checkpoints/`` what a run is resumed from, ``curves.csv`` and ``curves.png``, ``tensorboard/`` and ``samples/``.
"""

import dataclasses
import fcntl
import glob
import math
import os
import platform
import shutil
import signal
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.drawing import save_drawing
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.losses import Costs
from pytorch_sketch_rnn.model.sampling import sample_batch
from pytorch_sketch_rnn.training.checkpoint import (
    OPTIMIZER_FILE,
    checkpoint_path,
    checkpoints,
    load_optimizer,
    load_weights,
    read_state,
    remove_older,
    whole_folder,
    write_folder,
)
from pytorch_sketch_rnn.training.progress import Progress
from pytorch_sketch_rnn.training.run_log import RunLog, plot_curves
from pytorch_sketch_rnn.training.settings import Settings
from pytorch_sketch_rnn.training.trainer import NotFinite, Trainer

PICTURES = 6  # sketches in a row
TEMPERATURE = 0.4


@dataclasses.dataclass
class Best:
    """The model of the lowest validation cost so far."""

    step: int = 0
    valid_cost: float = math.inf
    test_cost: float = math.inf


def fingerprint(sets: Sets) -> dict[str, Any]:
    """What tells the data of a run from other data."""
    sizes = {split: len(getattr(sets, split)) for split in ("train", "valid", "test")}
    some = b""
    for split in (sets.train, sets.valid, sets.test):
        for place in np.linspace(0, len(split) - 1, 64).astype(int).tolist():
            with np.errstate(over="ignore"):  # what float32 cannot hold is clamped when it is trained on
                some += np.asarray(split.sketches[place], np.float32).tobytes()
    scale = {"max_seq_len": sets.hparams.max_seq_len, "scale_factor": float(sets.train.scale_factor)}
    return sizes | scale | {"crc32_of_some": zlib.crc32(some)}


def make_folder(folder: Path, settings: Settings, trainer: Trainer) -> None:
    """Make the folder of a new run: whole, with the untrained model as its first checkpoint, or not at all.

    Raises:
        BadInput: when it exists, or cannot be made.
    """
    refuse_existing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for half_made in folder.parent.glob(f".{glob.escape(folder.name)}.*.tmp"):  # by one that was killed
            shutil.rmtree(half_made, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
        temporary.chmod(0o755)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror}); choose another --save_dir") from None
    try:
        trainer.model.scale_factor = float(trainer.sets.train.scale_factor)
        trainer.model.save_pretrained(temporary)
        settings.save(temporary)
        state = _state(trainer, Best())
        write_folder(checkpoint_path(temporary, trainer.steps_done), trainer.model, trainer.optimizer, state)
        refuse_existing(folder)
        os.replace(temporary, folder)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror}); choose another --save_dir") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_existing(folder: Path) -> None:
    """Raises BadInput when there is something by that name."""
    if folder.exists() or folder.is_symlink():
        raise BadInput(f"{folder}: exists already; go on with --resume, or choose another --save_dir")


def resume(folder: Path, trainer: Trainer) -> Best:
    """Bring a trainer to the last checkpoint of a run.

    Raises:
        BadInput: when there is none, it is broken, or it was trained on other data.
    """
    found = checkpoints(folder)
    if not found:
        raise BadInput(f"{folder}: holds no checkpoint; expected one below {folder / 'checkpoints'}")
    step, path = list(found.items())[-1]
    state = read_state(path)
    if state["step"] != step:
        raise BadInput(f"{path}: says that it is of step {state['step']}; remove it to resume from the one before")
    now, then = fingerprint(trainer.sets), state.get("data")
    if then != now:
        raise BadInput(
            f"the data are not those of the run in {folder}: they were {then}, now they are {now}; give its data by "
            "--data_dir, or start another run with --init_from"
        )
    load_weights(path, trainer.model)
    if load_optimizer(path / OPTIMIZER_FILE, trainer.model, trainer.optimizer) != step:
        raise BadInput(f"{path / OPTIMIZER_FILE}: is of another step; remove {path} to resume from the one before")
    trainer.steps_done = step
    best = state.get("best")
    if not (
        isinstance(best, dict)
        and best.keys() == {field.name for field in dataclasses.fields(Best)}
        and all(isinstance(value, int | float) for value in best.values())
    ):
        raise BadInput(f"{path}: does not say which model was best; remove it to resume from the one before")
    return Best(**best)


def surroundings_differ(folder: Path, trainer: Trainer) -> list[str]:
    """What to tell where a run goes on under other circumstances, so that its losses are not bit by bit the same."""
    before, now = read_state(list(checkpoints(folder).values())[-1]), _surroundings(trainer)
    return [
        f"{name}: {before.get(name)} before, {value} now: losses will differ"
        + (", the random numbers are others" if name == "device" else " by rounding")
        for name, value in now.items()
        if before.get(name) != value
    ]


def _surroundings(trainer: Trainer) -> dict[str, Any]:
    return {
        "device": trainer.model.decoder.output_w.device.type,
        "threads": torch.get_num_threads(),
        "processes": trainer.group.size,
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }


@contextmanager
def only_run(folder: Path, group: Group) -> Iterator[None]:
    """Keep other runs from training in the same folder.

    Raises:
        BadInput: when one does.
    """
    if not group.leads:
        yield
        return
    try:
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); expected the folder of a run") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(f"{folder}: another process is training there; wait for it, or stop it first") from None
        yield


class Run:
    """The steps of a run, its validations and its saves.

    Args:
        folder: made by :func:`make_folder`.
        trainer: where it stands.
        best: what :func:`resume` gave.
        settings: how long, how often.
        say: takes lines for the user.
    """

    def __init__(
        self, folder: Path, trainer: Trainer, best: Best, settings: Settings, say: Callable[[str], None]
    ) -> None:
        self.folder, self.trainer, self.best, self.settings, self.say = folder, trainer, best, settings, say
        self.plot_again = 0.0  # not before this time
        trainer.model.scale_factor = float(trainer.sets.train.scale_factor)
        if trainer.group.leads and trainer.steps_done > 0:
            self._publish(last=False)

    def train(self, num_steps: int) -> bool:
        """Train until so many steps are done; False when the user stopped it.

        A signal to stop is obeyed between two steps, so that what is saved is a state that a run passes through.

        Raises:
            NotFinite: when a number is NaN or infinite; the last checkpoint stays.
            LostProcess: when another process is gone.
        """
        trainer = self.trainer
        with _stop_signal() as stop, self._log() as log:
            if log is not None and trainer.steps_done == 0:
                log.parameters(sum(parameter.numel() for parameter in trainer.model.parameters()))
            progress = Progress(num_steps, trainer.hparams.batch_size, self.say)
            try:
                stopped = self._steps(num_steps, stop, log, progress)
            finally:
                progress.end()
        return not stopped or trainer.steps_done == num_steps

    def _steps(self, num_steps: int, stop: Callable[[], bool], log: RunLog | None, progress: Progress) -> bool:
        trainer, stopped = self.trainer, False
        while trainer.steps_done < num_steps and not stopped:
            started = time.monotonic()
            result = trainer.step()
            if log is not None:
                log.train(*result, seconds=time.monotonic() - started)
                progress(result)
            stopped = trainer.group.any(stop(), trainer.model.decoder.output_w.device)
            done = trainer.steps_done
            due = self._validates(done) or done == num_steps
            if due or stopped:
                progress.end()
                self._save(log, validate=due, last=stopped or done == num_steps)
                progress.begin()
        return stopped

    def _validates(self, done: int) -> bool:
        """Every ``save_every`` steps; as Magenta counts, behind step 500, which is the 501st."""
        if self.settings.options.validate_as_magenta:
            return done > 1 and (done - 1) % self.settings.hparams.save_every == 0
        return done % self.settings.hparams.save_every == 0

    def _log(self) -> AbstractContextManager[RunLog | None]:
        return RunLog(self.folder, self.trainer.steps_done) if self.trainer.group.leads else nullcontext()

    def _save(self, log: RunLog | None, *, validate: bool, last: bool) -> None:
        """Validate, write the checkpoint, then what follows from it."""
        trainer = self.trainer
        step = trainer.steps_done
        trainer.check_weights()
        costs = test = None
        if validate:
            costs, valid_seconds = _timed(lambda: trainer.validate("valid"))
            if not math.isfinite(costs.cost):
                raise NotFinite(step - 1, "the validation cost after the step")
            if costs.cost < self.best.valid_cost:
                test, test_seconds = _timed(lambda: trainer.validate("test"))
                self.best = Best(step, costs.cost, test.cost)
        if log is None:
            return
        if costs is not None:
            log.valid(step - 1, *costs, seconds=valid_seconds)
        if test is not None:
            log.test(step - 1, *test, seconds=test_seconds)
            log.best(step - 1, self.best.valid_cost)
        log.flush()
        state = _state(trainer, self.best)
        write_folder(checkpoint_path(self.folder, step), trainer.model, trainer.optimizer, state)
        self._publish(last=last)
        self.say(self._told(step, costs))

    def _publish(self, *, last: bool) -> None:
        """Leave in the folder what follows from the last checkpoint, which is there already.

        Done again where a run goes on, for it may have been killed in between.
        """
        step = self.trainer.steps_done
        self.trainer.model.save_pretrained(self.folder)
        if self.best.step == step:
            with whole_folder(self.folder / "best") as best:
                self.trainer.model.save_pretrained(best)
        for picture in (self.folder / "samples").glob("step-*.png"):
            if picture.name > _picture(step).name:  # of steps that will be done again
                picture.unlink()
        self._draw(step)
        self._plot(last=last)
        remove_older(self.folder, self.settings.keep)

    def _plot(self, *, last: bool) -> None:
        """Plot the curves, but of a long run, whose plot takes long, not at every save: it may cost 2 % of the time."""
        started = time.monotonic()
        if last or started >= self.plot_again:
            plot_curves(self.folder / "curves.csv", self.folder / "curves.png")
            self.plot_again = started + 50 * (time.monotonic() - started)

    def _told(self, step: int, costs: Costs | None) -> str:
        where = f"saved {checkpoint_path(self.folder, step)}, samples/{_picture(step).name}"
        if costs is None:
            return where
        best = f"best {self.best.valid_cost:.4f} at step {self.best.step}, its test cost {self.best.test_cost:.4f}"
        return (
            f"step {step}: validation cost {costs.cost:.4f} (reconstruction {costs.r_cost:.4f}, "
            f"KL {costs.kl_cost:.4f}); {best}; {where}"
        )

    def _draw(self, step: int) -> None:
        """A page of sketches: of a conditional model some of the validation set, drawn after them, and free ones."""
        model, sets, seed = self.trainer.model, self.trainer.sets, self.settings.options.seed
        model.eval()
        draws = TorchDraws(torch.Generator(model.decoder.output_w.device).manual_seed(seed))
        pictures: list[np.ndarray] = []
        if model.encoder is not None:
            count = min(PICTURES, len(sets.valid))
            batch = sets.valid.in_order(np.linspace(0, len(sets.valid) - 1, count).astype(int).tolist())
            with torch.no_grad():
                z = model.encode(batch.sketches[:, 1:], batch.lengths)[0]
            after = sample_batch(model, count, temperature=TEMPERATURE, z=z, draws=draws)
            empty = [np.zeros((0, 3), np.float32)] * (PICTURES - count)
            pictures += [*batch.strokes, *empty, *after, *empty]
        pictures += sample_batch(model, 4 * PICTURES - len(pictures), temperature=TEMPERATURE, draws=draws)
        path = self.folder / _picture(step)
        path.parent.mkdir(exist_ok=True)
        save_drawing(path, pictures, PICTURES)


def _timed(do: Callable[[], Costs]) -> tuple[Costs, float]:
    started = time.monotonic()
    return do(), time.monotonic() - started


def _picture(step: int) -> Path:
    return Path("samples") / f"step-{step:08}.png"


def _state(trainer: Trainer, best: Best) -> dict[str, Any]:
    return {
        "step": trainer.steps_done,
        "seed": trainer.options.seed,
        "best": dataclasses.asdict(best),
        "data": fingerprint(trainer.sets),
    } | _surroundings(trainer)


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C or SIGTERM came; a second Ctrl-C interrupts at once.

    A second SIGTERM does not: a job may well be sent it twice. A signal that was ignored when the run began stays
    ignored: a shell starts background jobs that way, so that a Ctrl-C meant for another program does not stop them.
    """
    came: list[int] = []

    def take(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in came:
            raise KeyboardInterrupt
        came.append(number)

    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, take) for number in heeded}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
