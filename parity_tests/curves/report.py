"""The files that a comparison of training curves leaves: everything as JSON, and a page in Markdown."""

from collections.abc import Sequence
from typing import Any

from parity_tests.curves.permutation_test import ALPHA, BLOCK, FLOOR, all_partitions
from parity_tests.curves.plan import FIRST_SEED, WEIGHTS_SEED, CurvesPlan, Departure
from parity_tests.curves.results import CurvesResult, Independent, Replayed
from parity_tests.judge.row import failures
from parity_tests.record.configurations import CURVE_SKETCHES
from parity_tests.report.json_values import json_ready
from parity_tests.report.markdown import markdown_table
from parity_tests.report.provenance import our_provenance
from parity_tests.report.sentences import describe

REPLAYED = """\
Batches, augmentation, masks and latent noise are the same on both sides. *From the official state*: each step starts
from the official weights and Adam state; the number is the largest error of anything that a step computes. *Free run*:
ours starts from the initial weights and continues by itself; the number is the largest difference of a cost, relative
to its largest value. Training is chaotic, so the table also has this number for the official code against itself,
with its initial weights perturbed by 1e-15."""
METHOD = """\
Each side trains {runs} times with {runs} seeds, all from the same initial weights. The mean of our runs must lie
inside a band (dotted in the pictures) around the mean of Magenta's: for every mean of {block} steps, for every
validation, and for the mean of the whole run. The runs themselves determine the width of the band: of all
{partitions:,} ways to split the {both} runs into two halves, at most {alpha:.2%} leave it ({whole:.0%} for the {cells}
cells together, Bonferroni). *Distance*: between the two means, relative to Magenta's, where it is largest. *Band*: half
its width, the median over the curve: a larger difference would have been found. *Whole run*: the same two numbers for
the mean of all steps. *In standard errors*: the largest distance, and after the slash the largest that is still called
equal. *p* is that of the whole cell. A difference smaller than the band cannot be seen here; the replayed runs above
show those."""
DASH = "–"


# --- JSON ---


def content(result: CurvesResult) -> dict[str, Any]:
    """All results, ready for strict JSON."""
    plan = result.plan
    pairs = zip(plan.independent, result.independent, strict=False)
    return json_ready(
        {
            "verdict": result.verdict(),
            "passed": result.passed,
            "test": {"alpha": ALPHA, "alpha_of_a_cell": plan.alpha, "block": BLOCK, "floor": FLOOR},
            "seeds": {"weights": WEIGHTS_SEED, "first": FIRST_SEED, "runs": plan.runs},
            "independent": [
                {"hparams": run.hparams, "hyper": run.hyper, "magenta": each.theirs, **_comparison(each)}
                for run, each in pairs
            ],
            "planted": [{"found": each.caught, **_comparison(each)} for each in result.planted],
            "replayed": [
                {
                    "name": each.name,
                    "equal": each.equal,
                    "curves": each.curves and each.curves.to_dict(),
                    "official_drift": each.official_drift,
                    "rows": [row.to_dict() for row in each.rows],
                }
                for each in result.replayed
            ],
            "seconds": round(result.seconds),
            "provenance": {"official": result.provenance, "ours": our_provenance()},
        }
    )


def _comparison(each: Independent) -> dict[str, Any]:
    fields = ("equal", "problems", "partitions", "statistic", "critical", "p")
    comparison = {name: getattr(each.comparison, name) for name in fields}
    return {"name": each.name, "ours": each.ours, **comparison, "quantities": each.comparison.table()}


# --- Markdown ---


def markdown(result: CurvesResult) -> str:
    """The page: the verdict, three tables, the pictures, and how it was made."""
    independent = [line for each in result.independent for line in _lines(each)]
    planted = zip(result.plan.departures, result.planted, strict=False)
    parts = [
        "# Training curves: official Magenta and ours",
        result.verdict(),
        *_problems(result),
        "## The same random numbers, float64",
        REPLAYED,
        markdown_table(
            ("cell", "steps", "from the official state", "free run", "Magenta against itself", "verdict"),
            [_replayed_line(each) for each in result.replayed],
        ),
        *_pictures("replayed", [each.name for each in result.replayed if each.curves is not None]),
        "## Independent random numbers on each side, float32",
        _method(result.plan),
        markdown_table(
            ("cell", "quantity", "distance", "band", "whole run", "band", "in standard errors", "p", "verdict"),
            independent,
        ),
        *_pictures("independent", [each.name for each in result.independent]),
        "## What the test would have caught",
        "The same test, with a departure planted in ours. Each must be found.",
        markdown_table(
            ("planted in ours", "cell", "farthest quantity", "distance", "in standard errors", "p", "verdict"),
            [_planted_line(departure, each) for departure, each in planted],
        ),
        "## How it was made",
        _made(result),
    ]
    return "\n\n".join(parts) + "\n"


def _problems(result: CurvesResult) -> list[str]:
    problems = [describe(row) for each in result.replayed for row in failures(each.rows)[:10]]
    for each in (*result.independent, *result.planted):
        problems += [f"{each.name}: {problem}" for problem in each.comparison.problems]
    return ["\n".join(f"- {problem}" for problem in problems)] if problems else []


def _method(plan: CurvesPlan) -> str:
    numbers = {"runs": plan.runs, "both": 2 * plan.runs, "partitions": len(all_partitions(plan.runs)), "block": BLOCK}
    return METHOD.format(**numbers, alpha=plan.alpha, whole=ALPHA, cells=len(plan.independent))


def _replayed_line(each: Replayed) -> tuple[str, ...]:
    verdict = "equal" if each.equal else "**different**"
    if each.curves is None:
        return (each.name, *[DASH] * 4, verdict)
    official = max(max(values) for values in each.official_drift.values())
    numbers = (max(each.curves.fed_error), each.distance, official)
    return (each.name, str(len(each.curves.fed_error)), *(f"{number:.1e}" for number in numbers), verdict)


def _lines(each: Independent) -> list[tuple[str, ...]]:
    comparison = each.comparison
    verdict = "equal" if comparison.equal else "**different**"
    if comparison.problems:
        return [(each.name, *[DASH] * 7, verdict)]
    shares = ("distance", "band", "distance_of_whole_run", "band_of_whole_run")
    return [
        (
            each.name,
            line["quantity"],
            *(f"{line[share]:.2%}" for share in shares),
            f"{line['statistic']:.2f} / {comparison.critical:.2f}",
            f"{comparison.p:.3f}",
            verdict,
        )
        for line in comparison.table()
    ]


def _planted_line(departure: Departure, each: Independent) -> tuple[str, ...]:
    comparison, verdict = each.comparison, "found" if each.caught else "**not found**"
    if comparison.problems:
        return (departure.name, departure.cell, *[DASH] * 4, verdict)
    farthest = max(comparison.table(), key=lambda line: line["statistic"])
    numbers = (f"{farthest['distance']:.2%}", f"{comparison.statistic:.2f} / {comparison.critical:.2f}")
    return (departure.name, departure.cell, farthest["quantity"], *numbers, f"{comparison.p:.4f}", verdict)


def _pictures(kind: str, names: Sequence[str]) -> list[str]:
    return [f"![{name}, {kind}]({kind}-{name}.png)" for name in names]


def _made(result: CurvesResult) -> str:
    plan, ours = result.plan, our_provenance()
    lines = [f"- command: `{' '.join(ours['command'])}`; {result.seconds / 60:.0f} minutes on {ours['processor']}"]
    for side, versions in (("Magenta", result.provenance.get("versions", {})), ("ours", ours["versions"])):
        lines.append(f"- {side}: {', '.join(f'{name} {number}' for name, number in versions.items())}")
    seeds = [f"{kind} {FIRST_SEED[kind]} to {FIRST_SEED[kind] + plan.runs - 1}" for kind in ("Magenta", "ours")]
    planted = f"with a planted departure {FIRST_SEED['planted']} and up"
    lines.append(f"- seeds: initial weights {WEIGHTS_SEED}, {', '.join(seeds)}, {planted}")
    sizes = plan.independent[0].hparams.items()
    hparams = ", ".join(f"{name} {value}" for name, value in sizes if not name.endswith("_model"))
    strokes = f"{CURVE_SKETCHES['sketches']} kanji of at most {CURVE_SKETCHES['longest']} points"
    lines.append(f"- independent runs: {hparams}; {strokes}; everything else is Magenta's default")
    return "\n".join(lines)
