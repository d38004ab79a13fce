"""The official side of the study of false alarms: records many models, and answers recordings in place of a port.

Models are trained in the session that records them, and recorded before training and after some numbers of steps.
"""

from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.official import record_model
from parity_tests.official.inputs import make_batch
from parity_tests.official.magenta import tf
from parity_tests.official.provenance import provenance
from parity_tests.official.record_model import Recorder, read_weights
from parity_tests.record.quantities import FED, VARIABLES
from parity_tests.record.recording import Recording
from parity_tests.record.shuffle import Shuffle

Arrays = dict[str, np.ndarray]
ANSWERS = "answers"  # kind of a file that holds what the official code answered
OTHER_ORDER = 10_000  # seed of a shuffle that no ensemble has


def record_models(job: dict[str, Any], strokes: list[np.ndarray]) -> list[Path]:
    """Record one kind of model from several seeds and after several numbers of training steps.

    Args:
        job: ``name``, ``hparams``, ``hyper``, ``seeds``, ``levels`` (numbers of steps, ascending), ``weights`` (a file
            with the weights of a model that is not trained here, or None), ``sample_len``, ``noise``, ``padding``,
            ``members``, ``out``.
        strokes: normalised sketches.
    """
    recorder, paths = _recorder(job), []
    for seed in job["seeds"]:
        inputs = _inputs(job, strokes, seed)
        for level, weights in _trained(recorder, job, strokes, seed):
            name = f"{job['name']}-seed{seed}-step{level}"
            for found in recorder.variants(name, weights, inputs, job["noise"], seed, members=job["members"]):
                paths.append(Path(job["out"]) / f"{found.name.replace('/', '-')}.h5")
                found.save(paths[-1])
                print(f"recorded {paths[-1]}", flush=True)
    return paths


def answer(job: dict[str, Any]) -> list[Path]:
    """Run the official code of this process on recordings that another process made.

    Args:
        job: as :func:`record_models`; ``recordings`` (paths), ``shuffle`` (whether units and rows are in another
            order), ``out``.
    """
    recorder, paths = _recorder(job), []
    for path in map(Path, job["recordings"]):
        recording = Recording.load(path)
        groups = {dtype: _answers(recorder, recording, dtype, shuffled=job["shuffle"]) for dtype in recorder.sessions}
        paths.append(Path(job["out"]) / path.name)
        Recording(ANSWERS, recording.name, recording.hparams, provenance(0), groups).save(paths[-1])
    return paths


def _recorder(job: dict[str, Any]) -> Recorder:
    tf.reset_default_graph()
    return Recorder(job["hparams"], job["hyper"], job["seeds"][0], job["sample_len"])


def _inputs(job: dict[str, Any], strokes: list[np.ndarray], seed: int) -> dict[str, Any]:
    values = job["hparams"]
    sketches, lengths = make_batch(strokes, values["batch_size"], values["max_seq_len"], job["padding"], seed)
    return {"sketches": sketches, "lengths": lengths, "lr": np.float64(0.0123), "kl_weight": np.float64(0.3)}


def _trained(recorder: Recorder, job: dict[str, Any], strokes: list[np.ndarray], seed: int) -> Any:
    """Numbers of steps of an official training in float32, and the weights after each."""
    session = recorder.single
    if job["weights"] is not None:
        yield 0, read_weights(job["weights"], recorder.double)
        return
    _draw_weights(session, seed)
    train, hparams = session.train, session.hparams
    values = job["hparams"]
    done = 0
    for level in job["levels"]:
        while done < level:
            given = (values["batch_size"], values["max_seq_len"], job["padding"], 100_000 * seed + done)
            sketches, lengths = make_batch(strokes, *given)
            rate = (hparams.learning_rate - hparams.min_learning_rate) * hparams.decay_rate**done
            weight = hparams.kl_weight - (hparams.kl_weight - hparams.kl_weight_start) * hparams.kl_decay_rate**done
            feed = {train.input_data: sketches, train.sequence_lengths: lengths}
            feed |= {train.lr: rate + hparams.min_learning_rate, train.kl_weight: weight}
            session.sess.run(train.train_op, feed | session.fed(session.probe, session.draws(seed, done + 1), lengths))
            done += 1
        trained = session.read()
        if not all(np.isfinite(value).all() for value in trained.values()):
            print(
                f"left out {job['name']}, seed {seed}, from step {level} on: the official training diverged", flush=True
            )
            return
        yield level, trained


def _draw_weights(session: Any, seed: int) -> None:
    """Different first weights for each seed: each run of the initialisers draws the next of a sequence."""
    for _ in range(1 + seed):
        session.sess.run(session.initializer)


def _answers(recorder: Recorder, recording: Recording, dtype: str, *, shuffled: bool) -> Arrays:
    session, weights = recorder.sessions[dtype], recording["weights"]
    batch = len(recording["inputs"]["lengths"])
    shuffle = Shuffle(recording.hparams, batch=batch, seed=OTHER_ORDER) if shuffled else None
    result = record_model.computed(session, recording, weights, recorder.sample_len, shuffle=shuffle)
    if dtype == "float64":
        after = record_model.after_step(session)
        result |= after if shuffle is None else shuffle.back(after)
        result |= {VARIABLES + name: weights[name].astype(dtype) for name in session.trainable}
    settings = record_model.settings_of(session, recording)
    inputs, draws = recording["inputs"], recording["draws"]
    # sampling that failed for the recording may succeed here, but has nothing to be compared with
    result = {n: v for n, v in result.items() if not n.startswith("sample/") or n in recording[dtype]}
    local = recorder.local[dtype].computed(recording[dtype], inputs, draws, weights, settings)
    return result | {FED + name: value for name, value in local.items()}
