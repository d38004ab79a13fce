"""The report: one line for each part of the model, worst case first seen; everything as JSON, Markdown and HTML."""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_COMPARED, NOT_JUDGED, OVERFLOW, UNTESTED, Row, failures
from parity_tests.judge.training import Curves
from parity_tests.record.machine import in_words
from parity_tests.report.our_side import our_provenance
from parity_tests.report.parts import KINDS, PARTS, in_order, kind_of, part_of
from parity_tests.report.profiles import profiles
from parity_tests.report.score import FalseAlarms, Score
from parity_tests.report.text import HEAD, WORDS, aligned, as_text, describe, explain, line_of, remarks, untested_parts
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

__all__ = [
    "FILES", "HEAD", "MARGIN", "PARTS", "STALE", "Report", "describe", "explain", "part_of", "profiles",
    "remove_stale", "start_report",
]  # fmt: skip

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
    mixtures: Sequence[dict[str, Any]] = ()  # likelihoods and divergences, see parity_tests.judge.proof
    coverage: Sequence[dict[str, Any]] = ()  # see parity_tests.judge.coverage
    score: Score | None = None  # of the mutation run: the smallest planted bug of each part
    false_alarms: FalseAlarms | None = None  # how often equal code was called different
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
            judged = [row for row in rows if row.precision != "float32" and row.verdict in (EQUAL, DIFFERENT)]
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
        return {part: parts[part] for part in in_order(parts)}

    def lines(self) -> list[dict[str, Any]]:
        """What is said about each part: numbers, the worst place, the verdict."""
        return [line_of(part, rows, self.score) for part, rows in self.parts().items()]

    def table(self) -> list[tuple[str, ...]]:
        """The table's head and lines, as text."""
        return [HEAD, *(as_text(line) for line in self.lines())]

    def text(self) -> str:
        """The table for a terminal, the first departure and other failures in full, both scores, the verdict."""
        lines = [self.title, f"subject: {self.subject}"]
        lines += [f"{side}: {words}" for side, words in self.sides().items() if words]
        lines += ["", *aligned(self.table()), ""]
        lines += [f"{'seen' if met else 'NOT SEEN'}: {condition}" for condition, met in self.conditions.items()]
        if not self.conditions.get(MARGIN, True):
            lines.append(f"  without that margin: {', '.join(self.without_margin())}")
        first, bad = first_departure(self.rows), failures(self.rows)
        if first is not None:
            lines += ["", f"first departure: {describe(first)}", *explain(first, self.rows), ""]
        lines += [describe(row) for row in bad[:20]]
        if len(bad) > 20:
            lines.append(f"... and {len(bad) - 20} more, all in the JSON file")
        return "\n".join([*lines, "", *self.remarks(), *self.scores().values(), self.verdict()])

    def counts(self) -> dict[str, int]:
        """How many rows there are, how many were compared, and how many there are of each verdict."""
        found = Counter(row.verdict for row in self.rows)
        return {
            "rows": len(self.rows),
            "compared": sum(row.compared for row in self.rows),
            "equal": found[EQUAL],
            "different": found[DIFFERENT],
            "not_compared": found[NOT_COMPARED],
            "not_judged": found[NOT_JUDGED],
            "overflow": found[OVERFLOW],
            "not_proven": found[UNTESTED],
        }

    def kinds(self) -> list[dict[str, Any]]:
        """The verdicts of each kind of judgement, a failure of any sort as different."""
        result = []
        for kind in KINDS:
            rows = [row for row in self.rows if kind_of(row) == kind]
            found = Counter(row.verdict for row in rows)
            line = {"kind": kind, "rows": len(rows), "equal": found[EQUAL], "different": len(failures(rows))}
            line |= {"not_judged": found[NOT_JUDGED], "overflow": found[OVERFLOW], "not_proven": found[UNTESTED]}
            result += [line] if rows else []
        return result

    def remarks(self) -> list[str]:
        """What says neither equal nor different: not judged, with the reason and examples; overflow; not proven."""
        return remarks(self.rows)

    def scores(self) -> dict[str, str]:
        """A line on planted bugs and one on false alarms."""
        bugs, alarms = self.score, self.false_alarms
        return {
            "mutants": "Planted bugs: not measured; make mutants does" if bugs is None else bugs.line(),
            "false_alarms": "False alarms: not measured; make false-alarms does" if alarms is None else alarms.line(),
        }

    def untested_parts(self) -> list[str]:
        """The parts of which something is untested, with how much."""
        return untested_parts(self.rows)

    def verdict(self) -> str:
        """One line."""
        counts = self.counts()
        if counts["not_proven"] == counts["rows"] > 0:
            return f"NOTHING TESTED: the port offers none of {counts['rows']} quantities."
        found = f"{counts['compared']} tensors compared, element by element"
        if counts["equal"] < counts["compared"]:
            names = {"equal": "equal", "different": "different", "not_judged": "not judged"}
            names |= {"overflow": WORDS[OVERFLOW]}
            found += f": {', '.join(f'{counts[name]} {words}' for name, words in names.items() if counts[name])}"
        aside = [f"{counts['not_compared']} not compared (missing, or the port failed)"] * bool(counts["not_compared"])
        aside += [f"{counts['not_proven']} not proven (the port does not offer them)"] * bool(counts["not_proven"])
        if self.passed:
            head = f"EQUAL IN {counts['equal']} OF {counts['rows']}" if counts["not_proven"] else "EQUAL"
            aside = aside or ["nothing left out"] * (counts["equal"] == counts["compared"])
        else:
            head = "DIFFERENT" if failures(self.rows) else "NOT PROVEN"
            aside += ["conditions not met"] * (not all(self.conditions.values()))
        return f"{head}: {'; '.join([found, *aside])}."

    def markdown(self) -> str:
        """The table in Markdown."""
        head, *lines = self.table()
        rows = [head, tuple("---" for _ in head), *lines]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        conditions = "\n".join(f"- {'seen' if m else '**not seen**'}: {c}" for c, m in self.conditions.items())
        said = "\n\n".join([self.verdict(), *self.remarks(), *self.scores().values()])
        return f"# {self.title}\n\n{said}\n\n{table}\n\n{conditions}\n"

    def content(self) -> dict[str, Any]:
        """Everything, ready for JSON (no infinity, no NaN); the HTML page is made from it."""
        first = first_departure(self.rows)
        departure = None
        if first is not None:
            departure = {"text": describe(first), "explanation": explain(first, self.rows), "row": first.to_dict()}
        return _plain(
            {
                "title": self.title,
                "subject": self.subject,
                "verdict": self.verdict(),
                "passed": self.passed,
                "counts": self.counts(),
                "kinds": self.kinds(),
                "remarks": self.remarks(),
                "scores": self.scores(),
                "score": None if self.score is None else self.score.summary(),
                "false_alarms": None if self.false_alarms is None else self.false_alarms.summary(),
                "conditions": self.conditions,
                "first_departure": departure,
                "untested": self.untested_parts(),
                "parts": self.lines(),
                "profiles": profiles(self.rows),
                "training": [curves.to_dict() for curves in self.training],
                "mixtures": list(self.mixtures),
                "coverage": list(self.coverage),
                "sides": self.sides(),
                "provenance": self.provenances(),
                "rows": [row.to_dict() | {"part": part_of(row), "kind": kind_of(row)} for row in self.rows],
            }
        )

    def save(self, folder: Path) -> list[Path]:
        """Write ``parity.json``, ``parity.md`` and ``report.html``."""
        from parity_tests.report.html import page

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
    """Remove an earlier report from its folder, so that it is not taken for the new one if the run fails.

    Raises:
        BadInput: when that cannot be done.
    """
    try:
        for name in STALE:
            if (folder / name).is_file():
                (folder / name).unlink()
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
