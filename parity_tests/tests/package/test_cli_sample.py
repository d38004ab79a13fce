"""``python -m pytorch_sketch_rnn sample``: pictures from a model, and one line for bad input."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pytorch_sketch_rnn.__main__ import main
from pytorch_sketch_rnn.data.drawing import CELL, LABEL_HEIGHT, to_svg
from pytorch_sketch_rnn.data.npz import SPLITS, write_npz
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.data.stroke_set import open_set
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    hparams = HParams(enc_rnn_size=5, dec_rnn_size=7, z_size=4, num_mixture=3, max_seq_len=20)
    SketchRNN(hparams, seed=1).save_pretrained(folder)
    return folder


def run(*arguments: object) -> int:
    return run_command(main, ["sample", *map(str, arguments)])


def texts(svg: str) -> list[str]:
    """The title of a page and the labels of its rows."""
    return re.findall("<text [^>]*>([^<]*)</text>", svg)


def test_an_svg_is_written_and_summarized(model, tmp_path, capsys):
    out = tmp_path / "page.svg"
    assert run(model, "-o", out, "--count", 5, "--columns", 2, "--temperature", 0.4, "--seed", 3) == 0
    text = out.read_text(encoding="utf-8")
    assert text.startswith(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * CELL}" height="{3 * CELL + LABEL_HEIGHT}"'
    )
    assert text.count("<path ") == 5
    assert texts(text) == ["drawn from the prior, temperature 0.4"]
    captured = capsys.readouterr()
    summary, hint = captured.out.splitlines()
    assert re.fullmatch(rf"wrote {out}: 5 sketches of [\d to]+ points, drawn from the prior", summary)
    assert hint.startswith("If they look broken, the training may have been too short for the prior")
    assert "with --like SET.npz" in hint
    assert captured.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["page.svg"]


def test_a_png_is_written_and_not_blank(model, tmp_path):
    out = tmp_path / "page.PNG"
    assert run(model, "--out", out, "--count", 4) == 0
    with Image.open(out) as image:
        assert (image.format, image.size) == ("PNG", (2 * CELL, 2 * CELL + LABEL_HEIGHT))
        assert np.asarray(image)[LABEL_HEIGHT:].min() < 100


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(model, tmp_path, suffix):
    pages = []
    for number, seed in enumerate((1, 1, 2, 2**32 - 1)):
        out = tmp_path / f"{number}.{suffix}"
        assert run(model, "-o", out, "--seed", seed) == 0
        pages.append(out.read_bytes())
    assert pages[0] == pages[1]
    assert len(set(pages)) == 3


def test_temperature_and_max_len_reach_the_sampler(model, tmp_path, capsys):
    pages = []
    for options in ((), ("--temperature", 1.0), ("--max-len", 1)):
        assert run(model, "-o", tmp_path / "page.svg", *options) == 0
        pages.append((tmp_path / "page.svg").read_text())
    assert len(set(pages)) == 3
    last = capsys.readouterr().out.splitlines()[-2]
    assert re.search(": 12 sketches of (0 to )?1 points, drawn from the prior$", last)


def broken(folder: Path, name: str, data: bytes) -> Path:
    """A model folder with one invalid file."""
    SketchRNN(HParams(enc_rnn_size=2, dec_rnn_size=2, z_size=2, num_mixture=1), seed=1).save_pretrained(folder)
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-o", "{tmp}/page.jpg"), "page.jpg: expected a name that ends in .svg, .png, .gif or .npz, got .jpg"),
        (("-o", "{tmp}/page"), "page: expected a name that ends in .svg, .png, .gif or .npz, got no suffix"),
        (("-o", "{tmp}/none/page.svg"), "none/page.svg: cannot be written (No such file or directory)"),
        (("-o", "{tmp}/page.svg", "--count", "0"), "--count is 0, expected 1 to 10000"),
        (("-o", "{tmp}/page.svg", "--count", "-3"), "--count is -3, expected 1 to 10000"),
        (("-o", "{tmp}/page.svg", "--count", "10001"), "--count is 10001, expected 1 to 10000"),
        (("-o", "{tmp}/page.svg", "--max-len", "0"), "--max-len is 0, expected 1 to 100000"),
        (("-o", "{tmp}/page.svg", "--max-len", "100001"), "--max-len is 100001, expected 1 to 100000"),
        (("-o", "{tmp}/page.svg", "--columns", "0"), "--columns is 0, expected at least 1"),
        (("-o", "{tmp}/page.svg", "--temperature", "0"), "temperature is 0.0, expected 1e-30 to 1e+09"),
        (("-o", "{tmp}/page.svg", "--temperature", "-1"), "temperature is -1.0, expected 1e-30 to 1e+09"),
        (("-o", "{tmp}/page.svg", "--temperature", "nan"), "temperature is nan, expected 1e-30 to 1e+09"),
        (("-o", "{tmp}/page.svg", "--temperature", "inf"), "temperature is inf, expected 1e-30 to 1e+09"),
        (("-o", "{tmp}/page.svg", "--temperature", "1e300"), "temperature is 1e+300, expected 1e-30 to 1e+09"),
        (("-o", "{tmp}/page.svg", "--temperature", "1e-50"), "temperature is 1e-50, expected 1e-30 to 1e+09"),
        (("-o", "{tmp}/page.svg", "--seed", str(2**32)), f"--seed is {2**32}, expected 0 to {2**32 - 1}"),
        (("-o", "{tmp}/page.svg", "--seed", "-1"), f"--seed is -1, expected 0 to {2**32 - 1}"),
        (("-o", "{tmp}/page.svg", "--like", "x.npz", "--seed", "-1"), "--seed is -1, expected 0 to "),
        (("-o", "{tmp}/page.svg", "--device", "toaster"), "--device toaster cannot be used: "),
        (("-o", "{tmp}/page.svg", "--device", "meta"), "--device meta cannot be used: "),
    ],
)
def test_bad_flags_are_one_line_exit_code_2_and_no_file(model, tmp_path, capsys, arguments, expected):
    assert run(model, *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch has CUDA")
def test_cuda_without_cuda_is_one_short_line(model, tmp_path, capsys):
    assert run(model, "-o", tmp_path / "page.svg", "--device", "cuda") == 2
    assert capsys.readouterr().err == "error: --device cuda cannot be used: this torch has no CUDA\n"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_more_columns_than_sketches_change_nothing(model, tmp_path, suffix):
    pages = []
    for columns in (3, 10**12):
        out = tmp_path / f"{columns}.{suffix}"
        assert run(model, "-o", out, "--count", 3, "--columns", columns) == 0
        pages.append(out.read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_bad_input_that_names_the_model(tmp_path, capsys, value):
    sick = SketchRNN(HParams(enc_rnn_size=2, dec_rnn_size=2, z_size=2, num_mixture=1), seed=1)
    with torch.no_grad():
        sick.decoder.output_b[1] = value
    sick.save_pretrained(tmp_path / "model")
    assert run(tmp_path / "model", "-o", tmp_path / "page.svg") == 2
    expected = (
        f"error: {tmp_path}/model: the weight decoder.output_b holds NaN or infinity, so the model cannot be used\n"
    )
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "page.svg").exists()


@pytest.fixture(scope="module")
def strokes(tmp_path_factory) -> Path:
    """A stroke set of four sketches per split."""
    path = tmp_path_factory.mktemp("strokes") / "set.npz"
    made = np.random.RandomState(1).randint(-20, 20, (4, 6, 3)).astype(np.int16)
    made[..., 2] = np.arange(6) == 5
    write_npz(path, {split: list(made + np.int16([[[number, 0, 0]]])) for number, split in enumerate(SPLITS)})
    return path


def test_like_imitates_the_sketches_of_a_set(model, strokes, tmp_path):
    pages = []
    for options in ((), ("--like", strokes), ("--like", strokes), ("--like", strokes, "--seed", 5)):
        assert run(model, "-o", tmp_path / "page.svg", "--count", 3, *options) == 0
        pages.append((tmp_path / "page.svg").read_text())
    assert pages[0] != pages[1] == pages[2] != pages[3]


@pytest.mark.parametrize(("options", "columns"), [((), 3), (("--columns", 2), 2), (("--columns", 9), 4)])
def test_like_draws_originals_above_their_reconstructions_and_labels_the_rows(
    model, strokes, tmp_path, capsys, options, columns
):
    out = tmp_path / "page.svg"
    assert run(model, "-o", out, "--like", strokes, *options) == 0
    page = out.read_text()
    bands = -(-4 // columns)
    title, *labels = texts(page.replace("\n", ""))
    assert page.startswith(f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns * CELL}" ')
    assert title.startswith("sketches of set.npz and their")
    assert labels[-2 * bands :] == ["originals", "reconstructions"] * bands
    cells = [cell.split("\n")[0] for cell in page.split('<path d="')[1:]]
    cells = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    originals = [cell for row in cells[::2] for cell in row if not cell.startswith('"')]
    with open_set(strokes) as stroke_set:
        scale = np.array([stroke_set.scale_factor()] * 2 + [1], np.float32)
        expected = [to_svg(sketch.astype(np.float32) / scale) for sketch in stroke_set.splits["test"]]
    expected = [cell.split('<path d="')[1].split("\n")[0] for cell in expected]
    assert sorted(originals) == sorted(expected)
    printed = capsys.readouterr().out
    assert re.fullmatch(
        rf"wrote {out}: 4 sketches of the test split of {strokes}, each above its reconstruction of [\d to]+ points\n",
        printed,
    )


def test_like_draws_as_many_as_there_are_unless_a_count_is_given(model, strokes, tmp_path, capsys):
    assert run(model, "-o", tmp_path / "page.png", "--like", strokes) == 0
    assert ": 4 sketches of the test split" in capsys.readouterr().out
    assert run(model, "-o", tmp_path / "page.png", "--like", strokes, "--count", 2) == 0
    assert ": 2 sketches of the test split" in capsys.readouterr().out
    (tmp_path / "page.png").unlink()
    assert run(model, "-o", tmp_path / "page.svg", "--like", strokes, "--count", 5) == 2
    assert capsys.readouterr().err == f"error: {strokes}: its test split has 4 sketches, fewer than --count 5\n"
    assert not list(tmp_path.iterdir())


def packed(path, splits):
    """A packed set with a sketch in each of these splits."""
    with PackedWriter(path, 1.0) as writer:
        for split in splits:
            writer.add(split, np.int16([[3, 4, 0], [-5, 6, 1]]))
    return path


def test_like_takes_one_drawing_or_a_folder_of_them(model, tmp_path, capsys):
    pytest.importorskip("shapely")
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number in range(3):
        path = f'<path d="M0 0L{number + 5} 9L20 {number}" stroke="red"/>'
        (folder / f"{number}.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{path}</svg>')
    for source, count in ((folder / "0.svg", 1), (folder, 3)):
        assert run(model, "-o", tmp_path / "page.svg", "--like", source) == 0
        assert f"{count} sketches of {source}, each above its reconstruction" in capsys.readouterr().out
    (folder / "0.svg").write_text("<svg")
    assert run(model, "-o", tmp_path / "page.svg", "--like", folder / "0.svg") == 2
    assert capsys.readouterr().err.startswith(f"error: {folder / '0.svg'}: expected an SVG")


def test_like_takes_a_packed_set(model, tmp_path, capsys):
    assert run(model, "-o", tmp_path / "page.svg", "--like", packed(tmp_path / "set.h5", SPLITS)) == 0
    assert ": 1 sketches of the test split" in capsys.readouterr().out


def test_like_with_an_empty_test_split_is_one_line(model, tmp_path, capsys):
    packed(tmp_path / "set.h5", SPLITS[:2])
    assert run(model, "-o", tmp_path / "page.svg", "--like", tmp_path / "set.h5") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/set.h5: its test split is empty, so there is nothing")
    assert not (tmp_path / "page.svg").exists()


def test_like_with_an_unconditional_model_names_both(strokes, tmp_path, capsys):
    folder = tmp_path / "model"
    SketchRNN(HParams(dec_rnn_size=2, num_mixture=1, conditional=False), seed=1).save_pretrained(folder)
    assert run(folder, "-o", tmp_path / "page.svg", "--like", strokes, "--count", 4) == 2
    expected = f"error: --like needs an encoder, but the model {folder} is unconditional (decoder only)\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "page.svg").exists()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (CONFIG_FILE, b"{", "config.json: expected JSON, but "),
        (CONFIG_FILE, b'["z_size"]', "config.json: holds a list of names without values"),
        (CONFIG_FILE, b'{"z_size": 3}', "model.safetensors: does not fit config.json: "),
        (WEIGHTS_FILE, b"", "model.safetensors: expected weights in safetensors form, but "),
        (WEIGHTS_FILE, b"\xff" * 100, "model.safetensors: expected weights in safetensors form, but "),
    ],
)
def test_a_broken_model_is_one_line_exit_code_2_and_no_file(tmp_path, capsys, name, data, expected):
    folder = broken(tmp_path / "model", name, data)
    assert run(folder, "-o", tmp_path / "page.svg") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {folder}/")
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "page.svg").exists()


def test_a_missing_model_is_one_line_exit_code_2_and_no_file(tmp_path, capsys):
    assert run(tmp_path / "none", "-o", tmp_path / "page.svg") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {tmp_path}/none/config.json: cannot be read (No such file or directory)")
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_wrong_suffix_is_reported_before_the_model_is_read(tmp_path, capsys):
    assert run(tmp_path / "none", "-o", tmp_path / "page.jpg") == 2
    assert "expected a name that ends in .svg, .png, .gif or .npz" in capsys.readouterr().err


def test_a_failure_keeps_the_old_picture(model, tmp_path):
    out = tmp_path / "page.svg"
    out.write_text("an older page")
    assert run(model, "-o", out, "--temperature", "1e300") == 2
    assert out.read_text() == "an older page"
    assert [path.name for path in tmp_path.iterdir()] == ["page.svg"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "the following arguments are required: MODEL, -o/--out; see python -m pytorch_sketch_rnn sample --help"),
        (("model",), "the following arguments are required: -o/--out; see "),
        (("model", "-o", "page.svg", "--count", "x"), "--count: "),
        (
            ("model", "-o", "page.svg", "--colums", "2"),
            "--colums is no flag of python -m pytorch_sketch_rnn sample; did",
        ),
        (("model", "-o", "page.svg", "more"), "expected flags, which begin with --, got 'more'; see "),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(capsys, arguments, expected):
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {expected}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["smaple"], ["--count", "3"], ["--", "sample"], ["--colour"]])
def test_without_a_command_there_is_one_line_that_says_where_the_help_is(capsys, arguments):
    assert run_command(main, arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.endswith("see python -m pytorch_sketch_rnn --help\n")
    assert captured.err.count("\n") == 1


def test_the_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as exit_:
        run_command(main, ["--help"])
    assert exit_.value.code == 0
    assert {"train", "sample", "evaluate", "dataset"} <= set(capsys.readouterr().out.split())


def test_the_module_runs_as_a_program(model, tmp_path):
    command = [sys.executable, "-m", "pytorch_sketch_rnn", "sample", str(model), "-o", str(tmp_path / "page.svg")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"wrote {tmp_path}/page.svg: 12 sketches of ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_one_line(model, tmp_path, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    command = [sys.executable, "-m", "pytorch_sketch_rnn", "sample", str(model), "-o", str(tmp_path / "page.svg")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written (No space left on device)\n"


def test_run_command_turns_bad_input_and_ctrl_c_into_one_line(capsys):
    def raises(error: BaseException):
        def command(argv: list[str]) -> int:
            assert argv == ["a"]
            raise error

        return command

    assert run_command(lambda argv: len(argv), ["a", "b", "c"]) == 3
    assert run_command(raises(BadInput("x.npz: no good")), ["a"]) == 2
    assert capsys.readouterr().err == "error: x.npz: no good\n"
    assert run_command(raises(KeyboardInterrupt()), ["a"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    with pytest.raises(ZeroDivisionError):  # a fault of the program keeps its traceback
        run_command(raises(ZeroDivisionError()), ["a"])
