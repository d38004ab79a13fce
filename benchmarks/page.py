"""The tables of a benchmark, as Markdown."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Turns = Mapping[str, Sequence[Mapping[str, Any]]]  # by side


def page(results: Mapping[str, Any]) -> str:
    """The page of a benchmark; its first table is the one that the README shows.

    Args:
        results: ``machine``, and ``cases``: for each name its ``turns`` by side, in order.
    """
    cases, about = results["cases"], results["machine"]
    lines = [
        "# Speed",
        "",
        *training_table(cases),
        "",
        "A ratio is the median over the rounds, each of which times all sides in turn; in brackets its smallest and "
        "largest. The products are the matrix products of the step alone, done again with the same shapes. Memory is "
        "the most that was resident in a process that trains, its libraries included.",
        "",
        *sampling_table(cases),
        "",
        *around(cases),
        "",
        ", ".join(f"{name} {value}" for name, value in about.items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def training_table(cases: Mapping[str, Turns]) -> list[str]:
    """Training steps of every case and side."""
    lines = [
        "| a training step of | s | official / it | reference / it | it / its products | memory, of the official |",
        "|---|---|---|---|---|---|",
    ]
    for name, turns in cases.items():
        lines.append(f"| {name}: official Magenta | {_seconds(turns['official'])} | | | | |")
        for side, ours in turns.items():
            if side != "official":
                against = [ratio(turns[other], ours) if other in turns else "" for other in ("official", "reference")]
                if side == "reference":
                    against[1] = ""
                products = _of_products(ours)
                memory = _median(ours, "peak_mb") / _median(turns["official"], "peak_mb")
                lines.append(
                    f"| {name}: {_title(side, ours)} | {_seconds(ours)} | {' | '.join(against)} | {products} "
                    f"| {memory:.2f} |"
                )
    return lines


def sampling_table(cases: Mapping[str, Turns]) -> list[str]:
    """Sampling of every case and side that has it."""
    lines = [
        "| sampling with | one sketch, Magenta's random numbers, ms a point | official / it "
        "| one sketch, ms a point | official / it | reference / it "
        "| many at once, points a second | official / it | reference / it |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, turns in cases.items():
        if "sample" not in turns["official"][0]:
            continue
        official = turns["official"]
        lines.append(f"| {name}: official Magenta | {1e3 * _median(official, 'sample'):#.3g} | | | | | | | |")
        for side, ours in turns.items():
            if side == "official":
                continue
            columns = [f"{1e3 * _median(ours, 'sample'):#.3g}", ratio(official, ours, "sample")]
            for kind, speed in (
                ("sample_one", f"{1e3 * _median(ours, 'sample_one'):#.3g}"),
                ("sample_batch", f"{1 / _median(ours, 'sample_batch'):,.0f}"),
            ):
                against = _spread([a["sample"] / b[kind] for a, b in zip(official, ours, strict=True)])
                columns += [speed, against, "" if side == "reference" else ratio(turns["reference"], ours, kind)]
            lines.append(f"| {name}: {_title(side, ours)} | {' | '.join(columns)} |")
    return lines


def around(cases: Mapping[str, Turns]) -> list[str]:
    """What is the same in all cases."""
    for turns in cases.values():
        for turn in turns.get("fast", ()):
            if "convert" in turn:
                return [
                    f"Converting a checkpoint of {turn['checkpoint_mb']:.0f} MB with its optimizer state takes "
                    f"{turn['convert']:.2f} s and {turn['ratio']:.1f} times its memory. A training step's batch takes "
                    f"{1e3 * turn['batch']:.1f} ms and is made during the step before it; its random numbers take "
                    f"{1e3 * turn['draws']:.1f} ms with the reference, and are made by the kernels otherwise."
                ]
    return []


def ratio(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], name: str = "step") -> str:
    """One side's time over the other's, round by round: the median and the spread."""
    return _spread([_of_turn(a, name) / _of_turn(b, name) for a, b in zip(one, other, strict=True)])


def _of_products(turns: Sequence[Mapping[str, Any]]) -> str:
    if "products" not in turns[0]:
        return ""
    return _spread([_of_turn(turn, "step") / turn["products"] for turn in turns])


def _spread(ratios: Sequence[float]) -> str:
    return f"**{statistics.median(ratios):#.3g}** ({min(ratios):#.3g} to {max(ratios):#.3g})"


def _title(side: str, turns: Sequence[Mapping[str, Any]]) -> str:
    backend = turns[0]["backend"]
    return f"ours, {side}" if side == backend else f"ours, {side} (`{backend}`)"


def _seconds(turns: Sequence[Mapping[str, Any]]) -> str:
    return f"{_median(turns, 'step'):#.3g}"


def _median(turns: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.median(_of_turn(turn, name) for turn in turns)


def _of_turn(turn: Mapping[str, Any], name: str) -> float:
    """The median of a list of times, or a single one."""
    value = turn[name]
    middle: Callable[[Any], float] = statistics.median
    return middle(value) if isinstance(value, list) else value
