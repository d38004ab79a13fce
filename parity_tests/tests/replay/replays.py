"""Ports that err, and the rows that they get: shared by the tests of replays."""

from shipped import shipped

from parity_tests import ours
from parity_tests.adapter import EVERYTHING, INTERMEDIATES
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures

RECORDINGS = shipped()
RNN = "vector_rnn/RNN/LSTMCell"
MODEL, CELL, INITIAL, DATA = "lstm/moved", "cell/lstm", "initial/lstm", "data"
# a recording in which each method is asked; those that answer with arrays by name come first; see test_training.py too
ANSWERING = {
    "step_cell": CELL,
    "encode": MODEL,
    "decode": MODEL,
    "loss": MODEL,
    "train_step": MODEL,
    "sample": MODEL,
    "initial": INITIAL,
}
ASKED = ANSWERING | {"load": MODEL, "dropout_mask": CELL, "data": DATA}
REQUIRED = {
    "step_cell": ("output", "state"),
    "encode": ("mu", "presig", "z"),
    "decode": ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits"),
    "loss": ("r_cost", "kl_cost"),
    "train_step": ("cost", "r_cost", "kl_cost"),
    "sample": ("strokes", "pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen"),
}
# where a method's answers stand among the quantities of a recording
PREFIX = {
    "step_cell": "", "encode": "eval/", "decode": "eval/", "loss": "eval/", "train_step": "train/",
    "sample": "sample/greedy/", "initial": "initial/",
}  # fmt: skip
SMALL = 1 + 1e-8  # a wrong factor: a hundred times what float64 allows, and nothing in float32


def overridden(**methods):
    """Our port, with some methods of its adapter replaced."""
    return type("Port", (ours.Adapter,), methods)()


def changed(methods, change):
    """Our port, but for what one method answers, or some."""

    def new(method):
        return lambda self, *args, **kwargs: change(getattr(ours.Adapter, method)(self, *args, **kwargs))

    return overridden(**{method: new(method) for method in ([methods] if isinstance(methods, str) else methods)})


def scaled(name, factor=SMALL):
    """An answer of which one array is a little off."""
    return lambda answer: answer | {name: answer[name] * answer[name].dtype.type(factor)}


def raising(error):
    def change(_):
        raise error

    return change


BOTH = ("float64", "float32")


def rows_of(port, recording, *, partial=False, precisions=("float64",)):
    """The rows of a port in these precisions, as if there were no other: the tests of float64 alone are quick."""
    port.precisions = precisions
    left_out = set(BOTH) - set(precisions)
    if partial and isinstance(port, ours.Adapter):  # it offers what it can do, but for what is inside its layers
        port.__class__ = type("Partial", (type(port),), {"offers": EVERYTHING - {INTERMEDIATES}})
    return [row for row in prove(RECORDINGS[recording], port).rows if row.precision not in left_out]


def one(rows, quantity, precision="float64"):
    [row] = [row for row in rows if (row.quantity, row.precision) == (quantity, precision)]
    return row


def broken(rows, method):
    """The rows that say that a method failed."""
    return [row for row in failures(rows) if row.verdict == "different" and method in f"{row.quantity}: {row.note}"]
