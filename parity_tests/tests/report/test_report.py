"""The report passes only where all was compared and is equal, and it tells the whole of what was found."""

import dataclasses
import json
import re

import numpy as np
import pytest
from sample_models import ALL_CELLS, tiny
from shipped import shipped

from parity_tests.judge.compare import FED, Row, official_names
from parity_tests.judge.tensor.together import TOGETHER
from parity_tests.judge.training import Curves
from parity_tests.report import profiles
from parity_tests.report.our_side import our_provenance
from parity_tests.report.parts import kind_of
from parity_tests.report.profiles import merged
from parity_tests.report.report import (
    FILES,
    HEAD,
    MARGIN,
    PARTS,
    STALE,
    Report,
    describe,
    explain,
    part_of,
    start_report,
)
from parity_tests.report.score import FalseAlarms, Score
from pytorch_sketch_rnn.errors import BadInput
from weight_port.names import table

INF, NAN = float("inf"), float("nan")


def a_row(recording: str, quantity: str, precision: str = "float64", verdict: str = "equal", **more) -> Row:
    """A row as a comparison would make it."""
    return Row(recording, quantity, precision, verdict, **{"error": 0.0, "allowed": 0.0, "where": {}} | more)


EQUAL = a_row(
    *("lstm/as_is", "train/mu"),
    **{"error": 1e-15, "allowed": 1e-10, "noise": 2e-14, "where": {"row": 0, "unit": 1}, "ours": 0.5, "theirs": 0.5},
)
SINGLE = a_row("lstm/as_is", "train/mu", "float32", error=1e-7, allowed=4e-7, official_error=2e-7, measure="rms")
EXACT = a_row("data", "train/0/lengths", "exact")
WORST = a_row(
    *("hyper/moved", "train/mu", "float64", "different"),
    **{"error": 0.25, "allowed": 1e-10, "where": {"row": 3, "unit": 7}, "ours": 1.5, "theirs": -2.5, "truth": -2.5},
)
LACKING = {"error": INF, "where": None, "note": "missing on the port"}
ABSENT = a_row("hyper/moved", "train/z", "float64", "not compared", **LACKING)
UNTESTED = a_row("lstm/as_is", "sample/greedy/pi", "float64", "untested", **LACKING)
GOOD = [EQUAL, SINGLE, EXACT]
LOCAL = a_row("lstm/as_is", FED + "train/decoder/h", error=1e-16, allowed=1e-10)
CHAOTIC = a_row(
    *("lstm/as_is", "train/decoder/h", "float64", "not judged"),
    **{"error": 1e-13, "allowed": 1e-10, "noise": 1e-14, "note": "chaotic from step 27 on: 1e-16 becomes 2e-06"},
)
DRAWN = a_row("initial/lstm", "distribution/output_w", "distribution", error=0.1, allowed=0.2)
OVERFLOWN = a_row(
    "lstm/as_is", "train/nll", "float32", "official overflow", error=1e-7, allowed=1e-2, note="not finite"
)

# The verdict ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    ("rows", "conditions", "passed"),
    [
        (GOOD, {}, True),
        (GOOD, {"met": True}, True),
        ([], {}, False),
        ([], {"met": True}, False),
        (GOOD, {"unmet": False}, False),
        (GOOD, {"met": True, "unmet": False}, False),
        (GOOD, {"unmet": False, "met": True}, False),
        ([*GOOD, WORST], {"met": True}, False),
        ([WORST, *GOOD], {}, False),
        ([*GOOD, ABSENT], {"met": True}, False),
        ([ABSENT], {}, False),
        ([UNTESTED], {}, False),
        ([WORST, UNTESTED, *GOOD], {}, False),
    ],
)
def test_a_report_passes_only_with_rows_that_are_all_equal_under_conditions_that_were_all_met(
    rows, conditions, passed, partial
):
    report = Report("title", rows, conditions, {}, partial=partial)
    assert report.passed is report.content()["passed"] is passed
    failed = any(row.verdict in ("different", "not compared") for row in rows)
    heads = "EQUAL: " if passed else "DIFFERENT: " if failed else ("NOT PROVEN: ", "NOTHING TESTED: ")
    assert report.verdict().startswith(heads)
    for text in (report.text(), report.markdown()):
        assert report.verdict() in text
    for condition, met in conditions.items():
        assert f"{'seen' if met else 'NOT SEEN'}: {condition}" in report.text()
        assert f"- {'seen' if met else '**not seen**'}: {condition}" in report.markdown()


def test_what_is_untested_is_a_failure_but_for_a_port_that_may_be_partial():
    for rows in ([*GOOD, UNTESTED], [UNTESTED, *GOOD]):
        assert not Report("title", rows, {}, {}).passed
        assert Report("title", rows, {}, {}, partial=True).passed
        assert not Report("title", rows, {"unmet": False}, {}, partial=True).passed


@pytest.mark.parametrize(
    ("rows", "options", "verdict"),
    [
        (GOOD, {}, "EQUAL: 3 tensors compared, element by element; nothing left out."),
        (
            [*GOOD, UNTESTED],
            {"partial": True},
            "EQUAL IN 3 OF 4: 3 tensors compared, element by element; 1 not proven (the port does not offer them).",
        ),
        (
            [*GOOD, UNTESTED],
            {},
            "NOT PROVEN: 3 tensors compared, element by element; 1 not proven (the port does not offer them).",
        ),
        (
            [*GOOD, WORST, ABSENT],
            {},
            "DIFFERENT: 4 tensors compared, element by element: 3 equal, 1 different; 1 not compared (missing, or the "
            "port failed).",
        ),
        (
            [*GOOD, CHAOTIC, OVERFLOWN, OVERFLOWN],
            {},
            "EQUAL: 6 tensors compared, element by element: 3 equal, 1 not judged, 2 official float32 overflow.",
        ),
        (
            [*GOOD, CHAOTIC, UNTESTED, UNTESTED],
            {"partial": True},
            "EQUAL IN 3 OF 6: 4 tensors compared, element by element: 3 equal, 1 not judged; 2 not proven "
            "(the port does not offer them).",
        ),
        (
            [WORST, UNTESTED],
            {"conditions": {"a bite": False, "another": True}, "partial": True},
            "DIFFERENT: 1 tensors compared, element by element: 1 different; 1 not proven (the port does not offer "
            "them); conditions not met.",
        ),
        (
            GOOD,
            {"conditions": {"a bite": False}},
            "NOT PROVEN: 3 tensors compared, element by element; conditions not met.",
        ),
        ([CHAOTIC], {}, "NOT PROVEN: 1 tensors compared, element by element: 1 not judged."),
    ],
)
def test_the_verdict_counts_what_was_compared_what_failed_and_what_was_left_out(rows, options, verdict):
    report = Report("title", rows, provenance={}, **{"conditions": {}} | options)
    assert report.verdict() == report.text().splitlines()[-1] == verdict


SCORE = Score(planted=5, killed=4, located=3, smallest={"mu": {"bug": "no bias", "effect": 1e-7}})
MEASURED = a_row("lstm/as_is", "train/mu", error=1e-15, allowed=1e-10, noise=9e-11)


@pytest.mark.parametrize(
    ("change", "effect", "met"),
    [
        ({}, 1e-7, True),
        ({}, 1.1e-10, True),
        ({}, 1e-10, False),
        ({}, 1e-11, False),
        ({"noise": 1e-10}, 1e-7, False),
        ({"noise": 1e-9}, 1e-7, False),
        ({"noise": None}, 1e-7, True),
        ({"noise": 0.1, "verdict": "not judged"}, 1e-7, True),  # beside one that is judged
        ({"allowed": 0.0, "error": 0.0, "precision": "exact", "noise": None}, 1e-7, True),
        ({"allowed": 0.1, "precision": "distribution", "noise": None}, 0.5, True),
        ({"allowed": 0.1, "precision": "distribution", "noise": None}, 0.1, False),
    ],
)
def test_noise_allowance_and_smallest_planted_bug_must_stand_in_this_order(change, effect, met):
    smallest = {"mu": {"bug": "no bias", "effect": effect}}
    score = dataclasses.replace(SCORE, smallest=smallest)
    rows = [dataclasses.replace(MEASURED, **change), MEASURED if "verdict" in change else SINGLE]
    report = Report("title", rows, {"met": True}, {}, score=score)
    assert report.conditions == {"met": True, MARGIN: met}
    assert report.passed is met
    assert report.without_margin() == ([] if met else ["mu"])
    assert ("without that margin: mu" in report.text()) is not met
    # it is not asked of a port that may be partial, nor without a score
    assert Report("title", rows, {"met": True}, {}, score=score, partial=True).conditions == {"met": True}
    assert Report("title", rows, {"met": True}, {}).conditions == {"met": True}


def test_a_part_without_a_planted_bug_has_no_margin():
    rows = [MEASURED, a_row("lstm/as_is", "train/pi", error=1e-15, allowed=1e-10)]
    report = Report("title", rows, {}, {}, score=SCORE)
    assert (report.without_margin(), report.passed) == (["pi"], False)


# The text ------------------------------------------------------------------------------------------------------------


def test_the_text_shows_each_failure_in_full():
    report = Report("title", [*GOOD, WORST, ABSENT], {"a bite": False}, {}, subject="my port")
    lines = report.text().splitlines()
    told = "hyper/moved train/mu (float64): error 2.5e-01, allowed 1.0e-10, at row 3, unit 7: ours 1.5, theirs -2.5"
    assert lines[:2] == ["title", "subject: my port"]
    assert f"DIFFERENT {told}" in lines
    assert f"first departure: DIFFERENT {told}" in lines
    assert "NOT COMPARED hyper/moved train/z (float64): missing on the port" in lines
    table = {re.split(r"  +", line)[0]: line for line in lines}
    assert table["mu"].endswith("1 DIFFERENT")
    assert "2.5e-01" in table["mu"]
    assert "hyper/moved row 3, unit 7" in table["mu"]
    assert table["z"].endswith("1 DIFFERENT")
    assert table["data loader"].endswith("equal")


def test_the_text_names_the_first_departure_and_not_the_last():
    rows = [dataclasses.replace(WORST, quantity=f"train/{name}") for name in ("z", "pi", "cost")]
    text = Report("title", [*GOOD, *rows], {}, {}).text()
    assert text.count("first departure: DIFFERENT hyper/moved train/z ") == text.count("first departure") == 1
    assert "first departure" not in Report("title", [*GOOD, UNTESTED], {}, {}).text()


def test_many_failures_are_counted_and_the_first_are_shown():
    rows = [a_row("r", f"train/q{i}", "float64", "different", error=1.0) for i in range(50)]
    lines = Report("title", rows, {}, {}).text().splitlines()
    shown = [line for line in lines if line.startswith("DIFFERENT r ")]
    assert [line.split()[2] for line in shown] == [f"train/q{i}" for i in range(20)]
    assert "... and 30 more, all in the JSON file" in lines
    assert "50 different" in lines[-1]
    assert "more, all in the JSON file" not in Report("title", rows[:20], {}, {}).text()


def test_what_is_untested_is_listed_by_its_parts():
    rows = [UNTESTED, a_row("lstm/moved", "sample/greedy/pen", verdict="untested"), *GOOD]
    rows.append(a_row("lstm/as_is", "train/z", verdict="untested"))
    report = Report("title", rows, {}, {}, partial=True)
    assert report.untested_parts() == report.content()["untested"] == ["sampling, greedy (2)", "z (1)"]
    said = "Not proven, since the port does not offer it: sampling, greedy (2), z (1)"
    assert said in report.text().splitlines()
    assert said in report.markdown().splitlines()
    assert said in report.content()["remarks"]


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
    text = report.text().splitlines()
    place = text.index(report.remarks()[0])
    assert text[place : place + len(report.remarks())] == report.remarks()  # at the end, before scores and verdict
    assert text[place + len(report.remarks()) :] == [*report.scores().values(), report.verdict()]
    assert report.remarks() == report.content()["remarks"]


def test_a_decision_that_hangs_by_a_thread_is_no_chaos():
    note = "from step 9 on: a decision of the official run depends on less than its own drift of 1e-15"
    tied = a_row("lstm/as_is", "sample/greedy/pi", "float64", "not judged", note=note)
    (remark,) = Report("title", [*GOOD, tied], {}, {}).remarks()
    assert remark.startswith("In sampling 1 tensor is not judged from some step on")
    assert f"lstm/as_is sample/greedy/pi (float64): {note}" in remark
    assert "chaotic" not in remark


def test_what_is_equal_throughout_needs_no_remark():
    assert Report("title", [*GOOD, LOCAL], {}, {}).remarks() == []


def test_rows_are_counted_by_their_verdicts_and_by_the_kind_of_their_judgement():
    rows = [*GOOD, LOCAL, CHAOTIC, OVERFLOWN, WORST, ABSENT, UNTESTED, a_row("cell/lstm", "i"), DRAWN]
    report = Report("title", rows, {}, {})
    counts = {"equal": 6, "different": 1, "not_compared": 1, "not_judged": 1, "overflow": 1, "not_proven": 1}
    assert report.counts() == report.content()["counts"] == {"rows": 11, "compared": 9} | counts
    names = ("kind", "rows", "equal", "different", "not_judged", "overflow", "not_proven")
    assert report.kinds() == report.content()["kinds"]
    assert [tuple(line[name] for name in names) for line in report.kinds()] == [
        ("local", 2, 2, 0, 0, 0, 0),
        ("accumulated", 7, 2, 2, 1, 1, 1),
        ("exact", 1, 1, 0, 0, 0, 0),
        ("drawn", 1, 1, 0, 0, 0, 0),
    ]
    kinds = [row["kind"] for row in report.content()["rows"]]
    assert kinds[:5] == ["accumulated", "accumulated", "exact", "local", "accumulated"]


ALARMS = FalseAlarms(
    *(224, 1_500_000, 0, 812, 0.01328, 2.4e-5, 0.7, "a machine"),
    [{"name": "ours", "recordings": 224, "different": 0, "closest": 0.7}],
)


def test_both_scores_stand_side_by_side_before_the_verdict():
    report = Report("title", GOOD, {}, {}, score=SCORE, false_alarms=ALARMS)
    lines = report.text().splitlines()
    assert lines[-3:] == [SCORE.line(), ALARMS.line(), report.verdict()]
    content = report.content()
    assert list(content["scores"].values()) == lines[-3:-1]
    assert (content["score"], content["false_alarms"]) == (SCORE.summary(), ALARMS.summary())
    for line in lines[-3:]:
        assert line in report.markdown().splitlines()
    lacking = Report("title", GOOD, {}, {})
    assert lacking.text().splitlines()[-3:-1] == [
        "Planted bugs: not measured; make mutants does",
        "False alarms: not measured; make false-alarms does",
    ]
    assert (lacking.content()["score"], lacking.content()["false_alarms"]) == (None, None)


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


IN_THIS_STEP = "it departs from the official state as well: the error is made in this step"
GIVEN = "from the official state the same step is equal: the error comes from what the step is given"


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
    assert "\n".join([f"first departure: {describe(first)}", *lines]) in report.text()
    told = report.content()["first_departure"]
    assert (told["text"], told["explanation"]) == (describe(first), lines)


# The table -----------------------------------------------------------------------------------------------------------


def table_of(rows: list[Row], **more) -> dict[str, dict[str, str]]:
    head, *lines = Report("title", rows, {}, {}, **more).table()
    assert head == HEAD
    names = [f"float32 {n}" if n == "allowed" and i > 6 else n for i, n in enumerate(HEAD)]
    return {line[0]: dict(zip(names, line, strict=True)) for line in lines}


def test_the_table_shows_the_worst_of_each_part_in_the_order_of_the_model():
    rows = [
        a_row("lstm/as_is", "eval/r_cost", error=1e-14, allowed=1e-10),
        a_row("lstm/as_is", "train/pi", error=1e-14, allowed=1e-10),
        a_row("lstm/as_is", "train/mu1", error=1e-14, allowed=1e-10),
        EQUAL,
        a_row("lstm/moved", "train/mu", error=3e-13, allowed=1e-10, noise=1e-14, where={"row": 2, "unit": 5}),
        SINGLE,
        a_row("lstm/moved", "eval/mu", "float32", error=8e-7, allowed=9e-7, official_error=4e-7),
        a_row("lstm/moved", "eval/mu", "float32", error=9e-7, allowed=9e-6, official_error=3e-6),
        a_row("lstm/moved", "train/keep_prob/decoder/output"),
        a_row("lstm/moved", "train/something_new"),
    ]
    table = table_of(rows, score=SCORE, partial=True)
    assert list(table) == [
        "dropout, keep probabilities", "mu", "pi", "mu1", "r_cost, is_training 0", "train/something_new"
    ]  # fmt: skip
    assert table["mu"] == {
        "quantity": "mu",
        "tensors": "5",
        "float64": "3.0e-13",
        "noise": "2.0e-14",
        "allowed": "1.0e-10",
        "smallest bug": "1.0e-07",
        "float32": "8.0e-07",  # that which comes closest to its own allowance
        "official": "4.0e-07",
        "ratio": "2.00",
        "float32 allowed": "9.0e-07",
        "worst at": "lstm/moved row 2, unit 5",
        "verdict": "equal",
    }
    assert table["dropout, keep probabilities"]["float64"] == "0"
    assert {table["pi"][name] for name in ("noise", "smallest bug", "float32", "official", "ratio")} == {""}


@pytest.mark.parametrize("place", range(3))
def test_the_table_points_to_a_failure_in_any_precision(place):
    where = {"row": 3, "unit": 7}
    bad = a_row("hyper/moved", "train/mu", "float32", "different", error=0.5, allowed=1e-6, where=where)
    rows = [EQUAL, SINGLE]
    rows.insert(place, bad)
    line = table_of(rows)["mu"]
    assert (line["tensors"], line["float32"], line["official"], line["ratio"]) == ("3", "5.0e-01", "", "")
    assert (line["worst at"], line["verdict"]) == ("hyper/moved row 3, unit 7", "1 DIFFERENT")


def test_the_table_tells_what_is_untested():
    other = dataclasses.replace(UNTESTED, quantity="train/mu")
    table = table_of([EQUAL, other, UNTESTED, dataclasses.replace(UNTESTED, quantity="train/z"), ABSENT])
    assert (table["mu"]["tensors"], table["mu"]["float64"]) == ("1", "1.0e-15")
    assert table["mu"]["verdict"] == "equal, 1 not proven"
    assert (table["sampling, greedy"]["tensors"], table["sampling, greedy"]["verdict"]) == ("0", "1 not proven")
    assert (table["z"]["tensors"], table["z"]["verdict"]) == ("1", "1 DIFFERENT")


def test_the_numbers_of_a_part_are_those_of_its_judged_rows():
    wild = {"error": 0.5, "allowed": 1e308, "official_error": 0.5, "where": {"step": 9}}
    rows = [
        a_row("lstm/as_is", "train/mu", error=1e-15, allowed=1e-10, noise=1e-14),
        a_row("lstm/moved", "train/mu", "float64", "not judged", **wild, noise=0.1),
        a_row("lstm/as_is", "train/mu", "float32", error=2e-7, allowed=4e-7, official_error=1e-7),
        a_row("lstm/moved", "train/mu", "float32", "official overflow", **wild | {"allowed": 0.01}),
    ]
    line = table_of(rows)["mu"]
    assert (line["float64"], line["noise"], line["allowed"]) == ("1.0e-15", "1.0e-14", "1.0e-10")
    assert (line["float32"], line["official"], line["float32 allowed"]) == ("2.0e-07", "1.0e-07", "4.0e-07")
    assert line["verdict"] == "equal, 1 not judged, 1 official float32 overflow"
    only = table_of(rows[1:2])["mu"]
    assert (only["noise"], only["worst at"], only["verdict"]) == ("1.0e-01", "lstm/moved step 9", "1 not judged")


def test_the_markdown_holds_the_same_table():
    report = Report("title", [*GOOD, WORST, ABSENT], {"a bite": False}, {})
    lines = report.markdown().splitlines()
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    assert cells == [report.table()[0], ("---",) * len(HEAD), *report.table()[1:]]
    assert lines[0] == "# title"


# Curves --------------------------------------------------------------------------------------------------------------


def with_profile(recording: str, quantity: str, precision: str, values: list, allowed: float = 0.5) -> Row:
    return a_row(recording, quantity, precision, profile=np.array(values), allowed=allowed)


def test_the_error_of_each_step_is_kept_for_each_side_and_precision_and_of_all_recordings_the_largest():
    rows = [
        with_profile("lstm/as_is", FED + "train/decoder/i", "float64", [0.5, 0.25]),
        with_profile("lstm/moved", FED + "train/decoder/i", "float64", [0.25, 0.75, 0.125]),
        with_profile("lstm/as_is", FED + "train/decoder/i", "float32", [[5.0, 6.0], [7.0, 8.0]]),
        with_profile("lstm/moved", FED + "train/decoder/i", "float32", [[6.0, 5.0], [3.0, 9.0]]),
        with_profile("cell/lstm", "i", "float32", [[1.5, 2.5], [9.0, 9.0]]),
        with_profile("data", "train/0/sketches", "exact", [0.0, 1.0]),
        with_profile("lstm/as_is", "train/mu", "float64", [1.0]),  # has no steps
        with_profile("lstm/as_is", "train/mu", "float32", [[1.0], [2.0], [3.0]]),
        EQUAL,
    ]
    assert profiles(rows) == {
        "train/decoder/i": {
            "float64": {"fed": [0.5, 0.75, 0.125], "allowed": [0.5, 0.5, 0.5]},
            "float32": {"fed": [6.0, 6.0], "official": [7.0, 9.0]},
        },
        "cell/lstm/i": {"float32": {"fed": [1.5, 2.5], "official": [9.0, 9.0]}},
        "train/0/sketches": {"exact": {"ours": [0.0, 1.0]}},
    }


def test_of_what_runs_freely_the_recording_counts_that_comes_closest_to_its_allowance():
    closest = [[2.0, 4.0, 1.0, 7.0], [3.0, 0.1, 1.0, 9.0], [30.0, 5.0, 9.0, NAN]]
    rows = [
        with_profile("lstm/as_is", "train/pi", "float64", [[9.0, 5.0, 2.0], [0.5, 1.0, 2.0], [20.0, 20.0, NAN]]),
        with_profile("lstm/as_is", FED + "train/pi", "float64", [0.25, 0.25, 0.25]),
        with_profile("lstm/moved", "train/pi", "float64", closest),
        with_profile("lstm/more", "train/pi", "float64", [[99.0], [99.0], [NAN]] * np.ones((3, 2))),
    ]
    for some in (rows, rows[::-1], rows[1:] + rows[:1]):
        found = profiles(some)["train/pi"]["float64"]
        wanted = dict(zip(("ours", "spread", "allowed"), closest, strict=True)) | {"fed": [0.25, 0.25, 0.25]}
        np.testing.assert_equal(found, wanted)
    unjudged = profiles(rows[-1:])["train/pi"]["float64"]
    np.testing.assert_equal(unjudged, {"ours": [99.0, 99.0], "spread": [99.0, 99.0], "allowed": [NAN, NAN]})
    # JSON holds infinity, an error beyond measure, as None
    near = {"ours": [1.0], "spread": [0.0], "allowed": [2.0]}
    wild = {"ours": [None], "spread": [None], "allowed": [9.0]}
    assert merged([near, wild]) == merged([wild, near]) == wild


# Files ---------------------------------------------------------------------------------------------------------------


def refuse_constant(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


def test_the_json_is_strict_holds_every_row_and_comes_back(tmp_path):
    odd = {"error": NAN, "allowed": INF, "official_error": -INF, "noise": NAN, "ours": NAN, "theirs": INF}
    odd = a_row("r", "train/cost", "float32", "different", **odd)
    rows = [*GOOD, WORST, ABSENT, UNTESTED, odd]
    curves = Curves("training/mix", {"cost": [1.0, NAN]}, {"cost": [1.0, INF]}, [0.0], [1e-15], [1e-14])
    report = Report(
        *("title", rows, {"a bite": False}),
        provenance={"seed": 1, "nested": {"list": [1.5, INF], "tuple": (NAN,)}},
        subject="my port",
        training=[curves],
        mixtures=[{"recording": "lstm/as_is", "kl_ours": -INF}],
        coverage=[{"model": "lstm/as_is", "float64": "1 of 2"}],
        score=SCORE,
        false_alarms=ALARMS,
    )
    paths = report.save(tmp_path)
    assert paths == [tmp_path / name for name in FILES]
    content = json.loads(paths[0].read_text(), parse_constant=refuse_constant)
    assert content == json.loads(json.dumps(report.content(), allow_nan=False))
    assert (content["title"], content["subject"], content["passed"]) == ("title", "my port", False)
    assert content["conditions"] == {"a bite": False, MARGIN: False}
    assert content["verdict"] == report.verdict()
    assert content["provenance"]["official"] == {"seed": 1, "nested": {"list": [1.5, None], "tuple": [None]}}
    assert content["provenance"]["ours"] == our_provenance()
    assert content["training"] == [curves.to_dict() | {"theirs": {"cost": [1.0, None]}, "ours": {"cost": [1.0, None]}}]
    assert content["mixtures"] == [{"recording": "lstm/as_is", "kl_ours": None}]
    assert content["coverage"] == [{"model": "lstm/as_is", "float64": "1 of 2"}]
    assert content["score"] == SCORE.summary()
    assert [line["part"] for line in content["parts"]] == [line[0] for line in report.table()[1:]]
    assert content["first_departure"]["text"] == describe(WORST)
    assert len(content["rows"]) == len(rows)
    for found, wanted in zip(content["rows"], rows, strict=True):
        finite = {n: None if isinstance(v, float) and not np.isfinite(v) else v for n, v in wanted.to_dict().items()}
        assert found == finite | {"part": part_of(wanted), "kind": kind_of(wanted)}
    assert paths[1].read_text() == report.markdown()
    assert "<html" in paths[2].read_text()
    with pytest.raises(BadInput, match="cannot be written"):
        report.save(tmp_path / "gone")


def test_both_sides_are_named_in_one_line_each():
    official = {"versions": {"tensorflow": "2.21.0"}, "linear algebra": "Eigen, oneDNN on", "processor": "A 7"}
    report = Report("title", GOOD, {}, official, about={"device": "cuda:0 (H100)", "float32 matrix products": "high"})
    theirs, ours = report.text().splitlines()[2:4]
    assert theirs == "official: tensorflow 2.21.0, Eigen, oneDNN on, A 7"
    assert ours.startswith("ours: cuda:0 (H100), torch ")
    assert "float32 matrix products high" in ours
    content = report.content()
    assert content["sides"] == {"official": theirs.partition(": ")[2], "ours": ours.partition(": ")[2]}
    assert content["provenance"]["ours"] == our_provenance() | dict(report.about)


def test_an_earlier_report_is_removed_before_a_new_one_begins(tmp_path):
    folder = tmp_path / "deep" / "out"
    start_report(folder)
    assert list(folder.iterdir()) == []
    for name in (*STALE, "other.txt"):
        (folder / name).write_text("old")
    assert set(FILES) < set(STALE)
    start_report(folder)
    assert [path.name for path in folder.iterdir()] == ["other.txt"]
    with pytest.raises(BadInput, match=r"other\.txt: cannot be written .*; choose another --out"):
        start_report(folder / "other.txt")


# Parts ---------------------------------------------------------------------------------------------------------------

PLAIN = {"mu", "presig", "z", "pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits", "kl_cost", "cost"}
OF_A_MODEL = {
    *PLAIN, "head", "decoder", "r_cost, is_training 0", "r_cost, is_training 1", "gradients", "gradients, clipped",
    "gradients, all together in L2", "Adam: m", "Adam: v", "Adam: powers", "weights after a step",
    "dropout, keep probabilities", "sampling, greedy", "sampling at a temperature", "encoder, forward",
    "encoder, backward", "decoder, initial state", "likelihood of the strokes",
}  # fmt: skip
OF_A_MODEL |= {
    "weights as loaded", "local: each step of a layer", "local: derivatives of each step",
    "local: latent vector and initial state", "local: output layer and mixture", "local: costs",
    "local: gradients of the cost to its inputs", "local: clip and optimizer", "the first points of a sketch",
}  # fmt: skip
OF_AN_ENCODER = {
    "mu", "presig", "z", "encoder, forward", "encoder, backward", "decoder, initial state",
    "local: latent vector and initial state",
}  # fmt: skip


@pytest.fixture(scope="module")
def fixtures():
    return shipped()


def parts_of(recording) -> dict[str, str]:
    if recording.kind == "initial":
        names = [f"initial/{name.removeprefix('initial/')}" for name in recording["initial"]]
    else:
        kept = [precision for precision in ("float64", "float32", "exact") if precision in recording.groups]
        names = [name for precision in kept for name in official_names(recording, precision)]
    if recording.kind == "model":
        names.append(TOGETHER)
    return {name: part_of(a_row(recording.name, name)) for name in names}


@pytest.mark.parametrize(
    "name",
    [
        "lstm/as_is",
        "layer_norm/moved",
        "mix-all-dropout/moved",
        "mix-hyper-encoder/as_is",
        "layer_norm-unconditional/moved",
    ],
)
def test_every_quantity_of_a_model_belongs_to_a_part(name, fixtures):
    parts = parts_of(fixtures[name])
    assert set(parts.values()) == OF_A_MODEL - (OF_AN_ENCODER if "unconditional" in name else set())
    for quantity, part in parts.items():
        for scope, place in {"encoder/fw": "encoder, forward", "encoder/bw": "encoder, backward"}.items():
            inside = scope in quantity and quantity.startswith(("train", "eval")) and "keep_prob" not in quantity
            assert inside == (part == place)
        assert quantity.startswith((FED, "variables/")) == part.startswith(("local: ", "weights as loaded"))
        assert quantity.startswith("prefix/") == (part == "the first points of a sketch")
        if quantity.startswith(FED):
            assert kind_of(a_row(name, quantity)) == "local"


ALONE = {
    "cell/lstm": {"LSTM cell alone", "dropout, values of a mask"},
    "cell/layer_norm": {"layer-norm LSTM cell alone", "dropout, values of a mask"},
    "cell/hyper": {"HyperLSTM cell alone", "dropout, values of a mask"},
    "data": {"data loader"},
    "data/joined": {"data loader"},
    "initial/hyper": {"initial weights, constant or drawn by NumPy"},
    "training/mix": {
        f"training: {part}"
        for part in (
            "batches", "learning rate and KL weight", "costs", "validation costs", "gradients", "gradients, clipped",
            "Adam's state", "weights",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "parts"), ALONE.items())
def test_every_quantity_of_what_is_tested_alone_belongs_to_its_part(name, parts, fixtures):
    found = parts_of(fixtures[name])
    assert len(found) >= 9
    assert set(found.values()) == parts


@pytest.mark.parametrize(
    ("recording", "quantity", "part"),
    [
        ("initial/lstm", "distribution/output_w", "initial weights, distribution of what TensorFlow draws"),
        ("initial/lstm", "initial", "initial weights, constant or drawn by NumPy"),
        ("training/mix", "free run: drift of the weights", "training: drift of a free run"),
        ("training/mix", "fresh/after/w", "training: the first step of a fresh optimizer"),
        ("training/mix", "resumed/gradient/w", "training: the step after a checkpoint"),
        ("training/mix", "resumed/", "training: the step after a checkpoint"),
        ("training/mix", "resumed/cost", "training: costs"),
        ("lstm/as_is", "something/else", "something/else"),
    ],
)
def test_what_stands_in_no_recording_belongs_to_a_part_as_well(recording, quantity, part):
    assert part_of(a_row(recording, quantity)) == part


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_every_converted_variable_belongs_to_a_part(enc, dec):
    names = table(tiny(enc, dec))
    for some, part in ((names.weights, "weights"), (names.state, "optimizer state")):
        assert {part_of(a_row("x/as_is", f"converted/{name}", "exact")) for name in some} == {
            f"checkpoint: {part} as converted"
        }


def test_every_part_of_the_table_is_met(fixtures):
    met = {part for recording in fixtures.values() for part in parts_of(recording).values()}
    rest = {part for _, part in PARTS if part} - met
    assert rest == {
        "checkpoint: optimizer state as converted",
        "checkpoint: weights as converted",
        "initial weights, distribution of what TensorFlow draws",
        "training: the first step of a fresh optimizer",
        "training: the step after a checkpoint",
        "training: drift of a free run",
    }
