"""Likely causes: each is named if its pattern explains every element, and never otherwise."""

import dataclasses

import numpy as np
import pytest
from cause_examples import (
    CLIPPED,
    EARLY,
    EVERY_ELEMENT,
    GRADIENTS,
    INF,
    LAYER,
    LENGTHS,
    MASK,
    MATRIX,
    NAN,
    NOT_FINITE,
    OTHER_SHAPES,
    PADDED,
    SERIES,
    UNITS,
    Example,
    blocks,
    numbers,
    with_noise,
)

from parity_tests.judge.likely_cause import likely_cause


@pytest.mark.parametrize("example", EVERY_ELEMENT.values(), ids=EVERY_ELEMENT)
def test_a_pattern_in_all_elements_is_told(example):
    assert example.hint() == example.sentence


@pytest.mark.parametrize("example", EVERY_ELEMENT.values(), ids=EVERY_ELEMENT)
def test_a_pattern_in_all_elements_but_one_is_not_told(example):
    ours = np.array(example.ours, np.float64)
    ours.flat[example.spoil] += 0.0123 * (np.abs(example.theirs).max() or 1)
    if ours.size > 1 or np.any(example.theirs):
        assert example.hint(ours) is None
    else:
        assert example.hint(ours) == example.sentence  # any number is not zero


@pytest.mark.parametrize(("name", "ours", "theirs", "sentence"), OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_another_shape_is_told(name, ours, theirs, sentence):
    assert likely_cause(name, np.asarray(ours), np.asarray(theirs), {}, 1e-10) == sentence


def test_a_shape_of_its_own_is_not_explained():
    assert likely_cause("train/z", numbers(4, 8), numbers(4, 6), {}, 1e-10) is None
    assert likely_cause("train/z", numbers(5, 9), numbers(4, 8), {}, 1e-10) is None
    assert likely_cause("train/z", numbers(4, 8), numbers(4), {}, 1e-10) is None
    assert likely_cause("train/z", numbers(0, 8), numbers(1, 8), {}, 1e-10) is None


@pytest.mark.parametrize(("name", "ours", "theirs", "sentence"), NOT_FINITE.values(), ids=NOT_FINITE)
def test_what_is_not_finite_is_told(name, ours, theirs, sentence):
    assert likely_cause(name, np.asarray(ours), np.asarray(theirs), {}, 1e-10) == sentence


# Those left out rest on digits that float32 does not have.
DIGITS = ("rounded", "computed in float32", "a mean over T - 1 steps", "nearly all", "a gamma nearly right")
IN_FLOAT32 = [name for name in EVERY_ELEMENT if name not in DIGITS]


@pytest.mark.parametrize("example", [EVERY_ELEMENT[name] for name in IN_FLOAT32], ids=IN_FLOAT32)
def test_patterns_are_found_among_the_rounding_of_float32(example):
    ours, theirs = np.asarray(example.ours, np.float32), np.asarray(example.theirs, np.float32)
    rounded = dataclasses.replace(example, theirs=theirs, tolerance=1e-5)
    assert rounded.hint(ours) == example.sentence


def test_a_comparison_in_float32_finds_nothing_in_float32_numbers():
    ours = (LAYER[0] + 3e-5 * numbers(9, 8, seed=1)).astype(np.float32)
    assert likely_cause("train/z", ours, LAYER[0], {}, 1e-10).startswith("ours looks rounded to float32")
    assert likely_cause("train/z", ours, LAYER[0], {}, 1e-5) is None


NAMES = {
    (4, 9, 8): ("train/decoder/i", "total", "train/pi", "eval/encoder/bw/output", "train/0/sketches"),
    (4, 8): ("train/mu", "sample/greedy/pi", "gradient/a/W_xh", "after/a/W_hh/Adam_1", "after/a/bias", "train/nll"),
    (3, 4, 5): ("gradient/a/W_xh", "train/mu", "train/decoder/c"),
    (2, 3, 4, 5): ("train/decoder/c",),
    (32,): ("clipped/a/bias", "series/learning_rate", "train/r_cost", "train/0/lengths"),
    (2,): ("clipped/a/bias", "series/learning_rate", "train/0/lengths"),
    (1, 2): ("train/mu", "sample/greedy/pi"),
    (1, 8): ("train/mu", "sample/greedy/pi", "gradient/a/W"),
    (2, 8): ("train/mu", "sample/greedy/pi", "gradient/a/W"),
    (): ("train/r_cost", "after/vector_rnn/beta1_power", "sample/greedy/next_uniform"),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
@pytest.mark.parametrize(("shape", "names"), NAMES.items(), ids=str)
def test_noise_is_not_explained(shape, names, dtype, tolerance):
    for seed in range(12):
        theirs = numbers(*shape, seed=seed).astype(dtype)
        others = {f"{name.rpartition('/')[0]}/{n}": numbers(*shape, seed=50 + n) for name in names for n in range(5)}
        lengths = np.random.default_rng(seed).integers(1, 9, size=shape[:1])
        for size in (1e-8, 1e-3, 1.0):
            noise = size * numbers(*shape, seed=seed + 100)
            one_row = noise * (np.arange(noise.size).reshape(shape) < max(1, noise.size // 4))
            one = noise * (np.arange(noise.size).reshape(shape) == noise.size - 1)
            for name in names:
                for each in (noise, one_row, one):
                    assert likely_cause(name, (theirs + each).astype(dtype), theirs, others, tolerance, lengths) is None


def test_masks_and_whole_numbers_are_not_explained():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        for name in ("sample/greedy/strokes", "train/decoder/g", "after/a/W_xh", "train/0/lengths"):
            shape = (6,) if name.endswith("lengths") else (4, 6)
            ours, theirs, other = rng.integers(0, 2, size=(3, *shape))
            ours.flat[:2], theirs.flat[:2] = (0, 1), (1, 0)
            assert likely_cause(name, ours, theirs, {name + "_2": ours, "train/decoder/h": other}, 1e-10) is None


def test_what_is_equal_within_the_tolerance_is_not_explained():
    for example in EVERY_ELEMENT.values():
        theirs = np.asarray(example.theirs, np.float64)
        assert example.hint(theirs) is None
        assert example.hint(theirs * (1 + 1e-11)) is None


SPARSE = MATRIX * (MATRIX > 0)
SEVERAL = {
    "zeros, not other zeros": Example(
        "gradient/a", 0 * MATRIX, MATRIX, "ours is zero everywhere, theirs is not", {"gradient/b": 0 * MATRIX}
    ),
    "a constant, not another quantity of that constant": Example(
        "after/a/b", np.ones(8), np.full(8, 2.0), "ours is 1 everywhere, theirs 2: another constant",
        {"after/c/b": np.ones(8)},
    ),
    "another quantity, not an order that happens to give it": Example(
        "i", LAYER[:, ::-1], LAYER, "our i is their j: two gates swapped", {"j": LAYER[:, ::-1]}
    ),
    "padding, not dropout": Example(
        "train/encoder/fw/g", np.where(EARLY, LAYER * MASK, 5), PADDED * MASK,
        "differs only after the end of the sketches: length handling or padding", lengths=LENGTHS,
    ),
    "all steps reversed, not those of each sketch": Example(
        "h", LAYER[:, ::-1], LAYER, "steps in reverse order", lengths=np.full(4, 9)
    ),
    "gates, not halves": Example(
        "after/a/W_xh", blocks(MATRIX, 2, 3, 0, 1), MATRIX,
        "four blocks of units in another order: ours f, o, i, j",
    ),
    "a sign, not a factor": Example("i", -LAYER, LAYER, "ours is theirs with the other sign"),
    "one factor, not one for each unit or row": Example(
        "train/decoder/i", 2 * LAYER, LAYER, "ours is 2.00000 times theirs"
    ),
    "one shift, not one for each unit": Example(
        "train/decoder/i", LAYER - 2.5, LAYER, "ours is theirs - 2.5 everywhere"
    ),
    "a factor of a sparse gradient, not dropout": Example(
        "gradient/a/W", SPARSE / 2, SPARSE, "ours is 0.500000 times theirs (1/2)"
    ),
    "a factor of a gradient that no clip reaches, not clipping": Example(
        "clipped/a/W", 0.9 * MATRIX, MATRIX, "ours is 0.900000 times theirs (9/10)", {"gradient/a/W": MATRIX}
    ),
    "the same of a step of training": Example(
        "steps/gradient/a/W", SPARSE / 2, SPARSE, "ours is 0.500000 times theirs (1/2)"
    ),
    "a factor of a padded layer, not dropout": Example(
        "train/encoder/fw/g", PADDED / 2, PADDED, "ours is 0.500000 times theirs (1/2)"
    ),
    "a factor of a layer with an idle unit, not dropout": Example(
        "g", LAYER * (np.arange(8) > 0) / 2, LAYER * (np.arange(8) > 0), "ours is 0.500000 times theirs (1/2)"
    ),
    "shifted steps, not what is carried over": Example(
        "series/learning_rate", np.append(SERIES[0], SERIES[:-1]), SERIES,
        "training steps shifted by one: ours at t is theirs at t-1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("example", SEVERAL.values(), ids=SEVERAL)
def test_of_several_patterns_the_most_specific_is_told(example):
    assert example.hint() == example.sentence


ONE = np.zeros((4, 9, 8))
ONE[1, 2, 3] = 1.0
LUCK = {
    "a factor of a single number": ("i", 0.3 * ONE, ONE),
    "nearly 3/2": ("train/r_cost", 1.5004, 1.0),
    "no fraction": ("train/r_cost", np.pi, 1.0),
    "two numbers swapped": ("train/z", np.diag([1.0, 2.0]), np.diag([2.0, 1.0])),
    "a round number is not rounded": ("train/r_cost", 0.5, 0.50001),
    "padding of unknown lengths is not dropout": ("train/encoder/fw/g", LAYER, PADDED),
    "noise that is within the tolerance at one step": (
        "series/learning_rate",
        SERIES + 1e-12 * np.arange(0.05, 30),
        SERIES,
    ),
    "a little at the first step": (
        "train/decoder/h",
        with_noise(LAYER, np.s_[:, 1:]) + 1e-7 * numbers(4, 9, 8, seed=4),
        LAYER,
    ),
    "from the fourth step on": ("train/decoder/h", with_noise(LAYER, np.s_[:, 3:]), LAYER),
    "a gradient enlarged is not clipped": (CLIPPED, 20 * MATRIX, (10 * MATRIX).clip(-1, 1)),
    "all at one bound": ("a", np.full((9, 8), 2.0), 3 + LAYER[0] ** 2),
    "a bound of one element": ("a", np.minimum(MATRIX, np.sort(MATRIX.flat)[-2]) + 2e-9 * numbers(5, 32), MATRIX),
    "numbers that are the same in all rows": ("train/mu", np.tile(UNITS, (9, 1)), np.tile(UNITS[::-1] ** 2, (9, 1))),
    "the same for all rows, theirs not": ("train/mu", np.tile(UNITS, (9, 1)), LAYER[0]),
    "gamma and beta of a gradient": ("gradient/a/W", MATRIX * MATRIX[0] + MATRIX[1], MATRIX),
    "steps left out are no normalisation": ("g", 1.1 * LAYER * (numbers(4, 9, 1) > 0), LAYER),
    "what nearly vanishes is no small part": ("i", 1e-12 * numbers(4, 9, 8, seed=1), LAYER),
    "no lengths, but as many": ("train/z", with_noise(LAYER[:, 0], LENGTHS < 9), LAYER[:, 0]),
}


@pytest.mark.parametrize(("name", "ours", "theirs"), LUCK.values(), ids=LUCK)
def test_what_would_fit_by_luck_is_not_told(name, ours, theirs):
    assert likely_cause(name, np.asarray(ours), np.asarray(theirs), GRADIENTS, 1e-10) is None


def test_a_lone_number_must_be_met_closely():
    assert likely_cause("train/r_cost", np.array(1.5004), np.array(1.0), {}, 1e-5) is None
    others = {"train/r_cost": np.array(1.2501)}
    assert likely_cause("train/cost", np.array(1.250105), np.array(1.0), others, 1e-5) == "our cost is their r_cost"
    assert likely_cause("train/cost", np.array(1.2503), np.array(1.0), others, 1e-5) is None


def test_what_hides_theirs_does_not_explain_it():
    ours, theirs = 3 + 1e-4 * numbers(4, 9, 8, seed=1), 1e-4 * LAYER
    assert likely_cause("i", ours, theirs, {}, 1e-5) is None


def test_one_sketch_that_differs_may_be_shorter_by_luck():
    ours, lengths = with_noise(LAYER, np.s_[3:]), np.array([9, 9, 9, 2])
    assert likely_cause("train/decoder/h", ours, LAYER, {}, 1e-10, lengths) is None
    assert likely_cause("train/decoder/h", with_noise(LAYER, np.s_[:]), LAYER, {}, 1e-10, 0 * lengths) is None


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e200, 1e308])
def test_numbers_near_the_ends_of_float64_are_not_explained(size):
    ours, theirs = (size * numbers(4, 9, 8, seed=seed).clip(-1.7, 1.7) for seed in (1, 2))
    assert likely_cause("i", ours, theirs, {}, 1e-10) is None
    assert likely_cause("i", ours, LAYER, {}, 1e-10) is None
    assert likely_cause("i", LAYER, theirs, {}, 1e-10) is None


def test_only_near_relatives_are_another_quantity():
    theirs = numbers(4, 9, 8, seed=1)
    for name, other in (
        ("train/decoder/i", "train/encoder/fw/i"),
        ("i", "hyper_cell/i"),
        ("gradient/a/W", "after/a/W"),
        ("train/decoder/i", "eval/decoder/o"),
    ):
        assert likely_cause(name, LAYER, theirs, {other: LAYER}, 1e-10) is None


def contents(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values, kind = rng.normal(size=shape), rng.integers(3)
    if kind == 0:
        return values
    if kind == 1:
        return np.full(shape, rng.choice([0.0, 1.0, -1.0, 1e-320, 1e308, -1e308]))
    odd = rng.choice([NAN, INF, -INF, 0.0, 1e308, -1e200, 1e-310, 1e30], size=shape)
    return np.where(rng.random(shape) < 0.3, odd, values * rng.choice([1.0, 1e-300, 1e150]))


def test_no_numbers_whatever_raise():
    rng = np.random.default_rng(0)
    names = [name for some in NAMES.values() for name in some] + ["", "/", "clipped/", "sample//", "train/keep_prob/x"]
    told = 0
    for _ in range(3000):
        shape = tuple(rng.choice([1, 2, 3, 4, 5, 8] * 8 + [0], size=rng.integers(6)))
        theirs, rows = contents(rng, shape), shape[:1]
        with np.errstate(all="ignore"):
            choices = (theirs + 1, theirs[..., None], contents(rng, shape), theirs * contents(rng, shape), theirs.T)
            both = (choices[rng.integers(len(choices))], theirs)
            dtypes = rng.choice(["?", "b", "u8", "i8", "f2", "f4", "f8", "g", ">f8"], size=2)
            ours, theirs = (side.astype(dtype) for side, dtype in zip(both, dtypes, strict=True))
        lengths = (
            None,
            np.zeros(rows, int),
            rng.integers(0, 3, rows),
            rng.integers(-2, 9, rows),
            np.full(rows, NAN),
            3,
        )
        name = str(rng.choice(names))
        others = {name: theirs, f"{name}x": ours, name.replace("clipped", "gradient"): theirs, "y": np.array("text")}
        tolerance = float(rng.choice([0.0, 1e-10, 1e-5, 1.0]))
        hint = likely_cause(name, ours, theirs, others, tolerance, lengths[rng.integers(len(lengths))])
        assert hint is None or hint
        told += hint is not None
    assert 500 < told < 2500


@pytest.mark.parametrize(
    "odd", [np.array("text"), np.array([None, 1]), np.array([1j]), np.array(["2020-01-01"], "M8[D]")]
)
def test_what_is_no_number_is_not_explained(odd):
    assert likely_cause("a", odd, odd, {}, 1e-10) is None
    assert likely_cause("a", numbers(1), odd, {}, 1e-10) is None
