"""Departures with a known cause, and the sentence that must name it."""

import dataclasses
from typing import Any

import numpy as np

from parity_tests.judge.likely_cause import likely_cause

LENGTHS = np.array([2, 9, 5, 3])  # of 4 sketches, 9 steps
EARLY = np.arange(9)[:, None] < LENGTHS[:, None, None]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


LAYER = numbers(4, 9, 8)
MATRIX = numbers(5, 32)
PADDED = LAYER * EARLY
UNITS = numbers(8, seed=1)
MASK = numbers(4, 9, 8, seed=2) < 1.0  # of dropout
VARIANCES = LAYER.var(axis=-1)
LESS_EPSILON = np.sqrt((VARIANCES + 1e-3) / (VARIANCES + 1e-5))
UNBIASED = np.sqrt((VARIANCES + 1e-3) / (VARIANCES * 8 / 7 + 1e-3))
SERIES = 1e-3 * 0.99 ** np.arange(30.0)


def blocks(values: np.ndarray, *order: int) -> np.ndarray:
    """The last axis in four parts, in another order."""
    return np.concatenate([np.split(values, 4, axis=-1)[part] for part in order], axis=-1)


def normalised(values: np.ndarray, epsilon: float, missing: int = 0, beta: np.ndarray | float = 0.0) -> np.ndarray:
    variance = values.var(axis=-1, keepdims=True, ddof=missing)
    return UNITS * (values - values.mean(axis=-1, keepdims=True)) / np.sqrt(variance + epsilon) + beta


def extent(values: np.ndarray) -> str:
    return f"{values.min():.4g}..{values.max():.4g}"


SHIFTED = f"each unit is shifted by its own constant ({extent(UNITS)}): another bias or beta, or none"


def backwards(values: np.ndarray) -> np.ndarray:
    result = values.copy()
    for row, length in enumerate(LENGTHS):
        result[row, :length] = values[row, :length][::-1]
    return result


def with_noise(values: np.ndarray, where: Any, seed: int = 3) -> np.ndarray:
    result = values.copy()
    result[where] += numbers(*result[where].shape, seed=seed)
    return result


@dataclasses.dataclass
class Example:
    name: str
    ours: Any
    theirs: Any
    sentence: str
    others: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    lengths: np.ndarray | None = None
    tolerance: float = 1e-10
    spoil: int = 0  # an element, counted through, without which the pattern is none

    def hint(self, ours: np.ndarray | None = None) -> str | None:
        ours = np.asarray(self.ours if ours is None else ours)
        return likely_cause(self.name, ours, np.asarray(self.theirs), self.others, self.tolerance, self.lengths)


OTHERS = {f"train/decoder/{gate}": numbers(4, 9, 8, seed=seed) for seed, gate in enumerate("ijfo", start=10)}
GRADIENTS = {
    "gradient/vector_rnn/RNN/LSTMCell/W_xh": 10 * MATRIX,
    "clipped/vector_rnn/RNN/LSTMCell/W_xh": (10 * MATRIX).clip(-1, 1),
    "gradient/vector_rnn/linear/super_linear_w": numbers(5, 32, seed=20),
}
CLIPPED = "clipped/vector_rnn/RNN/LSTMCell/W_xh"
EVERY_ELEMENT = {
    "a gate for another": Example(
        "train/decoder/i", OTHERS["train/decoder/f"], OTHERS["train/decoder/i"],
        "our i is their f: two gates swapped", OTHERS,
    ),
    "a gate for another, in a cell alone": Example(
        "i", LAYER, numbers(4, 9, 8, seed=1), "our i is their o: two gates swapped", {"i": MATRIX, "o": LAYER}
    ),
    "a mixture parameter for another": Example(
        "train/mu1", LAYER, numbers(4, 9, 8, seed=1), "our mu1 is their mu2", {"train/mu2": LAYER}
    ),
    "a weight's gradient for another": Example(
        "gradient/vector_rnn/RNN/LSTMCell/W_xh", numbers(5, 32, seed=20), 10 * MATRIX,
        "our gradient/vector_rnn/RNN/LSTMCell/W_xh is their gradient/vector_rnn/linear/super_linear_w", GRADIENTS,
    ),
    "no clipping": Example(
        CLIPPED, 10 * MATRIX, (10 * MATRIX).clip(-1, 1),
        f"our {CLIPPED} is their gradient/vector_rnn/RNN/LSTMCell/W_xh", GRADIENTS,
        spoil=int(np.abs(MATRIX).argmin()),
    ),
    "training for evaluation": Example(
        "eval/decoder/output", LAYER, numbers(4, 9, 8, seed=1), "our eval/decoder/output is their train/decoder/output",
        {"train/decoder/output": LAYER},
    ),
    "a cost for another": Example(
        "train/cost", 1.25, 1.5, "our cost is their r_cost", {"train/r_cost": np.array(1.25)}
    ),
    "clipping by norm": Example(
        CLIPPED, 2.5 * MATRIX, (10 * MATRIX).clip(-1, 1),
        "ours is their gradient times 0.250000: one common factor, as of a clip by norm, not by value", GRADIENTS,
    ),
    "nothing computed": Example("mu", 0 * LAYER[0], LAYER[0], "ours is zero everywhere, theirs is not"),
    "nothing expected": Example("kl_cost", 0.1, 0.0, "theirs is zero everywhere, ours is not"),
    "another constant": Example(
        "initial/vector_rnn/ENC_RNN/fw/LayerNormLSTMCell/ln_c/ln_gamma", np.full(8, 0.1), np.ones(8),
        "ours is 0.1 everywhere, theirs 1: another constant",
    ),
    "rounded": Example("train/z", LAYER[0].astype(np.float32), LAYER[0], "ours is theirs rounded to float32"),
    "computed in float32": Example(
        "train/z", (LAYER[0] * (1 + 1e-6)).astype(np.float32), LAYER[0],
        "ours looks rounded to float32: all its numbers are numbers that float32 holds",
    ),
    "a number's sign": Example("train/r_cost", -1.2345, 1.2345, "ours is theirs with the other sign"),
    "a number's third": Example("train/r_cost", 1.2345 / 3, 1.2345, "ours is 0.333333 times theirs (1/3)"),
    "a number's multiple": Example("train/r_cost", 1.2345 * 4, 1.2345, "ours is 4.00000 times theirs (4)"),
    "a mean over T - 1 steps": Example(
        "train/r_cost", 1.2345 * 250 / 249, 1.2345, "ours is 1.00402 times theirs (250/249)"
    ),
    "a step too many": Example("converted/vector_rnn/global_step", 11, 10, "ours is theirs + 1"),
    "padding": Example(
        "train/encoder/fw/output", LAYER, PADDED,
        "differs only after the end of the sketches: length handling or padding", lengths=LENGTHS,
        spoil=LAYER[0].size,
    ),
    "transposed": Example(
        "after/vector_rnn/RNN/W", MATRIX[:, :5].T, MATRIX[:, :5], "ours is theirs transposed: axes in and out"
    ),
    "step for row": Example(
        "i", LAYER[:, :4].swapaxes(0, 1), LAYER[:, :4], "ours is theirs transposed: axes row and step"
    ),
    "shifted": Example(
        "train/decoder/h", LAYER, np.concatenate([numbers(4, 1, 8, seed=1), LAYER[:, :-1]], axis=1),
        "steps shifted by one: ours at t is theirs at t+1",
    ),
    "shifted the other way": Example(
        "sample/greedy/pi", np.concatenate([numbers(1, 8, seed=1), LAYER[0, :-1]]), LAYER[0],
        "steps shifted by one: ours at t is theirs at t-1", spoil=-1,
    ),
    "a schedule one step ahead": Example(
        "series/learning_rate", SERIES[1:], SERIES[:-1],
        "training steps shifted by one: ours at t is theirs at t+1",
    ),
    "steps reversed": Example("train/decoder/h", LAYER[:, ::-1], LAYER, "steps in reverse order"),
    "each sketch reversed": Example(
        "train/encoder/bw/h", backwards(PADDED), PADDED,
        "steps of each sketch in reverse order, up to its length", lengths=LENGTHS,
    ),
    "rows": Example(
        "train/z", LAYER[[2, 0, 3, 1], 0], LAYER[:, 0],
        "rows of the batch in another order: ours are theirs 2, 0, 3, 1",
    ),
    "gates of a matrix": Example(
        "after/vector_rnn/RNN/LSTMCell/W_hh", blocks(MATRIX, 0, 2, 1, 3), MATRIX,
        "four blocks of units in another order: ours i, f, j, o",
    ),
    "gates of a slot": Example(
        "after/vector_rnn/vector_rnn/RNN/LSTMCell/bias/Adam_1", blocks(MATRIX[0], 2, 3, 0, 1), MATRIX[0],
        "four blocks of units in another order: ours f, o, i, j",
    ),
    "gates of a layer": Example(
        "total", blocks(LAYER, 3, 2, 1, 0), LAYER, "four blocks of units in another order: ours o, f, j, i"
    ),
    "packed state": Example(
        "eval/decoder/final_state", blocks(LAYER[0], 2, 3, 0, 1), LAYER[0], "units in another order: halves swapped"
    ),
    "packed state of four": Example(
        "eval/decoder/state", LAYER[..., [0, 1, 5, 6, 2, 3, 4, 7]], LAYER,
        "units in another order: ours are theirs 0-1, 5-6, 2-4, 7",
    ),
    "inputs": Example(
        "gradient/vector_rnn/RNN/W", MATRIX[[2, 3, 4, 0, 1]], MATRIX,
        "inputs in another order: ours are theirs 2-4, 0-1",
    ),
    "units anyhow": Example(
        "train/z", MATRIX[:, np.random.default_rng(1).permutation(32)], MATRIX,
        "units in another order: 31 of 32 elsewhere",
    ),
    "a floor": Example(
        "train/presig", LAYER.clip(-0.5)[0], LAYER[0],
        f"equal except for {(LAYER[0] < -0.5).sum()} elements, where ours stays at -0.5: an extra floor or bound",
    ),
    "no bounds": Example(
        "clipped/vector_rnn/RNN/output_w", MATRIX, MATRIX.clip(-0.5, 1.5),
        f"equal except for {((MATRIX < -0.5) | (MATRIX > 1.5)).sum()} elements, "
        "where theirs stays at -0.5 and 1.5: a missing floor or bound",
        spoil=int(np.abs(MATRIX).argmin()),
    ),
    "no dropout": Example(
        "train/decoder/g", LAYER, LAYER * MASK / 0.9,
        f"theirs is zero where ours is not ({(~MASK).sum()} elements), "
        "elsewhere ours is theirs times 0.9: a dropout mask is missing or another",
    ),
    "dropout too many": Example(
        "g", LAYER * MASK, LAYER,
        f"ours is zero where theirs is not ({(~MASK).sum()} elements), "
        "elsewhere equal: a dropout mask is missing or another",
    ),
    "another mask": Example(
        "g", LAYER * MASK[::-1], LAYER * MASK,
        f"ours is zero where theirs is not ({(MASK & ~MASK[::-1]).sum()} elements) "
        f"and theirs is zero where ours is not ({(MASK[::-1] & ~MASK).sum()} elements), "
        "elsewhere equal: a dropout mask is missing or another",
    ),
    "dropout not scaled": Example(
        "train/decoder/g", LAYER * MASK, LAYER * MASK / 0.9,
        "ours is theirs times 0.9 where not zero: dropout scaling",
    ),
    "the other sign": Example("train/mu", -LAYER[0], LAYER[0], "ours is theirs with the other sign"),
    "a multiple": Example("train/mu", 3 * LAYER[0], LAYER[0], "ours is 3.00000 times theirs"),
    "a part": Example("gradient/a/W", MATRIX / 6, MATRIX, "ours is 0.166667 times theirs (1/6)"),
    "any factor": Example("gradient/a/W", 0.7342519 * MATRIX, MATRIX, "ours is 0.734252 times theirs"),
    "nearly all": Example("after/a/W/Adam_1", (1 - 3e-6) * MATRIX, MATRIX, "ours is 1 - 3e-06 times theirs"),
    "more by one": Example("f", LAYER + 1, LAYER, "ours is theirs + 1 everywhere"),
    "less, but for the padding": Example(
        "train/encoder/fw/f", (LAYER - 1) * EARLY, PADDED, "ours is theirs - 1 everywhere", lengths=LENGTHS
    ),
    "a bias": Example(
        "train/decoder/i", LAYER + UNITS, LAYER, SHIFTED
    ),
    "a bias, but for the padding": Example(
        "train/encoder/fw/i", PADDED, (LAYER - UNITS) * EARLY, SHIFTED, lengths=LENGTHS
    ),
    "a gamma": Example(
        "normal_c", LAYER * UNITS, LAYER,
        f"each unit is scaled by its own factor ({extent(UNITS)}): another gamma, or bias before exp, or none",
    ),
    "a gamma nearly right": Example(
        "normal_c", LAYER * (1 + 1e-5 * UNITS), LAYER,
        f"each unit is scaled by its own factor ({1 + 1e-5 * UNITS.min():.7g}..{1 + 1e-5 * UNITS.max():.7g}): "
        "another gamma, or bias before exp, or none",
    ),
    "a factor for each unit of a gradient": Example(
        "gradient/a/W", MATRIX * (1 + (np.arange(32) < 3)), MATRIX, "each unit is scaled by its own factor (1..2)"
    ),
    "a shift for each unit of a gradient": Example(
        "gradient/a/W", np.where(np.arange(32) < 3, MATRIX + 1, MATRIX + 10 - 10), MATRIX,
        "each unit is shifted by its own constant (0..1)"
    ),
    "gamma and beta": Example(
        "normal_c", LAYER * UNITS + UNITS[::-1], LAYER,
        f"each unit is scaled ({extent(UNITS)}) and shifted ({extent(UNITS)}): another gamma and beta, or none",
    ),
    "epsilon": Example(
        "train/decoder/i", normalised(LAYER, 1e-5), normalised(LAYER, 1e-3),
        f"each row and step is scaled by its own factor ({extent(LESS_EPSILON)}): "
        "a normalisation (epsilon or variance)",
    ),
    "epsilon, about beta": Example(
        "train/decoder/i", normalised(LAYER, 1e-5, beta=UNITS[::-1]), normalised(LAYER, 1e-3, beta=UNITS[::-1]),
        f"each row and step is scaled by its own factor ({extent(LESS_EPSILON)}): "
        "a normalisation (epsilon or variance)",
    ),
    "variance": Example(
        "train/decoder/i", normalised(LAYER, 1e-3, 1, UNITS[::-1]), normalised(LAYER, 1e-3, 0, UNITS[::-1]),
        f"each row and step is scaled by its own factor ({extent(UNBIASED)}): "
        "a normalisation (about 0.9354: a variance over n - 1, n = 8)",
    ),
    "variance, but for the padding": Example(
        "train/encoder/fw/i",
        normalised(LAYER, 1e-3, 1, UNITS[::-1]) * EARLY, normalised(LAYER, 1e-3, 0, UNITS[::-1]) * EARLY,
        f"each row and step is scaled by its own factor ({extent(UNBIASED[EARLY[..., 0]])}): "
        "a normalisation (about 0.9354: a variance over n - 1, n = 8)", lengths=LENGTHS,
    ),
    "variance alone": Example(
        "train/decoder/i", normalised(LAYER, 0), normalised(LAYER, 0, 1),
        "ours is 1.06904 times theirs (about 1.069: a variance over n, n = 8)",
    ),
    "lengths": Example(
        "eval/encoder/bw/final_state", with_noise(LAYER[:, 0], LENGTHS < 9), LAYER[:, 0],
        "differs in all sketches but the longest: length handling", lengths=LENGTHS, spoil=8,
    ),
    "carried over": Example(
        "train/decoder/h", with_noise(LAYER, np.s_[:, 1:]), LAYER,
        "equal at the first step, differs from the second on: "
        "what is carried over to it (state, mask or input)",
    ),
    "carried over in training": Example(
        "after/vector_rnn/RNN/W", with_noise(numbers(4, 5, 6), np.s_[1:]), numbers(4, 5, 6),
        "equal at the first training step, differs from the second on: "
        "what is carried over to it (weights, Adam's state or the count of steps)",
    ),
}  # fmt: skip
NAN, INF = float("nan"), float("inf")
OTHER_SHAPES = {
    "a matrix transposed": (
        "converted/vector_rnn/RNN/output_w", MATRIX.T, MATRIX, "ours is theirs transposed: its axes are out, in",
    ),
    "steps first": (
        "train/decoder/h", LAYER.transpose(1, 0, 2), LAYER, "ours is theirs transposed: its axes are step, row, unit",
    ),
    "the shape alone": (
        "converted/vector_rnn/RNN/output_w", numbers(32, 5, seed=1), MATRIX,
        "ours has the shape of theirs transposed: out, in",
    ),
    "a step more": (
        "train/decoder/h", np.concatenate([LAYER, LAYER[:, :1]], axis=1), LAYER,
        "ours has one step more than theirs, the last; the rest is equal",
    ),
    "a step fewer": (
        "sample/greedy/strokes", LAYER[0, 1:], LAYER[0],
        "ours has one step fewer than theirs, the first; the rest is equal",
    ),
    "a unit more": ("train/z", numbers(4, 9), numbers(4, 8, seed=1), "ours has one unit more than theirs"),
    "an axis more": ("train/r_cost", [1.0], 1.0, "ours has more axes of length 1 than theirs"),
    "an axis fewer": ("train/z", LAYER[0, 0], LAYER[0, :1], "ours has fewer axes of length 1 than theirs"),
}  # fmt: skip
NOT_FINITE = {
    "NaN from a step on": (
        "train/decoder/h", np.where(np.arange(9)[:, None] > 5, NAN, LAYER), LAYER,
        "ours is NaN at 96 of 288 elements where theirs is finite, from step 6 on",
    ),
    "infinity": (
        "train/z", [[INF, NAN, 1.0]], [[1.0, 1.0, 1.0]],
        "ours is NaN or infinite at 2 of 3 elements where theirs is finite",
    ),
    "theirs": (
        "series/cost", [1.0, 2.0], [1.0, NAN],
        "theirs is NaN at 1 of 2 elements where ours is finite, from training step 1 on",
    ),
    "both": ("train/z", [[NAN, 2.0]], [[NAN, 1.0]], "NaN or infinity on both sides, at the same 1 of 2 elements"),
}  # fmt: skip
