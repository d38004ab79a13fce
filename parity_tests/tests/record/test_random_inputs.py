"""The random inputs of both sides: the same numbers for the same seed, step and name."""

import numpy as np
import pytest

from parity_tests.record.draws import VALIDATION_DRAWS, Wanted, draws_of, dropout_mask

WANTED = {
    "latent": Wanted((40, 5), None),
    "decoder/recurrent": Wanted((30, 4, 9), 0.9),
    "decoder/input": Wanted((30, 4, 9), 0.8),
}


def test_the_same_seed_step_and_name_give_the_same_numbers_whatever_else_is_asked_for():
    first = draws_of(WANTED, 7, 3)
    assert first.keys() == WANTED.keys()
    for name, wanted in WANTED.items():
        for again in (
            draws_of(WANTED, 7, 3),
            draws_of({name: wanted}, 7, 3),
            draws_of(dict(reversed(WANTED.items())), 7, 3),
        ):
            np.testing.assert_array_equal(again[name], first[name])


def test_another_seed_step_or_name_gives_other_numbers():
    latent = {name: Wanted((40, 5), None) for name in ("latent", "owl", "Latent")}
    seen = [
        draws_of(latent, seed, step)[name].tobytes()
        for name in latent
        for seed in (0, 1, 2)
        for step in (0, 1, 2, VALIDATION_DRAWS, VALIDATION_DRAWS + 1)
    ]
    assert len(set(seen)) == len(seen) == 45
    np.random.seed(0)
    before = draws_of(WANTED, 1, 0)
    np.random.seed(1)
    assert all(np.array_equal(value, before[name]) for name, value in draws_of(WANTED, 1, 0).items())


def test_the_numbers_are_those_of_every_recording_ever_made():
    draws = draws_of({"latent": Wanted((3,), None), "decoder/input": Wanted((8,), 0.5)}, 1, 0)
    latent, mask = (-1.7323863506317139, 0.5733579993247986, 0.8124371767044067), (0, 0, 2, 2, 0, 2, 2, 2)
    np.testing.assert_array_equal(draws["latent"], np.float32(latent))
    np.testing.assert_array_equal(draws["decoder/input"], np.float32(mask))


@pytest.mark.parametrize("keep_prob", [0.9, 0.8, 0.5, float(np.float32(0.9)), 1.0])
def test_masks_hold_nothing_but_0_and_the_inverse_of_the_keep_probability(keep_prob):
    mask = dropout_mask(np.random.RandomState(0), (50, 20, 10), keep_prob)
    assert (mask.dtype, mask.shape) == (np.float32, (50, 20, 10))
    kept = np.float32(1 / keep_prob)
    assert set(np.unique(mask)) == ({kept} if keep_prob == 1 else {np.float32(0), kept})
    assert np.mean(mask > 0) == pytest.approx(keep_prob, abs=0.015)
    drawn = draws_of({"owl": Wanted((50, 20, 10), keep_prob)}, 1, 1)["owl"]
    assert set(np.unique(drawn)) == set(np.unique(mask))


def test_what_has_no_keep_probability_is_standard_normal():
    values = draws_of({"latent": Wanted((200, 50), None)}, 1, 0)["latent"]
    assert (values.dtype, values.shape) == (np.float32, (200, 50))
    assert abs(values.mean()) < 0.04
    assert values.std() == pytest.approx(1, abs=0.03)
