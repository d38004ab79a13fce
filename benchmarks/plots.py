"""The pictures of a benchmark."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from benchmarks.page import Turns


def plot_ratios(cases: Mapping[str, Turns], path: Path) -> None:
    """The official time over ours for every case and backend, with the spread over the rounds."""
    rows = []
    for name, turns in cases.items():
        official = [statistics.median(turn["step"]) for turn in turns["official"]]
        for side, ours in turns.items():
            if side != "official":
                ratios = [a / statistics.median(b["step"]) for a, b in zip(official, ours, strict=True)]
                rows.append((f"{name}: {side}", statistics.median(ratios), min(ratios), max(ratios)))
    rows.reverse()
    figure = Figure(figsize=(8, 0.8 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    middle = [row[1] for row in rows]
    spread = [[row[1] - row[2] for row in rows], [row[3] - row[1] for row in rows]]
    colours = ["tab:blue" if row[0].endswith(": fast") else "lightsteelblue" for row in rows]
    axes.barh([row[0] for row in rows], middle, xerr=spread, color=colours, ecolor="black", capsize=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("official time / our time, a training step")
    figure.savefig(path, dpi=110)


def plot_growth(growth: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Seconds of a step against each size, and what the arithmetic alone would let one expect from the largest."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    plots = figure.subplots(1, len(growth), sharey=True)
    for axes, (name, points) in zip(plots, growth.items(), strict=True):
        values = [point["value"] for point in points]
        seconds, gflop = ([point[key] for point in points] for key in ("step", "gflop"))
        axes.loglog(values, seconds, "o-", label="measured")
        axes.loglog(values, [seconds[-1] * each / gflop[-1] for each in gflop], "--", label="as its arithmetic")
        axes.set_xlabel(name)
        axes.set_xticks(values, [str(value) for value in values])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
        axes.minorticks_off()
        axes.grid(axis="y", color="lightgrey")
    figure.axes[0].set_ylabel("s a training step")
    figure.axes[0].legend(loc="lower right")
    figure.savefig(path, dpi=110)
