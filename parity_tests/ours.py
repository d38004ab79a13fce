"""Our own port, through the door that every port goes through: :mod:`parity_tests.adapter`."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity_tests import adapter
from parity_tests.adapter import Arrays, Data
from pytorch_sketch_rnn import schedules
from pytorch_sketch_rnn.cells import Cell
from pytorch_sketch_rnn.data import DataLoader, join_sets
from pytorch_sketch_rnn.draws import RecordedDraws, TorchDraws
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.losses import kl_cost, reconstruction_cost
from pytorch_sketch_rnn.mixture import Mixture
from pytorch_sketch_rnn.model import SketchRNN, make_cell
from pytorch_sketch_rnn.npz import SPLITS
from pytorch_sketch_rnn.optim import TF1Adam, clip_by_value_
from pytorch_sketch_rnn.sampling import sample
from pytorch_sketch_rnn.tape import Tape
from weight_port.convert import convert_variables, make_plan
from weight_port.names import ADAM_POWERS, CELLS, slot_name, weight_names


class Adapter(adapter.Adapter):
    """The model of ``pytorch_sketch_rnn``, its weights through ``weight_port``."""

    name = "pytorch_sketch_rnn"

    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        cell = self._cell(kind, weights, x.shape[1])
        tape = Tape()
        with torch.no_grad():
            output, new_state = cell(
                _tensor(x), cell.unpack(_tensor(state)), None if mask is None else _tensor(mask), tape
            )
            tape(output=output, state=cell.pack(new_state))
        return _arrays(tape.values())

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """See :class:`parity_tests.adapter.Adapter`."""
        self.hparams = HParams.from_dict(hparams)
        plan = make_plan({name: value.shape for name, value in variables.items()}, self.hparams)
        converted = convert_variables(variables, plan)
        with torch.device("meta"):
            self.model = SketchRNN(self.hparams)
        weights = {name: torch.tensor(value) for name, value in converted.weights.items()}
        self.model.load_state_dict(weights, assign=True)
        self.optimizer = TF1Adam(self.model.parameters(), lr=self.hparams.learning_rate)
        if converted.optimizer:
            for name, parameter in self.model.named_parameters():
                for slot in ("m", "v"):
                    self.optimizer.state[parameter][slot].copy_(_tensor(converted.optimizer[f"{slot}.{name}"]))
            for group in self.optimizer.param_groups:
                group.update({power: float(converted.optimizer[power]) for power in ADAM_POWERS})

    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        tape = self._begin(draws, lengths)
        with torch.no_grad():
            mu, presig = self.model.encode(strokes, lengths, tape)
            z = self.model.sample_latent(mu, presig)
        return _arrays(_padded(tape.values(), lengths, strokes.shape[1]) | {"mu": mu, "presig": presig, "z": z})

    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        tape = self._begin(draws)
        with torch.no_grad():
            self.mixture = self.model.decode(inputs, z, tape)
        self.decoded = _arrays(tape.values() | self.mixture.parameters())
        return self.decoded

    def loss(
        self, mixture: Arrays, targets: np.ndarray, latent: Mapping[str, np.ndarray] | None, *, is_training: bool
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        own = mixture is getattr(self, "decoded", None)  # then what it was decoded from is known, not only its values
        fields = self.mixture if own else _mixture(mixture)
        r_cost = reconstruction_cost(fields, _tensor(targets), is_training=is_training)
        kl = torch.zeros_like(r_cost)
        if latent is not None:
            kl = kl_cost(_tensor(latent["mu"]), _tensor(latent["presig"]), self.hparams.kl_tolerance)
        return _arrays({"r_cost": r_cost, "kl_cost": kl})

    def train_step(
        self, sketches: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray], lr: float, kl_weight: float
    ) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        tape = self._begin(draws, lengths)
        passed = self.model(sketches, lengths, tape)
        costs = self.model.costs_of(passed, sketches, float(kl_weight))
        self.optimizer.zero_grad()
        costs.cost.backward()
        layers = _padded(tape.values(), lengths, sketches.shape[1] - 1)
        forward = {name: value for name, value in layers.items() if name.startswith("encoder/")}
        if passed.mu is not None:
            forward |= {"mu": passed.mu, "presig": passed.presig, "z": passed.z}
        forward |= layers | passed.mixture.parameters()
        result = self.model.draws.keep_prob | _arrays(forward | costs._asdict())
        officials = {ours: official for official, ours in weight_names(self.hparams).items()}
        parameters = {officials[name]: parameter for name, parameter in self.model.named_parameters()}
        result |= _arrays({f"gradient/{name}": parameter.grad for name, parameter in parameters.items()})
        clip_by_value_(self.model.parameters(), self.hparams.grad_clip)
        result |= _arrays({f"clipped/{name}": parameter.grad for name, parameter in parameters.items()})
        for group in self.optimizer.param_groups:
            group["lr"] = float(lr)
        self.optimizer.step()
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
        return TorchDraws(torch.Generator().manual_seed(0)).mask("", (size,), keep_prob, torch.empty(0)).numpy()

    def initial(self, hparams: Mapping[str, Any], seed: int) -> Arrays:
        """See :class:`parity_tests.adapter.Adapter`."""
        model = SketchRNN(HParams.from_dict(hparams), seed)
        return _arrays({official: model.get_parameter(o) for official, o in weight_names(model.hparams).items()})

    def _cell(self, kind: str, weights: Mapping[str, np.ndarray], input_size: int) -> Cell:
        """A cell on its own, with official weights."""
        _, table = CELLS[kind]
        sizes = {}
        if kind == "hyper":
            hyper_num_units, hyper_embedding_size = weights["hyper_ix/zw/super_linear_w"].shape
            sizes = {"hyper_num_units": hyper_num_units, "hyper_embedding_size": hyper_embedding_size}
        with torch.device("meta"):
            cell = make_cell(kind, input_size, len(weights["W_hh"]), HParams(**sizes))
        cell.load_state_dict({ours: _tensor(weights[official]) for official, ours in table.items()}, assign=True)
        return cell

    def _begin(self, draws: Mapping[str, np.ndarray], lengths: np.ndarray | None = None) -> Tape:
        """Set the model up for these draws: without a mask it evaluates."""
        self.model.train(any(name != "latent" for name in draws))
        longest = None if lengths is None else int(np.max(lengths))
        self.model.draws = Replayed(draws, longest)
        return Tape()

    def _after(self, parameters: Mapping[str, Tensor]) -> Arrays:
        result: Arrays = {}  # the slots first, from which the weights are computed
        for name, parameter in parameters.items():
            slots = self.optimizer.state[parameter]
            result |= _arrays({f"after/{slot_name(name, slot)}": slots[slot] for slot in ("m", "v")})
        result |= _arrays({f"after/{name}": parameter for name, parameter in parameters.items()})
        group = self.optimizer.param_groups[0]
        powers = {f"after/{official}": np.asarray(group[power]) for power, official in ADAM_POWERS.items()}
        return result | powers


class Replayed(RecordedDraws):
    """Recorded draws that remember the keep probability with which each mask was asked for."""

    def __init__(self, draws: Mapping[str, np.ndarray], longest: int | None) -> None:
        # the encoder takes as many steps as the longest sketch has points; the masks of later steps are not asked for
        super().__init__({name: v[:longest] if name.startswith("encoder/") else v for name, v in draws.items()})
        self.keep_prob: Arrays = {}

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float, like: Tensor) -> Tensor:
        """The recorded mask of that name."""
        self.keep_prob[f"keep_prob/{name}"] = np.asarray(keep_prob, np.float32)  # as TensorFlow holds it
        return super().mask(name, shape, keep_prob, like)


def _mixture(parameters: Mapping[str, np.ndarray]) -> Mixture:
    """A mixture with these values of Magenta's parameters."""
    pi, mu1, mu2, sigma1, sigma2, corr, logits = (
        _tensor(parameters[name]) for name in ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen_logits")
    )
    return Mixture(logits, pi.log(), mu1, mu2, sigma1.log(), sigma2.log(), corr.atanh())


def _padded(values: Mapping[str, Tensor], lengths: np.ndarray, steps: int) -> dict[str, Tensor]:
    """The encoder's values as TensorFlow leaves them: zero behind the end of a sketch, padded to all steps."""
    ends = torch.as_tensor(lengths).unsqueeze(1)
    result = {}
    for name, value in values.items():
        if name.startswith("encoder/") and value.ndim == 3:
            alive = torch.arange(value.shape[1]) < ends
            value = torch.where(alive.unsqueeze(2), value, 0)
            value = torch.nn.functional.pad(value, (0, 0, 0, steps - value.shape[1]))
        result[name] = value
    return result


def _tensor(value: np.ndarray) -> Tensor:
    return torch.tensor(value)


def _arrays(values: Mapping[str, Tensor]) -> Arrays:
    return {name: value.detach().cpu().numpy().copy() for name, value in values.items()}
