"""What a run's folder shows of its last checkpoint: the model, ``best/``, a page of sketches, the plotted curves."""

import time
from pathlib import Path

import numpy as np
import torch

from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE, checksum_lines, remove_checksums
from pytorch_sketch_rnn.data.saving import save_drawing
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.sampling import sample_batch
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE
from pytorch_sketch_rnn.training.checkpoint import checkpoint_path, remove_older, whole_folder
from pytorch_sketch_rnn.training.run_log import CURVES_FILE, PLOT_FILE, plot_curves
from pytorch_sketch_rnn.training.run_state import Best
from pytorch_sketch_rnn.training.trainer import Trainer

BEST, SAMPLES = "best", "samples"  # folders of a run
ROWS, COLUMNS = 4, 6  # sketches on a page
TEMPERATURE = 0.4


class Publisher:
    """Publishes the checkpoints of a run.

    Args:
        folder: the run's folder.
        keep: number of checkpoints to keep.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._next_plot = 0.0  # not before this time

    def publish(self, trainer: Trainer, best: Best) -> None:
        """Publish the checkpoint of the trainer's step, and remove older checkpoints.

        Doing it twice changes nothing, so that a run that was killed in between can do it again.
        """
        step = trainer.steps_done
        checkpoint = checkpoint_path(self.folder, step)
        _copy_model(checkpoint, self.folder)
        if best.step in (0, step):  # before the first validation, the last model is the best one known
            with whole_folder(self.folder / BEST) as folder:
                _copy_model(checkpoint, folder)
        for picture in (self.folder / SAMPLES).glob("step-*.png"):
            if picture.name > samples_path(step).name:  # of steps that will be done again
                picture.unlink()
        draw_samples(self.folder / samples_path(step), trainer)
        remove_older(self.folder, self.keep)

    def plot(self, *, now: bool) -> None:
        """Plot the curves: always if ``now``, otherwise only as often as plotting takes at most 2 % of the time."""
        started = time.monotonic()
        if now or started >= self._next_plot:
            plot_curves(self.folder / CURVES_FILE, self.folder / PLOT_FILE)
            self._next_plot = started + 50 * (time.monotonic() - started)


def samples_path(step: int) -> Path:
    """The page of sketches of a step, relative to the run's folder."""
    return Path(SAMPLES) / f"step-{step:08}.png"


def draw_samples(path: Path, trainer: Trainer) -> None:
    """Draw four labelled rows of sketches.

    A conditional model shows sketches of the validation set, its own versions of them below, and free samples; an
    unconditional one only free samples.
    """
    model, sets = trainer.model, trainer.sets
    model.eval()
    draws = TorchDraws(torch.Generator(model.decoder.output_w.device).manual_seed(trainer.options.seed))
    pictures: list[np.ndarray] = []
    labels: list[str] = []
    if model.encoder is not None:
        count = min(COLUMNS, len(sets.valid))
        batch = sets.valid.in_order(np.linspace(0, len(sets.valid) - 1, count).astype(int).tolist())
        with torch.no_grad():
            z = model.encode(batch.sketches[:, 1:], batch.lengths)[0]
        reconstructions = sample_batch(model, count, temperature=TEMPERATURE, z=z, draws=draws)
        empty = [np.zeros((0, 3), np.float32)] * (COLUMNS - count)
        pictures += [*batch.strokes, *empty, *reconstructions, *empty]
        labels += ["sketches of the validation set", "their reconstructions"]
    pictures += sample_batch(model, ROWS * COLUMNS - len(pictures), temperature=TEMPERATURE, draws=draws)
    labels += ["drawn from the prior" if labels else "drawn by the model"] * (ROWS - len(labels))
    path.parent.mkdir(exist_ok=True)
    title = f"step {trainer.steps_done}, temperature {TEMPERATURE:g}"
    save_drawing(path, pictures, COLUMNS, title=title, row_labels=labels)


def _copy_model(checkpoint: Path, folder: Path) -> None:
    """Copy the model of a checkpoint. It can be loaded at any moment: between the renames there are no checksums."""
    with (  # the one opened last is renamed first, as in SketchRNN.save_pretrained
        atomic_path(folder / CHECKSUMS_FILE) as checksums,
        atomic_path(folder / WEIGHTS_FILE) as weights,
        atomic_path(folder / CONFIG_FILE) as config,
    ):
        weights.write_bytes((checkpoint / WEIGHTS_FILE).read_bytes())
        config.write_bytes((checkpoint / CONFIG_FILE).read_bytes())
        lines = checksum_lines({WEIGHTS_FILE: weights, CONFIG_FILE: config})
        checksums.write_text(lines, encoding="utf-8", newline="\n")
        remove_checksums(folder)
