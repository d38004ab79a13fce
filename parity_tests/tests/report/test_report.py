"""A report passes only if everything was compared and is equal, under conditions that were all met."""

import dataclasses

import pytest
from report_rows import ABSENT, CHAOTIC, GOOD, OVERFLOWN, SCORE, SINGLE, UNTESTED, WORST, a_row

from parity_tests.report.report import MARGIN, Report
from parity_tests.report.writing import content_of, markdown_of, text_of


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
    assert report.passed is content_of(report)["passed"] is passed
    failed = any(row.verdict in ("different", "not compared") for row in rows)
    heads = "EQUAL: " if passed else "DIFFERENT: " if failed else ("NOT PROVEN: ", "NOTHING TESTED: ")
    assert report.verdict().startswith(heads)
    for text in (text_of(report), markdown_of(report)):
        assert report.verdict() in text
    for condition, met in conditions.items():
        assert f"{'seen' if met else 'NOT SEEN'}: {condition}" in text_of(report)
        assert f"- {'seen' if met else '**not seen**'}: {condition}" in markdown_of(report)


def test_an_untested_row_is_a_failure_unless_the_port_may_be_partial():
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
    assert report.verdict() == text_of(report).splitlines()[-1] == verdict


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
def test_the_allowance_must_lie_between_noise_and_smallest_planted_bug(change, effect, met):
    smallest = {"mu": {"bug": "no bias", "effect": effect}}
    score = dataclasses.replace(SCORE, smallest=smallest)
    rows = [dataclasses.replace(MEASURED, **change), MEASURED if "verdict" in change else SINGLE]
    report = Report("title", rows, {"met": True}, {}, score=score)
    assert report.conditions == {"met": True, MARGIN: met}
    assert report.passed is met
    assert report.without_margin() == ([] if met else ["mu"])
    assert ("without that margin: mu" in text_of(report)) is not met
    # it is not asked of a port that may be partial, nor without a score
    assert Report("title", rows, {"met": True}, {}, score=score, partial=True).conditions == {"met": True}
    assert Report("title", rows, {"met": True}, {}).conditions == {"met": True}


def test_a_part_without_a_planted_bug_has_no_margin():
    rows = [MEASURED, a_row("lstm/as_is", "train/pi", error=1e-15, allowed=1e-10)]
    report = Report("title", rows, {}, {}, score=SCORE)
    assert (report.without_margin(), report.passed) == (["pi"], False)
