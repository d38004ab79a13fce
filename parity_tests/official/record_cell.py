"""Records a cell on its own, step by step, in both precisions."""

import numpy as np

from parity_tests.official.inputs import moved
from parity_tests.official.local import CELL_CLASSES, StepGraph
from parity_tests.official.magenta import CONFIG, tf
from parity_tests.official.provenance import provenance
from parity_tests.official.session import load, set_hyper_sizes
from parity_tests.record.configurations import CELL_KEEP_PROB, DTYPES
from parity_tests.record.draws import dropout_mask
from parity_tests.record.layers import cell_steps
from parity_tests.record.recording import Recording

Arrays = dict[str, np.ndarray]


def record_cell(kind: str, sizes: dict[str, int], hyper: dict[str, int], seed: int) -> Recording:
    """One official cell on its own, step by step, with seeded weights far from their initial values.

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
    groups: dict[str, Arrays] = {"inputs": {"x": x}, "draws": {"recurrent": masks}}
    graphs = {}
    for dtype in DTYPES:
        with tf.Graph().as_default():
            graphs[dtype] = CellGraph(kind, sizes, hyper, dtype, seed)
    double = graphs["float64"]
    groups["weights"] = moved(double.initial, set(double.initial), 0.5, seed)
    first = np.random.RandomState(seed).normal(0.0, 0.5, size=(batch, double.state_size))
    groups["inputs"]["state"] = first.astype(np.float32)
    for dtype, graph in graphs.items():
        graph.assign(groups["weights"])
        groups[dtype] = graph.free(groups)
    for dtype, graph in graphs.items():
        found = graph.local(groups, groups[dtype]["state"])
        groups[f"{dtype}_local"] = {name: value for name, value in found.items() if name not in groups[dtype]}
    groups["float32_truth"] = double.local(groups, groups["float32"]["state"])
    groups["exact"] = {"dropout_values": dropout_values(CELL_KEEP_PROB, seed)}
    return Recording("cell", f"cell/{kind}", {"cell": kind, **sizes, **hyper}, provenance(seed), groups)


class CellGraph:
    """An official cell in a graph of its own, for one step of a batch and for all steps at once."""

    def __init__(self, kind: str, sizes: dict[str, int], hyper: dict[str, int], dtype: str, seed: int) -> None:
        self.batch, self.steps = sizes["batch"], sizes["steps"]
        set_hyper_sizes(hyper)
        tf.set_random_seed(seed)
        np.random.seed(seed)
        self.sess = tf.Session(config=CONFIG)

        def graph(rows: int) -> StepGraph:
            cell = CELL_CLASSES[kind](sizes["units"], use_recurrent_dropout=True, dropout_keep_prob=CELL_KEEP_PROB)
            with tf.variable_scope("", reuse=tf.AUTO_REUSE):
                return StepGraph.alone(self.sess, cell, dtype, rows, sizes["input"])

        self.one, self.all = graph(self.batch), graph(self.batch * self.steps)
        self.variables = {variable.op.name: variable for variable in tf.trainable_variables()}
        self.sess.run(tf.global_variables_initializer())
        self.initial: Arrays = self.sess.run(self.variables)
        self.state_size = self.one.state.shape.as_list()[1]

    def assign(self, weights: Arrays) -> None:
        """Set the variables."""
        load(self.sess, {variable: weights[name] for name, variable in self.variables.items()})

    def free(self, groups: dict[str, Arrays]) -> Arrays:
        """One step after the other, each from the state of the step before; values [B, T, n]."""
        state, steps = groups["inputs"]["state"], []
        for t in range(self.steps):
            values, _ = self.one.run("cell", groups["inputs"]["x"][:, t], state, groups["draws"]["recurrent"][t])
            steps.append(values)
            state = values["state"]
        return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}

    def local(self, groups: dict[str, Arrays], states: np.ndarray) -> Arrays:
        """Every step from the recorded state before it, and its vector-Jacobian product under ``vjp/``."""
        steps = cell_steps(groups, states)
        shape = steps.x.shape[:2]
        values, vjp = self.all.run("cell", *steps.flat())
        result = {name: value.reshape(*shape, -1) for name, value in values.items()}
        for name, value in vjp.items():
            result[f"vjp/{name}"] = value.reshape(*shape, -1) if name in ("x", "state") else value
        return result


def dropout_values(keep_prob: float, seed: int) -> np.ndarray:
    """The values of official dropout on ones, which the masks that replace it must have."""
    with tf.Graph().as_default(), tf.Session() as sess:
        return np.unique(sess.run(tf.nn.dropout(tf.ones([1000]), rate=1 - keep_prob, seed=seed)))
