"""The table of a report has one line for each part, with its worst numbers and place."""

import dataclasses

import pytest
from report_rows import ABSENT, EQUAL, GOOD, SCORE, SINGLE, UNTESTED, WORST, a_row

from parity_tests.judge.row import Row
from parity_tests.report.part_lines import HEAD
from parity_tests.report.report import Report
from parity_tests.report.writing import markdown_of, table_of


def lines_of(rows: list[Row], **more) -> dict[str, dict[str, str]]:
    head, *lines = table_of(Report("title", rows, {}, {}, **more))
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
    table = lines_of(rows, score=SCORE, partial=True)
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
    line = lines_of(rows)["mu"]
    assert (line["tensors"], line["float32"], line["official"], line["ratio"]) == ("3", "5.0e-01", "", "")
    assert (line["worst at"], line["verdict"]) == ("hyper/moved row 3, unit 7", "1 DIFFERENT")


def test_the_table_says_what_is_untested():
    other = dataclasses.replace(UNTESTED, quantity="train/mu")
    table = lines_of([EQUAL, other, UNTESTED, dataclasses.replace(UNTESTED, quantity="train/z"), ABSENT])
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
    line = lines_of(rows)["mu"]
    assert (line["float64"], line["noise"], line["allowed"]) == ("1.0e-15", "1.0e-14", "1.0e-10")
    assert (line["float32"], line["official"], line["float32 allowed"]) == ("2.0e-07", "1.0e-07", "4.0e-07")
    assert line["verdict"] == "equal, 1 not judged, 1 official float32 overflow"
    only = lines_of(rows[1:2])["mu"]
    assert (only["noise"], only["worst at"], only["verdict"]) == ("1.0e-01", "lstm/moved step 9", "1 not judged")


def test_the_markdown_holds_the_same_table():
    report = Report("title", [*GOOD, WORST, ABSENT], {"a bite": False}, {})
    lines = markdown_of(report).splitlines()
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    assert cells == [table_of(report)[0], ("---",) * len(HEAD), *table_of(report)[1:]]
    assert lines[0] == "# title"
