"""Makes a report from the recordings, the rows and the conditions that a run collected."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from parity_tests.adapter import Adapter
from parity_tests.judge.coverage import coverage
from parity_tests.judge.proof import Findings
from parity_tests.record.recording import Recording
from parity_tests.report.report import Report
from parity_tests.report.score import Scores

_PROVENANCE = (
    "official", "versions", "sha256", "machine", "processor", "vector instructions", "cores", "threads",
    "linear algebra", "environment", "command", "seed",
)  # fmt: skip


@dataclasses.dataclass
class Collected:
    """What a run collected about one port."""

    recordings: list[Recording] = dataclasses.field(default_factory=list)
    findings: Findings = dataclasses.field(default_factory=Findings)
    conditions: dict[str, bool] = dataclasses.field(default_factory=dict)  # condition -> whether it was met


def report_of(title: str, collected: Collected, port: Adapter, scores: Scores, *, margin_wanted: bool) -> Report:
    """The report of a run.

    Args:
        title: of the report.
        collected: at least one recording, and all that was found.
        port: the subject.
        scores: of the planted bugs and of false alarms.
        margin_wanted: whether the verdict requires the order noise, allowance, smallest planted bug of every part.
    """
    findings = collected.findings
    return Report(
        title,
        findings.rows,
        collected.conditions,
        _shared_provenance(collected.recordings),
        subject=port.name,
        partial=not port.offers_everything,
        training=findings.training,
        mixtures=findings.mixtures,
        coverage=coverage(collected.recordings, findings.rows),
        score=scores.mutants,
        false_alarms=scores.false_alarms,
        margin_wanted=margin_wanted,
        about=port.about,
    )


def _shared_provenance(recordings: Sequence[Recording]) -> dict[str, Any]:
    """The provenance that recordings of one run share, without what belongs to a single recording."""
    return {name: value for name, value in recordings[0].provenance.items() if name in _PROVENANCE}
