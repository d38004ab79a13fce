"""``python -m pytorch_sketch_rnn dataset``: the set that was asked for, or one line, exit code 2 and no file."""

import io
import json
import os
import subprocess
import sys
from importlib import metadata
from itertools import chain, count
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.__main__ import main
from pytorch_sketch_rnn.data import make_set as dataset
from pytorch_sketch_rnn.data.magenta_loader import load_dataset
from pytorch_sketch_rnn.data.npz import SPLITS, read_npz, write_npz
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.hparams import HParams

pytest.importorskip("shapely")
ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "data" / "strokes"


def run(*arguments: object) -> int:
    return run_command(main, ["dataset", *map(str, arguments)])


def drawing(number: int, points: int = 3) -> dict:
    """A zigzag of so many points, which epsilon 2 leaves alone; its first step says which one it is."""
    xs = [0, number, *(20 * step % 250 for step in range(2, points))]
    return {
        "word": "zigzag",
        "recognized": number % 2 == 0,
        "drawing": [[xs[:points], [50 * (n % 2) for n in range(points)]]],
    }


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture
def many(tmp_path) -> Path:
    """Forty drawings, told apart by their first step, 10 to 49."""
    return write(tmp_path / "many.ndjson", *(drawing(number) for number in range(10, 50)))


def numbers(splits: dict[str, list[np.ndarray]]) -> dict[str, list[int]]:
    return {split: [int(sketch[1, 0]) for sketch in sketches] for split, sketches in splits.items()}


def listed(splits: dict[str, list[np.ndarray]]) -> dict[str, list]:
    return {split: [sketch.tolist() for sketch in sketches] for split, sketches in splits.items()}


def made(out: Path) -> dict[str, list[np.ndarray]]:
    """The sketches of a set of either kind."""
    if out.suffix == ".npz":
        return read_npz(out)
    with open_packed(out) as packed:
        return {split: [sketch.copy() for sketch in getattr(packed, split)] for split in SPLITS}


def test_drawings_become_a_set_in_magentas_format(tmp_path, many):
    assert run(many, tmp_path / "out.npz") == 0
    splits = read_npz(tmp_path / "out.npz")
    assert {split: len(sketches) for split, sketches in splits.items()} == {"train": 36, "valid": 2, "test": 2}
    assert sorted(number for each in numbers(splits).values() for number in each) == list(range(10, 50))
    for sketch in (sketch for split in SPLITS for sketch in splits[split]):
        assert sketch.dtype == np.int16
        np.testing.assert_array_equal(sketch, [[0, 0, 0], [sketch[1, 0], 50, 0], [40 - sketch[1, 0], -50, 1]])


@pytest.mark.parametrize("name", ["out.h5", "out.hdf5"])
def test_a_packed_set_holds_the_same_sketches_in_the_same_splits(tmp_path, many, name):
    assert run(many, tmp_path / "npz.npz", "--seed", 3) == 0
    assert run("pack", many, tmp_path / name, "--seed", 3) == 0
    assert listed(made(tmp_path / name)) == listed(read_npz(tmp_path / "npz.npz"))


def test_the_summary_says_what_was_made_and_what_comes_next(tmp_path, capsys):
    records = [drawing(number) for number in range(10, 30)] + [
        drawing(9, 40),
        {"drawing": []},
        {"drawing": [[[1], [1]]]},
    ]
    source, out = write(tmp_path / "a.ndjson", *records), tmp_path / "my set.npz"
    assert run(source, out, "--max_points", 39) == 0
    captured = capsys.readouterr()
    scale = load_dataset(tmp_path, HParams(data_set=(out.name,), batch_size=1), np.random.RandomState(0)).scale_factor
    assert captured.out.splitlines() == [
        "sketches: train 18, valid 1, test 1",
        "points: median 3, longest 3",
        "left out: 1 with more than 39 points, 2 with fewer than 2 points",
        f"scale factor: {scale:.4g} (standard deviation of the training offsets)",
        f"wrote {out} and, to look at, training sketches in {tmp_path / 'my set.svg'}",
        f"next: python train.py --data_dir={tmp_path} '--data_set=my set.npz' '--save_dir={tmp_path}/my set-model'",
    ]
    assert captured.err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ndjson", "my set.npz", "my set.svg"]


def test_the_summary_gives_the_median_of_all_points(tmp_path, capsys):
    lengths = [3, 3, 3, 4, 6, 9, 20]
    source = write(tmp_path / "a.ndjson", *(drawing(10, points) for points in lengths))
    assert run(source, tmp_path / "out.npz") == 0
    assert "points: median 4, longest 20\n" in capsys.readouterr().out


def test_the_next_command_raises_max_seq_len_where_it_must(tmp_path, capsys):
    source = write(tmp_path / "a.ndjson", *[drawing(number, 251) for number in range(10, 13)])
    assert run(source, tmp_path / "out.npz", "--max_points", 300) == 0
    output = capsys.readouterr().out
    assert "points: median 251, longest 251" in output
    assert output.rstrip().endswith("--max_seq_len=251")


def test_the_picture_shows_36_training_sketches_that_the_seed_picks(tmp_path, many):
    pages = []
    for number, seed in enumerate((1, 1, 2)):
        assert run(many, tmp_path / f"{number}.npz", "--split", "37,1,1", "--seed", seed) == 0
        pages.append((tmp_path / f"{number}.svg").read_text())
        assert pages[-1].count("<path ") == 36
    assert pages[0] == pages[1] != pages[2]


def test_the_picture_of_a_set_that_keeps_its_splits_is_the_seeds_as_well(tmp_path):
    train = [np.array([[0, 0, 0], [number, 5, 1]], np.int16) for number in range(60)]
    write_npz(tmp_path / "set.npz", {"train": train, "valid": train[:1], "test": train[:1]})
    pages = []
    for seed in (1, 1, 2):
        assert run(tmp_path / "set.npz", tmp_path / "out.npz", "--seed", seed, "--force") == 0
        pages.append((tmp_path / "out.svg").read_text())
    assert pages[0] == pages[1] != pages[2]


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_the_seed_alone_decides_the_splits(tmp_path, many, suffix):
    sets = []
    for number, seed in enumerate((5, 5, 6)):
        assert run(many, tmp_path / f"{number}.{suffix}", "--seed", seed) == 0
        sets.append(numbers(made(tmp_path / f"{number}.{suffix}")))
    assert sets[0] == sets[1] != sets[2]


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        ("30,4,6", [30, 4, 6]),
        ("0.5,0.25,0.25", [20, 10, 10]),
        ("20,4,6", [20, 4, 6]),
        ("0.98,0.01,0.01", [38, 1, 1]),
    ],
)
def test_splits_are_sizes_or_fractions(tmp_path, many, split, sizes):
    assert run(many, tmp_path / "out.npz", "--split", split) == 0
    splits = numbers(read_npz(tmp_path / "out.npz"))
    assert [len(each) for each in splits.values()] == sizes
    # Sizes that leave some out stop reading there.
    assert sorted(number for each in splits.values() for number in each) == list(range(10, 10 + sum(sizes)))


def test_count_takes_from_the_sources_in_turns(tmp_path, many):
    other = write(tmp_path / "other.ndjson", *(drawing(number) for number in range(100, 105)))
    assert run(many, other, tmp_path / "out.npz", "--count", 14) == 0
    taken = sorted(number for each in numbers(read_npz(tmp_path / "out.npz")).values() for number in each)
    assert taken == [*range(10, 19), *range(100, 105)]


def test_count_stops_reading(tmp_path):
    source = write(tmp_path / "a.ndjson", *(drawing(number) for number in range(10, 15)), "no drawing")
    assert run(source, tmp_path / "all.npz") == 2
    assert run(source, tmp_path / "out.npz", "--count", 5) == 0
    assert sum(map(len, read_npz(tmp_path / "out.npz").values())) == 5


def test_only_recognized_drawings_are_taken_and_the_others_counted(tmp_path, many, capsys):
    assert run(many, tmp_path / "out.npz", "--recognized_only") == 0
    found = numbers(read_npz(tmp_path / "out.npz"))
    assert sorted(number for each in found.values() for number in each) == list(range(10, 50, 2))
    assert "left out: 20 not recognized\n" in capsys.readouterr().out


def test_epsilon_decides_how_many_points_remain(tmp_path):
    line = {"drawing": [[[0, 10, 20, 30, 255], [0, 3, 0, 1, 0]]]}
    source = write(tmp_path / "a.ndjson", *[line] * 3)
    for epsilon, points in ((None, 4), (0, 5), (0.5, 5), (4, 2)):
        flags = [] if epsilon is None else ["--epsilon", epsilon]
        assert run(source, tmp_path / "out.npz", "--force", *flags) == 0
        assert {len(sketch) for sketch in read_npz(tmp_path / "out.npz")["train"]} == {points}


def test_a_folder_of_svg_files_is_read(tmp_path):
    pytest.importorskip("svgelements")
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.svg").write_text(f'<svg><path d="M0 0H10V{10 + number}"/></svg>')
    assert run(folder, tmp_path / "out.npz") == 0
    sketches = [sketch.tolist() for split in read_npz(tmp_path / "out.npz").values() for sketch in split]
    sides = [(round(255 * 10 / (10 + number)), 255) for number in range(4)]
    assert sorted(sketches) == sorted([[0, 0, 0], [x, 0, 0], [0, y, 1]] for x, y in sides)


def test_count_takes_svg_files_in_an_order_of_the_seed(tmp_path):
    pytest.importorskip("svgelements")
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.svg").write_text(f'<svg><path d="M0 0H{100 + number}V100"/></svg>')
    taken = []
    for seed in (1, 1, 2):
        assert run(folder, tmp_path / "out.npz", "--force", "--count", 5, "--seed", seed) == 0
        splits = read_npz(tmp_path / "out.npz").values()
        taken.append(sorted(int(sketch[2, 1]) for split in splits for sketch in split))
    assert taken[0] == taken[1] != taken[2]


def test_the_word_kanjivg_stands_for_the_package(tmp_path, monkeypatch, capsys):
    pytest.importorskip("svgelements")

    class InstalledFile:
        def __init__(self, path: Path) -> None:
            self.path, self.name = path, path.name

        def locate(self) -> Path:
            return self.path

    (tmp_path / "package").mkdir()
    for digit, lines in enumerate((1, 2, 3, 4, 5, 6, 50)):
        strokes = '<path d="M10,20c10,0,20,0,30,0"/>' * lines
        text = f'<svg xmlns="http://www.w3.org/2000/svg">{strokes}</svg>'
        (tmp_path / "package" / f"04e0{digit}.svg").write_text(text)
    files = [InstalledFile(path) for path in (tmp_path / "package").iterdir()]
    monkeypatch.setattr(metadata, "files", lambda package: {"kanjivg": files}[package])
    assert run("kanjivg", tmp_path / "out.npz", "--max_points", 10) == 0
    assert "left out: 2 with more than 10 points\n" in capsys.readouterr().out
    sketches = [sketch for split in read_npz(tmp_path / "out.npz").values() for sketch in split]
    assert sorted(map(len, sketches)) == [2, 4, 6, 8, 10]
    assert min(sketches, key=len).tolist() == [[0, 0, 0], [150, 0, 1]]


@pytest.fixture
def stroke_set(tmp_path) -> Path:
    """Three sketches in each split, offsets up to 3,000, the first one not 0, the last pen not lifted in one."""
    rng = np.random.RandomState(1)
    splits = {}
    for split in SPLITS:
        splits[split] = [rng.randint(-3000, 3000, (number + 5, 3)).astype(np.int16) for number in range(3)]
        for sketch in splits[split]:
            sketch[:, 2] = np.arange(len(sketch)) % 3 == 1
    write_npz(tmp_path / "set.npz", splits)
    return tmp_path / "set.npz"


def test_a_npz_stays_as_it_is_and_keeps_its_splits(tmp_path, stroke_set, many):
    assert run(stroke_set, many, tmp_path / "out.npz") == 0
    before, after = listed(read_npz(stroke_set)), listed(read_npz(tmp_path / "out.npz"))
    assert {split: sketches[:3] for split, sketches in after.items()} == before
    assert [len(sketches) for sketches in after.values()] == [39, 5, 5]


@pytest.mark.parametrize("flags", [("--split", "4,2,3"), ("--count", 9)])
def test_a_npz_is_split_anew_where_that_is_asked_for(tmp_path, stroke_set, flags):
    assert run(stroke_set, tmp_path / "out.npz", *flags) == 0
    before, after = listed(read_npz(stroke_set)), listed(read_npz(tmp_path / "out.npz"))
    assert sorted(chain(*after.values())) == sorted(chain(*before.values()))
    assert after["train"] != before["train"]


def test_a_npz_is_simplified_where_that_is_asked_for_and_no_line_is_lost(tmp_path):
    sketch = np.array([[7, 8, 0], [10, 0, 0], [10, 0, 1], [5, 5, 0], [3, 3, 0], [4, 4, 0]], np.int16)
    write_npz(tmp_path / "set.npz", {split: [sketch] for split in SPLITS})
    assert run(tmp_path / "set.npz", tmp_path / "out.npz", "--epsilon", 1) == 0
    expected = [[7, 8, 0], [20, 0, 1], [5, 5, 0], [7, 7, 1]]
    assert listed(read_npz(tmp_path / "out.npz")) == {split: [expected] for split in SPLITS}


@pytest.mark.parametrize(("dtype", "step"), [("int32", 100_000), ("float32", 0.25)])
def test_dtype_decides_what_numbers_fit(tmp_path, capsys, dtype, step):
    sketch = np.array([[0, 0, 0], [step, 1, 1]], dtype)
    write_npz(tmp_path / "set.npz", {split: [sketch] for split in SPLITS})
    assert run(tmp_path / "set.npz", tmp_path / "out.npz") == 2
    expected = f"set.npz: train, sketch 0: expected offsets that int16 can hold, got {sketch[1, 0]}"
    assert expected in capsys.readouterr().err
    assert run(tmp_path / "set.npz", tmp_path / "out.npz", "--dtype", dtype) == 0
    for sketches in read_npz(tmp_path / "out.npz").values():
        assert sketches[0].dtype == dtype
        np.testing.assert_array_equal(sketches[0], sketch)


def test_the_scale_factor_is_that_of_the_loader_clamped_and_streamed(tmp_path, stroke_set, capsys):
    assert run(stroke_set, tmp_path / "out.h5") == 0
    hparams = HParams(data_set=(stroke_set.name,), batch_size=1)
    expected = load_dataset(tmp_path, hparams, np.random.RandomState(0)).scale_factor
    assert f"scale factor: {expected:.4g} (" in capsys.readouterr().out
    with open_packed(tmp_path / "out.h5") as packed:
        np.testing.assert_allclose(packed.scale_factor, expected, rtol=1e-6)


def test_an_existing_set_or_picture_is_overwritten_with_force_alone(tmp_path, many, capsys):
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
        (("notes.txt", "out.npz"), "notes.txt: expected .ndjson, .npz, a folder of .svg files, or the word kanjivg"),
        (("many.ndjson", "out.txt"), "out.txt: expected a name that ends in .npz or .h5, got .txt"),
        (("many.ndjson", "out"), "out: expected a name that ends in .npz or .h5, got no suffix"),
        (("many.ndjson", "none/out.npz"), "out.npz: cannot be written, expected a folder that exists"),
        (("many.ndjson", "folder.npz", "--force"), "folder.npz: expected a name for a file, got a folder"),
        (("set.npz", "./set.npz", "--force"), "set.npz: is SRC and OUT, expected another name for OUT"),
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
        (("many.ndjson", "out.h5", "--dtype", "float32"), "--dtype is float32, expected int16, the one type that .h5"),
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
def test_what_cannot_be_is_one_line_exit_code_2_and_no_file(
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


def test_a_npz_takes_no_more_sketches_than_can_be_read_again(tmp_path, many, monkeypatch, capsys):
    monkeypatch.setattr(dataset, "MOST_IN_NPZ", 40)
    assert run(many, tmp_path / "out.npz") == 0
    monkeypatch.setattr(dataset, "MOST_IN_NPZ", 39)
    assert run(many, tmp_path / "other.npz") == 2
    assert "other.npz: expected at most 39 sketches; make it a .h5, or give --count" in capsys.readouterr().err
    assert run(many, tmp_path / "out.h5", "--force") == 0


@pytest.mark.parametrize("suffix", ["npz", "h5"])
@pytest.mark.parametrize("stage", ["_sketch", "grid_svg"])
def test_ctrl_c_leaves_nothing_behind(tmp_path, many, monkeypatch, capsys, suffix, stage):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, stage, interrupt)
    assert run(many, tmp_path / f"out.{suffix}") == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert list(tmp_path.iterdir()) == [many]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path, many, monkeypatch, capsys):
    monkeypatch.setattr(dataset.tempfile, "TemporaryFile", lambda dir: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
    assert run(many, tmp_path / "out.npz") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'out.npz'}: cannot be written (No space left on device)\n"
    assert list(tmp_path.iterdir()) == [many]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_four_times_a_second_and_wiped_out(tmp_path, many, monkeypatch):
    seconds = count(0, 0.125)
    monkeypatch.setattr(dataset.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert run(many, tmp_path / "out.npz") == 0
    read = [f"read {number} drawings, kept {number}" for number in range(2, 41, 2)]
    wrote = [f"wrote {number} of 40 sketches" for number in range(2, 41, 2)]
    assert terminal.getvalue().split("\r\x1b[K") == ["", "reading", *read, *wrote, ""]


def test_the_module_runs_as_a_program_without_torch(tmp_path, many):
    code = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module('pytorch_sketch_rnn', run_name='__main__')"
    command = [sys.executable, "-c", code, "dataset", str(many), str(tmp_path / "out.h5")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sketches: train 36, valid 2, test 2\n")


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared data")
def test_magentas_sheep_come_out_as_they_went_in(tmp_path):
    assert run("pack", REAL / "aaron_sheep.npz", tmp_path / "out.h5") == 0
    before, after = read_npz(REAL / "aaron_sheep.npz"), made(tmp_path / "out.h5")
    for split in SPLITS:
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(after[split], before[split], strict=True))
