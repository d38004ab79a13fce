"""Sketches as files: a page as SVG, PNG or GIF, one that draws itself, and the strokes themselves."""

import re

import numpy as np
import pytest
from PIL import Image

from pytorch_sketch_rnn.data.animation import MOST_FRAMES, POINTS_A_SECOND, animated_svg, frames
from pytorch_sketch_rnn.data.drawing import CELL, LABEL_HEIGHT, grid_image, grid_svg
from pytorch_sketch_rnn.data.npz import read_npz, split_names
from pytorch_sketch_rnn.data.saving import check_suffix, save_drawing
from pytorch_sketch_rnn.errors import BadInput

SQUARE = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0], [-5, 0, 0], [0, -5, 1]], np.float32)
TWO_LINES = np.array([[0, 0, 0], [5, 0, 1], [0, 5, 0], [-5, 0, 1]], np.float32)
EMPTY = np.zeros((0, 3), np.float32)


def test_an_animated_page_has_the_lines_of_the_page_one_after_another():
    page = {"title": "a & b", "row_labels": ["one", "two"]}
    animated, still = (
        animated_svg([SQUARE, TWO_LINES, EMPTY], 2, **page),
        grid_svg([SQUARE, TWO_LINES, EMPTY], 2, **page),
    )
    lines = re.findall(r'<path pathLength="1" style="(.*?)" d="(.*?)"/>', animated)
    assert " ".join(data for _, data in lines) == " ".join(re.findall(r'<path d="([^"]+)"', still))
    times = [tuple(map(float, re.findall(r"[\d.]+", style))) for style, _ in lines]
    points = ((0, 5), (0, 2), (2, 2))  # begin and length of each line
    assert times == [(begin / POINTS_A_SECOND, length / POINTS_A_SECOND) for begin, length in points]
    for shared in (f'width="{2 * CELL}" height="{2 * CELL + 3 * LABEL_HEIGHT}"', "a &amp; b</text>"):
        assert shared in animated
        assert shared in still
    assert "prefers-reduced-motion" in animated


def test_the_frames_of_a_drawing_grow_to_the_whole_page():
    pictures = [np.asarray(frame) for frame in frames([SQUARE, TWO_LINES], 2, title="two")]
    assert np.array_equal(pictures[-1], np.asarray(grid_image([SQUARE, TWO_LINES], 2, title="two")))
    dark = [int((picture < 128).sum()) for picture in pictures]
    assert dark == sorted(dark)
    assert dark[0] < dark[-1]
    assert len(frames([EMPTY])) == 1
    assert len(frames([np.tile(SQUARE, (2000, 1))])) <= MOST_FRAMES


def test_a_gif_shows_every_frame_and_rests_at_the_end(tmp_path):
    save_drawing(tmp_path / "a.gif", [SQUARE], title="square")
    with Image.open(tmp_path / "a.gif") as gif:
        expected = frames([SQUARE], title="square")
        assert gif.n_frames == len(expected)
        assert gif.info["loop"] == 0
        gif.seek(gif.n_frames - 1)
        assert gif.info["duration"] == 2000
        assert np.abs(np.asarray(gif.convert("L")).astype(int) - np.asarray(expected[-1])).max() < 8


@pytest.mark.parametrize("scale_factor", [None, 3.0])
def test_strokes_are_kept_in_units_of_the_data(tmp_path, scale_factor):
    save_drawing(tmp_path / "a.npz", [SQUARE, EMPTY, TWO_LINES], scale_factor=scale_factor)
    assert split_names(tmp_path / "a.npz") == ["train"]
    found = read_npz(tmp_path / "a.npz", splits=["train"])["train"]
    for sketch, expected in zip(found, (SQUARE, TWO_LINES), strict=True):
        assert np.array_equal(sketch, expected * [scale_factor or 1, scale_factor or 1, 1])
    with pytest.raises(BadInput, match="no sketch has a point"):
        save_drawing(tmp_path / "b.npz", [EMPTY])
    assert not (tmp_path / "b.npz").exists()


def test_a_page_is_animated_on_demand(tmp_path):
    save_drawing(tmp_path / "a.svg", [SQUARE], animate=True)
    assert (tmp_path / "a.svg").read_text() == animated_svg([SQUARE])
    save_drawing(tmp_path / "a.svg", [SQUARE])
    assert (tmp_path / "a.svg").read_text() == grid_svg([SQUARE])
    with pytest.raises(BadInput, match=r"a.png: cannot be animated; expected a name that ends in .svg or .gif"):
        check_suffix(type(tmp_path)("a.png"), animate=True)
    with pytest.raises(BadInput, match=r"expected a name that ends in .svg, .png, .gif or .npz, got .pdf"):
        save_drawing(tmp_path / "a.pdf", [SQUARE])


def test_stroke_5_is_written_up_to_its_end(tmp_path):
    big = np.array([[1, 2, 1, 0, 0], [3, 4, 0, 1, 0], [0, 0, 0, 0, 1], [9, 9, 1, 0, 0]])
    save_drawing(tmp_path / "a.npz", [big])
    assert np.array_equal(read_npz(tmp_path / "a.npz", splits=["train"])["train"][0], [[1, 2, 0], [3, 4, 1]])


def test_a_gif_that_would_be_too_large_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"a \.gif has at most 65535 pixels a side; use other columns"):
        save_drawing(tmp_path / "a.gif", [SQUARE] * 410, 410)
    assert list(tmp_path.iterdir()) == []
