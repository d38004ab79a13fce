"""One training step and one validation, as Magenta does them, on one process or on several.

Source: Magenta ``sketch_rnn_train.py`` (``train``, ``evaluate_model``) and ``model.py`` (``train_op``).
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.magenta_loader import Batch
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import coerce
from pytorch_sketch_rnn.model.draws import Draws, KeyedDraws
from pytorch_sketch_rnn.model.losses import Costs
from pytorch_sketch_rnn.model.sketch_rnn import Forward, SketchRNN
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape
from pytorch_sketch_rnn.training import schedules
from pytorch_sketch_rnn.training.optim import TF1Adam, clip_by_value_

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
            object.__setattr__(self, field.name, coerce(field, getattr(self, field.name)))
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
        sets: what it is trained and validated on; None where :meth:`step_on` and :meth:`validate_on` alone are used.
        options: the rest.
        group: the processes that share each batch.
    """

    def __init__(
        self,
        model: SketchRNN,
        sets: Sets | None,
        options: Options = Options(),
        group: Group = Group(),  # noqa: B008 (immutable)
    ) -> None:
        self.model, self.sets, self.options, self.group = model, sets, options, group
        self.hparams = model.hparams
        self.steps_done = 0
        self.optimizer = TF1Adam(model.parameters(), self.hparams.learning_rate)
        self.rows = group.rows(self.hparams.batch_size)
        self.share = len(self.rows) / self.hparams.batch_size

    def step(self) -> StepResult:
        """The next step of the training, with a batch, random numbers and schedules of its own.

        Raises:
            NotFinite: when a cost or a gradient is NaN or infinite; then the weights stay.
            LostProcess: when another process is gone.
        """
        step, seed = self.steps_done, self.options.seed
        learning_rate, kl_weight = (f(self.hparams, step) for f in (schedules.learning_rate, schedules.kl_weight))
        batch = self.sets.train.random_rows(self.hparams.batch_size, seed, step, self.rows)
        draws = KeyedDraws(seed, step, self.rows, self.hparams.max_seq_len)
        return self.step_on(batch, draws, learning_rate, kl_weight)

    def step_on(
        self, batch: Batch, draws: Draws, learning_rate: float, kl_weight: float, tape: Tape = NO_TAPE
    ) -> StepResult:
        """One step on a given batch: costs, gradients, clipping, Adam.

        Args:
            batch: this process's rows of it.
            draws: latent noise and dropout masks of these rows.
            learning_rate: of this step.
            kl_weight: of this step.
            tape: takes down the forward pass, the costs, and of each parameter ``gradient/<name>`` and
                ``clipped/<name>``.

        Raises:
            NotFinite: when a cost or a gradient is NaN or infinite; then the weights stay.
            LostProcess: when another process is gone.
        """
        self.model.train()
        passed = self._pass(batch, draws, tape)
        costs = self.model.costs_of(passed, batch.sketches, kl_weight, share=self.share, group=self.group)
        tape(**costs._asdict())
        self.optimizer.zero_grad()
        costs.cost.backward()
        gradients = self._summed_gradients()
        if not bool(torch.isfinite(costs.cost) & torch.isfinite(gradients).all()):
            raise NotFinite(self.steps_done, self._first_not_finite(batch, passed, costs))
        self._take_down_gradients("gradient", tape)
        self.apply_gradients(learning_rate, tape)
        self.steps_done += 1
        return StepResult(self.steps_done - 1, *(float(cost.detach()) for cost in costs), learning_rate, kl_weight)

    def apply_gradients(self, learning_rate: float, tape: Tape = NO_TAPE) -> None:
        """Clip the gradients that the parameters hold, and let Adam take its step.

        Args:
            learning_rate: of this step.
            tape: takes down ``clipped/<name>`` of each parameter.
        """
        clip_by_value_(self.model.parameters(), self.hparams.grad_clip)
        self._take_down_gradients("clipped", tape)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()

    def check_weights(self) -> None:
        """Raises NotFinite when the last step left a weight that is NaN or infinite."""
        for name, weight in self.model.named_parameters():
            if not bool(torch.isfinite(weight).all()):
                raise NotFinite(self.steps_done - 1, f"the weight {name}, after the step,")

    def validate(self, split: str) -> Costs:
        """Mean costs of a split (floats), dropout off, with latent noise that is the same at every call.

        As Magenta: whole batches alone count, each equally. Otherwise every sketch counts equally. See also
        :meth:`validate_on`.

        Args:
            split: ``valid`` or ``test``.
        """
        sketches, size = getattr(self.sets, split), self.hparams.batch_size
        count = len(sketches)
        if self.options.validate_as_magenta and count >= size:
            count -= count % size
        sums = torch.zeros(3, dtype=torch.float64)
        for number, first in enumerate(range(0, count, size)):
            if number % self.group.size != self.group.rank:
                continue
            rows = range(first, min(first + size, count))
            draws = KeyedDraws(self.options.seed, VALIDATION, rows, self.hparams.max_seq_len)
            costs = self.validate_on(sketches.in_order(rows), draws)
            sums += len(rows) * torch.stack([cost.cpu().double() for cost in costs])
        sums = self.group.sum(sums.to(self.model.decoder.output_w.device))
        return Costs(*(sums / count).tolist())

    @torch.no_grad()
    def validate_on(self, batch: Batch, draws: Draws, tape: Tape = NO_TAPE) -> Costs:
        """The costs of a given batch, as a validation counts them: dropout off, all rows in this process.

        As Magenta, the KL is weighed by ``kl_weight_start`` throughout, and the pen loss of the padding counts as in
        training. Otherwise the KL is weighed by ``kl_weight``, which the training approaches, so that costs of
        different steps can be compared; and the padding does not count.

        Args:
            batch: sketches as they are, without augmentation.
            draws: latent noise of its rows.
            tape: takes down the forward pass and the costs.
        """
        as_magenta, hparams = self.options.validate_as_magenta, self.hparams
        kl_weight = hparams.kl_weight_start if as_magenta else hparams.kl_weight
        is_training = hparams.is_training if as_magenta else False
        self.model.eval()
        passed = self._pass(batch, draws, tape)
        costs = self.model.costs_of(passed, batch.sketches, kl_weight, is_training=is_training)
        tape(**costs._asdict())
        return costs

    def _pass(self, batch: Batch, draws: Draws, tape: Tape) -> Forward:
        with self._drawing_from(draws):
            passed = self.model(batch.sketches, batch.lengths, tape)
        passed = passed._replace(mixture=passed.mixture.shrunk(self.options.reg_covar))
        if tape.enabled:
            tape(head=passed.mixture.output(), **passed.mixture.parameters())
        return passed

    @contextmanager
    def _drawing_from(self, draws: Draws) -> Iterator[None]:
        """The model's own draws are back afterwards: it may be sampled from between two steps."""
        own, self.model.draws = self.model.draws, draws
        try:
            yield
        finally:
            self.model.draws = own

    def _take_down_gradients(self, kind: str, tape: Tape) -> None:
        if tape.enabled:  # copies, because clipping and the next step change them in place
            tape(**{f"{kind}/{name}": value.grad.clone() for name, value in self.model.named_parameters()})

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
