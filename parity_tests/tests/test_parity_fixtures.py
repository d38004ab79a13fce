"""Our port against the committed recordings of the official code; no TensorFlow needed."""

import hashlib
import sys
from importlib import metadata
from pathlib import Path

import pytest

from parity_tests.compare import failures
from parity_tests.fixtures import fixture_paths, load_fixtures
from parity_tests.ours import Adapter
from parity_tests.parity import conditions
from parity_tests.prove import PRECISIONS, prove
from parity_tests.recording import FOLDER, Recording
from parity_tests.report import describe
from pytorch_sketch_rnn.errors import BadInput


@pytest.fixture(scope="module")
def fixtures():
    return load_fixtures()


@pytest.mark.parametrize("name", [path.stem for path in fixture_paths()])
def test_against_official(name, fixtures):
    recording = next(r for r in fixtures.values() if r.name.replace("/", "-") == name)
    rows = prove(recording, Adapter()).rows
    assert rows
    assert {row.precision for row in rows} - {"distribution"} == set(PRECISIONS[recording.kind]) - {
        "initial",
        "distribution",
    }
    assert all(row.verdict == "equal" for row in rows), "\n".join(map(describe, failures(rows)))


def test_every_kind_is_there(fixtures):
    assert {recording.kind for recording in fixtures.values()} == set(PRECISIONS)


def test_every_condition_was_met(fixtures):
    assert all(conditions(fixtures.values()).values())


@pytest.mark.parametrize("missing", ["float64", "float32"])
def test_a_recording_without_one_precision_is_refused(missing, fixtures):
    whole = fixtures["lstm/as_is"]
    groups = {name: arrays for name, arrays in whole.groups.items() if name != missing}
    with pytest.raises(BadInput, match=f"lacks the {missing} run"):
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
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12_000_000


def test_no_tensorflow_beside_torch():
    assert "tensorflow" not in sys.modules
