"""Drives a port through a recording: what the official code computed there, the port computes again.

Twice: running freely, where a local error goes on into all that follows, and from the official values before each step
(names that begin with ``fed/``), where it stays local. Quantities come in the order in which they are computed.
"""

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from parity_tests.adapter import FAILURES, Adapter, Arrays, told
from parity_tests.compare import FED
from parity_tests.configurations import SAMPLING_MODES, SAMPLING_SEEDS
from parity_tests.mixtures import NAMES as MIXTURE
from parity_tests.mixtures import PARAMETERS, nll
from parity_tests.recording import Recording
from pytorch_sketch_rnn.npz import SPLITS
from weight_port.names import ADAM_POWERS, CELLS, GLOBAL_STEP, ROOT

LAYERS = {
    "encoder/fw": ("enc_model", "vector_rnn/ENC_RNN/fw"),
    "encoder/bw": ("enc_model", "vector_rnn/ENC_RNN/bw"),
    "decoder": ("dec_model", "vector_rnn/RNN"),
}


WHOLE = ("gradient/", "clipped/", "after/")  # begins what a training step leaves, a name for each variable
NO_ARRAYS = "expected a mapping of names to NumPy arrays"


def is_arrays(answer: Any) -> bool:
    """Whether a method answered what the harness can compare."""
    return isinstance(answer, Mapping) and all(
        isinstance(name, str) and isinstance(value, np.ndarray | np.generic) for name, value in answer.items()
    )


@dataclasses.dataclass
class Answers:
    """What a port answered."""

    arrays: Arrays = dataclasses.field(default_factory=dict)
    broken: dict[str, str] = dataclasses.field(default_factory=dict)  # method -> how it failed
    untested: dict[str, str] = dataclasses.field(default_factory=dict)  # method -> why

    def take(self, method: str, call: Callable[[], Arrays], required: tuple[str, ...], prefix: str = "") -> Arrays:
        """Ask the port; what it answers is taken down under the prefix, and returned as it is.

        A port may raise what it likes: that is a failure of the port, not of the harness.
        """
        try:
            answer = call()
        except NotImplementedError as error:
            self.untested[method] = str(error) or "the port does not offer it"
            return {}
        except FAILURES as error:
            self.broken[method] = told(error)
            return {}
        if not is_arrays(answer):
            self.broken[method] = NO_ARRAYS
            return {}
        if lacking := [name for name in required if name not in answer]:
            self.broken[method] = f"the answer lacks {', '.join(lacking)}"
        # copies, for a port may write its next answer into the same arrays
        self.arrays |= {prefix + name: np.array(value) for name, value in answer.items()}
        return answer


def replay(recording: Recording, precision: str, port: Adapter) -> Answers:
    """Compute what a recording holds in a precision (``float32``, ``float64`` or, for data and masks, ``exact``)."""
    if recording.kind == "cell":
        return replay_cell(recording, precision, port)
    if recording.kind == "data":
        return replay_data(recording, port)
    return replay_model(recording, precision, port)


def replay_cell(recording: Recording, precision: str, port: Adapter) -> Answers:
    """One cell, each step from the official state before it."""
    answers = Answers()
    if precision == "exact":
        return answers  # what a mask holds; see parity_tests.prove
    claims = recording.hparams
    scope = f"{CELLS[claims['cell']][0]}/"
    weights = {n.removeprefix(scope): v.astype(precision) for n, v in recording["weights"].items()}
    official = recording[precision]["state"]
    states = np.concatenate([recording["inputs"]["state"][:, None], official[:, :-1]], axis=1)
    x, masks = recording["inputs"]["x"], recording["draws"]["recurrent"]
    inputs = [(x[:, t], states[:, t], masks[t]) for t in range(claims["steps"])]
    answers.take(
        "step_cell", lambda: _stepped(port, claims["cell"], weights, inputs, precision), required=("output", "state")
    )
    return answers


def _stepped(
    port: Adapter,
    kind: str,
    weights: Arrays,
    inputs: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
    precision: str,
) -> Arrays:
    """Some steps of a cell on its own, each from a given state, stacked [B, T, n]."""
    steps = []
    for x, state, mask in inputs:
        given = None if mask is None else mask.astype(precision)
        answer = port.step_cell(kind, weights, x.astype(precision), state.astype(precision), given)
        if not is_arrays(answer):
            raise TypeError(NO_ARRAYS)
        steps.append({name: np.array(value) for name, value in answer.items()})
    return {name: np.stack([step[name] for step in steps], axis=min(1, first.ndim)) for name, first in steps[0].items()}


def replay_model(recording: Recording, precision: str, port: Adapter) -> Answers:
    """An evaluation, some sampling and a training step, in this order, as they were recorded."""
    answers = Answers()
    hparams = recording.hparams
    try:
        port.load(dict(hparams), in_precision(recording["weights"], precision))
    except NotImplementedError as error:
        answers.untested["load"] = str(error) or "the port does not offer it"
    except FAILURES as error:
        answers.broken["load"] = told(error)
    else:
        _replay_evaluation(answers, recording, precision, port)
        _replay_sampling(answers, recording, precision, port)
        _replay_training_step(answers, recording, precision, port)
    _replay_layers_fed(answers, recording, precision, port)
    return answers


def in_precision(variables: Mapping[str, np.ndarray], precision: str) -> Arrays:
    """Variables in a precision, but for the step, and for the powers, which are float32 always."""
    kept = {GLOBAL_STEP, *ADAM_POWERS.values()}
    scalars = {name for name in variables if name in kept or name.startswith(f"{ROOT}Variable")}
    return {name: value if name in scalars else value.astype(precision) for name, value in variables.items()}


def _replay_evaluation(answers: Answers, recording: Recording, precision: str, port: Adapter) -> None:
    """All dropout off, the pen loss of the padding masked."""
    inputs, draws = recording["inputs"], recording["draws"]
    official = {n.removeprefix("eval/"): v for n, v in recording[precision].items() if n.startswith("eval/")}
    sketches, lengths = inputs["sketches"].astype(precision), inputs["lengths"].copy()
    targets = sketches[:, 1:]
    latent = None
    if recording.hparams["conditional"]:
        noise = {"latent": draws["latent"].astype(precision)}
        latent = answers.take(
            "encode", lambda: port.encode(targets, lengths, noise), required=("mu", "presig", "z"), prefix="eval/"
        )
        _keep_recorded(answers, recording, precision, "eval/")
        latent = {name: latent.get(name, official[name].copy()) for name in ("mu", "presig", "z")}
    z = None if latent is None else latent["z"]
    decoded = answers.take("decode", lambda: port.decode(sketches[:, :-1], z, {}), PARAMETERS, prefix="eval/")
    _keep_recorded(answers, recording, precision, "eval/")
    answers.arrays |= _likelihood("eval/", answers.arrays, recording, precision)
    if set(PARAMETERS) <= set(decoded):
        answers.take(
            "loss", lambda: port.loss(decoded, targets, latent, is_training=False), ("r_cost", "kl_cost"), "eval/"
        )
    given = None if latent is None else {name: official[name].copy() for name in ("mu", "presig", "z")}
    fed = Answers()
    if given is not None:
        fed.take("decode (official z)", lambda: port.decode(sketches[:, :-1], given["z"], {}), ())
        fed.arrays = {name: fed.arrays[name] for name in PARAMETERS if name in fed.arrays}
    parameters = {name: official[name].copy() for name in PARAMETERS}
    fed.take("loss (official mixture)", lambda: port.loss(parameters, targets, given, is_training=False), ())
    answers.arrays |= {f"{FED}eval/{name}": value for name, value in fed.arrays.items()}
    answers.broken |= fed.broken


def _likelihood(prefix: str, arrays: Arrays, recording: Recording, precision: str) -> Arrays:
    """Of the targets under a mixture; nothing where its parameters are not what they should be: their rows say so."""
    official = recording[precision]
    names = {name: f"{prefix}{name}" for name in MIXTURE}
    if not all(
        n in arrays and arrays[n].shape == official[n].shape and arrays[n].dtype.kind == "f" for n in names.values()
    ):
        return {}
    targets = recording["inputs"]["sketches"].astype(precision)[:, 1:]
    return {f"{prefix}nll": nll({name: arrays[n] for name, n in names.items()}, targets)}


def _keep_recorded(answers: Answers, recording: Recording, precision: str, prefix: str) -> None:
    """Of an evaluation the layers' outputs and states were recorded; a training step shows what is inside them."""
    for name in [name for name in answers.arrays if name.startswith((f"{prefix}encoder/", f"{prefix}decoder/"))]:
        if name not in recording[precision] and f"train/{name.removeprefix(prefix)}" in recording[precision]:
            del answers.arrays[name]


def _replay_sampling(answers: Answers, recording: Recording, precision: str, port: Adapter) -> None:
    """Sketches from the official seeds; what either stream would give next tells how much was drawn from it."""
    for mode, options in SAMPLING_MODES.items():
        seq_len = len(recording[precision][f"sample/{mode}/strokes"])
        uniform = random.Random(SAMPLING_SEEDS["uniform"])
        normal = np.random.RandomState(SAMPLING_SEEDS["normal"])
        drawn = answers.take(
            f"sample ({mode})",
            lambda o=options, n=seq_len, u=uniform, r=normal: port.sample(n, o["temperature"], o["greedy_mode"], u, r),
            required=("strokes", *MIXTURE),
            prefix=f"sample/{mode}/",
        )
        if drawn:
            answers.arrays[f"sample/{mode}/next_uniform"] = np.asarray(uniform.random())
            answers.arrays[f"sample/{mode}/next_normal"] = np.asarray(normal.random_sample())


def _replay_training_step(answers: Answers, recording: Recording, precision: str, port: Adapter) -> None:
    """Forward with every intermediate, costs, gradients, clipped gradients, and the state behind the step."""
    inputs = recording["inputs"]
    draws = {name: value.astype(precision) for name, value in recording["draws"].items()}
    sketches = inputs["sketches"].astype(precision)
    taken = Answers()
    taken.take(
        "train_step",
        lambda: port.train_step(sketches, inputs["lengths"].copy(), draws, inputs["lr"], inputs["kl_weight"]),
        required=("cost", "r_cost", "kl_cost"),
    )
    lacking = _lacking(recording, precision, taken.arrays)
    if lacking:
        taken.broken["train_step"] = f"the answer lacks {', '.join(lacking[:3])} ({len(lacking)} in all)"
    if taken.untested:
        _replay_forward(taken, recording, precision, port, draws)
    answers.broken |= taken.broken
    answers.untested |= taken.untested
    # the cost is made of the other two, in whatever order a port answers
    forward = sorted((n for n in taken.arrays if not n.startswith(WHOLE)), key=lambda name: name == "cost")
    for name in (*forward, *(n for n in taken.arrays if n.startswith(WHOLE))):
        value = taken.arrays[name]
        whole = name.startswith(WHOLE)
        if not (name.startswith("after/") and precision == "float32"):  # see official/record_model.py
            answers.arrays[name if whole else f"train/{name}"] = value
    answers.arrays |= _likelihood("train/", answers.arrays, recording, precision)


def _lacking(recording: Recording, precision: str, answer: Arrays) -> list[str]:
    """Of gradients and of what a step leaves, a port offers those of every variable or of none."""
    result = []
    for kind in WHOLE:
        wanted = [name for name in recording[precision] if name.startswith(kind)]
        if any(name in answer for name in wanted):
            result += [name for name in wanted if name not in answer]
    return result


def gradients(recording: Recording, weights: Mapping[str, np.ndarray], precision: str, port: Adapter) -> Arrays:
    """The gradients of the recorded training step, from other weights; a port that fails raises."""
    inputs = recording["inputs"]
    port.load(dict(recording.hparams), in_precision(weights, precision))
    draws = {name: value.astype(precision) for name, value in recording["draws"].items()}
    sketches = inputs["sketches"].astype(precision)
    answer = port.train_step(sketches, inputs["lengths"].copy(), draws, inputs["lr"], inputs["kl_weight"])
    if not is_arrays(answer):
        raise TypeError(NO_ARRAYS)
    return {name: np.array(value) for name, value in answer.items() if name.startswith("gradient/")}


def _replay_forward(
    taken: Answers, recording: Recording, precision: str, port: Adapter, draws: Mapping[str, np.ndarray]
) -> None:
    """The training model's forward pass and costs, of a port that cannot train."""
    inputs, official = recording["inputs"], recording[precision]
    sketches, lengths = inputs["sketches"].astype(precision), inputs["lengths"].copy()
    targets = sketches[:, 1:]
    latent = None
    if recording.hparams["conditional"]:
        latent = taken.take("encode", lambda: port.encode(targets, lengths, draws), required=("mu", "presig", "z"))
        latent = {name: latent.get(name, official[f"train/{name}"].copy()) for name in ("mu", "presig", "z")}
    z = None if latent is None else latent["z"]
    decoded = taken.take("decode", lambda: port.decode(sketches[:, :-1], z, draws), PARAMETERS)
    if set(PARAMETERS) <= set(decoded):
        taken.take(
            "loss", lambda: port.loss(decoded, targets, latent, is_training=True), required=("r_cost", "kl_cost")
        )


def _replay_layers_fed(answers: Answers, recording: Recording, precision: str, port: Adapter) -> None:
    """Each recurrent layer of the training step, every step from the official state before it."""
    official, hparams = recording[precision], recording.hparams
    lengths = recording["inputs"]["lengths"]
    steps = recording["inputs"]["sketches"].shape[1] - 1
    for layer, (model, scope) in LAYERS.items():
        if f"train/{layer}/state" not in official:
            continue
        kind = hparams[model]
        below = f"{scope}/{CELLS[kind][0]}/"
        weights = {n.removeprefix(below): v for n, v in recording["weights"].items() if n.startswith(below)}
        weights = in_precision(weights, precision)
        inputs = list(_layer_inputs(recording, precision, layer))
        answer = Answers()
        answer.take(
            f"step_cell ({kind})",
            lambda k=kind, w=weights, i=inputs: _stepped(port, k, w, i, precision),
            required=("output", "state"),
        )
        answers.broken |= answer.broken
        answers.untested |= answer.untested
        after = recording["draws"].get(f"{layer}/output")
        for name, value in answer.arrays.items():
            theirs = official.get(f"train/{layer}/{name}")
            fits = theirs is not None and value.shape == theirs.shape and value.dtype.kind == "f"
            if fits and name == "output" and after is not None:
                value = value * after.astype(precision).transpose(1, 0, 2)
            if fits and layer != "decoder":  # TensorFlow leaves zeros behind the end of a sketch
                alive = np.arange(steps) < lengths[:, None]
                value = np.where(alive[..., None], value, np.zeros((), precision))
            answers.arrays[f"{FED}train/{layer}/{name}"] = value


def fed_names(recording: Recording, precision: str) -> set[str]:
    """What must be computed from official values, under the names with ``fed/`` before them."""
    official = recording[precision]
    given = {name for name in official if name.startswith(tuple(f"train/{layer}/" for layer in LAYERS))}
    names = {name for name in given if not name.endswith(("/final_state", "/initial_state"))}
    parameters = PARAMETERS if recording.hparams["conditional"] else ()
    names |= {f"eval/{name}" for name in (*parameters, "r_cost", "kl_cost")}
    return {FED + name for name in names}


def _layer_inputs(
    recording: Recording, precision: str, layer: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """What the cell of a layer reads at each step: input, official state before it, recurrent mask."""
    official, draws, inputs = recording[precision], recording["draws"], recording["inputs"]
    states = official[f"train/{layer}/state"]
    sketches, lengths = inputs["sketches"].astype(precision), inputs["lengths"]
    if layer == "decoder":
        start = official.get("train/decoder/initial_state", np.zeros_like(states[:, 0]))
        x = sketches[:, :-1]
        if "train/z" in official:
            x = np.concatenate([x, np.repeat(official["train/z"][:, None], x.shape[1], axis=1)], axis=2)
        if "decoder/input" in draws:
            x = x * draws["decoder/input"].astype(precision).transpose(1, 0, 2)
    else:
        start, x = np.zeros_like(states[:, 0]), sketches[:, 1:]
        if layer == "encoder/bw":
            x = np.stack([np.concatenate([s[:n][::-1], s[n:]]) for s, n in zip(x, lengths, strict=True)])
    masks = draws.get(f"{layer}/recurrent")
    for t in range(x.shape[1]):
        yield x[:, t], start if t == 0 else states[:, t - 1], None if masks is None else masks[t]


def sets_of(recording: Recording) -> list[dict[str, list[np.ndarray]]]:
    """The stroke sets that a recording of data or of a training holds."""
    inputs = recording["inputs"]
    count = len({name.split("/")[0] for name in inputs if name.endswith("/points")})
    return [
        {
            split: np.split(inputs[f"{index}/{split}/points"].copy(), inputs[f"{index}/{split}/offsets"][1:-1])
            for split in SPLITS
        }
        for index in range(count)
    ]


def orders_of(recording: Recording) -> Arrays:
    """How the official loader sorted each split."""
    return {split: recording["inputs"][f"{split}/order"].copy() for split in SPLITS}


def replay_data(recording: Recording, port: Adapter) -> Answers:
    """Batches from the official seed and the recorded order of equal lengths."""
    answers = Answers()
    answers.take("data", lambda: _batches(recording, port), required=())
    return answers


def _batches(recording: Recording, port: Adapter) -> Arrays:
    rng = np.random.RandomState(recording.provenance["seed"])
    data = port.data(sets_of(recording), dict(recording.hparams), rng, orders_of(recording))
    result: dict[str, Any] = {"scale_factor": np.asarray(data.scale_factor)}
    draws = {"train/0": data.random_batch, "valid/0": lambda: data.valid_batch(0), "train/1": data.random_batch}
    for name, draw in draws.items():
        strokes, sketches, lengths = draw()
        result |= {
            f"{name}/strokes": np.concatenate(strokes),
            f"{name}/sketches": sketches,
            f"{name}/lengths": np.asarray(lengths),
        }
    return result
