"""Our port against the committed recordings of the official code; no TensorFlow needed."""

import contextlib
import hashlib
import io
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from shipped import shipped

from parity_tests.__main__ import main
from parity_tests.judge.conditions import conditions
from parity_tests.judge.proof import prove
from parity_tests.ours import Adapter
from parity_tests.record.form import PRECISIONS
from parity_tests.record.recording import FOLDER, Recording
from parity_tests.record.shipped import fixture_paths
from pytorch_sketch_rnn.errors import BadInput, run_command


@pytest.fixture(scope="module")
def fixtures():
    return shipped()


class Verified(NamedTuple):
    code: int
    printed: str
    err: str
    out: Path


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """What the user's command makes of all recordings, for all tests here: it takes a minute."""
    out = tmp_path_factory.mktemp("deep") / "report"
    printed, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(err):
        code = run_command(main, ["verify", "--recording", "all", "--out", str(out)])
    return Verified(code, printed.getvalue(), err.getvalue(), out)


@pytest.fixture(scope="module")
def content(verified):
    def no_constant(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads((verified.out / "parity.json").read_text(encoding="utf-8"), parse_constant=no_constant)


@pytest.mark.parametrize("name", [path.stem for path in fixture_paths()])
def test_against_official(name, fixtures, content):
    recording = next(r for r in fixtures.values() if r.name.replace("/", "-") == name)
    rows = [row for row in content["rows"] if row["recording"] == recording.name]
    assert rows
    expected = set(PRECISIONS[recording.kind]) - {"initial", "distribution"}
    expected |= {"exact"} if recording.kind == "model" else set()  # the weights as they were loaded
    assert {row["precision"] for row in rows} - {"distribution"} == expected
    assert [row for row in rows if row["verdict"] != "equal"] == []


def test_all_recordings_that_ship_are_equal_and_reported(fixtures, verified, content):
    assert (verified.code, verified.err) == (0, "")
    names = ["parity.json", "parity.md", "report.html"]
    assert sorted(path.name for path in verified.out.iterdir()) == names
    assert "EQUAL: " in verified.printed
    assert "nothing left out" in verified.printed
    assert verified.printed.splitlines()[-1] == "wrote " + ", ".join(str(verified.out / name) for name in names)

    assert content["passed"] is True
    assert content["subject"] == "pytorch_sketch_rnn"
    assert {part["verdict"] for part in content["parts"]} == {"equal"}
    assert {row["recording"] for row in content["rows"]} == fixtures.keys()
    assert all(content["conditions"].values())
    assert content["conditions"]
    assert content["first_departure"] is None
    assert content["untested"] == []
    assert {curves["recording"] for curves in content["training"]} == {
        name for name, recording in fixtures.items() if recording.kind == "training"
    }
    models = {name for name, recording in fixtures.items() if recording.kind == "model"}
    assert {line["model"] for line in content["coverage"]} == models
    for line in content["coverage"]:
        shares = [value.split(" of ") for value in line.values() if isinstance(value, str) and " of " in value]
        assert len(shares) == 7
        assert all(compared == wanted for compared, wanted in shares)
    assert {(line["recording"], line["precision"]) for line in content["mixtures"]} == {
        (model, precision) for model in models for precision in ("float64", "float32")
    }
    assert "EQUAL" in (verified.out / "parity.md").read_text(encoding="utf-8")
    html = (verified.out / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert all(words in html for words in content["verdict"].split(": "))
    assert all(name in html for name in fixtures)


def test_every_kind_is_there(fixtures):
    assert {recording.kind for recording in fixtures.values()} == set(PRECISIONS)


def test_every_condition_was_met(fixtures):
    assert all(conditions(fixtures.values()).values())


@pytest.mark.parametrize("missing", ["float64", "float32"])
def test_a_recording_without_one_precision_is_refused(missing, fixtures):
    whole = fixtures["lstm/as_is"]
    groups = {name: arrays for name, arrays in whole.groups.items() if name != missing}
    with pytest.raises(BadInput, match=f"lacks the group {missing}; record it again"):
        prove(Recording(whole.kind, whole.name, whole.hparams, whole.provenance, groups), Adapter())


def test_a_recording_of_an_unknown_kind_is_refused(fixtures):
    whole = fixtures["lstm/as_is"]
    with pytest.raises(BadInput, match="unknown kind 'owl'"):
        prove(Recording("owl", whole.name, whole.hparams, whole.provenance, whole.groups), Adapter())


def test_every_cell_stands_in_encoder_and_decoder(fixtures):
    models = [recording.hparams for recording in fixtures.values() if recording.kind == "model"]
    cells = {"lstm", "layer_norm", "hyper"}
    assert {h["enc_model"] for h in models if h["conditional"]} == cells
    assert {h["dec_model"] for h in models} == cells
    assert {h["conditional"] for h in models} == {True, False}


@pytest.mark.oracle
def test_fixtures_were_recorded_from_the_official_source_that_is_installed(fixtures):
    folder = Path(str(metadata.distribution("magenta").locate_file("magenta/models/sketch_rnn")))
    installed = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.py")}
    for recording in fixtures.values():
        assert recording.provenance["sha256"] == installed


def test_fixtures_are_small():
    # 19.4 MB: each precision, both ensembles, and the truth of everything local in float32
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 22_000_000


def test_no_tensorflow_beside_torch():
    assert "tensorflow" not in sys.modules
