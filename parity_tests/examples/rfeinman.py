"""rfeinman/Sketch-RNN, from the folder that ``RFEINMAN_SKETCH_RNN`` names (a clone; commit 38e4d9b was used).

The port's own code computes everything: cells, encoder, decoder, output layer, losses, sampling, its data set, and
torch's Adam and clipping as its training script calls them. The adapter converts the weights, and replaces what would
be drawn at random.

Not offered, because the port lacks it: the bias of a hyper cell; the rows of the inner cell's W_xh that read h; dropout
in the encoder, on the decoder's input and on its output; encoders other than the plain one; unconditional models;
greedy sampling. Its inner hyper cell has recurrent dropout, for which Magenta has no mask: it is off in
:class:`Adapter`, and on in :class:`WithInnerDropout`, which shows what it does.

The port compiles its decoder with ``torch.jit``; here the same code runs as it is, since compiled code takes no masks.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from parity_tests.adapter import Arrays, Data
from parity_tests.examples import rfeinman_data
from parity_tests.examples.port_folder import import_port
from parity_tests.examples.rfeinman_values import mixture_of, pack, params_of, unpack
from parity_tests.examples.torch_port import TorchPort, arrays, given, precision
from weight_port.rfeinman_layout import Sizes, cell_layout, model_layout

REG_COVAR = 1e-6  # the port's default


class Masks:
    """Stands in for the port's recurrent dropout: applies recorded masks [T, B, n], or none."""

    def __init__(self, masks: np.ndarray | None) -> None:
        self.masks = None if masks is None else iter(torch.tensor(masks))

    def __call__(self, candidate: Tensor) -> Tensor:
        """The candidate under the next mask."""
        return candidate if self.masks is None else candidate * next(self.masks)


class Adapter(TorchPort):
    """The whole port."""

    name = "rfeinman/Sketch-RNN"
    inner_dropout = False

    def __init__(self) -> None:
        self.port = import_port("RFEINMAN_SKETCH_RNN", "sketch_rnn", alias="rfeinman_sketch_rnn")

    @torch.no_grad()
    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """Output and new state."""
        inner = weights["hyper_ix/zw/super_linear_w"].shape if kind == "hyper" else ()
        sizes = Sizes(x.shape[1], len(weights["W_hh"]), *inner)
        holder = nn.Module()
        holder.cell = self.port.model._cell_types[kind](*sizes[:2], **sizes.hyper())
        scoped = {f"scope/{name}": value for name, value in weights.items()}
        values = cell_layout(kind, "scope", "cell", sizes).to_port(scoped)
        holder.to(torch.tensor(x).dtype).load_state_dict({n: torch.tensor(value) for n, value in values.items()})
        self._hand_in(holder.cell, None if mask is None else mask[np.newaxis])
        output, (h, c) = holder.cell(torch.tensor(x), unpack(kind, torch.tensor(state)))
        return arrays({"output": output, "state": pack(kind, h, c)})

    def _hand_in(self, cell: nn.Module, masks: np.ndarray | None) -> None:
        """Give a cell its masks [T, B, n]; its inner cell gets none, or the same ones repeated to its width."""
        cell.r_dropout.forward = Masks(masks)
        if hasattr(cell, "hyper_cell"):
            inner = None
            if self.inner_dropout and masks is not None:
                width = cell.hyper_hidden_size
                inner = np.tile(masks, -(-width // masks.shape[2]))[..., :width]
            cell.hyper_cell.r_dropout.forward = Masks(inner)

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """The model, and torch's Adam as the training script makes it."""
        self.hparams = hparams
        self.dtype = torch.tensor(variables["vector_rnn/RNN/output_w"]).dtype
        with precision(self.dtype):
            self.model = self._make(hparams)
        self.layout = model_layout(hparams)
        self.take(self.model, [torch.optim.Adam(self.model.parameters())], variables)

    def _make(self, hparams: Mapping[str, Any]) -> nn.Module:
        """The port's model, freshly initialised; an encoder that it lacks is reported when it is used."""
        if not hparams["conditional"]:
            raise NotImplementedError("the port has no unconditional model")
        keep_prob = hparams["recurrent_dropout_prob"] if hparams["use_recurrent_dropout"] else 1.0
        names = ("dec_model", "enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", "max_seq_len", "kl_tolerance")
        hps = SimpleNamespace(**{name: hparams[name] for name in names}, enc_model="lstm", r_dropout=1 - keep_prob)
        # the KL weight comes with each step
        hps.kl_weight, hps.kl_weight_start, hps.kl_decay_rate, hps.reg_covar = 1.0, 1.0, 1.0, REG_COVAR
        cells = dict(self.port.model._cell_types)
        if hparams["dec_model"] == "hyper":
            cells["hyper"] = partial(cells["hyper"], **Sizes.of(hparams).hyper())
        with (
            mock.patch.object(torch.jit, "script", lambda layer: layer),
            mock.patch.object(self.port.model, "_cell_types", cells),
        ):
            return self.port.SketchRNN(hps)

    def _require_encoder(self) -> None:
        if self.hparams["enc_model"] != "lstm":
            raise NotImplementedError(f"the port has no encoder of {self.hparams['enc_model']} cells")

    @torch.no_grad()
    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """mu, presig and z; masks are ignored."""
        self._require_encoder()
        with precision(self.dtype), given("randn_like", draws["latent"]):
            z, mu, presig = self.model.encoder(torch.tensor(strokes), torch.tensor(lengths))
        return arrays({"mu": mu, "presig": presig, "z": z})

    @torch.no_grad()
    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Mixture, initial state and outputs; of the masks only that of the recurrent dropout is used."""
        self._hand_in(self.model.cell, draws.get("decoder/recurrent"))
        encoder = lambda *_: (torch.tensor(z), None, None)  # noqa: E731
        with precision(self.dtype), mock.patch.object(self.model.encoder, "forward", encoder):
            _, answer = self._decoded(lambda: self.model._forward(None, torch.tensor(inputs)), inputs.shape[1])
        return {name: value for name, value in answer.items() if name != "z"}

    def _decoded(self, forward: Callable[[], tuple[Any, ...]], steps: int) -> tuple[tuple[Any, ...], Arrays]:
        """The result of the port's forward pass, and the decoder's values under Magenta's names."""
        seen: dict[str, Tensor] = {}
        kind = self.hparams["dec_model"]

        def note_layer(_: nn.Module, arguments: tuple[Any, ...], answer: tuple[Any, ...]) -> None:
            seen["decoder/initial_state"] = pack(kind, *arguments[1])
            seen["decoder/output"], last = answer
            seen["decoder/final_state"] = pack(kind, *last)

        def note_logits(_: nn.Module, __: tuple[Any, ...], answer: Tensor) -> None:
            seen["pen_logits"] = answer[..., -3:]

        self.model.max_len = steps
        hooks = [
            self.model.encoder.register_forward_hook(lambda _, __, answer: seen.update(z=answer[0])),
            self.model.decoder.register_forward_hook(note_layer),
            self.model.param_layer.linear.register_forward_hook(note_logits),
        ]
        passed = forward()
        for hook in hooks:
            hook.remove()
        return passed, arrays(seen | mixture_of(passed[0]))

    def loss(
        self, mixture: Arrays, targets: np.ndarray, latent: Mapping[str, np.ndarray] | None, *, is_training: bool
    ) -> Arrays:
        """Both costs."""
        self.model.train(is_training)
        with precision(self.dtype), torch.no_grad():
            r_cost = self._r_cost(params_of(mixture), torch.tensor(targets))
            kl_cost = self.model.loss_kl(torch.tensor(latent["mu"]), torch.tensor(latent["presig"]))
        return arrays({"r_cost": r_cost, "kl_cost": kl_cost})

    def _r_cost(self, params: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        return self.model.loss_draw(targets[..., :2], targets[..., 2:].argmax(-1), params)

    def train_step(
        self, sketches: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray], lr: float, kl_weight: float
    ) -> Arrays:
        """One step as the training script takes it."""
        self._require_encoder()
        self.model.train()
        self._hand_in(self.model.cell, draws.get("decoder/recurrent"))
        data = torch.tensor(sketches)
        with precision(self.dtype), given("randn_like", draws["latent"]):
            passed, result = self._decoded(lambda: self.model(data, torch.tensor(lengths)), sketches.shape[1] - 1)
        params, mu, presig = passed
        r_cost, kl_cost = self._r_cost(params, data[:, 1:]), self.model.loss_kl(mu, presig)
        cost = kl_weight * kl_cost + r_cost
        result |= arrays({"mu": mu, "presig": presig, "r_cost": r_cost, "kl_cost": kl_cost, "cost": cost})
        result |= self._keep_probs()
        bound = self.hparams["grad_clip"]
        return result | self.clipped_step(cost, lambda: nn.utils.clip_grad_value_(self.model.parameters(), bound), lr)

    def _keep_probs(self) -> Arrays:
        """Of each dropout that the port would draw in training."""
        dropouts = {name: m for name, m in self.model.cell.named_modules() if isinstance(m, nn.Dropout)}
        names = {name: name.replace("r_dropout", "recurrent").replace(".", "/") for name in dropouts}
        return {
            f"keep_prob/decoder/{names[name]}": np.asarray(1 - dropout.p, np.float32)
            for name, dropout in dropouts.items()
        }

    def sample(
        self, seq_len: int, temperature: float, greedy: bool, uniform: random.Random, normal: np.random.RandomState
    ) -> Arrays:
        """One sketch: the port's own loop, drawing from the two streams, past the end of the sketch as Magenta does."""
        if greedy:
            raise NotImplementedError("the port has no greedy sampling")
        self.model.eval()
        self.model.max_len = seq_len
        z = torch.tensor(normal.randn(1, self.hparams["z_size"])).to(self.dtype)
        self._hand_in(self.model.cell, None)
        streams = rfeinman_data.Streams(self.port, uniform, normal)
        hook = self.model.param_layer.register_forward_pre_hook(streams.note_mixture(self.model.param_layer))
        with (
            precision(self.dtype),
            mock.patch.object(self.port.model, "D", SimpleNamespace(Categorical=streams.categorical)),
            mock.patch.object(self.port.model, "sample_gmm", streams.sample_gmm),
        ):
            points, pens = self.port.model.sample_from_z(self.model, z, temperature)
        hook.remove()
        strokes = np.concatenate([points.numpy(), np.eye(3)[np.asarray(pens)]], axis=1)[1:].astype(np.float32)
        steps = [{name: value[0] for name, value in step.items()} for step in streams.mixtures]
        return {"strokes": strokes} | {name: np.stack([step[name] for step in steps]) for name in steps[0]}

    def schedules(self, hparams: Mapping[str, Any], step: int) -> tuple[float, float]:
        """torch's exponential decay, and the weight of the port's KL loss after this number of batches."""
        weight, start = hparams["kl_weight"], hparams["kl_weight_start"]
        loss = self.port.KLLoss(weight, eta_min=start, R=hparams["kl_decay_rate"])
        weights = [loss.weight for _ in range(step + 1)]  # reading it advances it
        return hparams["learning_rate"] * hparams["decay_rate"] ** step, weights[-1]

    def data(
        self,
        sets: Sequence[Mapping[str, list[np.ndarray]]],
        hparams: Mapping[str, Any],
        rng: np.random.RandomState,
        order: Mapping[str, np.ndarray],
    ) -> Data:
        """The port's data sets.

        Batches hold the sketches that Magenta's permutation selects, because the port leaves the selection to torch's
        ``DataLoader``; augmentation draws from the same stream, in the port's order.
        """
        return rfeinman_data.load(self.port, sets, hparams, rng, order)

    def dropout_mask(self, size: int, keep_prob: float) -> np.ndarray:
        """Torch's dropout of ones."""
        return nn.Dropout(1 - keep_prob)(torch.ones(size)).numpy()

    def initial(self, hparams: Mapping[str, Any], seed: int) -> Arrays:
        """The port's initial weights, without the orthogonal blocks of W_hh, which torch draws by another method."""
        torch.manual_seed(seed)
        model = self._make(hparams)
        layout = model_layout(hparams)
        values = layout.to_official(arrays(dict(model.named_parameters())))
        return {name: value for name, value in values.items() if not name.endswith("W_hh")}


class WithInnerDropout(Adapter):
    """The port as it trains: the inner hyper cell has dropout too, here with the masks of the outer cell."""

    name = "rfeinman/Sketch-RNN, inner dropout on"
    inner_dropout = True
