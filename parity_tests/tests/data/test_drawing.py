"""pytorch_sketch_rnn.data.drawing draws every line of a sketch, scaled and placed in its cell."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pytorch_sketch_rnn.data.drawing import CELL, LABEL_HEIGHT, grid_svg, to_svg
from pytorch_sketch_rnn.data.saving import save_drawing
from pytorch_sketch_rnn.errors import BadInput

SVG = "{http://www.w3.org/2000/svg}"
# An L: down 40, right 20, then a dot above the end.
SKETCH = np.array([[5, 5, 0], [0, 40, 0], [20, 0, 1], [0, -20, 1]], dtype=np.int16)


def lines_of(svg: str) -> list[list[list[list[float]]]]:
    """The lines in each cell, in the coordinates of the cell."""
    cells = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        data = "".join(path.get("d") for path in group.iter(f"{SVG}path"))
        lines = [re.findall(r"(-?[\d.]+) (-?[\d.]+)", line) for line in data.split("M")[1:]]
        cells.append([[[float(x), float(y)] for x, y in line] for line in lines])
    return cells


def pixels(path: Path) -> np.ndarray:
    """Grey values [height, width], 0 black and 255 white."""
    with Image.open(path) as image:
        return np.array(image.convert("L"))


def test_a_sketch_fits_its_cell_is_centred_and_keeps_its_aspect_ratio():
    # 40 units high become 140 pixels, so 20 units wide become 70.
    [lines] = lines_of(to_svg(SKETCH))
    assert lines == [[[45, 10], [45, 150], [115, 150]], [[115, 80], [115, 80]]]


def test_the_scale_of_the_offsets_does_not_matter():
    for sketch in (SKETCH * 7, SKETCH * 1e-323, SKETCH * 1e306):
        sketch = sketch.astype(float)
        sketch[:, 2] = SKETCH[:, 2]
        assert lines_of(to_svg(sketch)) == lines_of(to_svg(SKETCH))


def test_the_first_offset_is_not_drawn():
    moved = SKETCH.copy()
    moved[0, :2] = (-300, 1000)
    assert to_svg(moved) == to_svg(SKETCH)


def test_an_unfinished_last_line_is_drawn():
    unfinished = np.concatenate([SKETCH, [[-20.0, -20.0, 0.0], [5.0, 5.0, 0.0]]])
    finished = unfinished.copy()
    finished[-1, 2] = 1
    before = unfinished.copy()
    assert to_svg(unfinished) == to_svg(finished)
    assert len(lines_of(to_svg(unfinished))[0]) == 3
    np.testing.assert_array_equal(unfinished, before)


def test_stroke_5_ends_at_its_first_end():
    big = np.zeros((7, 5))
    big[:4, :2] = SKETCH[:, :2]
    big[:4, 3] = SKETCH[:, 2]
    big[:4, 2] = 1 - SKETCH[:, 2]
    big[4, 4] = 1
    big[5:] = [100, 100, 0, 1, 0]
    assert to_svg(big) == to_svg(SKETCH)
    assert to_svg(big[:4]) == to_svg(SKETCH)
    assert lines_of(to_svg(big[4:])) == [[]]


def test_an_empty_sketch_leaves_its_cell_empty(tmp_path):
    for empty in (np.zeros((0, 3)), np.zeros((0, 5))):
        assert lines_of(grid_svg([empty, SKETCH], 2)) == [[], *lines_of(to_svg(SKETCH))]
        save_drawing(tmp_path / "a.png", [empty, SKETCH], 2)
        picture = pixels(tmp_path / "a.png")
        assert (picture[:, :CELL] == 255).all()
        assert (picture[:, CELL:] < 255).any()


def test_a_grid_goes_row_by_row(tmp_path):
    svg = grid_svg([SKETCH] * 5, columns=3)
    root = ElementTree.fromstring(svg)
    assert (root.get("width"), root.get("height")) == (str(3 * CELL), str(2 * CELL))
    assert root.get("viewBox") == f"0 0 {3 * CELL} {2 * CELL}"
    assert root[0].attrib == {"width": root.get("width"), "height": root.get("height"), "fill": "white"}
    places = [group.get("transform") for group in root.iter(f"{SVG}g")]
    assert places == [f"translate({x * CELL} {y * CELL})" for x, y in [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]]
    assert lines_of(svg) == lines_of(to_svg(SKETCH)) * 5
    save_drawing(tmp_path / "one.png", [SKETCH])
    save_drawing(tmp_path / "grid.png", [SKETCH] * 5, columns=3)
    one, white = pixels(tmp_path / "one.png"), np.full((CELL, CELL), 255)
    np.testing.assert_array_equal(pixels(tmp_path / "grid.png"), np.block([[one, one, one], [one, one, white]]))


@pytest.mark.parametrize(("count", "width", "height"), [(1, 1, 1), (4, 2, 2), (5, 3, 2), (10, 4, 3)])
def test_without_columns_a_grid_is_nearly_square(tmp_path, count, width, height):
    root = ElementTree.fromstring(grid_svg([SKETCH] * count))
    assert (root.get("width"), root.get("height")) == (str(width * CELL), str(height * CELL))
    save_drawing(tmp_path / "a.png", [SKETCH] * count)
    assert pixels(tmp_path / "a.png").shape == (height * CELL, width * CELL)


def test_labels_are_escaped_and_below_each_sketch():
    root = ElementTree.fromstring(grid_svg([SKETCH, SKETCH, SKETCH], 2, labels=["a < b & c", "", "é"]))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["a < b & c", None, "é"]
    assert root.get("height") == str(2 * (CELL + LABEL_HEIGHT))
    for text in root.iter(f"{SVG}text"):
        assert CELL < float(text.get("y")) < CELL + LABEL_HEIGHT


def test_a_title_and_row_labels_stand_above_what_they_name_and_move_the_rows_down(tmp_path):
    labelled = {"title": "a < b", "row_labels": ["first", "second"]}
    root = ElementTree.fromstring(grid_svg([SKETCH] * 3, 2, **labelled))
    assert (root.get("width"), root.get("height")) == (str(2 * CELL), str(2 * CELL + 3 * LABEL_HEIGHT))
    places = [(int(text.get("y")), text.text) for text in root.iter(f"{SVG}text")]
    second = 2 * LABEL_HEIGHT + CELL
    middle = LABEL_HEIGHT // 2
    assert places == [(middle, "a < b"), (LABEL_HEIGHT + middle, "first"), (second + middle, "second")]
    cells = [group.get("transform") for group in root.iter(f"{SVG}g")]
    first, last = 2 * LABEL_HEIGHT, 3 * LABEL_HEIGHT + CELL
    assert cells == [f"translate(0 {first})", f"translate({CELL} {first})", f"translate(0 {last})"]
    save_drawing(tmp_path / "plain.png", [SKETCH])
    save_drawing(tmp_path / "a.png", [SKETCH] * 3, 2, **labelled)
    plain, picture = pixels(tmp_path / "plain.png"), pixels(tmp_path / "a.png")
    assert picture.shape == (2 * CELL + 3 * LABEL_HEIGHT, 2 * CELL)
    for y, x in ((first, 0), (first, CELL), (last, 0)):
        np.testing.assert_array_equal(picture[y : y + CELL, x : x + CELL], plain)
    for y in (0, LABEL_HEIGHT, second):
        strip = picture[y : y + LABEL_HEIGHT]
        assert strip.min() < 100
        assert (strip[[0, -1]] == 255).all()


def test_a_long_title_is_wrapped_to_the_width_of_the_page(tmp_path):
    title = "sketches of a set with a long name and their reconstructions"
    root = ElementTree.fromstring(grid_svg([SKETCH], title=title))
    lines = [text.text for text in root.iter(f"{SVG}text")]
    assert " ".join(lines) == title
    assert len(lines) > 2
    assert root.get("height") == str(CELL + len(lines) * LABEL_HEIGHT)
    save_drawing(tmp_path / "a.png", [SKETCH], title=title)
    assert (pixels(tmp_path / "a.png")[: len(lines) * LABEL_HEIGHT, -5:] == 255).all()


def test_a_png_has_black_lines_where_the_svg_has_them(tmp_path):
    save_drawing(tmp_path / "a.png", [SKETCH])
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (CELL, CELL)
    expected = np.full((CELL, CELL), False)
    expected[10:151, 45] = expected[150, 45:116] = expected[80, 115] = True
    assert (picture[expected] < 80).all()
    rows, columns = np.nonzero(expected)
    far = np.full((CELL, CELL), True)
    for dx in range(-2, 3):
        for dy in range(-2, 3):
            far[rows + dy, columns + dx] = False
    assert (picture[far] == 255).all()


def test_a_diagonal_line_is_smooth(tmp_path):
    save_drawing(tmp_path / "a.png", [np.array([[0, 0, 0], [30, 17, 1]])])
    assert len(np.unique(pixels(tmp_path / "a.png"))) > 8


def test_a_single_dot_is_a_disc_in_the_middle(tmp_path):
    dot = np.array([[3, 4, 1]])
    for place in (dot, np.array([[1.7e308, -1.7e308, 1]])):
        assert lines_of(to_svg(place)) == [[[[80, 80], [80, 80]]]]
    assert 'stroke-linecap="round"' in to_svg(dot)
    save_drawing(tmp_path / "a.png", [dot])
    rows, columns = np.nonzero(pixels(tmp_path / "a.png") < 255)
    assert {rows.min(), columns.min()} == {78}
    assert {rows.max(), columns.max()} <= {81, 82}


def test_an_svg_file_holds_the_svg(tmp_path):
    save_drawing(tmp_path / "a.SVG", [SKETCH] * 3, columns=1)
    assert (tmp_path / "a.SVG").read_bytes() == grid_svg([SKETCH] * 3, 1).encode()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.SVG"]


@pytest.mark.parametrize("name", ["a", "a.jpg", "a.svg.txt", ".png"])
def test_another_suffix_is_bad_input(tmp_path, name):
    with pytest.raises(BadInput, match=r"expected a name that ends in \.svg, \.png, \.gif or \.npz"):
        save_drawing(tmp_path / name, [SKETCH])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".svg", ".png"])
@pytest.mark.parametrize(
    ("sketch", "message"),
    [
        (np.array([[1, np.nan, 0]]), "sketch 1: expected finite numbers"),
        (np.array([[np.inf, 1, 0]]), "sketch 1: expected finite numbers"),
        (np.array([[1e308, 1, 0], [1e308, 1, 0]]), "sketch 1: expected finite coordinates"),
        (np.array([[-1e308, 1, 0], [1.5e308, 1, 0], [1e308, 1, 0], [-1e308, 1, 0]]), "expected finite coordinates"),
        (np.zeros((4, 4)), r"sketch 1: expected numbers \[n, 3\] or \[n, 5\], got float64 \[4, 4\]"),
        (np.zeros(3), r"got float64 \[3\]"),
        (np.array([["a", "b", "c"]]), "sketch 1: expected numbers"),
        (np.array([[None, 1, 0]]), r"got object \[1, 3\]"),
    ],
)
def test_a_sketch_that_cannot_be_drawn_is_bad_input_and_the_old_file_is_kept(tmp_path, suffix, sketch, message):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(BadInput, match=message):
        save_drawing(path, [SKETCH, sketch])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_arguments_are_bad_input(tmp_path):
    with pytest.raises(BadInput, match="expected at least one to draw, got none"):
        grid_svg([])
    for columns in (0, -2):
        with pytest.raises(BadInput, match=f"columns: expected at least 1, got {columns}"):
            save_drawing(tmp_path / "a.png", [SKETCH], columns)
    with pytest.raises(BadInput, match="labels: expected one for each of the 2 sketches, got 1"):
        grid_svg([SKETCH, SKETCH], labels=["a"])
    with pytest.raises(BadInput, match="row_labels: expected one for each of the 1 rows, got 2"):
        grid_svg([SKETCH, SKETCH], 2, row_labels=["a", "b"])
    with pytest.raises(BadInput, match=r"a\.png: cannot be written"):
        save_drawing(tmp_path / "none" / "a.png", [SKETCH])


def test_strokes_files_and_drawings_import_no_heavy_package():
    modules = ", ".join(f"pytorch_sketch_rnn.data.{name}" for name in ("strokes", "npz", "drawing", "kanji"))
    heavy = "{'torch', 'tensorflow', 'shapely'}"
    code = f"import sys, {modules}; assert not {heavy} & sys.modules.keys(), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[3])
