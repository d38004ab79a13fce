"""The report: one line for each part of the model, worst case first seen; everything as JSON, Markdown and HTML."""

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parity_tests.compare import first_departure
from parity_tests.judge.row import EQUAL, NOT_COMPARED, NOT_JUDGED, OVERFLOW, UNTESTED, Row, failures
from parity_tests.machine import in_words
from parity_tests.our_side import our_provenance
from parity_tests.replay_local import FED
from parity_tests.score import Score
from parity_tests.training import Curves
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

# The first pattern that a quantity matches names its part; the order is that of the table.
PARTS = (
    (r"converted/.*/Adam(_1)?|converted/.*(power|step)", "checkpoint: optimizer state as converted"),
    (r"converted/.*", "checkpoint: weights as converted"),
    (r"cell/.*: dropout_(values|share|mask)", "dropout, values of a mask"),
    (r"initial/.*: initial(/.*)?", "initial weights, constant or drawn by NumPy"),
    (r"initial/.*: distribution/.*", "initial weights, distribution of what TensorFlow draws"),
    (r"cell/lstm: .*", "LSTM cell alone"),
    (r"cell/layer_norm: .*", "layer-norm LSTM cell alone"),
    (r"cell/hyper: .*", "HyperLSTM cell alone"),
    (r"variables/.*", "weights as loaded"),
    (r"fed/train/(encoder/fw|encoder/bw|decoder)/(?!initial_state).*", "local: each step of a layer"),
    (r"fed/vjp/.*", "local: derivatives of each step"),
    (r"fed/train/(mu|presig|z|decoder/initial_state)", "local: latent vector and initial state"),
    (r"fed/train/(head|pi|mu1|mu2|sigma1|sigma2|corr|pen|pen_logits)", "local: output layer and mixture"),
    (r"fed/(train|eval)/.*cost", "local: costs"),
    (r"fed/loss/.*", "local: gradients of the cost to its inputs"),
    (r"fed/optimizer/.*", "local: clip and optimizer"),
    (r"prefix/.*", "the first points of a sketch"),
    (r"train/keep_prob/.*", "dropout, keep probabilities"),
    (r"(train|eval)/encoder/fw/.*", "encoder, forward"),
    (r"(train|eval)/encoder/bw/.*", "encoder, backward"),
    (r"(train|eval)/(mu|presig|z)", None),
    (r"(train|eval)/decoder/initial_state", "decoder, initial state"),
    (r"(train|eval)/decoder/.*", "decoder"),
    (r"(train|eval)/(head|pi|mu1|mu2|sigma1|sigma2|corr|pen|pen_logits)", None),
    (r"train/r_cost", "r_cost, is_training 1"),
    (r"eval/r_cost", "r_cost, is_training 0"),
    (r"(train|eval)/(kl_cost|cost)", None),
    (r"(train|eval)/nll", "likelihood of the strokes"),
    (r"gradient/together", "gradients, all together in L2"),
    (r"gradient/.*", "gradients"),
    (r"clipped/.*", "gradients, clipped"),
    (r"after/.*/Adam", "Adam: m"),
    (r"after/.*/Adam_1", "Adam: v"),
    (r"after/.*power", "Adam: powers"),
    (r"after/.*", "weights after a step"),
    (r"sample/greedy/.*", "sampling, greedy"),
    (r"sample/sampled/.*", "sampling at a temperature"),
    (r"(train|valid)/\d/.*|scale_factor", "data loader"),
    (r"(steps|resumed)/(sketches|lengths)", "training: batches"),
    (r"(steps|resumed)/(lr|kl_weight)", "training: learning rate and KL weight"),
    (r"(steps|resumed)/(cost|r_cost|kl_cost)", "training: costs"),
    (r"validation(/.*)?", "training: validation costs"),
    (r"steps/gradient/.*", "training: gradients"),
    (r"steps/clipped/.*", "training: gradients, clipped"),
    (r"steps/after/.*/Adam(_1)?|steps/after/.*power", "training: Adam's state"),
    (r"steps/after/.*", "training: weights"),
    (r"fresh/.*", "training: the first step of a fresh optimizer"),
    (r"resumed/.*", "training: the step after a checkpoint"),
    (r"free run: .*", "training: drift of a free run"),
)


def part_of(row: Row) -> str:
    """The part of the model that a quantity belongs to."""
    alone = row.recording.startswith(("cell/", "initial/"))
    name = f"{row.recording}: {row.quantity}" if alone else row.quantity
    for pattern, part in PARTS:
        if re.fullmatch(pattern, name):
            return part or name.split("/")[-1]
    return name


HEAD = (
    "quantity", "tensors", "float64", "noise", "allowed", "smallest bug",
    "float32", "official", "ratio", "allowed", "worst at", "verdict",
)  # fmt: skip
LACKING = (UNTESTED, NOT_COMPARED)
MARGIN = "noise below the allowance, the allowance below the smallest planted bug, in every quantity (float64)"
FILES = ("parity.json", "parity.md", "report.html")
STALE = (*FILES, "certificate.json")  # what an earlier run may have left


@dataclasses.dataclass
class Report:
    """All rows of a run, and what had to be seen in it."""

    title: str
    rows: list[Row]
    conditions: dict[str, bool]  # what must have been met at least once -> whether it was
    provenance: dict[str, Any]  # of the official side
    subject: str = "pytorch_sketch_rnn"
    partial: bool = False  # whether the port may offer less than all; what it lacks is untested then
    training: Sequence[Curves] = ()
    mixtures: Sequence[dict[str, Any]] = ()  # likelihoods and divergences, see parity_tests.prove
    coverage: Sequence[dict[str, Any]] = ()  # see parity_tests.coverage
    score: Score | None = None  # of the mutation run: the smallest planted bug of each part
    margin_wanted: bool | None = None  # whether the verdict needs it of every part; None: where there is a score
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # what the port says of how it ran

    def __post_init__(self) -> None:
        wanted = self.score is not None and not self.partial if self.margin_wanted is None else self.margin_wanted
        if wanted:
            self.conditions = self.conditions | {MARGIN: not self.without_margin()}

    @property
    def passed(self) -> bool:
        """Whether everything was compared and is equal, under all conditions."""
        compared = any(row.verdict == EQUAL for row in self.rows)
        complete = self.partial or not self.untested
        return compared and complete and not failures(self.rows) and all(self.conditions.values())

    def provenances(self) -> dict[str, dict[str, Any]]:
        """Where the numbers of the two sides come from."""
        return {"official": self.provenance, "ours": our_provenance() | dict(self.about)}

    def sides(self) -> dict[str, str]:
        """The same, one line each."""
        return {side: in_words(values) for side, values in self.provenances().items()}

    def without_margin(self) -> list[str]:
        """The parts where noise, allowance and smallest planted bug do not stand in this order."""
        smallest = {} if self.score is None else self.score.smallest
        bad = []
        for part, rows in self.parts().items():
            judged = [row for row in rows if row.precision != "float32" and row.verdict not in LACKING]
            effect = smallest.get(part, {}).get("effect", 0.0)
            # distributions have an allowance for each size of a variable; the bug showed in a large one
            beyond_bug = min((row.allowed for row in judged), default=-1.0) >= effect
            if beyond_bug or any((row.noise or 0.0) >= row.allowed > 0 for row in judged):
                bad.append(part)
        return bad

    @property
    def untested(self) -> list[Row]:
        """What the port does not offer."""
        return [row for row in self.rows if row.verdict == UNTESTED]

    def parts(self) -> dict[str, list[Row]]:
        """The rows of each part, in the order of the table."""
        parts: dict[str, list[Row]] = {}
        for row in self.rows:
            parts.setdefault(part_of(row), []).append(row)
        order = {part: index for index, (_, part) in enumerate(PARTS) if part}
        names = [part for part in parts if part not in order]
        return {
            part: parts[part] for part in sorted(parts, key=lambda part: order.get(part, _unnamed_place(part, names)))
        }

    def lines(self) -> list[dict[str, Any]]:
        """What is said about each part: numbers, the worst place, the verdict."""
        return [_line(part, rows, self.score) for part, rows in self.parts().items()]

    def table(self) -> list[tuple[str, ...]]:
        """The table's head and lines, as text."""
        return [HEAD, *(_as_text(line) for line in self.lines())]

    def text(self) -> str:
        """The table for a terminal, then the first departure and other failures in full, then the verdict."""
        lines = [self.title, f"subject: {self.subject}"]
        lines += [f"{side}: {words}" for side, words in self.sides().items() if words]
        lines += ["", *_aligned(self.table()), ""]
        lines += [f"{'seen' if met else 'NOT SEEN'}: {condition}" for condition, met in self.conditions.items()]
        if not self.conditions.get(MARGIN, True):
            lines.append(f"  without that margin: {', '.join(self.without_margin())}")
        first, bad = first_departure(self.rows), failures(self.rows)
        if first is not None:
            lines += ["", f"first departure: {describe(first)}", *explain(first, self.rows), ""]
        lines += [describe(row) for row in bad[:20]]
        if len(bad) > 20:
            lines.append(f"... and {len(bad) - 20} more, all in the JSON file")
        if self.untested:
            lines.append(f"not proven, since the port does not offer it: {', '.join(self.untested_parts())}")
        lines += self.aside()
        return "\n".join([*lines, self.verdict()])

    def aside(self) -> list[str]:
        """What was not judged or overflows, a line for each kind with its first examples."""
        lines = []
        for verdict in (NOT_JUDGED, OVERFLOW):
            rows = [row for row in self.rows if row.verdict == verdict]
            if rows:
                some = "; ".join(f"{row.recording} {row.quantity} ({row.precision}): {row.note}" for row in rows[:3])
                more = f"; and {len(rows) - 3} more" if len(rows) > 3 else ""
                lines.append(f"{verdict}: {some}{more}")
        return lines

    def untested_parts(self) -> list[str]:
        """The parts of which something is untested, with how much."""
        counts: dict[str, int] = {}
        for row in self.untested:
            counts[part_of(row)] = counts.get(part_of(row), 0) + 1
        return [f"{part} ({count})" for part, count in counts.items()]

    def counts(self) -> dict[str, int]:
        """How many rows there are of each verdict."""
        return dict(Counter(row.verdict for row in self.rows))

    def verdict(self) -> str:
        """One line."""
        counts = self.counts()
        untested, failed = counts.get(UNTESTED, 0), len(failures(self.rows))
        compared = len(self.rows) - untested
        if untested and not compared:
            return f"NOTHING TESTED: the port offers none of {len(self.rows)} quantities."
        aside = [f"{counts[NOT_JUDGED]} not judged (the official code drifts)"] if NOT_JUDGED in counts else []
        aside += [f"{counts[OVERFLOW]} where the official float32 overflows"] if OVERFLOW in counts else []
        aside += [f"{untested} not proven (the port does not offer them)"] if untested else []
        rest = "; ".join(aside) or "nothing left out"
        tensors = f"{compared} tensors compared, element by element"
        if self.passed and untested:
            return f"EQUAL IN {counts.get(EQUAL, 0)} OF {len(self.rows)}: {tensors}; {rest}."
        if self.passed:
            return f"EQUAL: {tensors}; {rest}."
        unmet = not all(self.conditions.values())
        return f"DIFFERENT: {tensors}, {failed} failed{', conditions not met' if unmet else ''}; {rest}."

    def markdown(self) -> str:
        """The table in Markdown."""
        head, *lines = self.table()
        rows = [head, tuple("---" for _ in head), *lines]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        conditions = "\n".join(f"- {'seen' if m else '**not seen**'}: {c}" for c, m in self.conditions.items())
        return f"# {self.title}\n\n{self.verdict()}\n\n{table}\n\n{conditions}\n"

    def content(self) -> dict[str, Any]:
        """Everything, ready for JSON (no infinity, no NaN); the HTML page is made from it."""
        first = first_departure(self.rows)
        return _plain(
            {
                "title": self.title,
                "subject": self.subject,
                "verdict": self.verdict(),
                "passed": self.passed,
                "conditions": self.conditions,
                "first_departure": None
                if first is None
                else {"text": describe(first), "explanation": explain(first, self.rows), "row": first.to_dict()},
                "untested": self.untested_parts(),
                "parts": self.lines(),
                "profiles": profiles(self.rows),
                "training": [curves.to_dict() for curves in self.training],
                "mixtures": list(self.mixtures),
                "coverage": list(self.coverage),
                "score": None if self.score is None else self.score.summary(),
                "sides": self.sides(),
                "provenance": self.provenances(),
                "rows": [row.to_dict() | {"part": part_of(row)} for row in self.rows],
            }
        )

    def save(self, folder: Path) -> list[Path]:
        """Write ``parity.json``, ``parity.md`` and ``report.html``."""
        from parity_tests.html_report import page

        content = self.content()
        texts = {
            FILES[0]: json.dumps(content, indent=1, allow_nan=False),
            FILES[1]: self.markdown(),
            FILES[2]: page(content),
        }
        paths = [folder / name for name in texts]
        for path in paths:
            with atomic_path(path) as temporary:
                temporary.write_text(texts[path.name], encoding="utf-8")
        return paths


def profiles(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Error against time step of each quantity that has steps: quantity -> precision -> whose -> one number a step.

    Relative to the largest magnitude; of all recordings the largest; in float32 the root of the mean square. ``ours``
    runs freely, ``fed`` starts each step from the official state, ``official`` is the official float32.
    """
    result: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows:
        if row.profile is None or row.profile.shape[-1] < 2:
            continue
        whose = "fed" if row.quantity.startswith(FED) else "ours"
        name, has_official = row.quantity.removeprefix(FED), whose == "ours"
        if row.recording.startswith("cell/"):
            whose, name = "fed", f"{row.recording}/{name}"
        lines = {whose: row.profile}
        if row.precision == "float32":
            lines = {whose: row.profile[0]} | ({"official": row.profile[1]} if has_official else {})
        curves = result.setdefault(name, {}).setdefault(row.precision, {})
        for line, values in lines.items():
            curves[line] = _largest(curves.get(line, []), values.tolist())
    return result


def _largest(a: list[float], b: list[float]) -> list[float]:
    """Step by step; the longer one goes on alone."""
    length = max(len(a), len(b))
    padded = [values + [0.0] * (length - len(values)) for values in (a, b)]
    return [max(pair) for pair in zip(*padded, strict=True)]


def explain(first: Row, rows: Sequence[Row]) -> list[str]:
    """What the first departure means: its likely cause, and whether it is local or came in from before."""
    lines = []
    if first.cause:
        lines.append(f"  likely cause: {first.cause}")
    same = [row for row in rows if (row.recording, row.precision) == (first.recording, first.precision)]
    # the layers are fed in the training step alone
    twins = (FED + first.quantity, FED + first.quantity.replace("eval/", "train/", 1))
    fed = [row for twin in twins for row in same if row.quantity == twin]
    if fed and fed[0].verdict == "different":
        lines.append("  it departs from the official state as well: the error is made in this step")
    elif fed and fed[0].verdict == "equal":
        lines.append("  from the official state the same step is equal: the error comes from what the step is given")
    return lines


def start_report(folder: Path) -> None:
    """Make the folder of a report.

    Raises:
        BadInput: when the folder cannot be made or written.
    """
    remove_stale(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def remove_stale(folder: Path) -> None:
    """Remove an earlier report from its folder, lest that be taken for the new, whatever becomes of the run.

    Raises:
        BadInput: when that cannot be done.
    """
    try:
        for name in STALE:
            if (folder / name).is_file():
                (folder / name).unlink()
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def describe(row: Row) -> str:
    """A failed row in full."""
    head = f"{row.verdict.upper()} {row.recording} {row.quantity} ({row.precision})"
    if row.note:
        return f"{head}: {row.note}"
    numbers = f"error {row.error:.1e}, allowed {row.allowed:.1e}"
    if row.official_error is not None:
        numbers += f" ({row.measure}; the official one is off by {row.official_error:.1e})"
    place = f", at {_where(row)}: ours {row.ours}, theirs {row.theirs}" if row.where is not None else ""
    truth = f", truth {row.truth}" if row.precision == "float32" and row.truth is not None else ""
    return f"{head}: {numbers}{place}{truth}"


def _unnamed_place(part: str, names: list[str]) -> float:
    """Where a part stands that takes its name from the quantity: at its pattern, in the order in which it was met."""
    for index, (pattern, title) in enumerate(PARTS):
        if title is None and re.fullmatch(pattern, f"train/{part}"):
            return index + names.index(part) / 1000
    return len(PARTS)


def _line(part: str, rows: list[Row], score: Score | None) -> dict[str, Any]:
    compared = [row for row in rows if row.verdict != UNTESTED]
    double = [row for row in compared if row.precision != "float32"]
    single = [row for row in compared if row.precision == "float32"]
    worst = max(failures(rows) or double or single or rows, key=lambda row: row.used)
    line: dict[str, Any] = {"part": part, "tensors": len(compared), "untested": len(rows) - len(compared)}
    if double:
        noise = [row.noise for row in double if row.noise is not None]
        line["float64"] = {
            "error": max(row.error for row in double),
            "noise": max(noise) if noise else None,
            "allowed": max(row.allowed for row in double),
        }
    if score is not None and part in score.smallest:
        line["smallest_bug"] = score.smallest[part]
    if single:
        closest = max(single, key=lambda row: row.used)
        line["float32"] = {
            "error": closest.error,
            "official": closest.official_error,
            "ratio": closest.ratio,
            "allowed": closest.allowed,
            "measure": closest.measure,
        }
    line["worst_at"] = f"{worst.recording} {_where(worst)}"
    aside = [f"{n} {v}" for v in (NOT_JUDGED, OVERFLOW, UNTESTED) if (n := sum(row.verdict == v for row in rows))]
    equal = any(row.verdict == EQUAL for row in rows)
    line["verdict"] = ", ".join(["equal"] * equal + aside)
    if failures(rows):
        line["verdict"] = f"{len(failures(rows))} DIFFERENT"
    return line


def _as_text(line: dict[str, Any]) -> tuple[str, ...]:
    double, single, bug = line.get("float64", {}), line.get("float32", {}), line.get("smallest_bug", {})
    ratio = single.get("ratio")
    return (
        line["part"],
        str(line["tensors"]),
        *(_number(double.get(name)) for name in ("error", "noise", "allowed")),
        _number(bug.get("effect")),
        *(_number(single.get(name)) for name in ("error", "official")),
        "" if ratio is None else f"{ratio:.2f}",
        _number(single.get("allowed")),
        line["worst_at"],
        line["verdict"],
    )


def _where(row: Row) -> str:
    return ", ".join(f"{axis} {index}" for axis, index in (row.where or {}).items()) or "-"


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.1e}"


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
