"""The steps of a training run, its validations and its saves.

``save_dir`` holds the latest model (``config.json``, ``model.safetensors``), ``best/`` the one of the lowest validation
cost, ``checkpoints/`` what a run is resumed from, ``curves.csv`` and ``curves.png``, ``tensorboard/`` and ``samples/``.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pytorch_sketch_rnn.model.losses import CostValues
from pytorch_sketch_rnn.training.checkpoint import checkpoint_path, write_folder
from pytorch_sketch_rnn.training.progress import Progress
from pytorch_sketch_rnn.training.publish import Publisher, samples_path
from pytorch_sketch_rnn.training.run_log import RunLog, trim_curves
from pytorch_sketch_rnn.training.run_state import Best, run_state
from pytorch_sketch_rnn.training.stop_signal import stop_requests
from pytorch_sketch_rnn.training.trainer import NotFinite, StepResult, Trainer

# Steps that are started before the host looks at their numbers: it would wait for a GPU after each one otherwise.
STEPS_IN_FLIGHT = 4


class Run:
    """A training in its folder.

    Args:
        folder: from :func:`run_folder.make_folder`.
        trainer: the training, at step 0 or resumed.
        best: the best model so far, from :func:`resume.resume`.
        keep: number of checkpoints to keep.
        report: prints lines for the user; called on rank 0 only.
    """

    def __init__(self, folder: Path, trainer: Trainer, best: Best, keep: int, report: Callable[[str], None]) -> None:
        self.folder, self.trainer, self.best, self.report = folder, trainer, best, report
        self.publisher = Publisher(folder, keep)

    def publish_resumed(self) -> None:
        """Publish the checkpoint that the run was resumed from: it may have been killed before it did that."""
        trainer = self.trainer
        if not trainer.group.leads or trainer.steps_done == 0:
            return
        last_steps = trim_curves(self.folder, trainer.steps_done)
        self.publisher.publish(trainer, self.best)
        if "train" in last_steps:
            self.publisher.plot(now=True)

    def train(self, num_steps: int) -> bool:
        """Train until ``num_steps`` steps are done in all.

        A stop signal takes effect between two steps, so that the saved state is one that an uninterrupted run also
        passes through.

        Returns:
            False when the user stopped the run early.

        Raises:
            NotFinite: when a number is NaN or infinite; the last checkpoint is kept.
            LostProcess: when another process is gone.
        """
        trainer = self.trainer
        with (
            stop_requests() as stop,
            self._log() as log,
            Progress(num_steps, trainer.steps_done, self.report, enabled=trainer.group.leads) as progress,
        ):
            if log is not None and trainer.steps_done == 0:
                log.parameters(sum(parameter.numel() for parameter in trainer.model.parameters()))
            stopped = self._steps(num_steps, stop, log, progress)
        return not stopped or trainer.steps_done == num_steps

    def _steps(self, num_steps: int, stop: Callable[[], bool], log: RunLog | None, progress: Progress) -> bool:
        trainer, stopped = self.trainer, False
        device = trainer.model.decoder.output_w.device
        together = 1 if device.type == "cpu" else STEPS_IN_FLIGHT
        while trainer.steps_done < num_steps and not stopped:
            started, due = time.monotonic(), False
            results: list[StepResult] = []
            while len(results) < together and not due:
                results.append(trainer.step())
                done = trainer.steps_done
                due = self._validates(done) or done == num_steps
            self._check(results, started, log, progress)
            stopped = trainer.group.any(stop(), device)
            if due or stopped:
                with progress.paused():
                    self._save(log, validate=due, last=stopped or done == num_steps)
        return stopped

    def _check(self, results: list[StepResult], started: float, log: RunLog | None, progress: Progress) -> None:
        """Log and show the steps since the last check, up to the first that was not finite."""
        try:
            self.trainer.check()
        finally:
            done = [result.on_host() for result in results if result.step < self.trainer.steps_done]
            seconds = (time.monotonic() - started) / max(len(done), 1)
            if log is not None:
                for result in done:
                    log.train(result, seconds)
                    progress.update(result)

    def _validates(self, done: int) -> bool:
        """Whether to validate after ``done`` steps.

        Magenta validates after step ``save_every`` counted from 0, which is one step later.
        """
        save_every = self.trainer.hparams.save_every
        if self.trainer.options.validate_as_magenta:
            return done > 1 and (done - 1) % save_every == 0
        return done % save_every == 0

    def _log(self) -> AbstractContextManager[RunLog | None]:
        return RunLog(self.folder, self.trainer.steps_done) if self.trainer.group.leads else nullcontext()

    def _save(self, log: RunLog | None, *, validate: bool, last: bool) -> None:
        """Validate, write the checkpoint, then publish it."""
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
            log.valid(step - 1, costs, valid_seconds)
        if test is not None:
            log.test(step - 1, test, test_seconds)
            log.best(step - 1, self.best.valid_cost)
        log.flush()
        state = run_state(trainer, self.best)
        write_folder(checkpoint_path(self.folder, step), trainer.model, trainer.optimizer, state)
        self.publisher.publish(trainer, self.best)
        self.publisher.plot(now=last)
        self.report(self._summary(step, costs))

    def _summary(self, step: int, costs: CostValues | None) -> str:
        saved = f"saved {checkpoint_path(self.folder, step)}, {samples_path(step)}"
        if costs is None:
            return saved
        best = f"best {self.best.valid_cost:.4f} at step {self.best.step}, its test cost {self.best.test_cost:.4f}"
        return (
            f"step {step}: validation cost {costs.cost:.4f} (reconstruction {costs.r_cost:.4f}, "
            f"KL {costs.kl_cost:.4f}); {best}; {saved}"
        )


def _timed(compute: Callable[[], CostValues]) -> tuple[CostValues, float]:
    started = time.monotonic()
    return compute(), time.monotonic() - started
