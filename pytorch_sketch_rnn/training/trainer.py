"""One training step and one validation, as Magenta does them, in one process or in several.

Source: Magenta ``sketch_rnn_train.py`` (``train``, ``evaluate_model``) and ``model.py`` (``train_op``).
"""

import dataclasses
from collections.abc import Hashable
from typing import NamedTuple

import torch
from torch import Tensor

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.magenta_loader import Batch
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import coerce
from pytorch_sketch_rnn.model.backend import LOOP
from pytorch_sketch_rnn.model.draws import Draws, KeyedDraws
from pytorch_sketch_rnn.model.losses import Costs, CostValues
from pytorch_sketch_rnn.model.sketch_rnn import Forward, SketchRNN
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape
from pytorch_sketch_rnn.training import schedules
from pytorch_sketch_rnn.training.batches_ahead import BatchesAhead
from pytorch_sketch_rnn.training.graphed_step import GraphedStep, StepInputs
from pytorch_sketch_rnn.training.optim import TF1Adam, clip_by_value, flat_gradient
from pytorch_sketch_rnn.training.optimizer_file import POWERS

LARGEST_SEED = 2**31 - 1
# reg_covar is a safeguard of the loss, not a part of the model: this is (1 % of the offsets' standard deviation)^2.
LARGEST_REG_COVAR = 1e-4
# The step number under which validations draw: always the same, so that their costs differ only by the weights.
VALIDATION = 2**32 - 1
MOST_UNCHECKED = 16  # steps that may be taken before their numbers are looked at


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of a training for which Magenta has no hyperparameter."""

    seed: int = 0  # seed of batches, augmentation, latent noise and masks
    reg_covar: float = 0.0  # see Mixture.regularized; 0 is Magenta's loss
    validate_as_magenta: bool = False  # see Trainer.validate

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, coerce(field, getattr(self, field.name)))
        if not 0 <= self.seed <= LARGEST_SEED:
            raise BadInput(f"seed is {self.seed}, expected 0 to {LARGEST_SEED}")
        if not 0 <= self.reg_covar <= LARGEST_REG_COVAR:
            raise BadInput(f"reg_covar is {self.reg_covar}, expected 0 to {LARGEST_REG_COVAR:g}")


class StepValues(NamedTuple):
    """A step's result with its costs as Python floats; the fields are those of :class:`StepResult`."""

    step: int
    cost: float
    r_cost: float
    kl_cost: float
    learning_rate: float
    kl_weight: float


class StepResult(NamedTuple):
    """The result of a step. Its costs are those before the update, scalars on the device."""

    step: int
    cost: Tensor
    r_cost: Tensor
    kl_cost: Tensor
    learning_rate: float
    kl_weight: float

    def on_host(self) -> StepValues:
        """A copy with the costs as Python floats; on a GPU this waits for the step."""
        costs = float(self.cost), float(self.r_cost), float(self.kl_cost)
        return StepValues(self.step, *costs, self.learning_rate, self.kl_weight)


class NotFinite(ArithmeticError):
    """A number of a training step is NaN or infinite; the weights are those from before the step."""

    def __init__(self, step: int, tensor: str) -> None:
        super().__init__(f"step {step}: {tensor} is not finite")
        self.step, self.tensor = step, tensor


class _Unchecked(NamedTuple):
    """A step that the host does not yet know to be applied or skipped."""

    step: int
    applied: Tensor  # boolean scalar on the device
    kl_weight: float
    can_be_repeated: bool  # its batch and draws follow from the seed


class _LastStep(NamedTuple):
    """What the last step computed, without its graph, kept to find the first number that is not finite."""

    batch: Batch | StepInputs
    passed: Forward
    costs: Costs


class _Computed(NamedTuple):
    """What a step has computed."""

    last: _LastStep
    gradients: list[Tensor | None]  # of the parameters
    applied: Tensor  # see _Unchecked


class Trainer:
    """A model in training.

    A step with a cost or gradient that is not finite changes nothing, nor do the steps after it, until :meth:`check`
    reports it. So no step waits for numbers from the device. Call :meth:`check` every few steps; after
    :data:`MOST_UNCHECKED` steps without it, :meth:`step` does.

    Args:
        model: the model to train, with the hyperparameters of ``sets``.
        sets: the training and validation data; None if only :meth:`step_on` and :meth:`validate_on` are used.
        options: the settings for which Magenta has no hyperparameter.
        group: the processes that share each batch.
    """

    def __init__(
        self,
        model: SketchRNN,
        sets: Sets | None,
        options: Options = Options(),
        group: Group = Group(),  # noqa: B008 (immutable)
    ) -> None:
        self.model, self._sets, self.options, self.group = model, sets, options, group
        self.hparams = model.hparams
        self.steps_done = 0
        self.optimizer = TF1Adam(model.parameters(), self.hparams.learning_rate)
        self.rows = group.rows(self.hparams.batch_size)
        self.share = len(self.rows) / self.hparams.batch_size
        self._all_finite = torch.ones((), dtype=torch.bool, device=model.decoder.output_w.device)
        self._unchecked: list[_Unchecked] = []
        self._last: _LastStep  # set by every step
        self._ahead = BatchesAhead(self._batch)
        weight = model.decoder.output_w
        graphs = weight.is_cuda and group.size == 1
        self._graphed = GraphedStep(self._step_from, weight) if graphs else None

    @property
    def sets(self) -> Sets:
        """The training and validation data.

        Raises:
            ValueError: when the trainer was built without them.
        """
        if self._sets is None:
            raise ValueError("this trainer has no sets: only step_on and validate_on can be used")
        return self._sets

    def step(self) -> StepResult:
        """The next step of the training, with its own batch, random numbers and schedules.

        Raises:
            NotFinite: when :meth:`check` was not called for many steps and one of them was not finite.
            LostProcess: when another process has ended.
        """
        if len(self._unchecked) >= MOST_UNCHECKED:
            self.check()
        step = self.steps_done
        learning_rate, kl_weight = (f(self.hparams, step) for f in (schedules.learning_rate, schedules.kl_weight))
        if self._graphed is not None and self.model.usable_backend() is not LOOP:
            batch = self._ahead.batch(step)
            computed = self._detached(self._graphed(batch, step, learning_rate, kl_weight, self._held()), batch)
        else:
            computed = self._step(*self._batch_and_draws(step), learning_rate, kl_weight, NO_TAPE)
        return self._took(computed, learning_rate, kl_weight, can_be_repeated=True)

    def step_on(
        self, batch: Batch, draws: Draws, learning_rate: float, kl_weight: float, tape: Tape = NO_TAPE
    ) -> StepResult:
        """One step on a given batch: costs, gradients, clipping, Adam.

        Args:
            batch: this process's rows of the batch.
            draws: the latent noise and dropout masks of these rows.
            learning_rate: the learning rate of this step.
            kl_weight: the KL weight of this step.
            tape: records the forward pass, the costs, and for each parameter ``gradient/<name>`` and
                ``clipped/<name>``.

        Raises:
            LostProcess: when another process has ended.
        """
        computed = self._step(batch, draws, learning_rate, kl_weight, tape)
        return self._took(computed, learning_rate, kl_weight, can_be_repeated=False)

    def check(self) -> None:
        """Check all steps since the last call.

        Raises:
            NotFinite: for the first step in which a cost or a gradient is NaN or infinite. The trainer is then back at
                that step, with the weights and the optimizer state from before it.
        """
        unchecked, self._unchecked = self._unchecked, []
        if not unchecked:
            return
        applied = torch.stack([each.applied for each in unchecked]).tolist()
        if all(applied):
            return
        failed = unchecked[applied.index(False)]
        known = failed is unchecked[-1]
        if not known and failed.can_be_repeated:  # the weights are the same: no later step has changed them
            self._gradient(*self._batch_and_draws(failed.step), failed.kl_weight, NO_TAPE)
            known = True
        self._all_finite.fill_(True)
        self.steps_done = failed.step
        raise NotFinite(failed.step, self._first_not_finite() if known else "a cost or a gradient")

    def apply_gradients(self, learning_rate: float, tape: Tape = NO_TAPE) -> None:
        """Clip the gradients that the parameters hold and take one step of Adam.

        Args:
            learning_rate: the learning rate of this step.
            tape: records ``clipped/<name>`` for each parameter.
        """
        self._apply(flat_gradient(self.model.parameters()), None, learning_rate, tape)

    def check_weights(self) -> None:
        """Raises NotFinite when the last step left a weight that is NaN or infinite."""
        for name, weight in self.model.named_parameters():
            if not bool(torch.isfinite(weight).all()):
                raise NotFinite(self.steps_done - 1, f"the weight {name}, after the step,")

    def validate(self, split: str) -> CostValues:
        """Mean costs of a split, with dropout off and the same latent noise at every call.

        With ``validate_as_magenta`` only whole batches count, each equally; otherwise every sketch counts equally. See
        also :meth:`validate_on`.

        Args:
            split: ``valid`` or ``test``.

        Raises:
            LostProcess: when another process has ended.
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
            draws = KeyedDraws(self.options.seed, VALIDATION, rows)
            costs = self.validate_on(sketches.in_order(rows), draws)
            sums += len(rows) * torch.stack([cost.cpu().double() for cost in costs])
        if self.group.size > 1:  # a device may have no float64
            sums = self.group.sum(sums.to(self.model.decoder.output_w.device))
        return CostValues(*(sums / count).tolist())

    @torch.no_grad()
    def validate_on(self, batch: Batch, draws: Draws, tape: Tape = NO_TAPE) -> Costs:
        """The validation costs of a given batch: dropout off, all rows in this process.

        With ``validate_as_magenta`` the KL weight is always ``kl_weight_start``, and the pen loss counts the padding as
        in training. Otherwise the KL weight is ``kl_weight``, which training approaches, so that costs of different
        steps are comparable, and padding does not count.

        Args:
            batch: sketches without augmentation.
            draws: the source of the latent noise of its rows.
            tape: records the forward pass and the costs.
        """
        as_magenta, hparams = self.options.validate_as_magenta, self.hparams
        kl_weight = hparams.kl_weight_start if as_magenta else hparams.kl_weight
        is_training = hparams.is_training if as_magenta else False
        self.model.eval()
        passed = self._pass(batch, draws, tape)
        costs = self.model.costs_of(passed, batch.sketches, kl_weight, is_training=is_training)
        tape(**costs._asdict())
        return costs

    def _batch(self, step: int) -> Batch:
        return self.sets.train.random_rows(self.hparams.batch_size, self.options.seed, step, self.rows)

    def _batch_and_draws(self, step: int) -> tuple[Batch, Draws]:
        return self._ahead.batch(step), KeyedDraws(self.options.seed, step, self.rows)

    def _step(
        self,
        batch: Batch | StepInputs,
        draws: Draws,
        learning_rate: float | Tensor,
        kl_weight: float | Tensor,
        tape: Tape,
    ) -> _Computed:
        costs, gradient = self._gradient(batch, draws, kl_weight, tape)
        self._all_finite &= torch.isfinite(costs.cost) & torch.isfinite(gradient).all()
        applied = self._all_finite.clone()
        self._apply(gradient, applied, learning_rate, tape)
        return _Computed(self._last, [parameter.grad for parameter in self.model.parameters()], applied)

    def _took(
        self, computed: _Computed, learning_rate: float, kl_weight: float, *, can_be_repeated: bool
    ) -> StepResult:
        step = self.steps_done
        self._unchecked.append(_Unchecked(step, computed.applied, kl_weight, can_be_repeated))
        self.steps_done += 1
        return StepResult(step, *computed.last.costs, learning_rate, kl_weight)

    def _step_from(self, inputs: StepInputs) -> _Computed:
        """A step whose inputs are all on the device, so that a graph can hold it."""
        draws = KeyedDraws(self.options.seed, inputs.step, self.rows)
        return self._step(inputs, draws, inputs.learning_rate, inputs.kl_weight, NO_TAPE)

    def _detached(self, computed: _Computed, batch: Batch) -> _Computed:
        """A graph's result as a step leaves it: what outlives the next step is copied."""
        costs = Costs(*torch.stack(computed.last.costs).unbind())
        self._last = _LastStep(batch, computed.last.passed, costs)
        for parameter, gradient in zip(self.model.parameters(), computed.gradients, strict=True):
            parameter.grad = gradient
        return computed._replace(last=self._last, applied=computed.applied.clone())

    def _held(self) -> Hashable:
        """What a graph of a step depends on besides its inputs: where its tensors are, and how they are computed."""
        optimizer = self.optimizer
        settings = (optimizer.settings[name] for name in ("lr", *POWERS))
        tensors = *optimizer.parameters, optimizer.m, optimizer.v, *settings, self._all_finite
        backend = self.model.usable_backend().name
        return *(tensor.data_ptr() for tensor in tensors), backend, torch.get_float32_matmul_precision()

    def _gradient(
        self, batch: Batch | StepInputs, draws: Draws, kl_weight: float | Tensor, tape: Tape
    ) -> tuple[Costs, Tensor]:
        """The costs, detached, and the gradient of all parameters in one vector, summed over the processes."""
        self.model.train()
        passed = self._pass(batch, draws, tape)
        costs = self.model.costs_of(passed, batch.sketches, kl_weight, share=self.share, group=self.group)
        tape(**costs._asdict())
        self.optimizer.zero_grad()
        costs.cost.backward()
        gradient = self.group.sum(flat_gradient(self.model.parameters()))
        self._record_gradient("gradient", gradient, tape)
        costs = Costs(*(cost.detach() for cost in costs))
        self._last = _LastStep(batch, passed.detached(), costs)
        return costs, gradient

    def _apply(self, gradient: Tensor, applied: Tensor | None, learning_rate: float | Tensor, tape: Tape) -> None:
        clipped = clip_by_value(gradient, self.hparams.grad_clip)
        self._record_gradient("clipped", clipped, tape)
        if applied is not None:
            clipped = torch.where(applied, clipped, 0)
        self.optimizer.settings["lr"].fill_(learning_rate)
        self.optimizer.step_by(clipped, applied)

    def _pass(self, batch: Batch | StepInputs, draws: Draws, tape: Tape) -> Forward:
        longest = batch.longest if isinstance(batch, StepInputs) else None
        passed = self.model(batch.sketches, batch.lengths, tape, draws=draws, longest=longest)
        passed = passed._replace(mixture=passed.mixture.regularized(self.options.reg_covar))
        if tape.enabled:
            tape(head=passed.mixture.output(), **passed.mixture.parameters())
        return passed

    def _record_gradient(self, kind: str, gradient: Tensor, tape: Tape) -> None:
        if tape.enabled:
            names = [name for name, _ in self.model.named_parameters()]
            parts = self.optimizer.split(gradient)
            tape(**{f"{kind}/{name}": part.clone() for name, part in zip(names, parts, strict=True)})

    def _first_not_finite(self) -> str:
        """The name of the first tensor of the last step, in order of computation, that is not finite."""
        batch, passed, costs = self._last
        tensors: dict[str, Tensor] = {f"the weight {name}": value for name, value in self.model.named_parameters()}
        tensors["the batch"] = torch.as_tensor(batch.sketches)
        tensors |= {name: value for name in ("mu", "presig", "z") if (value := getattr(passed, name)) is not None}
        mixture = {field.name: getattr(passed.mixture, field.name) for field in dataclasses.fields(passed.mixture)}
        tensors |= {f"the mixture's {name}": value for name, value in mixture.items()}
        tensors |= {"r_cost": costs.r_cost, "kl_cost": costs.kl_cost, "cost": costs.cost}
        for name, weight in self.model.named_parameters():
            if weight.grad is not None:
                tensors[f"the gradient of {name}"] = weight.grad
        for name, value in tensors.items():
            if not bool(torch.isfinite(value).all()):
                return name
        return "a number of another process"
