"""``python -m parity_tests verify``: what it prints, writes and returns."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from command_line import NUMPY, REPORT, TORCH, WRITTEN, port, read, run
from shipped import shipped

from parity_tests.commands import one_model
from parity_tests.fuzz.inputs import write_state_dict
from parity_tests.record.recording import FOLDER
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from weight_port.tensor_bundle_writer import write_bundle

RECORDINGS = shipped()

# Recordings that are equal -------------------------------------------------------------------------------------------


def test_a_recording_may_be_named_or_lie_anywhere_and_there_may_be_several(tmp_path, capsys):
    elsewhere = tmp_path / "größe.h5"
    shutil.copy(FOLDER / "cell-lstm.h5", elsewhere)
    out = tmp_path / "out"
    code, printed, _ = run(capsys, "verify", "--recording", "data", "--recording", elsewhere, "--out", out)
    assert code == 0
    assert "Parity with recordings of official Magenta 2.1.4: data, cell/lstm" in printed
    assert {row["recording"] for row in read(out)["rows"]} == {"data", "cell/lstm"}
    assert read(out)["conditions"] == {}


def test_the_numpy_example_passes(tmp_path, capsys):
    code, printed, err = run(capsys, "verify", "--recording", "lstm-moved", "--port", NUMPY, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "subject: plain equations in NumPy" in printed
    content = read(tmp_path)
    assert content["passed"] is True
    verdicts = [row["verdict"] for row in content["rows"]]
    assert set(verdicts) == {"equal", "untested"}
    assert f"EQUAL IN {verdicts.count('equal')} OF {len(verdicts)}: " in printed
    assert "Not proven, because the port does not offer it: " in printed
    untested = {row["quantity"] for row in content["rows"] if row["verdict"] == "untested"}
    cannot = ("train/cost", "train/keep_prob/", "gradient/", "clipped/", "after/", "variables/")
    local = ("mu", "presig", "z", "decoder/initial_state", "head", "pi", "mu1", "mu2", "sigma1", "sigma2", "corr")
    local += ("pen", "pen_logits", "cost", "r_cost", "kl_cost")
    beyond = {name for name in untested if not name.startswith((*cannot, "fed/vjp/", "fed/optimizer/", "fed/loss/"))}
    # of the evaluation's losses float32 alone is untested: its truth was recorded from the output layer's values
    assert beyond == {f"fed/train/{name}" for name in local} | {"fed/eval/r_cost", "fed/eval/kl_cost"}
    assert "fed/train/decoder/g" not in untested
    assert content["first_departure"] is None


# Recordings that differ ----------------------------------------------------------------------------------------------


def test_the_torch_example_departs_under_dropout(tmp_path, capsys):
    code, printed, err = run(capsys, "verify", "--recording", "lstm-moved", "--port", TORCH, "--out", tmp_path)
    assert (code, err) == (1, "")
    assert "EQUAL" not in printed
    assert "DIFFERENT: " in printed
    assert re.search(r"^first departure: DIFFERENT lstm/moved train/mu \(float64\)", printed, flags=re.MULTILINE)
    content = read(tmp_path)
    assert content["passed"] is False
    assert content["first_departure"]["row"]["quantity"] == "train/mu"
    verdicts = {row["quantity"]: row["verdict"] for row in content["rows"] if row["verdict"] != "untested"}
    without = ("eval/", "fed/eval/", "prefix/")  # dropout is off there
    assert {verdict for name, verdict in verdicts.items() if name.startswith(without)} == {"equal"}
    assert verdicts["train/pi"] == verdicts["train/r_cost"] == verdicts["fed/train/decoder/output"] == "different"


def test_a_departure_is_printed_with_its_place_and_written_in_full(tmp_path, capsys):
    code, printed, err = run(capsys, "verify", "--recording", "lstm-moved", *port("WrongDecoder"), "--out", tmp_path)
    assert (code, err) == (1, "")
    first = re.search(r"^first departure: (.*)$", printed, flags=re.MULTILINE)[1]
    assert first.startswith("DIFFERENT lstm/moved eval/pi (float64): error 1.0e-03, allowed 1.0e-10 (largest; ")
    content = read(tmp_path)
    assert content["first_departure"]["text"] == first
    assert content["first_departure"]["explanation"]
    assert (
        content["first_departure"]["explanation"]
        == re.search(r"first departure.*\n((  .*\n)+)", printed)[1].splitlines()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == REPORT


def test_a_port_that_fails_is_a_departure_and_no_traceback(tmp_path, capsys):
    code, printed, err = run(capsys, "verify", "--recording", "lstm-moved", *port("Breaks"), "--out", tmp_path)
    assert (code, err) == (1, "")
    assert "Traceback" not in printed
    assert "sample (greedy) failed: RuntimeError: no owl" in printed
    assert read(tmp_path)["passed"] is False


# Results of an earlier run -------------------------------------------------------------------------------------------


def test_an_earlier_report_and_certificate_are_gone_before_a_run_begins(out, capsys):
    code, printed, err = run(capsys, "verify", "--recording", "lstm-moved", *port("Interrupted"), "--out", out)
    assert (code, printed, err) == (130, "", "interrupted\n")
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_run_of_recordings_leaves_no_certificate(out, capsys):
    assert run(capsys, "verify", "--recording", "cell-lstm", "--out", out)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", *REPORT]
    assert all((out / name).read_text(encoding="utf-8") != "stale" for name in REPORT)


# A model, with recordings standing in for the official process -------------------------------------------------------


@pytest.fixture
def source(tmp_path):
    """The checkpoint that a recording was made from, and a stroke set."""
    folder = tmp_path / "magenta"
    folder.mkdir()
    write_bundle(folder / "vector-10", RECORDINGS["lstm/as_is"]["weights"])
    (folder / "checkpoint").write_text('model_checkpoint_path: "vector-10"\n')
    sketch = np.array([[3, 1, 0], [-2, 4, 0], [1, 1, 1]], np.int16)
    write_npz(tmp_path / "strokes.npz", {split: [sketch] * 8 for split in ("train", "valid", "test")})
    return folder


@pytest.fixture
def official(monkeypatch):
    """Stand recordings in for what the official process makes; the tasks that it was given."""
    given = []

    def run_official(tasks, folder, name):
        assert not any((folder / written).exists() for written in WRITTEN)
        given.extend(tasks)
        for variant in ("as_is", "moved"):
            shutil.copy(FOLDER / f"lstm-{variant}.h5", folder / f"model-{variant}.h5")
            own = dataclasses.replace(RECORDINGS[f"lstm/{variant}"], name=f"model-own/{variant}")
            own.save(folder / f"model-own-{variant}.h5")

    monkeypatch.setattr(one_model, "require_oracle", lambda: None)
    monkeypatch.setattr(one_model, "run_official", run_official)
    return given


def verified(capsys, source, out, *more):
    return run(capsys, "verify", source, "--data", source.parent / "strokes.npz", "--out", out, *more)


def test_a_model_that_is_equal_gets_a_certificate_that_it_is_known_by(source, official, out, capsys):
    code, printed, err = verified(capsys, source, out)
    assert (code, err) == (0, "")
    certificate = out / "certificate.json"
    assert printed.splitlines()[-1] == (
        f"wrote {certificate}; check a model against it: python -m parity_tests check {certificate} MODEL"
    )
    assert {*REPORT, "certificate.json", "notes.txt", "pytorch"} <= {path.name for path in out.iterdir()}
    assert [task["models"][0]["weights"] for task in official] == [str(source / "vector-10")]
    content = read(out)
    assert content["passed"] is True
    assert {"checkpoint: weights, converted or exported", "checkpoint: optimizer state, converted or exported"} <= {
        part["part"] for part in content["parts"]
    }
    assert json.loads(certificate.read_text())["verdict"] == content["verdict"]

    assert run(capsys, "check", certificate, source)[0] == 0
    assert run(capsys, "check", certificate, out / "pytorch")[0] == 0
    other = source.parent / "other/vector-10"
    write_bundle(other, RECORDINGS["lstm/moved"]["weights"])
    assert run(capsys, "check", certificate, other)[0] == 1


def test_a_port_that_departs_on_a_model_leaves_a_certificate_that_certifies_nothing(source, official, out, capsys):
    code, printed, err = verified(capsys, source, out, *port("WrongDecoder"))
    assert (code, err) == (1, "")
    assert "first departure: " in printed
    certificate = out / "certificate.json"
    assert json.loads(certificate.read_text())["equal"] is False
    code, printed, err = run(capsys, "check", certificate, source)
    assert (code, printed) == (2, "")
    assert err == f"error: {certificate}: says that the model was found different, so it certifies nothing\n"


def test_a_port_may_offer_less_on_a_model_and_the_certificate_says_so(source, official, out, capsys):
    code, printed, _ = verified(capsys, source, out, "--port", NUMPY)
    assert code == 0
    assert re.search(r"^EQUAL IN \d+ OF \d+: ", printed, flags=re.MULTILINE)
    content = json.loads((out / "certificate.json").read_text())
    assert content["subject"] == "plain equations in NumPy"
    # 17 variables, four recordings, two precisions
    assert {"gradients (136)"} <= set(content["untested"])
    assert not (out / "pytorch").exists()  # nothing was converted for it


def test_a_model_whose_official_run_fails_leaves_no_earlier_report(source, official, out, capsys, monkeypatch):
    def fails(tasks, folder, name):
        raise BadInput("the official process 'verify' ended with exit code 1: owl (log: verify.log)")

    monkeypatch.setattr(one_model, "run_official", fails)
    code, _, err = verified(capsys, source, out)
    assert (code, err) == (2, "error: the official process 'verify' ended with exit code 1: owl (log: verify.log)\n")
    assert not {path.name for path in out.iterdir()} & set(WRITTEN)


def test_an_official_run_without_a_recording_is_reported(source, official, out, capsys, monkeypatch):
    for variant in ("as_is", "moved"):
        for name in ("model", "model-own"):  # those of an earlier run
            shutil.copy(FOLDER / f"lstm-{variant}.h5", out / f"{name}-{variant}.h5")
    monkeypatch.setattr(one_model, "run_official", lambda *_: None)
    code, _, err = verified(capsys, source, out)
    assert code == 2
    assert (
        err
        == f"error: {out / 'model-own-as_is.h5'}: cannot be read (No such file or directory); expected a recording\n"
    )
    assert not {path.name for path in out.iterdir()} & set(WRITTEN)


def test_another_model_than_the_one_that_was_recorded_departs_in_its_conversion(source, official, out, capsys):
    write_bundle(source / "vector-10", RECORDINGS["lstm/moved"]["weights"])
    assert verified(capsys, source, out)[0] == 1
    first = read(out)["first_departure"]["row"]
    assert first["quantity"].startswith("converted/")
    assert first["precision"] == "exact"


@pytest.mark.parametrize("sketches", [[], [np.zeros((3, 3), np.int16)] * 8])
def test_strokes_that_make_no_batch_are_refused(sketches, source, official, capsys, tmp_path):
    sketch = np.array([[3, 1, 0], [-2, 4, 1]], np.int16)
    strokes = tmp_path / "few.npz"
    write_npz(strokes, {"train": sketches or [sketch] * 2, "valid": [sketch], "test": [sketch]})
    code, _, err = run(capsys, "verify", source, "--data", strokes, "--out", tmp_path / "new")
    assert code == 2
    assert err == f"error: {strokes}: expected at least 4 training sketches that are not all one point\n"


def test_a_model_that_the_official_code_cannot_compute_is_refused_before_anything_is_written(
    official, capsys, tmp_path
):
    write_state_dict(tmp_path / "model.pt")
    code, _, err = run(capsys, "verify", tmp_path / "model.pt", "--out", tmp_path / "new")
    assert code == 2
    assert "model.pt: layer_norm_epsilon=1e-05: Magenta's layer norms always add 0.001 to the variance" in err
    assert not (tmp_path / "new").exists()
