"""Where rfeinman/Sketch-RNN keeps Magenta's variables: a table of blocks, for each kind of its decoder's cell.

Source: https://github.com/rfeinman/Sketch-RNN, commit 38e4d9b, ``sketch_rnn/{model,rnn,param_layer}.py``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from weight_port.names import CELLS
from weight_port.torch_layout import Block, Layout, gates, joined, linear, renamed, torch_encoder

ORDER = "ifoj"  # of the port's gates
DECODER = "vector_rnn/RNN"
HYPER_SCALE = {
    "zw/super_linear_w": "scale_net.0.weight",
    "zw/super_linear_b": "scale_net.0.bias",
    "alpha/super_linear_w": "scale_net.1.weight",
}
HYPER_SHIFT = {"zb/super_linear_w": "bias_net.0.weight", "beta/super_linear_w": "bias_net.1.weight"}


class Sizes(NamedTuple):
    """Of a cell."""

    inputs: int
    units: int
    hyper_units: int = 0
    embedding: int = 0

    @classmethod
    def of(cls, hparams: Mapping[str, Any]) -> Self:
        """Of the decoder's cell."""
        inner = ("hyper_num_units", "hyper_embedding_size") if hparams["dec_model"] == "hyper" else ()
        return cls(5 + hparams["z_size"], hparams["dec_rnn_size"], *(hparams[name] for name in inner))

    def hyper(self) -> dict[str, int]:
        """What the port's hyper cell is given besides."""
        return {"hyper_hidden_size": self.hyper_units, "hyper_embed_size": self.embedding} if self.hyper_units else {}


def cell_layout(kind: str, scope: str, port: str, sizes: Sizes) -> Layout:
    """Where the port's cell keeps the variables below an official scope."""
    columns, units = gates(sizes.units, ORDER), np.arange(sizes.units)
    layouts = [renamed({f"{scope}/W_xh": f"{port}.weight_ih", f"{scope}/W_hh": f"{port}.weight_hh"}, columns)]
    if kind == "lstm":
        return joined([*layouts, renamed({f"{scope}/bias": f"{port}.bias"}, columns)])
    for ours, theirs in {"gamma": "weight", "beta": "bias"}.items():
        layouts.append(renamed({f"{scope}/ln_all/ln_{ours}": f"{port}.layernorm_h.{theirs}"}, columns))
        layouts.append(renamed({f"{scope}/ln_c/ln_{ours}": f"{port}.layernorm_c.{theirs}"}, units))
    if kind == "hyper":
        layouts += [_norms_layout(scope, port, sizes), _inner_layout(scope, port, sizes)]
    return joined(layouts)


def _norms_layout(scope: str, port: str, sizes: Sizes) -> Layout:
    layouts = []
    for index, gate in enumerate(ORDER):
        for side, parts in (("x", HYPER_SCALE), ("h", HYPER_SCALE | HYPER_SHIFT)):
            for ours, theirs in parts.items():
                width = sizes.units if ours.startswith(("alpha", "beta")) else sizes.embedding
                names = {f"{scope}/hyper_{gate}{side}/{ours}": f"{port}.norms_{side}.{index}.{theirs}"}
                layouts.append(renamed(names, np.arange(width)))
    return joined(layouts)


def _inner_layout(scope: str, port: str, sizes: Sizes) -> Layout:
    """The inner cell reads x alone here: of its W_xh the first rows."""
    official = f"{scope}/{CELLS['layer_norm'][0]}"
    inner = cell_layout("layer_norm", official, f"{port}.hyper_cell", Sizes(sizes.inputs, sizes.hyper_units))
    blocks = [
        Block(block.official, block.port, rows=sizes.inputs) if f"{official}/W_xh" in block.official else block
        for block in inner.blocks
    ]
    return Layout(tuple(blocks))


def model_layout(hparams: Mapping[str, Any]) -> Layout:
    """A whole model; of an encoder that the port has not, nothing."""
    kind, sizes, m = hparams["dec_model"], Sizes.of(hparams), hparams["num_mixture"]
    total = 2 * (sizes.units + sizes.hyper_units)
    halves = np.arange(total).reshape(2, -1)  # of Magenta's initial state: c and h of an LSTM, else h and c
    pi, mu1, mu2, sigma1, sigma2, corr = 3 + np.arange(6 * m).reshape(6, m)  # of Magenta's output
    pairs = [np.stack(pair, axis=1).ravel() for pair in ((mu1, mu2), (sigma1, sigma2))]
    layouts = [
        cell_layout(kind, f"{DECODER}/{CELLS[kind][0]}", "cell", sizes),
        linear("vector_rnn/linear", "init", np.concatenate(halves[::-1] if kind == "lstm" else halves)),
        linear(DECODER, "param_layer.linear", np.concatenate([pi, *pairs, corr, np.arange(3)]), parts="output"),
    ]
    if hparams["enc_model"] == "lstm":
        layouts.append(torch_encoder("encoder.rnn", hparams["enc_rnn_size"]))
        width = hparams["z_size"]
        for part, name in {"w": "weight", "b": "bias"}.items():
            official = {f"vector_rnn/ENC_RNN_{side}/super_linear_{part}": width for side in ("mu", "sigma")}
            layouts.append(Layout((Block(official, {f"encoder.output.{name}": np.arange(2 * width)}),)))
    return joined(layouts)
