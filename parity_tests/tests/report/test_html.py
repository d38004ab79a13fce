"""The HTML report: one file, offline, complete, and safe against the names that a port brings along."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from report_pages import REPORTS, Reader, a_row, content, failing_report, page_of, passing_report, without_plots

from parity_tests.judge.row import Row
from parity_tests.report.html import number, page, ratio, times
from parity_tests.report.report import Report
from parity_tests.report.writing import content_of

HOSTILE = "\"><script>alert(1)</script><img src=//evil.example/x onerror=alert(2)> $x_{1}$ {{ 7*7 }} '&amp;"
every_report = pytest.mark.parametrize("name", REPORTS)


def every_string(value: Any, change: Callable[[str], str]) -> Any:
    """The same content with each of its strings changed."""
    if isinstance(value, dict):
        return {name: every_string(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [every_string(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def named(name: str) -> dict[str, Any]:
    """A failing, partial report in which a stranger has named everything."""
    fixed = {"precision", "verdict", "measure"}
    content_ = content("failing") | {"untested": ["x"]}
    verdicts = [line["verdict"] for line in content_["parts"]]
    rows = [
        {key: value if key in fixed else every_string(value, lambda _: name) for key, value in row.items()}
        for row in content_["rows"]
    ]
    content_ = every_string(content_, lambda _: name) | {"rows": rows}
    for line, verdict in zip(content_["parts"], verdicts, strict=True):
        line["verdict"] = verdict
    for section in ("conditions", "profiles"):
        content_[section] = {name: next(iter(content_[section].values()))}
    content_["provenance"] = {"official": {name: {name: name}}, "ours": {name: [name, name]}}
    content_["coverage"] = [{name: name, "nested": {name: 1}}]
    content_["false_alarms"]["machine"] = name
    content_["score"]["smallest"] = {name: {"bug": name, "effect": 1e-6}}
    return content_


# The page as a file --------------------------------------------------------------------------------------------------


@every_report
def test_nothing_is_fetched_from_anywhere(name):
    text = page_of(name)
    assert re.findall(r"https?:|//[a-z]", re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)) == []
    assert re.findall(r"@import|url\(|<base|<link|<img|<iframe|<object|<!ENTITY|<!DOCTYPE (?!html>)", text) == []
    for tag, attributes in Reader(text).starts:
        assert not {"src", "srcset", "data", "action", "poster", "xlink:href"} & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#")


@every_report
def test_links_lead_to_sections_and_elements_are_closed(name):
    reader = Reader(page_of(name))
    ids = [attributes["id"] for _, attributes in reader.starts if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for _, attributes in reader.starts if "href" in attributes} <= set(ids)
    for tag in ("section", "div", "figure", "details", "table", "svg", "dl", "ul", "ol", "p", "script", "style", "tr"):
        assert reader.tags[tag] == reader.ends[tag], tag


def test_names_from_strangers_stay_text():
    plain, hostile = Reader(page(named("qqq"))), Reader(page(named(HOSTILE)))
    assert hostile.tags == plain.tags
    assert [sorted(attributes) for _, attributes in hostile.starts] == [sorted(a) for _, a in plain.starts]
    assert hostile.text.count("alert(1)") == hostile.text.count(HOSTILE) == plain.text.count("qqq") > 100
    assert HOSTILE in json.loads(hostile.data)["texts"]


@every_report
def test_no_number_is_none_or_nan(name):
    text = Reader(page_of(name)).text
    assert re.findall(r"\b(None|nan|inf|undefined|Undefined)\b", text) == []


def test_the_same_content_makes_the_same_page():
    assert page(content("passing")) == page_of("passing")


# The verdict ---------------------------------------------------------------------------------------------------------


@every_report
def test_the_verdict_comes_first(name):
    found, text = content(name), Reader(page_of(name)).text
    headline, _, claim = found["verdict"].partition(": ")
    wanted = [found["title"], headline, claim, f"{found['counts']['compared']} tensors compared", *found["remarks"]]
    wanted += ["Is the difference normal?", found["subject"], *found["scores"].values(), "How to read this"]
    if found["first_departure"]:
        wanted += ["First departure", "All 62 failures"]
    wanted += ["Component by component"]
    wanted += ["nothing is known about it"] if found["untested"] else []
    wanted += ["Some bugs show only"]
    if found["profiles"]:
        wanted += ["An error of exactly 0", "Whole training runs", "Both are in nats"]
        wanted += ["How much of each official model", "each was planted"]
    wanted += ["Everything needed to run it again", "comparisons. Search"]
    places = [text.index(words, text.index("Every tensor")) for words in wanted]  # after the navigation
    assert places == sorted(places)


UNMET = {"passed": False, "conditions": {"it rained": False, "it snowed": True}}
WHOLE_RUNS = (
    "Single steps and functions use at most 47 % (float32) of what the official code's own rounding allows. Whole runs "
    "use at most 1 % (float64) and 47 % (float32) of what the drift of official runs allows."
)


@pytest.mark.parametrize(
    ("found", "tone", "answer"),
    [
        (
            content("passing"),
            "passed",
            "Yes. Computed from official values, no step or function is off by more than 3.1e-15 of its size in "
            f"float64; 1e-10 is allowed. {WHOLE_RUNS}",
        ),
        (
            content("failing"),
            "failed",
            "No: 61 of 86 tensors differ by more than rounding explains, and 1 was not compared.",
        ),
        (content("partial"), "partly", "Yes, for what was tested; nothing is known about the rest."),
        (
            content("passing") | UNMET,
            "failed",
            "Not proven. Nothing that was compared differs, but the proof has a hole. Not seen: it rained. Compared",
        ),
        (
            content("partial") | {"passed": False},
            "failed",
            "Not proven. Nothing that was compared differs, but the proof has a hole. Untested: encoder, forward (40),",
        ),
    ],
    ids=["passed", "failed", "partly", "a condition not met", "something untested"],
)
def test_the_verdict_says_whether_the_difference_is_normal(found, tone, answer):
    reader = Reader(page(without_plots(found)))
    first = next(attributes for tag, attributes in reader.starts if tag == "section")
    assert first["class"] == f"verdict {tone}"
    assert f"Is the difference normal? {answer}" in reader.text


def test_the_answer_names_the_wider_allowance_of_functions_that_amplify_rounding():
    report = passing_report()
    report.rows.append(a_row("fed/train/corr", error=3e-9, allowed=4e-8))
    text = Reader(page(without_plots(content_of(report)))).text
    assert (
        "no step or function is off by more than 3.1e-15 of its size in float64; 1e-10 is allowed. 1 tensor, whose "
        "function amplifies rounding, may be off by more, up to 4.0e-8: at most 8 % of the allowance is used. "
        f"{WHOLE_RUNS}"
    ) in text
    report.rows.append(a_row("fed/train/pi", error=1e-9, allowed=2e-8))
    assert "2 tensors, whose functions amplify" in Reader(page(without_plots(content_of(report)))).text


def test_a_failure_is_shown_in_full_without_javascript():
    found, text = content("failing"), Reader(page_of("failing")).text
    first = found["first_departure"]
    assert first["row"]["quantity"] == "train/decoder/h"
    for words in (first["text"], *(line.strip() for line in first["explanation"])):
        assert words in text
    bad = [row for row in found["rows"] if row["verdict"] != "equal"]
    assert len(bad) == 62
    for row in bad:
        assert re.search(rf"{re.escape(row['quantity'])} ?{row['recording']} ?float64 ?{row['verdict']}", text)
    assert "lstm/as_is float64 different 3.7e-1 1.0e-10 row 3, step 7, unit 12 two of the four gates" in text
    assert "0.5123456789012346 0.5123456789012341 0.5123456789012341" in text
    assert "not compared beyond measure 0 missing on the port" in text


def test_a_single_failure_is_spoken_of_as_one():
    report = failing_report()
    report.rows = [row for row in report.rows if not row.quantity.startswith(("train/late", "eval", "train/decoder/c"))]
    text = Reader(page(without_plots(content_of(report)))).text
    assert "No: 1 of 26 tensors differs by more than rounding explains." in text
    assert "The only failure" in text


def test_rows_that_are_neither_equal_nor_different_are_counted_on_the_first_screen():
    screen = Reader(page_of("chaotic")).text.split("How to read this")[1]
    for words in ("tensors compared 26", "equal 23", "different 0", "not judged 2", "official float32 overflow 1"):
        assert words in screen
    for words in ("not proven 0", "Would it see a bug?", "Would it raise a false alarm?"):
        assert words in screen
    decoder = next(part for part in content("chaotic")["parts"] if part["part"] == "decoder")
    assert decoder["verdict"] == "equal, 2 not judged"
    assert f"– {decoder['part']} {decoder['verdict']}" in Reader(page_of("chaotic")).text
    partly = Reader(page_of("partial")).text.split("How to read this")[1]
    assert "not proven 43" in partly
    assert "not compared" not in partly
    assert "not compared 1" in Reader(page_of("failing")).text.split("How to read this")[1]


def test_a_long_title_follows_the_verdict():
    title = {"title": "Parity with recordings: one, two"}
    text = Reader(page(without_plots(content("passing")) | title)).text
    assert text.index("Parity with recordings") < text.index("EQUAL 26") < text.index("one, two", 100)


def test_a_report_without_rows_is_a_page():
    reader = Reader(page(content_of(Report("t", [], {}, {}))))
    assert "NOT PROVEN 0 tensors compared, element by element. tensors compared 0" in reader.text
    assert "Is the difference normal? Not proven." in reader.text


# The tables ----------------------------------------------------------------------------------------------------------


@every_report
def test_each_part_condition_and_untested_item_is_named(name):
    found, text = content(name), Reader(page_of(name)).text
    for line in found["parts"]:
        assert f"{line['part']} {line['verdict']}" in text
    for condition, met in found["conditions"].items():
        assert f"{'✓ seen' if met else '✗ NOT SEEN'}: {condition}" in text
    for item in found["untested"]:
        assert item in text


def test_a_line_shows_error_allowance_ratio_and_margins():
    text = Reader(page_of("passing")).text
    double = "1.0e-14 6.2e-14 1,600 × 1.0e-10 2.9e-6 29,000 × layer-norm epsilon 1e-5"
    assert f"{double} 4.5e-7 rms 2.4e-7 1.88 9.6e-7 lstm/as_is row 3, step 7, unit 12" in text
    assert "data loader equal , 10 tensors; compared bit for bit" in text


def test_a_number_of_another_kind_is_called_what_it_is():
    exact = {"recording": "initial/lstm", "noise": None}
    rows = [
        a_row("distribution/w", "distribution", **exact),
        a_row("initial", "distribution", **exact),
        a_row("free run: drift of the weights", recording="training/mix", official_error=1e-13),
    ]
    text = Reader(page(content_of(Report("t", rows, {}, {})))).text
    assert "what TensorFlow draws equal , 1 tensor; distance of distributions, 0 to 1" in text
    assert "drawn by NumPy equal , 1 tensor; the numbers themselves, in float32" in text
    assert "drift of a free run equal , 1 tensor; against the drift of official runs" in text


KINDS = [
    Row("lstm/as_is", quantity, precision, verdict, 0.0, 1e-10)
    for quantity, precision, verdict in (
        ("fed/train/pi", "float64", "equal"),
        ("fed/train/mu1", "float64", "different"),
        ("train/pi", "float64", "not judged"),
        ("train/pi", "float32", "official overflow"),
        ("train/mu1", "float64", "untested"),
        ("train/0/lengths", "exact", "equal"),
    )
]


def test_each_kind_of_judgement_has_its_own_counts():
    text = Reader(page(content_of(Report("t", KINDS, {}, {})))).text
    assert "judgement tensors equal different not judged official overflow not proven local 2 1 1 0 0 0" in text
    assert "accumulated 3 0 0 1 1 1 exact 1 1 0 0 0 0" in text


def test_every_tensor_is_in_the_list_once():
    found, data = content("failing"), json.loads(Reader(page_of("failing")).data)
    texts, rows = data["texts"], data["rows"]
    assert [[texts[i] for i in row[:5]] for row in rows] == [
        [row[name] for name in ("part", "recording", "quantity", "precision", "verdict")] for row in found["rows"]
    ]
    two_digits = [None if row["error"] is None else float(f"{row['error']:.1e}") for row in found["rows"]]
    assert [row[5] for row in rows] == two_digits
    assert texts[rows[0][9]] == "row 3, step 7, unit 12"


def test_tables_of_mixtures_coverage_and_bugs_show_what_is_given():
    text = Reader(page_of("passing")).text
    assert "lstm/as_is float64 -1.23457 -1.23457 3.3e-14 2.0e-16 –" in text
    assert "model variables gradient float32 lstm/as_is 21 21 of 21 150 of 150" in text
    assert "62 of 63 caught, the right part named for 60 of them: each was planted in the port on its own" in text
    assert (
        "Of 1,432,100 tensors 812 were not judged; the one closest to its allowance used 70 % of it. Machine: a quiet "
        "machine."
    ) in text
    assert "condition recordings called different largest share of an allowance ours, 2 threads 224 0 0.704" in text
    assert "model.py 957c7ed4073cb3ca" in text
    assert "latent [8, 8] –" in text
    assert "python -m parity_tests parity" in text


def test_numbers_are_short_and_factors_are_plain():
    assert [number(value) for value in (None, 0.0, 1e-10, 2.34e-7, 0.37, -2e-16)] == [
        "–", "0", "1.0e-10", "2.3e-7", "3.7e-1", "-2.0e-16",
    ]  # fmt: skip
    assert [ratio(value) for value in (None, 0.5, 1.234, 4063144.77)] == ["–", "0.50", "1.23", "4.1e6"]
    assert [times(a, b) for a, b in ((1e-10, 6e-14), (3.0, 2.0), (4e-3, 1e-10), (1e-10, None), (0.0, 1.0))] == [
        "1,700 ×", "1.5 ×", "4e7 ×", "", "",
    ]  # fmt: skip
