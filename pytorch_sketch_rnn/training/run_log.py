"""The log of a training run: ``curves.csv``, TensorBoard, and a plot.

The CSV has one row for each training step, validation and test. Its floats read back bit by bit. TensorBoard gets the
tags of Magenta's ``sketch_rnn_train.py`` (``train``), and the training costs every 20 steps, as there.
"""

import os
import sys
import types
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.model.losses import CostValues
from pytorch_sketch_rnn.regular_file import open_regular
from pytorch_sketch_rnn.training.trainer import StepValues

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

CURVES_FILE, PLOT_FILE, TENSORBOARD = "curves.csv", "curves.png", "tensorboard"  # in a run's folder
COSTS = ("cost", "r_cost", "kl_cost")
SCHEDULES = ("learning_rate", "kl_weight")
# The columns of a split; its other cells are empty.
FILLED = {
    "train": (*COSTS, *SCHEDULES, "seconds"),
    "valid": (*COSTS, "seconds"),
    "test": (*COSTS, "seconds"),
}
TENSORBOARD_EVERY = 20  # training steps, as in Magenta
_TAGS = {"cost": "{}_Cost", "r_cost": "{}_Reconstr_Cost", "kl_cost": "{}_KL_Cost", "seconds": "Time_Taken_{}"}
_SCHEDULE_TAGS = {"learning_rate": "Learning_Rate", "kl_weight": "KL_Weight"}
_NAMES = {"train": "Train", "valid": "Valid", "test": "Eval"}  # Magenta's names of the splits

_HEADER = ",".join(("step", "split", *FILLED["train"])) + "\n"
_MARGINS = {"left": 0.07, "right": 0.93, "bottom": 0.07, "top": 0.96, "wspace": 0.25, "hspace": 0.22}  # of the plot
_LONGEST_LINE = 1000  # bytes; a row has at most 200
_LARGEST_STEP = 2**63 - 1

Curves = dict[str, dict[str, np.ndarray]]


class RunLog:
    """Writes ``curves.csv`` and the TensorBoard folder ``tensorboard`` of one run; a context manager.

    Each row is in the file when its method returns, and on the disk after ``flush``.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Open the log of a run whose next training step is ``step``.

        Rows of this and later steps are removed, and so is an incomplete last line: an interrupted run wrote them.

        Args:
            folder: an existing folder.
            step: the next training step, counted from 0; 0 empties an earlier log.

        Raises:
            BadInput: when the folder cannot be written, or holds a damaged ``curves.csv``.
        """
        path = Path(folder) / CURVES_FILE
        self._last = trim_curves(folder, step)
        self._seconds = 0.0
        try:
            # Line buffering, so that a reader finds whole rows during the run or after it was killed.
            self._file = path.open("a", buffering=1, encoding="ascii", newline="\n")
            try:
                self._tensorboard = _open_tensorboard(Path(folder) / TENSORBOARD, step)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise BadInput(f"{folder}: the log of the run cannot be written ({error.strerror or error})") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def train(self, result: StepValues, seconds: float) -> None:
        """Record a training step, which took ``seconds``.

        TensorBoard gets every 20th step except step 0, with the time since the last one it got, as in Magenta.
        """
        costs, schedules = (result.cost, result.r_cost, result.kl_cost), (result.learning_rate, result.kl_weight)
        self._write(result.step, "train", (*costs, *schedules, seconds))
        self._seconds += seconds
        if result.step % TENSORBOARD_EVERY == 0 and result.step > 0:
            self._add_costs(result.step, "train", costs, self._seconds)
            self._seconds = 0.0
            for name, value in zip(SCHEDULES, schedules, strict=True):
                self._tensorboard.add_scalar(_SCHEDULE_TAGS[name], value, result.step)

    def valid(self, step: int, costs: CostValues, seconds: float) -> None:
        """Record the mean costs of the validation split after training step ``step``."""
        self._write(step, "valid", (*costs, seconds))
        self._add_costs(step, "valid", costs, seconds)

    def test(self, step: int, costs: CostValues, seconds: float) -> None:
        """Record the mean costs of the test split after training step ``step``; its name in TensorBoard is Eval."""
        self._write(step, "test", (*costs, seconds))
        self._add_costs(step, "test", costs, seconds)

    def best(self, step: int, valid_cost: float) -> None:
        """Record in TensorBoard that the validation after training step ``step`` has the lowest cost so far."""
        self._tensorboard.add_scalar("Best_Valid_Cost", valid_cost, step)

    def parameters(self, count: int) -> None:
        """Record in TensorBoard the number of trainable parameters."""
        self._tensorboard.add_scalar("Num_Trainable_Params", count, 0)

    def flush(self) -> None:
        """Write every row to the disk, as must be done before a checkpoint of its step is written."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._tensorboard.flush()

    def close(self) -> None:
        """Close the log; a second call does nothing."""
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            self._file.close()
            self._tensorboard.close()

    def _write(self, step: int, split: str, values: Sequence[float]) -> None:
        if step <= self._last.get(split, -1):  # read_curves would refuse the file
            raise ValueError(f"{split}: step {step} comes after step {self._last[split]}")
        self._file.write(_line(step, split, values))
        self._last[split] = step

    def _add_costs(self, step: int, split: str, costs: Sequence[float], seconds: float) -> None:
        for name, value in zip((*COSTS, "seconds"), (*costs, seconds), strict=True):
            self._tensorboard.add_scalar(_TAGS[name].format(_NAMES[split]), value, step)


def read_curves(path: Path) -> Curves:
    """Read a ``curves.csv``.

    Returns:
        For each of train, valid and test the columns (``FILLED``) as float64 [rows], ``seconds`` in seconds, and
        ``step`` as int64 [rows], increasing. A split may have no rows.

    Raises:
        BadInput: when the file is missing or is not exactly as ``RunLog`` writes it.
    """
    path = Path(path)
    read: dict[str, dict[str, array[Any]]] = {
        split: {"step": array("q"), **{name: array("d") for name in names}} for split, names in FILLED.items()
    }
    for split, step, values, _ in _rows(path, may_end_early=False):
        read[split]["step"].append(step)
        for name, value in zip(FILLED[split], values, strict=True):
            read[split][name].append(value)
    return {
        split: {name: np.array(column, np.int64 if name == "step" else np.float64) for name, column in columns.items()}
        for split, columns in read.items()
    }


def plot_curves(curves: Path, picture: Path) -> None:
    """Plot a ``curves.csv`` as a PNG: the three costs over the steps, and the schedules.

    Training costs are drawn twice: every step in a pale colour, and block means.

    Raises:
        BadInput: when the CSV is missing, damaged or without a training step, or the picture cannot be written.
    """
    read = read_curves(curves)
    if not len(read["train"]["step"]):
        raise BadInput(f"{curves}: expected a training step to draw, got none")
    figure = Figure(figsize=(11, 7.5))
    figure.subplots_adjust(**_MARGINS)  # a layout that finds them draws everything twice, at every save of a run
    panels = figure.subplots(2, 2, sharex=True).ravel()
    titles = ("cost", "reconstruction cost", "KL cost")
    for axes, name, title in zip(panels, COSTS, titles, strict=False):
        _draw_cost(axes, read, name)
        axes.set_title(title, loc="left", fontsize=11)
    panels[0].legend(frameon=False, fontsize=9)
    _draw_schedules(panels[3], read["train"])
    for axes in panels:
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("training step")
        axes.xaxis.set_tick_params(labelbottom=True)
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _open_tensorboard(folder: Path, step: int) -> "SummaryWriter":
    """Open TensorBoard's writer, with TensorBoard's own file functions even where TensorFlow is installed.

    TensorBoard would import TensorFlow, which takes seconds and starts threads that compete with torch's. It does not
    if a module ``tensorboard.compat.notf`` exists (see ``tensorboard.compat``), so an empty one is registered. It
    affects nothing but that choice, which TensorBoard makes once per process, when its first writer is opened.
    """
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder, purge_step=step)


def check_curves(folder: Path) -> None:
    """Check the ``curves.csv`` of an interrupted run, without changing it; it may be missing.

    Raises:
        BadInput: when it is damaged, an incomplete last line aside.
    """
    path = Path(folder) / CURVES_FILE
    if path.exists():
        for _ in _rows(path, may_end_early=True):
            pass


def trim_curves(folder: Path, step: int) -> dict[str, int]:
    """Keep only the rows before ``step`` of a ``curves.csv``; a missing file is begun.

    Returns:
        The last remaining step of each split that has rows.

    Raises:
        BadInput: when it is damaged, an incomplete last line aside, or cannot be written.
    """
    path = Path(folder) / CURVES_FILE
    last = {}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(_HEADER.encode())
        if path.exists():
            for split, row_step, _, line in _rows(path, may_end_early=True):
                if row_step < step:
                    file.write(line)
                    last[split] = row_step
        file.flush()
        os.fsync(file.fileno())
    return last


def _rows(path: Path, may_end_early: bool) -> Iterator[tuple[str, int, list[float], bytes]]:
    """Yield split, step, values and line of each row; ``may_end_early`` allows an incomplete last line."""
    last = dict.fromkeys(FILLED, -1)
    try:
        with open_regular(path) as file:
            header = file.readline(_LONGEST_LINE)
            if may_end_early and header != _HEADER.encode() and _HEADER.encode().startswith(header):
                return
            if header != _HEADER.encode():
                _refuse(path, 1, f"the line {_HEADER.strip()!r}", header)
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 2):
                if not line.endswith(b"\n"):
                    if may_end_early and len(line) < _LONGEST_LINE:
                        return
                    _refuse(path, number, "a line with an end", line)
                try:
                    split, step, values = _parse(line)
                except (ValueError, KeyError):
                    _refuse(path, number, f"a row of {_HEADER.strip()}", line)
                if step <= last[split]:
                    _refuse(path, number, f"a {split} step after {last[split]}", line)
                last[split] = step
                yield split, step, values, line
    except OSError as error:
        raise BadInput(f"{path}: expected the curves.csv of a run, cannot read it ({error.strerror})") from None


def _refuse(path: Path, number: int, expected: str, line: bytes) -> NoReturn:
    got = ascii(line[:120].decode("latin1"))
    raise BadInput(f"{path}: line {number}: expected {expected}, got {got}; repair that line or delete the file")


def _parse(line: bytes) -> tuple[str, int, list[float]]:
    """Return split, step and values of a row; raises ValueError or KeyError unless ``_line`` would write it so."""
    step, split, *cells = line[:-1].decode("ascii").split(",")
    columns = dict(zip(FILLED["train"], cells, strict=True))
    values = [float(columns[name]) for name in FILLED[split]]
    if _line(int(step), split, values) != line.decode("ascii") or int(step) > _LARGEST_STEP:
        raise ValueError(line)
    return split, int(step), values


def _line(step: int, split: str, values: Sequence[float]) -> str:
    """Format a row; a float's ``repr`` is the shortest text that reads back as the same float."""
    cells = {name: repr(float(value)) for name, value in zip(FILLED[split], values, strict=True)}
    return ",".join((str(step), split, *(cells.get(name, "") for name in FILLED["train"]))) + "\n"


def _draw_cost(axes: Axes, read: Curves, name: str) -> None:
    steps, values = read["train"]["step"], _drawable(read["train"][name])
    # A line from the smallest to the largest value of each block looks like one through every step.
    starts = _block_starts(len(steps), 1000)
    extremes = np.stack([np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)], axis=1)
    axes.plot(np.repeat(steps[starts], 2), extremes.ravel(), color="#b9cfe6", linewidth=0.8, label="train, every step")
    starts = _block_starts(len(steps), 100)
    sizes = np.diff(starts, append=len(steps))
    means = np.add.reduceat(values, starts) / sizes
    centres = np.add.reduceat(steps, starts) / sizes
    axes.plot(centres, means, color="#1f5fa8", linewidth=1.6, label=f"train, mean of {sizes.max()}")
    for split, colour in (("valid", "#d1495b"), ("test", "#3a7d44")):
        if len(read[split]["step"]):
            axes.plot(
                read[split]["step"], _drawable(read[split][name]), "o-", color=colour, markersize=3, linewidth=1.2,
                label=split,
            )  # fmt: skip


def _draw_schedules(axes: Axes, train: dict[str, np.ndarray]) -> None:
    every = _block_starts(len(train["step"]), 1000)
    axes.set_title("schedules", loc="left", fontsize=11)
    other = axes.twinx()
    for side, name, label, colour in (
        (axes, "learning_rate", "learning rate", "#7b4fa3"),
        (other, "kl_weight", "KL weight", "#c98a1b"),
    ):
        side.plot(train["step"][every], _drawable(train[name])[every], color=colour)
        side.set_ylabel(label, color=colour)
        side.set_ylim(bottom=0)
    other.spines["top"].set_visible(False)


def _drawable(values: np.ndarray) -> np.ndarray:
    """Replace huge and non-finite values by gaps: matplotlib cannot scale an axis for them."""
    return np.where(np.abs(values) < 1e30, values, np.nan)


def _block_starts(count: int, blocks: int) -> np.ndarray:
    """The start of each of at most ``blocks`` nearly equal blocks of ``count`` values."""
    return np.unique(np.linspace(0, count, min(blocks, count), endpoint=False).astype(np.int64))
