"""A state dict of rfeinman/Sketch-RNN becomes a model that computes what the port computes.

The port's equations stand here once more, in torch's terms: its encoder is ``torch.nn.LSTM``, its layer norms are
``torch.nn.functional.layer_norm``. With ``RFEINMAN_SKETCH_RNN``, the folder of a clone, the port itself is asked too.
"""

import io
import os
import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_files import WEIGHTS_ALONE, call
from safetensors.numpy import load_file
from torch import nn

from parity_tests.examples.port_folder import import_port
from pytorch_sketch_rnn.hparams import CELL_TYPES
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port import rfeinman

INPUTS, ENC, UNITS, Z, M, INNER, EMBEDDING, T = 5, 6, 8, 4, 3, 7, 2, 5
NAMES = ("mu1", "mu2", "sigma1", "sigma2")
every_kind = pytest.mark.parametrize("kind", CELL_TYPES)


def state_dict(kind: str, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    """A state dict as the port's trainer saves it, of random numbers."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    shapes = {
        f"encoder.rnn.{name}_l0{side}": shape
        for side in ("", "_reverse")
        for name, shape in {
            "weight_ih": (4 * ENC, 5), "weight_hh": (4 * ENC, ENC), "bias_ih": (4 * ENC,), "bias_hh": (4 * ENC,),
        }.items()
    }  # fmt: skip
    shapes |= {"encoder.output.weight": (2 * Z, 2 * ENC), "encoder.output.bias": (2 * Z,)}
    cell = cell_shapes(INPUTS + Z, UNITS, "cell", norm=kind != "lstm")
    if kind == "hyper":
        cell |= cell_shapes(INPUTS + Z, INNER, "cell.hyper_cell", norm=True)
        for side, gate in [(side, gate) for side in "xh" for gate in range(4)]:
            norm = f"cell.norms_{side}.{gate}"
            cell |= {f"{norm}.scale_net.0.weight": (EMBEDDING, INNER), f"{norm}.scale_net.0.bias": (EMBEDDING,)}
            cell |= {f"{norm}.scale_net.1.weight": (UNITS, EMBEDDING)}
            if side == "h":
                cell |= {
                    f"{norm}.bias_net.0.weight": (EMBEDDING, INNER),
                    f"{norm}.bias_net.1.weight": (UNITS, EMBEDDING),
                }
    states = 2 * (UNITS + (INNER if kind == "hyper" else 0))
    shapes |= cell | {"init.weight": (states, Z), "init.bias": (states,)}
    shapes |= {"param_layer.linear.weight": (6 * M + 3, UNITS), "param_layer.linear.bias": (6 * M + 3,)}
    found = {name: random(*shape) for name, shape in shapes.items()}
    found |= {f"decoder.{name}": found[name] for name in cell}
    return found | {"loss_kl.factor": torch.tensor(0.7)}


def cell_shapes(inputs: int, units: int, scope: str, *, norm: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (4 * units, inputs), "weight_hh": (4 * units, units)}
    if norm:
        shapes |= {"layernorm_h.weight": (4 * units,), "layernorm_h.bias": (4 * units,)}
        shapes |= {"layernorm_c.weight": (units,), "layernorm_c.bias": (units,)}
    else:
        shapes["bias"] = (4 * units,)
    return {f"{scope}.{name}": shape for name, shape in shapes.items()}


class Port:
    """What the port computes with a state dict, in evaluation."""

    def __init__(self, kind, weights):
        self.kind, self.w = kind, weights
        self.encoder = nn.LSTM(5, ENC, bidirectional=True, batch_first=True).double()
        prefix = "encoder.rnn."
        self.encoder.load_state_dict({n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)})

    def linear(self, name, x):
        return nn.functional.linear(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"))

    def encode(self, sketch):
        _, (last, _) = self.encoder(sketch)
        return self.linear("encoder.output", torch.cat([*last], dim=1)).chunk(2, dim=1)

    def norm(self, name, x):
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def norm_gates(self, scope, x):
        by_gate = nn.functional.layer_norm(x.unflatten(1, (4, -1)), (x.shape[1] // 4,)).flatten(1)
        return by_gate * self.w[f"{scope}.layernorm_h.weight"] + self.w[f"{scope}.layernorm_h.bias"]

    def step(self, scope, gates, c, *, norm):
        i, f, o, g = gates.chunk(4, dim=1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.norm(f"{scope}.layernorm_c", c) if norm else c), c

    def normed_cell(self, scope, x, h, c):
        gates = x @ self.w[f"{scope}.weight_ih"].T + h @ self.w[f"{scope}.weight_hh"].T
        return self.step(scope, self.norm_gates(scope, gates), c, norm=True)

    def hyper_cell(self, x, h, c):
        (h, inner_h), (c, inner_c) = (each.split([UNITS, INNER], dim=1) for each in (h, c))
        inner_h, inner_c = self.normed_cell("cell.hyper_cell", x, inner_h, inner_c)
        from_x, from_h = (x @ self.w["cell.weight_ih"].T).chunk(4, 1), (h @ self.w["cell.weight_hh"].T).chunk(4, 1)
        gates = []
        for n, (of_x, of_h) in enumerate(zip(from_x, from_h, strict=True)):
            scale = [self.two(f"cell.norms_{side}.{n}.scale_net", inner_h) for side in "xh"]
            gates.append(scale[0] * of_x + scale[1] * of_h + self.two(f"cell.norms_h.{n}.bias_net", inner_h))
        h, c = self.step("cell", self.norm_gates("cell", torch.cat(gates, dim=1)), c, norm=True)
        return h, torch.cat([h, inner_h], dim=1), torch.cat([c, inner_c], dim=1)

    def two(self, name, x):
        return self.linear(f"{name}.1", self.linear(f"{name}.0", x))

    def decode(self, inputs, z):
        h, c = torch.tanh(self.linear("init", z)).chunk(2, dim=1)
        outputs = []
        for x in inputs.unbind(1):
            x = torch.cat([x, z], dim=1)
            if self.kind == "hyper":
                output, h, c = self.hyper_cell(x, h, c)
            elif self.kind == "layer_norm":
                output, c = h, _ = self.normed_cell("cell", x, h, c)
                h = output
            else:
                gates = x @ self.w["cell.weight_ih"].T + h @ self.w["cell.weight_hh"].T + self.w["cell.bias"]
                output, c = self.step("cell", gates, c, norm=False)
                h = output
            outputs.append(output)
        pi, means, scales, corr, pen = self.linear("param_layer.linear", torch.stack(outputs, 1)).split(
            [M, 2 * M, 2 * M, M, 3], dim=-1
        )
        pairs = [*means.unflatten(-1, (M, 2)).unbind(-1), *scales.unflatten(-1, (M, 2)).exp().unbind(-1)]
        parts = {"pi": pi.softmax(-1), "corr": corr.tanh(), "pen": pen.softmax(-1)}
        return parts | dict(zip(NAMES, pairs, strict=True))


def saved(path, weights):
    torch.save(weights, path)
    return path


def sketches(generator_seed=2):
    generator = torch.Generator().manual_seed(generator_seed)
    return torch.randn(3, T, 5, generator=generator, dtype=torch.float64)


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= 1e-13 * max(1.0, float(theirs.abs().max()))  # measured: 3e-15


@every_kind
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_the_converted_model_computes_what_the_port_computes(tmp_path, capsys, kind, backend):
    weights = state_dict(kind)
    assert call("convert", saved(tmp_path / "model.pt", weights), tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == WEIGHTS_ALONE
    told = capsys.readouterr().out
    assert ("layer_norm_epsilon=1e-05" in told) is (kind != "lstm")
    repeated = sum(name.startswith("decoder.cell.") for name in weights)
    assert f"{repeated} tensors under decoder.cell repeat those under cell" in told
    assert "loss_kl.factor, the state of its KL weight, is left out" in told
    model, port, x = SketchRNN.from_pretrained(tmp_path / "out", backend=backend), Port(kind, weights), sketches()
    with torch.no_grad():
        mu, presig = model.encode(x, [T] * len(x))
        for ours, theirs in zip((mu, presig), port.encode(x), strict=True):
            assert_close(ours, theirs)
        ours, theirs = model.decode(x, mu).parameters(), port.decode(x, mu)
    for name, value in theirs.items():
        assert_close(ours[name], value)


@every_kind
def test_every_number_of_the_file_is_used(tmp_path, kind):
    """A change of any tensor changes the converted model, and is not undone by another."""
    weights = state_dict(kind)
    variables = rfeinman.read_model(saved(tmp_path / "model.pt", weights)).variables
    for name in weights:
        if name == "loss_kl.factor" or name.startswith("decoder."):
            continue
        changed = {n: v + (n.removeprefix("decoder.") == name) for n, v in weights.items()}
        others = rfeinman.read_model(saved(tmp_path / "changed.pt", changed)).variables
        differing = {official: (others[official] != value).sum() for official, value in variables.items()}
        assert sum(differing.values()) == weights[name].numel(), name


def test_what_is_no_model_of_the_port_is_refused_in_one_line(tmp_path, capsys):
    weights = state_dict("layer_norm", torch.float32)
    less = {name: value for name, value in weights.items() if "layernorm_c" not in name}
    other = weights | {"decoder.cell.weight_hh": weights["cell.weight_hh"] + 1}
    wide = weights | {
        "cell.weight_ih": torch.zeros(4 * UNITS, 99),
        "decoder.cell.weight_ih": torch.zeros(4 * UNITS, 99),
    }
    cases = {
        "missing (2): cell.layernorm_c.weight, cell.layernorm_c.bias": less,
        "unknown (1): more": weights | {"more": torch.zeros(1)},
        "of another shape (1): cell.weight_ih is [32, 99], expected [32, 9]": wide,
        "'decoder.cell.weight_hh' is not the same as 'cell.weight_hh', which it repeats": other,
        "encoder.rnn.weight_hh_l0 is missing": {n: v for n, v in weights.items() if not n.startswith("encoder")},
        "holds torch.float16, expected a dense tensor of float32 or float64": weights
        | {"init.bias": torch.zeros(1).half()},
        "'epoch' is of type int": weights | {"epoch": 3},
        "is the state of an optimizer; give the file of the weights beside it": {"state": {}, "param_groups": []},
        "holds list, expected a state dict": [1, 2],
        "its matrices do not fit each other": weights | {"init.weight": torch.zeros(16, 900_000)},
    }
    for what, content in cases.items():
        assert call("convert", saved(tmp_path / "model.pt", content), tmp_path / "out") == 2, what
        message = capsys.readouterr().err
        assert what in message
        assert message.count("\n") == 1
        assert not (tmp_path / "out").exists()


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile-was-here",)


def test_a_hostile_file_runs_nothing_and_takes_no_memory(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    saved(path, {"cell.weight_hh": Hostile()})
    assert call("convert", path, "out") == 2
    assert "cannot be read safely" in capsys.readouterr().err
    path.write_bytes(pickle.dumps(Hostile()))
    assert call("convert", path, "out") == 2
    assert "is not in the form that torch.save writes since version 1.6" in capsys.readouterr().err
    expanded = {"init.weight": torch.zeros(1, 1).expand(10**6, 10**6)}  # a few bytes that claim 4 TB
    saved(path, expanded)
    assert call("convert", path, "out") == 2
    assert "'init.weight' has more numbers than the file, [1000000, 1000000]" in capsys.readouterr().err
    whole = io.BytesIO()
    torch.save(state_dict("lstm"), whole)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    assert call("convert", path, "out") == 2
    assert "holds compressed members" in capsys.readouterr().err
    path.write_bytes(whole.getvalue()[:-500])
    assert call("convert", path, "out") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "hostile-was-here").exists()
    assert not (tmp_path / "out").exists()


def test_a_flag_cannot_contradict_the_epsilon_of_the_port(tmp_path, capsys):
    path = saved(tmp_path / "model.pt", state_dict("layer_norm"))
    assert call("convert", path, tmp_path / "out", "--set", "layer_norm_epsilon=0.001") == 2
    assert "layer_norm_epsilon: --set says 0.001, every model of this format has 1e-05" in capsys.readouterr().err


@every_kind
def test_only_plain_cells_go_to_magenta(tmp_path, capsys, kind):
    assert call("convert", saved(tmp_path / "model.pt", state_dict(kind, torch.float32)), tmp_path / "out") == 0
    capsys.readouterr()
    code = call("export", tmp_path / "out", tmp_path / "back", "--format", "tf")
    assert code == (0 if kind == "lstm" else 2)
    if kind == "layer_norm":
        wanted = "layer_norm_epsilon=1e-05: Magenta's layer norms always add 0.001 to the variance"
        assert wanted in capsys.readouterr().err
    if kind == "lstm":
        assert call("convert", tmp_path / "back", tmp_path / "again") == 0
        before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "again"))
        assert all(np.array_equal(after[name], value) for name, value in before.items())


@every_kind
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")
@pytest.mark.skipif("RFEINMAN_SKETCH_RNN" not in os.environ, reason="RFEINMAN_SKETCH_RNN names no clone of the port")
def test_a_model_of_the_port_itself_gives_its_numbers(tmp_path, kind):
    port = import_port("RFEINMAN_SKETCH_RNN", "sketch_rnn", alias="rfeinman_sketch_rnn")
    hps = SimpleNamespace(
        dec_model=kind, enc_model="lstm", enc_rnn_size=ENC, dec_rnn_size=UNITS, z_size=Z, num_mixture=M, r_dropout=0.1,
        max_seq_len=T, kl_weight=0.5, kl_weight_start=0.01, kl_decay_rate=0.9, kl_tolerance=0.2, reg_covar=1e-6,
    )  # fmt: skip
    torch.manual_seed(3)
    theirs = port.SketchRNN(hps).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    assert call("convert", saved(tmp_path / "model.pt", theirs.state_dict()), tmp_path / "out") == 0
    ours, x = SketchRNN.from_pretrained(tmp_path / "out"), sketches()
    lengths = torch.tensor([T, 1, 3])
    with torch.no_grad():
        z, mu, presig = theirs.encoder(x, lengths)
        for one, other in zip(ours.encode(x, lengths), (mu, presig), strict=True):
            assert_close(one, other)
        inputs = torch.cat([x, z[:, None].expand(-1, T, -1)], dim=2)
        state = torch.tanh(theirs.init(z)).chunk(2, dim=-1)
        log_pi, means, scales, corr, log_pen = theirs.param_layer(theirs.decoder(inputs, state)[0])
        mixture = ours.decode(x, z).parameters()
    expected = {"pi": log_pi.exp(), "mu1": means[..., 0], "mu2": means[..., 1], "corr": corr, "pen": log_pen.exp()}
    for name, value in (expected | {"sigma1": scales[..., 0], "sigma2": scales[..., 1]}).items():
        assert_close(mixture[name], value)
