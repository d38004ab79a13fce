"""Records the costs of one long run of the official trainer, which can be interrupted and continued.

The official loop runs unmodified, in float32, with TensorFlow's random numbers. Its session appends the costs of every
step to a file. A run that was interrupted goes on from its last checkpoint, as ``--resume_training`` does: the rows
after that checkpoint are removed, and the random numbers of the rest come from a seed of their own.

Source: Magenta ``sketch_rnn_train.py`` (``trainer``, ``train``, ``evaluate_model``).
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from parity_tests.official.magenta import CONFIG, sketch_rnn_train, tf
from parity_tests.official.magenta import model as official_model
from parity_tests.official.provenance import provenance
from parity_tests.official.tf_proxy import one_step_at_a_time
from parity_tests.record.long_run import COLUMNS, COSTS_FILE, INITIAL, PROVENANCE, RUN, STARTS, rows_before
from parity_tests.record.quantities import COSTS
from weight_port.names import GLOBAL_STEP


class WritingSession(tf.Session):
    """A session that appends the costs of each training step and each validation to a file."""

    model: Any = None  # until it writes

    def write_to(self, file: TextIO, model: Any, evaluated: Any, valid_batches: int, step: int) -> None:
        """Start writing; ``step`` is the first one that will run, a validation is ``valid_batches`` batches."""
        self.file, self.model, self.evaluated = file, model, evaluated
        self.valid_batches, self.step = valid_batches, step
        self.batches: list[list[float]] = []  # of the evaluation after the last step
        self.started = time.monotonic()

    def run(self, fetches: Any, feed_dict: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run as the loop asks, and write the costs."""
        if self.model is None:
            return super().run(fetches, feed_dict, *args, **kwargs)
        training = bool(feed_dict) and self.model.input_data in feed_dict
        evaluating = bool(feed_dict) and self.evaluated.input_data in feed_dict
        if training or (evaluating and not self.batches):
            self.started = time.monotonic()
        result = super().run(fetches, feed_dict, *args, **kwargs)
        if training:
            self._write(self.step, "train", result)
            self.step, self.batches = self.step + 1, []
        elif evaluating:
            self.batches.append(result)
            if len(self.batches) == self.valid_batches:  # what comes then is the test set
                self._write(self.step - 1, "valid", np.mean(self.batches, axis=0))
        return result

    def _write(self, step: int, split: str, costs: Any) -> None:
        values = (repr(float(value)) for value in costs[: len(COSTS)])
        self.file.write(",".join((str(step), split, *values, f"{time.monotonic() - self.started:.3f}")) + "\n")
        self.file.flush()


def record_long(job: dict[str, Any]) -> None:
    """Train with the official code until ``num_steps`` steps are done, from a checkpoint if there is one.

    Args:
        job: ``hparams``, ``data_dir``, ``out`` (the folder of :mod:`parity_tests.record.long_run`), ``weights_seed``
            (of the initial weights) and ``seed`` (of all else).
    """
    _end_with_parent()
    one_step_at_a_time()
    out = Path(job["out"])
    hparams = official_model.get_default_hparams()
    for name, value in job["hparams"].items():
        hparams.set_hparam(name, value)
    *sets, hparams, evaluated, _ = sketch_rnn_train.load_dataset(job["data_dir"], hparams)
    if not (out / INITIAL / "checkpoint").is_file():
        _save_initial(hparams, evaluated, job["weights_seed"], out / INITIAL)
    newest = _checkpoint(out / RUN) or _checkpoint(out / INITIAL)
    done = int(tf.train.load_variable(newest, GLOBAL_STEP))
    rows = rows_before(out / COSTS_FILE, done)
    _write_whole(out / COSTS_FILE, "".join(f"{line}\n" for line in (",".join(COLUMNS), *rows)))
    rest = official_model.copy_hparams(hparams)
    rest.num_steps -= done  # the official loop counts the steps of this process
    models = _models(rest, evaluated, job["seed"] + done)
    _write_config(out / RUN, hparams)
    with (out / STARTS).open("a", encoding="utf-8") as file:
        file.write(f"{done}\n")
    with (out / COSTS_FILE).open("a", encoding="utf-8") as file, WritingSession(config=CONFIG) as session:
        tf.train.Saver(tf.global_variables()).restore(session, newest)
        session.write_to(file, *models, sets[1].num_batches, done)
        sketch_rnn_train.FLAGS(["train", f"--log_root={out / RUN}"])
        np.random.seed(job["seed"] + done)
        sketch_rnn_train.train(session, *models, *sets)
    starts = [int(line) for line in (out / STARTS).read_text(encoding="utf-8").split()]
    about = {"weights_seed": job["weights_seed"], "hparams": hparams.values(), "starts": starts}
    _write_whole(out / PROVENANCE, json.dumps(provenance(job["seed"]) | about, indent=1) + "\n")


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: two must not write to one folder."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _checkpoint(folder: Path) -> str | None:
    """The prefix of the newest checkpoint in a folder, wherever the folder was when it was written."""
    state = tf.train.get_checkpoint_state(str(folder))
    return None if state is None else str(folder / Path(state.model_checkpoint_path).name)


def _models(hparams: Any, evaluated: Any, seed: int) -> tuple[Any, Any]:
    """The model that trains and the one that evaluates, in a new graph."""
    sketch_rnn_train.reset_graph()
    tf.set_random_seed(seed)
    return official_model.Model(hparams), official_model.Model(evaluated, reuse=True)


def _save_initial(hparams: Any, evaluated: Any, seed: int, folder: Path) -> None:
    """A checkpoint of weights that no step has changed, with the configuration, as Magenta leaves a model."""
    _models(hparams, evaluated, seed)
    _write_config(folder, hparams)
    with tf.Session(config=CONFIG) as session:
        session.run(tf.global_variables_initializer())
        sketch_rnn_train.save_model(session, str(folder), 0)


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _write_config(folder: Path, hparams: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = json.dumps(hparams.values(), indent=1)  # with their names, as the official models have them
    (folder / "model_config.json").write_text(values + "\n", encoding="utf-8")
