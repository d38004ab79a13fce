"""The decoder's step outside of this package: by torch.export, and by ONNX Runtime, for every cell."""

import numpy as np
import pytest
import torch
from small_models import B, M, Z, every_combination, make

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import CELL_TYPES
from pytorch_sketch_rnn.model.decoder_step import example_inputs, export_onnx, export_step, state_names
from pytorch_sketch_rnn.model.mixture import PARAMETERS

STEPS = 5
CLOSE = 1e-5  # of ONNX Runtime's float32, relative to the largest magnitude; 4e-7 were seen


def sequence(model, dtype=torch.float64):
    """Points and latent vectors, and what our decoder computes at each step."""
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(B, STEPS, 5, dtype=dtype, generator=generator)
    z = torch.randn(B, Z, dtype=dtype, generator=generator) if model.hparams.conditional else None
    with torch.no_grad():
        mixture = model.decode(points, z)
        start = model.decoder.initial_state(z, B)
    expected = [{name: getattr(mixture, name)[:, step] for name in PARAMETERS} for step in range(STEPS)]
    return points, z, start, expected


@every_combination
def test_torch_export(enc_model, dec_model):
    model = make(enc_model, dec_model, layer_norm_epsilon=0.01)
    points, z, state, expected = sequence(model)
    step = export_step(model).module()
    for t in range(STEPS):
        latent = () if z is None else (z,)
        results = step(points[:, t], *latent, *state)
        for name, value in zip(PARAMETERS, results, strict=False):
            assert torch.allclose(value, expected[t][name], rtol=1e-12, atol=1e-12), (t, name)
        state = results[len(PARAMETERS) :]
        assert len(state) == len(state_names(model))


@pytest.mark.parametrize("dec_model", CELL_TYPES)
@pytest.mark.parametrize("enc_model", ["lstm", None])
def test_onnx(tmp_path, enc_model, dec_model):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = make(enc_model, dec_model, torch.float32, layer_norm_epsilon=0.01)
    points, z, start, expected = sequence(model.double())
    paths = export_onnx(model.float(), tmp_path / "new/onnx")
    names = ["decoder_step.onnx"] + ["initial_state.onnx"] * (enc_model is not None)
    assert [path.name for path in paths] == names
    sessions = [runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in paths]
    assert [each.name for each in sessions[0].get_inputs()] == list(example_inputs(model))
    latent = {} if z is None else {"z": z.float().numpy()}
    state = [field.float().numpy() for field in start]
    if enc_model is not None:
        found = sessions[1].run(None, latent)
        for value, field in zip(found, start, strict=True):
            assert np.abs(value - field.numpy()).max() <= CLOSE
        state = found
    for t in range(STEPS):
        given = {"point": points[:, t].float().numpy(), **latent, **dict(zip(state_names(model), state, strict=True))}
        outputs = sessions[0].run(None, given)
        for name, value in zip(PARAMETERS, outputs, strict=False):
            truth = expected[t][name].numpy()
            assert value.shape == (B, 3 if name == "pen" else M)
            assert np.abs(value - truth).max() <= CLOSE * np.abs(truth).max(), (t, name)
        state = outputs[len(PARAMETERS) :]


def test_without_the_packages_there_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(BadInput, match=r"ONNX needs more packages: pip install \"pytorch-sketch-rnn\[onnx\]\""):
        export_onnx(make(), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
