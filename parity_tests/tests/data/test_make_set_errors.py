"""``python -m pytorch_sketch_rnn dataset``: one line, exit code 2 and no file, if a set cannot be made."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_sets import drawing, run, write

from pytorch_sketch_rnn.data import make_set
from pytorch_sketch_rnn.data.npz import SPLITS, write_npz
from pytorch_sketch_rnn.data.sources import read

pytest.importorskip("shapely")
ROOT = Path(__file__).resolve().parents[3]


def test_an_existing_set_or_picture_is_overwritten_only_with_force(tmp_path, many, capsys):
    for name in ("out.npz", "out.svg"):
        (tmp_path / name).write_text("old")
        assert run(many, tmp_path / "out.npz") == 2
        assert capsys.readouterr().err == f"error: {tmp_path / name}: exists already; give --force to overwrite it\n"
        assert (tmp_path / name).read_text() == "old"
        assert run(many, tmp_path / "out.npz", "--force") == 0
        assert (tmp_path / name).read_bytes() != b"old"
        capsys.readouterr()
        (tmp_path / "out.npz").unlink()
        (tmp_path / "out.svg").unlink()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("none.ndjson", "out.npz"), "none.ndjson: there is no such file or folder"),
        (("x" * 5000, "out.npz"), ": there is no such file or folder"),
        (
            ("notes.txt", "out.npz"),
            "notes.txt: expected .ndjson, .ndjson.gz, .bin, .bin.gz, .npz, .svg, .svgz, .svg.gz, a folder of .svg",
        ),
        (("many.ndjson", "out.txt"), "out.txt: expected a name that ends in .npz or .h5, got .txt"),
        (("many.ndjson", "out"), "out: expected a name that ends in .npz or .h5, got no suffix"),
        (("many.ndjson", "none/out.npz"), "out.npz: cannot be written, expected a folder that exists"),
        (("many.ndjson", "folder.npz", "--force"), "folder.npz: expected a name for a file, got a folder"),
        (("set.npz", "./set.npz", "--force"), "set.npz: is both SRC and OUT, expected another name for OUT"),
        (("empty", "empty/out.npz"), "out.npz: lies in SRC, where its picture would become a drawing"),
        (("empty", "out.npz"), "empty: expected a folder of .svg files, got one without any"),
        (("pack", "many.ndjson", "out.npz"), "dataset pack: expected SRC [SRC ...] OUT.h5, got "),
        (("pack", "out.h5"), "dataset pack: expected SRC [SRC ...] OUT.h5, got "),
        (("many.ndjson", "out.npz", "--max_points", "1"), "--max_points is 1, expected 2 to 100000"),
        (("many.ndjson", "out.npz", "--count", "2"), "--count is 2, expected 3 to "),
        (("many.ndjson", "out.npz", "--seed", "-1"), f"--seed is -1, expected 0 to {2**32 - 1}"),
        (("many.ndjson", "out.npz", "--epsilon", "-1"), "--epsilon is -1.0, expected a number of at least 0"),
        (("many.ndjson", "out.npz", "--epsilon", "nan"), "--epsilon is nan, expected a number of at least 0"),
        (("many.ndjson", "out.npz", "--epsilon", "inf"), "--epsilon is inf, expected a number of at least 0"),
        (("many.ndjson", "out.h5", "--dtype", "float32"), "--dtype is float32, expected int16, the only type that .h5"),
        (("many.ndjson", "out.npz", "--split", "39,1,1"), "too few sketches: expected 41, got 40; see --split"),
        (("many.ndjson", "out.h5", "--split", "70000,2500,2500"), "too few sketches: expected 75,000, got 40"),
        (("many.ndjson", "out.npz", "--split", "20,2,2", "--count", "9"), "too few sketches: expected 24, got 9"),
        (("many.ndjson", "out.npz", "--max_points", "2"), "got 0 (left out: 40 with more than 2 points)"),
        (("two.ndjson", "out.npz"), "expected at least one for each of train, valid and test, got 2"),
        (("two.ndjson", "out.h5"), "expected at least one for each of train, valid and test, got 2"),
        (("nothing.ndjson", "out.npz"), "expected at least one for each of train, valid and test, got 0"),
        (("set.npz", "out.npz", "--max_points", "4"), "got 0 (left out: 9 with more than 4 points)"),
        (
            ("long.npz", "out.h5", "--max_points", "9"),
            "expected at least one for valid, got none (left out: 1 with more",
        ),
        (("bad.ndjson", "out.npz"), 'bad.ndjson: line 3: expected a JSON object with "drawing", got 7'),
        (("bad.ndjson", "out.h5"), 'bad.ndjson: line 3: expected a JSON object with "drawing", got 7'),
        (("alone.npz", "out.npz"), "alone.npz: valid.npy: no such member"),
        (("alone.npz", "out.npz"), "--split 0.9,0.05,0.05` divides a set afresh"),
        (("empty_split.npz", "out.npz"), "valid.npy: expected sketches, got an empty split; --split 0.9,0.05,0.05"),
        (("others.npz", "out.npz", "--count", "3"), "others.npz: expected train.npy, valid.npy or test.npy in it"),
        (("broken.npz", "out.h5"), "broken.npz: expected an intact .npz file"),
        (("dots.ndjson", "out.npz"), "out.npz: the training offsets are all the same"),
        (("pens.npz", "out.npz"), "sketch 0: expected 0 or 1 in its third column, pen lifted, got other numbers"),
        *(
            (("many.ndjson", "out.npz", f"--split={split}"), f"--split is {split}, expected three sizes as in 70000,")
            for split in (
                "1,1",
                "1,1,1,1",
                "a,b,c",
                "0.5,0.5,0.5",
                "0,1,1",
                "9,0.5,0.5",
                "nan,1,1",
                "inf,1,1",
                "1,0,0",
                "",
            )
        ),
    ],
)
def test_bad_input_is_one_line_exit_code_2_and_no_file(
    tmp_path, many, stroke_set, capsys, monkeypatch, arguments, expected
):
    write(tmp_path / "two.ndjson", drawing(1), drawing(2))
    write(tmp_path / "bad.ndjson", drawing(1), drawing(2), 7)
    write(tmp_path / "dots.ndjson", *[{"drawing": [[[5, 5], [5, 5]]]}] * 3)
    for name in ("nothing.ndjson", "notes.txt", "broken.npz"):
        (tmp_path / name).touch()
    for name in ("empty", "folder.npz"):
        (tmp_path / name).mkdir()
    np.savez(tmp_path / "pens.npz", **{split: np.array([[[1, 2, 0], [3, 4, 2]]]) for split in SPLITS})
    square = np.eye(3, dtype=np.int16)[np.newaxis]
    np.savez(tmp_path / "alone.npz", train=square)
    np.savez(tmp_path / "empty_split.npz", train=square, valid=square[:0], test=square)
    np.savez(tmp_path / "others.npz", square)
    lengths = {"train": 2, "valid": 10, "test": 9}
    write_npz(tmp_path / "long.npz", {split: [np.eye(n, 3, dtype=np.int16)] for split, n in lengths.items()})
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_npz_gets_no_more_sketches_than_can_be_read_again(tmp_path, many, monkeypatch, capsys):
    monkeypatch.setattr(make_set, "MOST_IN_NPZ", 40)
    assert run(many, tmp_path / "out.npz") == 0
    monkeypatch.setattr(make_set, "MOST_IN_NPZ", 39)
    assert run(many, tmp_path / "other.npz") == 2
    assert "other.npz: expected at most 39 sketches; make it a .h5, or give --count" in capsys.readouterr().err
    assert run(many, tmp_path / "out.h5", "--force") == 0


@pytest.mark.parametrize("suffix", ["npz", "h5"])
@pytest.mark.parametrize("stage", [(read, "_sketch"), (make_set, "grid_svg")], ids=["reading", "writing"])
def test_ctrl_c_leaves_no_files(tmp_path, many, monkeypatch, capsys, suffix, stage):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*stage, interrupt)
    assert run(many, tmp_path / f"out.{suffix}") == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert list(tmp_path.iterdir()) == [many]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_leaves_no_files(tmp_path, many, monkeypatch, capsys):
    monkeypatch.setattr(make_set.tempfile, "TemporaryFile", lambda dir: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
    assert run(many, tmp_path / "out.npz") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'out.npz'}: cannot be written (No space left on device)\n"
    assert list(tmp_path.iterdir()) == [many]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_erased(tmp_path, many, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert run(many, tmp_path / "out.npz") == 0
    shown = terminal.getvalue()
    assert "reading: 0 drawings" in shown
    assert "writing:   0%" in shown
    assert "0/40" in shown
    assert "\n" not in shown
    assert shown.split("\r")[-2].isspace()  # the last thing written on the line, before the cursor returned


def test_progress_is_not_shown_elsewhere(tmp_path, many, capsys):
    assert run(many, tmp_path / "out.npz") == 0
    assert capsys.readouterr().err == ""


def test_the_module_runs_as_a_program_without_torch(tmp_path, many):
    code = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module('pytorch_sketch_rnn', run_name='__main__')"
    command = [sys.executable, "-c", code, "dataset", str(many), str(tmp_path / "out.h5")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sketches: train 36, valid 2, test 2\n")
