"""Draws that are keyed by seed, step, name and row."""

import itertools

import pytest
import torch

from pytorch_sketch_rnn.model.draws import KeyedDraws

LIKE = torch.zeros(1, dtype=torch.float64)


def draw(kind, seed=1, step=2, rows=range(4), longest=9, steps=9, name="decoder/input"):
    draws = KeyedDraws(seed, step, rows, longest)
    if kind == "mask":
        return draws.mask(name, (steps, len(rows), 6), 0.8, LIKE)
    return getattr(draws, kind)(name, (len(rows), 6), LIKE)


KINDS = ("mask", "normal", "uniform")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_gives_the_same_numbers(kind):
    assert torch.equal(draw(kind), draw(kind))
    assert draw(kind).dtype == torch.float64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [{"seed": 2}, {"step": 3}, {"name": "decoder/output"}, {"rows": range(4, 8)}])
def test_any_other_key_gives_other_numbers(kind, other):
    assert not torch.equal(draw(kind), draw(kind, **other))


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_step_are_two_numbers_and_not_their_sum(kind):
    assert not torch.equal(draw(kind, seed=1, step=2), draw(kind, seed=2, step=1))


def test_no_two_masks_of_a_model_are_alike():
    names = ("encoder/fw/recurrent", "encoder/bw/recurrent", "decoder/recurrent", "decoder/input", "decoder/output")
    masks = [draw("mask", name=name) for name in names]
    for one, other in itertools.combinations(masks, 2):
        assert not torch.equal(one, other)


def test_every_step_of_a_sketch_has_a_mask_of_its_own():
    for one, other in itertools.combinations(draw("mask"), 2):
        assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_have_their_own_numbers_wherever_they_are_drawn(kind):
    axis = 1 if kind == "mask" else 0
    whole = draw(kind)
    parts = [draw(kind, rows=rows) for rows in (range(0, 1), range(1, 4))]
    assert torch.equal(whole, torch.cat(parts, dim=axis))
    assert not torch.equal(whole.select(axis, 0), whole.select(axis, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_shorter_batch_sees_the_beginning_of_the_same_masks(dtype):
    whole, shorter = (
        KeyedDraws(1, 2, range(3), 40).mask("encoder/fw/recurrent", (steps, 3, 7), 0.9, LIKE.to(dtype))
        for steps in (40, 13)
    )
    assert torch.equal(whole[:13], shorter)


def test_masks_are_inverted_dropout_and_normals_are_normal():
    mask = KeyedDraws(0, 0, range(50), 40).mask("m", (40, 50, 10), 0.8, LIKE)
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.8}
    assert abs(float((mask > 0).double().mean()) - 0.8) < 0.012  # 4 standard deviations
    normal = KeyedDraws(0, 0, range(200), 1).normal("latent", (200, 50), LIKE)
    assert abs(float(normal.mean())) < 0.04
    assert abs(float(normal.std()) - 1) < 0.03
