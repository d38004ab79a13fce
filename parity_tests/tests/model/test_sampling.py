"""Drawing many sketches: their draws, distribution and ends; and what both samplers refuse."""

import random
import re

import numpy as np
import pytest
import torch
from sampling_models import BLOCK, MAX_LEN, Z, both_modes, constant, latents, make
from torch import Tensor

from pytorch_sketch_rnn.data.strokes import START_TOKEN
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import CELL_TYPES
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.sampling import (
    LARGEST_TEMPERATURE,
    LEAST_TEMPERATURE,
    sample,
    sample_batch,
)
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

pytestmark = pytest.mark.usefixtures("every_sampler")


class RowDraws:
    """Gives each sketch its own numbers, whichever other sketches are still in the batch.

    Each sketch ends at its step in ``lengths`` and still draws in the block of that step.
    """

    def __init__(self, seeds: list[int], lengths: list[int]) -> None:
        self.streams = [np.random.RandomState(seed) for seed in seeds]
        self.lengths = lengths
        self.requests: list[tuple] = []
        self.numbers: dict[tuple[str, int], np.ndarray] = {}

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return self._draw(name, shape, like, "standard_normal")

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return self._draw(name, shape, like, "random_sample")

    def _draw(self, name: str, shape: tuple[int, ...], like: Tensor, method: str) -> Tensor:
        self.requests.append((name, shape))
        first = 0 if name == "latent" else int(name.rpartition("/")[2])
        present = [row for row, length in enumerate(self.lengths) if length >= first]
        assert shape[0] == len(present), f"{name}: {shape} for the sketches {present}"
        for row in present:
            self.numbers[name, row] = np.asarray(getattr(self.streams[row], method)(shape[1:]))
        return torch.from_numpy(np.stack([self.numbers[name, row] for row in present])).to(like.dtype)

    def of(self, name: str, step: int, row: int) -> np.ndarray:
        """The numbers of a step."""
        first = step // BLOCK * BLOCK
        numbers = self.numbers[f"sample/{name}/{first}", row]
        return numbers.reshape(-1, 2 if name == "offset" else 1)[step - first]


COUNT, SEEDS = 6, [21, 22, 23, 24, 25, 26]


def alone(model: SketchRNN, temperature: float = 1.0) -> list[np.ndarray]:
    """Each sketch drawn in a batch of its own."""
    return [sample_batch(model, 1, None, temperature, draws=RowDraws([seed], [MAX_LEN]))[0] for seed in SEEDS]


def together(model: SketchRNN, temperature: float = 1.0) -> tuple[list[np.ndarray], RowDraws]:
    draws = RowDraws(SEEDS, [len(sketch) for sketch in alone(model, temperature)])
    return sample_batch(model, COUNT, None, temperature, draws=draws), draws


@pytest.mark.parametrize("kind", CELL_TYPES)
@both_modes
def test_a_sketch_does_not_depend_on_the_others_in_its_batch(kind, conditional):
    model = make(kind, conditional=conditional)
    expected = alone(model)
    assert len({len(sketch) for sketch in expected}) > 2
    for ours, single in zip(together(model)[0], expected, strict=True):
        assert ours.shape == single.shape
        np.testing.assert_allclose(ours, single, rtol=1e-6, atol=1e-6)


@both_modes
def test_draws_are_requested_by_their_documented_names_for_unfinished_sketches_only(conditional):
    sketches, draws = together(make(conditional=conditional))
    lengths = [len(sketch) for sketch in sketches]
    expected = [("latent", (COUNT, Z))] if conditional else []
    for first in range(0, min(max(lengths) + 1, MAX_LEN), BLOCK):
        rows, steps = sum(length >= first for length in lengths), min(BLOCK, MAX_LEN - first)
        expected += [(f"sample/{name}/{first}", (rows, steps)) for name in ("component", "pen")]
        expected.append((f"sample/offset/{first}", (rows, 2 * steps)))
    assert draws.requests == expected


@pytest.mark.parametrize("temperature", [0.8, 1.0, 1.5])
def test_each_sketch_follows_from_its_mixtures_and_draws_and_stops_at_its_end(temperature):
    model = make()
    sketches, draws = together(model, temperature)
    assert any(len(sketch) < MAX_LEN for sketch in sketches)
    for row, sketch in enumerate(sketches):
        pen_up = sketch[:, 2]
        inputs = np.concatenate([[START_TOKEN], np.column_stack([sketch[:, :2], 1 - pen_up, pen_up, 0 * pen_up])])
        with torch.no_grad():
            z = torch.from_numpy(draws.numbers["latent", row]).unsqueeze(0)
            mixture = model.decode(torch.from_numpy(inputs).unsqueeze(0), z).parameters()
        for step in range(min(len(sketch) + 1, MAX_LEN)):
            here = {name: values[0, step].numpy() for name, values in mixture.items()}
            picked = []
            for name, pdf in (("component", here["pi"]), ("pen", here["pen"])):
                sharp = pdf ** (1 / temperature)
                (x,) = draws.of(name, step, row)
                picked.append(int(np.searchsorted(np.cumsum(sharp / sharp.sum()), x)))
            component, pen = picked
            assert (pen == 2) == (step == len(sketch))
            if pen == 2:
                break
            e1, e2 = draws.of("offset", step, row)
            mu1, mu2, sigma1, sigma2, corr = (
                here[name][component] for name in ("mu1", "mu2", "sigma1", "sigma2", "corr")
            )
            dx = mu1 + temperature * sigma1 * e1
            dy = mu2 + temperature * sigma2 * (corr * e1 + np.sqrt(1 - corr**2) * e2)
            np.testing.assert_allclose(sketch[step], [dx, dy, pen], rtol=1e-5, atol=1e-5)


def test_a_sketch_that_does_not_end_is_cut_off_and_one_that_ends_at_once_is_empty():
    ends = {"never": [0.5, 0.5, 1e-300], "at once": [1e-300, 1e-300, 1.0]}
    lengths = {}
    for name, pen in ends.items():
        model = constant([1 / 3] * 3, pen, [[0, 0]] * 3, [[1, 1]] * 3, [0, 0, 0])
        lengths[name] = [sketch.shape for sketch in sample_batch(model, 5, 9)]
        assert all(sketch.dtype == np.float32 for sketch in sample_batch(model, 2))
        assert {len(sketch) for sketch in sample_batch(model, 2)} == ({MAX_LEN} if name == "never" else {0})
    assert lengths == {"never": [(9, 3)] * 5, "at once": [(0, 3)] * 5}


def test_a_given_z_is_used_and_not_drawn():
    model, z = make(), latents(COUNT)
    draws = [TorchDraws(torch.Generator().manual_seed(1)) for _ in range(3)]
    first = sample_batch(model, COUNT, z=z, draws=draws[0])
    again = sample_batch(model, COUNT, z=z.clone(), draws=draws[1])
    other = sample_batch(model, COUNT, z=-z, draws=draws[2])
    assert all(np.array_equal(ours, same) for ours, same in zip(first, again, strict=True))
    assert not all(np.array_equal(ours, changed) for ours, changed in zip(first, other, strict=True))


def test_without_draws_torchs_global_generator_is_used():
    model = make()
    torch.manual_seed(1)
    first, later = sample_batch(model, COUNT), sample_batch(model, COUNT)
    given = sample_batch(model, COUNT, draws=TorchDraws(torch.Generator().manual_seed(1)))
    assert all(np.array_equal(ours, same) for ours, same in zip(first, given, strict=True))
    assert not all(np.array_equal(ours, other) for ours, other in zip(first, later, strict=True))


# -------------------------------------------------------------------------------------------------- statistics
PI, PEN = [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]
MU = [[-40.0, 0.0], [0.0, 30.0], [50.0, -20.0]]  # so far apart that each point identifies its component
SIGMA = [[1.0, 2.0], [0.5, 0.5], [3.0, 1.0]]
CORR = [0.8, -0.5, 0.0]


def assert_frequencies(counts: np.ndarray, expected: np.ndarray) -> None:
    total = counts.sum()
    assert (np.abs(counts / total - expected) < 5 * np.sqrt(expected * (1 - expected) / total)).all()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_many_points_have_the_distribution_of_their_mixture(temperature):
    """Frequencies of components and pen states, mean and covariance of each component, within 5 deviations."""
    count = 40_000
    draws = TorchDraws(torch.Generator().manual_seed(1))
    points = sample_batch(constant(PI, PEN, MU, SIGMA, CORR), count, 1, temperature, draws=draws)
    going = np.concatenate(points)  # those that did not end at once
    sharp_pen, sharp_pi = (np.array(pdf) ** (1 / temperature) for pdf in (PEN, PI))
    lifted = int(going[:, 2].sum())
    assert_frequencies(np.array([len(going) - lifted, lifted, count - len(going)]), sharp_pen / sharp_pen.sum())
    component = np.linalg.norm(going[:, None, :2] - np.array(MU), axis=2).argmin(axis=1)
    assert_frequencies(np.bincount(component, minlength=3), sharp_pi / sharp_pi.sum())
    for index in range(3):
        mine = going[component == index, :2].astype(np.float64)
        sigma, corr, n = temperature * np.array(SIGMA[index]), CORR[index], len(mine)
        assert (np.abs(mine.mean(axis=0) - MU[index]) < 5 * sigma / np.sqrt(n)).all()
        expected = np.outer(sigma, sigma) * np.array([[1, corr], [corr, 1]])
        # the variance of a sample covariance of normals is (s_ii s_jj + s_ij^2) / n
        spread = np.sqrt((np.outer(sigma**2, sigma**2) + expected**2) / n)
        assert (np.abs(np.cov(mine.T) - expected) < 5 * spread).all()


@pytest.mark.parametrize("temperature", [1e-3, 1e-20, LEAST_TEMPERATURE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_a_tiny_temperature_every_sketch_is_the_most_likely_one(dtype, temperature):
    model = constant([0.3, 0.3 + 1e-3, 0.399], [0.3, 0.4, 0.3], MU, SIGMA, CORR).to(dtype)
    for sketch in sample_batch(model, 50, 3, temperature):
        np.testing.assert_allclose(sketch, [[*MU[2], 1]] * 3, atol=0.05)


@pytest.mark.parametrize("as_given", [Tensor.numpy, Tensor.tolist, Tensor.double])
def test_z_may_be_an_array_a_list_or_of_another_dtype(as_given):
    model = make(dtype=torch.float32)
    z = latents(1).float()
    first, second = (
        sample(model, 12, z=given, uniform=random.Random(5), normal=np.random.RandomState(5)).strokes
        for given in (z, as_given(z))
    )
    np.testing.assert_array_equal(second, first)
    expected = sample_batch(model, 1, z=z, draws=TorchDraws(torch.Generator().manual_seed(6)))[0]
    given = sample_batch(model, 1, z=as_given(z), draws=TorchDraws(torch.Generator().manual_seed(6)))[0]
    assert len(expected) > 0
    np.testing.assert_array_equal(given, expected)


# ------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("temperature", [0, 0.0, -1, float("nan"), float("inf"), 1e-50, 1e-31, 1e10, 1e300])
def test_a_temperature_that_is_not_positive_or_would_overflow_is_bad_input(temperature):
    for draw in (lambda: sample(make(), 3, temperature), lambda: sample_batch(make(), 3, 3, temperature)):
        with pytest.raises(BadInput, match=re.escape(f"temperature is {temperature}, expected 1e-30 to 1e+09; ")):
            draw()


@pytest.mark.parametrize("temperature", [LEAST_TEMPERATURE, LARGEST_TEMPERATURE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_temperature_in_the_range_gives_finite_sketches(dtype, temperature):
    for kind in CELL_TYPES:
        model = make(kind, dtype=dtype)
        drawn = sample(model, MAX_LEN, temperature, uniform=random.Random(1), normal=np.random.RandomState(1))
        assert np.isfinite(drawn.strokes).all()
        assert all(np.isfinite(sketch).all() for sketch in sample_batch(model, COUNT, MAX_LEN, temperature))


def test_counts_and_lengths_below_1_are_bad_input():
    for draw, name in (
        (lambda: sample(make(), 0), "seq_len"),
        (lambda: sample_batch(make(), 0), "count"),
        (lambda: sample_batch(make(), 1, 0), "max_len"),
    ):
        with pytest.raises(BadInput, match=f"^{name} is 0, expected at least 1"):
            draw()


@pytest.mark.parametrize("shape", [(1, Z + 1), (2, Z), (Z,)])
def test_a_z_that_does_not_fit_is_bad_input(shape):
    for draw in (lambda z: sample(make(), 3, z=z.numpy()), lambda z: sample_batch(make(), 1, 3, z=z)):
        with pytest.raises(BadInput, match=r"^expected z \[1, 4\], got \["):
            draw(torch.zeros(shape, dtype=torch.float64))


def test_a_z_for_an_unconditional_model_is_bad_input_when_a_batch_is_drawn():
    with pytest.raises(BadInput, match="unconditional: z must be None"):
        sample_batch(make(conditional=False), COUNT, z=latents(COUNT))
