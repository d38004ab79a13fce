"""The outlines of SVG files are read in order; a file without a drawing is BadInput."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.data.sources import svg
from pytorch_sketch_rnn.data.sources.svg import read_svg, svg_files
from pytorch_sketch_rnn.errors import BadInput

pytest.importorskip("svgelements")

# Spans 0..255 in both directions, so that scaling does not change the other shapes.
FRAME = '<path d="M0 0L255 255"/>'


def write(folder: Path, body: str, root: str = 'svg xmlns="http://www.w3.org/2000/svg"') -> Path:
    path = folder / "a.svg"
    path.write_text(f"<{root}>{body}</{root.split()[0]}>", encoding="utf-8")
    return path


def drawn(folder: Path, body: str) -> list[list]:
    """The lines of the body, drawn together with the frame, rounded to 1e-9."""
    lines = read_svg(write(folder, FRAME + body))
    assert lines[0].tolist() == [[0, 0], [255, 255]]
    return [np.round(line, 9).tolist() for line in lines[1:]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<path d="M1 2L3 4 5 6"/>', [[[1, 2], [3, 4], [5, 6]]]),
        ('<path d="m1 2h10v5"/>', [[[1, 2], [11, 2], [11, 7]]]),
        ('<path d="M1 2L3 4 5 2Z"/>', [[[1, 2], [3, 4], [5, 2], [1, 2]]]),
        ('<path d="M1 2L3 4M5 6L7 8M9 9"/>', [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
        ('<path d="M1 2L3 4Zl1 1"/>', [[[1, 2], [3, 4], [1, 2], [2, 3]]]),
        ('<line x1="1" y1="2" x2="3" y2="4"/>', [[[1, 2], [3, 4]]]),
        ('<polyline points="1,2 3,4 5,6"/>', [[[1, 2], [3, 4], [5, 6]]]),
        ('<polygon points="1,2 3,4 5,2"/>', [[[1, 2], [3, 4], [5, 2], [1, 2]]]),
        ('<g><line x2="1"/><g><line x2="2"/></g></g><line x2="3"/>', [[[0, 0], [x, 0]] for x in (1, 2, 3)]),
        ('<g transform="translate(10,0)"><line x2="1" transform="scale(2)"/></g>', [[[10, 0], [12, 0]]]),
        ('<g transform="scale(2)"><line x2="1" transform="translate(10,0)"/></g>', [[[20, 0], [22, 0]]]),
        ('<line x1="5" x2="9" transform="translate(100) rotate(90)"/>', [[[100, 5], [100, 9]]]),
        ('<line x2="1" style="stroke:#zz" stroke-width="x" fill="?"/>', [[[0, 0], [1, 0]]]),
        ('<rect width="99" height="9"/><text>a</text><defs><path d="M0 0L9 9"/></defs><path d=""/>', []),
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


def test_a_drawing_is_scaled_to_255_and_aligned(tmp_path):
    lines = read_svg(write(tmp_path, '<path d="M-1 5L-1 7M-1 6L-0.5 6"/>'))
    np.testing.assert_array_equal(np.concatenate(lines), [[0, 0], [0, 255], [0, 127.5], [63.75, 127.5]])


def test_a_file_without_namespace_is_read_as_well(tmp_path):
    assert len(read_svg(write(tmp_path, FRAME, root="svg"))) == 1


def entities(doctype: str) -> bytes:
    return f'<?xml version="1.0"?>{doctype}<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0L1 1"/></svg>'.encode()


LAUGHS = "<!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(20)
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected an SVG, got a file that is no XML (no element found"),
        (b"\x89PNG\r\n", "expected an SVG, got a file that is no XML (not well-formed"),
        (b"<svg><path d='M0 0L1 1'/>", "expected an SVG, got a file that is no XML (no element found"),
        (b"<svg>\xff</svg>", "expected an SVG, got a file that is no XML (not well-formed (invalid token)"),
        (b'<?xml version="1.0" encoding="klingon"?><svg/>', "expected an SVG, got a file that is no XML (unknown"),
        (b'<?xml version="1.0" encoding="utf-7"?><svg/>', "expected an SVG, got a file that is no XML ("),
        (b"<html><path d='M0 0L1 1'/></html>", "expected an SVG, got XML of another kind, <html>"),
        (b"<svg/>", "expected at least one path, line, polyline, polygon, circle or ellipse, got none"),
        (b"<svg><rect width='3' height='3'/></svg>", "expected at least one path"),
        (b"<svg><path d='M5 5'/></svg>", "expected at least one path"),
        (b"<svg><path d='M0 0 L x'/></svg>", "as SVG defines them, got wrong ones (ValueError"),
        (b"<svg><path d='L5 5'/></svg>", "as SVG defines them, got wrong ones ("),
        (b"<svg><path d='hello'/></svg>", "as SVG defines them, got wrong ones ("),
        (b"<svg><circle r='50%'/></svg>", "as SVG defines them, got wrong ones ("),
        (b"<svg><g transform='matrix(1 2)'><line/></g></svg>", "as SVG defines them, got wrong ones (IndexError"),
        (b"<svg><path d='M0 0L1e999 1'/></svg>", "expected finite coordinates of at most 1e+09 either way, got inf"),
        (b"<svg><path d='M0 0L2e9 1'/></svg>", "either way, got 2e+09"),
        (b"<svg><line x2='1' transform='translate(1e999)'/></svg>", "either way, got "),
        (entities("<!DOCTYPE svg>"), "expected an SVG without DOCTYPE, got one"),
        (entities('<!DOCTYPE svg SYSTEM "file:///etc/passwd">'), "expected an SVG without DOCTYPE"),
        (entities(LAUGHS + "]>"), "expected an SVG without DOCTYPE"),
        (entities(LAUGHS + "]>").decode().encode("utf-16"), "expected an SVG without DOCTYPE"),
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
    monkeypatch.setattr(svg, "MAX_BYTES", path.stat().st_size)
    assert len(read_svg(path)) == 1
    monkeypatch.setattr(svg, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(BadInput, match=r"a.svg: expected a drawing of at most \d+ bytes, got more"):
        read_svg(path)


def test_a_file_beyond_the_limit_is_not_read_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    path.write_bytes(b" " * (8 << 20))
    monkeypatch.setattr(svg, "MAX_BYTES", 1000)
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="expected a drawing of at most 1000 bytes"):
            read_svg(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_files_of_a_folder_are_sorted_by_name_without_those_of_subfolders(tmp_path, monkeypatch):
    for name in ("b.svg", "a.SVG", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.svg").mkdir()
    (tmp_path / "d.svg" / "e.svg").touch()
    listing = sorted(tmp_path.iterdir())
    for order in (listing, listing[::-1]):
        monkeypatch.setattr(Path, "iterdir", lambda folder, order=order: iter(order))
        assert [path.name for path in svg_files(tmp_path)] == ["a.SVG", "b.svg"]


def test_a_folder_without_drawings_and_a_missing_folder_are_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"expected a folder of \.svg files, got one without any"):
        svg_files(tmp_path)
    with pytest.raises(BadInput, match=r"none: cannot be read \(No such file or directory\)"):
        svg_files(tmp_path / "none")
    with pytest.raises(BadInput, match=r"none.svg: cannot be read \(No such file or directory\)"):
        read_svg(tmp_path / "none.svg")
