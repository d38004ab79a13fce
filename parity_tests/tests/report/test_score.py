"""Both committed scores come back as they were written, or are refused."""

import json

import pytest

from parity_tests.record.recording import FOLDER
from parity_tests.report.score import ALARMS_FILE, FILE, FalseAlarms, Score
from pytorch_sketch_rnn.errors import BadInput

CONTENT = {
    "planted": 40,
    "killed": 39,
    "located": 38,
    "smallest": {"decoder": {"bug": "forget bias missing", "effect": 1e-7}, "mu": {"bug": "no bias", "effect": 0.5}},
}


def test_a_score_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / FILE
    path.write_text(json.dumps(CONTENT | {"mutants": ["what else stands there"]}))
    score = Score.load(path)
    assert (score.planted, score.killed, score.located, score.smallest) == tuple(CONTENT.values())
    assert score.summary() == CONTENT
    assert score == Score(**CONTENT)


def test_without_a_file_there_is_no_score(tmp_path):
    assert Score.load(tmp_path / FILE) is None
    assert Score.load(tmp_path) is None


def test_the_score_that_ships_is_the_default():
    assert Score.load() == Score.load(FOLDER / FILE)


@pytest.mark.parametrize("lacking", CONTENT)
def test_a_score_that_lacks_something_is_refused(lacking, tmp_path):
    path = tmp_path / FILE
    path.write_text(json.dumps({name: value for name, value in CONTENT.items() if name != lacking}))
    with pytest.raises(BadInput, match=f"{FILE}: expected the score that `make mutants` writes, but .*{lacking}"):
        Score.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"null", b'"text"', b"\xff"])
def test_what_is_no_score_is_refused(content, tmp_path):
    path = tmp_path / FILE
    path.write_bytes(content)
    with pytest.raises(BadInput, match="expected the score that `make mutants` writes") as caught:
        Score.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


ALARMS = {
    "recordings": 224,
    "rows": 1_500_000,
    "different": 0,
    "not_judged": 812,
    "upper_limit": 0.01328,
    "predicted": 2.45e-5,
    "closest": 0.7,
    "machine": "torch 2.9, 2 threads",
    "conditions": [
        {"name": "ours", "recordings": 224, "different": 0, "closest": 0.7},
        {"name": "official, 2 threads", "recordings": 224, "different": 0, "closest": 0.25},
    ],
}


def test_false_alarms_come_back_as_they_were_written(tmp_path):
    path = tmp_path / ALARMS_FILE
    more = [condition | {"what else": 1} for condition in ALARMS["conditions"]]
    path.write_text(json.dumps(ALARMS | {"judgements": 448, "conditions": more}))
    alarms = FalseAlarms.load(path)
    assert alarms.summary() == ALARMS
    assert alarms == FalseAlarms(**ALARMS)


def test_without_a_file_false_alarms_were_not_measured(tmp_path):
    assert FalseAlarms.load(tmp_path / ALARMS_FILE) is None
    assert FalseAlarms.load(tmp_path) is None
    assert FalseAlarms.load() == FalseAlarms.load(FOLDER / ALARMS_FILE)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {},
            "False alarms: 0 in 224 recordings under 2 conditions (below 1.4 % a recording with 95 % confidence; the "
            "fitted tail predicts 1 in 40,000 runs of make parity)",
        ),
        (
            {"predicted": None, "upper_limit": 0.013, "conditions": ALARMS["conditions"][:1]},
            "False alarms: 0 in 224 recordings under 1 condition (below 1.3 % a recording with 95 % confidence)",
        ),
        (
            {"predicted": 1e-30, "different": 3, "upper_limit": 0.2501},
            "False alarms: 3 in 224 recordings under 2 conditions (below 26 % a recording with 95 % confidence; the "
            "fitted tail predicts fewer than 1 in 1,000,000,000 runs of make parity)",
        ),
    ],
)
def test_false_alarms_are_one_line_with_bounds_that_rounding_keeps_true(change, line):
    assert FalseAlarms(**ALARMS | change).line() == line


@pytest.mark.parametrize("lacking", [*ALARMS, "name", "closest of a condition"])
def test_false_alarms_that_lack_something_are_refused(lacking, tmp_path):
    path = tmp_path / ALARMS_FILE
    content = {name: value for name, value in ALARMS.items() if name != lacking}
    if lacking not in ALARMS:
        lacking = lacking.split()[0]
        content["conditions"] = [{n: v for n, v in each.items() if n != lacking} for each in ALARMS["conditions"]]
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=f"{ALARMS_FILE}: expected what `make false-alarms` writes, but .*{lacking}"):
        FalseAlarms.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"recordings": 0},
        {"recordings": True},
        {"recordings": 224.0},
        {"rows": -1},
        {"rows": "many"},
        {"different": 225},
        {"upper_limit": 1.5},
        {"upper_limit": -0.1},
        {"upper_limit": None},
        {"upper_limit": float("nan")},
        {"predicted": 2.0},
        {"predicted": "rarely"},
        {"closest": float("inf")},
        {"machine": 3},
        {"conditions": None},
        {"conditions": [3]},
        {"conditions": [ALARMS["conditions"][0] | {"name": 3}]},
        {"conditions": [ALARMS["conditions"][0] | {"different": 0.5}]},
        {"conditions": [ALARMS["conditions"][0] | {"closest": "near"}]},
    ],
)
def test_false_alarms_that_cannot_be_are_refused(change, tmp_path):
    path = tmp_path / ALARMS_FILE
    path.write_text(json.dumps(ALARMS | change))
    with pytest.raises(BadInput, match="expected what `make false-alarms` writes, but ") as caught:
        FalseAlarms.load(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"null", b'"text"', b"\xff"])
def test_what_is_no_measurement_of_false_alarms_is_refused(content, tmp_path):
    path = tmp_path / ALARMS_FILE
    path.write_bytes(content)
    with pytest.raises(BadInput, match="expected what `make false-alarms` writes"):
        FalseAlarms.load(path)
