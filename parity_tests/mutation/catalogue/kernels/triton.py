"""Bugs of the Triton kernels, which Triton's interpreter runs."""

from parity_tests.mutation.bugs import ProductMutant
from parity_tests.mutation.catalogue.kernels.tests import kernel_mutant
from parity_tests.mutation.triton_source import TritonSource

INTERPRETED = "model/fused/test_triton_interpreted.py::test_all_cases_pass_in_the_interpreter"


def _triton(name: str, family: str, function: str, old: str, new: str) -> ProductMutant:
    return kernel_mutant(f"Triton: {name}", family, TritonSource(function, old, new), INTERPRETED)


_FORWARD, _BACKWARD, _MIX_BACKWARD = "gates_forward", "gates_backward", "mix_backward"
_MASK = "tl.load(mask + (row * mask_steps + t) * n + k, inside, 0.0)"

TRITON_MUTANTS = (
    _triton("forget bias missing forward", "forward", _FORWARD, "_sigmoid(f + forget_bias)", "_sigmoid(f)"),
    _triton("no mask forward", "mask", _FORWARD, f"candidate * {_MASK}", "candidate * 1.0"),
    _triton("mask of the first step forward", "mask", _FORWARD, "mask_steps + t)", "mask_steps)"),
    _triton("the projected part is left out", "forward", _FORWARD, "    if PROJECTED:", "    if False:"),
    _triton("one part of a product is left out", "parts", _FORWARD, "static_range(1, PARTS)", "static_range(2, PARTS)"),
    _triton("beta of the forget gate missing", "forward", _FORWARD, "f * gf + bf", "f * gf"),
    _triton("the state is the normalised one", "forward", _FORWARD, "k, new_c, inside)", "k, state, inside)"),
    _triton("last column left out forward", "tail", _FORWARD, "exists & (k < n)", "exists & (k < n - 1)"),
    _triton("last row left out", "last row", "_rows", "row < D * B", "row < D * B - 1"),
    _triton(
        "columns beyond the last one are counted in the variance",
        "tail",
        "_normalise",
        "tl.where(inside, x - _mean(x, n), 0.0)",
        "x - _mean(x, n)",
    ),
    _triton("epsilon outside the root", "forward", "_normalise", "n) + epsilon)", "n)) + epsilon"),
    _triton("tanh by exponentials alone", "forward", "_tanh", "tl.abs(x) < 0.625", "tl.abs(x) < 0.0"),
    _triton("a sketch runs one step too long", "lengths", _FORWARD, "alive = t < tl.load", "alive = t <= tl.load"),
    _triton(
        "h of a sketch that has ended is not kept",
        "lengths",
        _FORWARD,
        "tl.where(alive, new_h, tl.load(h, inside, 0.0))",
        "new_h",
    ),
    _triton(
        "the gradient of an ended sketch's h is lost",
        "lengths",
        _BACKWARD,
        "tl.where(alive, 0.0, dh)",
        "tl.zeros_like(dh)",
    ),
    _triton("the gradient of the outputs is left out", "backward", _BACKWARD, "    if OUTPUTS:", "    if False:"),
    _triton("a part of h's gradient is left out", "parts", _BACKWARD, "static_range(PARTS)", "static_range(1, PARTS)"),
    _triton("no mask backward", "mask", _BACKWARD, f"d_new_c * {_MASK}", "d_new_c * 1.0"),
    _triton("forget bias missing backward", "backward", _BACKWARD, "_sigmoid(f + forget_bias)", "_sigmoid(f)"),
    _triton("the state's gradient past the forget gate", "backward", _BACKWARD, "d_new_c * f\n", "d_new_c\n"),
    _triton("derivative of the forget gate", "backward", _BACKWARD, "0.0) * f * (1 - f)", "0.0) * f"),
    _triton("derivative of the output gate", "backward", _BACKWARD, "tanh_c * o * (1 - o)", "tanh_c * o"),
    _triton("last column left out backward", "tail", _BACKWARD, "exists & (k < n)", "exists & (k < n - 1)"),
    _triton(
        "the gradient of gamma counts ended sketches",
        "lengths",
        _BACKWARD,
        "d_y = tl.where(alive, d_state, 0.0)",
        "d_y = d_state",
    ),
    _triton(
        "normalisation backward without the slope",
        "backward",
        "_normalise_backward",
        " - normal * _mean(d * normal, n)",
        "",
    ),
    _triton("gamma's gradient is beta's", "backward", _BACKWARD, "di * ni, dj * nj", "di, dj"),
    _triton("mix without the shift", "mix", "mix_forward", "+ shift +", "+"),
    _triton("mix with the first cell's bias", "mix", "mix_forward", "bias + (cell * 4 + gate)", "bias + gate"),
    _triton("mix backward without the projected part", "mix", _MIX_BACKWARD, "    if PROJECTED:", "    if False:"),
    _triton("mix backward with the other factor", "mix", _MIX_BACKWARD, "d * of_h, inside", "d * of_x, inside"),
    _triton("mask: nine rounds", "draws", "fill_mask", "static_range(10)", "static_range(9)"),
    _triton("mask: the same numbers after eight steps", "draws", "fill_mask", "zero + block.to", "zero + 0 * block.to"),
    _triton("mask: threshold one too high", "draws", "_store_mask", "bits < threshold", "bits <= threshold"),
    _triton("mask: halves of a word exchanged", "draws", "_store_mask", "if upper else", "if not upper else"),
)  # fmt: skip
