"""``python -m parity_tests``: what it prints, writes and returns, also from the wheel that is built of this tree."""

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from shipped import shipped

from parity_tests import ours
from parity_tests.__main__ import main
from parity_tests.commands import live as parity
from parity_tests.commands import one_model as verify
from parity_tests.record.recording import FOLDER, SCHEMA, SEAL
from parity_tests.record.shipped import LOCK, fixture_paths
from parity_tests.report import html as html_report
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput, run_command
from weight_port.tensor_bundle_writer import write_bundle

ROOT = Path(__file__).parents[3]
NUMPY, TORCH = "parity_tests.examples.numpy_port:Adapter", "parity_tests.examples.torch_lstm:Adapter"
RECORDINGS = shipped()
REPORT = ["parity.json", "parity.md", "report.html"]
WRITTEN = [*REPORT, "certificate.json"]


class WrongDecoder(ours.Adapter):
    """A port whose mixture is a little off."""

    def decode(self, inputs, z, draws):
        answer = super().decode(inputs, z, draws)
        return answer | {"pi": answer["pi"] * answer["pi"].dtype.type(1.001)}


class Breaks(ours.Adapter):
    """A port that fails in the middle."""

    def sample(self, seq_len, temperature, greedy, uniform, normal):
        raise RuntimeError("no owl")


class Interrupted(ours.Adapter):
    """A port during which the user has had enough."""

    def load(self, hparams, variables):
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def ports(monkeypatch):
    """Make the ports above known under a name of their own."""
    monkeypatch.setitem(sys.modules, "ports_of_cli_parity", sys.modules[__name__])


@pytest.fixture(autouse=True)
def bare_page(monkeypatch):
    """A page without its plots, which take a while."""
    monkeypatch.setattr(html_report, "page", lambda content: f"<p>{content['title']}</p>")


def port(name):
    return ["--port", f"ports_of_cli_parity:{name}"]


def run(capsys, *arguments):
    """The exit code, and what was printed to either side."""
    capsys.readouterr()
    code = run_command(main, list(map(str, arguments)))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def read(out):
    def no_constant(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads((out / "parity.json").read_text(encoding="utf-8"), parse_constant=no_constant)


def leave_stale(folder):
    """What an earlier run may have left, and something that is none of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*WRITTEN, "notes.txt"):
        (folder / name).write_text("stale")
    return folder


# Recordings that pass -----------------------------------------------------------------------------------------------


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
    assert "Not proven, since the port does not offer it: " in printed
    untested = {row["quantity"] for row in content["rows"] if row["verdict"] == "untested"}
    cannot = ("train/cost", "train/keep_prob/", "gradient/", "clipped/", "after/", "variables/")
    local = ("mu", "presig", "z", "decoder/initial_state", "head", "pi", "mu1", "mu2", "sigma1", "sigma2", "corr")
    local += ("pen", "pen_logits", "cost", "r_cost", "kl_cost")
    beyond = {name for name in untested if not name.startswith((*cannot, "fed/vjp/", "fed/optimizer/", "fed/loss/"))}
    # of the evaluation's losses float32 alone is untested: its truth was recorded from the output layer's values
    assert beyond == {f"fed/train/{name}" for name in local} | {"fed/eval/r_cost", "fed/eval/kl_cost"}
    assert "fed/train/decoder/g" not in untested
    assert content["first_departure"] is None


# ... and that do not ------------------------------------------------------------------------------------------------


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


def test_a_departure_is_told_with_its_place_and_all_of_it_is_written(tmp_path, capsys):
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


# Bad input ----------------------------------------------------------------------------------------------------------


def refused(capsys, folder, *arguments):
    """The one line of an error; nothing may have been written or changed."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return err.removeprefix("error: ").rstrip("\n")


@pytest.fixture
def out(tmp_path):
    """A folder with an earlier report, which bad input must leave as it is."""
    return leave_stale(tmp_path / "out")


def test_either_a_model_or_a_recording_is_expected(out, tmp_path, capsys):
    told = "expected either a model SRC, or --recording FILE; see --help"
    assert refused(capsys, tmp_path, "verify", "--out", out) == told
    assert refused(capsys, tmp_path, "verify", "model", "--recording", "all", "--out", out) == told


@pytest.mark.parametrize("option", [["--member", "owl"], ["--set", "z_size=3"], ["--data", "owl.npz"]])
def test_what_belongs_to_a_model_does_not_go_with_a_recording(option, out, tmp_path, capsys):
    told = refused(capsys, tmp_path, "verify", "--recording", "data", *option, "--out", out)
    assert told == "--member, --set and --data belong to a model SRC; a recording has its own"


@pytest.mark.parametrize("name", ["owl", "lstm", "lstm/moved", "lstm-moved.h5", ""])
def test_an_unknown_recording_is_told_with_those_that_ship(name, out, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refused(capsys, tmp_path, "verify", "--recording", "data", "--recording", name, "--out", out)
    shipped = ", ".join(path.stem for path in fixture_paths())
    assert told == (
        f"--recording {name}: no such file or folder, and none of the recordings in {FOLDER}; these are {shipped}, "
        "or all"
    )


def test_a_folder_means_every_recording_in_it_and_below_in_order(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "mine"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "folder.h5").mkdir()
    for name, stem in (("z.h5", "data"), ("deep/er/a.h5", "initial-lstm"), ("b.h5", "data-joined")):
        shutil.copy(FOLDER / f"{stem}.h5", folder / name)
    (folder / "parity.json").write_text("{}")
    assert verify.recording_paths(str(folder)) == [folder / name for name in ("b.h5", "deep/er/a.h5", "z.h5")]
    code, _, err = run(capsys, "verify", "--recording", folder, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert {row["recording"] for row in read(tmp_path / "out")["rows"]} == {"data", "data/joined", "initial/lstm"}
    # what ships goes before a folder of the same name, of which `data` is a likely one
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert verify.recording_paths("data") == [FOLDER / "data.h5"]


def test_a_folder_without_recordings_is_told(out, tmp_path, capsys):
    folder = tmp_path / "empty"
    (folder / "below").mkdir(parents=True)
    told = refused(capsys, tmp_path, "verify", "--recording", folder, "--out", out)
    assert told == f"--recording {folder}: no recording (*.h5) in this folder or below it"


@pytest.mark.parametrize("seed", ["owl", "-1", "1.5", "", str(2**31), "9" * 5000, "1e3", "٣"])
def test_a_seed_that_is_none_is_told(seed, out, tmp_path, capsys):
    told = refused(capsys, tmp_path, "parity", f"--seed={seed}", "--out", out)
    assert told == f"--seed is {seed!r}, expected a whole number from 0 to 2147483647"


@pytest.mark.parametrize(
    ("given", "seed"), [([], parity.SEED), (["--seed", "0"], 0), (["--seed", "2147483647"], 2**31 - 1)]
)
def test_the_seed_goes_to_the_official_runs(given, seed, tmp_path, capsys, monkeypatch):
    seen = []

    def run_parity(out, spec, *, seed, options, models, trainings):
        seen.append((seed, models, trainings))
        raise BadInput("enough")

    monkeypatch.setattr(parity, "run_parity", run_parity)
    assert run(capsys, "parity", *given, "--out", tmp_path) == (2, "", "error: enough\n")
    assert seen == [(seed, True, True)]


def test_help_tells_the_default_seed(capsys):
    with pytest.raises(SystemExit):
        run_command(main, ["parity", "--help"])
    assert f"default: {parity.SEED}\n" in capsys.readouterr().out


def broken_recording(folder, change):
    path = folder / "broken.h5"
    path.write_bytes(change((FOLDER / "cell-lstm.h5").read_bytes()))
    return path


BROKEN = {
    "cut in half": (lambda content: content[: len(content) // 2], "the content does not match the SHA-256 it claims"),
    "cut short": (lambda content: content[:-1], "the content does not match the SHA-256 it claims"),
    "one bit": (
        lambda c: c[:9000] + bytes([c[9000] ^ 1]) + c[9001:],
        "the content does not match the SHA-256 it claims",
    ),
    "too long": (lambda content: content + b"\0", "the content does not match the SHA-256 it claims"),
    "empty": (lambda content: b"", f"expected a recording of schema {SCHEMA}, found another kind of file"),
    "text": (lambda content: b"owl", f"expected a recording of schema {SCHEMA}, found another kind of file"),
    "older": (
        lambda content: SEAL.replace(f"schema {SCHEMA}".encode(), b"schema 1") + content[len(SEAL) :],
        f"expected a recording of schema {SCHEMA}, found one of schema 1",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_recording_that_cannot_be_used_is_told(what, out, tmp_path, capsys):
    change, told = BROKEN[what]
    path = broken_recording(tmp_path, change)
    code, printed, _ = run(capsys, "verify", "--recording", path, "--out", out)
    assert (code, printed) == (2, "")
    assert [left.name for left in out.iterdir()] == ["notes.txt"]  # an earlier report might be taken for this one's
    for arguments in ([path], ["data", "--recording", path], [path, *port("WrongDecoder")]):
        err = refused(capsys, tmp_path, "verify", "--recording", *arguments, "--out", out)
        assert err == f"{path}: {told}; record it anew"


def test_a_folder_that_cannot_be_made_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("owl")
    err = refused(capsys, tmp_path, "verify", "--recording", "cell-lstm", "--out", tmp_path / "file")
    assert err.startswith(f"{tmp_path / 'file'}: cannot be written (")
    err = refused(capsys, tmp_path, "verify", "--recording", "cell-lstm", "--out", tmp_path / "file" / "below")
    assert err.endswith("; choose another --out")


@pytest.mark.parametrize(
    "arguments", [[], ["owl"], ["verify", "--owl"], ["check"], ["check", "one"], ["mutants", "owl"]]
)
def test_a_command_that_is_none_is_told_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run_command(main, arguments)
    assert caught.value.code == 2
    assert "usage: python -m parity_tests" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        run_command(main, ["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    for command in ("parity", "verify", "check", "mutants", "fixtures"):
        assert re.search(rf"^    {command}  ", printed, flags=re.MULTILINE), command


# What an earlier run left -------------------------------------------------------------------------------------------


def test_an_earlier_report_and_certificate_are_gone_before_a_run_begins(out, capsys):
    code, printed, err = run(capsys, "verify", "--recording", "lstm-moved", *port("Interrupted"), "--out", out)
    assert (code, printed, err) == (130, "", "interrupted\n")
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_run_of_recordings_leaves_no_certificate(out, capsys):
    assert run(capsys, "verify", "--recording", "cell-lstm", "--out", out)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", *REPORT]
    assert all((out / name).read_text(encoding="utf-8") != "stale" for name in REPORT)


# A model, with recordings in the place of the official process ------------------------------------------------------


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

    monkeypatch.setattr(verify, "require_oracle", lambda: None)
    monkeypatch.setattr(verify, "run_official", run_official)
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
    assert {"checkpoint: weights as converted", "checkpoint: optimizer state as converted"} <= {
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
    assert err == f"error: {certificate}: says that the model was found different; nothing is certified by it\n"


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

    monkeypatch.setattr(verify, "run_official", fails)
    code, _, err = verified(capsys, source, out)
    assert (code, err) == (2, "error: the official process 'verify' ended with exit code 1: owl (log: verify.log)\n")
    assert not {path.name for path in out.iterdir()} & set(WRITTEN)


def test_an_official_run_that_left_no_recording_is_told(source, official, out, capsys, monkeypatch):
    for variant in ("as_is", "moved"):
        for name in ("model", "model-own"):  # those of an earlier run
            shutil.copy(FOLDER / f"lstm-{variant}.h5", out / f"{name}-{variant}.h5")
    monkeypatch.setattr(verify, "run_official", lambda *_: None)
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
def test_strokes_that_make_no_batch_are_told(sketches, source, official, capsys, tmp_path):
    sketch = np.array([[3, 1, 0], [-2, 4, 1]], np.int16)
    strokes = tmp_path / "few.npz"
    write_npz(strokes, {"train": sketches or [sketch] * 2, "valid": [sketch], "test": [sketch]})
    code, _, err = run(capsys, "verify", source, "--data", strokes, "--out", tmp_path / "new")
    assert code == 2
    assert err == f"error: {strokes}: expected at least 4 training sketches that are not all one point\n"


# The wheel ----------------------------------------------------------------------------------------------------------

needs_setuptools = pytest.mark.skipif(
    importlib.util.find_spec("pip") is None
    or importlib.util.find_spec("setuptools") is None
    or int(version("setuptools").split(".")[0]) < 77,
    reason="building the wheel needs pip and setuptools 77",
)


def alone(command, folder, *path):
    """Run a Python in a folder, with nothing of this tree to import."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of this tree, so that the build leaves nothing here."""
    tree, folder = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    nothing_built = shutil.ignore_patterns("__pycache__", "tests")
    for name in ("pytorch_sketch_rnn", "weight_port", "parity_tests", "fixtures"):
        shutil.copytree(ROOT / name, tree / name, ignore=nothing_built)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    done = alone(["-m", "pip", "wheel", *options, tree, "-w", folder], folder)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    return path


@needs_setuptools
def test_the_wheel_holds_every_module_recording_and_template(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("pytorch_sketch_rnn", "weight_port", "parity_tests"):
        modules = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py") if "tests" not in path.parts}
        assert modules
        assert {str(path) for path in modules} <= names
        assert f"{package}/py.typed" in names
    recordings = {f"parity_tests/fixtures/{path.name}" for path in fixture_paths()}
    assert len(recordings) >= 20
    assert recordings | {f"parity_tests/fixtures/{LOCK}", "parity_tests/report/report.html.j2"} <= names
    if (FOLDER / "mutants.json").exists():
        assert "parity_tests/fixtures/mutants.json" in names
    assert not any("/tests/" in name for name in names)
    with zipfile.ZipFile(wheel) as archive:
        for path in fixture_paths():
            assert archive.read(f"parity_tests/fixtures/{path.name}") == path.read_bytes()


@needs_setuptools
def test_verify_works_from_the_wheel_alone(wheel, tmp_path):
    unpacked, elsewhere = tmp_path / "unpacked", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    code = "import parity_tests.record.recording as r; print(r.FOLDER); import pytorch_sketch_rnn, weight_port; "
    code += "print(pytorch_sketch_rnn.__file__); print(weight_port.__file__)"
    done = alone(["-c", code], elsewhere, unpacked)
    assert done.stdout.splitlines()[0] == str(unpacked / "parity_tests/fixtures")
    assert all(line.startswith(str(unpacked)) for line in done.stdout.splitlines())

    done = alone(["-m", "parity_tests", "verify", "--recording", "lstm-moved"], elsewhere, unpacked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "EQUAL: " in done.stdout
    assert sorted(path.name for path in (elsewhere / "out/verify").iterdir()) == REPORT
    assert [path.name for path in elsewhere.iterdir()] == ["out"]
