"""Exposes the intermediates of the official graph: every gate and normalised value of every step, mask and gradient.

A tensor inside TensorFlow's loop over time cannot be fetched. So a wrapper cell concatenates the intermediates of the
official cell to its output, and they are split off again after the loop.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from parity_tests.official.magenta import rnn, tf
from parity_tests.official.tf_proxy import Listener, install
from parity_tests.record.quantities import GATES


class Frame:
    """What one call of a cell has computed so far, by name."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.values: dict[str, Any] = {}


class Draw(NamedTuple):
    """A random input of the graph: masks [B, T, n], or the latent noise [B, z]."""

    placeholder: Any
    keep_prob: float | None  # None: normal numbers


class Probe(Listener):
    """A listener that keeps the tensors of one official graph by name, and replaces random draws by placeholders.

    ``quantities`` maps names such as ``encoder/fw/i`` to tensors, [B, T, n] inside a layer; ``draws`` maps the names of
    random inputs to placeholders.
    """

    def __init__(self) -> None:
        self.quantities: dict[str, Any] = {}
        self.draws: dict[str, Draw] = {}
        self.raw_gradients: dict[str, Any] = {}
        self.clipped_gradients: dict[str, Any] = {}
        self.hidden: Any = None  # input of the output layer [B T, n]; head is its output [B T, 3 + 6 M]
        self.head: Any = None
        self._open: list[Frame] = []
        self._seen: dict[str, Any] = {}
        self._masks: dict[str, Any] = {}
        self.asked: dict[str, tuple[int, float]] = {}

    # Inside a cell -------------------------------------------------------------------------------------------------

    def enter(self, inner: bool) -> None:
        """A call of a cell begins; ``inner``: it is the cell inside a hyper cell."""
        self._open.append(Frame("hyper_cell/" if inner else ""))

    def leave(self) -> None:
        """The call of a cell ends."""
        frame = self._open.pop()
        self._seen.update({frame.prefix + name: value for name, value in frame.values.items()})

    def take(self, **values: Any) -> None:
        """Keep values of the cell that is being built; a later value replaces an earlier one of the same name."""
        if self._open:
            self._open[-1].values.update(values)

    def split(self, value: Any, parts: list[Any]) -> None:
        """The last split into four is that of the gates."""
        if len(parts) == 4 and self._open:
            self.take(**dict(zip(GATES, parts, strict=True)))

    def tanh(self, result: Any) -> None:
        """Without dropout the candidate is the first tanh."""
        if self._open and "g" not in self._open[-1].values:
            self.take(g=result)

    def dropout(self, value: Any, keep_prob: float) -> Any:
        """Inside a cell it is the recurrent dropout, before the cell that of the input, after it that of the output."""
        place = "recurrent" if self._open else "output" if self._seen else "input"
        self.asked[place] = (value.shape.as_list()[1], keep_prob)
        result = value * self._masks[place] if place in self._masks else value
        self.take(g=result)
        return result

    def step(
        self, cell: Any, inputs: Any, state: Any, masks: dict[str, Any] | None = None
    ) -> tuple[Any, Any, dict[str, Any]]:
        """One step of an official cell: output, new state, and all intermediates by name.

        A dropout without a mask is skipped; ``asked`` lists all that were met, with their widths.
        """
        self._seen, self._masks = {}, masks or {}
        output, new_state = cell(inputs, state)
        return output, new_state, self._seen | {"output": output, "state": new_state}

    # Around a layer ------------------------------------------------------------------------------------------------

    def dynamic_rnn(self, build: Callable, cell: Any, inputs: Any, **kwargs: Any) -> Any:
        """The decoder."""
        glued = GluedCell(self, cell, inputs, "decoder")
        outputs, state = build(glued, tf.concat([inputs, *glued.masks.values()], 2), **kwargs)
        return self._cut("decoder", glued, outputs, state), state

    def bidirectional_dynamic_rnn(self, build: Callable, fw: Any, bw: Any, inputs: Any, **kwargs: Any) -> Any:
        """The encoder. TensorFlow reverses the masks of the backward cell together with its inputs.

        The outputs of the backward cell are put back into the order in which it took the steps.
        """
        cells = [GluedCell(self, cell, inputs, f"encoder/{side}") for side, cell in (("fw", fw), ("bw", bw))]
        cells[1].masks_before = sum(cells[0].mask_widths)
        all_masks = [mask for glued in cells for mask in glued.masks.values()]
        outputs, states = build(*cells, tf.concat([inputs, *all_masks], 2), **kwargs)
        own_order = outputs[0], tf.reverse_sequence(outputs[1], kwargs["sequence_length"], 1, 0)
        for side, glued, values, state in zip(("fw", "bw"), cells, own_order, states, strict=True):
            self._cut(f"encoder/{side}", glued, values, state)
        return None, states  # the official model does not use the outputs

    def _cut(self, layer: str, glued: "GluedCell", outputs: Any, state: Any) -> Any:
        """Split [B, T, all] into the cell's own output, which is returned, and each intermediate, which is kept."""
        output, *values = tf.split(outputs, glued.widths, axis=2)
        self.quantities |= {f"{layer}/{name}": value for name, value in zip(glued.names, values, strict=True)}
        self.quantities[f"{layer}/final_state"] = state
        return output

    def random_normal(self, shape: Any, number: Any) -> Any:
        """The latent noise is the only normal draw."""
        placeholder = tf.placeholder(number, shape)
        self.draws["latent"] = Draw(placeholder, None)
        return placeholder

    def output_layer(self, hidden: Any, head: Any) -> None:
        """Keep its input and output."""
        self.hidden, self.head = hidden, head

    def gradients(self, gradients_and_variables: list[tuple[Any, Any]]) -> None:
        """Keep the gradients before clipping."""
        self.raw_gradients = {variable.op.name: gradient for gradient, variable in gradients_and_variables}

    def applied(self, gradients_and_variables: list[tuple[Any, Any]]) -> None:
        """Keep the gradients after clipping."""
        self.clipped_gradients = {variable.op.name: gradient for gradient, variable in gradients_and_variables}


class GluedCell(tf.nn.rnn_cell.RNNCell):
    """Wraps an official cell: reads [input, other masks, its masks, more] and returns [output, all intermediates]."""

    def __init__(self, probe: Probe, cell: Any, inputs: Any, layer: str) -> None:
        self.probe, self.cell = probe, cell
        batch, steps, self.input_width = inputs.shape.as_list()
        self.names, self.widths, asked = self._layout(batch)
        self.masks: dict[str, Any] = {}
        self.masks_before = 0  # width of another cell's masks, between the input and this cell's masks
        for place, (width, keep_prob) in asked.items():
            self.masks[place] = tf.placeholder(rnn.tf.float32, [batch, steps, width])
            probe.draws[f"{layer}/{place}"] = Draw(self.masks[place], keep_prob)

    def _layout(self, batch: int) -> tuple[list[str], list[int], dict[str, tuple[int, float]]]:
        """Names and widths of what one step returns, and the masks it uses, found by a step in a temporary graph.

        The loop over time needs the width of the output before it calls the cell.
        """
        orthogonal, rnn.orthogonal = rnn.orthogonal, np.zeros  # leaves NumPy's random state alone
        self.probe.asked = {}
        try:
            with tf.Graph().as_default():
                number = rnn.tf.float32
                inputs = tf.zeros([batch, self.input_width], number)
                state = tf.zeros([batch, self.cell.state_size], number)
                output, _, values = self.probe.step(copy.copy(self.cell), inputs, state)
        finally:
            rnn.orthogonal = orthogonal
        return list(values), [tensor.shape.as_list()[1] for tensor in (output, *values.values())], self.probe.asked

    @property
    def state_size(self) -> Any:
        """State size of the cell."""
        return self.cell.state_size

    @property
    def output_size(self) -> Any:
        """Width of the output and all intermediates."""
        return sum(self.widths)

    @property
    def mask_widths(self) -> list[int]:
        """Width of each mask."""
        return [mask.shape.as_list()[2] for mask in self.masks.values()]

    def __call__(self, glued: Any, state: Any, scope: Any = None) -> Any:
        """One step."""
        before = self.input_width + self.masks_before
        rest = glued.shape.as_list()[1] - before - sum(self.mask_widths)
        widths = [self.input_width, self.masks_before, *self.mask_widths, rest]
        inputs, _, *masks, _ = tf.split(glued, widths, axis=1)
        by_place = dict(zip(self.masks, masks, strict=True))
        output, new_state, values = self.probe.step(self.cell, inputs, state, by_place)
        assert list(values) == self.names
        return tf.concat([output, *values.values()], 1), new_state


def _wrap(owner: Any, name: str, around: Callable) -> None:
    """Replace ``owner.name`` by ``around(original, ...)``."""
    original = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(owner, name, wrapper)


class _Current:
    probe: Any = None  # the attached Probe
    depth = 0


def attach(probe: Probe, dtype: str) -> None:
    """Make this probe the listener of all official graphs that are built from now on, in a precision."""
    if _Current.probe is None:
        _wrap_official_functions()
    _Current.probe = probe
    install(probe, dtype)


def _around_cell(original: Callable, self: Any, x: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
    inner = _Current.depth > 0
    _Current.probe.enter(inner)
    _Current.depth += 1
    output, new_state = original(self, x, state, *args, **kwargs)
    _Current.depth -= 1
    _Current.probe.take(**_state_by_name(self, new_state))
    _Current.probe.leave()
    return output, new_state


def _state_by_name(cell: Any, state: Any) -> dict[str, Any]:
    """The new c and h of a cell, from its packed state."""
    if isinstance(cell, rnn.HyperLSTMCell):
        h, _, c, _ = tf.split(state, [cell.num_units, cell.hyper_num_units] * 2, axis=1)
    elif isinstance(cell, rnn.LayerNormLSTMCell):
        h, c = tf.split(state, 2, 1)
    else:
        c, h = tf.split(state, 2, 1)
    return {"c": c, "h": h}


def _around_layer_norm_all(original: Callable, h: Any, *args: Any, **kwargs: Any) -> Any:
    _Current.probe.take(total=h)
    return original(h, *args, **kwargs)


def _around_layer_norm(original: Callable, x: Any, *args: Any, **kwargs: Any) -> Any:
    result = original(x, *args, **kwargs)
    _Current.probe.take(normal_c=result)
    return result


def _around_hyper_norm(original: Callable, self: Any, layer: Any, scope: str = "hyper", **kwargs: Any) -> Any:
    result = original(self, layer, scope, **kwargs)
    _Current.probe.take(**{scope: result})
    return result


def _wrap_official_functions() -> None:
    for cell in (rnn.LSTMCell, rnn.LayerNormLSTMCell, rnn.HyperLSTMCell):
        _wrap(cell, "__call__", _around_cell)
    _wrap(rnn, "layer_norm_all", _around_layer_norm_all)
    _wrap(rnn, "layer_norm", _around_layer_norm)
    _wrap(rnn.HyperLSTMCell, "hyper_norm", _around_hyper_norm)
