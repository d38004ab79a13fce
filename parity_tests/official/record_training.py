"""Records a run of the official trainer in float64, with dropout, augmentation and schedules on, step by step.

The official loop runs unmodified. Its session feeds the random numbers of each step and records what the step computes,
so batches, augmentation, schedules, validation and checkpoints are the official ones. Only the runs from perturbed
weights, of which the costs and weights count, leave out their checkpoints.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from parity_tests.official.magenta import sketch_rnn_train, tf
from parity_tests.official.provenance import provenance
from parity_tests.official.record_data import given
from parity_tests.official.session import NOT_COMPUTED, Session
from parity_tests.record.configurations import HYPER_DEFAULT
from parity_tests.record.draws import VALIDATION_DRAWS, draws_of, nudged
from parity_tests.record.quantities import COSTS
from parity_tests.record.recording import Recording
from parity_tests.record.shuffle import Shuffle
from pytorch_sketch_rnn.data.npz import read_npz

DRIFTS = 10  # runs from perturbed weights, each with its own seed
PERTURBATION = 1e-15  # relative


class Trace:
    """The record of a run: a list for each quantity, with one entry per step."""

    def __init__(self) -> None:
        self.steps: dict[str, list[np.ndarray]] = {}
        self.spreads: dict[str, list[float]] = {}

    def __call__(self, **values: Any) -> None:
        """Record values of one step."""
        self.add(values)

    def add(self, values: dict[str, Any]) -> None:
        """The same for names that are not Python identifiers."""
        for name, value in values.items():
            self.steps.setdefault(f"steps/{name}", []).append(np.asarray(value))

    def spread(self, values: dict[str, float]) -> None:
        """Record how far a second run of the same step is from the first: the largest element of each quantity."""
        for name, value in values.items():
            self.spreads.setdefault(f"steps/{name}", []).append(value)

    def stacked(self) -> dict[str, np.ndarray]:
        """Each quantity, with the steps as its first axis."""
        return {name: np.stack(values) for name, values in self.steps.items()}


class RecordingSession(tf.Session):
    """A session that feeds draws to the official loop and records in a trace what each step computes."""

    owner: Session
    trace: Trace
    whole = True  # False: the costs and the weights alone
    seed = 0
    validations = 0

    def run(self, fetches: Any, feed_dict: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run as the loop asks; training steps and validations are recorded."""
        feed = dict(feed_dict or {})
        owner = getattr(self, "owner", None)
        if owner is None or (owner.train.input_data not in feed and owner.eval.input_data not in feed):
            return super().run(fetches, feed_dict, *args, **kwargs)
        if owner.eval.input_data in feed:
            return self._validation(fetches, feed)
        return self._step(fetches, feed)

    def _step(self, fetches: Any, feed: dict[Any, Any]) -> Any:
        owner = self.owner
        step = int(super().run(owner.train.global_step))
        lengths = feed[owner.train.sequence_lengths]
        given = feed | owner.fed(owner.probe, owner.draws(self.seed, step), lengths)
        wanted = {name: getattr(owner.train, name) for name in COSTS}
        if self.whole:
            wanted |= {f"gradient/{name}": value for name, value in owner.probe.raw_gradients.items()}
            wanted |= {f"clipped/{name}": value for name, value in owner.probe.clipped_gradients.items()}
        before = super().run(owner.variables) if self.whole else {}
        result, computed = super().run([fetches, wanted], given)
        kept = owner.variables if self.whole else {name: owner.variables[name] for name in owner.trainable}
        after = super().run(kept)
        self.trace(lr=feed[owner.train.lr], kl_weight=feed[owner.train.kl_weight])
        if self.whole:
            self.trace(sketches=feed[owner.train.input_data], lengths=np.asarray(lengths))
        found = computed | {f"after/{name}": after[name] for name in kept if name not in NOT_COMPUTED}
        self.trace.add(found)
        if self.whole:
            self._member(step, before, feed, wanted, found)
            owner.assign(after)
        return result

    def _member(
        self, step: int, before: dict[str, np.ndarray], feed: dict[Any, Any], wanted: Any, found: dict[str, Any]
    ) -> None:
        """Run the same step again, with weights perturbed in the last bit and units and rows in another order.

        There is one such run per step; those of neighbouring steps together form an ensemble.
        """
        owner, run = self.owner, super().run
        hparams = owner.hparams.values() | owner.hyper
        shuffle = Shuffle(hparams, batch=len(feed[owner.train.sequence_lengths]), seed=step)
        owner.assign(shuffle.weights(nudged(before, owner.trainable, "float64", step)))
        rows = {tensor: shuffle.rows(feed[tensor]) for tensor in (owner.train.input_data, owner.train.sequence_lengths)}
        draws = shuffle.draws(owner.draws(self.seed, step))
        given = feed | rows | owner.fed(owner.probe, draws, rows[owner.train.sequence_lengths])
        computed, _ = run([wanted, owner.train.train_op], given)
        after = {name: value for name, value in run(owner.variables).items() if f"after/{name}" in found}
        whole = {name: value for name, value in computed.items() if "/" in name}
        member = shuffle.back(whole | {f"after/{name}": value for name, value in after.items()})
        member |= {name: value for name, value in computed.items() if "/" not in name}
        self.trace.spread({name: float(np.abs(value - found[name]).max()) for name, value in member.items()})

    def _validation(self, fetches: Any, feed: dict[Any, Any]) -> Any:
        owner = self.owner
        draws = draws_of(owner.wanted(owner.eval_probe), self.seed, VALIDATION_DRAWS + self.validations)
        self.validations += 1
        costs = super().run(fetches, feed | owner.fed(owner.eval_probe, draws, feed[owner.eval.sequence_lengths]))
        self.trace.steps.setdefault("validation", []).append(np.asarray(costs))  # cost, r_cost, kl_cost
        return costs


def record_training(job: dict[str, Any]) -> Recording:
    """The official trainer on a stroke set, and the same again from weights perturbed by 1e-15.

    Args:
        job: ``name``, ``hparams``, ``hyper``, ``seed``, ``data_dir``, ``out`` (for the checkpoints).
    """
    seed = job["seed"]
    hparams = sketch_rnn_train.sketch_rnn_model.get_default_hparams()
    for name, value in job["hparams"].items():
        hparams.set_hparam(name, value)
    *_, hparams, _, _ = sketch_rnn_train.load_dataset(job["data_dir"], hparams)  # sets max_seq_len
    tf.reset_default_graph()
    session = Session(hparams.values(), job["hyper"], "float64", seed, evaluate_as_trainer=True, sess=RecordingSession)
    first = session.read()
    checkpoints = Path(job["out"]) / job["name"]
    trace = _train(session, first, job, checkpoints / "magenta", whole=True)
    sets = [read_npz(Path(job["data_dir"]) / name) for name in hparams.data_set]
    groups = {
        "weights": first,
        "inputs": given(sets, None),
        "float64": trace.stacked(),
        "float64_ensemble": {name: np.array(values) for name, values in trace.spreads.items()},
        "official_drift": {},
    }
    for drift in range(DRIFTS):
        rng = np.random.RandomState([seed, drift])
        perturbed = dict(first)
        for name in sorted(session.trainable):
            perturbed[name] = first[name] * (1 + PERTURBATION * rng.standard_normal(first[name].shape))
        other = _train(session, perturbed, job, checkpoints / f"perturbed-{drift}", whole=False)
        groups["official_drift"] |= {f"{drift}/{name}": value for name, value in _drift(other, trace).items()}
    wanted = {name: [list(shape), keep_prob] for name, (shape, keep_prob) in session.wanted(session.probe).items()}
    valid = {name: [list(shape), keep] for name, (shape, keep) in session.wanted(session.eval_probe).items()}
    claims = hparams.values() | job["hyper"]
    return Recording(
        "training",
        f"training/{job['name']}",
        claims,
        provenance(seed) | {"draws": wanted, "validation_draws": valid, "checkpoint": f"vector-{hparams.save_every}"},
        groups,
    )


def _train(
    session: Session, weights: dict[str, np.ndarray], job: dict[str, Any], log_root: Path, *, whole: bool
) -> Trace:
    """Run the official loop from these weights."""
    hparams = session.hparams
    trainer = sketch_rnn_train
    sets = trainer.load_dataset(job["data_dir"], trainer.sketch_rnn_model.copy_hparams(hparams))[:3]
    session.assign(weights)
    sess = session.sess
    sess.owner, sess.trace, sess.whole, sess.seed, sess.validations = session, Trace(), whole, job["seed"], 0
    trainer.FLAGS(["train", f"--log_root={log_root}"])
    tf.gfile.MakeDirs(str(log_root))
    np.random.seed(job["seed"])
    # each checkpoint adds operations to the graph, which TensorFlow then prepares again, and nobody reads the perturbed
    with nullcontext() if whole else patch.object(trainer, "save_model", lambda *_: None):
        trainer.train(sess, session.train, session.eval, *sets)
    return sess.trace


def _drift(other: Trace, trace: Trace) -> dict[str, np.ndarray]:
    """The costs of a run at each step, and the distance of its weights from another run, relative to their scale."""
    weights = []
    names = [name for name in other.steps if name.startswith("steps/after/")]
    for step in range(len(other.steps["steps/cost"])):
        weights.append(max(_relative(other.steps[name][step], trace.steps[name][step]) for name in names))
    costs = {n: np.stack(other.steps[f"steps/{n}"]) for n in COSTS}
    return costs | {"weights": np.array(weights)}


def _relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max()) if np.any(b) else float(np.abs(a).max())


def continue_training(job: dict[str, Any]) -> Recording:
    """One step of the official training from a checkpoint that somebody else wrote, with a recorded step's inputs.

    Args:
        job: ``checkpoint`` (a folder), ``recording`` (of a training, whose step is the checkpoint's).

    Raises:
        ValueError: when the step in the checkpoint is not one of the recording.
    """
    recording = Recording.load(Path(job["recording"]))
    hparams, *_ = sketch_rnn_train.load_model(job["checkpoint"])
    hparams.batch_size = recording.hparams["batch_size"]  # which load_model sets to 1
    tf.reset_default_graph()
    seed = recording.provenance["seed"]
    hyper = {name: recording.hparams[name] for name in HYPER_DEFAULT if name in recording.hparams}
    # evaluation as in the notebook: that of the trainer has scalars, whose names depend on what else is in the graph
    session = Session(hparams.values(), hyper, "float64", seed)
    sketch_rnn_train.load_checkpoint(session.sess, job["checkpoint"])
    step = int(session.sess.run(session.train.global_step))
    official = recording["float64"]
    if not 0 <= step < len(official["steps/cost"]):
        raise ValueError(f"the checkpoint's step is {step}, expected one of {len(official['steps/cost'])} recorded")
    given = {name: official[f"steps/{name}"][step] for name in ("sketches", "lengths", "lr", "kl_weight")}
    found = session.training_step(session.feed(given), session.draws(seed, step))
    taken = {f"steps/{name}": found[f"train/{name}"] for name in COSTS}
    taken |= {f"steps/{name}": value for name, value in found.items() if name.startswith(("gradient/", "clipped/"))}
    taken |= {f"steps/after/{name}": value for name, value in session.read().items() if name not in NOT_COMPUTED}
    arrays = {name: np.asarray(value) for name, value in taken.items()}
    return Recording(
        "training", f"{recording.name}/continued", recording.hparams, provenance(seed), {"float64": arrays}
    )
