"""Compiling the kernels: what is used instead where that is impossible, and what is never loaded."""

import json
import os
import stat
import subprocess
import sys
import warnings

import pytest
import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model import backend
from pytorch_sketch_rnn.model.fused import build, choice, faster_products

CPU = torch.device("cpu")


@pytest.fixture
def new_process(monkeypatch):
    """What is known once in a process is found out again."""

    def forget():
        choice.forget()
        for function in (build.library, backend._notice_once):
            function.cache_clear()

    forget()
    yield monkeypatch
    forget()


@pytest.fixture
def cache(new_process, tmp_path):
    new_process.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pytorch-sketch-rnn" / "kernels"


@pytest.mark.parametrize("compiler", [None, "no-such-compiler"])
def test_without_a_compiler_the_fused_path_is_pytorchs_with_one_notice(cache, new_process, tmp_path, compiler):
    new_process.setenv("PATH", str(tmp_path))
    if compiler is None:
        new_process.delenv("CXX", raising=False)
    else:
        new_process.setenv("CXX", compiler)
    with pytest.warns(UserWarning, match="there is no C\\+\\+ compiler") as notices:
        assert backend.backend_for("auto", CPU).name == "fused:aten"
    assert len(notices) == 1
    tried = []
    new_process.setattr(build, "_compiler", lambda: tried.append(1))
    assert backend.backend_for("auto", CPU).name == choice.ATEN
    assert tried == []  # what failed once is not tried again
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        assert backend.backend_for("fused", CPU).name == "fused:aten"


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_compiled(cache, new_process):
    cache.mkdir(mode=0o700, parents=True)
    new_process.setattr(build, "_compiler", lambda: "g++")
    new_process.setattr(build.os, "access", lambda *_: False)
    new_process.setattr(build, "_run", lambda command: pytest.fail(str(command)))
    new_process.setattr(build, "_version", lambda _: "1")
    with pytest.raises(build.CannotBuild, match="kernels: cannot be written"):
        build.library("kernels.cpp", "scalar")


def test_a_backend_that_cannot_be_compiled_is_refused_by_name(cache, new_process):
    new_process.setenv("CXX", "false")
    level = build.levels()[0]
    refused = rf"backend is 'fused:{level}', .*false cannot compile the kernels .*; expected auto"
    with pytest.raises(BadInput, match=refused):
        backend.backend_for(f"fused:{level}", CPU)


@pytest.mark.parametrize("name", ["fused:pdp11", "fast", "", "fused:aten+library", "x" * 5000, "\x1b[31m"])
def test_an_unknown_backend_is_refused_in_one_line(name):
    with pytest.raises(BadInput) as error:
        backend.backend_for(name, CPU)
    line = str(error.value)
    assert "fused:aten" in line
    assert line.isprintable()
    assert len(line) <= 1000


def test_the_kernels_are_compiled_once(cache, new_process):
    level = build.levels()[0]
    build.library("products.cpp", level)
    made = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(made) == 1
    build.library.cache_clear()
    new_process.setattr(build, "_compile", None)
    build.library("products.cpp", level)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == made
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o022 == 0 for path in (cache, *made))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no owners of files as POSIX has them")
def test_a_cache_that_others_can_write_to_is_not_used(cache):
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    with pytest.raises(build.CannotBuild, match="that nobody else can write to"):
        build.library("products.cpp", build.levels()[0])


def test_a_cache_that_cannot_be_made_ends_in_the_path_without_a_compiler(new_process, tmp_path):
    (tmp_path / "pytorch-sketch-rnn").write_text("a file")
    new_process.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.warns(UserWarning, match="cannot be made"):
        assert backend.backend_for("auto", CPU).name == "fused:aten"


def test_a_kernel_that_cannot_be_loaded_is_said(cache, new_process):
    level = build.levels()[0]
    new_process.setattr(build, "_compile", lambda compiler, source, flags, path: path.write_bytes(b"no library"))
    with pytest.raises(build.CannotBuild, match="cannot be loaded"):
        build.library("products.cpp", level)


def test_a_kernel_that_computes_something_else_is_not_used(new_process):
    new_process.setattr(choice, "disagreement", lambda *_: "decoder, LSTMCell, h: off by 1.0e+00")
    with pytest.warns(UserWarning, match="does not agree with the reference"):
        assert backend.backend_for("auto", CPU).name == "reference"
    with pytest.raises(BadInput, match=r"backend is fused, but cpu can use no fused path: .*off by 1.0e\+00"):
        backend.backend_for("fused", CPU)


# Which products ------------------------------------------------------------------------------------------------------


def test_the_faster_products_are_measured_once(cache, new_process):
    level = build.levels()[0]
    adds = level in choice._ADDING
    for own in (True, False):
        measured = [{"own": own, "own_ms": 1.0, "library_ms": 2.0}]
        new_process.setattr(faster_products, "_measured", lambda *_, measured=measured, **__: measured.pop())
        assert faster_products.own_products_are_faster(level, adds=adds) is own
        assert faster_products.own_products_are_faster(level, adds=adds) is own  # would raise if it measured again
        name = f"fused:{level}" if own else f"fused:{level}+library"
        choice.forget()
        assert backend.backend_for("auto", CPU).name == name
        (cache / "products.json").unlink()


def test_an_answer_without_the_weights_gradients_is_not_one_with_them(cache, new_process):
    new_process.setattr(faster_products, "_measured", lambda *_, adds: {"own": adds, "own_ms": 1.0, "library_ms": 2.0})
    level = build.levels()[0]
    assert [faster_products.own_products_are_faster(level, adds=adds) for adds in (False, True, False)] == [0, 1, 0]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', "null"])
def test_a_damaged_answer_is_measured_again(cache, new_process, text):
    level = build.levels()[0]
    new_process.setattr(faster_products, "_measured", lambda *_, **__: {"own": True, "own_ms": 1.0, "library_ms": 2.0})
    faster_products.own_products_are_faster(level, adds=level in choice._ADDING)
    path = cache / "products.json"
    (key,) = json.loads(path.read_text())
    for damaged in (text, json.dumps({key: text}), json.dumps({key: {"own": 1}})):
        path.write_text(damaged)
        assert faster_products.own_products_are_faster(level, adds=level in choice._ADDING) is True
        assert json.loads(path.read_text())[key]["own"] is True


# Vector levels -------------------------------------------------------------------------------------------------------

_LEVELS = """
import torch
from pytorch_sketch_rnn.model.backend import backend_for
from pytorch_sketch_rnn.model.fused import build, choice
cpu = torch.device("cpu")
print(*build.levels(), *(choice.proven(name, cpu).name for name in choice.names(cpu)), backend_for("fused", cpu).name)
"""


def test_without_vector_instructions_the_scalar_form_is_used_and_right():
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run([sys.executable, "-c", _LEVELS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert found[:-1] == ["scalar", "fused:scalar", "fused:scalar+library", "fused:aten"]
    assert found[-1] in ("fused:scalar", "fused:scalar+library")


@pytest.mark.parametrize("name", choice.names(CPU))
def test_every_fused_path_of_this_machine_agrees_with_the_reference(name):
    assert choice.proven(name, CPU).name == name
