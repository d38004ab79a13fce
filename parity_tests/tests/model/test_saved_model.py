"""Saving a model to a folder and reading it back."""

import json
import os
import re
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from foreign_files import PAGES, POINTER, make_device, make_pipe
from small_models import Z, every_combination, make
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN


def bits(model: SketchRNN) -> dict[str, tuple]:
    return {name: (value.dtype, value.numpy().tobytes()) for name, value in model.state_dict().items()}


@every_combination
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saved_model_is_read_back_bit_for_bit_in_eval_mode(tmp_path, enc_model, dec_model, dtype):
    model = make(enc_model, dec_model, dtype, kl_weight=0.75).train()
    model.save_pretrained(tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
    back = SketchRNN.from_pretrained(str(tmp_path / "new" / "folder"))
    assert bits(back) == bits(model)
    assert back.hparams == model.hparams
    assert not any(module.training for module in back.modules())
    assert all(parameter.requires_grad for parameter in back.parameters())


@pytest.mark.parametrize("stored", [torch.float32, torch.float64])
@pytest.mark.parametrize("asked", [torch.float32, torch.float64])
def test_a_model_is_read_in_the_requested_dtype(tmp_path, stored, asked):
    model = make(dtype=stored)
    model.save_pretrained(tmp_path)
    assert bits(SketchRNN.from_pretrained(tmp_path, dtype=asked)) == bits(model.to(asked))


def saved(folder: Path) -> Path:
    make(dtype=torch.float32).save_pretrained(folder)
    return folder


def rewrite(folder: Path, change) -> None:
    weights = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    safetensors.torch.save_file(change(weights), folder / WEIGHTS_FILE)


def without(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {other: value for other, value in weights.items() if other != name}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda w: without(w, "encoder.mu.w"), f"does not fit {CONFIG_FILE}: missing encoder.mu.w$"),
        (lambda w: w | {"extra": torch.zeros(1)}, f"does not fit {CONFIG_FILE}: unknown extra$"),
        (
            lambda w: w | {"encoder.mu.b": torch.zeros(Z + 1)},
            rf"does not fit {CONFIG_FILE}: encoder.mu.b is \[5\], expected \[4\]$",
        ),
        (
            lambda w: without(w, "encoder.mu.b") | {"mu": torch.zeros(1), "encoder.mu.w": torch.zeros(2, Z)},
            r"missing encoder.mu.b; unknown mu; encoder.mu.w is \[2, 4\], expected \[12, 4\]$",
        ),
        (lambda w: {}, "missing decoder.cell.W_hh, "),
        (
            lambda w: {name: value.to(torch.int32) for name, value in w.items()},
            "expected all weights in float32 or all in float64, got int32$",
        ),
        (
            lambda w: w | {"encoder.mu.b": torch.zeros(Z, dtype=torch.float64)},
            "expected all weights in float32 or all in float64, got float32 and float64$",
        ),
    ],
)
def test_weights_that_do_not_match_are_bad_input_that_names_them(tmp_path, change, expected):
    rewrite(saved(tmp_path), change)
    with pytest.raises(BadInput, match=f"^{re.escape(str(tmp_path / WEIGHTS_FILE))}: .*{expected}"):
        SketchRNN.from_pretrained(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_truncated_weights_are_bad_input(tmp_path, length):
    path = saved(tmp_path) / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: expected weights in safetensors form, but "):
        SketchRNN.from_pretrained(tmp_path)


def test_a_file_of_another_kind_is_bad_input(tmp_path):
    path = saved(tmp_path) / WEIGHTS_FILE
    torch.save({}, path)
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: expected weights in safetensors form, but "):
        SketchRNN.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_bad_input_that_names_it(tmp_path, name):
    path = saved(tmp_path) / name
    path.unlink()
    with pytest.raises(BadInput, match=re.escape(str(path))):
        SketchRNN.from_pretrained(tmp_path)
    path.mkdir()
    with pytest.raises(BadInput, match=re.escape(str(path))):
        SketchRNN.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", [POINTER, PAGES["a page"]], ids=["pointer", "page"])
@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_pointer_or_a_page_in_place_of_a_file_is_named(tmp_path, name, content):
    (saved(tmp_path) / name).write_bytes(content)
    with pytest.raises(BadInput, match=rf"{name}: is a (Git LFS pointer|web page), not the file itself"):
        SketchRNN.from_pretrained(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("make_odd", [make_pipe, make_device])
@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_pipe_or_a_device_in_place_of_a_file_is_refused_at_once(tmp_path, name, make_odd):
    path = saved(tmp_path) / name
    path.unlink()
    make_odd(path)
    with pytest.raises(BadInput, match=rf"{name}: is a (named pipe|device), expected a regular file"):
        SketchRNN.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["bird.gen.json", "sketch_rnn.zip", "vector-1000.index", "vector-1000.data-00000-of-00001", "vector-1000", "."],
)
def test_a_model_of_magentas_comes_with_the_command_that_converts_it(tmp_path, name):
    for file in ("bird.gen.json", "sketch_rnn.zip", "vector-1000.index", "vector-1000.data-00000-of-00001"):
        (tmp_path / file).touch()
    path = tmp_path / name
    with pytest.raises(BadInput, match=rf"convert it first: python -m weight_port convert {re.escape(str(path))} DIR$"):
        SketchRNN.from_pretrained(path)


def test_another_file_in_place_of_the_folder_is_refused(tmp_path):
    (saved(tmp_path)).joinpath("notes.txt").touch()
    for name in ("notes.txt", WEIGHTS_FILE):
        with pytest.raises(BadInput, match=rf"{name}: is a file, expected the folder of a saved model, which holds"):
            SketchRNN.from_pretrained(tmp_path / name)


def test_names_in_a_config_are_shown_escaped_and_cut(tmp_path):
    config = saved(tmp_path) / CONFIG_FILE
    for name in ("a\nerror: b\x1b[31mRED", "x" * 5000):
        config.write_text(json.dumps({"dec_model": "lstm", name: 1}))
        with pytest.raises(BadInput) as caught:
            SketchRNN.from_pretrained(tmp_path)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1500
    for value in ("x\n" * 5000, [[1] * 5000], {"x": "y" * 5000}):
        config.write_text(json.dumps({"dec_model": value}))
        with pytest.raises(BadInput, match=r"dec_model is .*\.\.\., expected (a string|one of .*)$") as caught:
            SketchRNN.from_pretrained(tmp_path)
        assert str(caught.value).isprintable()


def test_a_missing_folder_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=re.escape(str(tmp_path / "none" / CONFIG_FILE))):
        SketchRNN.from_pretrained(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"z_size": 5}, r"does not fit config.json: .*encoder.mu.b is \[4\], expected \[5\]"),
        ({"conditional": False}, "does not fit config.json: unknown decoder.initial.b, "),
        ({"dec_model": "hyper"}, "does not fit config.json: missing decoder.cell.hyper_"),
        ({"dec_rnn_size": 1_000_000}, r"decoder.output_w is \[7, 21\], expected \[1000000, 21\]"),
    ],
)
def test_a_config_that_contradicts_the_weights_is_bad_input(tmp_path, change, expected):
    config = saved(tmp_path) / CONFIG_FILE
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(BadInput, match=expected):
        SketchRNN.from_pretrained(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), safetensors.SafetensorError("disk full")])
def test_a_failed_save_keeps_both_old_files(tmp_path, monkeypatch, error):
    before = contents(saved(tmp_path))

    def fail(weights: dict, path: Path) -> None:
        Path(path).write_bytes(b"half of the weights")
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    expected = f"^{re.escape(str(tmp_path / WEIGHTS_FILE))}: cannot be written .*(No space left|disk full)"
    with pytest.raises(BadInput, match=expected):
        make(z_size=9).save_pretrained(tmp_path)
    assert contents(tmp_path) == before


def test_if_the_config_cannot_be_replaced_the_weights_are_not_either(tmp_path):
    before = saved(tmp_path / "old").joinpath(WEIGHTS_FILE).read_bytes()
    (tmp_path / "new" / CONFIG_FILE).mkdir(parents=True)
    (tmp_path / "new" / WEIGHTS_FILE).write_bytes(before)
    with pytest.raises(BadInput, match=r"config\.json: cannot be written"):
        make(z_size=9).save_pretrained(tmp_path / "new")
    assert (tmp_path / "new" / WEIGHTS_FILE).read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.complex64, "float32"])
def test_another_dtype_is_bad_input(tmp_path, dtype):
    with pytest.raises(BadInput, match=f"^dtype is {dtype}, expected torch.float32, torch.float64 or None"):
        SketchRNN.from_pretrained(saved(tmp_path), dtype=dtype)


@pytest.mark.parametrize("device", ["blah", "", "meta", "cuda:999"])
def test_a_device_that_cannot_be_used_is_bad_input(tmp_path, device):
    with pytest.raises(BadInput, match=f"^device {device} cannot be used: .{{1,60}}$"):
        SketchRNN.from_pretrained(saved(tmp_path), device=device)


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch has CUDA")
def test_requesting_cuda_from_a_torch_without_it_is_bad_input_that_says_so(tmp_path):
    with pytest.raises(BadInput, match=r"^device cuda cannot be used: this torch has no CUDA$"):
        SketchRNN.from_pretrained(saved(tmp_path), device="cuda")


def test_a_model_folder_that_cannot_be_created_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput, match=f"^{re.escape(str(folder))}: cannot be made"):
            make().save_pretrained(folder)
    assert contents(tmp_path) == {"file": b"in the way"}


def test_weights_are_not_saved_beside_the_optimizers_state_of_others(tmp_path):
    model = make()
    model.save_pretrained(tmp_path)
    safetensors.torch.save_file({"beta1_power": torch.tensor(0.9)}, tmp_path / "optimizer.safetensors")
    model.scale_factor = 4.0
    model.save_pretrained(tmp_path)  # the weights are the same
    assert SketchRNN.from_pretrained(tmp_path).scale_factor == 4.0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with torch.no_grad():
        model.decoder.output_b[0] += 1
    with pytest.raises(
        BadInput, match=r"holds optimizer\.safetensors, which belongs to other weights; save into another"
    ):
        model.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "optimizer.safetensors").unlink()
    model.save_pretrained(tmp_path)
    assert torch.equal(SketchRNN.from_pretrained(tmp_path).decoder.output_b, model.decoder.output_b)
