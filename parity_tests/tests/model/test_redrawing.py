"""Drawings finished, drawn again, and morphed: each follows from the decoder and the encoder, step by step."""

import numpy as np
import pytest
import torch
from small_models import Z, every_combination, make

from pytorch_sketch_rnn.data.strokes import START_TOKEN, to_big_strokes
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.redrawing import LEAST_NEW, encode_sketches, slerp
from pytorch_sketch_rnn.model.sampling import sample_batch

BEGUN = np.array([[0.5, -1, 0], [2, 0.25, 1], [-1, 1, 0], [0.5, 0.5, 1]])


def draws(seed: int = 0) -> TorchDraws:
    return TorchDraws(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", ["reference", "auto"])
@every_combination
def test_an_ending_is_drawn_as_a_drawing_that_came_to_the_same_point(enc_model, dec_model, backend):
    """A sketch that the model draws, cut anywhere and finished with the numbers of the rest, is that sketch."""
    model = make(enc_model, dec_model, max_seq_len=40)
    model.backend = backend
    z = (
        None
        if enc_model is None
        else torch.randn(1, Z, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    )
    greedy = 1e-9  # each step is determined, so no random number has to be shared
    model.decoder.output_b.data[2] = -50  # no sketch ends
    whole = sample_batch(model, 1, 30, greedy, z=z)[0]
    assert len(whole) == 30
    for cut in (1, 12, 29):
        finished = model.complete(whole[:cut], 3, greedy, max_new=30 - cut, z=z)
        assert len(finished) == 3
        for one in finished:
            assert np.array_equal(one[:cut], whole[:cut])
            assert np.allclose(one, whole, rtol=1e-4, atol=1e-4)


@every_combination
def test_the_first_new_point_has_the_distribution_that_the_decoder_gives(enc_model, dec_model):
    model = make(enc_model, dec_model)
    inputs = np.concatenate([[START_TOKEN], to_big_strokes(BEGUN, len(BEGUN))])[np.newaxis]
    with torch.no_grad():
        z = None if enc_model is None else model.encode(inputs[:, 1:], [len(BEGUN)])[0]
        mixture = model.decode(inputs, z).parameters()
    last = {name: value[0, -1].numpy() for name, value in mixture.items()}
    count = 20_000
    ends = [sketch[len(BEGUN) :] for sketch in model.complete(BEGUN, count, 1.0, max_new=1, draws=draws())]
    ended = np.mean([len(end) == 0 for end in ends])
    lifted = np.mean([len(end) == 1 and end[0, 2] == 1 for end in ends])
    assert np.abs([lifted, ended] - last["pen"][1:]).max() < 5 * 0.5 / count**0.5
    offsets = np.array([end[0, :2] for end in ends if len(end)])
    for axis, (mu, sigma) in enumerate((("mu1", "sigma1"), ("mu2", "sigma2"))):
        mean = float(last["pi"] @ last[mu])
        deviation = float(np.sqrt(last["pi"] @ (last[sigma] ** 2 + last[mu] ** 2) - mean**2))
        assert abs(offsets[:, axis].mean() - mean) < 5 * deviation / len(offsets) ** 0.5


def test_nothing_begun_is_a_new_drawing():
    model = make()
    assert all(map(np.array_equal, model.complete(BEGUN[:0], 3, 0.7, draws=draws()),
                   sample_batch(model, 3, LEAST_NEW, 0.7, draws=draws())))  # fmt: skip
    z = torch.ones(1, Z)
    assert all(map(np.array_equal, model.complete(np.zeros((0, 3)), 3, 0.7, z=z, draws=draws()),
                   sample_batch(model, 3, LEAST_NEW, 0.7, z=z.expand(3, -1), draws=draws())))  # fmt: skip


def test_endings_differ_and_the_same_numbers_give_the_same_ones():
    model = make()
    model.decoder.output_b.data[2] = -50
    first, second = model.complete(BEGUN, 2, 1.0, draws=draws())
    assert first.dtype == np.float32
    assert len(first) == len(BEGUN) + LEAST_NEW
    assert not np.allclose(first, second)
    assert np.array_equal(model.complete(BEGUN, 2, 1.0, draws=draws())[1], second)
    model.hparams = model.hparams.replace(max_seq_len=90)
    assert len(model.complete(BEGUN, 1, 1.0)[0]) == 90


def test_a_sketch_is_drawn_again_from_its_mean():
    model = make()
    inputs = to_big_strokes(BEGUN, len(BEGUN))[np.newaxis]
    mu, _ = model.encode(inputs, [len(BEGUN)])
    assert torch.equal(encode_sketches(model, [BEGUN, BEGUN[:2]])[0], mu[0])
    found = model.reconstruct(BEGUN, 3, 0.7, draws=draws())
    assert all(
        map(np.array_equal, found, sample_batch(model, 3, None, 0.7, z=mu.detach().expand(3, -1), draws=draws()))
    )


def test_between_two_sketches_lie_the_points_of_a_great_circle():
    model = make()
    mu = encode_sketches(model, [BEGUN, BEGUN[:2]])
    z = torch.stack([slerp(mu[0], mu[1], fraction) for fraction in (0, 1 / 3, 2 / 3, 1)])
    assert torch.allclose(z[[0, -1]], mu)
    found = model.interpolate(BEGUN, BEGUN[:2], 4, 0.7, draws=draws())
    assert all(map(np.array_equal, found, sample_batch(model, 4, None, 0.7, z=z, draws=draws())))


def test_slerp():
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    half = slerp(start, end, 0.5)
    assert torch.allclose(half, torch.tensor([2.0, 2.0]) / 2**0.5)
    third = slerp(start, end, 1 / 3)
    assert torch.allclose(third, torch.tensor([3**0.5, 1.0]))  # 30 degrees
    for other in (start, 3 * start, -start, torch.zeros(2)):  # no great circle, or more than one
        assert torch.allclose(slerp(start, other, 0.25), start + 0.25 * (other - start))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.complete([[1, 2]]), r"expected a sketch \[n, 3\], got \[1, 2\]"),
        (lambda m: m.complete("a sheep"), r"expected a sketch as numbers \[n, 3\]"),
        (lambda m: m.complete([[10**400, 0, 0]]), r"expected a sketch as numbers \[n, 3\]"),
        (lambda m: m.complete([[1, np.nan, 0]]), "expected a sketch of finite offsets"),
        (lambda m: m.complete([[1, 1, 0.5]]), r"a pen that is 0 \(down\) or 1 \(lifted\)"),
        (lambda m: m.complete(BEGUN, 0), "count is 0, expected at least 1"),
        (lambda m: m.complete(BEGUN, 1, 0), "temperature is 0"),
        (lambda m: m.complete(BEGUN, max_new=0), "max_new is 0, expected at least 1"),
        (lambda m: m.complete(BEGUN, z=np.zeros((2, Z))), rf"expected z \[1, {Z}\], got \[2, {Z}\]"),
        (lambda m: m.reconstruct(BEGUN, 0), "count is 0, expected at least 1"),
        (lambda m: m.reconstruct(BEGUN[:0]), "at least one point, got none"),
        (lambda m: m.interpolate(BEGUN, BEGUN, 1), "count is 1, expected at least 2"),
        (lambda m: encode_sketches(m, []), "at least one point, got none"),
        (lambda m: make(None).reconstruct(BEGUN), "this model is unconditional"),
        (lambda m: make(None).complete(BEGUN, z=np.zeros((1, Z))), "this model is unconditional: z must be None"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(BadInput, match=message):
        call(make())
