"""Records the costs of many runs of the official trainer, in float32, each with random numbers of its own.

The graph is the official one without a probe: TensorFlow draws masks and latent noise, NumPy the batches. The official
loop runs unmodified; its session records the costs that it returns. All runs start from the same weights.

Source: Magenta ``sketch_rnn_train.py`` (``train``, ``evaluate_model``).
"""

from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.official.magenta import model as official_model
from parity_tests.official.magenta import sketch_rnn_train, tf
from parity_tests.official.provenance import provenance
from parity_tests.official.session import load, set_hyper_sizes
from parity_tests.official.tf_proxy import one_step_at_a_time
from parity_tests.record.quantities import COSTS
from parity_tests.record.recording import Recording

ONE_THREAD = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


class ListeningSession(tf.Session):
    """A session that records the costs of training steps and validations."""

    def listen(self, model: Any, evaluated: Any, valid_batches: int) -> None:
        """Start recording; a validation is ``valid_batches`` batches, and the loop evaluates the test set after it."""
        self.model, self.evaluated, self.valid_batches = model, evaluated, valid_batches
        self.train: list[list[float]] = []
        self.evaluations: dict[int, list[list[float]]] = {}  # by the number of steps before it

    def run(self, fetches: Any, feed_dict: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run as the loop asks, and record the costs."""
        result = super().run(fetches, feed_dict, *args, **kwargs)
        if feed_dict and self.model.input_data in feed_dict:
            self.train.append([float(value) for value in result[: len(COSTS)]])
        elif feed_dict and self.evaluated.input_data in feed_dict:
            self.evaluations.setdefault(len(self.train), []).append([float(value) for value in result])
        return result

    def validations(self) -> np.ndarray:
        """The costs of each validation, [validations, costs]: the mean of its batches."""
        return np.array([np.mean(batches[: self.valid_batches], axis=0) for batches in self.evaluations.values()])


def record_curves(job: dict[str, Any]) -> Recording:
    """Runs of the official trainer on a stroke set.

    Args:
        job: ``name``, ``hparams``, ``hyper``, ``seeds``, ``weights_seed`` (of the weights that all runs
            start from), ``data_dir``, ``out`` (for checkpoints).

    Returns:
        A recording with ``weights``, and in ``float32`` the arrays ``train/cost`` [seeds, steps], ``valid/cost``
        [seeds, validations] and the like.
    """
    one_step_at_a_time()
    set_hyper_sizes(job["hyper"])
    with _Graph(job, job["weights_seed"]) as graph:
        weights = graph.read()
    runs: dict[str, list[np.ndarray]] = {}
    for seed in job["seeds"]:
        with _Graph(job, seed) as graph:
            costs = graph.train(weights, Path(job["out"]) / job["name"] / str(seed))
        for name, values in costs.items():
            runs.setdefault(name, []).append(values)
        print(f"trained {job['name']}, seed {seed}", flush=True)
    claims = graph.hparams.values() | job["hyper"]
    groups = {"weights": weights, "float32": {name: np.stack(values) for name, values in runs.items()}}
    about = provenance(job["weights_seed"]) | {"seeds": job["seeds"], "threads": 1}
    return Recording("curves", f"curves/{job['name']}", claims, about, groups)


class _Graph:
    """The official models, their stroke sets and their session, as the official trainer makes them, from one seed."""

    def __init__(self, job: dict[str, Any], seed: int) -> None:
        self.seed = seed
        hparams = official_model.get_default_hparams()
        for name, value in job["hparams"].items():
            hparams.set_hparam(name, value)
        *self.sets, self.hparams, evaluated, _ = sketch_rnn_train.load_dataset(job["data_dir"], hparams)
        sketch_rnn_train.reset_graph()
        tf.set_random_seed(seed)
        np.random.seed(seed)
        self.model = official_model.Model(self.hparams)
        self.evaluated = official_model.Model(evaluated, reuse=True)
        self.session = ListeningSession(config=ONE_THREAD)

    def __enter__(self) -> "_Graph":
        self.session.listen(self.model, self.evaluated, self.sets[1].num_batches)
        self.session.run(tf.global_variables_initializer())
        return self

    def __exit__(self, *_: Any) -> None:
        self.session.close()

    def read(self) -> dict[str, np.ndarray]:
        """Every trainable variable by its official name."""
        variables = {variable.op.name: variable for variable in tf.trainable_variables()}
        return dict(zip(variables, self.session.run(list(variables.values())), strict=True))

    def train(self, weights: dict[str, np.ndarray], log_root: Path) -> dict[str, np.ndarray]:
        """Run the official loop from these weights."""
        load(self.session, {variable: weights[variable.op.name] for variable in tf.trainable_variables()})
        sketch_rnn_train.FLAGS(["train", f"--log_root={log_root}"])
        tf.gfile.MakeDirs(str(log_root))
        np.random.seed(self.seed)
        sketch_rnn_train.train(self.session, self.model, self.evaluated, *self.sets)
        curves = {"train": np.array(self.session.train), "valid": self.session.validations()}
        return {f"{split}/{name}": v[:, i] for split, v in curves.items() for i, name in enumerate(COSTS)}
