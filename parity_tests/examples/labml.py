"""labml's annotated implementations, from the folder that ``LABML_NN`` names: one that holds ``labml_nn``.

A clone of labmlai/annotated_deep_learning_paper_implementations at commit e6b3c8a was used. It needs the packages
``labml`` and ``einops``, which are installed beside it.

The model, ``labml_nn.sketch_rnn``, has plain cells alone, torch's. The cells that are judged on their own are
``labml_nn.lstm.LSTMCell``, without and with layer norm, and ``labml_nn.hypernetworks.hyper_lstm.HyperLSTMCell``, which
a user would take for the other two decoders. What the port's ``Configs.step`` does inside its experiment framework is
called here in the same order: encoder, decoder, both losses, the two clips, the optimizer.

The port's encoder reads the start token before the strokes, and the adapter puts it there, as the port's data set does.
The loss is the same in training and in validation. Not offered, because the port lacks it: all dropout,
a floor of the KL cost, unconditional models, greedy sampling.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from parity_tests.adapter import Arrays, Batch, Data
from parity_tests.examples import labml_layout
from parity_tests.examples.numpy_port import pick
from parity_tests.examples.port_folder import import_named
from parity_tests.examples.torch_port import TorchPort, arrays, given, precision

START = (0.0, 0.0, 1.0, 0.0, 0.0)


class Adapter(TorchPort):
    """Cells and model."""

    name = "labml_nn"

    def __init__(self) -> None:
        self.port = import_named("LABML_NN", "labml_nn.sketch_rnn")
        self.lstm = import_named("LABML_NN", "labml_nn.lstm")
        self.hyper = import_named("LABML_NN", "labml_nn.hypernetworks.hyper_lstm")

    @torch.no_grad()
    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """Output and new state; the mask is ignored."""
        units, inputs = len(weights["W_hh"]), torch.tensor(x)
        if kind == "hyper":
            hidden, embedding = weights["hyper_ix/zw/super_linear_w"].shape
            cell = self.hyper.HyperLSTMCell(x.shape[1], units, hidden, embedding)
            values = labml_layout.hyper_cell(weights)
            h, hyper_h, c, hyper_c = torch.tensor(state).split([units, hidden] * 2, dim=1)
            states = (h, c, hyper_h, hyper_c)
        else:
            cell = self.lstm.LSTMCell(x.shape[1], units, layer_norm=kind == "layer_norm")
            values = (labml_layout.norm_cell if kind == "layer_norm" else labml_layout.plain_cell)(weights)
            first, second = torch.tensor(state).chunk(2, dim=1)
            states = (second, first) if kind == "lstm" else (first, second)
        cell.to(inputs.dtype).load_state_dict({name: torch.tensor(value) for name, value in values.items()})
        h, c, *inner = cell(inputs, *states)
        packed = [c, h] if kind == "lstm" else [h, *inner[:1], c, *inner[1:]]
        return arrays({"output": h, "state": torch.cat(packed, dim=1)})

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """The port's two modules, and torch's Adam of both."""
        self.dtype = torch.tensor(variables["vector_rnn/RNN/output_w"]).dtype
        self.hparams = hparams
        with precision(self.dtype):
            self.modules = self._make(hparams)
        self.encoder, self.decoder = self.modules["encoder"], self.modules["decoder"]
        self.layout = labml_layout.model_layout(hparams)
        self.take(self.modules, [torch.optim.Adam(self.modules.parameters())], variables)

    def _make(self, hparams: Mapping[str, Any]) -> nn.ModuleDict:
        if not hparams["conditional"] or {hparams["enc_model"], hparams["dec_model"]} != {"lstm"}:
            raise NotImplementedError("the port has conditional models of plain cells alone")
        z_size = hparams["z_size"]
        encoder = self.port.EncoderRNN(z_size, hparams["enc_rnn_size"])
        decoder = self.port.DecoderRNN(z_size, hparams["dec_rnn_size"], hparams["num_mixture"])
        return nn.ModuleDict({"encoder": encoder, "decoder": decoder})

    def _encode(self, sketches: Tensor, latent: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        with precision(self.dtype), given("normal", latent):
            return self.encoder(sketches.transpose(0, 1))

    @torch.no_grad()
    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """mu, presig and z. The port reads the start token and the padding too."""
        start = np.broadcast_to(np.array(START, strokes.dtype), (len(strokes), 1, 5))
        z, mu, presig = self._encode(torch.tensor(np.concatenate([start, strokes], axis=1)), draws["latent"])
        return arrays({"mu": mu, "presig": presig, "z": z})

    def _decode(self, inputs: Tensor, z: Tensor) -> tuple[Any, Tensor, dict[str, Tensor]]:
        """The port's mixture and log pen, and both under Magenta's names [B, T, ...]."""
        steps = inputs.transpose(0, 1)
        seen: list[Tensor] = []
        hook = self.decoder.q_head.register_forward_hook(lambda _, __, answer: seen.append(answer))
        with precision(self.dtype):
            dist, log_pen, _ = self.decoder(torch.cat([steps, z.unsqueeze(0).expand(len(steps), -1, -1)], 2), z, None)
        hook.remove()
        mixture = mixture_of(dist, log_pen) | {"pen_logits": seen[0]}
        return dist, log_pen, {name: value.transpose(0, 1) for name, value in mixture.items()}

    @torch.no_grad()
    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Mixture and pen; masks are ignored."""
        return arrays(self._decode(torch.tensor(inputs), torch.tensor(z))[2])

    @torch.no_grad()
    def loss(
        self, mixture: Arrays, targets: np.ndarray, latent: Mapping[str, np.ndarray] | None, *, is_training: bool
    ) -> Arrays:
        """Both costs."""
        m = {name: torch.tensor(value).transpose(0, 1) for name, value in mixture.items() if "/" not in name}
        fields = [m[name] for name in ("mu1", "mu2", "sigma1", "sigma2", "corr")]
        dist = self.port.BivariateGaussianMixture(m["pi"].log(), *fields)
        latents = (torch.tensor(latent[name]) for name in ("presig", "mu"))
        return arrays(self._costs(dist, m["pen_logits"].log_softmax(-1), torch.tensor(targets), *latents))

    def _costs(self, dist: Any, log_pen: Tensor, targets: Tensor, presig: Tensor, mu: Tensor) -> dict[str, Tensor]:
        """The mask is what the port's data set makes of the lengths: on until the first end."""
        steps = targets.transpose(0, 1)
        length = (steps[..., 4] == 0).sum(dim=0)
        mask = (torch.arange(len(steps)).unsqueeze(1) <= length).to(self.dtype)
        r_cost = self.port.ReconstructionLoss()(mask, steps, dist, log_pen)
        return {"r_cost": r_cost, "kl_cost": self.port.KLDivLoss()(presig, mu)}

    def train_step(
        self, sketches: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray], lr: float, kl_weight: float
    ) -> Arrays:
        """One step, as the port's ``Configs.step`` takes it."""
        data = torch.tensor(sketches)
        z, mu, presig = self._encode(data, draws["latent"])
        dist, log_pen, forward = self._decode(data[:, :-1], z)
        costs = self._costs(dist, log_pen, data[:, 1:], presig, mu)
        cost = costs["r_cost"] + kl_weight * costs["kl_cost"]
        result = arrays({"mu": mu, "presig": presig, "z": z} | forward | costs | {"cost": cost})
        return result | self.clipped_step(cost, self._clip, lr)

    def _clip(self) -> None:
        for module in (self.encoder, self.decoder):
            nn.utils.clip_grad_norm_(module.parameters(), self.hparams["grad_clip"])

    @torch.no_grad()
    def sample(
        self, seq_len: int, temperature: float, greedy: bool, uniform: random.Random, normal: np.random.RandomState
    ) -> Arrays:
        """One sketch, past its end as Magenta goes; the port draws in Magenta's order, but a point of each component,
        of which it takes one: here that one alone is drawn."""
        if greedy:
            raise NotImplementedError("the port has no greedy sampling")
        picked: list[int] = []

        def choose(distribution: torch.distributions.Categorical) -> Tensor:
            picked.append(pick(uniform.random(), distribution.probs[0, 0].numpy(), 1.0, False))
            return torch.tensor([[picked[-1]]])

        def point(distribution: torch.distributions.MultivariateNormal) -> Tensor:
            component = picked[-2]  # the pen was picked after it
            mean, covariance = distribution.mean[0, 0, component], distribution.covariance_matrix[0, 0, component]
            drawn = normal.multivariate_normal(mean.double().numpy(), covariance.double().numpy())
            return torch.tensor(drawn).to(self.dtype).expand(distribution.mean.shape)

        z = torch.tensor(normal.randn(1, self.hparams["z_size"])).to(self.dtype)
        stroke, state, steps = torch.tensor(START).to(self.dtype), None, []
        with (
            precision(self.dtype),
            mock.patch.object(torch.distributions.Categorical, "sample", choose),
            mock.patch.object(torch.distributions.MultivariateNormal, "sample", point),
        ):
            for _ in range(seq_len):
                dist, log_pen, state = self.decoder(torch.cat([stroke.view(1, 1, -1), z.unsqueeze(0)], 2), z, state)
                here = arrays({name: value[0, 0] for name, value in mixture_of(dist, log_pen).items()})
                drawn = self.port.Sampler._sample_step(dist, log_pen, temperature).to(torch.float32)
                stroke = drawn.to(self.dtype)
                steps.append(here | {"strokes": drawn.numpy()})
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}

    def schedules(self, hparams: Mapping[str, Any], step: int) -> tuple[float, float]:
        """Neither moves."""
        return hparams["learning_rate"], hparams["kl_weight"]

    def data(
        self,
        sets: Sequence[Mapping[str, list[np.ndarray]]],
        hparams: Mapping[str, Any],
        rng: np.random.RandomState,
        order: Mapping[str, np.ndarray],
    ) -> Data:
        """The port's data sets, of one file. Batches hold what Magenta's permutation picks of the sketches in Magenta's
        order, where the port kept as many."""
        if len(sets) > 1:
            raise NotImplementedError("the port reads one file")
        limit = hparams["max_seq_len"] or max(len(sketch) for split in sets[0].values() for sketch in split)
        train = self.port.StrokesDataset(sets[0]["train"], limit)
        made = {"train": train} | {
            split: self.port.StrokesDataset(sets[0][split], limit, train.scale) for split in ("valid", "test")
        }
        size = hparams["batch_size"]

        def batch(split: str, places: Sequence[int]) -> Batch:
            whole, by_length = made[split], order[split]
            indices = by_length[list(places)] if len(by_length) == len(whole) else list(places)
            sketches = whole.data[torch.as_tensor(indices)].double().numpy()
            lengths = (1 - sketches[:, 1:, 4]).sum(axis=1).astype(np.int64)
            pairs = zip(sketches, lengths, strict=True)
            strokes = [sketch[1 : n + 1, [0, 1, 3]].astype(np.float32) for sketch, n in pairs]
            return strokes, sketches, lengths

        return Data(
            train.scale,
            lambda: batch("train", rng.permutation(len(train))[:size]),
            lambda index: batch("valid", range(index * size, (index + 1) * size)),
            lambda index: batch("test", range(index * size, (index + 1) * size)),
        )

    def initial(self, hparams: Mapping[str, Any], seed: int) -> Arrays:
        """torch's defaults."""
        torch.manual_seed(seed)
        modules = self._make(hparams)
        return labml_layout.model_layout(hparams).to_official(arrays(dict(modules.named_parameters())))


def mixture_of(dist: Any, log_pen: Tensor) -> dict[str, Tensor]:
    """Magenta's parameters from the port's mixture."""
    result = {"pi": dist.pi_logits.softmax(-1), "mu1": dist.mu_x, "mu2": dist.mu_y, "sigma1": dist.sigma_x}
    return result | {"sigma2": dist.sigma_y, "corr": dist.rho_xy, "pen": log_pen.exp()}
