"""Where labml's annotated implementations keep Magenta's variables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.adapter import Arrays
from weight_port.torch_layout import (
    FORGET_BIAS,
    GATES,
    Block,
    Layout,
    joined,
    linear,
    torch_encoder,
    torch_lstm,
)

Weights = Mapping[str, np.ndarray]
ORDER = "ifjo"  # of labml's gates, which calls the candidate g


def gate(value: np.ndarray, name: str) -> np.ndarray:
    """One gate's columns."""
    return np.split(value, 4, axis=-1)[GATES.index(name)]


def plain_cell(w: Weights, prefix: str = "") -> Arrays:
    """``LSTMCell`` without layer norm; the forget bias goes into the stored one."""
    bias = {name: gate(w["bias"], name) + (FORGET_BIAS if name == "f" else 0) for name in ORDER}
    return _matrices(w, prefix) | {f"{prefix}hidden_lin.bias": np.concatenate([bias[name] for name in ORDER])}


def norm_cell(w: Weights, prefix: str = "") -> Arrays:
    """``LSTMCell`` with layer norm; it has a bias before the norm, which Magenta has not: zeros."""
    return _matrices(w, prefix) | norms(w, prefix) | {f"{prefix}hidden_lin.bias": np.zeros_like(w["ln_all/ln_beta"])}


def _matrices(w: Weights, prefix: str) -> Arrays:
    parts = {"input_lin": w["W_xh"], "hidden_lin": w["W_hh"]}
    return {
        f"{prefix}{name}.weight": np.concatenate([gate(value, g) for g in ORDER], axis=1).T
        for name, value in parts.items()
    }


def norms(w: Weights, prefix: str) -> Arrays:
    """The norm of each gate, and that of c; the forget bias goes into the shift of its gate."""
    result = {f"{prefix}layer_norm_c.weight": w["ln_c/ln_gamma"], f"{prefix}layer_norm_c.bias": w["ln_c/ln_beta"]}
    for index, name in enumerate(ORDER):
        result[f"{prefix}layer_norm.{index}.weight"] = gate(w["ln_all/ln_gamma"], name)
        shift = gate(w["ln_all/ln_beta"], name)
        result[f"{prefix}layer_norm.{index}.bias"] = shift + FORGET_BIAS if name == "f" else shift
    return result


def hyper_cell(w: Weights) -> Arrays:
    """``HyperLSTMCell``: the same parts under other names; Magenta's bias is that of ``d_b``.

    The inner cell reads [h, x], where Magenta's reads [x, h].
    """
    inner = {n.removeprefix("LayerNormLSTMCell/"): v for n, v in w.items() if n.startswith("LayerNormLSTMCell/")}
    inputs = len(w["W_xh"])
    inner["W_xh"] = np.concatenate([inner["W_xh"][inputs:], inner["W_xh"][:inputs]])
    result = norm_cell(inner, "hyper.") | norms(w, "")
    for side in "xh":
        for part, name in {"w": "weight", "b": "bias"}.items():
            blocks = [w[f"hyper_{g}{side}/zw/super_linear_{part}"].T for g in ORDER]
            result[f"z_{side}.{name}"] = np.concatenate(blocks)
        for index, g in enumerate(ORDER):
            result[f"w_{side}.{index}"] = gate(w[f"W_{side}h"], g).T
            result[f"d_{side}.{index}.weight"] = w[f"hyper_{g}{side}/alpha/super_linear_w"].T
    result["z_b.weight"] = np.concatenate([w[f"hyper_{g}h/zb/super_linear_w"].T for g in ORDER])
    for index, g in enumerate(ORDER):
        result[f"d_b.{index}.weight"] = w[f"hyper_{g}h/beta/super_linear_w"].T
        result[f"d_b.{index}.bias"] = gate(w["bias"], g)
    return result


def model_layout(hparams: Mapping[str, Any]) -> Layout:
    """The model of ``labml_nn.sketch_rnn``: plain cells; the output in two layers."""
    units, z_size, m = hparams["dec_rnn_size"], hparams["z_size"], hparams["num_mixture"]
    c, h = np.arange(2 * units).reshape(2, units)
    output = [
        Block(
            {f"vector_rnn/RNN/output_{part}": 3 + 6 * m},
            {f"decoder.q_head.{name}": np.arange(3), f"decoder.mixtures.{name}": np.arange(3, 3 + 6 * m)},
        )
        for part, name in {"w": "weight", "b": "bias"}.items()
    ]
    return joined(
        [
            torch_encoder("encoder.lstm", hparams["enc_rnn_size"]),
            linear("vector_rnn/ENC_RNN_mu", "encoder.mu_head", np.arange(z_size)),
            linear("vector_rnn/ENC_RNN_sigma", "encoder.sigma_head", np.arange(z_size)),
            linear("vector_rnn/linear", "decoder.init_state", np.concatenate([h, c])),
            torch_lstm("vector_rnn/RNN/LSTMCell", "decoder.lstm", units),
            Layout(tuple(output)),
        ]
    )
