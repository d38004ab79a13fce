"""What a comparison of training curves was to run, what came of it, and the two files that say so."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity_tests.curves.permutation_test import ALPHA, BLOCK, COSTS, FLOOR, Judgement, Runs, Sizes, halves
from parity_tests.judge.row import Row, failures
from parity_tests.judge.training import Curves
from parity_tests.record.configurations import CURVE_SKETCHES, TrainingRun
from parity_tests.report.our_side import our_provenance
from parity_tests.report.report import describe

WEIGHTS_SEED = 1  # of the official initial weights, with which every run begins
# Runs of one kind are numbered from here; no two runs of a comparison share a seed.
FIRST_SEED = {"Magenta": 1001, "ours": 2001, "planted": 3001}
REPLAYED = """\
Batches, augmentation, masks and latent noise are the same on both sides. *From the official state*: each step begins
with the official weights and Adam's; the largest error of anything that a step computes. *Run free*: ours goes on by
itself from the first weights; the largest difference of a cost, relative to its largest value, beside that of the
official code from itself when its first weights are moved by 1e-15: training is chaotic."""
METHOD = """\
Each side trains {runs} times with {runs} seeds, all from the same initial weights. The mean of our runs must lie
inside the band (dotted in the pictures) around the mean of Magenta's, at every mean of {block} steps, at every
validation, and for the mean of the whole run. How wide it is, the runs themselves say: of all {partitions:,} ways to
part the {both} runs into two halves, at most {alpha:.2%} leave it ({whole:.0%} for the {cells} cells together,
Bonferroni). *Distance*: of the two means, where it is largest, relative to Magenta's. *Band*: half its width, in the
median of the curve, so that a reader sees what difference would have been seen. *Whole run*: the same two for the
mean of all steps. *In standard errors*: the largest distance, and behind the stroke that which is still called
equal. *p* is of the whole cell. What is smaller than the band cannot be seen here; to that end the runs above are
replayed."""
DASH = "–"


@dataclasses.dataclass(frozen=True)
class Departure:
    """A mistake that a port's trainer could make, as hyperparameters that ours is given and Magenta is not."""

    name: str
    cell: str
    hparams: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is run."""

    replayed: tuple[TrainingRun, ...]
    independent: tuple[TrainingRun, ...]
    departures: tuple[Departure, ...]
    runs: int  # of each side

    @property
    def alpha(self) -> float:
        """For each cell."""
        return ALPHA / len(self.independent)

    def sizes(self, run: TrainingRun) -> Sizes:
        """What each side of an independent run must leave: there is a validation every ``save_every`` steps."""
        steps = run.hparams["num_steps"]
        return Sizes(self.runs, steps, (steps - 1) // run.hparams["save_every"])

    def variants(self, run: TrainingRun) -> list[Departure | None]:
        """How ours trains: as it is (None), and with each departure that is planted in this cell."""
        return [None, *(departure for departure in self.departures if departure.cell == run.name)]


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A replayed run."""

    name: str
    rows: list[Row]
    curves: Curves | None  # None where ours came to no end
    official_drift: dict[str, list[float]]  # of each cost, relative to its largest value

    @property
    def equal(self) -> bool:
        """Whether everything was compared, and nothing differs."""
        return self.curves is not None and {row.verdict for row in self.rows} == {"equal"}

    @property
    def distance(self) -> float:
        """Of the costs, run free, the largest, relative to their largest value; infinite where there is none."""
        rows = [row for row in self.rows if row.quantity in {f"free run: drift of {name}" for name in COSTS}]
        return max((row.error for row in rows), default=float("inf"))


@dataclasses.dataclass(frozen=True)
class Independent:
    """Independent runs of a cell, or of one with a departure planted in ours."""

    name: str
    theirs: Runs
    ours: Runs
    judgement: Judgement

    @property
    def caught(self) -> bool:
        """Whether the test told a planted departure, by its curves and not by their lack."""
        return not self.judgement.equal and not self.judgement.problems


@dataclasses.dataclass
class Result:
    """All that a comparison found, in the order of the plan."""

    plan: Plan
    replayed: list[Replayed]
    independent: list[Independent]
    planted: list[Independent]
    provenance: dict[str, Any]  # of the official side
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all that was planned was compared and is equal, and every planted departure was found."""
        planned = (self.plan.replayed, self.plan.independent, self.plan.departures)
        found = (self.replayed, self.independent, self.planted)
        complete = [[each.name for each in group] for group in planned] == [[e.name for e in group] for group in found]
        equal = all(each.equal for each in self.replayed) and all(each.judgement.equal for each in self.independent)
        return complete and equal and all(each.caught for each in self.planted)

    def verdict(self) -> str:
        """One line."""
        count = len(self.planted)
        if self.passed:
            return (
                f"EQUAL: {len(self.replayed)} replayed trainings, and the means of {len(self.independent)} x "
                f"{self.plan.runs} independent ones; {count} of {count} planted departures were found."
            )
        bad = [f"{each.name} (replayed)" for each in self.replayed if not each.equal]
        bad += [f"{each.name} (independent)" for each in self.independent if not each.judgement.equal]
        missed = [each.name for each in self.planted if not each.caught]
        said = [f"{', '.join(bad)} differ"] if bad else []
        said += [f"planted and not found, so that the test shows little: {', '.join(missed)}"] if missed else []
        return f"DIFFERENT: {'; '.join(said) or 'not all that was planned was compared'}."


# --- JSON ---


def content(result: Result) -> dict[str, Any]:
    """Everything, ready for JSON."""
    plan = result.plan
    pairs = zip(plan.independent, result.independent, strict=False)
    return plain(
        {
            "verdict": result.verdict(),
            "passed": result.passed,
            "test": {"alpha": ALPHA, "alpha_of_a_cell": plan.alpha, "block": BLOCK, "floor": FLOOR},
            "seeds": {"weights": WEIGHTS_SEED, "first": FIRST_SEED, "runs": plan.runs},
            "independent": [
                {"hparams": run.hparams, "hyper": run.hyper, "magenta": each.theirs, **_judged(each)}
                for run, each in pairs
            ],
            "planted": [{"found": each.caught, **_judged(each)} for each in result.planted],
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


def _judged(each: Independent) -> dict[str, Any]:
    fields = ("equal", "problems", "partitions", "statistic", "critical", "p")
    judgement = {name: getattr(each.judgement, name) for name in fields}
    return {"name": each.name, "ours": each.ours, **judgement, "quantities": each.judgement.table()}


def plain(value: Any) -> Any:
    """For JSON, which has no arrays, no infinity and no NaN."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


# --- Markdown ---


def markdown(result: Result) -> str:
    """What a reader needs: the verdict, three tables, the pictures that stand beside it, and how it was made."""
    independent = [line for each in result.independent for line in _lines(each)]
    planted = zip(result.plan.departures, result.planted, strict=False)
    parts = [
        "# Training curves: official Magenta and ours",
        result.verdict(),
        *_problems(result),
        "## The same random numbers, float64",
        REPLAYED,
        _table(
            ("cell", "steps", "from the official state", "run free", "Magenta from itself", "verdict"),
            [_replayed_line(each) for each in result.replayed],
        ),
        *_pictures("replayed", [each.name for each in result.replayed if each.curves is not None]),
        "## Random numbers of its own on each side, float32",
        _method(result.plan),
        _table(
            ("cell", "quantity", "distance", "band", "whole run", "band", "in standard errors", "p", "verdict"),
            independent,
        ),
        *_pictures("independent", [each.name for each in result.independent]),
        "## What the test would have caught",
        "The same test, with a departure planted in ours. Each must be found.",
        _table(
            ("planted in ours", "cell", "farthest quantity", "distance", "in standard errors", "p", "verdict"),
            [_planted_line(departure, each) for departure, each in planted],
        ),
        "## How it was made",
        _made(result),
    ]
    return "\n\n".join(parts) + "\n"


def _problems(result: Result) -> list[str]:
    told = [describe(row) for each in result.replayed for row in failures(each.rows)[:10]]
    for each in (*result.independent, *result.planted):
        told += [f"{each.name}: {problem}" for problem in each.judgement.problems]
    return ["\n".join(f"- {problem}" for problem in told)] if told else []


def _method(plan: Plan) -> str:
    numbers = {"runs": plan.runs, "both": 2 * plan.runs, "partitions": len(halves(plan.runs)), "block": BLOCK}
    return METHOD.format(**numbers, alpha=plan.alpha, whole=ALPHA, cells=len(plan.independent))


def _replayed_line(each: Replayed) -> tuple[str, ...]:
    verdict = "equal" if each.equal else "**different**"
    if each.curves is None:
        return (each.name, *[DASH] * 4, verdict)
    official = max(max(values) for values in each.official_drift.values())
    numbers = (max(each.curves.fed_error), each.distance, official)
    return (each.name, str(len(each.curves.fed_error)), *(f"{number:.1e}" for number in numbers), verdict)


def _lines(each: Independent) -> list[tuple[str, ...]]:
    judgement = each.judgement
    verdict = "equal" if judgement.equal else "**different**"
    if judgement.problems:
        return [(each.name, *[DASH] * 7, verdict)]
    shares = ("distance", "band", "distance_of_whole_run", "band_of_whole_run")
    return [
        (
            each.name,
            line["quantity"],
            *(f"{line[share]:.2%}" for share in shares),
            f"{line['statistic']:.2f} / {judgement.critical:.2f}",
            f"{judgement.p:.3f}",
            verdict,
        )
        for line in judgement.table()
    ]


def _planted_line(departure: Departure, each: Independent) -> tuple[str, ...]:
    judgement, verdict = each.judgement, "found" if each.caught else "**not found**"
    if judgement.problems:
        return (departure.name, departure.cell, *[DASH] * 4, verdict)
    farthest = max(judgement.table(), key=lambda line: line["statistic"])
    numbers = (f"{farthest['distance']:.2%}", f"{judgement.statistic:.2f} / {judgement.critical:.2f}")
    return (departure.name, departure.cell, farthest["quantity"], *numbers, f"{judgement.p:.4f}", verdict)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def _pictures(kind: str, names: Sequence[str]) -> list[str]:
    return [f"![{name}, {kind}]({kind}-{name}.png)" for name in names]


def _made(result: Result) -> str:
    plan, ours = result.plan, our_provenance()
    told = [f"- command: `{' '.join(ours['command'])}`; {result.seconds / 60:.0f} minutes on {ours['processor']}"]
    for side, versions in (("Magenta", result.provenance.get("versions", {})), ("ours", ours["versions"])):
        told.append(f"- {side}: {', '.join(f'{name} {number}' for name, number in versions.items())}")
    seeds = [f"{kind} {FIRST_SEED[kind]} to {FIRST_SEED[kind] + plan.runs - 1}" for kind in ("Magenta", "ours")]
    planted = f"with a departure from {FIRST_SEED['planted']} on"
    told.append(f"- seeds: initial weights {WEIGHTS_SEED}, {', '.join(seeds)}, {planted}")
    sizes = plan.independent[0].hparams.items()
    shown = ", ".join(f"{name} {value}" for name, value in sizes if not name.endswith("_model"))
    strokes = f"{CURVE_SKETCHES['sketches']} kanji of at most {CURVE_SKETCHES['longest']} points"
    told.append(f"- independent runs: {shown}; {strokes}; all else is Magenta's default")
    return "\n".join(told)
