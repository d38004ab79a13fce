"""Checkpoints restore a trainer bit by bit, and exist whole or not at all."""

import json
import os

import pytest
import safetensors.torch
import torch
from foreign_files import make_device, make_pipe
from training_sets import SMALL, make_trainer

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training import checkpoint
from pytorch_sketch_rnn.training.checkpoint import (
    OPTIMIZER_FILE,
    STATE_FILE,
    checkpoint_path,
    checkpoints,
    last_checkpoint,
    load_optimizer,
    load_weights,
    optimizer_arrays,
    read_state,
    remove_older,
    write_folder,
)
from weight_port.names import table


def saved(folder, trainer):
    path = checkpoint_path(folder, trainer.steps_done)
    write_folder(path, trainer.model, trainer.optimizer, {"step": trainer.steps_done, "what": [1, 2.5]})
    return path


def restored(path, trainer):
    load_weights(path, trainer.model)
    trainer.steps_done = load_optimizer(path / OPTIMIZER_FILE, trainer.model, trainer.optimizer)
    return trainer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_trainer_continues_bit_by_bit(tmp_path, dtype):
    whole = make_trainer(dtype=dtype)
    for _ in range(3):
        whole.step()
    path = saved(tmp_path, whole)
    resumed = restored(path, make_trainer(SMALL, dtype=dtype))
    assert resumed.steps_done == 3
    for _ in range(3):
        assert resumed.step() == whole.step()
    for (name, ours), theirs in zip(resumed.model.named_parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_checkpoint_is_a_model_and_its_slots_have_the_names_of_converted_ones(tmp_path):
    trainer = make_trainer()
    trainer.step()
    path = saved(tmp_path, trainer)
    model = SketchRNN.from_pretrained(path)
    assert model.hparams == trainer.model.hparams
    names = set(table(model.hparams).state.values())
    assert (
        set(safetensors.torch.load_file(path / OPTIMIZER_FILE))
        == names
        == set(optimizer_arrays(trainer.model, trainer.optimizer, 1))
    )
    assert read_state(path) == {"step": 1, "what": [1, 2.5]}


@pytest.mark.parametrize("full_at", ["the weights", "the optimizer"])
def test_a_save_that_fails_leaves_the_previous_checkpoint(tmp_path, monkeypatch, full_at):
    trainer = make_trainer()
    path = saved(tmp_path, trainer)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    save_file = safetensors.torch.save_file

    def full(arrays, file):
        if full_at == "the weights" or file.name == OPTIMIZER_FILE:
            raise OSError(28, "No space left on device")
        save_file(arrays, file)

    trainer.step()
    trainer.steps_done = 0  # for the same path
    monkeypatch.setattr(checkpoint.safetensors.torch, "save_file", full)
    with pytest.raises(BadInput, match="cannot be written"):
        saved(tmp_path, trainer)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_last_checkpoints_are_kept_and_temporary_files_are_removed(tmp_path):
    trainer = make_trainer()
    for step in (0, 5, 99_999_999, 100_000_000):
        trainer.steps_done = step
        saved(tmp_path, trainer)
    (tmp_path / "checkpoints" / ".step-00000007.abc.tmp").mkdir()
    (tmp_path / "checkpoints" / "notes").mkdir()
    assert list(checkpoints(tmp_path)) == [0, 5, 99_999_999, 100_000_000]
    remove_older(tmp_path, 2)
    assert list(checkpoints(tmp_path)) == [99_999_999, 100_000_000]
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {
        "step-99999999", "step-100000000", "notes",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"step": -1}', '{"step": "5"}', "[" * 100_000])
def test_a_broken_state_is_refused(tmp_path, text):
    (tmp_path / STATE_FILE).write_text(text)
    with pytest.raises(BadInput, match=STATE_FILE):
        read_state(tmp_path)


def test_slots_that_do_not_fit_are_refused_and_nothing_is_loaded(tmp_path):
    trainer = make_trainer()
    trainer.step()
    path = saved(tmp_path, trainer) / OPTIMIZER_FILE
    arrays = safetensors.torch.load_file(path)
    other = make_trainer()
    for wrong in (
        {name: value for name, value in arrays.items() if name != "beta1_power"},
        arrays | {"m.decoder.output_b": torch.zeros(3)},
        arrays | {"m.owl": torch.zeros(3)},
    ):
        safetensors.torch.save_file(wrong, path)
        with pytest.raises(BadInput, match="does not fit the model"):
            load_optimizer(path, other.model, other.optimizer)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match="safetensors"):
        load_optimizer(path, other.model, other.optimizer)
    assert all(not other.optimizer.state[p]["m"].any() for p in other.model.parameters())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("make_odd", [make_pipe, make_device])
def test_a_pipe_or_a_device_in_place_of_the_slots_is_refused_at_once(tmp_path, make_odd):
    trainer = make_trainer()
    with pytest.raises(BadInput, match=f"{OPTIMIZER_FILE}: is a (named pipe|device), expected a regular file"):
        load_optimizer(make_odd(tmp_path / OPTIMIZER_FILE), trainer.model, trainer.optimizer)


def test_the_last_checkpoint_is_that_of_the_highest_step(tmp_path):
    with pytest.raises(BadInput, match="holds no checkpoint"):
        last_checkpoint(tmp_path)
    trainer = make_trainer()
    for step in (99_999_999, 100_000_000, 5):
        trainer.steps_done = step
        saved(tmp_path, trainer)
    assert last_checkpoint(tmp_path) == (100_000_000, tmp_path / "checkpoints" / "step-100000000")


def test_weights_of_another_model_are_refused(tmp_path):
    path = saved(tmp_path, make_trainer())
    with pytest.raises(BadInput, match="other cells or sizes"):
        load_weights(path, make_trainer(SMALL.replace(dec_rnn_size=6)).model)


def test_what_is_written_is_plain_json(tmp_path):
    path = saved(tmp_path, make_trainer())
    assert json.loads((path / STATE_FILE).read_text())["step"] == 0
