"""Keyed draws depend on seed, step, name, row, time step and unit, and on nothing else."""

import itertools

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import KeyedDraws, KeyedMask

LIKE = torch.zeros(1, dtype=torch.float64)
KINDS = ("mask", "normal", "uniform")


def draw(kind, seed=1, step=2, rows=range(4), steps=9, name="decoder/input", like=LIKE, units=12):
    draws = KeyedDraws(seed, step, rows)
    if kind == "mask":
        return draws.mask(name, (len(rows), steps, units), 0.8).tensor(like)
    return getattr(draws, kind)(name, (len(rows), 6), like)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_gives_the_same_numbers(kind):
    assert torch.equal(draw(kind), draw(kind))
    assert draw(kind).dtype == torch.float64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [{"seed": 2}, {"step": 3}, {"name": "decoder/output"}, {"rows": range(4, 8)}])
def test_another_key_gives_other_numbers(kind, other):
    assert not torch.equal(draw(kind), draw(kind, **other))


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_step_are_two_numbers_and_not_their_sum(kind):
    assert not torch.equal(draw(kind, seed=1, step=2), draw(kind, seed=2, step=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [5, 2**31 - 6])
def test_seeds_that_differ_only_in_high_bits_give_other_numbers(kind, seed):
    assert not torch.equal(draw(kind, seed=seed), draw(kind, seed=seed ^ 2**30))
    assert not torch.equal(draw(kind, step=seed), draw(kind, step=seed ^ 2**30))


def test_no_two_masks_of_a_model_are_equal():
    names = ("encoder/fw/recurrent", "encoder/bw/recurrent", "decoder/recurrent", "decoder/input", "decoder/output")
    masks = [draw("mask", name=name) for name in names]
    for one, other in itertools.combinations(masks, 2):
        assert not torch.equal(one, other)


def test_every_time_step_of_every_row_has_its_own_mask():
    masks = draw("mask", steps=20, units=100).flatten(0, 1)
    for one, other in itertools.combinations(masks, 2):
        assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_numbers_whichever_rows_are_drawn_with_it(kind):
    whole = draw(kind)
    parts = [draw(kind, rows=rows) for rows in (range(0, 1), range(1, 4))]
    assert torch.equal(whole, torch.cat(parts))
    assert torch.equal(whole[[3, 1]], draw(kind, rows=[3, 1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [1, 3, 8, 13, 39])
def test_a_shorter_batch_gets_the_first_steps_of_the_same_masks(dtype, steps):
    whole, shorter = (draw("mask", steps=n, like=LIKE.to(dtype)) for n in (40, steps))
    assert torch.equal(whole[:, :steps], shorter)


@pytest.mark.parametrize("units", [1, 5, 512])
def test_masks_do_not_depend_on_how_they_are_computed(units, monkeypatch):
    """In NumPy, in threads, a few rows at a time, or the whole tensor on a device; in float32 or float64."""
    mask = KeyedDraws(3, 4, range(6)).mask("m", (6, 21, units), 0.9)
    for like in (LIKE, LIKE.float()):
        on_device = mask._on_device(like)
        assert torch.equal(mask.tensor(like), on_device)
        assert on_device.dtype == like.dtype
    monkeypatch.setattr("pytorch_sketch_rnn.model.draws._WORTH_THREADS", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(mask.tensor(LIKE), mask._on_device(LIKE))
    monkeypatch.setattr("pytorch_sketch_rnn.model.draws._IN_CACHE", 2 * 3 * units)  # two rows at a time
    assert torch.equal(mask.tensor(LIKE), mask._on_device(LIKE))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_numbers_are_the_same_on_a_gpu(device):
    if not getattr(torch, device).is_available():
        pytest.skip(f"no {device} device here")
    for kind in KINDS:
        ours, theirs = draw(kind, like=LIKE.float()), draw(kind, like=LIKE.float().to(device)).cpu()
        if kind == "normal":
            torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(theirs, ours)


def test_float32_and_float64_draw_the_same():
    for kind in KINDS:
        ours, theirs = draw(kind, like=LIKE.float()).double(), draw(kind)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("keep_prob", [0.1, 0.5, 0.9])
def test_masks_are_inverted_dropout_at_the_requested_rate(keep_prob):
    mask = KeyedDraws(0, 0, range(50)).mask("m", (50, 40, 100), keep_prob).tensor(LIKE)
    assert set(mask.unique().tolist()) == {0.0, 1 / keep_prob}
    deviation = np.sqrt(keep_prob * (1 - keep_prob))
    assert abs(float((mask > 0).double().mean()) - keep_prob) < 4 * deviation / np.sqrt(mask.numel())
    kept = (mask > 0).double() - keep_prob  # neighbours along each axis do not correlate
    for axis in range(3):
        n = mask.shape[axis] - 1
        product = (kept.narrow(axis, 0, n) * kept.narrow(axis, 1, n)).mean() / deviation**2
        assert abs(float(product)) < 5 / np.sqrt(mask.numel())


@pytest.mark.parametrize(("keep_prob", "share"), [(1.0, 1.0), (1e-9, 0.0)])
def test_the_ends_of_the_range_keep_all_or_nothing(keep_prob, share):
    mask = KeyedDraws(0, 0, range(5)).mask("m", (5, 40, 100), keep_prob)
    for values in (mask.tensor(LIKE), mask._on_device(LIKE)):
        assert float((values > 0).double().mean()) == share


def test_normal_numbers_are_normal():
    normal = KeyedDraws(0, 0, range(500)).normal("latent", (500, 200), LIKE).flatten()
    assert abs(float(normal.mean())) < 5 / np.sqrt(100_000)
    assert abs(float(normal.std()) - 1) < 5 / np.sqrt(200_000)
    assert abs(float((normal**4).mean()) - 3) < 5 * np.sqrt(96 / 100_000)
    assert torch.isfinite(normal).all()
    assert float(normal.abs().max()) > 3.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_numbers_fill_0_to_1(dtype):
    values = KeyedDraws(0, 0, range(500)).uniform("u", (500, 200), torch.zeros(1, dtype=dtype))
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    counts = np.histogram(values.numpy(), bins=10, range=(0, 1))[0]
    assert np.abs(counts - 10_000).max() < 5 * np.sqrt(9000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_for_another_number_of_rows_is_refused(kind):
    draws = KeyedDraws(0, 0, range(3))
    with pytest.raises(BadInput, match="n: requested for 4 rows, but these draws are keyed for 3"):
        draws.mask("n", (4, 2, 6), 0.5) if kind == "mask" else getattr(draws, kind)("n", (4, 6), LIKE)


def test_a_mask_is_a_description_until_its_numbers_are_needed():
    mask = KeyedDraws(1, 2, range(100)).mask("decoder/recurrent", (100, 10**9, 512), 0.9)
    assert isinstance(mask, KeyedMask)
    assert (mask.shape, mask.keep_prob, mask.threshold) == ((100, 10**9, 512), 0.9, 58982)
