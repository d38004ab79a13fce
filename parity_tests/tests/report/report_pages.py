"""Reports of four kinds and their HTML pages, and a reader that sees a page as a browser does."""

import dataclasses
import functools
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import numpy as np

from parity_tests.judge.row import Row
from parity_tests.judge.training import Curves
from parity_tests.report.html import page
from parity_tests.report.report import Report
from parity_tests.report.score import FalseAlarms, Score
from parity_tests.report.writing import content_of

STEPS = 20
GROWTH = np.linspace(1, 9, STEPS)
# Quantities with steps; those inside a model also have a local row, computed from the official state.
IN_MODEL = ("train/decoder/h", "train/decoder/hyper_cell/c", "train/pi")
QUANTITIES = (*IN_MODEL, "cell/lstm/j", "sample/greedy/mu1")
SCORE = Score(63, 62, 60, {"decoder": {"bug": "layer-norm epsilon 1e-5", "effect": 2.9e-6}})
ALARMS = FalseAlarms(
    *(224, 1_432_100, 0, 812, 0.0133, 2.4e-5, 0.704, "a quiet machine"),
    [{"name": "ours, 2 threads", "recordings": 224, "different": 0, "closest": 0.704}],
)
OFFICIAL = {"seed": 1, "versions": {"magenta": "2.1.4"}, "sha256": {"model.py": "957c7ed4073cb3ca"}}
ABOUT = {
    "command": ["python", "-m", "parity_tests", "parity"],
    "processor": "A 7",
    "draws": {"latent": [[8, 8], None]},
}


def a_row(quantity: str, precision: str = "float64", verdict: str = "equal", **values: Any) -> Row:
    """A comparison with numbers such as they are seen."""
    single = precision == "float32"
    numbers = {
        "error": 4.5e-7 if single else 3.1e-15,
        "allowed": 9.6e-7 if single else 1e-10,
        "official_error": 2.4e-7 if single else None,
        "measure": "rms" if single else "largest",
        "noise": None if single else 6.2e-14,
        "where": {"row": 3, "step": 7, "unit": 12},
        "ours": 0.51234567890123456,
        "theirs": 0.5123456789012341,
        "truth": 0.5123456789012341,
    }
    return Row(values.pop("recording", "lstm/as_is"), quantity, precision, verdict, **numbers | values)


def rows_of(quantity: str, recording: str = "lstm/as_is") -> list[Row]:
    """The rows of a quantity in both precisions: of the free run, and computed from the official state."""
    rows = []
    if not recording.startswith("cell/"):
        error = 1.04e-14 if quantity == "train/decoder/h" else 3.1e-15
        double = 1e-15 * np.stack([GROWTH, 2 * GROWTH, np.full(STEPS, 1e5)])
        single = 1e-8 * np.stack([8 * GROWTH, 9 * GROWTH, 90 * GROWTH])
        rows += [a_row(quantity, error=error, profile=double), a_row(quantity, "float32", profile=single)]
    if quantity in IN_MODEL or recording.startswith("cell/"):
        name = quantity if recording.startswith("cell/") else f"fed/{quantity}"
        single = 1e-8 * np.stack([6 * GROWTH, 5 * GROWTH])
        single[0, 0] = 0
        rows.append(a_row(name, recording=recording, noise=None, profile=0.4e-15 * np.sqrt(GROWTH)))
        rows.append(a_row(name, "float32", recording=recording, profile=single))
    return rows


def training(recording: str = "lstm/training") -> Curves:
    """A training run of both sides."""
    steps = np.arange(30)
    theirs = {"cost": 2.5 * np.exp(-steps / 12), "r_cost": 2.4 * np.exp(-steps / 12), "kl_cost": 0.2 + 0.01 * steps}
    theirs |= {"lr": 1e-3 * 0.99**steps, "kl_weight": 0.01 + 0.001 * steps}
    drift = 1e-15 * 1.6**steps
    return Curves(
        recording,
        {name: values.tolist() for name, values in theirs.items()},
        {name: (values * (1 + drift)).tolist() for name, values in theirs.items()},
        drift.tolist(),
        (0.7e-15 * 1.6**steps).tolist(),
        (1e-15 * (2 + np.sin(steps))).tolist(),
    )


def passing_report() -> Report:
    """A report in which everything is equal, with every section: 26 rows."""
    rows = [row for quantity in IN_MODEL for row in rows_of(quantity)]
    rows += rows_of("j", "cell/lstm") + rows_of("sample/greedy/mu1")
    data = {"recording": "data", "error": 0.0, "allowed": 0.0, "noise": None, "where": None}
    rows += [a_row(f"train/{batch}/sketches", "exact", **data) for batch in range(10)]
    mixture = {"recording": "lstm/as_is", "precision": "float64", "nll_official": -1.2345678, "nll_ours": -1.2345678}
    return Report(
        "Parity with official Magenta 2.1.4",
        rows,
        {"gradients that the clip cuts, in every model": True, "every checkpoint converted": True},
        OFFICIAL,
        training=[training()],
        mixtures=[mixture | {"largest_nll_difference": 3.3e-14, "kl_ours": 2.0e-16, "kl_official": None}],
        coverage=[{"model": "lstm/as_is", "variables": 21, "gradient": "21 of 21", "float32": "150 of 150"}],
        score=SCORE,
        false_alarms=ALARMS,
        margin_wanted=False,
        about=ABOUT,
    )


def failing_report() -> Report:
    """A report of a port with a bug in its decoder; one error is infinite, and one quantity was not compared."""
    report = passing_report()
    profile = np.stack([np.r_[np.full(7, 1e-15), np.full(12, 0.37), np.inf], 2e-15 * GROWTH, np.full(STEPS, 1e-10)])
    cause = "two of the four gates are swapped: i and j"
    departed = a_row("train/decoder/h", verdict="different", error=0.37, cause=cause, profile=profile)
    infinite = a_row("train/decoder/c", verdict="different", error=np.inf, where={"step": 9})
    late = [a_row(f"train/late/{index}", verdict="different", error=0.1) for index in range(59)]
    lost = a_row(
        "eval/r_cost", verdict="not compared", error=np.inf, allowed=0.0, note="missing on the port", where=None
    )
    others = [row for row in report.rows if (row.quantity, row.precision) != ("train/decoder/h", "float64")]
    rows = [departed, infinite, *late, lost, *others]
    return dataclasses.replace(report, rows=rows, conditions=report.conditions | {"every checkpoint converted": False})


def partial_report() -> Report:
    """A report of a port that offers little, made without scores."""
    report = passing_report()
    lacking = {"verdict": "untested", "error": np.inf, "allowed": 0.0, "noise": None, "where": None}
    untested = [a_row(f"train/encoder/fw/{index}", **lacking) for index in range(40)]
    untested += [a_row(f"train/decoder/{name}", **lacking) for name in ("c", "i", "f")]
    rows = [dataclasses.replace(row, profile=None) for row in report.rows] + untested
    empty = {"training": [], "mixtures": [], "coverage": [], "score": None, "false_alarms": None}
    return dataclasses.replace(report, rows=rows, partial=True, **empty)


def chaotic_report() -> Report:
    """A report of a model whose official runs drift apart, and whose float32 run overflows."""
    report = passing_report()
    note = "chaotic from step 13 on: 1e-16 becomes 2e-06"
    growth = 1e-16 * 6.0 ** np.arange(STEPS)
    allowed = np.where(growth <= 1e-6, np.maximum(1e-10, 10 * growth), np.nan)
    rows = [row for row in report.rows if not row.quantity.endswith("train/decoder/h")]
    rows += [
        a_row("train/decoder/h", verdict="not judged", note=note, profile=np.stack([growth, growth, allowed])),
        a_row("fed/train/decoder/h", noise=None, profile=np.full(STEPS, 1e-16)),
        a_row("train/decoder/i", verdict="not judged", note=note),
        a_row("train/nll", "float32", "official overflow", note="the official float32 run is not finite"),
    ]
    return dataclasses.replace(report, rows=rows)


REPORTS = {
    "passing": passing_report,
    "failing": failing_report,
    "partial": partial_report,
    "chaotic": chaotic_report,
}


def content(name: str) -> dict[str, Any]:
    """The content of a report, which a test may change."""
    return content_of(REPORTS[name]())


@functools.cache
def page_of(name: str) -> str:
    """The page of a report as it is; drawn once, because drawing takes the longest."""
    return page(content(name))


def without_plots(content: dict[str, Any]) -> dict[str, Any]:
    """The same content with nothing to draw."""
    return content | {"profiles": {}, "training": []}


class Reader(HTMLParser):
    """What a browser sees: elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.ends: Counter[str] = Counter()
        self.words: list[str] = []
        self.data = ""  # of the list of every tensor
        self.feed(text)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.ends[tag] += 1

    def handle_data(self, data: str) -> None:
        tag, attributes = self.starts[-1] if self.starts else ("", {})
        if self.cdata_elem is None:
            self.words.append(data)
        elif tag == "script" and attributes.get("type") == "application/json":
            self.data += data

    @property
    def tags(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.starts)
