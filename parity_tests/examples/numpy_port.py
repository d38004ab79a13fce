"""Sketch-RNN in plain NumPy, written as its equations: a second implementation, and an example of an adapter.

It computes everything that needs no gradient, in the precision of the weights and inputs: constants are Python numbers,
which take the precision of the array that they are combined with.

Sources: Magenta ``rnn.py`` (the cells) and ``model.py`` (all else), ``sketch_rnn_train.py`` (the schedules); Ha & Eck
2017, "A Neural Representation of Sketch Drawings"; Ha et al. 2016, "HyperNetworks".
"""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests import adapter
from parity_tests.adapter import Arrays

Weights = Mapping[str, np.ndarray]

GATES = "ijfo"  # input gate, candidate, forget gate, output gate
FORGET_BIAS = 1.0
NORM_EPSILON = 1e-3
DENSITY_EPSILON = 1e-6
START = (0, 0, 1, 0, 0)
SAMPLED = (
    "pi",
    "mu1",
    "mu2",
    "sigma1",
    "sigma2",
    "corr",
    "pen",
)  # quantities returned for each step of a sampled sketch


# Elementary functions ----------------------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function."""
    with np.errstate(over="ignore"):  # if exp(-x) is infinite, the result 0 is right
        return 1 / (1 + np.exp(-x))


def log_softmax(x: np.ndarray) -> np.ndarray:
    """Logs of the probabilities along the last axis."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(x: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def linear(w: Weights, scope: str, x: np.ndarray) -> np.ndarray:
    """Magenta's ``super_linear`` with a bias."""
    return x @ w[f"{scope}/super_linear_w"] + w[f"{scope}/super_linear_b"]


def layer_norm(w: Weights, scope: str, x: np.ndarray, groups: int = 1) -> np.ndarray:
    """Normalise each group of units of x [B, units of all groups] on its own."""
    grouped = x.reshape(len(x), groups, -1)
    shifted = grouped - grouped.mean(axis=2, keepdims=True)
    variance = np.square(shifted).mean(axis=2, keepdims=True)
    normal = (shifted * (1 / np.sqrt(variance + NORM_EPSILON))).reshape(x.shape)
    return w[f"{scope}/ln_gamma"] * normal + w[f"{scope}/ln_beta"]


# The cells: from weights, input [B, input], packed state [B, s] and mask [B, n] to all values of a step -------


def memory(gates: np.ndarray, c: np.ndarray, mask: np.ndarray | None) -> Arrays:
    """The update of c, which all cells share, from the gates before their activations."""
    i, j, f, o = np.split(gates, 4, axis=1)
    g = np.tanh(j) if mask is None else np.tanh(j) * mask
    new_c = c * sigmoid(f + FORGET_BIAS) + sigmoid(i) * g
    return {"i": i, "j": j, "f": f, "o": o, "g": g, "c": new_c}


def normalised_memory(w: Weights, total: np.ndarray, c: np.ndarray, mask: np.ndarray | None) -> Arrays:
    """The update that the cells with layer norm share: c is normalised only where h is computed from it."""
    values = {"total": total} | memory(layer_norm(w, "ln_all", total, groups=4), c, mask)
    values["normal_c"] = layer_norm(w, "ln_c", values["c"])
    return values | {"h": np.tanh(values["normal_c"]) * sigmoid(values["o"])}


def lstm(w: Weights, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> Arrays:
    """LSTMCell."""
    c, h = np.split(state, 2, axis=1)
    values = memory(x @ w["W_xh"] + h @ w["W_hh"] + w["bias"], c, mask)
    new_h = np.tanh(values["c"]) * sigmoid(values["o"])
    return values | {"h": new_h, "output": new_h, "state": np.concatenate([values["c"], new_h], axis=1)}


def layer_norm_lstm(w: Weights, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> Arrays:
    """LayerNormLSTMCell."""
    h, c = np.split(state, 2, axis=1)
    values = normalised_memory(w, x @ w["W_xh"] + h @ w["W_hh"], c, mask)
    return values | {"output": values["h"], "state": np.concatenate([values["h"], values["c"]], axis=1)}


def hyper_lstm(w: Weights, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> Arrays:
    """HyperLSTMCell: at each step, a small inner cell without dropout computes scales for the gates."""
    inner_weights = below(w, "LayerNormLSTMCell/")
    units, inner_units = len(w["W_hh"]), len(inner_weights["W_hh"])
    h, hyper_h, c, hyper_c = np.split(state, np.cumsum([units, inner_units, units]), axis=1)
    inner_state = np.concatenate([hyper_h, hyper_c], axis=1)
    inner = layer_norm_lstm(inner_weights, np.concatenate([x, h], axis=1), inner_state, None)
    scaled = {}
    for side, layers in {"x": x @ w["W_xh"], "h": h @ w["W_hh"]}.items():
        for gate, layer in zip(GATES, np.split(layers, 4, axis=1), strict=True):
            scaled[f"hyper_{gate}{side}"] = hyper_norm(w, f"hyper_{gate}{side}", inner["output"], layer)
    sums = [scaled[f"hyper_{gate}x"] + scaled[f"hyper_{gate}h"] for gate in GATES]
    values = normalised_memory(w, np.concatenate(sums, axis=1) + w["bias"], c, mask)
    values |= scaled | {f"hyper_cell/{name}": inner[name] for name in inner if name not in ("output", "state")}
    new_state = np.concatenate([values["h"], inner["h"], values["c"], inner["c"]], axis=1)
    return values | {"output": values["h"], "state": new_state}


def hyper_norm(w: Weights, scope: str, signal: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Scale a gate's layer [B, n] by the inner cell's output; on the side of h, also shift it."""
    alpha = linear(w, f"{scope}/zw", signal) @ w[f"{scope}/alpha/super_linear_w"]
    if scope.endswith("x"):
        return alpha * layer
    beta = signal @ w[f"{scope}/zb/super_linear_w"] @ w[f"{scope}/beta/super_linear_w"]
    return alpha * layer + beta


CELLS = {
    "lstm": ("LSTMCell/", lstm),
    "layer_norm": ("LayerNormLSTMCell/", layer_norm_lstm),
    "hyper": ("HyperLSTMCell/", hyper_lstm),
}


# Layers and costs --------------------------------------------------------------------------------------------------


def below(w: Weights, prefix: str) -> Arrays:
    """The weights below one scope, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}


def unroll(
    kind: str, w: Weights, inputs: np.ndarray, state: np.ndarray, masks: np.ndarray | None, lengths: np.ndarray
) -> Arrays:
    """Run a cell over its inputs [B, T, n]; after a sketch ends, its values are zero and its state is frozen."""
    steps = []
    for t in range(inputs.shape[1]):
        values = CELLS[kind][1](w, inputs[:, t], state, None if masks is None else masks[t])
        going = (t < lengths)[:, np.newaxis]
        state = np.where(going, values["state"], state)
        steps.append({name: np.where(going, value, 0) for name, value in values.items()})
    return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]} | {"final_state": state}


def zero_state(w: Weights, inputs: np.ndarray) -> np.ndarray:
    """Zeros [B, s]: h and c of the cell, and of a hyper cell's inner one."""
    units = sum(len(value) for name, value in w.items() if name.endswith("W_hh"))
    return np.zeros((len(inputs), 2 * units), inputs.dtype)


def reverse(strokes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Reverse the points of each sketch; the padding stays at the end."""
    pairs = zip(strokes, lengths, strict=True)
    return np.stack([np.concatenate([sketch[:n][::-1], sketch[n:]]) for sketch, n in pairs])


def mixture_of(outputs: np.ndarray) -> Arrays:
    """The mixture and pen probabilities from the output layer [..., 3 + 6 M]."""
    pen_logits, rest = outputs[..., :3], outputs[..., 3:]
    pi, mu1, mu2, sigma1, sigma2, corr = np.split(rest, 6, axis=-1)
    return {
        "pi": softmax(pi),
        "mu1": mu1,
        "mu2": mu2,
        "sigma1": np.exp(sigma1),
        "sigma2": np.exp(sigma2),
        "corr": np.tanh(corr),
        "pen": softmax(pen_logits),
        "pen_logits": pen_logits,
    }


def density(mixture: Arrays, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The density of offsets [..., 1] under each component [..., M], a bivariate normal distribution."""
    s1, s2, corr = mixture["sigma1"], mixture["sigma2"], mixture["corr"]
    n1, n2 = (dx - mixture["mu1"]) / s1, (dy - mixture["mu2"]) / s2
    z = np.square(n1) + np.square(n2) - 2 * corr * n1 * n2
    rest = 1 - np.square(corr)
    return np.exp(-z / (2 * rest)) / (2 * np.pi * s1 * s2 * np.sqrt(rest))


def costs(
    mixture: Arrays, targets: np.ndarray, latent: Weights | None, *, kl_tolerance: float, is_training: bool
) -> Arrays:
    """Reconstruction and KL cost; the reconstruction cost is a mean over all steps, padding included."""
    dx, dy, pen = targets[..., 0:1], targets[..., 1:2], targets[..., 2:5]
    drawn = 1 - pen[..., 2]
    likelihood = (mixture["pi"] * density(mixture, dx, dy)).sum(axis=-1)
    offset_cost = -np.log(likelihood + DENSITY_EPSILON) * drawn
    pen_cost = -(pen * log_softmax(mixture["pen_logits"])).sum(axis=-1)
    r_cost = (offset_cost + (pen_cost if is_training else pen_cost * drawn)).mean()
    kl_cost = np.zeros_like(r_cost)
    if latent is not None:
        mu, presig = latent["mu"], latent["presig"]
        kl_cost = np.maximum(-0.5 * (1 + presig - np.square(mu) - np.exp(presig)).mean(), kl_tolerance)
    return {"r_cost": np.asarray(r_cost), "kl_cost": np.asarray(kl_cost)}


def pick(x: float, pdf: np.ndarray, temperature: float, greedy: bool) -> int:
    """The index at which the cumulated pdf reaches x, at a temperature; the last one if rounding keeps it below x."""
    if greedy:
        return int(pdf.argmax())
    with np.errstate(divide="ignore"):  # a probability of 0 stays 0
        cumulated = np.cumsum(softmax(np.log(pdf) / temperature))
    return int(np.append(cumulated[:-1] >= x, True).argmax())


def draw_offset(
    mixture: Arrays, component: int, temperature: float, greedy: bool, normal: np.random.RandomState
) -> np.ndarray:
    """dx and dy drawn from one component; its mean if greedy."""
    mean = np.array([mixture["mu1"][component], mixture["mu2"][component]])
    if greedy:
        return mean
    factor = np.sqrt(temperature) * np.sqrt(temperature)  # a float64, as in Magenta: from here on nothing is float32
    s1, s2 = mixture["sigma1"][component] * factor, mixture["sigma2"][component] * factor
    covariance = mixture["corr"][component] * s1 * s2
    return normal.multivariate_normal(mean, [[s1 * s1, covariance], [covariance, s2 * s2]])


# The adapter -------------------------------------------------------------------------------------------------------


class Adapter(adapter.Adapter):
    """The equations above, as an adapter of the harness."""

    name = "plain equations in NumPy"

    @property
    def offers(self) -> frozenset[str]:
        """All methods of this class, and the intermediate values."""
        return super().offers | {adapter.INTERMEDIATES}

    def step_cell(
        self, kind: str, weights: Weights, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """Output, new state, and all intermediate values."""
        return CELLS[kind][1](weights, x, state, mask)

    def load(self, hparams: Mapping[str, Any], variables: Weights) -> None:
        """Keep Magenta's variables as they are."""
        self.hparams = hparams
        self.weights = below(variables, "vector_rnn/")

    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """mu, presig and z, and every value of both directions."""
        kind, answer, last_h = self.hparams["enc_model"], {}, []
        for side, inputs in {"fw": strokes, "bw": reverse(strokes, lengths)}.items():
            w = below(self.weights, f"ENC_RNN/{side}/{CELLS[kind][0]}")
            masks = draws.get(f"encoder/{side}/recurrent")
            layer = unroll(kind, w, inputs, zero_state(w, inputs), masks, lengths)
            answer |= {f"encoder/{side}/{name}": value for name, value in layer.items()}
            units = len(w["W_hh"])
            first = units if kind == "lstm" else 0  # h comes first in the packed state, but not in that of lstm
            last_h.append(layer["final_state"][:, first : first + units])
        mu = linear(self.weights, "ENC_RNN_mu", np.concatenate(last_h, axis=1))
        presig = linear(self.weights, "ENC_RNN_sigma", np.concatenate(last_h, axis=1))
        return answer | {"mu": mu, "presig": presig, "z": mu + np.exp(presig / 2) * draws["latent"]}

    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Mixture and pen of each step, and every value of the decoder."""
        return self._decode_from(self._first_state(inputs, z), inputs, z, draws)

    def _first_state(self, inputs: np.ndarray, z: np.ndarray | None) -> np.ndarray:
        if z is None:
            return zero_state(below(self.weights, "RNN/"), inputs)
        return np.tanh(linear(self.weights, "linear", z))

    def _decode_from(
        self, state: np.ndarray, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]
    ) -> Arrays:
        kind, (batch, steps, _) = self.hparams["dec_model"], inputs.shape
        if z is not None:
            inputs = np.concatenate([inputs, np.repeat(z[:, np.newaxis], steps, axis=1)], axis=2)
        if "decoder/input" in draws:
            inputs = inputs * draws["decoder/input"].swapaxes(0, 1)
        w = below(self.weights, f"RNN/{CELLS[kind][0]}")
        layer = unroll(kind, w, inputs, state, draws.get("decoder/recurrent"), np.full(batch, steps))
        if "decoder/output" in draws:
            layer["output"] = layer["output"] * draws["decoder/output"].swapaxes(0, 1)
        answer = {f"decoder/{name}": value for name, value in layer.items()}
        if z is not None:
            answer["decoder/initial_state"] = state
        head = layer["output"] @ self.weights["RNN/output_w"] + self.weights["RNN/output_b"]
        return answer | {"head": head} | mixture_of(head)

    def loss(self, mixture: Arrays, targets: np.ndarray, latent: Weights | None, *, is_training: bool) -> Arrays:
        """Both costs."""
        return costs(mixture, targets, latent, kl_tolerance=self.hparams["kl_tolerance"], is_training=is_training)

    def sample(
        self, seq_len: int, temperature: float, greedy: bool, uniform: random.Random, normal: np.random.RandomState
    ) -> Arrays:
        """One sketch: for each step two uniform numbers, for component and pen, and unless greedy a normal offset."""
        dtype = self.weights["RNN/output_w"].dtype
        z = normal.randn(1, self.hparams["z_size"]).astype(dtype)  # Magenta also draws it for an unconditional model
        latent = z if self.hparams["conditional"] else None
        point = np.array(START, np.float32)  # whatever the precision, drawn points are rounded to float32
        state = self._first_state(point.reshape(1, 1, 5).astype(dtype), latent)
        steps = []
        for _ in range(seq_len):
            answer = self._decode_from(state, point.reshape(1, 1, 5).astype(dtype), latent, {})
            state = answer["decoder/final_state"]
            here = {name: answer[name][0, 0] for name in SAMPLED}
            component = pick(uniform.random(), here["pi"], temperature, greedy)
            pen = pick(uniform.random(), here["pen"], temperature, greedy)
            offset = draw_offset(here, component, temperature, greedy, normal)
            point = np.array([*offset, *np.eye(3)[pen]], np.float32)
            steps.append(here | {"strokes": point})
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}

    def schedules(self, hparams: Mapping[str, Any], step: int) -> tuple[float, float]:
        """Both approach their last value exponentially."""
        lr, min_lr = hparams["learning_rate"], hparams["min_learning_rate"]
        weight, weight_start = hparams["kl_weight"], hparams["kl_weight_start"]
        return (
            (lr - min_lr) * hparams["decay_rate"] ** step + min_lr,
            weight - (weight - weight_start) * hparams["kl_decay_rate"] ** step,
        )
