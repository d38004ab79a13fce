"""Our port on the device, with the precision and the number of threads that the user requests."""

import json
import sys

import numpy as np
import pytest
import torch

from parity_tests import adapter
from parity_tests.__main__ import main
from parity_tests.adapter import OURS, load_adapter
from parity_tests.report import html as html_report
from pytorch_sketch_rnn.errors import BadInput, run_command

HERE = "parity_tests_of_devices"
# every cell, with and without an encoder, with dropout, with an optimizer state, and everything that a port offers
SOME = (
    "cell-lstm", "cell-layer_norm", "cell-hyper", "data", "initial-hyper", "layer_norm-unconditional-as_is",
    "lstm-moved",
)  # fmt: skip


class Bare(adapter.Adapter):
    """A port whose constructor takes no arguments."""


class Takes(adapter.Adapter):
    """A port that takes only a device."""

    def __init__(self, *, device="none"):
        self.about = {"device": device}


class TakesAll(adapter.Adapter):
    """A port that takes any option."""

    def __init__(self, **options):
        self.about = options


class Refuses(adapter.Adapter):
    """A port that rejects a device itself."""

    def __init__(self, device="cpu"):
        raise BadInput(f"device {device} cannot be used: no owl in it")


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Restore torch's process-wide threads and precision; skip the HTML pages, which are slow."""
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    monkeypatch.setattr(html_report, "page", lambda content: "")
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


def verify(out, *arguments, recordings=("cell-lstm",)):
    named = [word for name in recordings for word in ("--recording", name)]
    return run_command(main, ["verify", *named, "--out", str(out), *arguments])


def content(out):
    return json.loads((out / "parity.json").read_text())


# Where tensors are made ----------------------------------------------------------------------------------------------


def test_every_tensor_is_created_on_the_requested_device(tmp_path, capsys):
    # a tensor created without a device would land on meta, which holds no numbers and mixes with no other device
    with torch.device("meta"):
        code = verify(tmp_path, "--device", "cpu", recordings=SOME)
    assert code == 0, capsys.readouterr()
    assert content(tmp_path)["untested"] == []


def test_answers_are_numpy_arrays():
    port = load_adapter(OURS, device="cpu")
    weights = {"W_xh": np.ones((5, 12)), "W_hh": np.ones((3, 12)), "bias": np.zeros(12)}
    answer = port.step_cell("lstm", weights, np.ones((2, 5)), np.ones((2, 6)), None)
    assert {type(value) for value in answer.values()} == {np.ndarray}
    assert {value.dtype for value in answer.values()} == {np.dtype(np.float64)}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_on_a_gpu_all_recordings_that_ship_are_equal(tmp_path, capsys):
    assert verify(tmp_path, "--device", "cuda", recordings=["all"]) == 0, capsys.readouterr().out
    found = content(tmp_path)
    assert found["untested"] == []
    assert found["provenance"]["ours"]["device"].startswith("cuda:0 (")
    assert found["provenance"]["ours"]["TF32"]["matrix products"] is False


@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0), reason="no GPU with TF32 here"
)
def test_on_a_gpu_tf32_is_found_different(tmp_path):
    assert verify(tmp_path, "--device", "cuda", "--precision", "high", recordings=["all"]) == 1


# What the command line takes -----------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")
@pytest.mark.parametrize("command", [["verify", "--recording", "cell-lstm"], ["parity"]])
def test_an_unavailable_device_is_one_line_exit_code_2_and_no_file(tmp_path, capsys, command):
    assert run_command(main, [*command, "--device", "cuda", "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: device cuda cannot be used: ")
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_precision_and_device_are_in_the_report(tmp_path, capsys, precision):
    verify(tmp_path, "--precision", precision)
    assert f"ours: cpu, torch {torch.__version__}" in capsys.readouterr().out
    ours = content(tmp_path)["provenance"]["ours"]
    assert (ours["device"], ours["float32 matrix products"]) == ("cpu", precision)
    assert torch.get_float32_matmul_precision() == precision


def test_tf32_is_off_whatever_was_set_before():
    torch.set_float32_matmul_precision("medium")
    assert load_adapter(OURS).about["float32 matrix products"] == "highest"
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("arguments", "threads"), [([], 1), (["--threads", "2"], 2)])
def test_there_is_one_thread_unless_more_are_requested(tmp_path, arguments, threads):
    torch.set_num_threads(3)
    assert verify(tmp_path, *arguments) == 0
    assert content(tmp_path)["provenance"]["ours"]["threads"] == torch.get_num_threads() == threads


@pytest.mark.parametrize("threads", ["0", "-1", "257"])
def test_a_number_of_threads_that_makes_no_sense_is_bad_input(tmp_path, capsys, threads):
    assert verify(tmp_path / "out", "--threads", threads) == 2
    assert capsys.readouterr().err == f"error: --threads is {threads}, expected 1 to 256\n"
    assert not (tmp_path / "out").exists()


# Other ports ---------------------------------------------------------------------------------------------------------


def test_a_port_gets_the_requested_options_and_no_others():
    assert load_adapter(f"{HERE}:Takes", device="owl", precision=None).about == {"device": "owl"}
    assert load_adapter(f"{HERE}:Takes", device=None, precision=None).about == {"device": "none"}
    assert load_adapter(f"{HERE}:TakesAll", device="owl", precision="high").about == {
        "device": "owl",
        "precision": "high",
    }
    assert load_adapter(f"{HERE}:Bare", device=None).about == {}


@pytest.mark.parametrize(("name", "option"), [("Bare", "device"), ("Bare", "precision"), ("Takes", "precision")])
def test_an_option_that_a_port_does_not_take_is_bad_input(name, option):
    with pytest.raises(BadInput) as caught:
        load_adapter(f"{HERE}:{name}", **{option: "high"})
    expected = f"--{option}: the constructor of the port {HERE}:{name} takes no argument {option!r}"
    assert str(caught.value) == expected


def test_a_ports_own_error_about_its_device_is_passed_on():
    with pytest.raises(BadInput) as caught:
        load_adapter(f"{HERE}:Refuses", device="gpu")
    assert str(caught.value) == "device gpu cannot be used: no owl in it"
