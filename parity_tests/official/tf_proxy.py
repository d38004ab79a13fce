"""Loads the official modules unmodified, and puts a stand-in before the ``tf`` that they see.

The stand-in forwards everything, except that it chooses the precision (float32 means float64 where asked for), lets
dropout masks and normal draws come from outside, and lets each recurrent layer be looked into. It adds no arithmetic of
its own to the official graph, but for a dropout with a given mask, which is the product of the two.
"""

import importlib.metadata
import os
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # the cells derive from the RNNCell of Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow.compat.v1 as tf

if "torch" in sys.modules:
    raise RuntimeError("torch and TensorFlow must not share a process")

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

# The graph runs as Magenta wrote it: without TensorFlow's graph optimiser (four times as fast here, since it rewrites
# the loops over time to no avail), on as many threads as the environment says.
THREADS = int(os.environ.get("OFFICIAL_THREADS", "1"))
CONFIG = tf.ConfigProto(intra_op_parallelism_threads=THREADS, inter_op_parallelism_threads=THREADS)
CONFIG.graph_options.rewrite_options.disable_meta_optimizer = os.environ.get("OFFICIAL_OPTIMISER", "0") != "1"

SOURCE_FOLDER = "magenta/models/sketch_rnn"
RECURRENT_LAYERS = ("dynamic_rnn", "bidirectional_dynamic_rnn")


def official_folder() -> Path:
    """Where the installed package magenta keeps the official Sketch-RNN."""
    return Path(str(importlib.metadata.distribution("magenta").locate_file(SOURCE_FOLDER)))


def _import_official() -> tuple[types.ModuleType, ...]:
    """Import the sketch half alone: ``import magenta`` would bring in the music half and all it needs."""
    package = types.ModuleType("magenta")
    package.__path__ = [str(official_folder().parents[1])]
    sys.modules["magenta"] = package
    from magenta.models.sketch_rnn import model, rnn, sketch_rnn_train, utils

    return model, rnn, sketch_rnn_train, utils


model, rnn, sketch_rnn_train, utils = _import_official()


class Forward(types.ModuleType):
    """A module that answers with its own attributes, else with those of another."""

    def __init__(self, target: Any, **own: Any) -> None:
        super().__init__(target.__name__)
        self.__dict__.update(own)
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class Listener:
    """What the stand-in tells about the graph that is being built. The default hears nothing and changes nothing."""

    def split(self, value: Any, parts: list[Any]) -> None:
        """A tensor was split."""

    def tanh(self, result: Any) -> None:
        """A tanh was taken."""

    def dropout(self, value: Any, keep_prob: float) -> Any:
        """A dropout is to be applied."""
        return tf.nn.dropout(value, rate=1 - keep_prob)

    def random_normal(self, shape: Any, number: Any) -> Any:
        """Normal numbers are to be drawn."""
        return tf.random_normal(shape, dtype=number)

    def output_layer(self, hidden: Any, head: Any) -> None:
        """The output layer was built."""

    def dynamic_rnn(self, build: Callable, cell: Any, *args: Any, **kwargs: Any) -> Any:
        """A recurrent layer is to be built."""
        return build(cell, *args, **kwargs)

    def bidirectional_dynamic_rnn(self, build: Callable, fw: Any, bw: Any, *args: Any, **kwargs: Any) -> Any:
        """A bidirectional recurrent layer is to be built."""
        return build(fw, bw, *args, **kwargs)

    def gradients(self, gradients_and_variables: list[tuple[Any, Any]]) -> None:
        """The optimizer computed gradients."""

    def applied(self, gradients_and_variables: list[tuple[Any, Any]]) -> None:
        """The optimizer was given gradients to apply."""


def install(listener: Listener, dtype: str) -> None:
    """Let ``rnn``, ``model`` and the dropout wrapper see a stand-in for ``tf`` with that listener and precision."""
    number = tf.as_dtype(dtype)

    def with_default_dtype(function: Callable, position: int) -> Callable:
        """The function, with ``number`` as its default dtype for whatever is not an integer."""

        def call(*args: Any, **kwargs: Any) -> Any:
            whole = bool(args) and isinstance(args[0], int)
            if "dtype" not in kwargs and len(args) <= position and not whole:
                kwargs["dtype"] = number
            return function(*args, **kwargs)

        return call

    def split(value: Any, *args: Any, **kwargs: Any) -> Any:
        parts = tf.split(value, *args, **kwargs)
        listener.split(value, parts)
        return parts

    def tanh(value: Any) -> Any:
        result = tf.tanh(value)
        listener.tanh(result)
        return result

    def dropout(value: Any, keep_prob: Any = None, rate: Any = None, **_: Any) -> Any:
        return listener.dropout(value, 1 - rate if keep_prob is None else keep_prob)

    def random_normal(shape: Any, mean: float, stddev: float, dtype: Any) -> Any:
        if (mean, stddev) != (0.0, 1.0):
            raise ValueError(f"the official model draws normal numbers with mean {mean} and deviation {stddev}")
        return listener.random_normal(shape, dtype)

    def xw_plus_b(hidden: Any, *args: Any, **kwargs: Any) -> Any:
        head = tf.nn.xw_plus_b(hidden, *args, **kwargs)
        listener.output_layer(hidden, head)
        return head

    class Adam(tf.train.AdamOptimizer):
        def compute_gradients(self, *args: Any, **kwargs: Any) -> Any:
            result = super().compute_gradients(*args, **kwargs)
            listener.gradients(result)
            return result

        def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
            grads_and_vars = list(grads_and_vars)
            listener.applied(grads_and_vars)
            return super().apply_gradients(grads_and_vars, *args, **kwargs)

    nn = Forward(
        tf.nn,
        dropout=dropout,
        xw_plus_b=xw_plus_b,
        dynamic_rnn=lambda cell, *a, **k: listener.dynamic_rnn(tf.nn.dynamic_rnn, cell, *a, **k),
        bidirectional_dynamic_rnn=lambda fw, bw, *a, **k: listener.bidirectional_dynamic_rnn(
            tf.nn.bidirectional_dynamic_rnn, fw, bw, *a, **k
        ),
    )
    standin = Forward(
        tf,
        float32=number,
        get_variable=with_default_dtype(tf.get_variable, 2),
        constant=with_default_dtype(tf.constant, 1),
        Variable=with_default_dtype(tf.Variable, 6),
        split=split,
        tanh=tanh,
        random_normal=random_normal,
        nn=nn,
        train=Forward(tf.train, AdamOptimizer=Adam),
    )
    rnn.tf = standin
    model.tf = standin
    wrappers = sys.modules[tf.nn.rnn_cell.DropoutWrapper.__module__]
    wrappers.tf = Forward(wrappers_tf, nn=Forward(wrappers_tf.nn, dropout=dropout))


def one_step_at_a_time() -> None:
    """Let the recurrent layers of ``model`` take one step after the other, all else as TensorFlow has it.

    It would let steps overlap, and a dropout draws its mask for whichever comes first: no two runs of one seed would be
    alike.
    """
    layers = {name: partial(getattr(tf.nn, name), parallel_iterations=1) for name in RECURRENT_LAYERS}
    model.tf = Forward(tf, nn=Forward(tf.nn, **layers))


wrappers_tf = sys.modules[tf.nn.rnn_cell.DropoutWrapper.__module__].tf
