"""``python -m pytorch_sketch_rnn dataset`` makes the set that was asked for."""

from importlib import metadata
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from made_sets import drawing, listed, made, numbers, run, write

from pytorch_sketch_rnn.data.magenta_loader import load_dataset
from pytorch_sketch_rnn.data.npz import SPLITS, read_npz, write_npz
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.hparams import HParams

pytest.importorskip("shapely")
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "strokes"


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


def test_the_summary_describes_the_set_and_gives_the_next_command(tmp_path, capsys):
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
        f"wrote {out}, and a picture of some training sketches to {tmp_path / 'my set.svg'}",
        f"next: python -m pytorch_sketch_rnn train --data_dir={tmp_path} '--data_set=my set.npz' "
        f"'--save_dir={tmp_path}/my set-model' --batch_size=18",
    ]
    assert captured.err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ndjson", "my set.npz", "my set.svg"]


def test_the_summary_gives_the_median_of_all_points(tmp_path, capsys):
    lengths = [3, 3, 3, 4, 6, 9, 20]
    source = write(tmp_path / "a.ndjson", *(drawing(10, points) for points in lengths))
    assert run(source, tmp_path / "out.npz") == 0
    assert "points: median 4, longest 20\n" in capsys.readouterr().out


def test_the_next_command_raises_max_seq_len_if_needed(tmp_path, capsys):
    source = write(tmp_path / "a.ndjson", *[drawing(number, 251) for number in range(10, 13)])
    assert run(source, tmp_path / "out.npz", "--max_points", 300) == 0
    output = capsys.readouterr().out
    assert "points: median 251, longest 251" in output
    assert output.rstrip().endswith("--max_seq_len=251 --batch_size=1")


def test_the_picture_shows_36_training_sketches_that_the_seed_picks(tmp_path, many):
    pages = []
    for number, seed in enumerate((1, 1, 2)):
        assert run(many, tmp_path / f"{number}.npz", "--split", "37,1,1", "--seed", seed) == 0
        pages.append((tmp_path / f"{number}.svg").read_text())
        assert pages[-1].count("<path ") == 36
    assert pages[0] == pages[1] != pages[2]


def test_the_picture_of_a_set_that_keeps_its_splits_also_depends_on_the_seed(tmp_path):
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
    # With sizes below the number of drawings, reading stops when there are enough.
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


def test_with_recognized_only_other_drawings_are_skipped_and_counted(tmp_path, many, capsys):
    assert run(many, tmp_path / "out.npz", "--recognized_only") == 0
    found = numbers(read_npz(tmp_path / "out.npz"))
    assert sorted(number for each in found.values() for number in each) == list(range(10, 50, 2))
    assert "left out: 20 not recognized\n" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--split", "0.8,0.1,0.1"], ["--split", "16,2,2"], ["--count", 19], ["--count", 21]])
@pytest.mark.parametrize("splits", [["train"], ["train", "test"], ["valid"]])
def test_a_set_that_is_divided_afresh_may_lack_splits(tmp_path, splits, flags):
    sketches = [np.array([[0, 0, 0], [number, 5, 1]], np.int16) for number in range(20)]
    share = len(sketches) // len(splits)
    write_npz(tmp_path / "a.npz", {split: sketches[n * share :][:share] for n, split in enumerate(splits)})
    assert run(tmp_path / "a.npz", tmp_path / "out.npz", *flags) == 0
    assert sum(map(len, read_npz(tmp_path / "out.npz").values())) == (19 if 19 in flags else 20)


def test_a_set_that_is_divided_afresh_may_have_empty_splits(tmp_path):
    sketches = np.array([[[0, 0, 0], [number, 5, 1]] for number in range(1, 21)], np.int16)
    np.savez(tmp_path / "a.npz", train=sketches, valid=sketches[:0], test=np.empty(0, dtype=object))
    assert run(tmp_path / "a.npz", tmp_path / "out.npz", "--split", "0.8,0.1,0.1") == 0
    assert sum(map(len, read_npz(tmp_path / "out.npz").values())) == 20


def test_epsilon_decides_how_many_points_remain(tmp_path):
    line = {"drawing": [[[0, 10, 20, 30, 255], [0, 3, 0, 1, 0]]]}
    source = write(tmp_path / "a.ndjson", *[line] * 3)
    for epsilon, points in ((None, 4), (0, 5), (0.5, 5), (4, 2)):
        flags = [] if epsilon is None else ["--epsilon", epsilon]
        assert run(source, tmp_path / "out.npz", "--force", *flags) == 0
        assert {len(sketch) for sketch in read_npz(tmp_path / "out.npz")["train"]} == {points}


def test_a_folder_of_svg_files_is_read(tmp_path):
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.svg").write_text(f'<svg><path d="M0 0H10V{10 + number}"/></svg>')
    assert run(folder, tmp_path / "out.npz") == 0
    sketches = [sketch.tolist() for split in read_npz(tmp_path / "out.npz").values() for sketch in split]
    sides = [(round(255 * 10 / (10 + number)), 255) for number in range(4)]
    assert sorted(sketches) == sorted([[0, 0, 0], [x, 0, 0], [0, y, 1]] for x, y in sides)


def test_count_takes_svg_files_in_an_order_of_the_seed(tmp_path):
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


# A quarter of a circle of radius 60; see test_kanji.py for how many points remain.
ARC = '<path d="M20,20C53.137,20,80,46.863,80,80"/>'


@pytest.fixture
def kanjivg(tmp_path, monkeypatch):
    """A function that replaces the package kanjivg by these drawings."""

    class InstalledFile:
        def __init__(self, path: Path) -> None:
            self.path, self.name = path, path.name

        def locate(self) -> Path:
            return self.path

    def install(drawings: list[str]) -> None:
        (tmp_path / "package").mkdir()
        for digit, strokes in enumerate(drawings):
            text = f'<svg xmlns="http://www.w3.org/2000/svg">{strokes}</svg>'
            (tmp_path / "package" / f"04e0{digit}.svg").write_text(text)
        files = [InstalledFile(path) for path in (tmp_path / "package").iterdir()]
        monkeypatch.setattr(metadata, "files", lambda package: {"kanjivg": files}[package])

    return install


def test_kanjivg_is_a_source(tmp_path, kanjivg, capsys):
    kanjivg(['<path d="M10,20c10,0,20,0,30,0"/>' * lines for lines in (1, 2, 3, 4, 5, 6, 50)])
    assert run("kanjivg", tmp_path / "out.npz", "--max_points", 10) == 0
    assert "left out: 2 with more than 10 points\n" in capsys.readouterr().out
    sketches = [sketch for split in read_npz(tmp_path / "out.npz").values() for sketch in split]
    assert sorted(map(len, sketches)) == [2, 4, 6, 8, 10]
    assert min(sketches, key=len).tolist() == [[0, 0, 0], [150, 0, 1]]


def test_epsilon_and_count_apply_to_kanjivg(tmp_path, kanjivg):
    kanjivg([ARC for _ in range(6)])
    for epsilon, points in ((None, 9), (0, 17), (0.1, 17), (4, 5), (20, 2)):
        flags = [] if epsilon is None else ["--epsilon", epsilon]
        assert run("kanjivg", tmp_path / "out.npz", "--force", *flags) == 0
        assert {len(sketch) for split in read_npz(tmp_path / "out.npz").values() for sketch in split} == {points}
    assert run("kanjivg", tmp_path / "out.npz", "--force", "--count", 4) == 0
    assert sum(map(len, read_npz(tmp_path / "out.npz").values())) == 4


def test_a_npz_is_not_changed_and_keeps_its_splits(tmp_path, stroke_set, many):
    assert run(stroke_set, many, tmp_path / "out.npz") == 0
    before, after = listed(read_npz(stroke_set)), listed(read_npz(tmp_path / "out.npz"))
    assert {split: sketches[:3] for split, sketches in after.items()} == before
    assert [len(sketches) for sketches in after.values()] == [39, 5, 5]


@pytest.mark.parametrize("flags", [("--split", "4,2,3"), ("--count", 9)])
def test_a_npz_is_split_again_if_split_or_count_is_given(tmp_path, stroke_set, flags):
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
def test_dtype_decides_which_numbers_fit(tmp_path, capsys, dtype, step):
    sketch = np.array([[0, 0, 0], [step, 1, 1]], dtype)
    write_npz(tmp_path / "set.npz", {split: [sketch] for split in SPLITS})
    assert run(tmp_path / "set.npz", tmp_path / "out.npz") == 2
    expected = (
        f"set.npz: train, sketch 0: expected offsets that int16 can hold, got {sketch[1, 0]}; a .npz can hold them "
        f"with --dtype {dtype}\n"
    )
    assert expected in capsys.readouterr().err
    assert run(tmp_path / "set.npz", tmp_path / "out.npz", "--dtype", dtype) == 0
    for sketches in read_npz(tmp_path / "out.npz").values():
        assert sketches[0].dtype == dtype
        np.testing.assert_array_equal(sketches[0], sketch)


def test_the_scale_factor_is_that_of_the_loader_of_clamped_offsets(tmp_path, stroke_set, capsys):
    assert run(stroke_set, tmp_path / "out.h5") == 0
    hparams = HParams(data_set=(stroke_set.name,), batch_size=1)
    expected = load_dataset(tmp_path, hparams, np.random.RandomState(0)).scale_factor
    assert f"scale factor: {expected:.4g} (" in capsys.readouterr().out
    with open_packed(tmp_path / "out.h5") as packed:
        np.testing.assert_allclose(packed.scale_factor, expected, rtol=1e-6)


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared data")
def test_magentas_sheep_are_packed_without_change(tmp_path):
    assert run("pack", REAL / "aaron_sheep.npz", tmp_path / "out.h5") == 0
    before, after = read_npz(REAL / "aaron_sheep.npz"), made(tmp_path / "out.h5")
    for split in SPLITS:
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(after[split], before[split], strict=True))
