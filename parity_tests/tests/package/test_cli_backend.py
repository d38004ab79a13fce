"""``--backend`` of the commands that use a trained model."""

import json

import numpy as np
import pytest
from training_sets import SMALL, make_trainer, random_splits

from pytorch_sketch_rnn.__main__ import main
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.model import backend
from pytorch_sketch_rnn.model.fused import build, choice
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model and a set."""
    folder = tmp_path_factory.mktemp("backend")
    splits = random_splits()
    write_npz(folder / "set.npz", {name: [np.asarray(sketch, np.int16) for sketch in splits[name]] for name in splits})
    model = make_trainer(SMALL).model
    model.scale_factor = 1.0
    model.save_pretrained(folder / "model")
    return folder


@pytest.fixture
def without_compiler(monkeypatch):
    def forget():
        choice.forget()
        for function in (build.library, backend._notice_once):
            function.cache_clear()

    monkeypatch.setenv("CXX", "no-such-compiler")
    forget()
    yield
    forget()


def commands(folder):
    return (
        ["sample", folder / "model", "-o", folder / "out.svg", "--count", "2", "--max-len", "5"],
        ["evaluate", folder / "model", folder / "set.npz", "--json", "-"],
    )


def run(*arguments):
    return run_command(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("request_", ["reference", "fused", "fused:aten"])
def test_the_model_computes_with_the_backend_that_was_asked_for(folder, monkeypatch, request_):
    used, loaded = [], SketchRNN.from_pretrained.__func__

    def spy(cls, *arguments, **options):
        model = loaded(cls, *arguments, **options)
        used.append(model.usable_backend().name)
        return model

    monkeypatch.setattr(SketchRNN, "from_pretrained", classmethod(spy))
    for command in commands(folder):
        assert run(*command, f"--backend={request_}") == 0
    name = choice.fastest(choice.torch.device("cpu"))[0].name if request_ == "fused" else request_
    assert used == [name, name]


def test_a_backend_that_is_not_there_is_one_line(folder, capsys):
    for command in commands(folder):
        (folder / "out.svg").unlink(missing_ok=True)
        assert run(*command, "--backend=fused:owl") == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: --backend is 'fused:owl', which cannot be used on cpu: cpu has ")
        assert captured.err.count("\n") == 1
        assert not (folder / "out.svg").exists()


def test_a_notice_is_one_line_beside_the_result_and_not_in_it(folder, capsys, without_compiler):
    sample, evaluate = commands(folder)
    assert run(*evaluate) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["forms"]
    assert captured.err.startswith("note: a faster backend cannot be used: fused:")
    assert captured.err.endswith(": there is no C++ compiler (no-such-compiler)\n")
    assert captured.err.count("\n") == 1
    assert run(*sample) == 0
    assert capsys.readouterr().err == ""  # it is said once


def test_sampling_that_cannot_be_compiled_is_a_note_and_the_sketches_are_drawn(folder, capsys, monkeypatch):
    choice.forget()
    if choice.fastest(choice.torch.device("cpu"))[0].name == choice.ATEN:
        pytest.skip("there is no C++ compiler, and the fused path without one draws as the reference does")
    choice.forget()
    monkeypatch.setattr(choice, "_sampling", lambda _: refuse)
    try:
        assert run(*commands(folder)[0], "--backend=fused") == 0
    finally:
        choice.forget()
    captured = capsys.readouterr()
    assert captured.out.startswith("wrote ")
    assert captured.err.endswith(" cannot draw sketches, so the reference does: no room\n")
    assert captured.err.startswith("note: fused:")


def refuse():
    raise build.CannotBuild("no room")
