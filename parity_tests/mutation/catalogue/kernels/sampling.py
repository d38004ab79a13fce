"""Bugs of the compiled sampling."""

from parity_tests.mutation.bugs import ProductMutant
from parity_tests.mutation.catalogue.kernels.tests import COMPILED, kernel_mutant
from parity_tests.mutation.kernel_source import Source

_FILE = "model/fused/test_fused_sampling.py::test_"
_DRAWN = _FILE + "sketches_against_the_loop[dtype0-{}]"
_MIXTURES = _FILE + "mixtures_of_given_points_against_the_loop[{}]"
_ZERO = _FILE + "probabilities_that_round_to_zero_stay_zero_at_every_temperature[{}]"
_TEMPERATURE = _FILE + "every_temperature_against_the_loop[3.0-{}]"


def _sampling(name: str, old: str, new: str, test: str = _DRAWN) -> ProductMutant:
    planting = Source("sampling.cpp", (old, new))
    return kernel_mutant(f"compiled sampling: {name}", "sampling", planting, test.format(COMPILED))


SAMPLING_MUTANTS = (
    _sampling(
        "the pen ignores the temperature",
        "pick(pens[at], parameters, 3, temperature",
        "pick(pens[at], parameters, 3, T(1)",
    ),
    _sampling("no epsilon", "s.epsilon = d_.epsilon", "s.epsilon = 0"),
    _sampling("one number picks component and pen", "pick(pens[at], parameters", "pick(component[at], parameters"),
    _sampling("offsets without correlation", "(corr * e[0] + std::sqrt(rest < 0 ? T(0) : rest) * e[1])", "e[1]"),
    _sampling(
        "deviations not scaled by the temperature",
        "of(1) + temperature * std::exp(of(3))",
        "of(1) + std::exp(of(3))",
        _TEMPERATURE,
    ),
    _sampling("dy with the deviation of dx", "temperature * std::exp(of(4))", "temperature * std::exp(of(3))"),
    _sampling("the softmax alone, at no temperature", "(work[k] - largest_log) / temperature", "work[k] - largest_log"),
    _sampling(
        "probabilities that round to zero are kept",
        "work[k] = std::log(work[k] / sum);",
        "work[k] = logits[k] - largest;",
        _ZERO,
    ),
    _sampling("the next point has the pen state of the one before", "point[2 + state] = state == pen;", ";"),
    _sampling("no bias of the output layer", "out[k] += static_cast<const T*>(d_.output_b)[k];", ";", _MIXTURES),
    _sampling("states of the wrong block are kept", "give_states(s_.steps % 2)", "give_states(0)"),
    _sampling(
        "given points do not move the states",
        "if (team.index == 0) give_states",
        "if (team.index == 0 && !s_.outputs) give_states",
        _MIXTURES,
    ),
    _sampling("a sketch that ends stays", "if (pen == kEnd) leave_out(b, t + 1);", ""),
    _sampling(
        "the last row keeps its old cell state in a new place",
        "move(Z(block), d_.width), move(c_.data() + offsets_[block] * d_.n, d_.n);",
        "move(Z(block), d_.width);",
    ),
    _sampling(
        "the last row gets another's latent vector",
        "if (!projected_.empty()) move(projected_.data(), 4 * d_.n);",
        "",
    ),
    _sampling(
        "the last row gets another's inner cell state",
        "if (d_.m) move(inner_c_.data() + offsets_[block] * d_.m, d_.m);",
        "",
    ),
    _sampling(
        "the inner cell of the last row gets another's latent vector",
        "if (!projected_inner_.empty()) move(projected_inner_.data(), 4 * d_.m);",
        "",
    ),
    _sampling("the last row keeps its place on the page", "ids_[b] = ids_[last];", ""),
    _sampling("chunks begin with the first sketch's latent vector", "s_.projected, 4 * n)", "s_.projected, 0)"),
    _sampling(
        "the last sketch of a chunk is missing", "capacity_(rows), rows_(rows)", "capacity_(rows), rows_(rows - 1)"
    ),
    _sampling("the shift of embeddings is missing", "embedded_[b * columns + k] += shift[k];", ";", _MIXTURES),
    _sampling(
        "all signals from the first weights", "d_.W_signal) + signal * d_.signal_stride", "d_.W_signal)", _MIXTURES
    ),
    _sampling(
        "all signals from the first embedding", "embedded_.data() + signal * d_.e", "embedded_.data()", _MIXTURES
    ),
)
