"""The official process: ``python -m parity_tests.official JOB.json`` runs the tasks of a job one after the other.

A task is a dict. ``{"do": "train", ...}`` trains with official Magenta and saves a checkpoint;
``{"do": "record", ...}`` records models, cells, trainings, the costs of many trainings (curves), initial values and the
data loader; ``{"do": "continue", ...}`` takes a step from a checkpoint of somebody else's; ``{"do": "long", ...}`` is
one long training; ``{"do": "study", ...}`` is for the study of false alarms.
Jobs are written by :mod:`parity_tests.record.launch`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.official import magenta, provenance
from parity_tests.official.record_cell import record_cell
from parity_tests.official.record_curves import record_curves
from parity_tests.official.record_data import record_data, record_joined
from parity_tests.official.record_initial import record_initial
from parity_tests.official.record_long import record_long
from parity_tests.official.record_model import record_model
from parity_tests.official.record_training import continue_training, record_training
from parity_tests.official.session import set_hyper_sizes
from parity_tests.official.tf_proxy import one_step_at_a_time
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.data.npz import read_npz


def train(job: dict[str, Any]) -> None:
    """Run the official trainer: its data loading, its loop, its saver."""
    trainer = magenta.sketch_rnn_train
    one_step_at_a_time()
    reset_graph = trainer.reset_graph

    def reset_and_seed() -> None:
        reset_graph()
        magenta.tf.set_random_seed(job["seed"])

    trainer.reset_graph = reset_and_seed
    set_hyper_sizes(job["hyper"])
    np.random.seed(job["seed"])
    trainer.FLAGS(
        ["train", f"--data_dir={job['data_dir']}", f"--log_root={job['log_root']}", f"--hparams={job['hparams']}"]
    )
    trainer.main([])


def record_all(job: dict[str, Any]) -> None:
    """Write each recording to a file ``<out>/<name>.h5``."""
    out, seed = Path(job["out"]), job["seed"]
    splits = read_npz(Path(job["strokes"]))
    for cell in job.get("cells", []):
        _save(record_cell(cell["kind"], cell["sizes"], cell["hyper"], seed), out)
    for model in job.get("models", []):
        strokes = _normalised(splits["train"])
        for recording in record_model(model | {"seed": seed, "strokes": strokes}):
            _save(recording, out)
    for training in job.get("trainings", []):
        _save(
            record_training(training | {"seed": seed, "out": str(out), "data_dir": str(Path(job["strokes"]).parent)}),
            out,
        )
    for curves in job.get("curves", []):
        _save(record_curves(curves | {"out": str(out), "data_dir": str(Path(job["strokes"]).parent)}), out)
    for initial in job.get("initial", []):
        _save(record_initial(initial | {"seed": seed}), out)
    if "data" in job:
        _save(record_data(splits, job["data"], seed), out)
        _save(record_joined(splits, job["data"], seed), out)


def continue_one(job: dict[str, Any]) -> None:
    """Record one step from a checkpoint."""
    continue_training(job).save(Path(job["out"]))


def study(job: dict[str, Any]) -> None:
    """Record many models, or run the official code on recordings; see :mod:`parity_tests.official.study`."""
    from parity_tests.official.study import answer, record_models

    if "recordings" in job:
        answer(job)
    else:
        record_models(job, _normalised(read_npz(Path(job["strokes"]))["train"]))


def _normalised(strokes: list[np.ndarray]) -> list[np.ndarray]:
    loader = magenta.utils.DataLoader(strokes, 1, max(map(len, strokes)))
    loader.normalize()
    return loader.strokes


def _save(recording: Recording, out: Path) -> None:
    path = out / f"{recording.name.replace('/', '-')}.h5"
    recording.save(path)
    print(f"recorded {path}", flush=True)


TASKS = {"train": train, "record": record_all, "continue": continue_one, "long": record_long, "study": study}

if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    provenance.COMMAND[:] = job["command"]
    for task in job["tasks"]:
        TASKS[task["do"]](task)
