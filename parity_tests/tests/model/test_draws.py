"""Draws from a torch generator, and recorded draws."""

import math

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import RecordedDraws, TorchDraws

LIKE = {dtype: torch.empty((), dtype=dtype) for dtype in (torch.float32, torch.float64)}
both_types = pytest.mark.parametrize("dtype", list(LIKE))
COUNT = 100_000


def seeded(seed: int = 1) -> TorchDraws:
    return TorchDraws(torch.Generator().manual_seed(seed))


@both_types
@pytest.mark.parametrize("keep_prob", [0.1, 0.5, 0.9, 1.0])
def test_a_mask_is_0_or_1_over_the_keep_probability_at_that_rate(dtype, keep_prob):
    mask = seeded().mask("any", (10, COUNT // 10), keep_prob).tensor(LIKE[dtype])
    assert (mask.shape, mask.dtype) == ((10, COUNT // 10), dtype)
    kept = mask != 0
    assert torch.equal(mask[kept].unique(), torch.ones(1, dtype=dtype) / keep_prob)
    deviation = math.sqrt(keep_prob * (1 - keep_prob) / COUNT)
    assert abs(kept.double().mean().item() - keep_prob) <= 5 * deviation


@both_types
def test_normal_numbers_have_mean_0_and_deviation_1(dtype):
    values = seeded().normal("any", (COUNT,), LIKE[dtype])
    assert values.dtype == dtype
    assert abs(values.mean().item()) < 5 / math.sqrt(COUNT)
    assert abs(values.std().item() - 1) < 5 / math.sqrt(2 * COUNT)
    assert values.abs().max() > 3.5


@both_types
def test_uniform_numbers_fill_0_to_1(dtype):
    values = seeded().uniform("any", (COUNT,), LIKE[dtype])
    assert values.dtype == dtype
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values.numpy(), bins=10, range=(0, 1))[0]
    assert np.abs(counts - COUNT / 10).max() < 5 * math.sqrt(COUNT * 0.09)


def all_kinds(draws: TorchDraws) -> list[torch.Tensor]:
    like = LIKE[torch.float32]
    drawn = [draws.mask("a", (3, 4), 0.5).tensor(like), draws.normal("b", (5,), like), draws.uniform("c", (2,), like)]
    return [value.flatten() for value in drawn]


def test_a_seeded_generator_is_reproducible_and_advances():
    draws = seeded()
    first, second = all_kinds(draws), all_kinds(draws)
    assert torch.equal(torch.cat(first), torch.cat(all_kinds(seeded())))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert not torch.equal(torch.cat(first), torch.cat(all_kinds(seeded(2))))


def test_without_a_generator_torchs_global_seed_applies():
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(torch.cat(all_kinds(TorchDraws())))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@both_types
def test_recorded_draws_return_their_numbers_in_the_requested_dtype(dtype):
    recorded = {name: np.arange(6.0).reshape(2, 3) + i for i, name in enumerate(("a", "b", "c"))}
    draws = RecordedDraws(recorded)
    like = LIKE[dtype]
    answers = {
        "a": draws.mask("a", (2, 3), 0.5).tensor(like),
        "b": draws.normal("b", (2, 3), like),
        "c": draws.uniform("c", (2, 3), like),
    }
    draws.check_all_used()
    for name, answer in answers.items():
        assert answer.dtype == dtype
        np.testing.assert_array_equal(answer.numpy(), recorded[name])
        answer.zero_()  # must not change the recording
        assert recorded[name].any()


def test_recorded_arrays_may_be_read_only():
    values = np.ones(3)
    values.flags.writeable = False
    assert torch.equal(RecordedDraws({"a": values}).normal("a", (3,), LIKE[torch.float64]), torch.ones(3).double())


@pytest.mark.parametrize("kind", ["mask", "normal", "uniform"])
def test_a_recorded_draw_of_wrong_name_or_shape_is_bad_input(kind):
    def ask(draws: RecordedDraws, name: str) -> None:
        arguments = (0.5,) if kind == "mask" else (LIKE[torch.float32],)
        getattr(draws, kind)(name, (2, 3), *arguments)

    draws = RecordedDraws({"z": np.zeros((2, 3)), "a": np.zeros((3, 2))})
    with pytest.raises(BadInput, match=r"^no recorded draw 'b' is left; remaining: a, z$"):
        ask(draws, "b")
    with pytest.raises(BadInput, match=r"^recorded draw 'a' has shape \[3, 2\], the model requests \[2, 3\]$"):
        ask(draws, "a")
    with pytest.raises(BadInput, match=r"the model never requested: z$"):
        draws.check_all_used()
    ask(draws, "z")
    draws.check_all_used()
    with pytest.raises(BadInput, match=r"^no recorded draw 'z' is left; remaining: none$"):
        ask(draws, "z")
