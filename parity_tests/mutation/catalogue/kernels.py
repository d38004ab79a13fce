"""Bugs of the fused paths: in the compiled kernels, in their PyTorch form, and in what drives either.

Each is planted in one path alone, and the tests of that path must fail: they compare with the loop over steps, and with
the recordings of the official code.
"""

import torch

from parity_tests.mutation.bugs import Planting, ProductMutant, Text
from parity_tests.mutation.kernel_source import Source, Unchecked
from pytorch_sketch_rnn.model.fused import aten, choice, gated, hyper, layout, sequence, weights

COMPILED, ATEN = choice.names(torch.device("cpu"))[0], choice.ATEN

_FILE = "model/fused/test_fused_sequences.py::test_"
_LOOP = _FILE + "values_and_gradients_against_the_loop[{}]"
_FLOAT32 = _FILE + "float32_against_the_loop[{}]"
_WINDOWS = _FILE + "weights_gradients_in_several_windows[7-{}]"
_ENDS = _FILE + "states_alone_and_outputs_alone_have_their_gradients[{}]"
_NAN = _FILE + "what_is_not_finite_reaches_the_same_numbers[nan-{}]"
_FAR = _FILE + "gates_far_from_zero_are_0_and_1[dtype1-{}]"
_KEYED = _FILE + "keyed_masks_have_the_same_bits_as_the_loops[dtype0-{}]"
_DRAWN = _FILE + "masks_are_drawn_once_and_in_the_order_of_the_loop[{}]"
_TAPE = _FILE + "a_tape_makes_the_loop_compute"
_OWN = _FILE + "a_cell_of_a_users_own_is_computed_by_the_loop"
_OFFICIAL = "model/fused/test_fused_official.py::test_cells_alone_against_official[{}]"


def _compiled(name: str, family: str, old: str, new: str, test: str = _LOOP) -> ProductMutant:
    return _mutant(f"compiled: {name}", family, Source((old, new)), test.format(COMPILED))


def _python(
    name: str, family: str, owner: object, function: str, old: str, new: str, test: str = _LOOP
) -> ProductMutant:
    return _mutant(name, family, Text(owner, function, (old, new)), test.format(ATEN))


def _mutant(name: str, family: str, planting: Planting, test: str) -> ProductMutant:
    return ProductMutant(name, family, Unchecked(planting), (test,))


_ROWS = "for (int64_t b = rows * group / s.groups; b < rows * (group + 1) / s.groups; ++b)\n      "
_MASK = """const T* __restrict mask = nullptr;
  if (MASK) mask = static_cast<const T*>(s.mask) + d * s.mask_d + (s.order ? s.order[b] : b) * s.mask_b + t * s.mask_t;
"""
_BEFORE_FORWARD_MASK = "T* __restrict h = static_cast<T*>(s.h) + next * s.width;\n  "
_AFTER_BACKWARD_MASK = "  T* __restrict d_h = static_cast<T*>(g.d_h)"
_MIX_BACK = "T* __restrict d_h = static_cast<T*>(g.d_from_h) + (here * 4 + gate) * n;\n    if "

_COMPILED = (
    _compiled(
        "forget bias missing forward",
        "forward",
        "sigmoid(gate(2, k) + T(kForgetBias)) + sigmoid(gate(0, k))",
        "sigmoid(gate(2, k)) + sigmoid(gate(0, k))",
        _OFFICIAL,
    ),
    _compiled(
        "forget bias missing backward",
        "backward",
        "keep = sigmoid(gate(2, k) + T(kForgetBias))",
        "keep = sigmoid(gate(2, k))",
        _OFFICIAL,
    ),
    _compiled("epsilon 1e-5", "forward", "kEpsilon = 1e-3", "kEpsilon = 1e-5", _OFFICIAL),
    _compiled(
        "output by the forget gate",
        "forward",
        "h[k] = tanh_(new_c[k]) * sigmoid(gate(3, k))",
        "h[k] = tanh_(new_c[k]) * sigmoid(gate(2, k))",
        _OFFICIAL,
    ),
    _compiled("what is the same at every step added to one gate", "forward", "y = same + gate * n;", "y = same;"),
    _compiled(
        "exp of too low a degree, float64",
        "forward",
        "mantissa = 52, bias = 1023, degree = 13",
        "mantissa = 52, bias = 1023, degree = 8",
        _OFFICIAL,
    ),
    _compiled(
        "exp of too low a degree, float32",
        "forward",
        "mantissa = 23, bias = 127, degree = 7",
        "mantissa = 23, bias = 127, degree = 3",
        _FLOAT32,
    ),
    _compiled("exp without a lower end", "forward", "x = x < B::lowest ? B::lowest : x;", "", _FAR),
    _compiled("exp without an upper end", "forward", "x = x > B::highest ? B::highest : x;", "", _FAR),
    _compiled(
        "NaN becomes a number",
        "not finite",
        "x = x < B::lowest ? B::lowest : x;",
        "x = x > B::lowest ? x : B::lowest;",
        _NAN,
    ),
    _compiled("no mask forward", "mask", "if (MASK) candidate *= mask[k];", "", _OFFICIAL),
    _compiled("no mask backward", "mask", "const T kept = MASK ? mask[k] : T(1)", "const T kept = T(1)", _OFFICIAL),
    _compiled(
        "mask of another sketch, forward",
        "mask",
        _BEFORE_FORWARD_MASK + _MASK,
        _BEFORE_FORWARD_MASK + _MASK.replace("(s.order ? s.order[b] : b)", "b"),
    ),
    _compiled(
        "mask of the step before, backward",
        "mask",
        _MASK + _AFTER_BACKWARD_MASK,
        _MASK.replace("+ t *", "+ (t ? t - 1 : 0) *") + _AFTER_BACKWARD_MASK,
    ),
    _compiled(
        "mask of the other direction, backward",
        "mask",
        _MASK + _AFTER_BACKWARD_MASK,
        _MASK.replace("+ d * s.mask_d ", "") + _AFTER_BACKWARD_MASK,
    ),
    _compiled(
        "keyed mask, halves of a word exchanged", "mask", "(t - first) % 2 * 16", "(t - first + 1) % 2 * 16", _KEYED
    ),
    _compiled("keyed mask, rows of another rank", "mask", "c2 = m.rows[b]", "c2 = uint32_t(b)", _KEYED),
    _compiled(
        "keyed mask, one step too few",
        "mask",
        "m.lengths ? m.lengths[b] : m.T",
        "m.lengths ? m.lengths[b] - 1 : m.T",
        _KEYED,
    ),
    _compiled(
        "keyed mask, a block of steps too few",
        "mask",
        "first < steps; first += 8",
        "first + 8 < steps; first += 8",
        _KEYED,
    ),
    _compiled(
        "tail of a vector, forward",
        "tail of a vector",
        "for (int64_t k = 0; k < n; ++k) h[k] = tanh_(new_c[k])",
        "for (int64_t k = 0; k < n / 4 * 4; ++k) h[k] = tanh_(new_c[k])",
    ),
    _compiled(
        "tail of a vector, backward",
        "tail of a vector",
        "for (int64_t k = 0; k < n; ++k) d_h[k] += d_out[k];",
        "for (int64_t k = 0; k < n / 4 * 4; ++k) d_h[k] += d_out[k];",
    ),
    _compiled(
        "tail of a vector, normalisation backward",
        "tail of a vector",
        "for (int64_t k = 0; k < n; ++k) d[k] = (d[k] - mean",
        "for (int64_t k = 0; k < n / 4 * 4; ++k) d[k] = (d[k] - mean",
    ),
    _compiled(
        "last row, forward",
        "last row",
        _ROWS + "forward_row",
        _ROWS.replace("; ++b", " && (rows == 1 || b < rows - 1); ++b") + "forward_row",
    ),
    _compiled(
        "last row, backward",
        "last row",
        _ROWS + "backward_row",
        _ROWS.replace("; ++b", " && (rows == 1 || b < rows - 1); ++b") + "backward_row",
    ),
    _compiled(
        "last row, mix",
        "last row",
        _ROWS.rstrip() + " mix_row",
        _ROWS.rstrip().replace("; ++b", " && (rows == 1 || b < rows - 1); ++b") + " mix_row",
    ),
    _compiled(
        "batch that the groups do not divide, forward",
        "groups of rows",
        _ROWS + "forward_row",
        _ROWS.replace("; ++b", " && (rows <= s.groups || b < rows / s.groups * s.groups); ++b") + "forward_row",
    ),
    _compiled(
        "batch that the groups do not divide, backward",
        "groups of rows",
        _ROWS + "backward_row",
        _ROWS.replace("; ++b", " && (rows <= s.groups || b < rows / s.groups * s.groups); ++b") + "backward_row",
    ),
    _compiled(
        "gamma's gradient of one row of a group",
        "groups of rows",
        "d_gamma[k] += given * x;",
        "d_gamma[k] = given * x;",
    ),
    _compiled(
        "sequence of length 1, backward", "length 1", "if (g.d_outputs) {", "if (g.d_outputs && t > 0) {", _OFFICIAL
    ),
    _compiled(
        "sequence of length 1, forward",
        "length 1",
        "T(kForgetBias)) + sigmoid(gate(0, k)) * candidate",
        "T(kForgetBias)) * T(t > 0) + sigmoid(gate(0, k)) * candidate",
        _OFFICIAL,
    ),
    _compiled(
        "normalisation backward without gamma", "backward", "scaled = given * gamma[k];", "scaled = given;", _OFFICIAL
    ),
    _compiled(
        "normalisation backward without the mean", "backward", "(d[k] - mean - normal", "(d[k] - normal", _OFFICIAL
    ),
    _compiled("deviation of the first gate for all", "backward", "[row * 4 + number]", "[row * 4]", _OFFICIAL),
    _compiled(
        "state's gradient past the forget gate", "backward", "d_c[k] = d_new * keep;", "d_c[k] = d_new;", _OFFICIAL
    ),
    _compiled(
        "forget gate's gradient by the new state",
        "backward",
        "d_new * old_c[k] * keep",
        "d_new * new_c[k] * keep",
        _OFFICIAL,
    ),
    _compiled(
        "rows that have ended have a gradient", "lengths", "++k) ended[k] = 0;", "++k) ended[k] = ended[k - 4 * s.n];"
    ),
    _compiled("mix without the bias", "mix", "signals[2 * next + k] + added[k];", "signals[2 * next + k];", _OFFICIAL),
    _compiled("mix, one factor for x and h", "mix", "+ signals[next + k] * h[k]", "+ signals[k] * h[k]", _OFFICIAL),
    _compiled(
        "mix backward, the other factor",
        "mix",
        "d_x[k] = given * signals[k];",
        "d_x[k] = given * signals[next + k];",
        _OFFICIAL,
    ),
    _compiled(
        "mix backward, the other product",
        "mix",
        "d_signals[next + k] = given * h[k];",
        "d_signals[next + k] = given * x[k];",
        _OFFICIAL,
    ),
    _compiled("mix backward without what is the same", "mix", _MIX_BACK + "(s.projected)", _MIX_BACK + "(false)"),
    _compiled(
        "mix backward, rows that have ended",
        "lengths",
        "static_cast<T*>(g.d_from_x)[k] = static_cast<T*>(g.d_from_h)[k] = 0;",
        "static_cast<T*>(g.d_from_x)[k] = static_cast<T*>(g.d_from_h)[k] = static_cast<T*>(g.d_from_h)[k - 4 * s.n];",
    ),
)

_ATEN = (
    _python(
        "forget bias missing forward",
        "forward",
        aten,
        "_forward",
        "torch.sigmoid(f + FORGET_BIAS)",
        "torch.sigmoid(f)",
        _OFFICIAL,
    ),
    _python(
        "no mask forward",
        "mask",
        aten,
        "_forward",
        "_masked(torch.tanh(j), _mask(buffers, t))",
        "torch.tanh(j)",
        _OFFICIAL,
    ),
    _python("no mask backward", "mask", aten, "_backward", "_masked(d_c * i, mask)", "d_c * i", _OFFICIAL),
    _python("mask of another sketch", "mask", aten, "_mask", "mask[:, order[:rows], t]", "mask[:, :rows, t]"),
    _python("mask of the first step", "mask", aten, "_mask", "mask[:, :rows, t] if", "mask[:, :rows, 0] if"),
    _python(
        "gradient of the outputs left out",
        "backward",
        aten,
        "_backward",
        "d_h += gradients.d_outputs[:, layout.output(t)]",
        "pass",
        _OFFICIAL,
    ),
    _python("state's gradient past the forget gate", "backward", aten, "_backward", "d_c *= f", "pass", _OFFICIAL),
    _python(
        "rows that have ended have a gradient",
        "lengths",
        aten,
        "_backward",
        "gradients.d_total[:, first + rows : first + capacity] = 0",
        "gradients.d_total[:, first + rows : first + capacity] = 1e-3",
    ),
    _python(
        "normalisation backward without the slope",
        "backward",
        aten,
        "_normalise_backward",
        "- mean - normal * slope",
        "- mean",
        _OFFICIAL,
    ),
    _python(
        "gamma's gradient is beta's", "backward", aten, "_add_gradients", "(d_y * normal).sum", "d_y.sum", _OFFICIAL
    ),
    _python("mix without the bias", "mix", aten, "_mix", "+ shift + mix.bias.unsqueeze(1)", "+ shift", _OFFICIAL),
    _python(
        "mix backward without what is the same",
        "mix",
        aten,
        "_mix_backward",
        "from_x += mix.projected[:, :rows]",
        "pass",
    ),
    _python(
        "mix backward, products exchanged",
        "mix",
        aten,
        "_mix_backward",
        "[d_total * from_x, d_total * from_h, d_total]",
        "[d_total * from_h, d_total * from_x, d_total]",
        _OFFICIAL,
    ),
    _python(
        "mix backward, rows that have ended",
        "lengths",
        aten,
        "_mix_backward",
        "d_from[:, ended] = 0",
        "d_from[:, ended] = 1e-3",
    ),
)

_GATED, _HYPER = gated.GatedSequence, hyper.HyperSequence
_SEQUENCES = (
    _python(
        "first state's gradient of one step",
        "backward",
        _GATED,
        "backward",
        "d_projected[:, :rows] +=",
        "d_projected[:, :rows] =",
    ),
    _python(
        "the first c is zero",
        "forward",
        _GATED,
        "forward",
        "states[:, :B] = h, x, c",
        "states[:, :B] = h, x, 0",
        _OFFICIAL,
    ),
    _python(
        "weights' gradient of one window",
        "windows",
        _GATED,
        "backward",
        "d_W.baddbmm_(Z[:, first:end].transpose(1, 2), d_total)",
        "torch.bmm(Z[:, first:end].transpose(1, 2), d_total, out=d_W)",
        _WINDOWS,
    ),
    _python("a window begins one step late", "windows", gated, "windows", "first = t", "first = t + 1", _WINDOWS),
    _python(
        "a gradient is changed in place",
        "autograd",
        gated,
        "dense_copy",
        "x.clone(memory_format=torch.contiguous_format)",
        "x",
        _ENDS,
    ),
    _python(
        "padding of x left out",
        "forward",
        _GATED,
        "backward",
        "W[:, n : n + i].transpose(1, 2)",
        "W[:, :i].transpose(1, 2)",
        _OFFICIAL,
    ),
    _python(
        "h has no gradient from the inner cell",
        "backward",
        _HYPER,
        "backward",
        "d_h[:, :rows] += d_Z[:, :rows, m:]",
        "pass",
        _OFFICIAL,
    ),
    _python(
        "inner h has no gradient from the signals",
        "backward",
        _HYPER,
        "backward",
        "d_inner_h[:, :rows] += from_embedded[:, :rows]",
        "pass",
        _OFFICIAL,
    ),
    _python(
        "embedding's bias has no gradient",
        "backward",
        _HYPER,
        "backward",
        "d_b_embedding += d_embedded.sum(dim=1)",
        "pass",
        _OFFICIAL,
    ),
    _python(
        "bias' gradient of one window",
        "windows",
        _HYPER,
        "backward",
        "d_bias += d_total.sum(dim=1)",
        "d_bias = d_total.sum(dim=1)",
        _WINDOWS,
    ),
    _python(
        "inner cell's part that is the same has no gradient",
        "backward",
        _HYPER,
        "backward",
        "d_projected_inner[:, :rows] += d_inner_total[:, here]",
        "pass",
    ),
    _python(
        "x has no gradient from the inner cell",
        "backward",
        _HYPER,
        "backward",
        "from_inner + d_from_x @",
        "d_from_x @",
        _OFFICIAL,
    ),
    _python(
        "signals' gradient of the first cell",
        "backward",
        hyper,
        "_signals_backward",
        "d_weights[cell].baddbmm_",
        "d_weights[0].baddbmm_",
    ),
    _python("last states one step early", "lengths", layout.Layout, "_last", "[self.lengths]", "[self.lengths - 1]"),
    _python(
        "sketches left in the order of their lengths",
        "lengths",
        sequence.Fused,
        "run_both",
        "torch.argsort(order)",
        "order",
    ),
    _python(
        "whole rows reversed",
        "lengths",
        sequence.Fused,
        "run_both",
        "reverse_prefix(inputs, lengths)",
        "inputs.flip(1)",
    ),
    _python(
        "masks in the order of the lengths",
        "mask",
        sequence.Fused,
        "run_both",
        "(masks, inputs, order,",
        "(masks, inputs, None,",
    ),
    _python(
        "no output dropout",
        "mask",
        sequence.Fused,
        "run",
        "outputs if masks.output is None else outputs * masks.output.tensor(outputs), last",
        "outputs, last",
    ),
    _mutant(
        "input dropout drawn before the recurrent one",
        "mask",
        Text(
            sequence.Fused,
            "run",
            ("dropout = self._dropout([masks.recurrent], inputs, None, None)", "pass"),
            (
                "x = inputs.transpose(0, 1)",
                "dropout = self._dropout([masks.recurrent], inputs, None, None)\n    x = inputs.transpose(0, 1)",
            ),
        ),
        _DRAWN.format(ATEN),
    ),
    _python("a tape records nothing", "tape", sequence.Fused, "run", "if tape.enabled or not", "if not", _TAPE),
    _python(
        "a user's own cell is taken for one of ours",
        "tape",
        sequence,
        "_fits",
        "type(cell) in (LSTMCell, LayerNormLSTMCell, HyperLSTMCell)",
        "isinstance(cell, LSTMCell | LayerNormLSTMCell | HyperLSTMCell)",
        _OWN,
    ),
    _python(
        "rows of W exchanged",
        "weights",
        weights,
        "gated_weights",
        "_aligned(W_hh, W_xh[:, :inputs])",
        "_aligned(W_xh[:, :inputs], W_hh)",
        _OFFICIAL,
    ),
    _python(
        "inner rows of W exchanged",
        "weights",
        weights,
        "hyper_weights",
        "_aligned(inner_hh, of_h, of_x)",
        "_aligned(inner_hh, of_x, of_h)",
        _OFFICIAL,
    ),
    _python(
        "signals of two gates exchanged",
        "weights",
        weights,
        "_hyper_norms",
        'for gate in "ijfo"',
        'for gate in "ifjo"',
        _OFFICIAL,
    ),
    _python(
        "shifts have a bias", "weights", weights, "hyper_weights", "b_factor.new_zeros", "b_factor.new_ones", _OFFICIAL
    ),
)

KERNEL_MUTANTS = (*_COMPILED, *_ATEN, *_SEQUENCES)
