"""The tables of a benchmark, as Markdown."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytorch_sketch_rnn.hparams import HParams

DEFAULT = HParams()
Turns = Mapping[str, Sequence[Mapping[str, Any]]]  # by side
_DRAWN = ("sample_one", "sample_batch")


def page(results: Mapping[str, Any]) -> str:
    """The page of a benchmark; what stands above its second heading is what the README shows.

    Args:
        results: ``machine``, and ``cases``: for each name its ``turns`` by side, in order; perhaps ``growth``.
    """
    cases, about = results["cases"], results["machine"]
    lines = [
        "# Speed",
        "",
        *summary(cases),
        "",
        "## Training, with every backend",
        "",
        *training_table(cases),
        "",
        "A ratio is the median over the rounds, each of which times all sides in turn; in brackets its smallest and "
        "largest. The products are the matrix products of the step alone, done again with the same shapes. Memory is "
        "the most that was resident in a process that trains, its libraries included.",
        "",
        "![how much faster a training step is](bench.png)",
        "",
        *parts_section(cases),
        "## Sampling, with every backend",
        "",
        *sampling_table(cases),
        "",
        *around(cases),
        *(growth_section(results["growth"]) if "growth" in results else []),
        "",
        "## The machine",
        "",
        ", ".join(f"{name} {value}" for name, value in about.items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def summary(cases: Mapping[str, Turns]) -> list[str]:
    """Every case with the default backend: a training step, and drawing."""
    lines = [
        "| training step of | official, s | ours, s | official / ours | reference / ours | memory, of the official |",
        "|---|---|---|---|---|---|",
    ]
    for name, turns in cases.items():
        official, ours = turns["official"], turns["fast"]
        against = ratio(turns["reference"], ours) if "reference" in turns else ""
        memory = _median(ours, "peak_mb") / _median(official, "peak_mb")
        columns = _seconds(official), _seconds(ours), ratio(official, ours), against, f"{memory:.2f}"
        lines.append(f"| {name} | {' | '.join(columns)} |")
    drawn = [(name, turns) for name, turns in cases.items() if "sample" in turns["official"][0]]
    if drawn:
        lines += [
            "",
            "| drawing with | official, ms a point | ours, one sketch, ms a point | official / ours "
            "| ours, many sketches, points a second | official / ours |",
            "|---|---|---|---|---|---|",
        ]
    for name, turns in drawn:
        columns = [f"{1e3 * _median(turns['official'], 'sample'):#.3g}", *_drawing(turns, "fast")]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return lines


def _drawing(turns: Turns, side: str) -> list[str]:
    """One sketch, ms a point, and many, points a second; each with the official time over it."""
    columns = []
    for kind in _DRAWN:
        median = _median(turns[side], kind)
        columns.append(f"{1e3 * median:#.3g}" if kind == "sample_one" else f"{1 / median:,.0f}")
        columns.append(_spread([a["sample"] / b[kind] for a, b in zip(turns["official"], turns[side], strict=True)]))
    return columns


def growth_section(growth: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """How a training step's time grows with each size, the others being the default ones."""
    lines = [
        "",
        "## How the time grows",
        "",
        "Training steps of our code alone, layer_norm. The last column is what must not grow.",
        "",
        "![time against size](growth.png)",
        "",
        "| varied | value | s a step | GFLOP of its products | s for 100 GFLOP |",
        "|---|---|---|---|---|",
    ]
    for varied, points in growth.items():
        for point in points:
            seconds, gflop = point["step"], point["gflop"]
            columns = f"{point['value']}", f"{seconds:#.3g}", f"{gflop:,.0f}", f"{100 * seconds / gflop:#.3g}"
            lines.append(f"| {varied} | {' | '.join(columns)} |")
    return lines


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


def parts_section(cases: Mapping[str, Turns]) -> list[str]:
    """What a step's time with the default backend is spent on."""
    measured = {name: turns["fast"] for name, turns in cases.items() if "kernels" in turns["fast"][0]}
    if not measured:
        return []
    lines = [
        "## Where the time of a training step goes",
        "",
        "With the default backend, in seconds. The kernels are what a step of a sequence does besides its products. "
        "The rest is what remains: the batch, the mixture and its loss, Adam, moving data, and Python.",
        "",
        "| a training step of | s | matrix products | kernels | dropout masks | the rest |",
        "|---|---|---|---|---|---|",
    ]
    for name, turns in measured.items():
        whole, *parts = (_median(turns, part) for part in ("step", "products", "kernels", "masks"))
        shares = (f"{seconds:#.3g} ({seconds / whole:.0%})" for seconds in (*parts, whole - sum(parts)))
        lines.append(f"| {name} | {whole:#.3g} | {' | '.join(shares)} |")
    return [*lines, ""]


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
            one, against_one, many, against_many = _drawing(turns, side)
            over = ["" if side == "reference" else ratio(turns["reference"], ours, k) for k in _DRAWN]
            columns += [one, against_one, over[0], many, against_many, over[1]]
            lines.append(f"| {name}: {_title(side, ours)} | {' | '.join(columns)} |")
    return lines


def around(cases: Mapping[str, Turns]) -> list[str]:
    """What is the same in all cases."""
    for turns in cases.values():
        for turn in turns.get("fast", ()):
            if "convert" in turn:
                between = DEFAULT.save_every * _of_turn(turn, "step")
                return [
                    f"Converting a checkpoint of {turn['checkpoint_mb']:.0f} MB with its optimizer state takes "
                    f"{turn['convert']:.2f} s and {turn['ratio']:.1f} times its memory. A training step's batch takes "
                    f"{1e3 * turn['batch']:.1f} ms and is made during the step before it; its random numbers take "
                    f"{1e3 * turn['draws']:.1f} ms without compiled kernels. Validation, test, checkpoint, model and "
                    f"pictures take {turn['save']:.1f} s together, {turn['save'] / between:.1%} of the time of the "
                    f"{DEFAULT.save_every} steps between two of them."
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
    middle, least, most = (f"{x:#.3g}".rstrip(".") for x in (statistics.median(ratios), min(ratios), max(ratios)))
    return f"**{middle}** ({least} to {most})"


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
