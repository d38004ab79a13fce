"""Drives a port through a recorded run of the official trainer, in float64, and hands out what it answers.

Nothing is compared here; see :mod:`parity_tests.judge.training`. Batches and schedules are the port's own. A port
without a data loader or schedules is given the recorded ones.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from parity_tests.adapter import FAILURES, Adapter, Arrays, describe_error
from parity_tests.record.draws import VALIDATION_DRAWS, Wanted, draws_of
from parity_tests.record.quantities import COSTS
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers
from parity_tests.replay.data import orders_of, sets_of
from weight_port.names import GLOBAL_STEP


class StepAnswer(NamedTuple):
    """What a port answered at one training step."""

    step: int
    own: dict[str, Any]  # lr, kl_weight, sketches and lengths, where the port computed them itself
    answer: Arrays  # of train_step


class ValidationAnswer(NamedTuple):
    """What a port answered for one batch of the validation set or the test set."""

    step: int  # the training step before it
    # of the batch, counted over all validations of the run
    index: int  # type: ignore[assignment]  # hides tuple.index, which is not used
    costs: Arrays


class PortFailed(Exception):
    """A method of the port failed; the message names it."""


def steps_from_official_state(recording: Recording, port: Adapter) -> Iterator[StepAnswer | ValidationAnswer]:
    """Take each step from the official weights, slots and powers before it, and validate as the trainer did.

    Raises:
        PortFailed: when a method of the port fails.
        NotImplementedError: when the port cannot load a model or take a training step.
    """
    driver = _Driver(recording, port)
    for step in range(driver.steps):
        driver.load(with_step(state_before(recording, step), step))
        yield driver.step(step)
        yield from driver.validations(step)


def free_run(recording: Recording, port: Adapter) -> Iterator[StepAnswer]:
    """Take all steps, starting from the first weights alone: the optimizer is the port's own.

    Raises:
        PortFailed, NotImplementedError: as :func:`steps_from_official_state`.
    """
    driver = _Driver(recording, port)
    trainable = {n.removeprefix("steps/gradient/") for n in recording["float64"] if n.startswith("steps/gradient/")}
    driver.load({name: value for name, value in state_before(recording, 0).items() if name in trainable})
    for step in range(driver.steps):
        yield driver.step(step)
        driver.skip_validation(step)


def step_after_checkpoint(recording: Recording, port: Adapter, variables: Arrays, step: int) -> StepAnswer:
    """Take one step from the variables of a checkpoint.

    Args:
        recording: of the run that saved the checkpoint.
        port: the port.
        variables: of the checkpoint, by their official names.
        step: how many steps the run had taken.

    Raises:
        PortFailed, NotImplementedError: as :func:`steps_from_official_state`.
    """
    return next(steps_after_checkpoint(recording, port, variables, step))


def steps_after_checkpoint(recording: Recording, port: Adapter, variables: Arrays, step: int) -> Iterator[StepAnswer]:
    """Take the steps after a checkpoint, each from the port's own results; see :func:`step_after_checkpoint`."""
    driver = _Driver(recording, port)
    for earlier in range(step):  # these batches come from the same random numbers
        driver.skip_step()
        driver.skip_validation(earlier)
    driver.load(variables)
    for later in range(step, driver.steps):
        yield driver.step(later)
        driver.skip_validation(later)


def state_before(recording: Recording, step: int) -> Arrays:
    """The official weights, slots and powers before a step."""
    if step == 0:
        return {n: v for n, v in recording["weights"].items() if n != GLOBAL_STEP}
    after = {n.removeprefix("steps/after/"): v for n, v in recording["float64"].items() if "/after/" in n}
    return {name: values[step - 1] for name, values in after.items()} | {
        name: value for name, value in recording["weights"].items() if name not in after and name != GLOBAL_STEP
    }


def with_step(variables: Arrays, step: int) -> Arrays:
    """Variables and the step counter that a checkpoint also holds."""
    return variables | {GLOBAL_STEP: np.asarray(step)}


def recorded_draws(recording: Recording, which: str) -> dict[str, Wanted]:
    """Shape and keep probability of each random input of the official graph.

    Args:
        recording: of a training.
        which: ``draws`` of a training step, or ``validation_draws``.
    """
    return {name: Wanted(tuple(shape), keep) for name, (shape, keep) in recording.provenance[which].items()}


class _Driver:
    """Asks a port for the steps and validations of one run.

    The data loader draws training, validation and test batches from one random number generator, so a batch that is not
    needed must still be drawn.
    """

    def __init__(self, recording: Recording, port: Adapter) -> None:
        self.recording, self.port = recording, port
        self.seed = recording.provenance["seed"]
        self.steps = len(recording["float64"]["steps/cost"])
        self.draws = recorded_draws(recording, "draws")
        self.sizes = {split: len(recording["inputs"][f"{split}/order"]) for split in ("valid", "test")}
        self.validated = 0  # batches of all validations so far
        self.best = float("inf")
        hparams = recording.hparams | {"max_seq_len": None}
        rng = np.random.RandomState(self.seed)
        try:
            self.data = _ask("data", lambda: port.data(sets_of(recording), hparams, rng, orders_of(recording)))
        except NotImplementedError:
            self.data = None

    def load(self, variables: Arrays) -> None:
        """Load copies of the variables."""
        copies = {name: value.copy() for name, value in variables.items()}
        _ask("load", lambda: self.port.load(dict(self.recording.hparams), copies))

    def step(self, step: int) -> StepAnswer:
        """Take a training step."""
        official = self.recording["float64"]
        given = {name: official[f"steps/{name}"][step].copy() for name in ("lr", "kl_weight", "sketches", "lengths")}
        own: dict[str, Any] = {}
        with suppress(NotImplementedError):
            own["lr"], own["kl_weight"] = self._schedules(step)
        if self.data is not None:
            own["sketches"], own["lengths"] = self._batch(self.data.random_batch)
        given |= own
        draws = _in_float64(draws_of(self.draws, self.seed, step))
        answer = _ask_arrays(
            "train_step",
            lambda: self.port.train_step(
                given["sketches"].copy(), given["lengths"].copy(), draws, float(given["lr"]), float(given["kl_weight"])
            ),
            COSTS,
        )
        return StepAnswer(step, own, answer)

    def skip_step(self) -> None:
        """Draw a training batch and discard it."""
        if self.data is not None:
            self._batch(self.data.random_batch)

    def validations(self, step: int) -> Iterator[ValidationAnswer]:
        """Validate after a step, if the official trainer did; nothing where the port cannot compute the costs."""
        for index, sketches, lengths in self._validation_batches(step):
            draws = draws_of(recorded_draws(self.recording, "validation_draws"), self.seed, VALIDATION_DRAWS + index)
            try:
                costs = self._costs(sketches, lengths, _in_float64(draws))
            except NotImplementedError:
                continue  # the rows of the validation costs say so
            yield ValidationAnswer(step, index, costs)

    def skip_validation(self, step: int) -> None:
        """Draw the batches of a validation and discard them."""
        for _ in self._validation_batches(step):
            pass

    def _validation_batches(self, step: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Index, sketches and lengths of each batch: the validation set and, if it is the best so far, the test set."""
        hparams = self.recording.hparams
        if self.data is None or step == 0 or step % hparams["save_every"]:
            return
        official = self.recording["float64"]["validation"]
        count = self.sizes["valid"] // hparams["batch_size"]
        cost = float(np.mean(official[self.validated : self.validated + count, 0]))
        for batch in range(count):
            yield self._validation_batch(self.data.valid_batch, batch)
        if cost < self.best:
            self.best = cost
            for batch in range(self.sizes["test"] // hparams["batch_size"]):
                yield self._validation_batch(self.data.test_batch, batch)

    def _validation_batch(self, draw: Callable[..., Any], batch: int) -> tuple[int, np.ndarray, np.ndarray]:
        sketches, lengths = self._batch(draw, batch)
        self.validated += 1
        return self.validated - 1, sketches, lengths

    def _batch(self, draw: Callable[..., Any], *index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sketches and lengths."""

        def arrays() -> tuple[np.ndarray, np.ndarray]:
            _, sketches, lengths = draw(*index)
            return np.array(sketches), np.array(lengths)

        return _ask("data", arrays)

    def _schedules(self, step: int) -> tuple[float, float]:
        def numbers() -> tuple[float, float]:
            lr, kl_weight = self.port.schedules(dict(self.recording.hparams), step)
            return float(lr), float(kl_weight)

        return _ask("schedules", numbers)

    def _costs(self, sketches: np.ndarray, lengths: np.ndarray, draws: Arrays) -> Arrays:
        """``cost``, ``r_cost`` and ``kl_cost`` of one batch, all masks off."""
        port, targets = self.port, sketches[:, 1:]
        latent = _ask_arrays("encode", lambda: port.encode(targets, lengths, draws), ("mu", "presig", "z"))
        decoded = _ask_arrays("decode", lambda: port.decode(sketches[:, :-1], latent["z"], {}), ())
        costs = _ask_arrays("loss", lambda: port.loss(decoded, targets, latent, is_training=True), COSTS[1:])
        # the official validation weights the KL cost by kl_weight_start throughout
        cost = costs["r_cost"] + self.recording.hparams["kl_weight_start"] * costs["kl_cost"]
        return {"cost": cost, "r_cost": costs["r_cost"], "kl_cost": costs["kl_cost"]}


def _in_float64(draws: Arrays) -> Arrays:
    return {name: value.astype(np.float64) for name, value in draws.items()}


def _ask(method: str, call: Callable[[], Any]) -> Any:
    """Call a method of the port; whatever it raises becomes a :class:`PortFailed`, except NotImplementedError."""
    try:
        return call()
    except NotImplementedError:
        raise
    except FAILURES as error:
        raise PortFailed(f"{method} failed: {describe_error(error)}") from error


def _ask_arrays(method: str, call: Callable[[], Arrays], required: tuple[str, ...]) -> Arrays:
    """The same for a method that answers with arrays by name, of which these are required."""
    answers = Answers()
    answer = answers.take(method, call, required)
    if answers.untested:
        raise NotImplementedError(answers.untested[method])
    if answers.broken:
        raise PortFailed(f"{method} failed: {answers.broken[method]}")
    return answer
