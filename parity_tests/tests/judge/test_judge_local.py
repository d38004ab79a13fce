"""Local float32: a bug in one unit, gate, step or row is found, an unlucky element is not, and the truth is local."""

import numpy as np
import pytest
from judging import INF, NAN, local, with_item

from parity_tests.judge.limits import EPSILON32, FLOAT64_ALLOWED, LOCAL_FLOOR, factors, family
from parity_tests.judge.row import Row
from parity_tests.judge.tensor.local import judge_pools
from parity_tests.judge.tensor.pools import pooled

ROWS, STEPS, UNITS = 12, 10, 64
SHAPE = (ROWS, STEPS, UNITS)
RANDOM = np.random.default_rng(7)
TRUTH = RANDOM.standard_normal(SHAPE)
NOISE = 2.0**-20  # of both sides, root of the mean square: well above rounding to float32
THEIRS = (TRUTH + NOISE * RANDOM.standard_normal(SHAPE)).astype(np.float32)
ERROR = NOISE * RANDOM.standard_normal(SHAPE)  # ours, where nothing is wrong
TOTAL = "train/decoder/total"  # four gates side by side


def in_slice(axis: int, index: int) -> tuple:
    return (*[slice(None)] * axis, index)


def worse(at: tuple, factor: float) -> np.ndarray:
    """Our values with the error at one place enlarged by a factor."""
    error = ERROR.copy()
    error[at] *= factor
    return TRUTH + error


def test_as_large_an_error_as_the_official_one_is_equal():
    found = local(TRUTH + ERROR, TRUTH, THEIRS)
    assert (found.verdict, found.measure[:3], found.note) == ("equal", "rms", "")
    same = local(THEIRS, TRUTH, THEIRS)
    assert (same.verdict, same.ratio) == ("equal", 1.0)  # both are held against the truth, not against each other
    assert local(TRUTH, TRUTH, THEIRS).verdict == "equal"


@pytest.mark.parametrize("seed", range(20))
def test_one_unlucky_element_decides_nothing(seed):
    index = tuple(np.random.default_rng(seed).integers(SHAPE))
    ours = with_item(TRUTH + ERROR, index, TRUTH[index] + 10 * NOISE)
    for name in ("train/decoder/q", TOTAL):
        assert local(ours, TRUTH, THEIRS, name=name).verdict == "equal"


def test_an_element_is_not_lost_all_the_same():
    ours = with_item(TRUTH + ERROR, (3, 4, 5), TRUTH[3, 4, 5] + 1000 * NOISE)
    found = local(ours, TRUTH, THEIRS)
    assert found.verdict == "different"
    assert found.where | {"row": 3, "step": 4, "unit": 5} == found.where


@pytest.mark.parametrize(("axis", "kind", "index"), [(0, "row", 5), (1, "step", 9), (2, "unit", 63), (2, "unit", 0)])
def test_an_error_in_one_row_step_or_unit_is_found_and_named(axis, kind, index):
    ours = worse(in_slice(axis, index), 7.0)
    pools = judge_pools("train/decoder/q", ours.astype(np.float32), THEIRS, TRUTH, 0.0)
    assert (kind, index) in {(pool.axis, pool.index) for pool in pools}
    found = local(ours, TRUTH, THEIRS)
    assert found.verdict == "different"
    assert found.error > found.allowed
    if kind != "unit":  # few rows, few steps: the whole tensor shows it as well
        return
    assert {(pool.axis, pool.index) for pool in pools} == {(kind, index)}  # in no other pool, nor in the whole
    assert found.measure == f"rms of unit {index}"
    assert found.where["unit"] == index


@pytest.mark.parametrize("gate", range(4))
def test_an_error_in_one_gate_is_found_and_named_by_its_letter(gate):
    at = (..., slice(gate * UNITS // 4, (gate + 1) * UNITS // 4))
    ours = worse(at, 8.0)
    pools = judge_pools(TOTAL, ours.astype(np.float32), THEIRS, TRUTH, 0.0)
    assert [pool.index for pool in pools if pool.axis == "gate"] == [gate]
    found = local(ours, TRUTH, THEIRS, name=TOTAL)
    assert found.verdict == "different"
    assert found.where["gate"] == "ijfo"[gate]


def test_an_error_in_one_unit_of_all_gates_is_found():
    ours = worse((..., slice(3, None, UNITS // 4)), 8.0)
    pools = judge_pools(TOTAL, ours.astype(np.float32), THEIRS, TRUTH, 0.0)
    assert ("unit", 3) in {(pool.axis, pool.index) for pool in pools}
    assert local(ours, TRUTH, THEIRS, name=TOTAL).verdict == "different"


def test_an_error_of_all_elements_alike_is_found_in_the_whole_tensor():
    found = local(worse((...,), 3.0), TRUTH, THEIRS)
    assert (found.verdict, found.measure) == ("different", "rms")
    assert found.error == pytest.approx(3 * NOISE / np.abs(TRUTH).max(), rel=0.05)
    assert found.official_error == pytest.approx(NOISE / np.abs(TRUTH).max(), rel=0.05)


def test_the_truth_is_the_local_one_and_not_the_free_running_float64():
    # the free run is off by 1.0 in every element: held against it, both sides would be as good as each other
    found = local(worse((...,), 100.0), TRUTH, THEIRS)
    assert found.verdict == "different"
    assert found.truth == TRUTH[found.where["row"], found.where["step"], found.where["unit"]]


def test_an_official_error_that_is_luck_in_one_pool_does_not_make_ours_different():
    theirs = THEIRS.copy()
    theirs[..., 7] = TRUTH[..., 7].astype(np.float32)  # no error but rounding there
    assert local(TRUTH + ERROR, TRUTH, theirs).verdict == "equal"


def test_a_quarter_of_a_unit_is_allowed_where_the_official_code_makes_no_error():
    exact = TRUTH.astype(np.float32).astype(np.float64)  # of which float32 needs no rounding
    size = np.sqrt(np.mean(exact**2)) * EPSILON32
    signs = np.where(RANDOM.random(SHAPE) < 0.5, -1.0, 1.0)
    limit = factors("function", np.sum(exact**2) ** 2 / np.sum(exact**4)) * LOCAL_FLOOR
    for share, departs in ((0.9, False), (1.2, True)):
        # as float64: float32 has no number so near
        (pool, *_) = judge_pools("train/decoder/q", exact + share * limit * size * signs, exact, exact, 0.0)
        assert (pool.used > 1) == departs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/decoder/i", "function"),
        ("i", "function"),
        ("loss/gradient/head", "function"),
        ("vjp/decoder/x", "function"),
        ("vjp/decoder/state", "function"),
        ("vjp/decoder/W_hh", "sum"),
        ("vjp/decoder/hyper_ix/zw/super_linear_w", "sum"),
        ("vjp/W_hh", "sum"),
        ("optimizer/after/w", "optimizer"),
        ("train/r_cost", "cost"),
    ],
)
def test_the_family_of_a_quantity_follows_from_its_name(name, expected):
    assert family(name) == expected


@pytest.mark.parametrize("name", ["train/decoder/q", "loss/gradient/head", "optimizer/after/w"])
def test_of_no_function_may_the_whole_be_more_than_five_times_worse(name):
    """The widest: 1.2 x (1 + 18 / sqrt(213)) x sqrt(3) = 4.6 of the optimizer, for the official error counts thrice."""
    truth, theirs, error = (values[0] if "optimizer" in name else values for values in (TRUTH, THEIRS, ERROR))
    pools = judge_pools(name, (truth + 5 * error).astype(np.float32), theirs, truth, 0.0)
    assert any(pool.used > 1 and not pool.axis for pool in pools)


def test_a_cost_is_held_against_the_size_of_what_it_adds_up():
    truth, theirs = np.array(2.0), np.array(np.nextafter(np.float32(2), np.float32(3)))
    (own,) = judge_pools("train/r_cost", truth + 5e-6, theirs, truth, 0.0)
    (summed,) = judge_pools("train/r_cost", truth + 5e-6, theirs, truth, 1000.0)
    assert own.used > 1 > summed.used


@pytest.mark.parametrize("size", [1e-11, 1e-9])
def test_float64_has_one_bound_for_the_largest_element(size):
    truth = with_item(np.zeros((2, 3, 4)), (0, 0, 0), -8.0)
    found = local(with_item(truth, (1, 2, 3), 8 * size), truth, truth, precision="float64")
    assert found.verdict == ("equal" if size < FLOAT64_ALLOWED else "different")
    assert (found.error, found.allowed, found.where) == (size, FLOAT64_ALLOWED, {"row": 1, "step": 2, "unit": 3})


@pytest.mark.parametrize(("lost", "allowed"), [(1e-3, FLOAT64_ALLOWED), (0.1, 10 * 0.1 * 2.0**-29), (1e9, 1e-6)])
def test_a_function_that_makes_more_of_rounding_in_float32_may_do_so_in_float64(lost, allowed):
    truth = with_item(np.zeros((2, 3, 4)), (0, 0, 0), -8.0)
    single = with_item(truth, (1, 1, 1), 8 * lost)
    for size, verdict in ((0.9, "equal"), (1.1, "different")):
        ours = with_item(truth, (1, 2, 3), 8 * size * allowed)
        found = local(ours, truth, truth, precision="float64", float32={"train/decoder/q": single.astype(np.float32)})
        assert (found.verdict, found.allowed) == (verdict, pytest.approx(allowed, rel=1e-6))


@pytest.mark.parametrize(("size", "verdict"), [(0.9e-10, "equal"), (1e-9, "not judged"), (2e-6, "different")])
def test_where_float32_is_not_finite_what_lies_between_the_bounds_is_not_judged(size, verdict):
    truth = with_item(np.zeros((2, 3, 4)), (0, 0, 0), -8.0)
    single = with_item(truth, (1, 1, 1), NAN).astype(np.float32)
    ours = with_item(truth, (1, 2, 3), 8 * size)
    found = local(ours, truth, truth, precision="float64", float32={"train/decoder/q": single})
    assert found.verdict == verdict
    assert bool(found.note) == (verdict == "not judged")


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_bound_of_float64_is_relative_to_the_largest_magnitude(scale):
    truth = scale * with_item(np.zeros((2, 3, 4)), (0, 0, 0), -8.0)
    for size, verdict in ((0.9 * FLOAT64_ALLOWED, "equal"), (1.1 * FLOAT64_ALLOWED, "different")):
        found = local(with_item(truth, (1, 2, 3), 8 * scale * size), truth, truth, precision="float64")
        assert (found.verdict, found.error) == (verdict, pytest.approx(size))


def test_the_step_where_a_departure_begins_is_named():
    error = ERROR.copy()
    error[:, 4:] *= 50.0
    found = local(TRUTH + error, TRUTH, THEIRS)
    assert (found.verdict, found.where["step"]) == ("different", 4)


# Pools ---------------------------------------------------------------------------------------------------------------


def test_each_pool_is_the_root_of_the_mean_square_over_all_else():
    first, second = RANDOM.standard_normal((2, 3, 4, 8))
    pools = pooled(TOTAL, (first,), second)
    names = [""] + ["row"] * 3 + ["step"] * 4 + ["gate"] * 4 + ["unit"] * 2
    assert pools.axes == names
    assert list(pools.indices) == [0, *range(3), *range(4), *range(4), *range(2)]
    for values, tensor in zip(pools.values, (first, second), strict=True):
        gates = tensor.reshape(3, 4, 4, 2)
        expected = [gates, *gates, *np.moveaxis(gates, 1, 0), *np.moveaxis(gates, 2, 0), *np.moveaxis(gates, 3, 0)]
        assert values == pytest.approx([np.sqrt(np.mean(part**2)) for part in expected], rel=1e-14)


def test_a_pool_of_equal_errors_is_as_large_as_it_has_elements():
    pools = pooled(TOTAL, (np.full((3, 4, 8), -1e-7),), RANDOM.standard_normal((3, 4, 8)))
    assert pools.sizes == pytest.approx([96, *[32] * 3, *[24] * 8, *[48] * 2])


@pytest.mark.parametrize(("large", "size"), [(1.0, 8.0), (1e3, 1.0), (1e100, 1.0)])
def test_a_pool_in_which_one_error_is_much_larger_is_as_good_as_that_one(large, size):
    errors = np.ones(8)
    errors[3] = large
    assert pooled("train/mu", (np.zeros(8), errors)).sizes == pytest.approx([size], rel=1e-4)
    assert pooled("train/mu", (errors, np.zeros(8))).sizes == pytest.approx([size], rel=1e-4)


def test_elements_that_are_zero_everywhere_do_not_count():
    tensor = np.zeros((4, 6))
    tensor[1] = 1.0
    pools = pooled("train/mu", (tensor, np.zeros((4, 6))))
    assert dict(zip(zip(pools.axes, pools.indices, strict=True), pools.sizes, strict=True)) == {
        ("", 0): 6, **{("row", row): 6 if row == 1 else 1 for row in range(4)}, **{("unit", u): 1 for u in range(6)}
    }  # fmt: skip


@pytest.mark.parametrize("shape", [(), (7,), (1, 7)])
def test_what_has_no_more_than_one_axis_is_one_pool(shape):
    assert set(pooled("train/mu", (np.ones(shape),)).axes) <= {"", "unit"}
    assert pooled("train/mu", (np.ones(shape),)).axes[0] == ""


# What is not finite --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [NAN, INF])
def test_where_the_official_float32_is_not_finite_ours_must_be_finite_and_near(odd):
    theirs = with_item(THEIRS, (0, 0, 0), odd)
    found = local(TRUTH + ERROR, TRUTH, theirs)
    assert (found.verdict, found.allowed) == ("official overflow", 0.01)
    assert local(with_item(TRUTH, (1, 1, 1), 9.0), TRUTH, theirs).verdict == "different"
    for bad in (NAN, INF):
        assert local(with_item(TRUTH, (1, 1, 1), bad), TRUTH, theirs).verdict == "different"


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_of_a_function_of_numbers_that_are_not_finite_the_rest_is_judged(precision):
    truth = with_item(TRUTH, (0, 0, 0), NAN)
    theirs = with_item(THEIRS, (0, 0, 0), NAN) if precision == "float32" else truth
    for ours, verdict in (
        (truth, "official overflow"),
        (TRUTH, "official overflow"),
        (with_item(truth, (2, 2, 2), NAN), "different"),
        (with_item(truth, (2, 2, 2), TRUTH[2, 2, 2] + 1.0), "different"),
    ):
        assert local(ours, truth, theirs, precision=precision).verdict == verdict


HYPER_BIAS = "vjp/decoder/hyper_{}/zw/super_linear_b"
ULP = 2.0**-33  # of the gradients in that test


def constant_gradient(ours: float, official: float, official_of_others: float, others=("ih", "jx")) -> Row:
    """The row of a bias whose elements all have the gradient 2^-10; arguments are errors in units of 2^-33."""
    name, shape = HYPER_BIAS.format("fx"), 32
    truth = {HYPER_BIAS.format(gate): np.full(shape, 2.0**-10) for gate in ("fx", *others)}
    errors = dict.fromkeys(others, official_of_others) | {"fx": official}
    groups = {
        "float32": {
            HYPER_BIAS.format(gate): (2.0**-10 + ULP * np.full(shape, error)).astype(np.float32)
            for gate, error in errors.items()
        },
        "float32_truth": truth,
    }
    return local(truth[name] + ULP * ours, truth[name], groups["float32"][name], name=name, **groups)


def test_a_gradient_that_is_one_number_is_held_against_that_of_the_other_gates_as_well():
    assert constant_gradient(40, 1, 0).verdict == "different"
    assert constant_gradient(40, 1, 30).verdict == "equal"
    assert constant_gradient(4000, 1, 30).verdict == "different"
    assert constant_gradient(40, 1, 30, others=()).verdict == "different"


def test_an_official_error_that_is_not_finite_in_another_gate_allows_nothing():
    assert constant_gradient(4000, 1, np.nan).verdict == "different"
    assert constant_gradient(40, 1, np.inf).verdict == "different"


def test_a_gradient_that_is_zero_is_held_against_zero():
    name, other = HYPER_BIAS.format("fx"), HYPER_BIAS.format("ih")
    zero, errors = np.zeros(32), np.full(32, ULP)
    groups = {
        "float32": {name: zero.astype(np.float32), other: errors.astype(np.float32)},
        "float32_truth": {name: zero, other: zero},
    }
    assert local(errors / 2, zero, zero, name=name, **groups).verdict == "different"
    assert local(zero, zero, zero, name=name, **groups).verdict == "equal"


def test_a_gradient_of_many_numbers_is_held_against_its_own_official_error_alone():
    truth = {HYPER_BIAS.format(gate): 2.0**-10 * (1 + np.arange(32) / 32) for gate in ("fx", "ih")}
    official = {name: values.astype(np.float32) for name, values in truth.items()}
    official[HYPER_BIAS.format("ih")] += np.float32(2.0**-12)
    name = HYPER_BIAS.format("fx")
    ours = truth[name] + 2.0**-14
    found = local(ours, truth[name], official[name], name=name, float32=official, float32_truth=truth)
    assert found.verdict == "different"
