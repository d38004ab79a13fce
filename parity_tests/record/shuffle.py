"""Renumbers the hidden units and batch rows of a model: equal numbers, another order of summation.

How far the official code departs from itself when only the order of its sums changes is what two correct programs may
differ by. NumPy alone, since the official process uses it too.

Layouts are tables here. An axis is spelled as the blocks that follow one another along it, such as ``"stroke z"`` for
the decoder's input or ``"units units units units"`` for the four gates; each block has one permutation for all tensors
in which it occurs. Source of the layouts: Magenta ``rnn.py`` and ``model.py``.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from parity_tests.record.configurations import SAMPLING_MODES
from parity_tests.record.draws import PREFIXES
from parity_tests.record.mixtures import PARAMETERS
from weight_port.names import (
    ADAM_POWERS,
    CELLS,
    DECODER_CELL,
    ENCODER_CELLS,
    GLOBAL_STEP,
    SLOTS,
    skip_reason,
    slot_name,
)

Arrays = Mapping[str, np.ndarray]
Axes = tuple[str, ...]  # one string an axis: its blocks, with a space between them

STEPS = "steps"  # time: of any length, never permuted
GATES = "units units units units"  # i, j, f, o
SCALAR: Axes = ()

# Variables of a cell, [in, out]; "input" is what the cell reads besides its own h.
LSTM_CELL: dict[str, Axes] = {
    "W_xh": ("input", GATES),
    "W_hh": ("units", GATES),
    "bias": (GATES,),
}
LAYER_NORM_CELL: dict[str, Axes] = {
    "W_xh": ("input", GATES),
    "W_hh": ("units", GATES),
    "ln_all/ln_gamma": (GATES,),
    "ln_all/ln_beta": (GATES,),
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
    f"hyper_{gate}{side}": norm for gate in "ijfo" for side, norm in (("x", HYPER_NORM_X), ("h", HYPER_NORM_H))
}
INNER_CELL = {"input": "input units", "units": "inner"}  # the blocks of a hyper cell's inner cell, in the outer's terms

# Packed states and, under the name of a layer, what was recorded of it: the last axis of [rows, (steps,) last].
STATES = {"lstm": "units units", "layer_norm": "units units", "hyper": "units inner units inner"}
LSTM_QUANTITIES = dict.fromkeys(("i", "j", "f", "o", "g", "c", "h", "output"), "units")
LAYER_NORM_QUANTITIES = LSTM_QUANTITIES | {"normal_c": "units", "total": GATES}

# The rest of the model.
LATENT_WEIGHTS: dict[str, Axes] = {
    f"vector_rnn/ENC_RNN_{name}/super_linear_{part}": axes
    for name in ("mu", "sigma")
    for part, axes in (("w", ("encoder/fw/units encoder/bw/units", "z")), ("b", ("z",)))
}
HEAD = "pen mixture mixture mixture mixture mixture mixture"  # pi, mu1, mu2, sigma1, sigma2, corr
HEAD_WEIGHTS: dict[str, Axes] = {"vector_rnn/RNN/output_w": ("decoder/units", HEAD), "vector_rnn/RNN/output_b": (HEAD,)}
LATENT_QUANTITIES = dict.fromkeys(("mu", "presig", "z"), ("rows", "z"))
MODEL_QUANTITIES: dict[str, Axes] = {
    **{name: ("rows", STEPS, "pen" if name.startswith("pen") else "mixture") for name in PARAMETERS},
    "head": ("rows", STEPS, HEAD),
    "nll": ("rows", STEPS),
    **dict.fromkeys(("cost", "r_cost", "kl_cost"), SCALAR),
}
SAMPLE_QUANTITIES = ("strokes", "next_uniform", "next_normal", *PARAMETERS)


class Layer(NamedTuple):
    """A recurrent layer."""

    name: str  # as quantities and draws have it
    scope: str  # as variables have it
    kind: str
    units: int
    input: str  # blocks that it reads


class Shuffle:
    """A numbering of hidden units and batch rows, drawn from a seed.

    Each of these has a permutation of its own, never the identity where there is more than one element: the units of
    each layer, the inner units of each hyper cell, the embedding of each hyper norm, and the batch rows.

    Args:
        hparams: Magenta's names, with ``hyper_num_units`` and ``hyper_embedding_size`` where a layer is ``hyper``.
        batch: number of rows.
        seed: of the permutations.
        mixtures: permute the mixture components too. Sampling then picks others, by cumulative sums in their order.
        latent: permute the latent dimensions too. Sampling then begins elsewhere, since it draws z in their order.
    """

    def __init__(
        self, hparams: Mapping[str, Any], *, batch: int, seed: int, mixtures: bool = False, latent: bool = False
    ) -> None:
        self.sampling_moves = mixtures or (latent and hparams["conditional"])
        kept = {"stroke", "pen"} | (set() if mixtures else {"mixture"}) | (set() if latent else {"z"})
        self.orders = {
            block: np.arange(size) if block in kept else _permutation(size, seed, block)
            for block, size in _sizes(hparams, batch).items()
        }
        layers = _layers(hparams)
        self.weight_axes = _weight_axes(layers, hparams["conditional"])
        self.draw_axes = _draw_axes(layers, hparams["conditional"])
        self.quantity_axes = _quantity_axes(layers, hparams["conditional"])

    def weights(self, variables: Arrays) -> dict[str, np.ndarray]:
        """Copies of variables, slots among them, in the new numbering; scalars as they are.

        Raises:
            KeyError: for a variable that such a model does not have.
            ValueError: for one of another shape.
        """
        return {name: self._permuted(name, value, self._of_variable(name)) for name, value in variables.items()}

    def draws(self, draws: Arrays) -> dict[str, np.ndarray]:
        """Copies of masks, [T, B, n], and of the latent noise, [B, z], in the new numbering; errors as above."""
        return {name: self._permuted(name, value, self.draw_axes[name]) for name, value in draws.items()}

    def rows(self, array: np.ndarray) -> np.ndarray:
        """A copy of what has the batch as its first axis, in the new order of rows."""
        array = np.asarray(array)
        return self._permuted("rows", array, ("rows", *[STEPS] * (array.ndim - 1)))

    def back(self, quantities: Arrays) -> dict[str, np.ndarray]:
        """Copies of what the renumbered model computed, by its recorded name, in the original numbering again.

        Raises:
            KeyError: for a name that is not in the tables.
            ValueError: for another shape, or for samples of a shuffle that changes what is sampled.
        """
        return {
            name: self._permuted(name, value, self._of_quantity(name), back=True) for name, value in quantities.items()
        }

    def _of_variable(self, name: str) -> Axes:
        return SCALAR if skip_reason(name) else self.weight_axes[name]

    def _of_quantity(self, name: str) -> Axes | None:
        """Its axes; None for samples, which are made one by one and stay as they are."""
        kind, _, rest = name.partition("/")
        try:
            if kind in ("gradient", "clipped", "after"):
                return self._of_variable(rest)
            if kind in ("train", "eval", "prefix"):
                return self.quantity_axes[rest]
            mode, _, quantity = rest.partition("/")
            if kind == "sample" and mode in SAMPLING_MODES and quantity in SAMPLE_QUANTITIES:
                if self.sampling_moves:
                    raise ValueError(f"{name}: sampling takes another course once latent or mixtures are permuted")
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
        """Which old index stands at each new one, block after block."""
        parts, begin = [], 0
        for block in axis.split():
            parts.append(begin + self.orders[block])
            begin += len(self.orders[block])
        return np.concatenate(parts)


def _permutation(size: int, seed: int, block: str) -> np.ndarray:
    """Never the identity, which would leave the order of summation as it was, unless there is no other."""
    rng = np.random.default_rng([seed, zlib.crc32(block.encode())])
    order = rng.permutation(size)
    while size > 1 and (order == np.arange(size)).all():
        order = rng.permutation(size)
    return order


def _layers(hparams: Mapping[str, Any]) -> list[Layer]:
    decoder_input = "stroke z" if hparams["conditional"] else "stroke"
    decoder = Layer("decoder", DECODER_CELL[0], hparams["dec_model"], hparams["dec_rnn_size"], decoder_input)
    if not hparams["conditional"]:
        return [decoder]
    sides = [scope for scope, _ in ENCODER_CELLS]
    kind, units = hparams["enc_model"], hparams["enc_rnn_size"]
    return [*(Layer(f"encoder/{scope.split('/')[-1]}", scope, kind, units, "stroke") for scope in sides), decoder]


def _sizes(hparams: Mapping[str, Any], batch: int) -> dict[str, int]:
    """Length of every block."""
    sizes = {"stroke": 5, "pen": 3, "rows": batch, "z": hparams["z_size"], "mixture": hparams["num_mixture"]}
    for layer in _layers(hparams):
        sizes[f"{layer.name}/units"] = layer.units
        if layer.kind == "hyper":
            sizes[f"{layer.name}/inner"] = hparams["hyper_num_units"]
            for norm in HYPER_NORMS:
                sizes |= dict.fromkeys(
                    (f"{layer.name}/{norm}/zw", f"{layer.name}/{norm}/zb"), hparams["hyper_embedding_size"]
                )
    return sizes


def _resolved(axes: Axes, blocks: Mapping[str, str]) -> Axes:
    """Axes in which some blocks are spelled in other terms."""
    return tuple(" ".join(blocks.get(block, block) for block in axis.split()) for axis in axes)


def _blocks(layer: Layer) -> dict[str, str]:
    return {"input": layer.input} | {name: f"{layer.name}/{name}" for name in ("units", "inner")}


def _weight_axes(layers: list[Layer], conditional: bool) -> dict[str, Axes]:
    """Of every trainable variable, both its slots, and the scalars."""
    table = dict(HEAD_WEIGHTS)
    if conditional:
        state = _resolved((STATES[layers[-1].kind],), _blocks(layers[-1]))
        table |= LATENT_WEIGHTS
        table |= {"vector_rnn/linear/super_linear_w": ("z", *state), "vector_rnn/linear/super_linear_b": state}
    for layer in layers:
        table |= {f"{layer.scope}/{CELLS[layer.kind][0]}/{name}": axes for name, axes in _cell_axes(layer)}
    slots = {slot_name(name, slot): axes for name, axes in table.items() for slot in SLOTS}
    return table | slots | dict.fromkeys((*ADAM_POWERS, GLOBAL_STEP), SCALAR)


def _cell_axes(layer: Layer) -> Iterator[tuple[str, Axes]]:
    """Of the variables below a cell's scope."""
    blocks = _blocks(layer)
    table = LSTM_CELL if layer.kind == "lstm" else LAYER_NORM_CELL
    if layer.kind == "hyper":
        inner = {f"LayerNormLSTMCell/{name}": _resolved(axes, INNER_CELL) for name, axes in LAYER_NORM_CELL.items()}
        table = table | {"bias": LSTM_CELL["bias"]} | inner
        for norm, variables in HYPER_NORMS.items():
            own = {name: f"{layer.name}/{norm}/{name}" for name in ("zw", "zb")}
            yield from ((f"{norm}/{name}", _resolved(axes, blocks | own)) for name, axes in variables.items())
    yield from ((name, _resolved(axes, blocks)) for name, axes in table.items())


def _draw_axes(layers: list[Layer], conditional: bool) -> dict[str, Axes]:
    table = {f"{layer.name}/recurrent": (STEPS, "rows", f"{layer.name}/units") for layer in layers}
    table |= {"decoder/input": (STEPS, "rows", layers[-1].input), "decoder/output": (STEPS, "rows", "decoder/units")}
    return table | ({"latent": ("rows", "z")} if conditional else {})


def _quantity_axes(layers: list[Layer], conditional: bool) -> dict[str, Axes]:
    """Of what a forward pass computes, without the ``train/`` or ``eval/`` before it."""
    table = MODEL_QUANTITIES | {f"keep_prob/{name}": SCALAR for name in _draw_axes(layers, conditional)}
    for layer in layers:
        inside = {name: ("rows", STEPS, last) for name, last in _cell_quantities(layer.kind).items()}
        inside |= {"final_state": ("rows", STATES[layer.kind])}
        table |= {f"{layer.name}/{name}": _resolved(axes, _blocks(layer)) for name, axes in inside.items()}
    if conditional:
        table |= LATENT_QUANTITIES | {"decoder/initial_state": table["decoder/final_state"]}
        table |= {f"{length}/{name}": ("rows", "z") for length in PREFIXES for name in ("mu", "presig")}
    return table


def _cell_quantities(kind: str) -> dict[str, str]:
    """Last axis of what a cell computes in a step."""
    table = (LSTM_QUANTITIES if kind == "lstm" else LAYER_NORM_QUANTITIES) | {"state": STATES[kind]}
    if kind == "hyper":
        inner = LAYER_NORM_QUANTITIES | {"state": STATES["layer_norm"]}
        table |= dict.fromkeys(HYPER_NORMS, "units")
        table |= {f"hyper_cell/{name}": _resolved((last,), INNER_CELL)[0] for name, last in inner.items()}
    return table
