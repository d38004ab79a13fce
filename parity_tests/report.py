"""The table: one line for each part of the model, worst case first seen; and everything as JSON and Markdown."""

import dataclasses
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from parity_tests.compare import Row, failures
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

# The first pattern that a quantity matches names its part; the order is that of the table.
PARTS = (
    (r"converted/.*/Adam(_1)?|converted/.*(power|step)", "checkpoint: optimizer state as converted"),
    (r"converted/.*", "checkpoint: weights as converted"),
    (r"cell/.*: dropout_values", "dropout, values of a mask"),
    (r"cell/lstm: .*", "LSTM cell alone"),
    (r"cell/layer_norm: .*", "layer-norm LSTM cell alone"),
    (r"cell/hyper: .*", "HyperLSTM cell alone"),
    (r"train/keep_prob/.*", "dropout, keep probabilities"),
    (r"(train|eval)/encoder/fw/.*", "encoder, forward"),
    (r"(train|eval)/encoder/bw/.*", "encoder, backward"),
    (r"(train|eval)/(mu|presig|z)", None),
    (r"(train|eval)/decoder/initial_state", "decoder, initial state"),
    (r"(train|eval)/decoder/.*", "decoder"),
    (r"(train|eval)/(pi|mu1|mu2|sigma1|sigma2|corr|pen|pen_logits)", None),
    (r"train/r_cost", "r_cost, is_training 1"),
    (r"eval/r_cost", "r_cost, is_training 0"),
    (r"(train|eval)/(kl_cost|cost)", None),
    (r"gradient/.*", "gradients"),
    (r"clipped/.*", "gradients, clipped"),
    (r"after/.*/Adam", "Adam: m"),
    (r"after/.*/Adam_1", "Adam: v"),
    (r"after/.*power", "Adam: powers"),
    (r"after/.*", "weights after a step"),
    (r"sample/greedy/.*", "sampling, greedy"),
    (r"sample/sampled/.*", "sampling at a temperature"),
    (r".*(scale_factor|strokes|sketches|lengths)", "data loader"),
)


def part_of(row: Row) -> str:
    """The part of the model that a quantity belongs to."""
    name = f"{row.recording}: {row.quantity}" if row.recording.startswith("cell/") else row.quantity
    for pattern, part in PARTS:
        if re.fullmatch(pattern, name):
            return part or name.split("/")[-1]
    return name


HEAD = ("quantity", "tensors", "float64", "allowed", "float32", "official", "noise", "allowed", "worst at", "verdict")
FILES = ("parity.json", "parity.md")


@dataclasses.dataclass
class Report:
    """All rows of a run, and what had to be seen in it."""

    title: str
    rows: list[Row]
    conditions: dict[str, bool]  # what must have been met at least once -> whether it was
    provenance: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether everything was compared and is equal, under all conditions."""
        return bool(self.rows) and not failures(self.rows) and all(self.conditions.values())

    def table(self) -> list[tuple[str, ...]]:
        """The table's head and lines."""
        lines = [HEAD]
        parts: dict[str, list[Row]] = {}
        for row in self.rows:
            parts.setdefault(part_of(row), []).append(row)
        order = {part: index for index, (_, part) in enumerate(PARTS) if part}
        names = [part for part in parts if part not in order]
        for part in sorted(parts, key=lambda part: order.get(part, _unnamed_place(part, names))):
            lines.append(_line(part, parts[part]))
        return lines

    def text(self) -> str:
        """The table for a terminal, then failures in full, then the verdict."""
        lines = [self.title, "", *_aligned(self.table()), ""]
        lines += [f"{'seen' if met else 'NOT SEEN'}: {condition}" for condition, met in self.conditions.items()]
        bad = failures(self.rows)
        lines += [describe(row) for row in bad[:40]]
        if len(bad) > 40:
            lines.append(f"... and {len(bad) - 40} more, all in the JSON file")
        return "\n".join([*lines, self.verdict()])

    def verdict(self) -> str:
        """One line."""
        tensors = f"{len(self.rows)} tensors compared, element by element"
        if self.passed:
            return f"EQUAL: {tensors}; nothing left out."
        unmet = [condition for condition, met in self.conditions.items() if not met]
        return f"DIFFERENT: {tensors}, {len(failures(self.rows))} failed{', conditions not met' if unmet else ''}."

    def markdown(self) -> str:
        """The table in Markdown."""
        head, *lines = self.table()
        rows = [head, tuple("---" for _ in head), *lines]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        conditions = "\n".join(f"- {'seen' if m else '**not seen**'}: {c}" for c, m in self.conditions.items())
        return f"# {self.title}\n\n{self.verdict()}\n\n{table}\n\n{conditions}\n"

    def save(self, folder: Path) -> list[Path]:
        """Write ``parity.json`` and ``parity.md``."""
        content = {
            "title": self.title,
            "passed": self.passed,
            "conditions": self.conditions,
            "provenance": self.provenance,
            "rows": [row.to_dict() | {"part": part_of(row)} for row in self.rows],
        }
        texts = {FILES[0]: json.dumps(_plain(content), indent=1, allow_nan=False), FILES[1]: self.markdown()}
        paths = [folder / name for name in texts]
        for path in paths:
            with atomic_path(path) as temporary:
                temporary.write_text(texts[path.name], encoding="utf-8")
        return paths


def start_report(folder: Path) -> None:
    """Make the folder of a report, and remove an earlier one from it, lest that be taken for the new.

    Raises:
        BadInput: when the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def describe(row: Row) -> str:
    """A failed row in full."""
    head = f"{row.verdict.upper()} {row.recording} {row.quantity} ({row.precision})"
    if row.note:
        return f"{head}: {row.note}"
    numbers = f"error {row.error:.1e}, allowed {row.allowed:.1e}"
    return f"{head}: {numbers}, at {_where(row)}: ours {row.ours}, theirs {row.theirs}"


def _unnamed_place(part: str, names: list[str]) -> float:
    """Where a part stands that takes its name from the quantity: at its pattern, in the order in which it was met."""
    for index, (pattern, title) in enumerate(PARTS):
        if title is None and re.fullmatch(pattern, f"train/{part}"):
            return index + names.index(part) / 1000
    return len(PARTS)


def _line(part: str, rows: list[Row]) -> tuple[str, ...]:
    by_precision = {p: [row for row in rows if row.precision == p] for p in ("float64", "float32", "exact")}
    exact, double, single = by_precision["exact"], by_precision["float64"], by_precision["float32"]
    worst = max(
        failures(rows) or double or exact or single,
        key=lambda row: row.error / row.allowed if row.allowed else row.error,
    )
    first = double or exact
    shown_double = (
        (_number(max(row.error for row in first)), _number(max(row.allowed for row in first))) if first else ("", "")
    )
    shown_single = ("", "", "", "")
    if single:
        closest = max(single, key=lambda row: row.error / row.allowed if row.allowed else row.error)
        shown_single = tuple(
            _number(v) for v in (closest.error, closest.official_error, closest.noise, closest.allowed)
        )
    verdict = "equal" if not failures(rows) else f"{len(failures(rows))} DIFFERENT"
    return (part, str(len(rows)), *shown_double, *shown_single, f"{worst.recording} {_where(worst)}", verdict)


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
