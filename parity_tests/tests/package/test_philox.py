"""Philox equals the published test vectors, in NumPy and in torch, and its streams do not overlap."""

import itertools

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.philox import name_id, philox, uniform

NAMES = (
    "latent", "encoder/fw/recurrent", "encoder/bw/recurrent", "decoder/recurrent", "decoder/input", "decoder/output",
    "augment/scale", "augment/drop",
)  # fmt: skip
ALL_ONES = 0xFFFFFFFF
# counter, key and words from kat_vectors in Random123, the authors' own code
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL_ONES,) * 4, (ALL_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_words_are_the_published_ones(counter, key, words):
    with_numpy = philox(tuple(np.uint32([word]) for word in counter), key)
    with_torch = philox(tuple(torch.tensor([word]) for word in counter), key)
    assert tuple(int(word[0]) for word in with_numpy) == tuple(int(word) for word in with_torch) == words


def test_broadcast_counters_give_the_same_words_as_full_ones():
    rng = np.random.RandomState(0)
    parts = [rng.randint(0, 2**32, shape).astype(np.uint32) for shape in ((5, 1, 1), (1, 4, 1), (1, 1, 3), (1, 1, 1))]
    whole = [np.ascontiguousarray(part) for part in np.broadcast_arrays(*parts)]
    for one, other in zip(philox(tuple(parts), (1, 2)), philox(tuple(whole), (1, 2)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_two_names_of_the_project_share_a_stream():
    assert len({name_id(name) for name in NAMES}) == len(NAMES)


def test_uniform_numbers_depend_on_every_part_of_their_key_and_nothing_else():
    base = uniform(1, 2, "a", range(3, 6), 7)
    assert base.dtype == np.float64
    assert base.min() >= 0
    assert base.max() < 1
    np.testing.assert_array_equal(base[1:2], uniform(1, 2, "a", [4], 7))
    np.testing.assert_array_equal(base[:, :4], uniform(1, 2, "a", range(3, 6), 4))
    others = [(2, 2, "a", range(3, 6)), (1, 3, "a", range(3, 6)), (1, 2, "b", range(3, 6)), (1, 2, "a", range(6, 9))]
    tables = [base, uniform(2, 1, "a", range(3, 6), 7), *(uniform(*key, 7) for key in others)]
    for one, other in itertools.combinations(tables, 2):
        assert not np.isin(one, other).any()


def test_numbers_of_neighbouring_keys_are_uniform_and_do_not_correlate():
    tables = [uniform(seed, step, "a", range(200), 100).ravel() for seed in (0, 1) for step in (0, 1)]
    for table in tables:
        counts = np.histogram(table, bins=20, range=(0, 1))[0]
        assert np.abs(counts - 1000).max() < 5 * np.sqrt(950)
    correlations = np.corrcoef(tables)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)
