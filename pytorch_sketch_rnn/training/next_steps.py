"""The commands that a training prints at its end, as the user can type them: draw, look at the curves, resume."""

from pathlib import Path

from pytorch_sketch_rnn.command_line import PACKAGE, training_command, typed
from pytorch_sketch_rnn.data.sources.read import KANJI
from pytorch_sketch_rnn.device import AUTO, Place
from pytorch_sketch_rnn.training.publish import BEST
from pytorch_sketch_rnn.training.run_log import PLOT_FILE, TENSORBOARD
from pytorch_sketch_rnn.training.settings import Settings
from pytorch_sketch_rnn.training.stroke_sets import set_paths
from pytorch_sketch_rnn.training.trainer import Trainer

_COMMAND = ["python", "-m", PACKAGE]


def resume_command(folder: Path, device: str) -> str:
    """The command that resumes a stopped run.

    Args:
        folder: of the run.
        device: the value of ``--device``.
    """
    flags = [f"--save_dir={folder}", "--resume", *([] if device == AUTO else [f"--device={device}"])]
    return typed([*training_command(Place.here().size), *flags])


def after_training(folder: Path, settings: Settings, trainer: Trainer) -> str:
    """What to do with a trained model, in some lines."""
    best = folder / BEST
    lines = [f"done. Draw with it: {typed([*_COMMAND, 'sample', best, '--out', 'sketches.svg'])}"]
    if trainer.model.encoder is not None:
        lines += _like_lines(folder, settings, trainer)
    curves = typed(["tensorboard", "--logdir", folder / TENSORBOARD])
    return "\n".join([*lines, f"Look at its curves: {folder / PLOT_FILE}, or {curves}"])


def _like_lines(folder: Path, settings: Settings, trainer: Trainer) -> list[str]:
    """How to reconstruct sketches of the test split, of the first set if there are several; nothing if it is empty."""
    if not len(trainer.sets.test):
        return []
    lines = []
    if settings.data_dir is None:
        path = folder / f"{KANJI}.npz"
        lines.append(f"Make a file of its kanji: {typed([*_COMMAND, 'dataset', KANJI, path])}")
    else:
        path = set_paths(settings)[0]
    like = typed([*_COMMAND, "sample", folder / BEST, "--like", path, "--out", "like.svg"])
    return [
        *lines,
        f"Draw like its test sketches: {like}",
        "After a short training these look right, while sketches without --like look broken: those are drawn from "
        "N(0, I), and the latent vectors of real sketches are not spread like that yet.",
    ]
