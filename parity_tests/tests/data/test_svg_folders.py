"""Folders of SVG files: which files are read, and how the odd ones are counted and named by the command."""

import gzip
import os
import re
from pathlib import Path

import pytest
from foreign_files import make_pipe
from made_sets import run
from svg_files_of_tests import SVG

from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.data.sources.left_out import LeftOut
from pytorch_sketch_rnn.data.sources.svg.files import svg_files
from pytorch_sketch_rnn.data.sources.svg.read import read_svg, read_svgs
from pytorch_sketch_rnn.errors import BadInput

pytest.importorskip("shapely")


def put(folder: Path, *names: str, body: str = "") -> None:
    """Write drawings of three points, each of another shape, with this body."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<{SVG}><path d="M0 0H{10 + number}V20"/>{body}</svg>', encoding="utf-8")


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in svg_files(folder)]


def test_the_files_of_a_folder_and_of_those_in_it_are_sorted(tmp_path, monkeypatch):
    put(tmp_path, "b.svg", "a.SVG", "c.txt", "cat/2.svg", "cat/1.svgz", "dog/x/y/3.svg.gz", ".hidden/a.svg", ".b.svg")
    (tmp_path / "d.svg").mkdir()
    listings = Path.iterdir
    for backwards in (False, True):
        listed = lambda folder, backwards=backwards: iter(sorted(listings(folder), reverse=backwards))  # noqa: E731
        monkeypatch.setattr(Path, "iterdir", listed)
        assert names(tmp_path) == ["a.SVG", "b.svg", "cat/1.svgz", "cat/2.svg", "dog/x/y/3.svg.gz"]


def test_links_to_folders_are_followed_once(tmp_path):
    put(tmp_path, "in/a/1.svg", "outside/2.svg")
    (tmp_path / "in/a/loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in/linked").symlink_to(tmp_path / "outside", target_is_directory=True)
    (tmp_path / "in/self").symlink_to("self")
    (tmp_path / "in/gone.svg").symlink_to("nothing")
    assert names(tmp_path / "in") == ["a/1.svg", "linked/2.svg"]


def test_a_folder_without_drawings_and_a_missing_one_are_bad_input(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(BadInput, match=r"expected a folder of \.svg files, got one without any"):
        svg_files(tmp_path)
    with pytest.raises(BadInput, match=r"none: cannot be read \(No such file or directory\)"):
        svg_files(tmp_path / "none")
    with pytest.raises(BadInput, match=r"none.svg: cannot be read \(No such file or directory\)"):
        read_svg(tmp_path / "none.svg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "a.svg")
    with pytest.raises(BadInput, match=r"a\.svg: .*pipe"):
        read_svg(tmp_path / "a.svg")


def test_a_compressed_file_is_read_whatever_its_name(tmp_path):
    put(tmp_path, "a.svg")
    plain = (tmp_path / "a.svg").read_bytes()
    expected = read_svg(tmp_path / "a.svg")[0].tolist()
    for name in ("b.svgz", "c.svg.gz", "d.svg"):
        (tmp_path / name).write_bytes(gzip.compress(plain))
        assert read_svg(tmp_path / name)[0].tolist() == expected
    packed = gzip.compress(plain)
    for damaged, message in (
        (packed[:-12], "got its beginning only"),
        (packed[:10] + b"\xff" * 9, "got a damaged one"),
        (packed[:-8] + bytes(8), "got a damaged one"),
    ):
        (tmp_path / "e.svgz").write_bytes(damaged)
        with pytest.raises(BadInput, match=f"e.svgz: expected a whole gzip file, {message}"):
            read_svg(tmp_path / "e.svgz")


@pytest.fixture
def mixed(tmp_path) -> Path:
    """A folder of 20 drawings, of which 7 are odd."""
    folder = tmp_path / "in"
    put(folder, *(f"class {number % 3}/{number}.svg" for number in range(13)))
    put(folder, "odd.svg", body="<oops>")
    (folder / "page.svg").write_text("<html></html>")
    for number in range(5):
        (folder / f"text{number}.svg").write_text(f"<{SVG}><text>1</text></svg>")
    return folder


def test_odd_files_are_counted_and_the_first_ones_named(tmp_path, mixed, capsys):
    assert run(mixed, tmp_path / "out.npz") == 0
    output = capsys.readouterr().out.splitlines()
    assert "left out: 7 odd files" in output
    odd = [line for line in output if line.startswith("odd file: ")]
    assert len(odd) == 5
    assert all(re.match(rf"odd file: {mixed}/\S+: (expected|is a web page)", line) for line in odd)
    assert sum(map(len, read_npz(tmp_path / "out.npz").values())) == 13


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_an_odd_file_and_not_passed_over(tmp_path, capsys):
    put(tmp_path / "in", *(f"{number}.svg" for number in range(4)))
    make_pipe(tmp_path / "in" / "owl.svg")
    assert run(tmp_path / "in", tmp_path / "out.npz") == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'in' / 'owl.svg'}: is a named pipe, expected a regular file" in printed


def test_strict_makes_an_odd_file_an_error(tmp_path, mixed, capsys):
    assert run(mixed, tmp_path / "out.npz", "--strict") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {mixed}")
    assert captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_folder_of_odd_files_alone_is_an_error(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / f"in/{number}.svg").write_text(f"<{SVG}/>")
        assert run(tmp_path / "in", tmp_path / "out.npz") == 2
        message = capsys.readouterr().err
        assert ".svg: expected something painted" in message
        assert message.count("\n") == 1
    assert "; the other 2 files cannot be drawn either" in message


def test_too_few_drawings_without_the_odd_ones_say_why(tmp_path, capsys):
    put(tmp_path / "in", "1.svg", "2.svg")
    put(tmp_path / "in", "3.svg", body="<oops>")
    assert run(tmp_path / "in", tmp_path / "out.npz") == 2
    message = capsys.readouterr().err
    assert "got 2 (left out: 1 odd file; " in message
    assert "3.svg: expected an SVG, got a file that is no XML" in message


def test_parts_that_are_not_drawn_are_counted(tmp_path, capsys):
    put(tmp_path / "in", *(f"{number}.svg" for number in range(10)))
    put(tmp_path / "in", "a.svg", "b.svg", body="<text>1</text><text>2</text>")
    put(tmp_path / "in", "c.svg", body="<image/><text>3</text>")
    assert run(tmp_path / "in", tmp_path / "out.npz") == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    assert line in (
        "left out: text of 3 drawings, image of 1 drawing",
        "left out: image of 1 drawing, text of 3 drawings",
    )
    put(tmp_path / "plain", *(f"{number}.svg" for number in range(10)))
    assert run(tmp_path / "plain", tmp_path / "plain.npz") == 0
    assert "left out: none\n" in capsys.readouterr().out


def test_a_single_drawing_is_a_source(tmp_path, capsys):
    put(tmp_path, "one.svg", "two.svgz")
    assert run(tmp_path / "one.svg", tmp_path / "out.npz") == 0
    assert "train, valid and test hold the same ones" in capsys.readouterr().out
    for sketches in read_npz(tmp_path / "out.npz").values():
        assert [sketch.tolist() for sketch in sketches] == [[[0, 0, 0], [128, 0, 0], [0, 255, 1]]]
    assert run(tmp_path / "one.svg", tmp_path / "two.svgz", tmp_path / "two.h5") == 0
    put(tmp_path / "folder", "one.svg")
    assert run(tmp_path / "folder", tmp_path / "folder.npz") == 0
    assert read_npz(tmp_path / "folder.npz").keys() == {"train", "valid", "test"}
    put(tmp_path / "more", *(f"{number}.svg" for number in range(9)))
    capsys.readouterr()
    assert run(tmp_path / "one.svg", tmp_path / "more", tmp_path / "more.npz") == 0
    assert "sketches: train 8, valid 1, test 1\n" in capsys.readouterr().out


def test_a_single_drawing_that_is_odd_is_an_error(tmp_path, capsys):
    (tmp_path / "one.svg").write_text("no drawing")
    assert run(tmp_path / "one.svg", tmp_path / "out.npz") == 2
    assert "one.svg: expected an SVG, got a file that is no XML" in capsys.readouterr().err


def test_the_picture_never_overwrites_or_joins_the_drawings(tmp_path, capsys):
    put(tmp_path, "one.svg", "in/cat/1.svg")
    before = (tmp_path / "one.svg").read_bytes()
    assert run(tmp_path / "one.svg", tmp_path / "one.npz", "--force") == 2
    assert "its picture would overwrite" in capsys.readouterr().err
    assert (tmp_path / "one.svg").read_bytes() == before
    assert run(tmp_path / "in", tmp_path / "in/cat/out.npz") == 2
    assert "lies in SRC, where its picture would become a drawing" in capsys.readouterr().err


def test_only_the_first_drawings_that_are_asked_for_are_read(tmp_path):
    put(tmp_path, "1.svg")
    (tmp_path / "2.svg").write_text("odd")
    left_out = LeftOut()
    drawings = read_svgs([tmp_path / "1.svg", tmp_path / "2.svg"], left_out, strict=False)
    next(drawings)
    assert not left_out
    assert list(drawings) == []
    assert left_out.listed() == "1 odd file"
