"""Drives a port through single steps and single functions, each on values that the official code recorded.

What a function is given never depends on what the port computed before, so an error stays where it is made. Names
begin with ``fed/``; the rest of a name is that of the official quantity.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.adapter import Adapter, Arrays
from parity_tests.record.draws import PREFIXES
from parity_tests.record.layers import Steps, as_recorded, cell_scope, cell_steps, cotangents, layers_of, steps_of
from parity_tests.record.mixtures import PARAMETERS
from parity_tests.record.quantities import FED, PREFIX
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import NO_ARRAYS, Answers, in_precision, is_arrays
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
    answers = Answers()
    official, draws = recording[precision], recording["draws"]
    latent = _latent(answers, official, draws, precision, port) if recording.hparams["conditional"] else None
    for layer in layers_of(recording.hparams):
        _layer(answers, recording, precision, port, layer)
    _output(answers, recording, precision, port, latent)
    _optimizer(answers, recording, precision, port)
    answers.arrays = {FED + name: value for name, value in answers.arrays.items()}
    return answers


def replay_prefixes(recording: Recording, precision: str, port: Adapter) -> Answers:
    """The first points of each sketch alone: nearly local, and within the reach of a port that offers no steps."""
    answers, taken = Answers(), Answers()
    inputs, official = recording["inputs"], recording[precision]
    sketches = inputs["sketches"].astype(precision)
    z = None
    if recording.hparams["conditional"]:
        noise = {"latent": recording["draws"]["latent"].astype(precision)}
        for length in PREFIXES:
            lengths = np.minimum(inputs["lengths"], length)
            taken.take(
                f"encode (first {length})",
                lambda n=lengths: _some(port.encode(sketches[:, 1:], n.copy(), noise), ("mu", "presig")),
                ("mu", "presig"),
                f"{PREFIX}{length}/",
            )
        z = official["eval/z"].copy()
    taken.take(
        "decode (first points)",
        lambda: _some(port.decode(sketches[:, : max(PREFIXES)], z, {}), PARAMETERS),
        PARAMETERS,
        PREFIX,
    )
    answers.absorb(taken)
    return answers


def _some(answer: Any, names: tuple[str, ...]) -> Any:
    return {name: answer[name] for name in names if name in answer} if is_arrays(answer) else answer


def _layer(answers: Answers, recording: Recording, precision: str, port: Adapter, layer: Any) -> None:
    inputs, draws, hparams = recording["inputs"], recording["draws"], recording.hparams
    if f"train/{layer.name}/state" not in recording[precision]:
        return
    steps = steps_of(layer, recording[precision], inputs, draws, np.dtype(precision))
    taken = Answers()
    step, vjp = _of_layer(recording, precision, port, layer)
    _take_steps(taken, f"step_layer ({layer.name})", steps, step)
    taken.arrays = {
        name: as_recorded(layer, name, value, inputs, draws) if _fits(value, steps) else value
        for name, value in taken.arrays.items()
    }
    taken.arrays = {f"train/{layer.name}/{name}": value for name, value in taken.arrays.items()}
    products = Answers()
    _take_vjp(products, f"step_layer_vjp ({layer.name})", (layer.name, hparams[layer.size]), steps, vjp)
    taken.absorb(products)
    taken.arrays = {
        name.replace("vjp/", f"vjp/{layer.name}/", 1) if name.startswith("vjp/") else name: value
        for name, value in taken.arrays.items()
    }
    answers.absorb(taken)


def _fits(value: np.ndarray, steps: Steps) -> bool:
    """Whether it holds numbers for each row and step; of all else its row says what is wrong."""
    return value.dtype.kind == "f" and value.ndim == 3 and value.shape[:2] == steps.x.shape[:2]


def _of_layer(
    recording: Recording, precision: str, port: Adapter, layer: Any
) -> tuple[Callable[..., Arrays], Callable[..., Arrays]]:
    """A port's step of a layer and its product; those of a cell with the official weights, where it has no others."""
    kind, scope = recording.hparams[layer.model], cell_scope(layer, recording.hparams)
    weights = {n.removeprefix(scope): v for n, v in recording["weights"].items() if n.startswith(scope)}
    weights = in_precision(weights, precision)

    def step(*given: Any) -> Arrays:
        own = "step_layer" in port.offers
        return port.step_layer(layer.name, *given) if own else port.step_cell(kind, weights, *given)

    def vjp(*given: Any) -> Arrays:
        own = "step_layer_vjp" in port.offers
        return port.step_layer_vjp(layer.name, *given) if own else port.step_cell_vjp(kind, weights, *given)

    return step, vjp


def _take_steps(answers: Answers, method: str, steps: Steps, call: Callable[..., Arrays]) -> None:
    """All steps at once, as one batch of B x T rows."""
    shape, flat = steps.x.shape[:2], steps.flat()
    answers.take(method, lambda: _unflattened(call(*flat), shape, None), required=("output", "state"))


def _take_vjp(answers: Answers, method: str, layer: tuple[str, int], steps: Steps, call: Callable[..., Arrays]) -> None:
    """The vector-Jacobian product with the cotangents of a layer's name, of so many units."""
    shape, flat = steps.x.shape[:2], steps.flat()
    name, units = layer
    ends = {"output": (len(flat.x), units), "state": flat.state.shape}
    given = [cotangents(f"{name}/{end}", wanted).astype(flat.x.dtype) for end, wanted in ends.items()]
    answers.take(method, lambda: _unflattened(call(*flat, *given), shape, ("x", "state")), ("x", "state"), "vjp/")


def _unflattened(answer: Any, shape: tuple[int, ...], names: tuple[str, ...] | None) -> Arrays:
    """[B T, n] as [B, T, n]; of the named ones, or of all."""
    if not is_arrays(answer):
        raise TypeError(NO_ARRAYS)
    rows = shape[0] * shape[1]
    return {
        name: value.reshape(*shape, -1)
        if (names is None or name in names) and value.ndim == 2 and len(value) == rows
        else value
        for name, value in answer.items()
    }


def _latent(answers: Answers, official: Arrays, draws: Arrays, precision: str, port: Adapter) -> Arrays:
    """From the last states to the decoder's first."""
    given = {n: official[f"train/{n}"].copy() for n in ("mu", "presig", "z")}
    states = [official[f"train/encoder/{side}/final_state"].copy() for side in ("fw", "bw")]
    noise = draws["latent"].astype(precision)
    answers.take("posterior", lambda: port.posterior(*states), ("mu", "presig"), "train/")
    answers.take("latent", lambda: port.latent(given["mu"], given["presig"], noise), ("z",), "train/")
    answers.take("initial_state", lambda: port.initial_state(given["z"]), ("initial_state",), "train/decoder/")
    return given


def _output(answers: Answers, recording: Recording, precision: str, port: Adapter, latent: Arrays | None) -> None:
    official, inputs = recording[precision], recording["inputs"]
    targets = inputs["sketches"].astype(precision)[:, 1:]
    hidden = official["train/decoder/output"].copy()
    answers.take("output_layer", lambda: port.output_layer(hidden), ("head",), "train/")
    taken = Answers()
    required = (*PARAMETERS, "r_cost", "kl_cost", "cost", "gradient/head")
    taken.take(
        "costs",
        lambda: port.costs(
            official["train/head"].copy(), targets, latent, float(inputs["kl_weight"]), is_training=True
        ),
        required if latent is None else (*required, "gradient/mu", "gradient/presig"),
    )
    taken.arrays = {
        (f"loss/{name}" if name.startswith("gradient/") else f"train/{name}"): value
        for name, value in taken.arrays.items()
        if latent is not None or name != "kl_cost"
    }
    answers.absorb(taken)
    given = None if latent is None else {name: official[f"eval/{name}"].copy() for name in ("mu", "presig")}
    taken = Answers()
    if "costs" in port.offers:
        taken.take(
            "costs (evaluation)",
            lambda: port.costs(official["eval/head"].copy(), targets, given, 1.0, is_training=False),
            ("r_cost", "kl_cost"),
        )
    elif precision == "float64":  # the truth of a float32 loss was recorded from the output layer's values alone
        parameters = {name: official[f"eval/{name}"].copy() for name in PARAMETERS}
        taken.take("loss", lambda: port.loss(parameters, targets, given, is_training=False), ("r_cost", "kl_cost"))
    wanted = ("r_cost",) if latent is None else ("r_cost", "kl_cost")
    taken.arrays = {f"eval/{name}": value for name, value in taken.arrays.items() if name in wanted}
    answers.absorb(taken)


def _optimizer(answers: Answers, recording: Recording, precision: str, port: Adapter) -> None:
    """The port's model moves on: nothing that needs its weights may come after this."""
    official = recording[precision]
    gradients = {n.removeprefix("gradient/"): v.copy() for n, v in official.items() if n.startswith("gradient/")}
    names = tuple(f"{kind}/{name}" for kind in ("clipped", "after") for name in gradients)
    lr = float(recording["inputs"]["lr"])
    answers.take("optimize", lambda: port.optimize(gradients, lr), names, "optimizer/")
