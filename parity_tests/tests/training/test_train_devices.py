"""The device of a training: chosen from what is there, and the whole command on each kind of it."""

import os
import signal

import pytest
import torch
from train_runs import assert_same_weights, losses, train

from pytorch_sketch_rnn import device as devices
from pytorch_sketch_rnn.device import Devices, Place, check_dtype, chosen_device, memory, usable_device, use_products
from pytorch_sketch_rnn.distributed import join
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.training.checkpoint import checkpoints, read_state
from pytorch_sketch_rnn.training.trainer import Trainer

HERE = {
    "cpu": (True, ""),
    "cuda": (torch.cuda.is_available(), "no CUDA GPU here"),
    "mps": (torch.backends.mps.is_available(), "no GPU of an Apple computer here"),
}


# The whole command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HERE)
def test_a_run_is_trained_stopped_and_resumed_bit_by_bit(name, data, monkeypatch, capsys):
    there, why = HERE[name]
    if not there:
        pytest.skip(why)
    flags = ["--num_steps=16", "--save_every=100"]  # on a GPU a run looks only every few steps whether to stop
    whole = train(data, data / "whole", *flags, f"--device={name}")
    step, stop_at = Trainer.step, 4

    def stopped(self):
        if self.steps_done == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stopped)
        part = train(data, data / "part", *flags, f"--device={name}", code=130)
    out = capsys.readouterr().out
    assert f"float32 on {name}" in out
    assert f"--save_dir={part} --resume --device={name}" in out
    before = max(checkpoints(part))
    assert stop_at < before < 16
    train(data, part, *flags, "--resume")  # without --device: on that of the run
    out = capsys.readouterr().out
    assert f"float32 on {name}" in out
    assert "losses will differ" not in out
    assert read_state(checkpoints(part)[16])["device"] == name
    assert losses(part) == losses(whole)
    assert_same_weights(part, whole)


def test_the_default_is_the_best_device_and_the_run_names_it(data, capsys):
    best = next(name for name in ("cuda", "mps", "cpu") if HERE[name][0])
    train(data, data / "run", "--num_steps=1")
    assert f"float32 on {best}" in capsys.readouterr().out


# The choice, with a stand-in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requested", "there", "place", "before", "expected"),
    [
        ("auto", Devices(), Place(), None, "cpu"),
        ("auto", Devices(gpus=1), Place(), None, "cuda"),
        ("auto", Devices(mps=True), Place(), None, "mps"),
        ("auto", Devices(gpus=2, mps=True), Place(), None, "cuda"),
        ("cuda", Devices(gpus=2), Place(), None, "cuda"),
        ("cuda:1", Devices(gpus=2), Place(), None, "cuda:1"),
        ("cpu", Devices(gpus=2), Place(), None, "cpu"),
        # of several processes each has a GPU of its own, or none has one
        ("auto", Devices(gpus=2), Place(1, 2), None, "cuda:1"),
        ("cuda", Devices(gpus=2), Place(1, 2), None, "cuda:1"),
        ("auto", Devices(gpus=1), Place(0, 2), None, "cpu"),
        ("auto", Devices(mps=True), Place(0, 2), None, "cpu"),
        # a resumed run stays where it was, if that is there
        ("auto", Devices(gpus=1), Place(), "cpu", "cpu"),
        ("auto", Devices(gpus=1), Place(), "mps", "cuda"),
        ("auto", Devices(), Place(), "cuda", "cpu"),
        ("auto", Devices(gpus=2), Place(1, 2), "cuda", "cuda:1"),
        ("cuda", Devices(gpus=1), Place(), "cpu", "cuda"),
        ("auto", Devices(gpus=1), Place(), "an owl", "cuda"),
    ],
)
def test_the_device_follows_from_what_is_there(requested, there, place, before, expected):
    assert chosen_device(requested, there, place, before) == expected


def test_the_place_is_that_of_torchrun(monkeypatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Place.here() == Place(0, 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert Place.here() == Place(1, 3)


class Cuda:
    """Stands in for torch.cuda on a machine with two GPUs."""

    def __init__(self, monkeypatch):
        self.copied = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 2**34))
        monkeypatch.setattr(devices.torch, "zeros", self.zeros)

    def zeros(self, size, *, device):
        self.copied.append(device)
        return torch.ones(size, device="cpu")


@pytest.mark.parametrize(("requested", "expected"), [("cuda", "cuda:1"), ("auto", "cuda:1"), ("cuda:0", "cuda:0")])
def test_a_cuda_device_has_an_index_and_is_tried(monkeypatch, requested, expected):
    cuda = Cuda(monkeypatch)
    assert usable_device(requested) == torch.device(expected)
    assert cuda.copied == [torch.device(expected)]
    assert memory(torch.device(expected)) == 2**34


def test_an_mps_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BadInput, match=r"^--device mps cannot be used: torch finds no GPU of an Apple computer$"):
        usable_device("mps", "--device")


def test_tf32_is_for_cuda_alone_and_off_unless_asked_for():
    before = torch.get_float32_matmul_precision()
    try:
        use_products("tf32", torch.device("cuda"))
        assert torch.get_float32_matmul_precision() == "high"
        for device in ("cuda", "cpu"):
            use_products("float32", torch.device(device))
            assert torch.get_float32_matmul_precision() == "highest"
        with pytest.raises(
            BadInput, match=r"^products is tf32, which a GPU with CUDA computes, but the device is mps;"
        ):
            use_products("tf32", torch.device("mps"))
    finally:
        torch.set_float32_matmul_precision(before)


def test_mps_takes_float32_alone_and_one_process_alone(monkeypatch):
    check_dtype(torch.device("mps"), "float32")
    check_dtype(torch.device("cpu"), "float64")
    with pytest.raises(BadInput, match=r"^dtype is float64, but mps has none; expected float32, or --device=cpu$"):
        check_dtype(torch.device("mps"), "float64")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(BadInput, match=r"^several processes cannot train on mps: expected --device=cpu"):
        join(torch.device("mps"))


def test_the_memory_of_a_machine_that_does_not_say_is_unknown(monkeypatch):
    assert memory(torch.device("cpu")) > 2**28
    monkeypatch.delattr(os, "sysconf")
    assert memory(torch.device("cpu")) is None
