"""A refused --resume changes nothing on disk, whatever refuses it: no file, no time of a change, no lock."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_files import make_device, make_pipe
from refusals import RESUME, assert_one_line, case, everything, no_root

from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main

pytestmark = pytest.mark.usefixtures("here")


def times() -> dict[str, int]:
    return {str(path): path.stat(follow_symlinks=False).st_mtime_ns for path in [Path("run"), *Path("run").rglob("*")]}


def edited() -> None:
    """Make what a publication would overwrite differ from the checkpoint."""
    for name in ("config.json", "best/config.json"):
        path = Path("run") / name
        path.write_text(path.read_text() + "\n")


def refused(capsys: pytest.CaptureFixture, flags: list[str], *words: str) -> None:
    edited()
    before, when = everything(), times()
    assert run_command(main, [*RESUME, *flags]) == 2
    assert_one_line(capsys.readouterr().err, words)
    assert everything() == before
    assert times() == when


def a_file(name: str) -> Callable[[], None]:
    def make() -> None:
        path = Path("run") / name
        for each in sorted(path.rglob("*"), reverse=True) if path.is_dir() else []:
            each.rmdir() if each.is_dir() else each.unlink()
        if path.is_dir():
            path.rmdir()
        path.write_text("in the way")

    return make


def a_folder(name: str) -> Callable[[], None]:
    def make() -> None:
        path = Path("run") / name
        path.unlink(missing_ok=True)
        path.mkdir()

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        case("a file as samples", a_file("samples"), ["run/samples: expected a folder", "remove it"]),
        case("a file as tensorboard", a_file("tensorboard"), ["run/tensorboard: expected a folder"]),
        case("a folder as curves.png", a_folder("curves.png"), ["run/curves.png: expected a file"]),
        case("a folder as the weights", a_folder("model.safetensors"), ["run/model.safetensors: expected a file"]),
        case(
            "a folder as the best weights", a_folder("best/model.safetensors"), ["best/model.safetensors: expected a"]
        ),
    ],
)
def test_something_else_under_a_name_of_the_run_is_refused_before_anything_is_written(make, words, capsys):
    make()
    refused(capsys, ["--save_every=7"], *words)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("make_odd", [make_pipe, make_device])
@pytest.mark.parametrize("name", ["settings.json", "curves.csv"])
def test_a_pipe_or_a_device_in_place_of_a_file_that_is_read_is_refused_at_once(make_odd, name, capsys):
    (Path("run") / name).unlink()
    make_odd(Path("run") / name)
    refused(capsys, [], f"run/{name}: is a ", "expected a regular file")


@no_root
@pytest.mark.parametrize("name", ["samples", "tensorboard", "best", "checkpoints"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_written(name, capsys):
    (Path("run") / name).chmod(0o500)
    try:
        refused(capsys, ["--save_every=7"], f"run/{name}: cannot be written")
    finally:
        (Path("run") / name).chmod(0o700)


@pytest.mark.parametrize("flags", [["--lr=0.5"], ["--data_dir=run"], ["--num_steps=0"], ["--device=toaster"]])
def test_a_wrong_flag_changes_nothing(flags, capsys):
    refused(capsys, flags)


def test_a_refusal_leaves_no_new_lock(capsys):
    Path("run/.lock").unlink()
    a_file("samples")()
    before = everything()
    assert run_command(main, RESUME) == 2
    assert_one_line(capsys.readouterr().err, ["run/samples: expected a folder"])
    assert everything() == before


def test_what_is_refused_here_would_have_changed_the_run():
    edited()
    before = everything()
    assert run_command(main, [*RESUME, "--save_every=7"]) == 0
    changed = {name for name, content in everything().items() if before.get(name) != content}
    assert {"run/settings.json", "run/config.json"} <= changed


def test_a_tensorflow_checkpoint_is_to_be_converted_first(capsys):
    Path("log_root").mkdir()
    Path("log_root/checkpoint").write_text('model_checkpoint_path: "vector-10"\n')
    assert run_command(main, ["--log_root=log_root", "--resume_training", "--data_dir=data"]) == 2
    words = ["log_root: expected a run", "TensorFlow checkpoint", "weight_port convert log_root DIR", "--init_from=DIR"]
    assert_one_line(capsys.readouterr().err, words)
