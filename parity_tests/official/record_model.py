"""Records a model: an evaluation, some sampling and a training step, from given weights, in both precisions."""

from typing import Any

import numpy as np

from parity_tests.configurations import DTYPES
from parity_tests.measure import together
from parity_tests.mixtures import NAMES, nll
from parity_tests.official.errors import float32_errors, float64_noise
from parity_tests.official.inputs import make_batch, moved
from parity_tests.official.provenance import provenance
from parity_tests.official.session import NOT_COMPUTED, Session
from parity_tests.official.standin import tf
from parity_tests.recording import Recording
from parity_tests.streams import GRADIENT_NUDGES, NOISE_NUDGES, NUDGES, nudged


def record_model(job: dict[str, Any]) -> list[Recording]:
    """One model in both precisions: with its weights as they are, and moved by noise; all else is shared.

    As they are, the KL cost lies below its floor; moved, it lies above, and the clip bites.
    """
    values, seed = job["hparams"], job["seed"]
    sketches, lengths = make_batch(job["strokes"], values["batch_size"], values["max_seq_len"], job["padding"], seed)
    # neither number is one of float32: float64 must not round them
    rates = {"lr": np.float64(0.0123), "kl_weight": np.float64(0.3)}
    inputs = {"sketches": sketches, "lengths": lengths} | rates
    sample_len = job["sample_len"]
    recordings: dict[str, Recording] = {}
    runs: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    gradients: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    for dtype in DTYPES:
        session = Session(values, job["hyper"], dtype, seed)
        if dtype == DTYPES[0]:
            draws = session.draws(seed)
            as_is = read_weights(job["weights"], session)
            weights = {"as_is": as_is, "moved": moved(as_is, session.trainable, job["noise"], seed)}
            changes = {v: _floor_and_clip(session, w, inputs, draws, moved=v == "moved") for v, w in weights.items()}
            for variant in weights:
                recordings[variant] = Recording(
                    kind="model",
                    name=f"{job['name']}/{variant}",
                    hparams=session.hparams.values() | changes[variant] | job["hyper"],
                    provenance=provenance(seed),
                    groups={"weights": weights[variant], "inputs": inputs, "draws": draws},
                )
        for variant, recording in recordings.items():
            recording.groups[dtype] = _computed(session, recording, recording["weights"], sample_len)
            if dtype == "float64":
                # in float32 a step of Adam turns noise in tiny gradients into whole steps, so float64 alone has it
                after = {f"after/{name}": value for name, value in session.read().items() if name not in NOT_COMPUTED}
                recording.groups[dtype] |= {name: np.asarray(value) for name, value in after.items()}
                recording.groups["noise"] = _noise(session, recording, sample_len)
            runs[variant, dtype] = [
                _computed(session, recording, weights, sample_len, apply=False)
                for weights in _nudged(session, recording, "float32", NUDGES)
            ]
            gradients[variant, dtype] = _gradients(session, recording)
    for variant, recording in recordings.items():
        pairs = zip(
            [recording["float32"], *runs[variant, "float32"]],
            [recording["float64"], *runs[variant, "float64"]],
            strict=True,
        )
        recording.groups["official_error"] = float32_errors(list(pairs))
        runs_of_gradients = zip(gradients[variant, "float32"], gradients[variant, "float64"], strict=True)
        recording["official_error"]["gradient/together"] = np.array(
            [together(*pair, session.trainable) for pair in runs_of_gradients]
        )
    return list(recordings.values())


def _computed(
    session: Session,
    recording: Recording,
    weights: dict[str, np.ndarray],
    sample_len: int,
    *,
    apply: bool = True,
) -> dict[str, np.ndarray]:
    """An evaluation, some sampling and a training step with these weights; ``apply``: whether they take the step."""
    session.assign(weights)
    inputs, draws = recording["inputs"], recording["draws"]
    settings = {
        session.kl_tolerance: recording.hparams["kl_tolerance"],
        session.grad_clip: recording.hparams["grad_clip"],
    }
    result = session.evaluation(
        {session.eval.input_data: inputs["sketches"], session.eval.sequence_lengths: inputs["lengths"]} | settings,
        draws,
    )
    result |= session.samples(sample_len)
    result |= session.training_step(session.feed(inputs) | settings, draws, apply=apply)
    for model in ("eval", "train"):
        mixture = {name: result[f"{model}/{name}"] for name in NAMES}
        result[f"{model}/nll"] = nll(mixture, inputs["sketches"][:, 1:])
    return {name: np.asarray(value) for name, value in result.items()}


def _nudged(session: Session, recording: Recording, dtype: str, count: int) -> list[dict[str, np.ndarray]]:
    return [nudged(recording["weights"], session.trainable, dtype, seed) for seed in range(count)]


def _gradients(session: Session, recording: Recording) -> list[dict[str, np.ndarray]]:
    """The gradients of a training step, from the weights as they are and from each of several nudges."""
    feed = session.feed(recording["inputs"]) | {session.kl_tolerance: recording.hparams["kl_tolerance"]}
    result = []
    for seed in (None, *range(GRADIENT_NUDGES)):
        weights = recording["weights"]
        weights = weights if seed is None else nudged(weights, session.trainable, "float32", seed)
        session.assign({name: weights[name] for name in session.trainable})
        result.append(session.gradients(feed, recording["draws"]))
    return result


def _noise(session: Session, recording: Recording, sample_len: int) -> dict[str, np.ndarray]:
    runs = []
    for weights in _nudged(session, recording, "float64", NOISE_NUDGES):
        runs.append(_computed(session, recording, weights, sample_len))
        runs[-1] |= {f"after/{name}": value for name, value in session.read().items()}
    return float64_noise(runs, recording["float64"])


def _floor_and_clip(
    session: Session,
    weights: dict[str, np.ndarray],
    inputs: dict[str, Any],
    draws: dict[str, np.ndarray],
    *,
    moved: bool,
) -> dict[str, float]:
    """Hyperparameters that put the KL cost on one side of its floor, and moved a clip that bites.

    As they are, weights are compared below the floor: it is twice the KL cost. Moved, they are compared above: half of
    it. The clip is a tenth of the largest gradient: less would blow up, relative to what is left, the rounding of what
    is cut.
    """
    session.assign(weights)
    feed = session.feed(inputs) | {session.kl_tolerance: 0.0}
    computed = session.training_step(feed, draws, apply=False)
    changes = {"kl_tolerance": _as_float32(computed["train/kl_cost"] * (0.5 if moved else 2.0))}
    if moved:
        largest = max(np.abs(value).max() for name, value in computed.items() if name.startswith("gradient/"))
        changes["grad_clip"] = _as_float32(0.1 * largest)
    return changes


def _as_float32(value: float) -> float:
    """A number that both precisions hold exactly."""
    return float(np.float32(value))


def read_weights(source: str, session: Session) -> dict[str, np.ndarray]:
    """Variables by their official names, as official code reads them from a checkpoint, or from a recording's group.

    A recording serves models that never were a checkpoint; slots that it lacks keep their initial values.
    """
    if source.endswith(".h5"):
        weights = Recording.load(source)["weights"]
    else:
        reader = tf.train.load_checkpoint(source)
        weights = {name: reader.get_tensor(name) for name in session.variables if reader.has_tensor(name)}
    return session.read() | weights
