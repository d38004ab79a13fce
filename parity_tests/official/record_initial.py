"""Records the values of the official initialisers."""

from typing import Any

import numpy as np

from parity_tests.official.magenta import tf
from parity_tests.official.provenance import provenance
from parity_tests.official.session import Session
from parity_tests.record.configurations import INITIAL_DRAWS
from parity_tests.record.recording import Recording


def record_initial(job: dict[str, Any]) -> Recording:
    """Initial values of every trainable variable, drawn several times.

    NumPy draws once, when the graph is built: those values, and constants, are stored once in ``initial``. TensorFlow
    draws each time the initialisers run: all its draws are stacked in ``distribution``.
    """
    tf.reset_default_graph()
    session = Session(job["hparams"], job["hyper"], "float32", job["seed"])
    draws = []
    for _ in range(INITIAL_DRAWS):
        session.sess.run(tf.global_variables_initializer())
        draws.append(session.read())
    groups: dict[str, dict[str, np.ndarray]] = {"initial": {}, "distribution": {}}
    for name in sorted(session.trainable):
        values = np.stack([draw[name] for draw in draws])
        if all(np.array_equal(value, values[0]) for value in values):
            groups["initial"][f"initial/{name}"] = values[0]
        else:
            groups["distribution"][f"initial/{name}"] = values
    hparams = session.hparams.values() | job["hyper"]
    return Recording("initial", f"initial/{job['name']}", hparams, provenance(job["seed"]), groups)
