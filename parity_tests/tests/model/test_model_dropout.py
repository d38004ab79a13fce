"""Which draws a model requests, and what each of its dropout masks does."""

import numpy as np
import pytest
import torch
from small_models import DEC, ENC, LENGTHS, B, M, SpyDraws, T, Z, batch, every_combination, make

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import CELL_TYPES
from pytorch_sketch_rnn.model.draws import RecordedDraws
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

ALL_DROPOUT = {
    "use_recurrent_dropout": True, "recurrent_dropout_prob": 0.8, "use_input_dropout": True, "input_dropout_prob": 0.7,
    "use_output_dropout": True, "output_dropout_prob": 0.6,
}  # fmt: skip


@every_combination
def test_eval_mode_has_no_dropout_and_requests_only_the_latent_draw(enc_model, dec_model):
    model = make(enc_model, dec_model, **ALL_DROPOUT)
    draws = SpyDraws()
    first = model(batch(), LENGTHS, draws=draws)
    assert draws.requests == ([("latent", (B, Z))] if enc_model else [])
    second = model(batch(), LENGTHS, draws=SpyDraws())
    for name, value in first.mixture.parameters().items():
        assert torch.equal(value, second.mixture.parameters()[name])
    off = make(enc_model, dec_model, **{name: False for name in ALL_DROPOUT if name.startswith("use_")}).train()
    assert torch.equal(off(batch(), LENGTHS, draws=SpyDraws()).mixture.pi, first.mixture.pi)


@every_combination
def test_train_mode_requests_each_documented_draw_once_with_its_shape(enc_model, dec_model):
    lengths = torch.tensor([4, 1, 3, 2])  # the encoder's steps end with the longest sketch, the decoder's at T
    model, draws = make(enc_model, dec_model, **ALL_DROPOUT).train(), SpyDraws()
    model(batch(), lengths, draws=draws)
    expected = [
        ("decoder/recurrent", (B, T, DEC), 0.8),
        ("decoder/input", (B, T, 5 + Z if enc_model else 5), 0.7),
        ("decoder/output", (B, T, DEC), 0.6),
    ]
    if enc_model:
        encoder = [(f"encoder/{side}/recurrent", (B, 4, ENC), 0.8) for side in ("fw", "bw")]
        expected = [*encoder, ("latent", (B, Z)), *expected]
    assert sorted(draws.requests) == sorted(expected)


@pytest.mark.parametrize("kind", ["recurrent", "input", "output"])
def test_each_dropout_is_switched_by_its_own_hyperparameter(kind):
    switches = {f"use_{name}_dropout": name == kind for name in ("recurrent", "input", "output")}
    model, draws = make(**switches).train(), SpyDraws()
    model(batch(), LENGTHS, draws=draws)
    names = {f"decoder/{kind}", "latent"}
    if kind == "recurrent":
        names |= {"encoder/fw/recurrent", "encoder/bw/recurrent"}
    assert set(draws.answers) == names


@every_combination
def test_every_mask_has_an_effect_and_train_mode_varies(enc_model, dec_model):
    model, spy = make(enc_model, dec_model, **ALL_DROPOUT).train(), SpyDraws()
    first = model(batch(), LENGTHS, draws=spy).mixture
    assert not torch.equal(model(batch(), LENGTHS, draws=SpyDraws(seed=6)).mixture.pi, first.pi)
    draws = RecordedDraws(spy.answers)
    again = model(batch(), LENGTHS, draws=draws).mixture
    draws.check_all_used()
    for name, value in first.parameters().items():
        assert torch.equal(value, again.parameters()[name])
    for name, value in spy.answers.items():
        draws = RecordedDraws(spy.answers | {name: 1.25 * value})
        assert not torch.equal(model(batch(), LENGTHS, draws=draws).mixture.pi, first.pi), name


@pytest.mark.parametrize("kind", CELL_TYPES)
def test_an_output_mask_of_zeros_leaves_the_output_bias_alone(kind):
    model = make(None, kind, use_recurrent_dropout=False, use_output_dropout=True).train()
    draws = RecordedDraws({"decoder/output": np.zeros((B, T, DEC))})
    output_b = model.decoder.output_b
    mixture = model.decode(batch()[:, :-1], draws=draws)
    assert torch.equal(mixture.pen_logits, output_b[:3].expand(B, T, 3))
    assert torch.equal(mixture.corr_logits, output_b[-M:].expand(B, T, M))


def recorded(model: SketchRNN) -> dict[str, np.ndarray]:
    spy = SpyDraws()
    model(batch(), LENGTHS, draws=spy)
    return spy.answers


def test_a_missing_misshaped_or_unused_recorded_draw_is_bad_input():
    model = make(**ALL_DROPOUT).train()
    answers = recorded(model)
    for name, value in answers.items():
        without = RecordedDraws({other: values for other, values in answers.items() if other != name})
        with pytest.raises(BadInput, match=f"no recorded draw '{name}' is left; remaining: "):
            model(batch(), LENGTHS, draws=without)
        misshaped = RecordedDraws(answers | {name: value[:-1]})
        with pytest.raises(BadInput, match=f"recorded draw '{name}' has shape .*, the model requests "):
            model(batch(), LENGTHS, draws=misshaped)
    draws = RecordedDraws(answers | {"decoder/inptu": answers["decoder/input"]})
    model(batch(), LENGTHS, draws=draws)
    with pytest.raises(BadInput, match=r"the model never requested: decoder/inptu$"):
        draws.check_all_used()


def test_a_recorded_draw_can_be_used_once():
    model = make(**ALL_DROPOUT).train()
    draws = RecordedDraws(recorded(model))
    model(batch(), LENGTHS, draws=draws)
    with pytest.raises(BadInput, match="no recorded draw 'encoder/fw/recurrent' is left; remaining: none"):
        model(batch(), LENGTHS, draws=draws)
