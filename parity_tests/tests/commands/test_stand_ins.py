"""Every command names what stands in place of a file: a Git LFS pointer, a web page, a pipe or a device."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_files import STAND_INS, make_device, make_pipe
from sample_models import checkpoint, tiny

import parity_tests.__main__
import pytorch_sketch_rnn.__main__
import weight_port.__main__
from pytorch_sketch_rnn.data.npz import SPLITS, write_npz
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training import command as training
from weight_port.tensor_bundle_writer import write_bundle

SIZES = HParams(enc_rnn_size=2, dec_rnn_size=2, z_size=2, num_mixture=1)


def dataset(folder: Path, name: str) -> tuple[Callable, list]:
    return pytorch_sketch_rnn.__main__.main, ["dataset", folder / name, folder / "out.npz", "--count", 3]


def convert(folder: Path, *arguments: str) -> tuple[Callable, list]:
    return weight_port.__main__.main, ["convert", *(folder / argument for argument in arguments), folder / "out"]


def train(folder: Path, name: str) -> tuple[Callable, list]:
    return training.main, [f"--data_dir={folder}", f"--data_set={name}", f"--save_dir={folder / 'out'}"]


def sample(folder: Path, *more: object) -> tuple[Callable, list]:
    return pytorch_sketch_rnn.__main__.main, ["sample", folder / "model", "-o", folder / "out.svg", *more]


# File in question: the command that reads it.
COMMANDS = {
    "set.npz": lambda folder: dataset(folder, "set.npz"),
    "cat.ndjson": lambda folder: dataset(folder, "cat.ndjson"),
    "cat.ndjson.gz": lambda folder: dataset(folder, "cat.ndjson.gz"),
    "cat.bin": lambda folder: dataset(folder, "cat.bin"),
    "train.npz": lambda folder: train(folder, "train.npz"),
    "train.h5": lambda folder: train(folder, "train.h5"),
    "like.npz": lambda folder: sample(folder, "--like", folder / "like.npz"),
    "model/config.json": sample,
    "model/model.safetensors": sample,
    "bird.gen.json": lambda folder: convert(folder, "bird.gen.json"),
    "models.zip": lambda folder: convert(folder, "models.zip"),
    "magenta/vector-1000.index": lambda folder: convert(folder, "magenta/vector-1000"),
    "magenta/vector-1000.data-00000-of-00001": lambda folder: convert(folder, "magenta"),
    "magenta/model_config.json": lambda folder: convert(folder, "magenta"),
    "magenta/checkpoint": lambda folder: convert(folder, "magenta"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder in which every command of ``COMMANDS`` finds its other files; no test may change it."""
    folder = tmp_path_factory.mktemp("whole")
    SketchRNN(SIZES, seed=1).save_pretrained(folder / "model")
    write_bundle(folder / "magenta/vector-1000", checkpoint(tiny()))
    (folder / "magenta/checkpoint").write_text('model_checkpoint_path: "vector-1000"\n')
    write_npz(folder / "set.npz", {split: [np.eye(3, dtype=np.int16)] * 3 for split in SPLITS})
    return folder


def refusal(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    main, arguments = COMMANDS[name](folder)
    assert run_command(main, list(map(str, arguments))) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert not list(folder.glob("out*"))
    return printed.err


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """Links to the files of ``whole``, of which a test may replace any."""
    for path in whole.rglob("*"):
        if path.is_file():
            link = tmp_path / path.relative_to(whole)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(path)
    return tmp_path


@pytest.mark.parametrize(("content", "message"), STAND_INS.values(), ids=STAND_INS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_pointer_or_a_page_is_named_by_the_command_that_reads_it(folder, capsys, name, content, message):
    if name == "magenta/checkpoint":
        pytest.skip("a text file that no one keeps in Git LFS; without its line it is refused")
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_bytes(content)
    error = refusal(folder, name, capsys)
    assert f"{folder / name}: " in error
    assert message in error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(("make", "kind"), [(make_pipe, "a named pipe"), (make_device, "a device")])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_or_a_device_is_refused_at_once(folder, capsys, name, make, kind):
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    assert f"{folder / name}: is {kind}, expected a regular file" in refusal(folder, name, capsys)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(("make", "kind"), [(make_pipe, "a named pipe"), (make_device, "a device")])
@pytest.mark.parametrize("command", ["sample", "evaluate", "--init_from", "--data_dir", "--recording"])
def test_a_pipe_or_a_device_where_a_command_takes_a_folder_or_a_name_is_refused(folder, capsys, command, make, kind):
    odd = make(folder / "odd")
    main, arguments = {
        "sample": (pytorch_sketch_rnn.__main__.main, ["sample", odd, "-o", folder / "out.svg"]),
        "evaluate": (pytorch_sketch_rnn.__main__.main, ["evaluate", odd, folder / "set.npz"]),
        "--init_from": (training.main, [*train(folder, "set.npz")[1], f"--init_from={odd}"]),
        "--data_dir": (training.main, [*train(folder, "set.npz")[1], f"--data_dir={odd}"]),
        "--recording": (parity_tests.__main__.main, ["verify", "--recording", odd, "--out", folder / "out"]),
    }[command]
    assert run_command(main, list(map(str, arguments))) == 2
    assert capsys.readouterr().err == f"error: {odd}: is {kind}, expected a regular file\n"
    assert not list(folder.glob("out*"))


def test_a_pointer_in_an_archive_is_named(folder, capsys):
    with zipfile.ZipFile(folder / "models.zip", "w") as archive:
        archive.writestr("bird.gen.json", STAND_INS["a pointer"][0])
    assert "models.zip!bird.gen.json: is a Git LFS pointer" in refusal(folder, "models.zip", capsys)
