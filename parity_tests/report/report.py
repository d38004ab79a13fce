"""The report of a run: all its rows, the conditions that had to be met, and the verdict that follows from them.

This module collects. :mod:`parity_tests.report.writing` presents a report as text, Markdown, JSON and HTML.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_COMPARED, NOT_JUDGED, OVERFLOW, UNTESTED, Row, failures
from parity_tests.judge.training import Curves
from parity_tests.record.machine import in_words
from parity_tests.report.part_lines import part_line
from parity_tests.report.parts import KINDS, in_order, kind_of, part_of
from parity_tests.report.provenance import our_provenance
from parity_tests.report.score import FalseAlarms, Score
from parity_tests.report.sentences import VERDICT_WORDS, remarks, untested_parts

MARGIN = "noise below the allowance, the allowance below the smallest planted bug, in every quantity (float64)"


@dataclasses.dataclass
class Report:
    """All rows of a run, and the conditions that had to be met in it."""

    title: str
    rows: list[Row]
    conditions: dict[str, bool]  # what must have occurred at least once -> whether it did
    provenance: dict[str, Any]  # of the official side
    subject: str = "pytorch_sketch_rnn"
    partial: bool = False  # whether the port may offer less than everything; what it lacks is then untested
    training: Sequence[Curves] = ()
    mixtures: Sequence[dict[str, Any]] = ()  # likelihoods and divergences, see parity_tests.judge.proof
    coverage: Sequence[dict[str, Any]] = ()  # see parity_tests.judge.coverage
    score: Score | None = None  # of the planted bugs: the smallest one that showed in each part
    false_alarms: FalseAlarms | None = None  # how often equal code was called different
    margin_wanted: bool | None = None  # whether the verdict requires MARGIN; None: if there is a score, and not partial
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # how the port ran, in its own words

    def __post_init__(self) -> None:
        wanted = self.score is not None and not self.partial if self.margin_wanted is None else self.margin_wanted
        if wanted:
            self.conditions = self.conditions | {MARGIN: not self.without_margin()}

    @property
    def passed(self) -> bool:
        """Whether everything was compared and is equal, and every condition was met."""
        compared = any(row.verdict == EQUAL for row in self.rows)
        complete = self.partial or not self.untested
        return compared and complete and not failures(self.rows) and all(self.conditions.values())

    @property
    def untested(self) -> list[Row]:
        """Rows of what the port does not offer."""
        return [row for row in self.rows if row.verdict == UNTESTED]

    def verdict(self) -> str:
        """One line: equal or not, and how many tensors were compared."""
        counts = self.counts()
        if counts["not_proven"] == counts["rows"] > 0:
            return f"NOTHING TESTED: the port offers none of {counts['rows']} quantities."
        found = f"{counts['compared']} tensors compared, element by element"
        if counts["equal"] < counts["compared"]:
            names = {"equal": "equal", "different": "different", "not_judged": "not judged"}
            names |= {"overflow": VERDICT_WORDS[OVERFLOW]}
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

    def counts(self) -> dict[str, int]:
        """The number of rows, of rows that were compared, and of rows with each verdict."""
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
        """The number of rows with each verdict, by kind of judgement; a failure of any sort counts as different."""
        result = []
        for kind in KINDS:
            rows = [row for row in self.rows if kind_of(row) == kind]
            found = Counter(row.verdict for row in rows)
            line = {"kind": kind, "rows": len(rows), "equal": found[EQUAL], "different": len(failures(rows))}
            line |= {"not_judged": found[NOT_JUDGED], "overflow": found[OVERFLOW], "not_proven": found[UNTESTED]}
            result += [line] if rows else []
        return result

    def parts(self) -> dict[str, list[Row]]:
        """The rows of each part of the model, in the order of the table."""
        parts: dict[str, list[Row]] = {}
        for row in self.rows:
            parts.setdefault(part_of(row), []).append(row)
        return {part: parts[part] for part in in_order(parts)}

    def lines(self) -> list[dict[str, Any]]:
        """One line for each part: numbers, the worst place, the verdict."""
        return [part_line(part, rows, self.score) for part, rows in self.parts().items()]

    def without_margin(self) -> list[str]:
        """The parts in which noise < allowance < smallest planted bug does not hold."""
        smallest = {} if self.score is None else self.score.smallest
        bad = []
        for part, rows in self.parts().items():
            judged = [row for row in rows if row.precision != "float32" and row.verdict in (EQUAL, DIFFERENT)]
            effect = smallest.get(part, {}).get("effect", 0.0)
            # the allowance of a distribution depends on the size of the variable; the bug showed in a large one
            beyond_bug = min((row.allowed for row in judged), default=-1.0) >= effect
            if beyond_bug or any((row.noise or 0.0) >= row.allowed > 0 for row in judged):
                bad.append(part)
        return bad

    def remarks(self) -> list[str]:
        """Sentences on rows that are neither equal nor different; see :func:`parity_tests.report.sentences.remarks`."""
        return remarks(self.rows)

    def untested_parts(self) -> list[str]:
        """The parts that have untested rows, each with their number."""
        return untested_parts(self.rows)

    def scores(self) -> dict[str, str]:
        """A line on planted bugs and one on false alarms."""
        bugs, alarms = self.score, self.false_alarms
        return {
            "mutants": "Planted bugs: not measured; run make mutants" if bugs is None else bugs.line(),
            "false_alarms": "False alarms: not measured; run make false-alarms" if alarms is None else alarms.line(),
        }

    def provenances(self) -> dict[str, dict[str, Any]]:
        """Versions, machine, settings and command of both sides."""
        return {"official": self.provenance, "ours": our_provenance() | dict(self.about)}

    def sides(self) -> dict[str, str]:
        """The provenance of each side in one line."""
        return {side: in_words(values) for side, values in self.provenances().items()}
