"""The Triton kernels without a GPU: ``triton_cases.py`` in Triton's interpreter, in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pytorch_sketch_rnn.model.fused import build, choice

CASES = Path(__file__).with_name("triton_cases.py")
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed; a torch with CUDA brings it along"
)


@needs_triton
def test_all_cases_pass_in_the_interpreter():
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_a_gpu_has_this_path_alone_and_a_processor_only_in_the_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert choice.names(torch.device("cuda")) == (choice.TRITON,)
    assert choice.TRITON not in choice.names(torch.device("cpu"))
    assert choice.names(torch.device("mps")) == ()


def test_without_triton_it_is_unusable_and_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "pytorch_sketch_rnn.model.fused.triton_pointwise", raising=False)
    with pytest.raises(build.CannotBuild, match="triton cannot be imported"):
        choice.kernels(choice.TRITON)
