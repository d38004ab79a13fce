"""Records a model: an evaluation, some sampling and a training step, with given weights, in both precisions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.official.inputs import make_batch, moved
from parity_tests.official.local import LocalGraph
from parity_tests.official.magenta import tf, utils
from parity_tests.official.provenance import provenance
from parity_tests.official.session import NOT_COMPUTED, Session
from parity_tests.record.configurations import DTYPES, MODEL_VARIANTS, SAMPLING_MODES
from parity_tests.record.draws import MEMBERS, PREFIXES, nudged
from parity_tests.record.error_norms import sizes
from parity_tests.record.mixtures import DENSITY_PARAMETERS, PARAMETERS, nll
from parity_tests.record.recording import Recording
from parity_tests.record.shuffle import Shuffle

Arrays = dict[str, np.ndarray]
HALVINGS = 5  # of the noise at most


def record_model(job: dict[str, Any]) -> list[Recording]:
    """One model in both precisions, with its weights as they are and with noise; everything else is shared.

    As they are, the KL cost lies below its floor. With noise it lies above, and gradients are clipped. If the job says
    ``own``, the model is recorded a second time, on sketches that it draws itself: on sketches unlike its training set
    a trained model computes values that do not occur in use.
    """
    values, seed = job["hparams"], job["seed"]
    batches = {"": make_batch(job["strokes"], values["batch_size"], values["max_seq_len"], job["padding"], seed)}
    recorder = Recorder(values, job["hyper"], seed, job["sample_len"])
    as_is = read_weights(job["weights"], recorder.double)
    if job.get("own"):
        batches["-own"] = own_batch(recorder.double, as_is, values["batch_size"], values["max_seq_len"], seed)
    recordings: list[Recording] = []
    for suffix, (sketches, lengths) in batches.items():
        # neither number is exact in float32, so float64 must not have rounded them
        inputs = {"sketches": sketches, "lengths": lengths, "lr": np.float64(0.0123), "kl_weight": np.float64(0.3)}
        recordings += recorder.variants(f"{job['name']}{suffix}", as_is, inputs, job["noise"], seed)
    return recordings


def own_batch(session: Session, weights: Arrays, batch: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sketches that the official code samples from a model at temperature 1, padded, and their lengths."""
    session.assign(weights)
    strokes = [session.drawn(steps, seed + index) for index in range(batch)]
    return utils.DataLoader([], batch, steps).pad_batch(strokes, steps), np.array([len(sketch) for sketch in strokes])


class Recorder:
    """The official graph of one kind of model in both precisions; records it with any weights and inputs."""

    def __init__(self, values: dict[str, Any], hyper: dict[str, int], seed: int, sample_len: int) -> None:
        self.hyper, self.sample_len = hyper, sample_len
        self.sessions, self.local = {}, {}
        for dtype in DTYPES:  # one graph after the other: new operations go into the default graph
            graph = tf.Graph()
            with graph.as_default():
                self.sessions[dtype] = Session(values, hyper, dtype, seed)
                self.local[dtype] = LocalGraph(self.sessions[dtype])
        self.double, self.single = self.sessions["float64"], self.sessions["float32"]

    def variants(
        self, name: str, weights: Arrays, inputs: dict[str, Any], noise: float, seed: int, *, members: int = MEMBERS
    ) -> Iterator[Recording]:
        """One model with its weights as they are, below the floor of the KL cost, and with noise, above it.

        With too much noise a trained model overflows even in float64, and nothing can be judged. So the noise is halved
        until the official training step is finite, at most :data:`HALVINGS` times. If it was halved, the provenance
        says how much was left.

        Args:
            name: of the recordings; the name of the variant is appended.
            weights, inputs, seed, members: as :meth:`record`.
            noise: see :func:`parity_tests.official.inputs.moved`.
        """
        least = noise * 0.5**HALVINGS
        by, others = noise, moved(weights, self.double.trainable, noise, seed)
        while by > least and not self._is_finite(others, inputs, seed):
            by /= 2
            others = moved(weights, self.double.trainable, by, seed)
        for variant, values in zip(MODEL_VARIANTS, (weights, others), strict=True):
            above = variant == "moved"
            recording = self.record(f"{name}/{variant}", values, inputs, seed, above_floor=above, members=members)
            if above and by < noise:
                recording.provenance["moved by"] = by
            yield recording

    def _is_finite(self, weights: Arrays, inputs: dict[str, Any], seed: int) -> bool:
        for session in self.sessions.values():
            session.assign(weights)
            found = session.training_step(session.feed(inputs), self.double.draws(seed), apply=False)
            if not all(np.isfinite(value).all() for value in found.values()):
                return False
        return True

    def record(
        self, name: str, weights: Arrays, inputs: Arrays, seed: int, *, above_floor: bool, members: int = MEMBERS
    ) -> Recording:
        """One model with these weights on these inputs.

        Args:
            name: of the recording.
            weights: by their official names, rounded to float32.
            inputs: ``sketches``, ``lengths``, ``lr``, ``kl_weight``.
            seed: of the draws.
            above_floor: whether the KL cost lies above its floor and gradients are clipped.
            members: number of runs of the ensemble in each precision.
        """
        draws = self.double.draws(seed)
        changes = _floor_and_clip(self.double, weights, inputs, draws, above_floor=above_floor)
        claims = self.double.hparams.values() | changes | self.hyper
        groups = {"weights": weights, "inputs": inputs, "draws": draws}
        recording = Recording("model", name, claims, provenance(seed), groups)
        for dtype, session in self.sessions.items():
            groups[dtype] = computed(session, recording, weights, self.sample_len)
            if dtype == "float64":
                # in float32 only noise would be recorded: Adam turns rounding of tiny gradients into whole steps
                groups[dtype] |= after_step(session)
        self._local(recording)
        for dtype in DTYPES:
            groups[f"{dtype}_ensemble"] = self._ensemble(recording, dtype, members)
        _leave_out_failed_samples(recording, members)
        return recording

    def _local(self, recording: Recording) -> None:
        """Single steps and functions: each precision on its own values, and float64 on those of float32.

        Only quantities that the free run does not hold already are stored.
        """
        inputs, draws, weights = recording["inputs"], recording["draws"], recording["weights"]

        def local(of: str, values: Arrays) -> Arrays:
            settings = settings_of(self.sessions[of], recording)
            return self.local[of].computed(values, inputs, draws, weights, settings)

        for dtype in DTYPES:
            found = local(dtype, recording[dtype])
            recording.groups[f"{dtype}_local"] = {n: v for n, v in found.items() if n not in recording[dtype]}
        recording.groups["float32_truth"] = local("float64", recording["float32"])

    def _ensemble(self, recording: Recording, dtype: str, members: int) -> Arrays:
        """How far official runs drift from the float64 run: for each quantity [members, 2, steps].

        Members have their weights perturbed in the last bit, and their units and rows in another order, which changes
        the order of summation. The two norms are those of :func:`parity_tests.record.error_norms.sizes`.
        """
        session, truth = self.sessions[dtype], recording["float64"]
        found: dict[str, list[np.ndarray]] = {}
        for member in range(members):
            weights = nudged(recording["weights"], session.trainable, dtype, member)
            shuffle = Shuffle(recording.hparams, batch=len(recording["inputs"]["lengths"]), seed=member)
            run = computed(session, recording, weights, self.sample_len, shuffle=shuffle)
            if dtype == "float64":
                run |= shuffle.back(after_step(session))
            for name, value in run.items():
                if name not in truth:
                    continue  # a sample, see _leave_out_failed_samples
                with np.errstate(invalid="ignore"):
                    difference = value.astype(np.float64) - truth[name]
                found.setdefault(name, []).append(sizes(name, difference))
        return {name: np.stack(values).astype(np.float32) for name, values in found.items()}


def _leave_out_failed_samples(recording: Recording, members: int) -> None:
    """Remove the modes of sampling that failed in some official run, and say so in the provenance."""
    failed = []
    for mode in SAMPLING_MODES:
        name = f"sample/{mode}/strokes"
        complete = all(name in recording[dtype] for dtype in DTYPES) and all(
            len(recording[f"{dtype}_ensemble"].get(name, ())) == members for dtype in DTYPES
        )
        if complete:
            continue
        failed.append(mode)
        for group in recording.groups.values():
            for name in [name for name in group if name.startswith(f"sample/{mode}/")]:
                del group[name]
    if failed:
        recording.provenance["not sampled"] = failed


def computed(
    session: Session, recording: Recording, weights: Arrays, sample_len: int, *, shuffle: Shuffle | None = None
) -> Arrays:
    """An evaluation, some sampling and a training step with these weights; the session's weights take the step.

    Args:
        session: the official graph.
        recording: with inputs, draws and hyperparameters.
        weights: by their official names.
        sample_len: points sampled.
        shuffle: order of units and rows to compute in; everything is returned in the original order.
    """
    inputs, draws = recording["inputs"], recording["draws"]
    if shuffle is not None:
        weights, draws = shuffle.weights(weights), shuffle.draws(draws)
        inputs = inputs | {name: shuffle.rows(inputs[name]) for name in ("sketches", "lengths")}
    session.assign(weights)
    settings = settings_of(session, recording)
    evaluated = {session.eval.input_data: inputs["sketches"], session.eval.sequence_lengths: inputs["lengths"]}
    result = session.evaluation(evaluated | settings, draws)
    result |= session.prefixes(evaluated, draws)
    result |= session.samples(sample_len)
    result |= session.training_step(session.feed(inputs) | settings, draws)
    result = {name: np.asarray(value) for name, value in result.items()}
    if shuffle is not None:
        result = shuffle.back(result)
    for model in ("eval", "train"):
        mixture = {name: result[f"{model}/{name}"] for name in DENSITY_PARAMETERS}
        result[f"{model}/nll"] = nll(mixture, recording["inputs"]["sketches"][:, 1:])
    return result | {f"prefix/{name}": result[f"eval/{name}"][:, : max(PREFIXES)] for name in PARAMETERS}


def after_step(session: Session) -> Arrays:
    """Weights, slots and powers after a step."""
    values = session.read().items()
    return {f"after/{name}": np.asarray(value) for name, value in values if name not in NOT_COMPUTED}


def settings_of(session: Session, recording: Recording) -> dict[Any, float]:
    """The feed of the KL floor and the clip."""
    claims = recording.hparams
    return {session.kl_tolerance: claims["kl_tolerance"], session.grad_clip: claims["grad_clip"]}


def _floor_and_clip(
    session: Session, weights: Arrays, inputs: dict[str, Any], draws: Arrays, *, above_floor: bool
) -> dict[str, float]:
    """Hyperparameters that put the KL cost on one side of its floor; above it, also a clip that takes effect.

    The floor is twice the KL cost, or half of it. The clip is a tenth of the largest gradient: with less, the rounding
    of what is cut would grow too large relative to the rest. Neither is changed if the official value is not finite.
    """
    session.assign(weights)
    feed = session.feed(inputs) | {session.kl_tolerance: 0.0}
    found = session.training_step(feed, draws, apply=False)
    changes = {"kl_tolerance": _as_float32(found["train/kl_cost"] * (0.5 if above_floor else 2.0))}
    if above_floor:
        gradients = [np.abs(value).max() for name, value in found.items() if name.startswith("gradient/")]
        changes["grad_clip"] = _as_float32(0.1 * np.max(gradients))  # NaN where one is
    return {name: value for name, value in changes.items() if np.isfinite(value)}


def _as_float32(value: float | np.ndarray) -> float:
    """A number that both precisions hold exactly."""
    return float(np.float32(value))


def read_weights(source: str, session: Session) -> Arrays:
    """Variables by their official names, from a checkpoint (read by TensorFlow) or from a recording.

    A recording is for models without a checkpoint; slots that it lacks keep their initial values.
    """
    if source.endswith(".h5"):
        weights = Recording.load(Path(source))["weights"]
    else:
        reader = tf.train.load_checkpoint(source)
        weights = {name: reader.get_tensor(name) for name in session.variables if reader.has_tensor(name)}
    return session.read() | weights
