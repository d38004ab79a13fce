"""Bugs of the compiled kernels and products."""

from parity_tests.mutation.bugs import ProductMutant
from parity_tests.mutation.catalogue.kernels.tests import (
    ADDED,
    COMPILED,
    FAR,
    FLOAT32,
    KEYED,
    LOOP,
    NAN,
    OFFICIAL,
    THREADS,
    kernel_mutant,
)
from parity_tests.mutation.kernel_source import Source


def _compiled(name: str, family: str, old: str, new: str, test: str = LOOP) -> ProductMutant:
    return kernel_mutant(f"compiled: {name}", family, Source("kernels.cpp", (old, new)), test.format(COMPILED))


def _product(name: str, family: str, old: str, new: str, test: str = LOOP) -> ProductMutant:
    planting = Source("products.cpp", (old, new))
    return kernel_mutant(f"compiled products: {name}", family, planting, test.format(COMPILED))


_ROWS = "for (int64_t b = rows * group / s.groups; b < rows * (group + 1) / s.groups; ++b)\n      "
_MASK = """const T* __restrict mask = nullptr;
  if (MASK) mask = static_cast<const T*>(s.mask) + d * s.mask_d + (s.order ? s.order[b] : b) * s.mask_b + t * s.mask_t;
"""
_BEFORE_FORWARD_MASK = "T* __restrict h = static_cast<T*>(s.h) + next * s.width;\n  "
_AFTER_BACKWARD_MASK = "  T* __restrict d_h = static_cast<T*>(g.d_h)"
_REST_ADDED = "rest<T, kRows - 1, true>("
_MIX_BACK = "T* __restrict d_h = static_cast<T*>(g.d_from_h) + here * g.pitch + gate * n;\n    if "

_KERNELS = (
    _compiled(
        "forget bias missing forward",
        "forward",
        "sigmoid(gate(2, k) + T(kForgetBias)) + sigmoid(gate(0, k))",
        "sigmoid(gate(2, k)) + sigmoid(gate(0, k))",
        OFFICIAL,
    ),
    _compiled(
        "forget bias missing backward",
        "backward",
        "keep = sigmoid(gate(2, k) + T(kForgetBias))",
        "keep = sigmoid(gate(2, k))",
        OFFICIAL,
    ),
    _compiled("epsilon 1e-5", "forward", "T(n) + epsilon)", "T(n) + T(1e-5))", OFFICIAL),
    _compiled(
        "output by the forget gate",
        "forward",
        "h[k] = tanh_(new_c[k]) * sigmoid(gate(3, k))",
        "h[k] = tanh_(new_c[k]) * sigmoid(gate(2, k))",
        OFFICIAL,
    ),
    _compiled("what is the same at every step added to one gate", "forward", "y = same + gate * n;", "y = same;"),
    _compiled(
        "exp of too low a degree, float64",
        "forward",
        "mantissa = 52, bias = 1023, degree = 13",
        "mantissa = 52, bias = 1023, degree = 8",
        OFFICIAL,
    ),
    _compiled(
        "exp of too low a degree, float32",
        "forward",
        "mantissa = 23, bias = 127, degree = 7",
        "mantissa = 23, bias = 127, degree = 3",
        FLOAT32,
    ),
    _compiled("exp without a lower end", "forward", "x = x < B::lowest ? B::lowest : x;", "", FAR),
    _compiled("exp without an upper end", "forward", "x = x > B::largest ? B::infinite : x;", "", FAR),
    _compiled(
        "NaN becomes a number",
        "not finite",
        "x = x < B::lowest ? B::lowest : x;",
        "x = x > B::lowest ? x : B::lowest;",
        NAN,
    ),
    _compiled("no mask forward", "mask", "if (MASK) candidate *= mask[k];", "", OFFICIAL),
    _compiled("no mask backward", "mask", "const T kept = MASK ? mask[k] : T(1)", "const T kept = T(1)", OFFICIAL),
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
        "keyed mask, halves of a word exchanged", "mask", "(t - first) % 2 * 16", "(t - first + 1) % 2 * 16", KEYED
    ),
    _compiled("keyed mask, rows of another rank", "mask", "c2 = m.rows[b]", "c2 = uint32_t(b)", KEYED),
    _compiled(
        "keyed mask, one step too few",
        "mask",
        "m.lengths[b] < m.T ? m.lengths[b] : m.T",
        "m.lengths[b] < m.T ? m.lengths[b] - 1 : m.T",
        KEYED,
    ),
    _compiled(
        "keyed mask, a block of steps too few",
        "mask",
        "first < steps; first += 8",
        "first + 8 < steps; first += 8",
        KEYED,
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
        "sequence of length 1, backward", "length 1", "if (g.d_outputs) {", "if (g.d_outputs && t > 0) {", OFFICIAL
    ),
    _compiled(
        "sequence of length 1, forward",
        "length 1",
        "T(kForgetBias)) + sigmoid(gate(0, k)) * candidate",
        "T(kForgetBias)) * T(t > 0) + sigmoid(gate(0, k)) * candidate",
        OFFICIAL,
    ),
    _compiled(
        "normalisation backward without gamma", "backward", "scaled = given * gamma[k];", "scaled = given;", OFFICIAL
    ),
    _compiled(
        "normalisation backward without the mean", "backward", "(d[k] - mean - normal", "(d[k] - normal", OFFICIAL
    ),
    _compiled("deviation of the first gate for all", "backward", "[row * 4 + number]", "[row * 4]", OFFICIAL),
    _compiled(
        "state's gradient past the forget gate", "backward", "d_c[k] = d_new * keep;", "d_c[k] = d_new;", OFFICIAL
    ),
    _compiled(
        "forget gate's gradient by the new state",
        "backward",
        "d_new * old_c[k] * keep",
        "d_new * new_c[k] * keep",
        OFFICIAL,
    ),
    _compiled(
        "rows that have ended have a gradient", "lengths", "++k) ended[k] = 0;", "++k) ended[k] = ended[k - g.pitch];"
    ),
    _compiled("mix without the bias", "mix", "signals[2 * next + k] + added[k];", "signals[2 * next + k];", OFFICIAL),
    _compiled("mix, one factor for x and h", "mix", "+ signals[next + k] * h[k]", "+ signals[k] * h[k]", OFFICIAL),
    _compiled(
        "mix backward, the other factor",
        "mix",
        "d_x[k] = given * signals[k];",
        "d_x[k] = given * signals[next + k];",
        OFFICIAL,
    ),
    _compiled(
        "mix backward, the other product",
        "mix",
        "d_signals[next + k] = given * h[k];",
        "d_signals[next + k] = given * x[k];",
        OFFICIAL,
    ),
    _compiled("mix backward without what is the same", "mix", _MIX_BACK + "(s.projected)", _MIX_BACK + "(false)"),
    _compiled(
        "mix backward, rows that have ended",
        "lengths",
        "static_cast<T*>(g.d_from_x)[k] = static_cast<T*>(g.d_from_h)[k] = 0;",
        "static_cast<T*>(g.d_from_x)[k] = static_cast<T*>(g.d_from_h)[k] = static_cast<T*>(g.d_from_h)[k - g.pitch];",
    ),
)

_PRODUCTS = (
    _product("tail of a panel", "tail of a vector", "k < columns; ++k", "k < columns / 4 * 4; ++k"),
    _product("last row", "last row", "rest<T, kRows - 1, false>(M - m,", "rest<T, kRows - 1, false>(M - m - 1,"),
    _product(
        "a part of a panel: a part of K overwrites the one before",
        "long products",
        "first ? values[k] : out[k] + values[k]",
        "values[k]",
    ),
    _product(
        "a whole panel: a part of K overwrites the one before",
        "long products",
        "first ? sums[row][1] : load(out + lanes<T>()) + sums[row][1]",
        "sums[row][1]",
    ),
    _product("the first part of K for all", "long products", "(p * K + k) * width", "p * K * width"),
    _product("one row: all panels are the first", "one row", "panels + p * panel_stride +", "panels +"),
    _product(
        "one row: a part of K overwrites the one before", "one row", "first ? values[k] : c[k] + values[k]", "values[k]"
    ),
    _product(
        "a thread's last panel is missing",
        "last panel",
        "last = D * panels * (part + 1) / threads;",
        "last = D * panels * (part + 1) / threads - 1;",
    ),
    _product("weights of the first cell for all", "several cells", "packed + d * size", "packed"),
    _product(
        "a thread's second cell is missing", "several cells", "panel < last; panel = end", "panel < last; panel = last"
    ),
    _product("right half of a panel is the left", "forward", "sums[row][1] += x * right", "sums[row][1] += x * left"),
    _product("weights' gradients: the last row", "last row", f"{_REST_ADDED}M - m,", f"{_REST_ADDED}M - m - 1,", ADDED),
    _product(
        "weights' gradients: a vector too few",
        "tail of a vector",
        "N - p * width : width;\n        pack",
        "(N - p * width) / 2 : width;\n        pack",
        ADDED,
    ),
    _product(
        "weights' gradients: the first part of K for all", "long products", "pack(b + k * b_stride +", "pack(b +", ADDED
    ),
    _product(
        "weights' gradients: what was there is lost",
        "windows",
        "from, a_stride, panel, depth, to, c_stride, columns, false);\n          else",
        "from, a_stride, panel, depth, to, c_stride, columns, k == 0);\n          else",
        ADDED,
    ),
    _product(
        "weights' gradients: rows in the other order",
        "backward",
        "TRANSPOSED ? a[k * a_stride + row]",
        "TRANSPOSED ? a[(depth - 1 - k) * a_stride + row]",
        ADDED,
    ),
    _product(
        "weights' gradients: a thread's last panel is missing",
        "last panel",
        "p < panels * (part + 1) / threads; ++p",
        "p < panels * (part + 1) / threads - (part > 0); ++p",
        THREADS,
    ),
)

COMPILED_MUTANTS = (*_KERNELS, *_PRODUCTS)
