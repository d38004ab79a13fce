"""A proxy for the ``tf`` that the official modules see: it sets the precision, and lets a listener observe the graph.

The proxy forwards everything to TensorFlow, with three exceptions. ``float32`` means the chosen precision. Dropout
masks and normal draws may come from outside. A listener sees each recurrent layer and other tensors while the graph is
built. The proxy adds no arithmetic of its own, except that dropout with a given mask is the product of the two.
"""

import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from parity_tests.official.magenta import model, rnn, tf

RECURRENT_LAYERS = ("dynamic_rnn", "bidirectional_dynamic_rnn")
_wrappers_tf = sys.modules[tf.nn.rnn_cell.DropoutWrapper.__module__].tf  # before any proxy is installed


class Forward(types.ModuleType):
    """A module that has some attributes of its own, and otherwise those of another module."""

    def __init__(self, target: Any, **own: Any) -> None:
        super().__init__(target.__name__)
        self.__dict__.update(own)
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class Listener:
    """Is called while the official graph is built. This default observes nothing and changes nothing."""

    def split(self, value: Any, parts: list[Any]) -> None:
        """A tensor was split."""

    def tanh(self, result: Any) -> None:
        """A tanh was computed."""

    def dropout(self, value: Any, keep_prob: float) -> Any:
        """Apply a dropout."""
        return tf.nn.dropout(value, rate=1 - keep_prob)

    def random_normal(self, shape: Any, number: Any) -> Any:
        """Draw standard normal numbers of a type."""
        return tf.random_normal(shape, dtype=number)

    def output_layer(self, hidden: Any, head: Any) -> None:
        """The output layer was built."""

    def dynamic_rnn(self, build: Callable, cell: Any, *args: Any, **kwargs: Any) -> Any:
        """Build a recurrent layer."""
        return build(cell, *args, **kwargs)

    def bidirectional_dynamic_rnn(self, build: Callable, fw: Any, bw: Any, *args: Any, **kwargs: Any) -> Any:
        """Build a bidirectional recurrent layer."""
        return build(fw, bw, *args, **kwargs)

    def gradients(self, gradients_and_variables: list[tuple[Any, Any]]) -> None:
        """The optimizer computed gradients."""

    def applied(self, gradients_and_variables: list[tuple[Any, Any]]) -> None:
        """The optimizer was asked to apply gradients."""


def install(listener: Listener, dtype: str) -> None:
    """Make ``rnn``, ``model`` and TensorFlow's DropoutWrapper use a proxy with this listener and precision."""
    proxy = tf_proxy(listener, dtype)
    rnn.tf = proxy
    model.tf = proxy
    wrappers: Any = sys.modules[tf.nn.rnn_cell.DropoutWrapper.__module__]
    wrappers.tf = Forward(_wrappers_tf, nn=Forward(_wrappers_tf.nn, dropout=proxy.nn.dropout))


def tf_proxy(listener: Listener, dtype: str) -> Forward:
    """A proxy for ``tf`` with this listener and precision."""
    number = tf.as_dtype(dtype)

    def split(value: Any, *args: Any, **kwargs: Any) -> Any:
        parts = tf.split(value, *args, **kwargs)
        listener.split(value, parts)
        return parts

    def tanh(value: Any) -> Any:
        result = tf.tanh(value)
        listener.tanh(result)
        return result

    def random_normal(shape: Any, mean: float, stddev: float, dtype: Any) -> Any:
        if (mean, stddev) != (0.0, 1.0):
            raise ValueError(f"the official model draws normal numbers with mean {mean} and deviation {stddev}")
        return listener.random_normal(shape, dtype)

    return Forward(
        tf,
        float32=number,
        get_variable=_with_default_dtype(tf.get_variable, 2, number),
        constant=_with_default_dtype(tf.constant, 1, number),
        Variable=_with_default_dtype(tf.Variable, 6, number),
        split=split,
        tanh=tanh,
        random_normal=random_normal,
        nn=_nn_proxy(listener),
        train=Forward(tf.train, AdamOptimizer=_adam_with(listener)),
    )


def _nn_proxy(listener: Listener) -> Forward:
    """A proxy for ``tf.nn``."""

    def dropout(value: Any, keep_prob: Any = None, rate: Any = None, **_: Any) -> Any:
        return listener.dropout(value, 1 - rate if keep_prob is None else keep_prob)

    def xw_plus_b(hidden: Any, *args: Any, **kwargs: Any) -> Any:
        head = tf.nn.xw_plus_b(hidden, *args, **kwargs)
        listener.output_layer(hidden, head)
        return head

    return Forward(
        tf.nn,
        dropout=dropout,
        xw_plus_b=xw_plus_b,
        dynamic_rnn=partial(listener.dynamic_rnn, tf.nn.dynamic_rnn),
        bidirectional_dynamic_rnn=partial(listener.bidirectional_dynamic_rnn, tf.nn.bidirectional_dynamic_rnn),
    )


def _adam_with(listener: Listener) -> type:
    """Adam, with a listener to its gradients."""

    class Adam(tf.train.AdamOptimizer):
        def compute_gradients(self, *args: Any, **kwargs: Any) -> Any:
            result = super().compute_gradients(*args, **kwargs)
            listener.gradients(result)
            return result

        def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
            grads_and_vars = list(grads_and_vars)
            listener.applied(grads_and_vars)
            return super().apply_gradients(grads_and_vars, *args, **kwargs)

    return Adam


def _with_default_dtype(function: Callable, position: int, number: Any) -> Callable:
    """A function with ``number`` as its default dtype, except for integers.

    Args:
        function: of TensorFlow.
        position: of its positional argument ``dtype``.
        number: the default.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        whole = bool(args) and isinstance(args[0], int)
        if "dtype" not in kwargs and len(args) <= position and not whole:
            kwargs["dtype"] = number
        return function(*args, **kwargs)

    return call


def one_step_at_a_time() -> None:
    """Make the recurrent layers of ``model`` take one step after the other; everything else is TensorFlow's own.

    TensorFlow lets steps overlap, and dropout draws the next mask for whichever step asks first, so two runs with the
    same seed would differ.
    """
    layers = {name: partial(getattr(tf.nn, name), parallel_iterations=1) for name in RECURRENT_LAYERS}
    model.tf = Forward(tf, nn=Forward(tf.nn, **layers))
