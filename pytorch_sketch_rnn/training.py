"""One training step and one validation, as Magenta does them, on one process or on several.

Source: Magenta ``sketch_rnn_train.py`` (``train``, ``evaluate_model``) and ``model.py`` (``train_op``).
"""

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from pytorch_sketch_rnn import schedules
from pytorch_sketch_rnn.batches import Sets
from pytorch_sketch_rnn.data import Batch
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.draws import KeyedDraws
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams, checked
from pytorch_sketch_rnn.losses import Costs, kl_divergence, reconstruction_cost
from pytorch_sketch_rnn.model import Forward, SketchRNN
from pytorch_sketch_rnn.optim import TF1Adam, clip_by_value_

LARGEST_SEED = 2**31 - 1
# A safeguard of the loss, which models do not know and sampling leaves out: 1 % of the deviation of the offsets.
LARGEST_REG_COVAR = 1e-4
# the "step" whose draws a validation takes: the same at every validation, so that its costs differ by the weights alone
VALIDATION = 2**62


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What Magenta has no hyperparameter for."""

    seed: int = 0  # of batches, augmentation, latent noise and masks
    reg_covar: float = 0.0  # see Mixture.shrunk; 0 is Magenta
    validate_as_magenta: bool = False  # see Trainer.validate

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))
        if not 0 <= self.seed <= LARGEST_SEED:
            raise BadInput(f"seed is {self.seed}, expected 0 to {LARGEST_SEED}")
        if not 0 <= self.reg_covar <= LARGEST_REG_COVAR:
            raise BadInput(f"reg_covar is {self.reg_covar}, expected 0 to {LARGEST_REG_COVAR:g}")


class StepResult(NamedTuple):
    """What a step did; costs are those before the weights moved."""

    step: int
    cost: float
    r_cost: float
    kl_cost: float
    learning_rate: float
    kl_weight: float


class NotFinite(ArithmeticError):
    """A number of a training step is NaN or infinite; the weights are those from before the step."""

    def __init__(self, step: int, tensor: str) -> None:
        super().__init__(f"step {step}: {tensor} is not finite")
        self.step, self.tensor = step, tensor


class Trainer:
    """A model in training.

    Args:
        model: with the hyperparameters of ``sets``.
        sets: what it is trained and validated on.
        options: the rest.
        group: the processes that share each batch.
    """

    def __init__(
        self,
        model: SketchRNN,
        sets: Sets,
        options: Options = Options(),
        group: Group = Group(),  # noqa: B008 (immutable)
    ) -> None:
        self.model, self.sets, self.options, self.group = model, sets, options, group
        self.hparams = model.hparams
        self.steps_done = 0
        self.optimizer = TF1Adam(model.parameters(), self.hparams.learning_rate)
        self.rows = group.rows(self.hparams.batch_size)

    def step(self) -> StepResult:
        """One step: batch, costs, gradients, clipping, Adam.

        Raises:
            NotFinite: when a cost or a gradient is NaN or infinite; then the weights stay.
            LostProcess: when another process is gone.
        """
        step, seed = self.steps_done, self.options.seed
        learning_rate, kl_weight = (f(self.hparams, step) for f in (schedules.learning_rate, schedules.kl_weight))
        batch = self.sets.train.random_rows(self.hparams.batch_size, seed, step, self.rows)
        self.model.train()
        passed = self._pass(batch, step, self.rows)
        share = len(self.rows) / self.hparams.batch_size
        costs = _shared_costs(passed, self.model.as_input(batch.sketches), kl_weight, self.hparams, share, self.group)
        self.optimizer.zero_grad()
        costs.of_rows.backward()
        gradients = self._summed_gradients()
        if not bool(torch.isfinite(costs.whole.cost) & torch.isfinite(gradients).all()):
            raise NotFinite(step, self._first_not_finite(batch, passed, costs.whole))
        clip_by_value_(self.model.parameters(), self.hparams.grad_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.steps_done += 1
        return StepResult(step, *(float(cost) for cost in costs.whole), learning_rate, kl_weight)

    def check_weights(self) -> None:
        """Raises NotFinite when the last step left a weight that is NaN or infinite."""
        for name, weight in self.model.named_parameters():
            if not bool(torch.isfinite(weight).all()):
                raise NotFinite(self.steps_done - 1, f"the weight {name}, after the step,")

    @torch.no_grad()
    def validate(self, split: str) -> Costs:
        """Mean costs of a split (floats), dropout off, with latent noise that is the same at every call.

        As Magenta: whole batches alone count, each equally; the KL is weighed by ``kl_weight_start`` throughout, and
        the pen loss of the padding counts as in training. Otherwise: every sketch counts equally; the KL is weighed by
        ``kl_weight``, which the training approaches, so that costs of different steps can be compared; and the padding
        does not count.

        Args:
            split: ``valid`` or ``test``.
        """
        as_magenta, sketches, size = (
            self.options.validate_as_magenta,
            getattr(self.sets, split),
            self.hparams.batch_size,
        )
        count = len(sketches) // size * size if as_magenta and len(sketches) >= size else len(sketches)
        kl_weight = self.hparams.kl_weight_start if as_magenta else self.hparams.kl_weight
        is_training = self.hparams.is_training if as_magenta else False
        self.model.eval()
        sums = torch.zeros(3, dtype=torch.float64)
        for number, first in enumerate(range(0, count, size)):
            if number % self.group.size != self.group.rank:
                continue
            rows = range(first, min(first + size, count))
            batch = sketches.in_order(rows)
            passed = self._pass(batch, VALIDATION, rows)
            costs = self.model.costs_of(passed, batch.sketches, kl_weight, is_training=is_training)
            sums += len(rows) * torch.stack([cost.cpu().double() for cost in costs])
        sums = self.group.sum(sums.to(self.model.decoder.output_w.device))
        return Costs(*(sums / count).tolist())

    def _pass(self, batch: Batch, step: int, rows: range) -> Forward:
        self.model.draws = KeyedDraws(self.options.seed, step, rows, self.hparams.max_seq_len)
        passed = self.model(batch.sketches, batch.lengths)
        return passed._replace(mixture=passed.mixture.shrunk(self.options.reg_covar))

    def _summed_gradients(self) -> Tensor:
        """All gradients in one vector, summed over the processes; the parameters' own are set to the sums."""
        gradients = [parameter.grad for parameter in self.model.parameters()]
        flat = torch.cat([gradient.ravel() for gradient in gradients])
        if self.group.size > 1:
            flat = self.group.sum(flat)
            for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
        return flat

    def _first_not_finite(self, batch: Batch, passed: Forward, costs: Costs) -> str:
        """What to look at: the earliest tensor, in the order in which they are computed, that is not finite."""
        tensors: dict[str, Tensor] = {f"the weight {name}": value for name, value in self.model.named_parameters()}
        tensors["the batch"] = torch.as_tensor(batch.sketches)
        tensors |= {name: value for name in ("mu", "presig", "z") if (value := getattr(passed, name)) is not None}
        mixture = {field.name: getattr(passed.mixture, field.name) for field in dataclasses.fields(passed.mixture)}
        tensors |= {f"the mixture's {name}": value for name, value in mixture.items()}
        tensors |= {"r_cost": costs.r_cost, "kl_cost": costs.kl_cost, "cost": costs.cost}
        tensors |= {f"the gradient of {name}": value.grad for name, value in self.model.named_parameters()}
        for name, value in tensors.items():
            if not bool(torch.isfinite(value).all()):
                return name
        return "a number of another process"


class _SharedCosts(NamedTuple):
    of_rows: Tensor  # to be differentiated: its gradients, summed over the processes, are those of the whole batch
    whole: Costs  # of the whole batch, without gradients


def _shared_costs(
    passed: Forward, sketches: Tensor, kl_weight: float, hparams: HParams, share: float, group: Group
) -> _SharedCosts:
    """Magenta's costs where a batch is spread over processes, of which this one has a ``share`` of the rows.

    Costs are means over rows, so that they add up; but the floor of the KL cost is one of the whole batch.
    """
    r_cost = share * reconstruction_cost(passed.mixture, sketches[:, 1:], is_training=hparams.is_training)
    if passed.mu is None:
        whole = group.sum(r_cost.detach())
        return _SharedCosts(r_cost, Costs(whole, whole, torch.zeros_like(whole)))
    kl = share * kl_divergence(passed.mu, passed.presig)
    whole_r, whole_kl = group.sum(torch.stack([r_cost.detach(), kl.detach()])).unbind()
    of_rows = r_cost + kl * kl_weight if whole_kl >= hparams.kl_tolerance else r_cost
    whole_kl = whole_kl.clamp(min=hparams.kl_tolerance)
    return _SharedCosts(of_rows, Costs(whole_r + whole_kl * kl_weight, whole_r, whole_kl))
