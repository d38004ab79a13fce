"""pytorch_sketch_rnn.data.kanji turns drawings into sketches, reproducibly."""

import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.data.strokes import strokes_to_lines
from pytorch_sketch_rnn.errors import BadInput

STRAIGHT = "M10,20c10,0,20,0,30,0"
# A quarter of a circle of radius 60 around (20, 80), approximated by a Bezier curve.
ARC = "M20,20C53.137,20,80,46.863,80,80"


class InstalledFile:
    """A file of a package, as importlib.metadata describes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def locate(self) -> Path:
        return self.path


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that replaces the package kanjivg by drawings: file name to paths."""
    pytest.importorskip("shapely")

    def put(drawings: dict[str, list[str]], backwards: bool = False) -> None:
        for name, paths in drawings.items():
            strokes = "".join(f'<g><path d="{path}"/></g>' for path in paths)
            text = f'<svg xmlns="http://www.w3.org/2000/svg"><g>{strokes}</g><text>1</text></svg>'
            (tmp_path / name).write_text(text)
        files = [InstalledFile(path) for path in sorted(tmp_path.iterdir(), reverse=backwards)]
        monkeypatch.setattr(metadata, "files", lambda package: {"kanjivg": files}[package])

    return put


@pytest.fixture
def real():
    """Skips the test if the extra is not installed."""
    pytest.importorskip("shapely")
    try:
        metadata.distribution("kanjivg")
    except metadata.PackageNotFoundError:
        pytest.skip("kanjivg is not installed")


def together(splits: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    """All sketches, in order."""
    return [*splits["train"], *splits["valid"], *splits["test"]]


def listed(splits: dict[str, list[np.ndarray]]) -> list[list]:
    """All sketches, in order, as lists, which can be compared."""
    return [sketch.tolist() for sketch in together(splits)]


def test_kanji_are_scaled_and_start_at_the_origin(install):
    install({f"04e0{digit}.svg": [STRAIGHT, "M40,50c0,10,0,20,0,30"] for digit in range(3)})
    for sketch in together(kanji_splits()):
        np.testing.assert_array_equal(sketch, [[0, 0, 0], [150, 0, 1], [0, 150, 0], [0, 150, 1]])
        assert sketch.dtype == np.int16


def test_points_are_rounded_to_the_nearest_unit(install):
    install({f"04e0{digit}.svg": ["M1,1c1,1,2,2,2.39,2.39"] for digit in range(3)})
    np.testing.assert_array_equal(kanji_splits()["train"][0], [[0, 0, 0], [12, 12, 1]])


@pytest.mark.parametrize(("epsilon", "points"), [(0.1, 17), (0.8, 9), (4, 5), (20, 2)])
def test_a_curve_is_simplified_within_epsilon(install, epsilon, points):
    install({f"04e0{digit}.svg": [ARC] for digit in range(3)})
    sketch = kanji_splits(epsilon=epsilon)["train"][0]
    # The arc is 16 parts, 8, 4, 2 or 1, with a sagitta of 0.07, 0.3, 1.2, 4.6 or 17.6 units.
    assert len(sketch) == points
    corners = np.cumsum(sketch[:, :2], axis=0) / 5 + (20, 20)
    np.testing.assert_allclose(corners[-1], (80, 80), atol=0.15)
    fine = np.concatenate([np.linspace(a, b, 50) for a, b in pairwise(corners)])
    error = np.abs(np.hypot(*(fine - (20, 80)).T) - 60).max()
    # Rounding moves a point by up to 0.15, and sampling the curve adds an error, too.
    assert error < epsilon + 0.25


def test_variants_and_other_characters_are_left_out(install):
    skipped = ["04e03-Kaisho.svg", "03042.svg", "00041.svg", "README.svg", "04e05.svg.txt"]
    install({f"04e0{digit}.svg": [STRAIGHT] for digit in range(3)} | {name: [ARC] for name in skipped})
    assert {len(sketch) for sketch in together(kanji_splits())} == {2}
    assert {split: len(sketches) for split, sketches in kanji_splits().items()} == {"train": 1, "valid": 1, "test": 1}


def test_characters_with_too_many_points_are_left_out(install):
    install({f"04e0{digit}.svg": [STRAIGHT] * (digit + 1) for digit in range(8)})
    for max_points in (16, 9, 8):
        lengths = [len(sketch) for sketch in together(kanji_splits(max_points=max_points))]
        assert sorted(lengths) == list(range(2, max_points + 1, 2))


def test_fractions_decide_the_sizes(install):
    install({f"04e{number:02x}.svg": [STRAIGHT] for number in range(40)})
    sizes = [len(sketches) for sketches in kanji_splits(valid_fraction=0.25, test_fraction=0.1).values()]
    assert sizes == [26, 10, 4]
    assert [len(sketches) for sketches in kanji_splits(5, valid_fraction=0, test_fraction=0).values()] == [3, 1, 1]


def test_the_seed_alone_decides_and_count_takes_the_first(real):
    sketches = listed(kanji_splits(40, seed=3))
    assert len(sketches) == 40
    assert listed(kanji_splits(40, seed=3)) == sketches
    assert listed(kanji_splits(20, seed=3)) == sketches[:20]
    assert listed(kanji_splits(40, seed=4)) != sketches


def test_the_order_does_not_depend_on_the_listing_or_on_the_version_of_numpy(install):
    drawings = {f"04e0{digit}.svg": [STRAIGHT] * (digit + 1) for digit in range(8)}
    for backwards in (False, True):
        install(drawings, backwards)
        assert [len(sketch) // 2 - 1 for sketch in together(kanji_splits())] == [6, 2, 1, 7, 3, 0, 5, 4]


def test_real_characters_look_like_those_of_magenta(real, tmp_path):
    splits = kanji_splits(150)
    assert {split: len(sketches) for split, sketches in splits.items()} == {"train": 134, "valid": 8, "test": 8}
    sketches = together(splits)
    for sketch in sketches:
        assert sketch.dtype == np.int16
        assert sketch.shape == (len(sketch), 3)
        assert sketch[0].tolist() == [0, 0, 0]
        assert sketch[-1, 2] == 1
        assert set(np.unique(sketch[:, 2])) <= {0, 1}
        assert sum(len(line) for line in strokes_to_lines(sketch)) == len(sketch)
    # Magenta's set has medians of 40 points and 447 units, and 3.16 points in a line.
    lengths = [len(sketch) for sketch in sketches]
    assert 37 <= np.median(lengths) <= 43
    assert 2.9 < sum(lengths) / sum(sketch[:, 2].sum() for sketch in sketches) < 3.6
    assert 420 < np.median([np.ptp(np.cumsum(sketch[:, :2], axis=0), axis=0).max() for sketch in sketches]) < 470
    write_npz(tmp_path / "kanji.npz", splits)
    assert listed(read_npz(tmp_path / "kanji.npz")) == listed(splits)


def test_a_missing_package_names_the_extra(install, monkeypatch):
    install({f"04e0{digit}.svg": [STRAIGHT] for digit in range(3)})
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(BadInput, match=r'shapely is missing; .*pip install "pytorch-sketch-rnn\[kanji\]"'):
        kanji_splits()


def test_missing_drawings_name_the_extra(monkeypatch):
    def missing(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(BadInput, match=r'kanjivg is missing; .*pip install "pytorch-sketch-rnn\[kanji\]"'):
        kanji_splits()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 9}, "count: expected at most the 8 characters of up to 88 points that there are, got 9"),
        ({"count": 2}, "count: expected at least one character in each of train, valid and test, got 2"),
        ({"count": -1}, "got 0 in all"),
        ({"max_points": 1}, "got 0 in all"),
        ({"valid_fraction": -0.1}, "valid_fraction, test_fraction: .*got -0.1 and 0.05"),
        ({"test_fraction": float("nan")}, "got 0.05 and nan"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "got 0.5 and 0.5"),
        ({"epsilon": -1}, "epsilon: expected at least 0, got -1"),
        ({"epsilon": float("nan")}, "epsilon: expected at least 0, got nan"),
    ],
)
def test_arguments_out_of_range_are_bad_input(install, arguments, message):
    install({f"04e0{digit}.svg": [STRAIGHT] for digit in range(8)})
    with pytest.raises(BadInput, match=message):
        kanji_splits(**arguments)
