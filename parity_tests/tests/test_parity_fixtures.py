"""Our port against the committed recordings of the official code; no TensorFlow needed."""

import hashlib
import sys
from importlib import metadata
from pathlib import Path

import pytest

from parity_tests.compare import compare, failures, first_departure
from parity_tests.fixtures import FOLDER, fixture_paths, load_fixtures
from parity_tests.mutants import MUTANTS
from parity_tests.parity import compare_recording, conditions
from parity_tests.port import replay
from parity_tests.recording import Recording
from parity_tests.report import Report, describe
from pytorch_sketch_rnn.errors import BadInput


@pytest.fixture(scope="module")
def fixtures():
    return load_fixtures()


@pytest.mark.parametrize("name", [path.stem for path in fixture_paths()])
def test_against_official(name, fixtures):
    recording = next(r for r in fixtures.values() if r.name.replace("/", "-") == name)
    rows = compare_recording(recording)
    assert rows
    assert not failures(rows), "\n".join(map(describe, failures(rows)))


def test_every_condition_was_met(fixtures):
    assert all(conditions(fixtures.values()).values())


@pytest.mark.parametrize("missing", ["float64", "float32"])
def test_a_recording_without_one_precision_is_refused(missing, fixtures):
    whole = fixtures["lstm/as_is"]
    groups = {name: arrays for name, arrays in whole.groups.items() if name != missing}
    with pytest.raises(BadInput, match=f"lacks the {missing} run"):
        compare_recording(Recording(whole.kind, whole.name, whole.hparams, whole.provenance, groups))


def test_every_cell_stands_in_encoder_and_decoder(fixtures):
    models = [recording.hparams for recording in fixtures.values() if recording.kind == "model"]
    cells = {"lstm", "layer_norm", "hyper"}
    assert {h["enc_model"] for h in models if h["conditional"]} == cells
    assert {h["dec_model"] for h in models} == cells
    assert {h["conditional"] for h in models} == {True, False}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bug_is_caught_by_the_comparison_that_names_the_right_part(mutant, fixtures):
    recording = fixtures[mutant.recording]
    with mutant.planted():
        rows = compare(replay(recording, "float64"), recording, "float64")
    assert first_departure(rows).quantity == mutant.departs
    assert not Report("", rows, {}, {}).passed
    # and the sound code is back
    assert not failures(compare(replay(recording, "float64"), recording, "float64"))


@pytest.mark.oracle
def test_fixtures_were_recorded_from_the_official_source_that_is_installed(fixtures):
    folder = Path(str(metadata.distribution("magenta").locate_file("magenta/models/sketch_rnn")))
    installed = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.py")}
    for recording in fixtures.values():
        assert recording.provenance["sha256"] == installed


def test_fixtures_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 8_000_000


def test_no_tensorflow_beside_torch():
    assert "tensorflow" not in sys.modules
