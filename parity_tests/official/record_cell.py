"""Records a cell on its own, step by step, in both precisions."""

import numpy as np

from parity_tests.configurations import CELL_KEEP_PROB, DTYPES
from parity_tests.official.errors import float32_errors, float64_noise
from parity_tests.official.inputs import moved
from parity_tests.official.probe import Probe, attach
from parity_tests.official.provenance import provenance
from parity_tests.official.session import load, set_hyper_sizes
from parity_tests.official.standin import rnn, tf
from parity_tests.recording import Recording
from parity_tests.streams import NOISE_NUDGES, NUDGES, dropout_mask, nudged


def record_cell(kind: str, sizes: dict[str, int], hyper: dict[str, int], seed: int) -> Recording:
    """One official cell on its own, step by step from seeded weights far from their initial values.

    Args:
        kind: lstm, layer_norm or hyper.
        sizes: ``input``, ``units``, ``batch`` and ``steps``.
        hyper: sizes of the inner cell, for hyper.
        seed: of the weights, the inputs, the first state and the masks.
    """
    rng = np.random.RandomState(seed)
    batch, steps, units = sizes["batch"], sizes["steps"], sizes["units"]
    x = rng.normal(size=(batch, steps, sizes["input"])).astype(np.float32)
    masks = dropout_mask(rng, (steps, batch, units), CELL_KEEP_PROB)
    groups: dict[str, dict[str, np.ndarray]] = {"inputs": {"x": x}, "draws": {"recurrent": masks}}
    runs = {dtype: _run_cell(kind, sizes, hyper, dtype, seed, groups) for dtype in DTYPES}
    groups["official_error"] = float32_errors(list(zip(runs["float32"], runs["float64"], strict=True)))
    groups["exact"] = {"dropout_values": dropout_values(CELL_KEEP_PROB, seed)}
    return Recording("cell", f"cell/{kind}", {"cell": kind, **sizes, **hyper}, provenance(seed), groups)


def _run_cell(
    kind: str,
    sizes: dict[str, int],
    hyper: dict[str, int],
    dtype: str,
    seed: int,
    groups: dict[str, dict[str, np.ndarray]],
) -> list[dict[str, np.ndarray]]:
    """Step the cell in one precision; add what it computes to groups, and in the first one its weights and state.

    Returns:
        What it computes with these weights, and with each nudge of them.
    """
    probe = Probe()
    attach(probe, dtype)
    set_hyper_sizes(hyper)
    tf.reset_default_graph()
    tf.set_random_seed(seed)
    np.random.seed(seed)
    number = tf.as_dtype(dtype)
    cell = {"lstm": rnn.LSTMCell, "layer_norm": rnn.LayerNormLSTMCell, "hyper": rnn.HyperLSTMCell}[kind](
        sizes["units"], use_recurrent_dropout=True, dropout_keep_prob=CELL_KEEP_PROB
    )
    x = tf.placeholder(number, [sizes["batch"], sizes["input"]])
    state = tf.placeholder(number, [sizes["batch"], cell.state_size])
    mask = tf.placeholder(number, [sizes["batch"], sizes["units"]])
    _, _, values = probe.step(cell, x, state, {"recurrent": mask})
    variables = {variable.op.name: variable for variable in tf.trainable_variables()}
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        if "weights" not in groups:
            initial = dict(zip(variables, sess.run(list(variables.values())), strict=True))
            groups["weights"] = moved(initial, set(variables), 0.5, seed)
            first = np.random.RandomState(seed).normal(0.0, 0.5, size=(sizes["batch"], cell.state_size))
            groups["inputs"]["state"] = first.astype(np.float32)

        def computed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            load(sess, {variable: weights[name] for name, variable in variables.items()})
            current, steps = groups["inputs"]["state"], []
            for t in range(sizes["steps"]):
                feed = {x: groups["inputs"]["x"][:, t], state: current, mask: groups["draws"]["recurrent"][t]}
                steps.append(sess.run(values, feed))
                current = steps[-1]["state"]
            return {name: np.stack([step[name] for step in steps], axis=1) for name in values}

        def nudges(precision: str, count: int) -> list[dict[str, np.ndarray]]:
            weights = [nudged(groups["weights"], set(variables), precision, s) for s in range(count)]
            return [computed(nudge) for nudge in weights]

        groups[dtype] = computed(groups["weights"])
        if dtype == "float64":
            groups["noise"] = float64_noise(nudges("float64", NOISE_NUDGES), groups[dtype])
        return [groups[dtype], *nudges("float32", NUDGES)]


def dropout_values(keep_prob: float, seed: int) -> np.ndarray:
    """What official dropout makes of ones: the values that masks, which are fed in its stead, must hold."""
    with tf.Graph().as_default(), tf.Session() as sess:
        return np.unique(sess.run(tf.nn.dropout(tf.ones([1000]), rate=1 - keep_prob, seed=seed)))
