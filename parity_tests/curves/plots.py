"""Pictures (PNG) of training curves, with both sides in one panel."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from parity_tests.curves.permutation_test import BLOCK, COSTS, Comparison, Points, Runs
from parity_tests.judge.training import Curves
from pytorch_sketch_rnn.files import atomic_path

MAGENTA, OURS, OFFICIAL = "#c2185b", "#1565c0", "#9e9e9e"
LABELS = {"cost": "cost", "r_cost": "reconstruction cost", "kl_cost": "KL cost"}
# the reconstruction cost is a mean over points, the KL cost a mean over the elements of the latent vector
UNITS = {"cost": "nats", "r_cost": "nats a point", "kl_cost": "nats an element of z"}
COLOURS = 64  # in the palette of a picture
ZERO = 1e-18  # place of a difference of 0 on the logarithmic scale
SETTINGS: dict[Any, Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10}


def replayed_picture(path: Path, title: str, curves: Curves, official_drift: Mapping[str, Sequence[float]]) -> None:
    """Draw the curves of a replayed run, and below each the difference between the two sides.

    Args:
        path: of the PNG.
        title: of the picture.
        curves: of both sides.
        official_drift: for each cost and step, the difference between official runs whose initial weights differ by
            1e-15, relative to the cost's largest value.
    """
    with _picture(path, title) as panels:
        for column, name in enumerate(COSTS):
            theirs, ours = np.array(curves.theirs[name]), np.array(curves.ours[name])
            top, bottom = panels[0, column], panels[1, column]
            top.plot(theirs, color=MAGENTA, linewidth=4, alpha=0.4, label="Magenta")
            top.plot(ours, color=OURS, linewidth=1.2, label="ours")
            _label(top, LABELS[name], UNITS[name])
            difference = np.abs(ours - theirs) / np.abs(theirs).max()
            bottom.semilogy(
                np.maximum(official_drift[name], ZERO),
                color=OFFICIAL,
                linewidth=4,
                alpha=0.6,
                label="Magenta, weights perturbed by 1e-15",
            )
            bottom.semilogy(np.maximum(difference, ZERO), color=OURS, linewidth=1.2, label="ours")
            bottom.set_ylim(ZERO / 2, max(1.0, float(np.nanmax(difference))))
            _label(bottom, f"difference in {LABELS[name]}, free run", "relative to the largest value; 0 at the bottom")
        panels[0, 0].legend(frameon=False)
        panels[1, 0].legend(frameon=False, loc="upper left", fontsize=8)


def independent_picture(
    path: Path, title: str, theirs: Runs, ours: Runs, comparison: Comparison, save_every: int
) -> None:
    """Draw runs with independent random numbers: mean, minimum and maximum of both sides, and the band of the test.

    Args:
        path: of the PNG.
        title: of the picture.
        theirs: the official runs, quantity -> [runs, steps or validations].
        ours: our runs.
        comparison: outcome of the test, whose band is drawn.
        save_every: steps between two validations.
    """
    by_quantity = {points.quantity: points for points in comparison.points}
    with _picture(path, title) as panels:
        for column, name in enumerate(COSTS):
            for row, split in enumerate(("train", "valid")):
                quantity, axes = f"{split}/{name}", panels[row, column]
                block = BLOCK if split == "train" else 1
                for label, colour, runs in (("Magenta", MAGENTA, theirs), ("ours", OURS, ours)):
                    if quantity in runs:
                        _draw_runs(axes, label, colour, _blocks(runs[quantity], block), split, save_every)
                if quantity in by_quantity:
                    _draw_band(axes, by_quantity[quantity], comparison.critical, split, save_every)
                what = f"training, mean of {BLOCK} steps" if split == "train" else "validation"
                _label(axes, f"{LABELS[name]}, {what}", UNITS[name])
        panels[0, 0].legend(frameon=False, fontsize=8)


def long_picture(path: Path, title: str, result: Mapping[str, Any]) -> None:
    """Draw one long run of each side: every step in a pale colour, means of :data:`BLOCK` steps, the validations.

    Args:
        path: of the PNG.
        title: of the picture.
        result: as from :func:`parity_tests.curves.long_report.content`.
    """
    with _picture(path, title) as panels:
        for column, name in enumerate(COSTS):
            top, bottom = panels[0, column], panels[1, column]
            for label, colour, side in (("Magenta", MAGENTA, "magenta"), ("ours", OURS, "ours")):
                steps, values = np.array(result[side]["train/step"]), np.array(result[side][f"train/{name}"])
                top.plot(steps, values, color=colour, linewidth=0.6, alpha=0.25)
                top.plot(_means(steps), _means(values), color=colour, linewidth=1.4, label=label)
                validations = (result[side]["valid/step"], result[side][f"valid/{name}"])
                bottom.plot(*validations, color=colour, linewidth=1.4, marker="o", markersize=3, label=label)
            _label(top, f"{LABELS[name]}, training, means of {BLOCK} steps", UNITS[name])
            _label(bottom, f"{LABELS[name]}, validation", UNITS[name])
        panels[0, 0].legend(frameon=False)


def _means(values: np.ndarray) -> np.ndarray:
    """The means of whole blocks."""
    return _blocks(values[None, : len(values) // BLOCK * BLOCK], BLOCK)[0]


def _blocks(values: np.ndarray, block: int) -> np.ndarray:
    starts = range(0, values.shape[1], block)
    return np.stack([values[:, start : start + block].mean(axis=1) for start in starts], axis=1)


def _steps(count: int, split: str, save_every: int) -> np.ndarray:
    """The training step at which each point of a curve is drawn."""
    return (np.arange(count) + 0.5) * BLOCK if split == "train" else (np.arange(count) + 1) * save_every


def _draw_runs(axes: Axes, label: str, colour: str, values: np.ndarray, split: str, save_every: int) -> None:
    steps = _steps(values.shape[1], split, save_every)
    axes.fill_between(
        steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0,
        label=f"{label}, smallest to largest of {len(values)} runs",
    )  # fmt: skip
    axes.plot(steps, values.mean(axis=0), color=colour, linewidth=1.4, label=f"{label}, mean")


def _draw_band(axes: Axes, points: Points, critical: float, split: str, save_every: int) -> None:
    """Draw the two lines between which our mean must lie."""
    steps = _steps(len(points.first), split, save_every)
    for sign in (-1, 1):
        axes.plot(
            steps, (points.theirs + sign * critical * points.error)[:-1], color="black", linewidth=0.8, linestyle=":",
            label="our mean must lie between" if sign == 1 else None,
        )  # fmt: skip


def _label(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("training step")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.2)


@contextmanager
def _picture(path: Path, title: str) -> Iterator[np.ndarray]:
    """Yield two rows of three panels, and write them as a PNG."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(12, 6.6), layout="constrained")
        figure.suptitle(title)
        yield figure.subplots(2, len(COSTS))
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=90)
        with atomic_path(path) as temporary:  # few colours: a third of the size
            Image.open(drawn).convert("RGB").quantize(COLOURS).save(temporary, format="png", optimize=True)
