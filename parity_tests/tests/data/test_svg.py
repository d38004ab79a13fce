"""The outlines of SVG files are read in order, scaled and sampled; a file without a drawing is BadInput."""

import math
import tracemalloc

import numpy as np
import pytest
from svg_files_of_tests import FRAME, drawn, write

from pytorch_sketch_rnn.data.sources.svg import files
from pytorch_sketch_rnn.data.sources.svg.read import read_svg
from pytorch_sketch_rnn.errors import BadInput


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<path d="M1 2L3 4 5 6"/>', [[[1, 2], [3, 4], [5, 6]]]),
        ('<path d="m1 2h10v5"/>', [[[1, 2], [11, 2], [11, 7]]]),
        ('<path d="M1 2L3 4 5 2Z"/>', [[[1, 2], [3, 4], [5, 2], [1, 2]]]),
        ('<path d="M1 2L3 4M5 6L7 8M9 9"/>', [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
        ('<path d="M1 2L3 4zzZ"/>', [[[1, 2], [3, 4], [1, 2]]]),
        ('<path d="M1 2L3 4Zl1 1"/>', [[[1, 2], [3, 4], [1, 2], [2, 3]]]),
        ('<line x1="1" y1="2" x2="3" y2="4"/>', [[[1, 2], [3, 4]]]),
        ('<polyline points="1,2 3,4 5,6"/>', [[[1, 2], [3, 4], [5, 6]]]),
        ('<polygon points="1,2 3,4 5,2"/>', [[[1, 2], [3, 4], [5, 2], [1, 2]]]),
        ('<g><line x2="1"/><g><line x2="2"/></g></g><line x2="3"/>', [[[0, 0], [x, 0]] for x in (1, 2, 3)]),
        ('<g transform="translate(10,0)"><line x2="1" transform="scale(2)"/></g>', [[[10, 0], [12, 0]]]),
        ('<g transform="scale(2)"><line x2="1" transform="translate(10,0)"/></g>', [[[20, 0], [22, 0]]]),
        ('<line x1="5" x2="9" transform="translate(100) rotate(90)"/>', [[[100, 5], [100, 9]]]),
        ('<line x2="1" style="stroke:#zz" stroke-width="x" fill="?"/>', [[[0, 0], [1, 0]]]),
        ('<rect x="1" y="2" width="9" height="3"/>', [[[1, 2], [10, 2], [10, 5], [1, 5], [1, 2]]]),
        ('<rect width="9"/><rect height="9"/><rect width="-9" height="9"/><circle/><ellipse rx="0" ry="5"/>', []),
        ('<defs><path d="M0 0L9 9"/></defs><path d=""/><path/><polyline/><polygon points=""/><line/>', []),
        ('<clipPath><line x2="9"/></clipPath><symbol><g><line x2="9"/></g></symbol><!-- <line x2="9"/> -->', []),
        (f'{"<g>" * 3000}<line x2="1"/>{"</g>" * 3000}', [[[0, 0], [1, 0]]]),
    ],
)
def test_outlines_are_read_in_order_and_transformed(tmp_path, body, expected):
    assert drawn(tmp_path, body) == expected


def test_curves_become_16_points_each(tmp_path):
    cubic, circle = drawn(tmp_path, '<path d="M0 0C0 30 60 90 90 90"/><circle cx="50" cy="60" r="20"/>')
    t = np.linspace(0, 1, 17)[:, None]
    expected = 3 * (1 - t) ** 2 * t * (0, 30) + 3 * (1 - t) * t**2 * (60, 90) + t**3 * (90, 90)
    np.testing.assert_allclose(cubic, expected, atol=1e-8)
    assert len(circle) == 4 * 16 + 2  # with its first point, and the closing line
    np.testing.assert_allclose(np.hypot(*(np.array(circle) - (50, 60)).T), 20, atol=1e-6)
    turned = np.diff(np.unwrap([math.atan2(y - 60, x - 50) for x, y in circle]))
    np.testing.assert_allclose(turned.sum(), 2 * math.pi, atol=1e-6)


def test_the_corners_of_a_rect_are_rounded(tmp_path):
    [rect] = drawn(tmp_path, '<rect x="10" y="20" width="60" height="40" rx="8"/>')
    assert len(rect) == 1 + 4 * (1 + 16) + 1
    low, high = np.min(rect, axis=0), np.max(rect, axis=0)
    np.testing.assert_allclose([low, high], [[10, 20], [70, 60]], atol=1e-9)
    outside = np.maximum(np.abs(np.array(rect) - (40, 40)) - (30 - 8, 20 - 8), 0)
    rounded = (outside > 1e-9).all(axis=1)
    np.testing.assert_allclose(np.hypot(*outside[rounded].T), 8, atol=1e-6)
    for radii, [width, height] in (
        ('rx="50"', (30, 20)),  # at most half of each side; one alone is both
        ('rx="5" ry="99"', (5, 20)),
        ('ry="4"', (4, 4)),
        ('rx="auto" ry="4"', (4, 4)),
        ('rx="10%" ry="10%"', (30, 15)),  # of a viewport of 300 by 150
    ):
        [rect] = drawn(tmp_path, f'<rect x="10" y="20" width="60" height="40" {radii}/>')
        top = np.array(rect)[np.isclose(np.array(rect)[:, 1], 20)]
        left = np.array(rect)[np.isclose(np.array(rect)[:, 0], 10)]
        np.testing.assert_allclose([top[:, 0].min() - 10, left[:, 1].min() - 20], (width, height), atol=1e-6)


def arc(flags: str) -> str:
    return f'<path d="M40 50A20 20 0 {flags} 60 50"/>'


@pytest.mark.parametrize(
    ("flags", "height"),
    [
        ("0 0", 20 - 300**0.5),  # below the chord of 20, which is 17.3 from the center
        ("0 1", -20 + 300**0.5),
        ("1 0", 20 + 300**0.5),
        ("1 1", -20 - 300**0.5),
    ],
)
def test_an_arc_goes_the_way_that_its_flags_say(tmp_path, flags, height):
    [line] = drawn(tmp_path, arc(flags))
    assert len(line) == 17
    assert line[-1] == [60, 50]
    center = 50 + height - math.copysign(20, height)
    np.testing.assert_allclose(np.hypot(*(np.array(line) - (50, center)).T), 20, atol=1e-6)
    assert line[8] == pytest.approx([50, 50 + height])


def test_the_radii_of_an_arc_grow_until_they_reach(tmp_path):
    [line] = drawn(tmp_path, '<path d="M40 50a1 2 90 0 0 40 0"/>')
    assert line[8] == pytest.approx([60, 60])  # half of an ellipse twice as wide as high
    for straight in ("a0 9 0 0 0 9 0", "a9 0 0 0 0 9 0", "h9"):
        assert drawn(tmp_path, f'<path d="M40 50{straight}"/>') == [[[40, 50], [49, 50]]]
    assert drawn(tmp_path, '<path d="M40 50a9 9 0 0 0 0 0h1"/>') == [[[40, 50], [41, 50]]]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("M9 9c1 2 3 4 5 6s7 8 9 1", "M9 9c1 2 3 4 5 6c2 2 7 8 9 1"),
        ("M9 9L9 8S7 8 9 1", "M9 9L9 8C9 8 7 8 9 1"),
        ("M9 9q1 2 3 4t5 6T40 0", "M9 9Q10 11 12 13Q14 15 17 19Q20 23 40 0"),
        ("M9 9T12 20", "M9 9Q9 9 12 20"),
        ("M9 9q4 0 4 4m1 1t9 9", "M9 9q4 0 4 4m1 1q0 0 9 9"),
        ("M20 20c1-1.5.5.5-1e1 1e-1", "M20 20C21 18.5 20.5 20.5 10 20.1"),
        ("M10 10a5 5 0 0110 0a5,5,0,1,1-10 0", "M10 10A5 5 0 0 1 20 10A5 5 0 1 1 10 10"),
        ("M1,1 2 , 3\t4\n5L6 7,", "M1 1L2 3L4 5L6 7"),
        ("m1 1 2 2zm3 3 1 1", "M1 1L3 3ZM4 4L5 5"),
    ],
)
def test_short_forms_mean_the_same_as_long_ones(tmp_path, short, long):
    assert drawn(tmp_path, f'<path d="{short}"/>') == drawn(tmp_path, f'<path d="{long}"/>') != []


@pytest.mark.parametrize(
    "end", ["L", "L5", "x", "L 5 5 5,,6", "L5 5 5", "C1 2 3 4 5", "Z9", "a1 1 0 2 0 9 9", "H1.", " 5 5 e5", "M", "M1"]
)
def test_a_path_is_drawn_up_to_its_first_error(tmp_path, end):
    [line] = drawn(tmp_path, f'<path d="M1 2L3 4{end}L99 99"/>')
    assert line[:2] == [[1, 2], [3, 4]]
    assert [99, 99] not in line


EXTREME = ("0", "1e-320", "1e300", "-1e300", "1e999", "-1e999")


@pytest.mark.parametrize(
    "svg",
    [
        '<svg><path d="M0 0a# # # 0 1 5 5L9 9"/></svg>',
        '<svg><path d="M# #l# 1c1 # # 2 3 4q# 1 2 #t1 #a1 # 3 0 1 # 9"/></svg>',
        '<svg><rect x="#" width="#" height="#" rx="#"/><circle r="#"/><ellipse cx="#" rx="3" ry="#"/></svg>',
        '<svg viewBox="# 0 # #" width="#" height="#" preserveAspectRatio="none"><path d="M0 0L9 9V2"/></svg>',
        '<svg><svg viewBox="0 0 # #" width="#"><path d="M0 0L9 9" style="stroke:red;stroke-width:#"/></svg></svg>',
        '<svg viewBox="0 0 9 9"><path transform="rotate(# # #)scale(#)matrix(# # # # # #)" d="M0 0L9 9V2"/></svg>',
    ],
)  # fmt: skip
def test_extreme_numbers_are_drawn_or_one_message(tmp_path, svg):
    path = tmp_path / "a.svg"
    for seed in range(40):
        choices = np.random.RandomState(seed).choice(EXTREME, svg.count("#"))
        pieces = zip(svg.split("#"), [*choices, ""], strict=True)
        path.write_text("".join(part + number for part, number in pieces))
        try:
            lines = read_svg(path)
        except BadInput:
            continue
        assert all(np.isfinite(line).all() for line in lines)


def test_a_drawing_is_scaled_to_255_and_aligned(tmp_path):
    lines = read_svg(write(tmp_path, '<path d="M-1 5L-1 7M-1 6L-0.5 6"/>'))
    np.testing.assert_array_equal(np.concatenate(lines), [[0, 0], [0, 255], [0, 127.5], [63.75, 127.5]])


def test_a_file_without_namespace_is_read_as_well(tmp_path):
    assert len(read_svg(write(tmp_path, FRAME, root="svg"))) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected an SVG, got a file that is no XML (no element found"),
        (b"\x89PNG\r\n", "expected an SVG, got a file that is no XML (not well-formed"),
        (b"<svg><path d='M0 0L1 1'/>", "expected an SVG, got a file that is no XML (no element found"),
        (b"<svg>\xff</svg>", "expected an SVG, got a file that is no XML (not well-formed (invalid token)"),
        (b'<?xml version="1.0" encoding="klingon"?><svg/>', "expected an SVG, got a file that is no XML (unknown"),
        (b'<?xml version="1.0" encoding="utf-7"?><svg/>', "expected an SVG, got a file that is no XML ("),
        (b"<html><path d='M0 0L1 1'/></html>", "is a web page, not the file itself"),
        (b"<svg/>", "expected something painted that can be drawn as lines, got none"),
        (b"<svg><text>1</text><image/></svg>", "drawn as lines, got none; not drawn: text, image"),
        (b"<svg><path d='M5 5'/></svg>", "expected something painted"),
        (b"<svg><path d='M0 0 L x'/></svg>", "got none; not drawn: what follows an error in a path or in points"),
        (b"<svg><path d='L5 5'/></svg>", "got none; not drawn: what follows an error in a path or in points"),
        (b"<svg><path d='hello'/></svg>", "got none; not drawn: what follows an error"),
        (b"<svg><polyline points='1 2 x'/></svg>", "got none; not drawn: what follows an error"),
        (b"<svg xmlns='http://example.org/'><path d='M0 0L9 9'/></svg>", "got XML of another kind, <svg>"),
        (b"<svg><path d='M0 0L1e999 1'/></svg>", "expected finite coordinates of at most 1e+09 either way, got inf"),
        (b"<svg><path d='M0 0L2e9 1'/></svg>", "either way, got 2e+09"),
        (b"<svg><line x2='1' transform='scale(9e99)scale(9e99)'/></svg>", "either way, got "),
    ],
)
def test_a_file_without_a_drawing_is_one_message(tmp_path, data, message):
    path = tmp_path / "a.svg"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_svg(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path, monkeypatch):
    path = write(tmp_path, FRAME)
    monkeypatch.setattr(files, "MAX_BYTES", path.stat().st_size)
    assert len(read_svg(path)) == 1
    monkeypatch.setattr(files, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(BadInput, match=r"a.svg: expected a drawing of at most \d+ bytes, got more"):
        read_svg(path)


def test_a_file_beyond_the_limit_is_not_read_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    path.write_bytes(b" " * (8 << 20))
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="expected a drawing of at most 1000 bytes"):
            read_svg(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
