"""Drawing a sketch with Magenta's random streams: the order of the draws, and what follows from them."""

import random

import numpy as np
import pytest
import torch
from sampling_models import Z, both_modes, constant, latents, make

from pytorch_sketch_rnn.data.strokes import START_TOKEN
from pytorch_sketch_rnn.hparams import CELL_TYPES
from pytorch_sketch_rnn.model.mixture import PARAMETERS
from pytorch_sketch_rnn.model.sampling import Sample, sample
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

pytestmark = pytest.mark.usefixtures("every_sampler")


class SpyUniform(random.Random):
    """Records each number that is drawn."""

    def __init__(self, seed: int, log: list) -> None:
        super().__init__(seed)
        self.log = log

    def random(self):
        self.log.append("uniform")
        return super().random()


class SpyNormal(np.random.RandomState):
    """Records each draw and its arguments."""

    def __init__(self, seed: int, log: list) -> None:
        super().__init__(seed)
        self.log = log

    def randn(self, *shape):
        self.log.append(("randn", shape))
        return super().randn(*shape)

    def multivariate_normal(self, mean, cov, *arguments):
        self.log.append(("offset", np.array(mean, dtype=float), np.array(cov, dtype=float)))
        return super().multivariate_normal(mean, cov, *arguments)


def drawn(model: SketchRNN, seq_len: int = 12, seed: int = 5, **options) -> tuple[Sample, list]:
    log: list = []
    result = sample(model, seq_len, uniform=SpyUniform(seed, log), normal=SpyNormal(seed, log), **options)
    return result, log


@both_modes
def test_numbers_are_drawn_in_magentas_order(conditional):
    """First z, even for a model that does not use it; then at each step the component, the pen and the offset."""
    _, log = drawn(make(conditional=conditional), 12)
    assert log[0] == ("randn", (1, Z))
    steps = [entry if isinstance(entry, str) else entry[0] for entry in log[1:]]
    assert steps == ["uniform", "uniform", "offset"] * 12


@both_modes
def test_a_given_z_is_not_drawn_and_greedy_draws_no_offsets(conditional):
    z = latents(1).numpy()
    _, log = drawn(make(conditional=conditional), 12, z=z)
    assert [entry if isinstance(entry, str) else entry[0] for entry in log] == ["uniform", "uniform", "offset"] * 12
    _, log = drawn(make(conditional=conditional), 12, z=z, greedy_mode=True)
    assert log == ["uniform", "uniform"] * 12


def test_a_drawn_z_is_the_first_number_of_the_normal_stream():
    model = make()
    implicit = sample(model, 9, uniform=random.Random(1), normal=np.random.RandomState(2))
    normal = np.random.RandomState(2)
    explicit = sample(model, 9, z=normal.randn(1, Z), uniform=random.Random(1), normal=normal)
    np.testing.assert_array_equal(implicit.strokes, explicit.strokes)
    other = sample(model, 9, z=latents(1).numpy(), uniform=random.Random(1), normal=np.random.RandomState(2))
    assert not np.array_equal(other.strokes, explicit.strokes)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_component_pen_and_offset_follow_from_the_mixture_and_the_streams(temperature):
    result, log = drawn(make(), 30, temperature=temperature, z=latents(1).numpy())
    offsets = [entry for entry in log if entry[0] == "offset"]
    uniform, normal = random.Random(5), np.random.RandomState(5)
    for step, (_, mean, cov) in enumerate(offsets):
        here = {name: values[step] for name, values in result.mixture.items()}
        picked = []
        for pdf in (here["pi"], here["pen"]):
            sharp = pdf ** (1 / temperature)
            picked.append(int(np.searchsorted(np.cumsum(sharp / sharp.sum()), uniform.random())))
        component, pen = picked
        sigma1, sigma2 = (temperature * here[name][component] for name in ("sigma1", "sigma2"))
        off = here["corr"][component] * sigma1 * sigma2
        np.testing.assert_array_equal(mean, [here["mu1"][component], here["mu2"][component]])
        np.testing.assert_allclose(cov, [[sigma1**2, off], [off, sigma2**2]], rtol=1e-12)
        np.testing.assert_array_equal(result.strokes[step, 2:], np.eye(3)[pen])
        np.testing.assert_array_equal(result.strokes[step, :2], normal.multivariate_normal(mean, cov).astype("f4"))


@pytest.mark.parametrize("kind", CELL_TYPES)
@both_modes
def test_the_mixtures_equal_the_decoders_for_the_drawn_strokes(kind, conditional):
    model, z = make(kind, conditional=conditional), latents(1)
    result, _ = drawn(model, 10, z=z.numpy())
    assert (result.strokes.shape, result.strokes.dtype) == ((10, 5), np.float32)
    inputs = np.concatenate([[START_TOKEN], result.strokes[:-1]])
    with torch.no_grad():
        mixture = model.decode(torch.from_numpy(inputs).unsqueeze(0), z if conditional else None)
    assert tuple(result.mixture) == PARAMETERS
    for name, values in result.mixture.items():
        np.testing.assert_allclose(values, getattr(mixture, name)[0], rtol=1e-12, atol=1e-14)


def test_greedy_mode_takes_the_most_likely_whatever_the_streams_give():
    model, z = make(), latents(1).numpy()
    first, _ = drawn(model, 15, seed=1, z=z, greedy_mode=True)
    second, _ = drawn(model, 15, seed=2, z=z, greedy_mode=True, temperature=0.2)
    np.testing.assert_array_equal(first.strokes, second.strokes)
    best = first.mixture["pi"].argmax(axis=1)
    for column, name in enumerate(("mu1", "mu2")):
        expected = first.mixture[name][np.arange(15), best].astype(np.float32)
        np.testing.assert_array_equal(first.strokes[:, column], expected)
    np.testing.assert_array_equal(first.strokes[:, 2:].argmax(axis=1), first.mixture["pen"].argmax(axis=1))


def test_a_low_temperature_approaches_greedy_mode():
    model, z = make(), latents(1).numpy()
    greedy, _ = drawn(model, 15, z=z, greedy_mode=True)
    cold, _ = drawn(model, 15, z=z, temperature=1e-4)
    warm, _ = drawn(model, 15, z=z)
    np.testing.assert_allclose(cold.strokes, greedy.strokes, atol=5e-3)
    assert np.abs(warm.strokes - greedy.strokes).max() > 0.1


def test_drawing_continues_past_the_end_of_the_sketch():
    model = constant([1 / 3] * 3, [0.1, 0.1, 0.8], [[0, 0]] * 3, [[1, 1]] * 3, [0, 0, 0])
    result, _ = drawn(model, 20)
    ended = result.strokes[:, 4] == 1
    assert ended[:-1].any()
    assert result.strokes[np.argmax(ended) + 1 :, :2].all()


def test_streams_of_the_same_seed_give_the_same_sketch_and_fresh_ones_differ():
    model = make()
    np.testing.assert_array_equal(drawn(model)[0].strokes, drawn(model)[0].strokes)
    assert not np.array_equal(drawn(model, seed=1)[0].strokes, drawn(model, seed=2)[0].strokes)
    assert not np.array_equal(sample(model, 5).strokes, sample(model, 5).strokes)
