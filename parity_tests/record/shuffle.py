"""Permutes the hidden units and batch rows of a model: the same numbers, summed in another order.

If only the order of its sums changes, the official code departs from itself by some rounding, and so may two correct
programs. NumPy alone, because the official process uses it too.

The layouts are tables. An axis is described by its consecutive blocks, such as ``"stroke z"`` for the decoder's input
or ``"units units units units"`` for the four gates. Each block has one permutation for all tensors in which it occurs.
Source of the layouts: Magenta ``rnn.py`` and ``model.py``.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from parity_tests.record.configurations import SAMPLING_MODES
from parity_tests.record.draws import PREFIXES
from parity_tests.record.layers import Layer, cell_scope, layers_of
from parity_tests.record.mixtures import PARAMETERS
from parity_tests.record.quantities import COSTS, GATES
from weight_port.names import ADAM_POWERS, GLOBAL_STEP, SLOTS, skip_reason, slot_name

Arrays = Mapping[str, np.ndarray]
Axes = tuple[str, ...]  # one string per axis: its blocks, separated by spaces

STEPS = "steps"  # time: any length, never permuted
FOUR_UNITS = "units units units units"  # one for each gate
SCALAR: Axes = ()

# Variables of a cell, [in, out]; "input" is the cell's input without its own h.
LSTM_CELL: dict[str, Axes] = {
    "W_xh": ("input", FOUR_UNITS),
    "W_hh": ("units", FOUR_UNITS),
    "bias": (FOUR_UNITS,),
}
LAYER_NORM_CELL: dict[str, Axes] = {
    "W_xh": ("input", FOUR_UNITS),
    "W_hh": ("units", FOUR_UNITS),
    "ln_all/ln_gamma": (FOUR_UNITS,),
    "ln_all/ln_beta": (FOUR_UNITS,),
    "ln_c/ln_gamma": ("units",),
    "ln_c/ln_beta": ("units",),
}
HYPER_NORM_X: dict[str, Axes] = {
    "zw/super_linear_w": ("inner", "zw"),
    "zw/super_linear_b": ("zw",),
    "alpha/super_linear_w": ("zw", "units"),
}
HYPER_NORM_H: dict[str, Axes] = HYPER_NORM_X | {
    "zb/super_linear_w": ("inner", "zb"),
    "beta/super_linear_w": ("zb", "units"),
}
HYPER_NORMS = {
    f"hyper_{gate}{side}": norm for gate in GATES for side, norm in (("x", HYPER_NORM_X), ("h", HYPER_NORM_H))
}
INNER_CELL = {"input": "input units", "units": "inner"}  # the inner cell's blocks, by the names of the outer cell

# Packed states, and what is recorded under the name of a layer: the last axis of [rows, (steps,) last].
STATES = {"lstm": "units units", "layer_norm": "units units", "hyper": "units inner units inner"}
LSTM_QUANTITIES = dict.fromkeys(("i", "j", "f", "o", "g", "c", "h", "output"), "units")
LAYER_NORM_QUANTITIES = LSTM_QUANTITIES | {"normal_c": "units", "total": FOUR_UNITS}

# The rest of the model.
LATENT_WEIGHTS: dict[str, Axes] = {
    f"vector_rnn/ENC_RNN_{name}/super_linear_{part}": axes
    for name in ("mu", "sigma")
    for part, axes in (("w", ("encoder/fw/units encoder/bw/units", "z")), ("b", ("z",)))
}
HEAD = "pen mixture mixture mixture mixture mixture mixture"  # pi, mu1, mu2, sigma1, sigma2, corr
HEAD_WEIGHTS: dict[str, Axes] = {"vector_rnn/RNN/output_w": ("decoder/units", HEAD), "vector_rnn/RNN/output_b": (HEAD,)}
LATENT_QUANTITIES: dict[str, Axes] = dict.fromkeys(("mu", "presig", "z"), ("rows", "z"))
MODEL_QUANTITIES: dict[str, Axes] = {
    **{name: ("rows", STEPS, "pen" if name.startswith("pen") else "mixture") for name in PARAMETERS},
    "head": ("rows", STEPS, HEAD),
    "nll": ("rows", STEPS),
    **dict.fromkeys(COSTS, SCALAR),
}
SAMPLE_QUANTITIES = ("strokes", "next_uniform", "next_normal", *PARAMETERS)


class Shuffle:
    """A permutation of hidden units and batch rows, drawn from a seed.

    Each of these has its own permutation, which is never the identity if there is more than one element: the units of
    each layer, the inner units of each hyper cell, the embedding of each hyper norm, and the batch rows.

    Args:
        hparams: Magenta's names, with ``hyper_num_units`` and ``hyper_embedding_size`` if a layer is ``hyper``.
        batch: number of rows.
        seed: of the permutations.
        mixtures: permute the mixture components too. Sampling then picks others, since it sums weights in their order.
        latent: permute the latent dimensions too. Sampling then starts elsewhere, since it draws z in their order.
    """

    def __init__(
        self, hparams: Mapping[str, Any], *, batch: int, seed: int, mixtures: bool = False, latent: bool = False
    ) -> None:
        self.changes_samples = mixtures or (latent and hparams["conditional"])
        kept = {"stroke", "pen"} | (set() if mixtures else {"mixture"}) | (set() if latent else {"z"})
        self.orders = {
            block: np.arange(size) if block in kept else _permutation(size, seed, block)
            for block, size in block_sizes(hparams, batch).items()
        }
        self.weight_axes = weight_axes(hparams)
        self.draw_axes = draw_axes(hparams)
        self.quantity_axes = quantity_axes(hparams)

    def weights(self, variables: Arrays) -> dict[str, np.ndarray]:
        """Copies of variables and slots in the new order; scalars are unchanged.

        Raises:
            KeyError: if the model has no such variable.
            ValueError: if a shape does not fit.
        """
        return {name: self._permuted(name, value, self._of_variable(name)) for name, value in variables.items()}

    def draws(self, draws: Arrays) -> dict[str, np.ndarray]:
        """Copies of masks [T, B, n] and of the latent noise [B, z] in the new order; raises as :meth:`weights`."""
        return {name: self._permuted(name, value, self.draw_axes[name]) for name, value in draws.items()}

    def rows(self, array: np.ndarray) -> np.ndarray:
        """A copy of an array whose first axis is the batch, in the new order of rows."""
        array = np.asarray(array)
        return self._permuted("rows", array, ("rows", *[STEPS] * (array.ndim - 1)))

    def back(self, quantities: Arrays) -> dict[str, np.ndarray]:
        """Copies of what the permuted model computed, by recorded name, back in the original order.

        Raises:
            KeyError: if a name is not in the tables.
            ValueError: if a shape does not fit, or for samples if the permutation changes what is sampled.
        """
        return {
            name: self._permuted(name, value, self._of_quantity(name), back=True) for name, value in quantities.items()
        }

    def _of_variable(self, name: str) -> Axes:
        return SCALAR if skip_reason(name) else self.weight_axes[name]

    def _of_quantity(self, name: str) -> Axes | None:
        """Its axes; None for samples, which are drawn one by one and are not permuted."""
        kind, _, rest = name.partition("/")
        try:
            if kind in ("gradient", "clipped", "after"):
                return self._of_variable(rest)
            if kind in ("train", "eval", "prefix"):
                return self.quantity_axes[rest]
            mode, _, quantity = rest.partition("/")
            if kind == "sample" and mode in SAMPLING_MODES and quantity in SAMPLE_QUANTITIES:
                if self.changes_samples:
                    raise ValueError(f"{name}: samples are different once latent dimensions or mixtures are permuted")
                return None
        except KeyError:
            pass
        raise KeyError(name)

    def _permuted(self, name: str, value: np.ndarray, axes: Axes | None, *, back: bool = False) -> np.ndarray:
        result = np.array(value)
        if axes is None:
            return result
        orders = [None if axis == STEPS else self._order(axis) for axis in axes]
        expected = [None if order is None else len(order) for order in orders]
        if len(orders) != result.ndim or any(
            n not in (None, found) for n, found in zip(expected, result.shape, strict=True)
        ):
            raise ValueError(f"{name}: expected the shape {expected}, found {list(result.shape)}")
        for axis, order in enumerate(orders):
            if order is not None:
                result = np.take(result, np.argsort(order) if back else order, axis)
        return result

    def _order(self, axis: str) -> np.ndarray:
        """The old index of each new one, block after block."""
        parts, begin = [], 0
        for block in axis.split():
            parts.append(begin + self.orders[block])
            begin += len(self.orders[block])
        return np.concatenate(parts)


def _permutation(size: int, seed: int, block: str) -> np.ndarray:
    """A permutation that is not the identity, so that the order of summation changes; a single element stays."""
    rng = np.random.default_rng([seed, zlib.crc32(block.encode())])
    order = rng.permutation(size)
    while size > 1 and (order == np.arange(size)).all():
        order = rng.permutation(size)
    return order


def block_sizes(hparams: Mapping[str, Any], batch: int) -> dict[str, int]:
    """Length of every block."""
    sizes = {"stroke": 5, "pen": 3, "rows": batch, "z": hparams["z_size"], "mixture": hparams["num_mixture"]}
    for layer in layers_of(hparams):
        sizes[f"{layer.name}/units"] = hparams[layer.size]
        if hparams[layer.model] == "hyper":
            sizes[f"{layer.name}/inner"] = hparams["hyper_num_units"]
            for norm in HYPER_NORMS:
                sizes |= dict.fromkeys(
                    (f"{layer.name}/{norm}/zw", f"{layer.name}/{norm}/zb"), hparams["hyper_embedding_size"]
                )
    return sizes


def _resolved(axes: Axes, blocks: Mapping[str, str]) -> Axes:
    """Axes with some blocks replaced by others."""
    return tuple(" ".join(blocks.get(block, block) for block in axis.split()) for axis in axes)


def _input_of(layer: Layer, hparams: Mapping[str, Any]) -> str:
    """The blocks of a layer's input."""
    return "stroke z" if layer.name == "decoder" and hparams["conditional"] else "stroke"


def _blocks(layer: Layer, hparams: Mapping[str, Any]) -> dict[str, str]:
    """The blocks of one layer, by what they are called in the tables of cells."""
    return {"input": _input_of(layer, hparams)} | {name: f"{layer.name}/{name}" for name in ("units", "inner")}


def weight_axes(hparams: Mapping[str, Any]) -> dict[str, Axes]:
    """The axes of every trainable variable, both its slots, and the scalars."""
    table, layers = dict(HEAD_WEIGHTS), layers_of(hparams)
    if hparams["conditional"]:
        decoder = layers[-1]
        state = _resolved((STATES[hparams[decoder.model]],), _blocks(decoder, hparams))
        table |= LATENT_WEIGHTS
        table |= {"vector_rnn/linear/super_linear_w": ("z", *state), "vector_rnn/linear/super_linear_b": state}
    for layer in layers:
        table |= {cell_scope(layer, hparams) + name: axes for name, axes in _cell_axes(layer, hparams)}
    slots = {slot_name(name, slot): axes for name, axes in table.items() for slot in SLOTS}
    return table | slots | dict.fromkeys((*ADAM_POWERS, GLOBAL_STEP), SCALAR)


def _cell_axes(layer: Layer, hparams: Mapping[str, Any]) -> Iterator[tuple[str, Axes]]:
    """The axes of the variables below a cell's scope."""
    blocks, kind = _blocks(layer, hparams), hparams[layer.model]
    table = LSTM_CELL if kind == "lstm" else LAYER_NORM_CELL
    if kind == "hyper":
        inner = {f"LayerNormLSTMCell/{name}": _resolved(axes, INNER_CELL) for name, axes in LAYER_NORM_CELL.items()}
        table = table | {"bias": LSTM_CELL["bias"]} | inner
        for norm, variables in HYPER_NORMS.items():
            own = {name: f"{layer.name}/{norm}/{name}" for name in ("zw", "zb")}
            yield from ((f"{norm}/{name}", _resolved(axes, blocks | own)) for name, axes in variables.items())
    yield from ((name, _resolved(axes, blocks)) for name, axes in table.items())


def draw_axes(hparams: Mapping[str, Any]) -> dict[str, Axes]:
    """The axes of the masks and of the latent noise."""
    layers = layers_of(hparams)
    table = {f"{layer.name}/recurrent": (STEPS, "rows", f"{layer.name}/units") for layer in layers}
    table["decoder/input"] = (STEPS, "rows", _input_of(layers[-1], hparams))
    table["decoder/output"] = (STEPS, "rows", "decoder/units")
    return table | ({"latent": ("rows", "z")} if hparams["conditional"] else {})


def quantity_axes(hparams: Mapping[str, Any]) -> dict[str, Axes]:
    """The axes of what a forward pass computes, by its name without ``train/`` or ``eval/``."""
    table: dict[str, Axes] = MODEL_QUANTITIES | {f"keep_prob/{name}": SCALAR for name in draw_axes(hparams)}
    for layer in layers_of(hparams):
        kind = hparams[layer.model]
        inside: dict[str, Axes] = {name: ("rows", STEPS, last) for name, last in _cell_quantities(kind).items()}
        inside |= {"final_state": ("rows", STATES[kind])}
        table |= {f"{layer.name}/{name}": _resolved(axes, _blocks(layer, hparams)) for name, axes in inside.items()}
    if hparams["conditional"]:
        table |= LATENT_QUANTITIES | {"decoder/initial_state": table["decoder/final_state"]}
        table |= {f"{length}/{name}": ("rows", "z") for length in PREFIXES for name in ("mu", "presig")}
    return table


def _cell_quantities(kind: str) -> dict[str, str]:
    """The last axis of everything that a cell computes in a step."""
    table = (LSTM_QUANTITIES if kind == "lstm" else LAYER_NORM_QUANTITIES) | {"state": STATES[kind]}
    if kind == "hyper":
        inner = LAYER_NORM_QUANTITIES | {"state": STATES["layer_norm"]}
        table |= dict.fromkeys(HYPER_NORMS, "units")
        table |= {f"hyper_cell/{name}": _resolved((last,), INNER_CELL)[0] for name, last in inner.items()}
    return table
