"""alexis-jacq/Pytorch-Sketch-RNN, from the folder that ``JACQ_SKETCH_RNN`` names (a clone; commit 5c3e213 was used).

The port is one script, which reads its data set and sets its global sizes ``hp`` and ``Nmax`` when it is imported. As
published it does not run: a bracket is missing, a name is not imported, and it indexes a loss as PyTorch 0.3 allowed.
The adapter closes the bracket, supplies the name, and gives the script a data set of one sketch. It does not call the
training loop as a whole, but its parts in the same order: encoder, decoder, both losses, the two clips and the two
optimizers.

The script's decoder takes ``Nmax + 1`` steps and its loss divides by ``Nmax``; here ``Nmax`` is one less than the
number of steps asked for. There is a single loss, which counts the pen of the padding; it is also used for validation.

Not offered, because the port lacks it: all dropout, cells other than the plain one, unconditional models, greedy
sampling.
"""

import random
import types
import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from parity_tests.adapter import Arrays
from parity_tests.examples.numpy_port import pick
from parity_tests.examples.port_folder import port_folder
from parity_tests.examples.torch_port import TorchPort, arrays, given, precision
from pytorch_sketch_rnn.errors import BadInput
from weight_port.torch_layout import Layout, joined, linear, torch_encoder, torch_lstm

UNBALANCED, BALANCED = (
    "torch.zeros(2, batch_size, hp.enc_hidden_size.cuda()",
    "torch.zeros(2, batch_size, hp.enc_hidden_size).cuda()",
)
NAMES = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen")
FIELDS = ("pi", "mu_x", "mu_y", "sigma_x", "sigma_y", "rho_xy", "q")  # what the port calls them


def load_script() -> types.ModuleType:
    """The script as a module.

    Raises:
        BadInput: when the folder is not the port's, or the script cannot be run.
    """
    path = port_folder("JACQ_SKETCH_RNN", "sketch_rnn.py") / "sketch_rnn.py"
    source = path.read_text(encoding="utf-8").replace(UNBALANCED, BALANCED)
    module = types.ModuleType("jacq_sketch_rnn")
    module.Variable = lambda tensor: tensor  # what PyTorch 0.4 made of it
    sketch = np.array([[1, 0, 0], [0, 1, 1]] * 6, np.int16)
    try:
        with (
            mock.patch.object(np, "load", return_value={"train": [sketch]}),
            warnings.catch_warnings(action="ignore"),
        ):
            exec(compile(source, str(path), "exec"), module.__dict__)
        module.EncoderRNN, module.DecoderRNN, module.Model, module.hp  # noqa: B018
    except Exception as error:
        raise BadInput(f"JACQ_SKETCH_RNN: {path} cannot be used ({type(error).__name__}: {error})") from None
    return module


class Adapter(TorchPort):
    """The whole port."""

    name = "alexis-jacq/Pytorch-Sketch-RNN"

    def __init__(self) -> None:
        self.port = load_script()

    @torch.no_grad()
    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """Output and new state of torch's LSTM, which is the port's cell; the mask is ignored."""
        if kind != "lstm":
            raise NotImplementedError(f"the port has no {kind} cell")
        units = len(weights["W_hh"])
        values = torch_lstm("scope", "lstm", units).to_port({f"scope/{name}": v for name, v in weights.items()})
        lstm = nn.LSTM(x.shape[1], units, dtype=torch.tensor(x).dtype)
        lstm.load_state_dict({name.removeprefix("lstm."): torch.tensor(value) for name, value in values.items()})
        c, h = (part.unsqueeze(0).contiguous() for part in torch.tensor(state).chunk(2, dim=1))
        output, (h, c) = lstm(torch.tensor(x).unsqueeze(0), (h, c))
        return arrays({"output": output[0], "state": torch.cat([c[0], h[0]], dim=1)})

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """The port's two modules, and torch's Adam of each."""
        if not hparams["conditional"] or {hparams["enc_model"], hparams["dec_model"]} != {"lstm"}:
            raise NotImplementedError("the port has conditional models of plain cells alone")
        self.dtype = torch.tensor(variables["vector_rnn/RNN/output_w"]).dtype
        self.hparams = hparams
        with precision(self.dtype):
            self.model = self._make(hparams)
        self.layout = model_layout(hparams)
        modules = nn.ModuleDict({"encoder": self.model.encoder, "decoder": self.model.decoder})
        self.take(modules, [self.model.encoder_optimizer, self.model.decoder_optimizer], variables)

    def _make(self, hparams: Mapping[str, Any]) -> Any:
        hp = self.port.hp
        hp.enc_hidden_size, hp.dec_hidden_size = hparams["enc_rnn_size"], hparams["dec_rnn_size"]
        hp.Nz, hp.M, hp.KL_min, hp.wKL = hparams["z_size"], hparams["num_mixture"], hparams["kl_tolerance"], 1.0
        hp.grad_clip = hparams["grad_clip"]
        with warnings.catch_warnings(action="ignore"):  # dropout of a single layer, which does nothing
            model = self.port.Model()
        model.eta_step = 1.0  # the weight of the KL cost comes with each step
        return model

    def _encode(self, strokes: Tensor, latent: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        with precision(self.dtype), given("normal", latent):
            return self.model.encoder(strokes.transpose(0, 1), len(strokes))

    @torch.no_grad()
    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """mu, presig and z. The port reads the padding too."""
        z, mu, presig = self._encode(torch.tensor(strokes), draws["latent"])
        return arrays({"mu": mu, "presig": presig, "z": z})

    def _decode(self, inputs: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Sets the model's mixture [T, B, ...]; returns it under Magenta's names [B, T, ...]."""
        steps = inputs.shape[1]
        self.port.Nmax = steps - 1
        self.model.decoder.train()  # the port's way to take a whole sketch
        stacked = torch.cat([inputs.transpose(0, 1), torch.stack([z] * steps)], 2)
        seen: list[Tensor] = []
        hook = self.model.decoder.fc_params.register_forward_hook(lambda _, __, answer: seen.append(answer))
        with precision(self.dtype), warnings.catch_warnings(action="ignore"):  # softmax without an axis
            answer = self.model.decoder(stacked, z)
        hook.remove()
        for field, value in zip(FIELDS, answer, strict=False):
            setattr(self.model, field, value)
        logits = seen[0][:, -3:].reshape(steps, -1, 3)
        mixture = dict(zip(NAMES, answer, strict=False)) | {"pen_logits": logits}
        return {name: value.transpose(0, 1) for name, value in mixture.items()}

    @torch.no_grad()
    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Mixture and pen; masks are ignored."""
        return arrays(self._decode(torch.tensor(inputs), torch.tensor(z)))

    @torch.no_grad()
    def loss(
        self, mixture: Arrays, targets: np.ndarray, latent: Mapping[str, np.ndarray] | None, *, is_training: bool
    ) -> Arrays:
        """Both costs."""
        for field, name in zip(FIELDS, NAMES, strict=True):
            setattr(self.model, field, torch.tensor(mixture[name]).transpose(0, 1))
        self.model.mu, self.model.sigma = torch.tensor(latent["mu"]), torch.tensor(latent["presig"])
        return arrays(self._costs(torch.tensor(targets)))

    def _costs(self, targets: Tensor) -> dict[str, Tensor]:
        """The costs of the model's mixture and latent vector, with the masks that the port's ``make_target`` makes."""
        self.port.Nmax, self.port.hp.batch_size = targets.shape[1] - 1, len(targets)
        self.port.hp.Nz = self.hparams["z_size"]
        steps = targets.transpose(0, 1)
        mask, pen = 1 - steps[..., 4], steps[..., 2:]
        dx, dy = (torch.stack([steps[..., axis]] * self.port.hp.M, 2) for axis in (0, 1))
        with precision(self.dtype):
            r_cost = self.model.reconstruction_loss(mask, dx, dy, pen, 0)
            kl_cost = self.model.kullback_leibler_loss()
        return {"r_cost": r_cost, "kl_cost": kl_cost.reshape(())}

    def train_step(
        self, sketches: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray], lr: float, kl_weight: float
    ) -> Arrays:
        """One step, in the parts of the port's ``Model.train``."""
        data = torch.tensor(sketches)
        z, self.model.mu, self.model.sigma = self._encode(data[:, 1:], draws["latent"])
        forward = {"mu": self.model.mu, "presig": self.model.sigma, "z": z} | self._decode(data[:, :-1], z)
        costs = self._costs(data[:, 1:])
        cost = costs["r_cost"] + kl_weight * costs["kl_cost"]
        return arrays(forward | costs | {"cost": cost}) | self.clipped_step(cost, self._clip, lr)

    def _clip(self) -> None:
        bound = self.port.hp.grad_clip
        with warnings.catch_warnings(action="ignore"):  # the name that the port calls is deprecated
            nn.utils.clip_grad_norm(self.model.encoder.parameters(), bound)
            nn.utils.clip_grad_norm(self.model.decoder.parameters(), bound)

    @torch.no_grad()
    def sample(
        self, seq_len: int, temperature: float, greedy: bool, uniform: random.Random, normal: np.random.RandomState
    ) -> Arrays:
        """One sketch, past its end as Magenta goes; the port draws in Magenta's order."""
        if greedy:
            raise NotImplementedError("the port has no greedy sampling")
        self.port.hp.temperature = temperature
        z = torch.tensor(normal.randn(1, self.hparams["z_size"])).to(self.dtype)
        drawing = SimpleNamespace(
            choice=lambda _, p: pick(uniform.random(), p, 1.0, False),
            multivariate_normal=lambda mean, cov, _: normal.multivariate_normal(np.double(mean), np.double(cov), 1),
        )
        functions = {name: getattr(np, name) for name in ("log", "exp", "sqrt", "pi")}
        self.model.decoder.eval()
        point, state, steps = torch.tensor([0.0, 0, 1, 0, 0]).view(1, 1, 5).to(self.dtype), None, []
        with (
            precision(self.dtype),
            warnings.catch_warnings(action="ignore"),
            mock.patch.object(self.port, "np", SimpleNamespace(random=drawing, **functions)),
        ):
            for _ in range(seq_len):
                *fields, h, c = self.model.decoder(torch.cat([point, z.unsqueeze(0)], 2), z, state)
                state = (h, c)
                here = arrays({name: value[0, 0] for name, value in zip(NAMES, fields, strict=True)})
                for field, value in zip(FIELDS, fields, strict=True):
                    setattr(self.model, field, value.clone())  # the port scales its deviations in place
                drawn = self.model.sample_next_state()[0].to(torch.float32)
                point = drawn.to(self.dtype)
                steps.append(here | {"strokes": drawn[0, 0].numpy()})
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}

    def schedules(self, hparams: Mapping[str, Any], step: int) -> tuple[float, float]:
        """The rate after ``lr_decay``, and the KL weight, which ``Model.train`` sets to the same value at each step."""
        hp = self.port.hp
        hp.min_lr, hp.lr_decay, hp.eta_min = (
            hparams["min_learning_rate"],
            hparams["decay_rate"],
            hparams["kl_weight_start"],
        )
        optimizer = SimpleNamespace(param_groups=[{"lr": hparams["learning_rate"]}])
        for _ in range(step):
            self.port.lr_decay(optimizer)
        eta = 1 - (1 - hp.eta_min) * hparams["kl_decay_rate"]
        return optimizer.param_groups[0]["lr"], hparams["kl_weight"] * eta

    def initial(self, hparams: Mapping[str, Any], seed: int) -> Arrays:
        """torch's defaults."""
        if not hparams["conditional"] or {hparams["enc_model"], hparams["dec_model"]} != {"lstm"}:
            raise NotImplementedError("the port has conditional models of plain cells alone")
        torch.manual_seed(seed)
        model = self._make(hparams)
        modules = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
        return model_layout(hparams).to_official(arrays(dict(modules.named_parameters())))


def model_layout(hparams: Mapping[str, Any]) -> Layout:
    """The port's layout of Magenta's variables; the output has one block for each component, the pen last."""
    units, z_size, m = hparams["dec_rnn_size"], hparams["z_size"], hparams["num_mixture"]
    c, h = np.arange(2 * units).reshape(2, units)
    output = np.concatenate([3 + np.arange(6 * m).reshape(6, m).T.ravel(), np.arange(3)])
    return joined(
        [
            torch_encoder("encoder.lstm", hparams["enc_rnn_size"]),
            linear("vector_rnn/ENC_RNN_mu", "encoder.fc_mu", np.arange(z_size)),
            linear("vector_rnn/ENC_RNN_sigma", "encoder.fc_sigma", np.arange(z_size)),
            linear("vector_rnn/linear", "decoder.fc_hc", np.concatenate([h, c])),
            torch_lstm("vector_rnn/RNN/LSTMCell", "decoder.lstm", units),
            linear("vector_rnn/RNN", "decoder.fc_params", output, parts="output"),
        ]
    )
