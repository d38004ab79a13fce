"""The report passes only where all was compared and is equal, and it tells the whole of what was found."""

import dataclasses
import json
import re

import numpy as np
import pytest
from sample_models import ALL_CELLS, tiny
from shipped import shipped

from parity_tests.compare import FED, Row
from parity_tests.our_side import our_provenance
from parity_tests.report import (
    FILES,
    HEAD,
    MARGIN,
    PARTS,
    STALE,
    Report,
    describe,
    explain,
    part_of,
    profiles,
    start_report,
)
from parity_tests.score import Score
from parity_tests.training import Curves
from pytorch_sketch_rnn.errors import BadInput
from weight_port.convert import optimizer_names
from weight_port.names import weight_names

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
    assert report.verdict().startswith("EQUAL: " if passed else ("DIFFERENT: ", "NOTHING TESTED: "))
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
            "EQUAL in what was tested: 3 tensors compared, element by element; 1 untested.",
        ),
        ([*GOOD, UNTESTED], {}, "DIFFERENT: 3 tensors compared, element by element, 0 failed, 1 untested."),
        ([*GOOD, WORST, ABSENT], {}, "DIFFERENT: 5 tensors compared, element by element, 2 failed."),
        (
            [WORST, UNTESTED],
            {"conditions": {"a bite": False, "another": True}, "partial": True},
            "DIFFERENT: 1 tensors compared, element by element, 1 failed, 1 untested, conditions not met.",
        ),
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
        ({"allowed": 0.0, "error": 0.0, "precision": "exact", "noise": None}, 1e-7, True),
        ({"allowed": 0.1, "precision": "distribution", "noise": None}, 0.5, True),
        ({"allowed": 0.1, "precision": "distribution", "noise": None}, 0.1, False),
    ],
)
def test_noise_allowance_and_smallest_planted_bug_must_stand_in_this_order(change, effect, met):
    smallest = {"mu": {"bug": "no bias", "effect": effect}}
    score = dataclasses.replace(SCORE, smallest=smallest)
    rows = [dataclasses.replace(MEASURED, **change), SINGLE]
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
    assert "50 failed" in lines[-1]
    assert "more, all in the JSON file" not in Report("title", rows[:20], {}, {}).text()


def test_what_is_untested_is_listed_by_its_parts():
    rows = [UNTESTED, a_row("lstm/moved", "sample/greedy/pen", verdict="untested"), *GOOD]
    rows.append(a_row("lstm/as_is", "train/z", verdict="untested"))
    report = Report("title", rows, {}, {}, partial=True)
    assert report.untested_parts() == report.content()["untested"] == ["sampling, greedy (2)", "z (1)"]
    assert "untested, for the port does not offer it: sampling, greedy (2), z (1)" in report.text().splitlines()


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
            "DIFFERENT lstm/as_is train/decoder/i (float32): error 3.0e-06, allowed 2.0e-06 (rms; the official one is "
            "off by 1.0e-06), at row 1, step 2, gate f, unit 4: ours 0.5, theirs 0.125, truth 0.25",
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


LOCAL = "it departs from the official state as well: the error is made in this step"
GIVEN = "from the official state the same step is equal: the error comes from what the step is given"


@pytest.mark.parametrize(
    ("verdict", "changed", "said"),
    [
        ("different", {}, LOCAL),
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
    assert table["mu"]["verdict"] == "equal, 1 untested"
    assert (table["sampling, greedy"]["tensors"], table["sampling, greedy"]["verdict"]) == ("0", "untested")
    assert (table["z"]["tensors"], table["z"]["verdict"]) == ("1", "1 DIFFERENT")


def test_the_markdown_holds_the_same_table():
    report = Report("title", [*GOOD, WORST, ABSENT], {"a bite": False}, {})
    lines = report.markdown().splitlines()
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    assert cells == [report.table()[0], ("---",) * len(HEAD), *report.table()[1:]]
    assert lines[0] == "# title"


# Curves --------------------------------------------------------------------------------------------------------------


def test_the_error_of_each_step_is_kept_for_each_side_and_precision_and_of_all_recordings_the_largest():
    def with_profile(recording: str, quantity: str, precision: str, values: list) -> Row:
        return a_row(recording, quantity, precision, profile=np.array(values))

    rows = [
        with_profile("lstm/as_is", "train/decoder/i", "float64", [1.0, 5.0]),
        with_profile("lstm/moved", "train/decoder/i", "float64", [2.0, 4.0, 3.0]),
        with_profile("lstm/as_is", FED + "train/decoder/i", "float64", [0.5, 0.25]),
        with_profile("lstm/as_is", "train/decoder/i", "float32", [[1.0, 2.0], [3.0, 4.0]]),
        with_profile("lstm/as_is", FED + "train/decoder/i", "float32", [[5.0, 6.0], [7.0, 8.0]]),
        with_profile("cell/lstm", "i", "float32", [[1.5, 2.5], [9.0, 9.0]]),
        with_profile("lstm/as_is", "train/mu", "float64", [1.0]),  # has no steps
        with_profile("lstm/as_is", "train/mu", "float32", [[1.0], [2.0]]),
        EQUAL,
    ]
    assert profiles(rows) == {
        "train/decoder/i": {
            "float64": {"ours": [2.0, 5.0, 3.0], "fed": [0.5, 0.25]},
            "float32": {"ours": [1.0, 2.0], "official": [3.0, 4.0], "fed": [5.0, 6.0]},
        },
        "cell/lstm/i": {"float32": {"fed": [1.5, 2.5], "official": [9.0, 9.0]}},
    }


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
        assert found == finite | {"part": part_of(wanted)}
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
    *PLAIN, "decoder", "r_cost, is_training 0", "r_cost, is_training 1", "gradients", "gradients, clipped",
    "gradients, all together in L2", "Adam: m", "Adam: v", "Adam: powers", "weights after a step",
    "dropout, keep probabilities", "sampling, greedy", "sampling at a temperature", "encoder, forward",
    "encoder, backward", "decoder, initial state", "likelihood of the strokes",
}  # fmt: skip
OF_AN_ENCODER = {"mu", "presig", "z", "encoder, forward", "encoder, backward", "decoder, initial state"}


@pytest.fixture(scope="module")
def fixtures():
    return shipped()


def parts_of(recording) -> dict[str, str]:
    if recording.kind == "initial":
        names = [f"initial/{name.removeprefix('initial/')}" for name in recording["initial"]]
    else:
        recorded = ("float64", "float32", "exact", "official_error")
        names = [name for group in recorded for name in recording.groups.get(group, ())]
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
        if quantity.startswith("train/") and "keep_prob" not in quantity:
            fed = part_of(a_row(name, FED + quantity))
            assert fed == "recurrent layers, each step from the official state"
        if quantity.startswith("eval/"):
            assert part_of(a_row(name, FED + quantity)) == "decoder and losses, from official values"
    assert part_of(a_row(name, "kl_of_mixtures")) == "divergence of the mixtures, nats"


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
        ("training/mix", "resumed/gradient/w", "training: the step behind a checkpoint"),
        ("training/mix", "resumed/", "training: the step behind a checkpoint"),
        ("training/mix", "resumed/cost", "training: costs"),
        ("lstm/as_is", "something/else", "something/else"),
    ],
)
def test_what_stands_in_no_recording_belongs_to_a_part_as_well(recording, quantity, part):
    assert part_of(a_row(recording, quantity)) == part


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_every_converted_variable_belongs_to_a_part(enc, dec):
    names = weight_names(tiny(enc, dec))
    for some, part in ((names, "weights"), (optimizer_names(names), "optimizer state")):
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
        "recurrent layers, each step from the official state",
        "decoder and losses, from official values",
        "divergence of the mixtures, nats",
        "training: the step behind a checkpoint",
        "training: drift of a free run",
    }
