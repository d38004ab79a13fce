"""The study of false alarms: its counts, the confidence limit, the fitted tail, and a short study that runs."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from parity_tests.commands.backends import every_backend
from parity_tests.false_alarms import run as alarms_run
from parity_tests.false_alarms.cases import CASES, CONDITIONS
from parity_tests.false_alarms.judging import kind_of, summary, without_overflow_alarm
from parity_tests.false_alarms.page import markdown
from parity_tests.false_alarms.run import LONG, SHORT, assigned, run_false_alarms
from parity_tests.false_alarms.score import content
from parity_tests.false_alarms.tail import Tail, by_kind, checked, fit, predicted, upper_limit
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_JUDGED, OVERFLOW, Row
from parity_tests.record.configurations import MODEL_VARIANTS
from parity_tests.record.launch import run_official
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.backend import REFERENCE

# The numbers that are stated -----------------------------------------------------------------------------------------


def test_without_an_alarm_the_limit_is_the_rule_of_three():
    assert upper_limit(0, 224) == pytest.approx(1 - 0.05 ** (1 / 224), rel=1e-9)
    assert 3.0 / 224 > upper_limit(0, 224) > 2.9 / 224


@pytest.mark.parametrize(("alarms", "units"), [(1, 10), (3, 20), (5, 224)])
def test_at_the_limit_this_few_alarms_have_a_probability_of_5_percent(alarms, units):
    rate = upper_limit(alarms, units)
    chance = sum(math.comb(units, k) * rate**k * (1 - rate) ** (units - k) for k in range(alarms + 1))
    assert chance == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize(("alarms", "units"), [(10, 10), (0, 0)])
def test_where_nothing_is_known_the_limit_is_1(alarms, units):
    assert upper_limit(alarms, units) == 1.0


def test_a_power_law_is_found_again():
    used = 0.3 * np.random.default_rng(1).random(4000) ** (-1 / 8)  # P(used > u) = (u / 0.3)^-8
    tail = fit(used)
    assert tail.rate == pytest.approx(8, rel=0.1)
    assert tail.beyond(1.0) == pytest.approx((1 / 0.3) ** -8, rel=0.5)
    for check in checked(used, np.arange(4000) % 2 == 0):
        assert check["seen beyond threshold"] == pytest.approx(check["expected beyond threshold"], abs=0.03)
        assert check["seen beyond far"] == pytest.approx(check["expected beyond far"], abs=0.01)


def test_the_check_shows_a_tail_that_does_not_hold():
    used = np.linspace(0.2, 0.4, 200)
    used[1::20] = 5.0
    check, _ = checked(used, np.arange(200) % 2 == 0)  # none of them in the half that is fitted
    assert check["seen beyond far"] > 1.5 * check["expected beyond far"]


def shares(kind, values):
    return {f"{kind}-seed{index}-step0/as_is": value for index, value in enumerate(values)}


def test_a_share_counts_over_the_median_of_its_kind_and_rare_kinds_are_one():
    used = shares("lstm", [0.2] * 15 + [0.3]) | shares("lstm-unconditional", [0.4] * 16)
    used |= shares("bird", [0.5, 0.5]) | shares("ambulance", [0.5, 0.75])
    scaled, medians = by_kind(used)
    assert medians == {"lstm": 0.2, "lstm-unconditional": 0.4, "models from files": 0.5}
    assert scaled == pytest.approx([*[1.0] * 15, 1.5, *[1.0] * 16, 1.0, 1.0, 1.0, 1.5])


def test_the_prediction_is_for_kinds_and_what_was_not_studied_is_the_worst_of_them():
    tail, medians = Tail(1.0, 0.5, 10.0), {"lstm": 0.25, "hyper": 0.5}
    lstm, hyper = 0.5 * 4.0**-10, 0.5 * 2.0**-10
    assert predicted(tail, medians, ["lstm"]) == pytest.approx(lstm)
    assert predicted(tail, medians, ["hyper", "another"]) == pytest.approx(1 - (1 - hyper) ** 2)
    assert predicted(tail, medians, ["lstm", "hyper"]) == pytest.approx(1 - (1 - hyper) * (1 - lstm))


def test_too_few_recordings_have_no_tail():
    with pytest.raises(ValueError, match="a tail of 7 units cannot be fitted"):
        fit(np.ones(7))


# What is counted -----------------------------------------------------------------------------------------------------


def row(quantity, verdict, used, precision="float32"):
    return Row("some/as_is", quantity, precision, verdict, used, 1.0)


ROWS = [
    row("fed/train/mu", EQUAL, 0.3),
    row("fed/train/presig", EQUAL, 0.2),
    row("train/mu", EQUAL, 0.1),
    row("train/mu", EQUAL, 0.05, "float64"),
    row("train/pi", NOT_JUDGED, 0.9),
    row("train/r_cost", OVERFLOW, 0.0),
]


def test_a_summary_has_the_verdicts_of_a_recording_and_how_close_each_rule_came():
    found = summary("some/as_is", ROWS)
    assert found["counts"] == {"equal": 4, "not judged": 1, "official overflow": 1}
    assert {kind: closest["used"] for kind, closest in found["closest"].items()} == {
        "local float32": 0.3, "accumulated float32": 0.1, "accumulated float64": 0.05,
    }  # fmt: skip
    assert found["alarms"] == []
    assert kind_of(row("any", EQUAL, 0.0, "exact")) == "exact"


@pytest.mark.parametrize(("official", "verdict"), [(np.nan, OVERFLOW), (1.0, DIFFERENT)])
@pytest.mark.parametrize(("name", "group"), [("eval/r_cost", "float32"), ("fed/loss/gradient/mu", "float32_local")])
def test_the_official_code_need_not_be_finite_where_it_was_not(name, group, official, verdict):
    groups = {"float32": {}, "float32_local": {}}
    groups[group][name.removeprefix("fed/")] = np.array(official)
    recording = Recording("model", "some/as_is", {}, {}, groups)
    assert without_overflow_alarm(row(name, DIFFERENT, 2.0), recording).verdict == verdict
    assert without_overflow_alarm(row(name, EQUAL, 0.5), recording).verdict == EQUAL


def results(names, alarm=None, used=0.3):
    for condition in ("ours", "official, 2 threads"):
        for name in names:
            bad = [row("train/z", DIFFERENT, 1.5)] if (name, condition) == alarm else []
            yield summary(name, [row("fed/train/mu", EQUAL, used), *ROWS[2:], *bad]) | {
                "condition": condition,
                "recorded_with": "Eigen",
            }


NAMES = [f"lstm-seed{seed}-step{step}/as_is" for seed in range(5) for step in (0, 10, 200, 1000)]


def test_a_recording_counts_once_however_many_conditions_call_it_different():
    found = content(list(results(NAMES, alarm=(NAMES[3], "ours"))), ["ours, ATen avx512"], diverged=2)
    assert (found["recordings"], found["judgements"], found["different"]) == (20, 40, 1)
    assert found["rows"] == 40 * 5 + 1
    assert (found["not_judged"], found["overflow"]) == (40, 40)
    assert [line["different"] for line in found["conditions"]] == [1, 0]
    assert found["models"] == [
        {
            "name": "lstm",
            "recordings": 20,
            "different": 1,
            "not_judged": 40,
            "overflow": 40,
            "rows": 201,
            "closest": 1.5,
        }
    ]
    assert found["alarms"][0]["quantity"] == "train/z"
    page = markdown(found)
    assert page.count("train/z") == 1
    assert "Not available on this machine: ours, ATen avx512." in page
    assert "2 recordings are missing" in page
    json.dumps(found, allow_nan=False)


def test_the_tail_is_that_of_the_closest_row_of_each_recording():
    shares = 0.2 + 0.01 * np.arange(20)
    found = content([r for name, used in zip(NAMES, shares, strict=True) for r in results([name], used=used)], [])
    assert found["used"] == dict(zip(NAMES, shares, strict=True))
    assert found["closest"] == pytest.approx(0.39)
    assert 0 < found["predicted"] < 0.05
    assert "the fitted tail predicts an alarm in 1 in " in found["summary"]
    assert "## The tail" in markdown(found)


def test_an_alarm_without_a_number_is_no_close_call():
    found = content(list(results(NAMES, alarm=(NAMES[0], "ours"), used=0.1)), [])
    found_nan = summary("x", [dataclasses.replace(row("train/z", DIFFERENT, 1.0), error=float("nan"))])
    assert found_nan["alarms"][0]["used"] is None
    assert found["closest"] == 1.5


def test_the_long_form_has_at_least_200_recordings_of_every_kind():
    assert sum(len(case.levels) * len(LONG.seeds) * 2 for case in LONG.cases) >= 200
    models = {case.hparams[name] for case in CASES for name in ("enc_model", "dec_model")}
    assert models == {"lstm", "layer_norm", "hyper"}
    assert {case.hparams.get("conditional", True) for case in CASES} == {True, False}
    assert {condition.subject for condition in CONDITIONS} == {"official", "ours"}


@pytest.mark.parametrize("turn", range(8))
def test_every_recording_meets_one_condition_and_every_condition_every_kind_of_model(turn):
    paths = [Path(f"lstm-seed{seed}-step{step}-as_is.h5") for seed in (1, 2, 3, 4) for step in (0, 10)]
    conditions = [condition for condition in CONDITIONS if condition.backend == REFERENCE]
    given = {condition.name: some for condition, some in assigned(conditions, (1, 2, 3, 4), turn, paths)}
    assert given.pop("ours") == paths
    assert given.keys() == {condition.name for condition in conditions[1:]}
    assert all(len(some) == 2 for some in given.values())
    met = [path for some in given.values() for path in some]
    assert {met.count(path) for path in paths} <= {2, 3}
    one = [some for _, some in assigned(conditions, (1,), turn, paths[:2])]
    assert one == [paths[:2]] * len(conditions)


@pytest.mark.parametrize("turn", range(8))
def test_every_recording_meets_one_backend_and_every_backend_as_many(turn):
    paths = [Path(f"lstm-seed{seed}-step{step}-as_is.h5") for seed in (1, 2, 3, 4) for step in (0, 10, 200)]
    fused = [condition for condition in CONDITIONS if condition.backend != REFERENCE][:3]
    given = {condition.name: some for condition, some in assigned([CONDITIONS[0], *fused], (1, 2), turn, paths)}
    assert given.pop("ours") == paths
    assert sorted(path for some in given.values() for path in some) == sorted(paths)
    assert [len(some) for some in given.values()] == [4, 4, 4]


def test_the_conditions_are_those_that_the_machine_has():
    possible = {condition.backend for condition in CONDITIONS if condition.possible()}
    assert possible == set(every_backend())
    assert len(possible) < len({condition.backend for condition in CONDITIONS})


# A run ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_short_study_finds_no_alarm(tmp_path):
    printed = []
    assert run_false_alarms(tmp_path, SHORT, say=printed.append) == 0
    found = json.loads((tmp_path / "false_alarms.json").read_text())
    assert (found["recordings"], found["judgements"], found["different"]) == (4, 12, 0)
    fused = [line["recordings"] for line in found["conditions"] if "fused" in line["name"]]
    assert sum(fused) == 4
    assert len(fused) == min(4, len(every_backend()) - 1)
    assert found["rows"] > 2000
    assert 0 < found["closest"] < 1
    assert (tmp_path / "false_alarms.md").read_text() == markdown(found)
    assert printed[-1] == f"wrote {tmp_path / 'false_alarms.json'}, {tmp_path / 'false_alarms.md'}"


def test_an_alarm_fails_the_run(tmp_path, monkeypatch):
    case = dataclasses.replace(CASES[0], levels=(0,))
    bad = list(results(["lstm-seed1-step0/as_is"], alarm=("lstm-seed1-step0/as_is", "ours")))
    monkeypatch.setattr(alarms_run, "_record", lambda *_: [tmp_path / "lstm-seed1-step0-as_is.h5"])
    monkeypatch.setattr(alarms_run, "_judge", lambda *_: bad)
    assert run_false_alarms(tmp_path, SHORT._replace(cases=(case,)), say=lambda _: None) == 1


def test_a_run_that_judges_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(alarms_run, "_record", lambda *_: [])
    assert run_false_alarms(tmp_path, SHORT, say=lambda _: None) == 1


def test_two_models_of_one_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(alarms_run, "_case_of", lambda path, _: dataclasses.replace(CASES[0], name=path.stem))
    with pytest.raises(BadInput, match="two models are called vector"):
        run_false_alarms(tmp_path, SHORT, models=[tmp_path / "x/vector", tmp_path / "y/vector"])


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        run_false_alarms(tmp_path / "file", SHORT)


@pytest.mark.slow
def test_weights_are_moved_less_if_the_official_code_gives_nan_and_the_recording_says_so(tmp_path):
    case = dataclasses.replace(CASES[3], levels=(0,))
    write_npz(tmp_path / "kanji.npz", kanji_splits(20, seed=1, valid_fraction=0.1, test_fraction=0.1))
    job = case.job(seeds=[1], members=2, strokes=str(tmp_path / "kanji.npz"), out=str(tmp_path), noise=100.0)
    run_official([job], tmp_path, "far")
    as_is, moved = (Recording.load(tmp_path / f"{case.name}-seed1-step0-{variant}.h5") for variant in MODEL_VARIANTS)
    assert "moved by" not in as_is.provenance
    assert moved.provenance["moved by"] in {100.0 / 2**halvings for halvings in range(1, 6)}
    name = "vector_rnn/RNN/output_w"
    spread = (moved["weights"][name] - as_is["weights"][name]).std() * np.sqrt(len(as_is["weights"][name]))
    assert spread == pytest.approx(4 * moved.provenance["moved by"], rel=0.1)


def test_a_folder_that_no_study_made_is_not_emptied(tmp_path, monkeypatch):
    case = CASES[0]
    precious = tmp_path / case.name / "model.safetensors"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"a user's model")
    monkeypatch.setattr(alarms_run, "run_official", lambda *_: pytest.fail("the official process was started"))
    with pytest.raises(BadInput, match="holds files that no earlier run wrote; choose another --out"):
        alarms_run._record(case, [1], tmp_path / "kanji.npz", tmp_path)
    assert precious.read_bytes() == b"a user's model"
