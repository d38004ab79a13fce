"""Drives a port through a recording: what the official code computed there, the port computes again.

Quantities come in the order in which they are computed. What a port computes from official values, one step or one
function at a time, is in :mod:`parity_tests.replay.local`; here it runs freely, so that an early error goes on into all
that follows.
"""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.adapter import Adapter, Arrays
from parity_tests.record.configurations import SAMPLING_MODES, SAMPLING_SEEDS
from parity_tests.record.mixtures import NAMES as MIXTURE
from parity_tests.record.mixtures import PARAMETERS, nll
from parity_tests.record.quantities import VARIABLES
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers, in_precision
from parity_tests.replay.local import replay_cell, replay_local, replay_prefixes
from pytorch_sketch_rnn.data.npz import SPLITS

WHOLE = ("gradient/", "clipped/", "after/")  # begins what a training step leaves, a name for each variable


def replay(recording: Recording, precision: str, port: Adapter) -> Answers:
    """Compute what a recording holds in a precision (``float32``, ``float64`` or, for data and masks, ``exact``)."""
    if recording.kind == "cell":  # in the precision "exact" it holds the values of a mask; see parity_tests.judge.proof
        return Answers() if precision == "exact" else replay_cell(recording, precision, port)
    if recording.kind == "data":
        return replay_data(recording, port)
    return replay_model(recording, precision, port)


def replay_model(recording: Recording, precision: str, port: Adapter) -> Answers:
    """The loaded weights, every local function, the first points, an evaluation, some sampling and a training step."""
    answers = Answers()
    weights = in_precision(recording["weights"], precision)

    def load() -> Arrays:
        port.load(dict(recording.hparams), {name: value.copy() for name, value in weights.items()})
        return {}

    def loaded(what: str) -> bool:
        answers.take(what, load, ())
        return what not in answers.broken and what not in answers.untested

    if not loaded("load"):
        answers.absorb(replay_local(recording, precision, port))  # cells need no model
        return answers
    if precision == "float64":
        answers.take("variables", port.variables, (), VARIABLES)
    local = replay_local(recording, precision, port)
    if loaded("load (a second time)"):  # the optimizer's step moved the model
        answers.absorb(replay_prefixes(recording, precision, port))
        _replay_evaluation(answers, recording, precision, port)
        _replay_sampling(answers, recording, precision, port)
        _replay_training_step(answers, recording, precision, port)
    answers.absorb(local)
    return answers


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
        if f"sample/{mode}/strokes" not in recording[precision]:
            continue  # the official code failed to sample from this model; the recording's provenance says so
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
