"""What was compared is counted, and only that: what is untested, failed to compare or was fed counts for nothing."""

import dataclasses

import numpy as np
import pytest

from parity_tests import adapter
from parity_tests.judge.compare import compare
from parity_tests.judge.coverage import coverage
from parity_tests.judge.proof import prove
from parity_tests.judge.row import Row
from parity_tests.ours import Adapter
from parity_tests.record.recording import FOLDER, Recording
from parity_tests.report.report import Report

WEIGHTS = ("vector_rnn/RNN/output_w", "vector_rnn/RNN/output_b")
SLOTS = {
    "m": tuple(f"after/vector_rnn/{name}/Adam" for name in WEIGHTS),
    "v": tuple(f"after/vector_rnn/{name}/Adam_1" for name in WEIGHTS),
}
AFTER = [*(f"after/{name}" for name in WEIGHTS), *SLOTS["m"], *SLOTS["v"], "after/vector_rnn/beta1_power"]
SHARED = ["train/mu", "train/cost", *(f"{kind}/{name}" for kind in ("gradient", "clipped") for name in WEIGHTS)]


def model(name: str = "lstm/as_is") -> Recording:
    """A recorded model of two variables."""
    ones = {quantity: np.ones(2) for quantity in (*SHARED, *AFTER)}
    single = {quantity: np.ones(2, np.float32) for quantity in SHARED}
    groups = {"float64": ones, "float32": single, "float32_truth": {}, "weights": dict.fromkeys(WEIGHTS, np.ones(2))}
    for precision in ("float64", "float32"):
        groups[f"{precision}_ensemble"] = {quantity: np.zeros((3, 2, 1)) for quantity in groups[precision]}
    return Recording("model", name, {}, {}, groups)


def all_rows(recording: Recording, offers: frozenset[str] | None = None, without: tuple[str, ...] = ()) -> list[Row]:
    rows = []
    for precision in ("float64", "float32"):
        ours = {quantity: value for quantity, value in recording[precision].items() if quantity not in without}
        if precision == "float64":
            ours |= {f"variables/{name}": value for name, value in recording["weights"].items()}
        rows += compare(ours, recording, precision, offers=offers)
    return rows


COMPLETE = {
    "model": "lstm/as_is",
    "variables": 2,
    "gradient": "2 of 2",
    "clipped": "2 of 2",
    "m": "2 of 2",
    "v": "2 of 2",
    "weights after": "2 of 2",
    "float64": "13 of 13",
    "float32": "6 of 6",
}


def test_of_a_model_that_was_compared_nothing_is_left():
    assert coverage([model()], all_rows(model())) == [COMPLETE]


def test_without_rows_nothing_was_compared():
    nothing = {name: f"0 of {value[-2:].strip()}" for name, value in COMPLETE.items() if " of " in str(value)}
    assert coverage([model()], []) == [COMPLETE | nothing]


@pytest.mark.parametrize(("offers", "missing"), [(None, "not compared"), (frozenset(), "untested")])
@pytest.mark.parametrize(
    ("left_out", "changed"),
    [
        (f"gradient/{WEIGHTS[1]}", {"gradient": "1 of 2", "float64": "12 of 13", "float32": "5 of 6"}),
        (f"clipped/{WEIGHTS[0]}", {"clipped": "1 of 2", "float64": "12 of 13", "float32": "5 of 6"}),
        (SLOTS["m"][0], {"m": "1 of 2", "float64": "12 of 13"}),
        (SLOTS["v"][1], {"v": "1 of 2", "float64": "12 of 13"}),
        (f"after/{WEIGHTS[0]}", {"weights after": "1 of 2", "float64": "12 of 13"}),
        ("after/vector_rnn/beta1_power", {"float64": "12 of 13"}),
        ("train/mu", {"float64": "12 of 13", "float32": "5 of 6"}),
    ],
)
def test_what_was_left_out_is_missing_in_its_place(left_out, changed, offers, missing):
    rows = all_rows(model(), offers, (left_out,))
    assert {row.verdict for row in rows if row.quantity == left_out} == {missing}
    assert coverage([model()], rows) == [COMPLETE | changed]
    del rows[[row.quantity for row in rows].index(left_out)]  # nor need there be a row in float64
    assert coverage([model()], rows) == [COMPLETE | changed]


def test_what_is_different_was_compared():
    rows = [dataclasses.replace(row, verdict="different") for row in all_rows(model())]
    assert coverage([model()], rows) == [COMPLETE]


def test_what_was_fed_or_stands_in_another_recording_or_precision_counts_for_nothing():
    rows = [row for row in all_rows(model()) if row.quantity != "train/mu"]
    expected = [COMPLETE | {"float64": "12 of 13", "float32": "5 of 6"}]
    others = [
        Row("lstm/as_is", "fed/train/mu", "float64", "equal", 0.0, 0.0),
        Row("lstm/moved", "train/mu", "float64", "equal", 0.0, 0.0),
        Row("lstm/as_is", "train/mu", "exact", "equal", 0.0, 0.0),
        Row("lstm/as_is", "eval/mu", "float64", "equal", 0.0, 0.0),
        Row("lstm/as_is", "gradient/together", "float64", "equal", 0.0, 0.0),
    ]
    assert coverage([model()], rows + others) == expected
    twice = [row for row in rows if row.quantity == "train/cost"]
    assert coverage([model()], rows + others + twice) == expected


def test_every_model_has_a_line_of_its_own_and_nothing_else_has_one():
    others = [dataclasses.replace(model("cell/lstm"), kind="cell"), dataclasses.replace(model("data"), kind="data")]
    moved = model("lstm/moved")
    lines = coverage([others[0], moved, others[1], model()], all_rows(model()))
    assert [line["model"] for line in lines] == ["lstm/moved", "lstm/as_is"]
    assert [line["float64"] for line in lines] == ["0 of 13", "13 of 13"]


def test_where_a_model_was_cut_down_to_float64_its_quantities_stand_for_float32():
    cut = dataclasses.replace(model(), groups={"float64": {name: model()["float64"][name] for name in SHARED}})
    assert coverage([cut], all_rows(model()))[0]["float32"] == "6 of 6"


# What a port leaves out ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.load(FOLDER / "layer_norm-unconditional-moved.h5")


class WithoutSampling(Adapter):
    """Ours, without sampling; whether it says so or not."""

    def __init__(self, *, says_so: bool) -> None:
        super().__init__()
        self.says_so = says_so

    @property
    def offers(self) -> frozenset[str]:
        return super().offers - {"sample"} if self.says_so else super().offers

    def sample(self, *_):
        raise NotImplementedError("no time")


class Single(Adapter):
    precisions = ("float32",)


def of(line: dict, name: str) -> tuple[int, int]:
    done, every = line[name].split(" of ")
    return int(done), int(every)


def test_our_own_port_leaves_nothing_out(recording):
    rows = prove(recording, Adapter()).rows
    (line,) = coverage([recording], rows)
    assert all(done == every > 0 for done, every in (of(line, name) for name in line if " of " in str(line[name])))
    assert of(line, "float64")[1] == len(recording["float64"])
    assert of(line, "float32")[1] == len(recording["float32"])
    assert Report("", rows, {}, {}).passed


@pytest.mark.parametrize("says_so", [True, False])
def test_what_a_port_does_not_answer_is_a_failure_unless_it_says_that_it_does_not_offer_it(recording, says_so):
    port = WithoutSampling(says_so=says_so)
    rows = prove(recording, port).rows
    sampling = {row.quantity: row.verdict for row in rows if row.quantity.startswith("sample/")}
    assert set(sampling) == {name for name in recording["float64"] if name.startswith("sample/")}
    assert set(sampling.values()) == {"untested" if says_so else "not compared"}
    assert {row.verdict for row in rows if row.quantity not in sampling} == {"equal"}
    (line,) = coverage([recording], rows)
    assert of(line, "float64") == (len(recording["float64"]) - len(sampling), len(recording["float64"]))
    assert Report("", rows, {}, {}, partial=says_so).passed is says_so
    assert not Report("", rows, {}, {}).passed


def test_a_precision_that_a_port_does_not_offer_is_untested(recording):
    rows = prove(recording, Single()).rows
    double = {row.quantity: row for row in rows if row.precision == "float64"}
    assert double.keys() > set(recording["float64"])
    assert {row.verdict for row in double.values()} == {"untested"}
    assert {row.note for row in double.values()} == {"the port does not offer this precision"}
    (line,) = coverage([recording], rows)
    assert (of(line, "float64")[0], line["gradient"]) == (0, f"0 of {line['variables']}")
    assert of(line, "float32") == (len(recording["float32"]),) * 2


class Nothing(adapter.Adapter):
    """It offers nothing, whether it says so or not."""

    def __init__(self, offers: frozenset[str]) -> None:
        self.said = offers

    @property
    def offers(self) -> frozenset[str]:
        return self.said


@pytest.mark.parametrize(("offers", "verdict"), [(frozenset(), "untested"), (adapter.EVERYTHING, "not compared")])
@pytest.mark.parametrize("stem", ["layer_norm-unconditional-moved", "cell-lstm", "data", "initial-lstm"])
def test_a_port_that_offers_nothing_never_passes(stem, offers, verdict):
    recording = Recording.load(FOLDER / f"{stem}.h5")
    rows = prove(recording, Nothing(offers)).rows
    assert {row.verdict for row in rows} == {verdict}
    assert not Report("", rows, {}, {}, partial=not offers).passed
