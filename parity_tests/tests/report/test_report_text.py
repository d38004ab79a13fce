"""The text of a report says everything that was found."""

import dataclasses
import re

import numpy as np
import pytest
from report_rows import (
    ABSENT,
    ALARMS,
    CHAOTIC,
    DRAWN,
    EQUAL,
    GOOD,
    INF,
    LOCAL,
    OVERFLOWN,
    SCORE,
    UNTESTED,
    WORST,
    a_row,
)

from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED
from parity_tests.report.report import Report
from parity_tests.report.sentences import describe, explain
from parity_tests.report.writing import content_of, markdown_of, text_of


def test_the_text_shows_each_failure_in_full():
    report = Report("title", [*GOOD, WORST, ABSENT], {"a bite": False}, {}, subject="my port")
    lines = text_of(report).splitlines()
    departed = "hyper/moved train/mu (float64): error 2.5e-01, allowed 1.0e-10, at row 3, unit 7: ours 1.5, theirs -2.5"
    assert lines[:2] == ["title", "subject: my port"]
    assert f"DIFFERENT {departed}" in lines
    assert f"first departure: DIFFERENT {departed}" in lines
    assert "NOT COMPARED hyper/moved train/z (float64): missing on the port" in lines
    table = {re.split(r"  +", line)[0]: line for line in lines}
    assert table["mu"].endswith("1 DIFFERENT")
    assert "2.5e-01" in table["mu"]
    assert "hyper/moved row 3, unit 7" in table["mu"]
    assert table["z"].endswith("1 DIFFERENT")
    assert table["data loader"].endswith("equal")


def test_the_text_names_the_first_departure_and_not_the_last():
    rows = [dataclasses.replace(WORST, quantity=f"train/{name}") for name in ("z", "pi", "cost")]
    text = text_of(Report("title", [*GOOD, *rows], {}, {}))
    assert text.count("first departure: DIFFERENT hyper/moved train/z ") == text.count("first departure") == 1
    assert "first departure" not in text_of(Report("title", [*GOOD, UNTESTED], {}, {}))


def test_many_failures_are_counted_and_the_first_are_shown():
    rows = [a_row("r", f"train/q{i}", "float64", "different", error=1.0) for i in range(50)]
    lines = text_of(Report("title", rows, {}, {})).splitlines()
    shown = [line for line in lines if line.startswith("DIFFERENT r ")]
    assert [line.split()[2] for line in shown] == [f"train/q{i}" for i in range(20)]
    assert "... and 30 more, all in the JSON file" in lines
    assert "50 different" in lines[-1]
    assert "more, all in the JSON file" not in text_of(Report("title", rows[:20], {}, {}))


def test_what_is_untested_is_listed_by_its_parts():
    rows = [UNTESTED, a_row("lstm/moved", "sample/greedy/pen", verdict="untested"), *GOOD]
    rows.append(a_row("lstm/as_is", "train/z", verdict="untested"))
    report = Report("title", rows, {}, {}, partial=True)
    assert report.untested_parts() == content_of(report)["untested"] == ["sampling, greedy (2)", "z (1)"]
    said = "Not proven, because the port does not offer it: sampling, greedy (2), z (1)"
    assert said in text_of(report).splitlines()
    assert said in markdown_of(report).splitlines()
    assert said in content_of(report)["remarks"]


SOME = "lstm/as_is train/decoder/h (float64): chaotic from step 27 on: 1e-16 becomes 2e-06"
ALGORITHM = "The algorithm is equal: all 1 tensors"


@pytest.mark.parametrize(
    ("rows", "algorithm", "said"),
    [
        ([LOCAL, CHAOTIC], True, ["lstm is chaotic: rounding alone", "1 tensor is not judged", SOME]),
        ([LOCAL, CHAOTIC, OVERFLOWN], True, ["lstm is chaotic:", "1 tensor is not finite in it"]),
        ([LOCAL, dataclasses.replace(OVERFLOWN, quantity=FED + "train/pi"), CHAOTIC], True, ["1 tensor is not judged"]),
        ([EQUAL, CHAOTIC], False, ["lstm is chaotic:"]),
        ([LOCAL, CHAOTIC, WORST], False, ["lstm is chaotic:"]),
        ([dataclasses.replace(LOCAL, verdict="different", error=1.0), CHAOTIC], False, ["lstm is chaotic:"]),
        ([LOCAL, dataclasses.replace(LOCAL, verdict="not judged"), CHAOTIC], False, ["2 tensors are not judged"]),
        ([LOCAL, dataclasses.replace(CHAOTIC, precision="float32")], True, ["lstm is chaotic in float32:"]),
        ([LOCAL, *[CHAOTIC] * 5], True, ["5 tensors are not judged", f"{SOME}; {SOME}; {SOME}; and 2 more."]),
        ([LOCAL, dataclasses.replace(CHAOTIC, recording="model-own/as_is")], True, ["The model is chaotic:"]),
        ([LOCAL, CHAOTIC, dataclasses.replace(CHAOTIC, recording="hyper/moved")], True, ["lstm, hyper are chaotic:"]),
    ],
)
def test_a_chaotic_model_is_called_that_and_its_algorithm_equal_where_all_local_rows_are(rows, algorithm, said):
    report = Report("title", rows, {}, {})
    remarks = "\n".join(report.remarks())
    assert (ALGORITHM in remarks) is algorithm
    for words in said:
        assert words in remarks
    text = text_of(report).splitlines()
    place = text.index(report.remarks()[0])
    assert text[place : place + len(report.remarks())] == report.remarks()  # at the end, before scores and verdict
    assert text[place + len(report.remarks()) :] == [*report.scores().values(), report.verdict()]
    assert report.remarks() == content_of(report)["remarks"]


def test_an_undecided_sample_is_not_called_chaotic():
    note = "from step 9 on: a decision of the official run depends on less than its own drift of 1e-15"
    tied = a_row("lstm/as_is", "sample/greedy/pi", "float64", "not judged", note=note)
    (remark,) = Report("title", [*GOOD, tied], {}, {}).remarks()
    assert remark.startswith("In sampling, 1 tensor is not judged from some step on")
    assert f"lstm/as_is sample/greedy/pi (float64): {note}" in remark
    assert "chaotic" not in remark


def test_what_is_equal_throughout_needs_no_remark():
    assert Report("title", [*GOOD, LOCAL], {}, {}).remarks() == []


def test_rows_are_counted_by_their_verdicts_and_by_the_kind_of_their_judgement():
    rows = [*GOOD, LOCAL, CHAOTIC, OVERFLOWN, WORST, ABSENT, UNTESTED, a_row("cell/lstm", "i"), DRAWN]
    report = Report("title", rows, {}, {})
    counts = {"equal": 6, "different": 1, "not_compared": 1, "not_judged": 1, "overflow": 1, "not_proven": 1}
    assert report.counts() == content_of(report)["counts"] == {"rows": 11, "compared": 9} | counts
    names = ("kind", "rows", "equal", "different", "not_judged", "overflow", "not_proven")
    assert report.kinds() == content_of(report)["kinds"]
    assert [tuple(line[name] for name in names) for line in report.kinds()] == [
        ("local", 2, 2, 0, 0, 0, 0),
        ("accumulated", 7, 2, 2, 1, 1, 1),
        ("exact", 1, 1, 0, 0, 0, 0),
        ("drawn", 1, 1, 0, 0, 0, 0),
    ]
    kinds = [row["kind"] for row in content_of(report)["rows"]]
    assert kinds[:5] == ["accumulated", "accumulated", "exact", "local", "accumulated"]


def test_both_scores_come_before_the_verdict():
    report = Report("title", GOOD, {}, {}, score=SCORE, false_alarms=ALARMS)
    lines = text_of(report).splitlines()
    assert lines[-3:] == [SCORE.line(), ALARMS.line(), report.verdict()]
    content = content_of(report)
    assert list(content["scores"].values()) == lines[-3:-1]
    assert (content["score"], content["false_alarms"]) == (SCORE.summary(), ALARMS.summary())
    for line in lines[-3:]:
        assert line in markdown_of(report).splitlines()
    lacking = Report("title", GOOD, {}, {})
    assert text_of(lacking).splitlines()[-3:-1] == [
        "Planted bugs: not measured; run make mutants",
        "False alarms: not measured; run make false-alarms",
    ]
    assert (content_of(lacking)["score"], content_of(lacking)["false_alarms"]) == (None, None)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (ABSENT, "NOT COMPARED hyper/moved train/z (float64): missing on the port"),
        (
            a_row(
                *("lstm/as_is", "train/decoder/i", "float32", "different"),
                **{"error": 3e-6, "allowed": 2e-6, "official_error": 1e-6, "measure": "rms", "truth": 0.25},
                **{"where": {"row": 1, "step": 2, "gate": "f", "unit": 4}, "ours": 0.5, "theirs": 0.125},
            ),
            "DIFFERENT lstm/as_is train/decoder/i (float32): error 3.0e-06, allowed 2.0e-06 (rms; official runs drift "
            "by 1.0e-06), at row 1, step 2, gate f, unit 4: ours 0.5, theirs 0.125, truth 0.25",
        ),
        (
            a_row(
                *("cell/lstm", "i", "float32", "different"),
                **{"error": 3e-6, "allowed": 2e-6, "official_error": 1e-6, "measure": "rms of gate f"},
            ),
            "DIFFERENT cell/lstm i (float32): error 3.0e-06, allowed 2.0e-06 (rms of gate f; the official one is off "
            "by 1.0e-06), at -: ours None, theirs None",
        ),
        (
            dataclasses.replace(WORST, where={}, quantity="train/cost"),
            "DIFFERENT hyper/moved train/cost (float64): error 2.5e-01, allowed 1.0e-10, at -: ours 1.5, theirs -2.5",
        ),
        (
            dataclasses.replace(WORST, where=None, recording="initial/lstm", quantity="distribution/output_b"),
            "DIFFERENT initial/lstm distribution/output_b (float64): error 2.5e-01, allowed 1.0e-10",
        ),
    ],
)
def test_a_row_is_described_in_one_line(row, text):
    assert describe(row) == text


def test_numbers_derived_from_a_row():
    base = Row("r", "q", "float32", "equal", error=3.0, allowed=4.0, official_error=2.0, profile=np.zeros(3))
    assert (base.used, base.ratio) == (0.75, 1.5)
    assert dataclasses.replace(base, allowed=0.0).used == INF
    assert dataclasses.replace(base, allowed=0.0, error=0.0).used == 0.0
    assert [dataclasses.replace(base, official_error=e).ratio for e in (None, 0.0)] == [None, None]
    content = base.to_dict()
    assert set(content) == {field.name for field in dataclasses.fields(Row)} - {"profile"} | {"ratio"}
    assert (content["error"], content["ratio"], content["measure"]) == (3.0, 1.5, "largest")


IN_THIS_STEP = "the same step departs from the official state as well: the error is made in this step"
GIVEN = "the same step is equal from the official state: the error comes from the step's inputs"


@pytest.mark.parametrize(
    ("verdict", "changed", "said"),
    [
        ("different", {}, IN_THIS_STEP),
        ("equal", {}, GIVEN),
        ("not compared", {}, None),
        ("untested", {}, None),
        ("equal", {"recording": "lstm/moved"}, None),
        ("equal", {"precision": "float32"}, None),
        ("equal", {"quantity": FED + "train/decoder/c"}, None),
        ("equal", {"quantity": "train/decoder/i"}, None),
    ],
)
def test_the_first_departure_is_explained_by_the_same_step_from_the_official_state(verdict, changed, said):
    first = a_row("lstm/as_is", "train/decoder/i", verdict="different", error=1.0, cause="two gates swapped")
    fed = dataclasses.replace(a_row("lstm/as_is", FED + "train/decoder/i", verdict=verdict, error=1.0), **changed)
    lines = ["  likely cause: two gates swapped", *([f"  {said}"] if said else [])]
    assert explain(first, [first, *GOOD, fed]) == lines
    assert explain(dataclasses.replace(first, cause=None), [fed]) == lines[1:]
    report = Report("title", [first, fed], {}, {})
    assert "\n".join([f"first departure: {describe(first)}", *lines]) in text_of(report)
    departure = content_of(report)["first_departure"]
    assert (departure["text"], departure["explanation"]) == (describe(first), lines)
