"""Bad input to ``python -m parity_tests``: one clear line, exit code 2, and nothing is written or changed."""

import re
import shutil

import pytest
from command_line import port, read, refused, run

from parity_tests.__main__ import main
from parity_tests.commands import live, one_model
from parity_tests.record.configurations import SEED
from parity_tests.record.recording import FOLDER, SCHEMA, SEAL
from parity_tests.record.shipped import fixture_paths
from pytorch_sketch_rnn.errors import LONGEST_LINE, BadInput, one_line, run_command


def test_either_a_model_or_a_recording_is_expected(out, tmp_path, capsys):
    message = "expected either a model SRC or --recording FILE; see --help"
    assert refused(capsys, tmp_path, "verify", "--out", out) == message
    assert refused(capsys, tmp_path, "verify", "model", "--recording", "all", "--out", out) == message


@pytest.mark.parametrize("option", [["--member", "owl"], ["--set", "z_size=3"], ["--data", "owl.npz"]])
def test_what_belongs_to_a_model_does_not_go_with_a_recording(option, out, tmp_path, capsys):
    message = refused(capsys, tmp_path, "verify", "--recording", "data", *option, "--out", out)
    assert message == "--member, --set and --data apply to a model SRC, not to a recording"


@pytest.mark.parametrize("name", ["owl", "lstm", "lstm/moved", "lstm-moved.h5", ""])
def test_an_unknown_recording_is_refused_with_a_list_of_those_that_ship(name, out, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(capsys, tmp_path, "verify", "--recording", "data", "--recording", name, "--out", out)
    shipped = ", ".join(path.stem for path in fixture_paths())
    assert message == (
        f"--recording {name}: no such file or folder, and none of the recordings in {FOLDER}; expected one of "
        f"{shipped}, or all"
    )


def test_a_folder_means_every_recording_in_it_and_below_in_order(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "mine"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "folder.h5").mkdir()
    for name, stem in (("z.h5", "data"), ("deep/er/a.h5", "initial-lstm"), ("b.h5", "data-joined")):
        shutil.copy(FOLDER / f"{stem}.h5", folder / name)
    (folder / "parity.json").write_text("{}")
    assert one_model.recording_paths(str(folder)) == [folder / name for name in ("b.h5", "deep/er/a.h5", "z.h5")]
    code, _, err = run(capsys, "verify", "--recording", folder, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert {row["recording"] for row in read(tmp_path / "out")["rows"]} == {"data", "data/joined", "initial/lstm"}
    # what ships goes before a folder of the same name, of which `data` is a likely one
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert one_model.recording_paths("data") == [FOLDER / "data.h5"]


def test_a_folder_without_recordings_is_refused(out, tmp_path, capsys):
    folder = tmp_path / "empty"
    (folder / "below").mkdir(parents=True)
    message = refused(capsys, tmp_path, "verify", "--recording", folder, "--out", out)
    assert message == f"--recording {folder}: no recording (*.h5) in this folder or below it"


@pytest.mark.parametrize("seed", ["owl", "-1", "1.5", "", str(2**31), "9" * 5000, "1e3", "٣"])
def test_a_seed_that_is_no_number_is_refused(seed, out, tmp_path, capsys):
    message = refused(capsys, tmp_path, "parity", f"--seed={seed}", "--out", out)
    assert message == one_line(f"--seed is {seed!r}, expected a whole number from 0 to 2147483647")
    assert len(message) <= LONGEST_LINE


@pytest.mark.parametrize(("given", "seed"), [([], SEED), (["--seed", "0"], 0), (["--seed", "2147483647"], 2**31 - 1)])
def test_the_seed_goes_to_the_official_runs(given, seed, tmp_path, capsys, monkeypatch):
    seen = []

    def run_parity(out, spec, *, seed, options, models, trainings, backends):
        seen.append((seed, models, trainings))
        raise BadInput("enough")

    monkeypatch.setattr(live, "run_parity", run_parity)
    assert run(capsys, "parity", *given, "--out", tmp_path) == (2, "", "error: enough\n")
    assert seen == [(seed, True, True)]


def test_help_names_the_default_seed(capsys):
    with pytest.raises(SystemExit):
        run_command(main, ["parity", "--help"])
    assert f"default: {SEED}\n" in capsys.readouterr().out


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
def test_a_damaged_recording_is_refused(what, out, tmp_path, capsys):
    change, message = BROKEN[what]
    path = broken_recording(tmp_path, change)
    code, printed, _ = run(capsys, "verify", "--recording", path, "--out", out)
    assert (code, printed) == (2, "")
    assert [left.name for left in out.iterdir()] == ["notes.txt"]  # an earlier report might be taken for this one's
    for arguments in ([path], ["data", "--recording", path], [path, *port("WrongDecoder")]):
        err = refused(capsys, tmp_path, "verify", "--recording", *arguments, "--out", out)
        assert err == f"{path}: {message}; record it again"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("owl")
    err = refused(capsys, tmp_path, "verify", "--recording", "cell-lstm", "--out", tmp_path / "file")
    assert err.startswith(f"{tmp_path / 'file'}: cannot be written (")
    err = refused(capsys, tmp_path, "verify", "--recording", "cell-lstm", "--out", tmp_path / "file" / "below")
    assert err.endswith("; choose another --out")


@pytest.mark.parametrize(
    "arguments", [[], ["owl"], ["verify", "--owl"], ["check"], ["check", "one"], ["mutants", "owl"]]
)
def test_an_unknown_command_or_flag_is_one_line(arguments, capsys):
    assert run_command(main, arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "see python -m parity_tests" in line


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        run_command(main, ["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    for command in ("parity", "verify", "check", "mutants", "fixtures"):
        assert re.search(rf"^    {command}  ", printed, flags=re.MULTILINE), command
