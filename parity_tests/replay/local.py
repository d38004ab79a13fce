"""Drives a port through single steps and single functions, each on values that the official code recorded.

The arguments of a function never depend on what the port computed before, so an error stays where it is made. Names
begin with ``fed/``; the rest of a name is that of the official quantity.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.adapter import Adapter, Arrays
from parity_tests.record.layers import (
    Layer,
    Steps,
    as_recorded,
    cell_scope,
    cell_steps,
    cotangents,
    layers_of,
    steps_of,
)
from parity_tests.record.mixtures import PARAMETERS
from parity_tests.record.quantities import FED
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import NO_ARRAYS, Answers, Replay, in_precision, is_arrays
from weight_port.names import CELLS


def replay_cell(recording: Recording, precision: str, port: Adapter) -> Answers:
    """A cell on its own: every step from the official state before it, and its vector-Jacobian product."""
    claims = recording.hparams
    kind, scope = claims["cell"], f"{CELLS[claims['cell']][0]}/"
    weights = {n.removeprefix(scope): v.astype(precision) for n, v in recording["weights"].items()}
    steps = cell_steps(recording.groups, recording[precision]["state"])
    answers = Answers()
    _take_steps(answers, "step_cell", steps, lambda *given: port.step_cell(kind, weights, *given))
    _take_vjp(
        answers,
        "step_cell_vjp",
        ("cell", claims["units"]),
        steps,
        lambda *given: port.step_cell_vjp(kind, weights, *given),
    )
    return answers


def replay_local(recording: Recording, precision: str, port: Adapter) -> Answers:
    """All local functions of a loaded model."""
    replay = LocalReplay(recording, precision, port)
    latent = replay.latent() if replay.conditional else None
    for layer in layers_of(recording.hparams):
        replay.layer(layer)
    replay.output_layer()
    replay.training_costs(latent)
    replay.evaluation_costs()
    replay.optimizer()
    replay.answers.arrays = {FED + name: value for name, value in replay.answers.arrays.items()}
    return replay.answers


class LocalReplay(Replay):
    """The local functions of one model."""

    def latent(self) -> Arrays:
        """From the encoder's last states to the decoder's first; returns the official mu, presig and z."""
        port, official, answers = self.port, self.official, self.answers
        given = {n: official[f"train/{n}"].copy() for n in ("mu", "presig", "z")}
        states = [official[f"train/encoder/{side}/final_state"].copy() for side in ("fw", "bw")]
        noise = self.latent_noise()["latent"]
        answers.take("posterior", lambda: port.posterior(*states), ("mu", "presig"), "train/")
        answers.take("latent", lambda: port.latent(given["mu"], given["presig"], noise), ("z",), "train/")
        answers.take("initial_state", lambda: port.initial_state(given["z"]), ("initial_state",), "train/decoder/")
        return given

    def layer(self, layer: Layer) -> None:
        """All steps of a layer, and their vector-Jacobian product."""
        inputs, draws = self.inputs, self.recording["draws"]
        if f"train/{layer.name}/state" not in self.official:
            return
        steps = steps_of(layer, self.official, inputs, draws, np.dtype(self.precision))
        step, vjp = self._methods_of(layer)
        stepped, products = Answers(), Answers()
        _take_steps(stepped, f"step_layer ({layer.name})", steps, step)
        for name, value in stepped.arrays.items():
            recorded = as_recorded(layer, name, value, inputs, draws) if _fits(value, steps) else value
            self.answers.arrays[f"train/{layer.name}/{name}"] = recorded
        _take_vjp(products, f"step_layer_vjp ({layer.name})", (layer.name, self.hparams[layer.size]), steps, vjp)
        for name, value in products.arrays.items():
            self.answers.arrays[name.replace("vjp/", f"vjp/{layer.name}/", 1)] = value
        for taken in (stepped, products):
            self.answers.absorb(Answers({}, taken.broken, taken.untested))

    def _methods_of(self, layer: Layer) -> tuple[Callable[..., Arrays], Callable[..., Arrays]]:
        """A port's step of a layer and its product; if it has none, those of a cell with the official weights."""
        port = self.port
        kind, scope = self.hparams[layer.model], cell_scope(layer, self.hparams)
        weights = {n.removeprefix(scope): v for n, v in self.recording["weights"].items() if n.startswith(scope)}
        weights = in_precision(weights, self.precision)

        def step(*given: Any) -> Arrays:
            own = "step_layer" in port.offers
            return port.step_layer(layer.name, *given) if own else port.step_cell(kind, weights, *given)

        def vjp(*given: Any) -> Arrays:
            own = "step_layer_vjp" in port.offers
            return port.step_layer_vjp(layer.name, *given) if own else port.step_cell_vjp(kind, weights, *given)

        return step, vjp

    def output_layer(self) -> None:
        """The output layer on the decoder's official outputs."""
        hidden = self.official["train/decoder/output"].copy()
        self.answers.take("output_layer", lambda: self.port.output_layer(hidden), ("head",), "train/")

    def training_costs(self, latent: Arrays | None) -> None:
        """Mixture, costs and their gradients from the official values of the output layer."""
        targets, kl_weight = self._targets(), float(self.inputs["kl_weight"])
        taken = Answers()
        required = (*PARAMETERS, "r_cost", "kl_cost", "cost", "gradient/head")
        taken.take(
            "costs",
            lambda: self.port.costs(self.official["train/head"].copy(), targets, latent, kl_weight, is_training=True),
            required if latent is None else (*required, "gradient/mu", "gradient/presig"),
        )
        taken.arrays = {
            (f"loss/{name}" if name.startswith("gradient/") else f"train/{name}"): value
            for name, value in taken.arrays.items()
            if latent is not None or name != "kl_cost"
        }
        self.answers.absorb(taken)

    def evaluation_costs(self) -> None:
        """The same for the evaluation model, without gradients; by :meth:`Adapter.loss` where there is no ``costs``."""
        port, official, targets = self.port, self.official, self._targets()
        latent = {n: official[f"eval/{n}"].copy() for n in ("mu", "presig")} if self.conditional else None
        taken = Answers()
        if "costs" in port.offers:
            taken.take(
                "costs (evaluation)",
                lambda: port.costs(official["eval/head"].copy(), targets, latent, 1.0, is_training=False),
                ("r_cost", "kl_cost"),
            )
        elif self.precision == "float64":  # the truth of a float32 loss was recorded from the output layer's values
            parameters = {name: official[f"eval/{name}"].copy() for name in PARAMETERS}
            taken.take("loss", lambda: port.loss(parameters, targets, latent, is_training=False), ("r_cost", "kl_cost"))
        wanted = ("r_cost", "kl_cost") if self.conditional else ("r_cost",)
        taken.arrays = {f"eval/{name}": value for name, value in taken.arrays.items() if name in wanted}
        self.answers.absorb(taken)

    def optimizer(self) -> None:
        """A step of the optimizer. It changes the port's weights, so nothing that needs them may follow."""
        official = self.official
        gradients = {n.removeprefix("gradient/"): v.copy() for n, v in official.items() if n.startswith("gradient/")}
        names = tuple(f"{kind}/{name}" for kind in ("clipped", "after") for name in gradients)
        lr = float(self.inputs["lr"])
        self.answers.take("optimize", lambda: self.port.optimize(gradients, lr), names, "optimizer/")

    def _targets(self) -> np.ndarray:
        return self.sketches()[:, 1:]


def _fits(value: np.ndarray, steps: Steps) -> bool:
    """Whether an array holds numbers for each row and step; if not, its row says what is wrong."""
    return value.dtype.kind == "f" and value.ndim == 3 and value.shape[:2] == steps.x.shape[:2]


def _take_steps(answers: Answers, method: str, steps: Steps, call: Callable[..., Arrays]) -> None:
    """All steps at once, as one batch of B x T rows."""
    shape, flat = steps.x.shape[:2], steps.flat()
    answers.take(method, lambda: _unflattened(call(*flat), shape, None), required=("output", "state"))


def _take_vjp(answers: Answers, method: str, layer: tuple[str, int], steps: Steps, call: Callable[..., Arrays]) -> None:
    """The vector-Jacobian product with fixed cotangents; ``layer`` is its name, which seeds them, and its units."""
    shape, flat = steps.x.shape[:2], steps.flat()
    name, units = layer
    ends = {"output": (len(flat.x), units), "state": flat.state.shape}
    given = [cotangents(f"{name}/{end}", wanted).astype(flat.x.dtype) for end, wanted in ends.items()]
    answers.take(method, lambda: _unflattened(call(*flat, *given), shape, ("x", "state")), ("x", "state"), "vjp/")


def _unflattened(answer: Any, shape: tuple[int, ...], names: tuple[str, ...] | None) -> Arrays:
    """Arrays [B T, n] as [B, T, n]: the named ones, or all if there are no names."""
    if not is_arrays(answer):
        raise TypeError(NO_ARRAYS)
    rows = shape[0] * shape[1]
    return {
        name: value.reshape(*shape, -1)
        if (names is None or name in names) and value.ndim == 2 and len(value) == rows
        else value
        for name, value in answer.items()
    }
