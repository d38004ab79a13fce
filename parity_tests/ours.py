"""Our own port, as an adapter like any other port: :mod:`parity_tests.adapter`."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity_tests import adapter
from parity_tests.adapter import Arrays, Data
from parity_tests.ours_arrays import Replayed, arrays, mixture_of, padded
from pytorch_sketch_rnn.data.magenta_loader import Batch, DataLoader, join_sets
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.device import device_name, usable_device
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.backend import REFERENCE, backend_for
from pytorch_sketch_rnn.model.cells import Cell, State
from pytorch_sketch_rnn.model.draws import RecordedDraws, RecordedMask, TorchDraws
from pytorch_sketch_rnn.model.encoder import Encoder
from pytorch_sketch_rnn.model.losses import kl_cost, reconstruction_cost
from pytorch_sketch_rnn.model.mixture import Mixture
from pytorch_sketch_rnn.model.sampling import sample
from pytorch_sketch_rnn.model.sequence import Masks
from pytorch_sketch_rnn.model.sketch_rnn import Forward, SketchRNN, make_cell
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape
from pytorch_sketch_rnn.training import schedules
from pytorch_sketch_rnn.training.checkpoint import set_optimizer
from pytorch_sketch_rnn.training.trainer import Trainer
from weight_port.convert import convert_variables, make_plan
from weight_port.names import ADAM_POWERS, CELLS, inverse, slot_name, table

STROKE = 5  # numbers of a point


class Adapter(adapter.Adapter):
    """The model of ``pytorch_sketch_rnn``, with weights converted by ``weight_port``.

    Args:
        device: the device of all its tensors, such as ``cpu`` or ``cuda``; ``mps`` has no float64.
        precision: of float32 matrix products, an argument of ``torch.set_float32_matmul_precision``; all but
            ``highest`` let a GPU use TF32. torch has one such setting for the whole process.
        backend: how sequences are computed; see :class:`SketchRNN`. A fused path takes a single step of a cell as a
            sequence of length 1. It keeps no intermediates, so the port then offers all but these.

    Raises:
        BadInput: when torch does not know the device, or cannot use it or the backend on this machine.
    """

    name = "pytorch_sketch_rnn"
    uses_weight_port = True
    records_intermediates = True  # whether a tape records what the layers compute

    def __init__(self, device: str = "cpu", precision: str = "highest", backend: str = REFERENCE) -> None:
        self.device = usable_device(device)
        torch.set_float32_matmul_precision(precision)
        self._backend = backend_for(backend, self.device)
        self.backend = self._backend.name
        self.about = {
            "device": device_name(self.device), "float32 matrix products": precision, "backend": self.backend,
        }  # fmt: skip
        if self.backend != REFERENCE:
            self.name = f"pytorch_sketch_rnn, {self.backend}"
            self.records_intermediates = False
        if self.device.type == "mps":
            self.precisions = ("float32",)

    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        return self._stepped(self._cell(kind, weights, x.shape[1]), x, state, mask)

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """See :class:`parity_tests.adapter.Adapter`."""
        self.hparams = HParams.from_dict(hparams)
        names = table(self.hparams)
        plan = make_plan({name: value.shape for name, value in variables.items()}, self.hparams)
        converted = convert_variables(variables, plan)
        with torch.device("meta"):
            self.model = SketchRNN(self.hparams, backend=self.backend)
        weights = {name: self._tensor(value) for name, value in converted.weights.items()}
        self.model.load_state_dict(weights, assign=True)
        self.trainer = Trainer(self.model, None)
        self.optimizer = self.trainer.optimizer
        if any(official in names.slots for official in plan.optimizer):  # otherwise the optimizer is new
            arrays = {name: self._tensor(value) for name, value in converted.optimizer.items()}
            set_optimizer(arrays, self.model, self.optimizer)

    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        tape, replayed = self._begin(draws, lengths)
        with torch.no_grad():
            mu, presig = self.model.encode(strokes, lengths, tape, draws=replayed)
            z = self.model.sample_latent(mu, presig, replayed)
        return arrays(padded(tape.values(), lengths, strokes.shape[1]) | {"mu": mu, "presig": presig, "z": z})

    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        tape, replayed = self._begin(draws)
        with torch.no_grad():
            self.mixture = self.model.decode(inputs, z, tape, draws=replayed)
        self.decoded = arrays(tape.values() | {"head": self.mixture.output()} | self.mixture.parameters())
        return self.decoded

    def loss(
        self, mixture: Arrays, targets: np.ndarray, latent: Mapping[str, np.ndarray] | None, *, is_training: bool
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        own = mixture is getattr(self, "decoded", None)  # then its logits are known, not only Magenta's parameters
        fields = self.mixture if own else mixture_of({name: self._tensor(value) for name, value in mixture.items()})
        r_cost = reconstruction_cost(fields, self._tensor(targets), is_training=is_training)
        kl = torch.zeros_like(r_cost)
        if latent is not None:
            kl = kl_cost(self._tensor(latent["mu"]), self._tensor(latent["presig"]), self.hparams.kl_tolerance)
        return arrays({"r_cost": r_cost, "kl_cost": kl})

    def train_step(
        self, sketches: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray], lr: float, kl_weight: float
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        tape, replayed = self._tape(), Replayed(draws, int(np.max(lengths)))
        self.trainer.step_on(Batch([], sketches, lengths), replayed, float(lr), float(kl_weight), tape)
        self.trainer.check()
        values = padded(tape.values(), lengths, sketches.shape[1] - 1)
        weights = table(self.hparams).weights
        names = {f"{kind}/{ours}": f"{kind}/{o}" for kind in ("gradient", "clipped") for o, ours in weights.items()}
        result = replayed.keep_prob | arrays({names.get(name, name): value for name, value in values.items()})
        return result | self._after(self._official_parameters(self.model))

    @property
    def offers(self) -> frozenset[str]:
        """Everything; without a tape, everything but intermediate tensors."""
        return adapter.EVERYTHING if self.records_intermediates else adapter.EVERYTHING - {adapter.INTERMEDIATES}

    def step_cell_vjp(
        self,
        kind: str,
        weights: Mapping[str, np.ndarray],
        x: np.ndarray,
        state: np.ndarray,
        mask: np.ndarray | None,
        d_output: np.ndarray,
        d_state: np.ndarray,
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        cell = self._cell(kind, weights, x.shape[1])
        return self._vjp(cell, kind, x, state, mask, d_output, d_state)

    def variables(self) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        return arrays(self._official_parameters(self.model))

    def step_layer(self, layer: str, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        return self._stepped(self._layer(layer), x, state, mask)

    def step_layer_vjp(
        self,
        layer: str,
        x: np.ndarray,
        state: np.ndarray,
        mask: np.ndarray | None,
        d_output: np.ndarray,
        d_state: np.ndarray,
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        kind = self.hparams.dec_model if layer == "decoder" else self.hparams.enc_model
        return self._vjp(self._layer(layer), kind, x, state, mask, d_output, d_state)

    def posterior(self, fw_state: np.ndarray, bw_state: np.ndarray) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        encoder = self._encoder()
        with torch.no_grad():
            mu, presig = encoder.posterior(
                encoder.fw.unpack(self._tensor(fw_state)), encoder.bw.unpack(self._tensor(bw_state))
            )
        return arrays({"mu": mu, "presig": presig})

    def latent(self, mu: np.ndarray, presig: np.ndarray, noise: np.ndarray) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        draws = RecordedDraws({"latent": noise})
        return arrays({"z": self.model.sample_latent(self._tensor(mu), self._tensor(presig), draws)})

    def initial_state(self, z: np.ndarray) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        decoder = self.model.decoder
        with torch.no_grad():
            return arrays({"initial_state": decoder.cell.pack(decoder.initial_state(self._tensor(z), len(z)))})

    def output_layer(self, hidden: np.ndarray) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        with torch.no_grad():
            return arrays({"head": self.model.decoder.output_layer(self._tensor(hidden))})

    def costs(
        self,
        head: np.ndarray,
        targets: np.ndarray,
        latent: Mapping[str, np.ndarray] | None,
        kl_weight: float,
        *,
        is_training: bool,
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        ends = {"head": head} | ({} if latent is None else {name: latent[name] for name in ("mu", "presig")})
        given = {name: self._tensor(value).requires_grad_() for name, value in ends.items()}
        mixture = Mixture.from_output(given["head"])
        passed = Forward(mixture, given.get("mu"), given.get("presig"), None)
        sketches = torch.nn.functional.pad(self._tensor(targets), (0, 0, 1, 0))  # costs_of ignores the start token
        costs = self.model.costs_of(passed, sketches, float(kl_weight), is_training=is_training)
        found = torch.autograd.grad(costs.cost, list(given.values()), allow_unused=True)
        gradients = {
            f"gradient/{name}": torch.zeros_like(given[name]) if value is None else value
            for name, value in zip(given, found, strict=True)
        }
        return arrays(mixture.parameters() | costs._asdict() | gradients)

    def optimize(self, gradients: Mapping[str, np.ndarray], lr: float) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        names = table(self.hparams)
        parameters = self._official_parameters(self.model)
        for official, parameter in parameters.items():
            parameter.grad = self._tensor(gradients[official])
        tape = Tape()
        self.trainer.apply_gradients(float(lr), tape)
        clipped = {name.removeprefix("clipped/"): value for name, value in tape.values().items()}
        result = arrays({f"clipped/{names.official(name)}": value for name, value in clipped.items()})
        return result | self._after(parameters)

    def sample(
        self,
        seq_len: int,
        temperature: float,
        greedy: bool,
        uniform: random.Random,
        normal: np.random.RandomState,
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        self.model.eval()
        drawn = sample(self.model, seq_len, temperature, greedy_mode=greedy, uniform=uniform, normal=normal)
        return drawn.mixture | {"strokes": drawn.strokes}

    def schedules(self, hparams: Mapping[str, Any], step: int) -> tuple[float, float]:
        """See :class:`parity_tests.adapter.Adapter`."""
        values = HParams.from_dict(hparams)
        return schedules.learning_rate(values, step), schedules.kl_weight(values, step)

    def data(
        self,
        sets: Sequence[Mapping[str, list[np.ndarray]]],
        hparams: Mapping[str, Any],
        rng: np.random.RandomState,
        order: Mapping[str, np.ndarray],
    ) -> Data:
        """See :class:`parity_tests.adapter.Adapter`."""
        known = {name: hparams[name] for name in ("batch_size", "random_scale_factor", "augment_stroke_prob")}
        if hparams["max_seq_len"] is None:
            joined = join_sets(sets, HParams(**known), rng, order)
            return Data(joined.scale_factor, joined.train.random_batch, joined.valid.get_batch, joined.test.get_batch)
        batch_size, limit = known.pop("batch_size"), hparams["max_seq_len"]
        train, valid, test = (
            DataLoader(
                sets[0][split], batch_size, limit, rng, order=order[split], **(known if split == "train" else {})
            )
            for split in SPLITS
        )
        scale_factor = train.calculate_normalizing_scale_factor()
        for loader in (train, valid, test):
            loader.normalize(scale_factor)
        return Data(scale_factor, train.random_batch, valid.get_batch, test.get_batch)

    def dropout_mask(self, size: int, keep_prob: float) -> np.ndarray:
        """See :class:`parity_tests.adapter.Adapter`."""
        draws = TorchDraws(torch.Generator(self.device).manual_seed(0))
        return draws.mask("", (size,), keep_prob).tensor(torch.empty(0, device=self.device)).cpu().numpy()

    def initial(self, hparams: Mapping[str, Any], seed: int) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        with torch.device("cpu"):  # a training draws its initial weights there, whatever its device
            model = SketchRNN(HParams.from_dict(hparams), seed)
        return arrays(self._official_parameters(model))

    def _cell(self, kind: str, weights: Mapping[str, np.ndarray], input_size: int) -> Cell:
        """A single cell, with these weights by their official names."""
        sizes = {}
        if kind == "hyper":
            hyper_num_units, hyper_embedding_size = weights["hyper_ix/zw/super_linear_w"].shape
            sizes = {"hyper_num_units": hyper_num_units, "hyper_embedding_size": hyper_embedding_size}
        with torch.device("meta"):
            cell = make_cell(kind, input_size, len(weights["W_hh"]), HParams(**sizes))
        names = CELLS[kind][1]
        cell.load_state_dict({ours: self._tensor(weights[official]) for official, ours in names.items()}, assign=True)
        return cell

    def _vjp(
        self,
        cell: Cell,
        kind: str,
        x: np.ndarray,
        state: np.ndarray,
        mask: np.ndarray | None,
        d_output: np.ndarray,
        d_state: np.ndarray,
    ) -> Arrays:
        """The vector-Jacobian product of one step, weights by their official names."""
        given = {"x": self._tensor(x).requires_grad_(), "state": self._tensor(state).requires_grad_()}
        names = inverse(CELLS[kind][1])
        weights = {names[name]: parameter.requires_grad_() for name, parameter in cell.named_parameters()}
        output, new_state = self._step(cell, given["x"], cell.unpack(given["state"]), mask)
        ends = given | weights
        found = torch.autograd.grad(
            [output, cell.pack(new_state)], list(ends.values()), [self._tensor(d_output), self._tensor(d_state)]
        )
        return arrays(dict(zip(ends, found, strict=True)))

    @staticmethod
    def _official_parameters(model: SketchRNN) -> dict[str, Tensor]:
        """The parameters of a model by their official names."""
        return {official: model.get_parameter(ours) for official, ours in table(model.hparams).weights.items()}

    def _layer(self, layer: str) -> Cell:
        if layer == "decoder":
            return self.model.decoder.cell
        return self._encoder().fw if layer == "encoder/fw" else self._encoder().bw

    def _encoder(self) -> Encoder:
        if self.model.encoder is None:
            raise ValueError("an unconditional model has no encoder")
        return self.model.encoder

    def _stepped(self, cell: Cell, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> Arrays:
        tape = Tape() if self.records_intermediates else NO_TAPE
        with torch.no_grad():
            output, new_state = self._step(cell, self._tensor(x), cell.unpack(self._tensor(state)), mask, tape)
        return arrays(tape.values() | {"output": output, "state": cell.pack(new_state)})

    def _step(
        self, cell: Cell, x: Tensor, state: State, mask: np.ndarray | None, tape: Tape = NO_TAPE
    ) -> tuple[Tensor, State]:
        """One step of a cell; by a fused path, a sequence of length 1."""
        if self.backend == REFERENCE:
            return cell(x, state, None if mask is None else self._tensor(mask), tape)
        constant = None
        if cell is self._decoder_cell():  # it reads [stroke-5, z], and z is the same at every step
            x, constant = x[:, :STROKE], x[:, STROKE:]
        masks = Masks(None if mask is None else RecordedMask(mask[:, np.newaxis]))
        outputs, new_state = self._backend.run(cell, x.unsqueeze(1), state, masks, constant=constant)
        return outputs[:, 0], new_state

    def _decoder_cell(self) -> Cell | None:
        """The decoder's cell of the loaded model, if that is conditional."""
        model = getattr(self, "model", None)
        return model.decoder.cell if model is not None and model.hparams.conditional else None

    def _tensor(self, value: np.ndarray) -> Tensor:
        return torch.tensor(value, device=self.device)

    def _begin(self, draws: Mapping[str, np.ndarray], lengths: np.ndarray | None = None) -> tuple[Tape, "Replayed"]:
        """A tape and the draws; the model is put into train mode if there are masks, else into eval mode."""
        self.model.train(any(name != "latent" for name in draws))
        longest = None if lengths is None else int(np.max(lengths))
        return self._tape(), Replayed(draws, longest)

    def _tape(self) -> Tape:
        return Tape() if self.records_intermediates else _ResultsTape()

    def _after(self, parameters: Mapping[str, Tensor]) -> Arrays:
        result: Arrays = {}  # slots come first: the weights are computed from them
        for name, parameter in parameters.items():
            slots = self.optimizer.state[parameter]
            result |= arrays({f"after/{slot_name(name, slot)}": slots[slot] for slot in ("m", "v")})
        result |= arrays({f"after/{name}": parameter for name, parameter in parameters.items()})
        held = self.optimizer.powers()
        powers = {f"after/{official}": np.asarray(held[power], np.float32) for official, power in ADAM_POWERS.items()}
        return result | powers


class _ResultsTape(Tape):
    """Records the results of a pass, but not what its layers compute."""

    def scope(self, name: str) -> Tape:
        """No tape for the layers."""
        return NO_TAPE


class WithoutTape(Adapter):
    """The same port as training and sampling run it: no tape records what the layers compute."""

    name = "pytorch_sketch_rnn, without a tape"
    records_intermediates = False
