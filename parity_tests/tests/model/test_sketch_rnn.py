"""SketchRNN for its callers: shapes, independence, dropout, saved folders, bad input, intermediates by name."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import CELL_TYPES, HParams
from pytorch_sketch_rnn.model.draws import RecordedDraws, RecordedMask, TorchDraws
from pytorch_sketch_rnn.model.losses import kl_cost, reconstruction_cost
from pytorch_sketch_rnn.model.sequence import reverse_prefix
from pytorch_sketch_rnn.model.sketch_rnn import CONFIG_FILE, WEIGHTS_FILE, SketchRNN
from pytorch_sketch_rnn.model.tape import Tape

ENC, DEC, Z, M, HYPER, EMBEDDING = 6, 7, 4, 3, 5, 2
B, T = 4, 6
LENGTHS = torch.tensor([6, 1, 3, 4])
ENCODER_CELLS = CELL_TYPES
COMBINATIONS = [*itertools.product(ENCODER_CELLS, CELL_TYPES), *((None, kind) for kind in CELL_TYPES)]
every_combination = pytest.mark.parametrize(("enc_model", "dec_model"), COMBINATIONS)
MIXTURE = {"pi": M, "mu1": M, "mu2": M, "sigma1": M, "sigma2": M, "corr": M, "pen": 3, "pen_logits": 3}
STATE_SIZES = {"lstm": 2 * DEC, "layer_norm": 2 * DEC, "hyper": 2 * (DEC + HYPER)}


def make(
    enc_model: str | None = "lstm", dec_model: str = "lstm", dtype: torch.dtype = torch.float64, **changes
) -> SketchRNN:
    """A small model in eval mode whose weights are all moved, so that none is without effect; no encoder for None."""
    hparams = HParams(
        enc_model=enc_model or "lstm", dec_model=dec_model, conditional=enc_model is not None, enc_rnn_size=ENC,
        dec_rnn_size=DEC, z_size=Z, num_mixture=M, hyper_num_units=HYPER, hyper_embedding_size=EMBEDDING,
        max_seq_len=T, batch_size=B,
    ).replace(**changes)  # fmt: skip
    model = SketchRNN(hparams, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype)


def batch(dtype: torch.dtype = torch.float64, steps: int = T) -> Tensor:
    """Sketches with the start token first, [B, steps + 1, 5], as long as LENGTHS says."""
    generator = torch.Generator().manual_seed(3)
    sketches = torch.zeros(B, steps + 1, 5, dtype=dtype)
    sketches[:, 0, 2] = 1
    for row, length in enumerate(LENGTHS.tolist()):
        sketches[row, 1 : length + 1, :2] = torch.randn(length, 2, generator=generator, dtype=torch.float64)
        pen = torch.randint(2, (length,), generator=generator)
        sketches[row, torch.arange(1, length + 1), 2 + pen] = 1
        sketches[row, length + 1 :, 4] = 1
    return sketches


def latent(model: SketchRNN, rows: int = B) -> Tensor | None:
    """Latent vectors, or None for an unconditional model."""
    if not model.hparams.conditional:
        return None
    weight = model.decoder.output_w
    return torch.randn(B, Z, generator=torch.Generator().manual_seed(4), dtype=torch.float64)[:rows].to(weight)


def assert_close(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-13)


class SpyDraws(TorchDraws):
    """TorchDraws that notes each request and its answer."""

    def __init__(self, seed: int = 5) -> None:
        super().__init__(torch.Generator().manual_seed(seed))
        self.asked: list[tuple] = []
        self.answers: dict[str, np.ndarray] = {}

    def mask(self, name, shape, keep_prob):
        answer = super().mask(name, shape, keep_prob).tensor(torch.empty(0, dtype=torch.float64))
        self._note((name, shape, keep_prob), answer)
        return RecordedMask(answer.numpy())

    def normal(self, name, shape, like):
        answer = super().normal(name, shape, like)
        self._note((name, shape), answer)
        return answer

    def _note(self, request: tuple, answer: Tensor) -> None:
        self.asked.append(request)
        assert request[0] not in self.answers, "asked twice"
        self.answers[request[0]] = answer.numpy()


# ------------------------------------------------------------------------------------------------ shapes and dtypes
@every_combination
def test_encode_and_decode_give_the_documented_shapes(enc_model, dec_model):
    model = make(enc_model, dec_model)
    sketches = batch()
    if enc_model:
        for part in model.encode(sketches[:, 1:], LENGTHS):
            assert (part.shape, part.dtype) == ((B, Z), torch.float64)
    for steps in (1, 3, 4 * T):
        mixture = model.decode(sketches[:, :1].expand(B, steps, 5), latent(model))
        assert {name: tuple(value.shape) for name, value in mixture.parameters().items()} == {
            name: (B, steps, size) for name, size in MIXTURE.items()
        }
        for name in MIXTURE:
            assert torch.equal(getattr(mixture, name), mixture.parameters()[name])
        assert_close(mixture.pi.sum(-1), torch.ones(B, steps, dtype=torch.float64))
        assert_close(mixture.pen.sum(-1), torch.ones(B, steps, dtype=torch.float64))


@every_combination
def test_forward_encodes_draws_and_decodes(enc_model, dec_model):
    model, draws = make(enc_model, dec_model), SpyDraws()
    sketches = batch()
    mixture, mu, presig, z = model(sketches, LENGTHS, draws=draws)
    if enc_model:
        expected = model.encode(sketches[:, 1:], LENGTHS)
        assert torch.equal(mu, expected[0])
        assert torch.equal(presig, expected[1])
        assert_close(z, mu + torch.exp(presig / 2) * torch.from_numpy(draws.answers["latent"]))
    else:
        assert (mu, presig, z) == (None, None, None)
    for name, value in model.decode(sketches[:, :-1], z).parameters().items():
        assert torch.equal(getattr(mixture, name), value), name


@every_combination
def test_float32_agrees_with_float64(enc_model, dec_model):
    single, double = (make(enc_model, dec_model, dtype) for dtype in (torch.float32, torch.float64))
    double.load_state_dict(single.state_dict())
    for name, value in single.decode(batch(torch.float32)[:, :-1], latent(single)).parameters().items():
        assert value.dtype == torch.float32
        expected = double.decode(batch()[:, :-1], latent(single).double() if enc_model else None).parameters()[name]
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)
    if enc_model:
        results = (model.encode(batch(model.decoder.output_w.dtype)[:, 1:], LENGTHS) for model in (single, double))
        for ours, expected in zip(*results, strict=True):
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------------ independence
@pytest.mark.parametrize("enc_model", ENCODER_CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_lies_behind_the_end_of_a_sketch_changes_no_bit(enc_model, dtype):
    model = make(enc_model, dtype=dtype)
    strokes = batch(dtype)[:, 1:]
    behind = torch.arange(T) >= LENGTHS.unsqueeze(1)
    other = torch.where(behind.unsqueeze(2), 1e3 * torch.randn(B, T, 5, dtype=dtype), strokes)
    longer = torch.cat([strokes, torch.full((B, 3, 5), 7.0, dtype=dtype)], dim=1)
    for changed in (other, longer):
        for ours, expected in zip(model.encode(changed, LENGTHS), model.encode(strokes, LENGTHS), strict=True):
            assert torch.equal(ours, expected)


@pytest.mark.parametrize("enc_model", ENCODER_CELLS)
def test_every_point_of_a_sketch_counts_and_none_behind_it(enc_model):
    model = make(enc_model)
    strokes = batch()[:, 1:]
    before = model.encode(strokes, LENGTHS)[0]
    for t in range(T):
        moved = strokes.clone()
        moved[:, t, :2] += 0.1
        after = model.encode(moved, LENGTHS)[0]
        assert torch.equal((after != before).any(dim=1), t < LENGTHS)


@every_combination
def test_a_row_of_a_batch_equals_the_row_alone(enc_model, dec_model):
    model = make(enc_model, dec_model)
    sketches, z = batch(), latent(model)
    together = model.decode(sketches[:, :-1], z).parameters()
    encoded = model.encode(sketches[:, 1:], LENGTHS) if enc_model else ()
    for row in range(B):
        only = slice(row, row + 1)
        alone = model.decode(sketches[only, :-1], None if z is None else z[only]).parameters()
        for name, value in together.items():
            assert_close(alone[name], value[only])
        if enc_model:
            for ours, expected in zip(model.encode(sketches[only, 1:], LENGTHS[only]), encoded, strict=True):
                assert_close(ours, expected[only])


@every_combination
def test_decoding_step_by_step_with_the_state_carried_equals_decoding_at_once(enc_model, dec_model):
    model = make(enc_model, dec_model)
    inputs, z = batch()[:, :-1], latent(model)
    at_once = model.decode(inputs, z).parameters()
    state = model.decoder.initial_state(z, B)
    for t in range(T):
        mixture, state = model.decoder(inputs[:, t : t + 1], z, state)
        for name, value in at_once.items():
            assert_close(mixture.parameters()[name], value[:, t : t + 1])


def test_lengths_may_be_any_whole_numbers_also_a_list_or_an_array():
    model = make()
    strokes = batch()[:, 1:]
    expected = model.encode(strokes, LENGTHS)[0]
    for lengths in (LENGTHS.tolist(), LENGTHS.numpy(), LENGTHS.to(torch.int32), np.asarray(LENGTHS, dtype=np.int16)):
        assert torch.equal(model.encode(strokes, lengths)[0], expected)


# ------------------------------------------------------------------------------------------------- dropout and draws
ALL_DROPOUT = {
    "use_recurrent_dropout": True, "recurrent_dropout_prob": 0.8, "use_input_dropout": True, "input_dropout_prob": 0.7,
    "use_output_dropout": True, "output_dropout_prob": 0.6,
}  # fmt: skip


@every_combination
def test_eval_has_no_dropout_and_asks_for_the_latent_draw_alone(enc_model, dec_model):
    model = make(enc_model, dec_model, **ALL_DROPOUT)
    draws = SpyDraws()
    first = model(batch(), LENGTHS, draws=draws)
    assert draws.asked == ([("latent", (B, Z))] if enc_model else [])
    second = model(batch(), LENGTHS, draws=SpyDraws())
    for name, value in first.mixture.parameters().items():
        assert torch.equal(value, second.mixture.parameters()[name])
    off = make(enc_model, dec_model, **{name: False for name in ALL_DROPOUT if name.startswith("use_")}).train()
    assert torch.equal(off(batch(), LENGTHS, draws=SpyDraws()).mixture.pi, first.mixture.pi)


@every_combination
def test_train_asks_for_each_documented_draw_once_with_its_shape(enc_model, dec_model):
    lengths = torch.tensor([4, 1, 3, 2])  # the encoder takes as many steps as the longest sketch, the decoder all
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
    assert sorted(draws.asked) == sorted(expected)


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


def test_a_recorded_draw_that_is_missing_or_misshaped_or_left_over_is_bad_input():
    model = make(**ALL_DROPOUT).train()
    answers = recorded(model)
    for name, value in answers.items():
        without = RecordedDraws({other: values for other, values in answers.items() if other != name})
        with pytest.raises(BadInput, match=f"no recorded draw '{name}' is left; left are: "):
            model(batch(), LENGTHS, draws=without)
        misshaped = RecordedDraws(answers | {name: value[:-1]})
        with pytest.raises(BadInput, match=f"recorded draw '{name}' has shape .*, the model asks for "):
            model(batch(), LENGTHS, draws=misshaped)
    draws = RecordedDraws(answers | {"decoder/inptu": answers["decoder/input"]})
    model(batch(), LENGTHS, draws=draws)
    with pytest.raises(BadInput, match=r"the model never asked for: decoder/inptu$"):
        draws.check_all_used()


def test_a_recorded_draw_answers_once():
    model = make(**ALL_DROPOUT).train()
    draws = RecordedDraws(recorded(model))
    model(batch(), LENGTHS, draws=draws)
    with pytest.raises(BadInput, match="no recorded draw 'encoder/fw/recurrent' is left; left are: none"):
        model(batch(), LENGTHS, draws=draws)


# ------------------------------------------------------------------------------------------------------------- costs
@pytest.mark.parametrize("is_training", [True, False])
def test_costs_are_put_together_as_the_hyperparameters_say(is_training):
    model = make(is_training=is_training, kl_tolerance=0.0)
    spy = SpyDraws()
    costs = model.costs(batch(), LENGTHS, 0.25, draws=spy)
    passed = model(batch(), LENGTHS, draws=RecordedDraws(spy.answers))
    assert torch.equal(costs.r_cost, reconstruction_cost(passed.mixture, batch()[:, 1:], is_training=is_training))
    assert torch.equal(costs.kl_cost, kl_cost(passed.mu, passed.presig, 0.0))
    assert_close(costs.cost, costs.r_cost + 0.25 * costs.kl_cost)
    other = model.costs(batch(), LENGTHS, 0.25, is_training=not is_training, draws=RecordedDraws(spy.answers))
    assert other.r_cost != costs.r_cost


def test_an_unconditional_model_has_no_kl_cost():
    costs = make(None).costs(batch(), LENGTHS, 0.25)
    assert torch.equal(costs.cost, costs.r_cost)
    assert costs.kl_cost == 0


@every_combination
def test_every_parameter_gets_a_gradient(enc_model, dec_model):
    model = make(enc_model, dec_model, kl_tolerance=0.0).train()
    model.costs(batch(), LENGTHS, 0.5).cost.backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("as_given", [Tensor.numpy, Tensor.tolist, Tensor.double])
def test_strokes_and_z_may_be_arrays_lists_or_of_another_dtype(as_given):
    model = make(dtype=torch.float32)
    sketches, z = batch(torch.float32), latent(model)
    for ours, expected in zip(
        model.encode(as_given(sketches[:, 1:]), LENGTHS), model.encode(sketches[:, 1:], LENGTHS), strict=True
    ):
        assert torch.equal(ours, expected)
    expected = model.decode(sketches[:, :-1], z).parameters()
    for name, ours in model.decode(as_given(sketches[:, :-1]), as_given(z)).parameters().items():
        assert torch.equal(ours, expected[name]), name
    expected = model.costs(sketches, LENGTHS, 0.1, draws=RecordedDraws({"latent": z.numpy()}))
    again = model.costs(as_given(sketches), LENGTHS.tolist(), 0.1, draws=RecordedDraws({"latent": z.numpy()}))
    for ours, value in zip(again, expected, strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, value)


def test_whole_numbers_are_strokes_too():
    model = make(dtype=torch.float32)
    whole = torch.ones(B, T, 5, dtype=torch.int64)
    assert torch.equal(model.encode(whole, LENGTHS)[0], model.encode(whole.float(), LENGTHS)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_flow_through_a_z_of_either_dtype(dtype):
    model = make(dtype=torch.float32)
    z = latent(model).to(dtype).requires_grad_()
    model.decode(batch()[:, :-1], z).mu1.sum().backward()
    assert z.grad.dtype == dtype
    assert z.grad.all()


# --------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("value", ["strokes", [[1.0], [1.0, 2.0]], np.array([None]), {}])
def test_what_is_no_numbers_is_bad_input(value):
    for call in (lambda m: m.encode(value, LENGTHS), lambda m: m.decode(value), lambda m: m.decode(batch(), value)):
        with pytest.raises(BadInput, match=f"^expected numbers of one shape, got {type(value).__name__}: "):
            call(make())


@pytest.mark.parametrize(
    ("strokes", "lengths", "expected"),
    [
        (torch.zeros(B, T, 3), LENGTHS, r"expected strokes \[B, T, 5\] .*, got \[4, 6, 3\] and \[4\]"),
        (torch.zeros(T, 5), LENGTHS, r"got \[6, 5\] and \[4\]"),
        (torch.zeros(B, T, 5), LENGTHS[:3], r"got \[4, 6, 5\] and \[3\]"),
        (torch.zeros(B, T, 5), LENGTHS.unsqueeze(1), r"got \[4, 6, 5\] and \[4, 1\]"),
        (torch.zeros(B, T, 5), 3, r"got \[4, 6, 5\] and \[\]"),
        (torch.zeros(0, T, 5), LENGTHS[:0], r"B at least 1, got \[0, 6, 5\] and \[0\]"),
        (torch.zeros(B, T, 5), [6, 1, 0, 4], r"lengths must lie in 1\.\.6, got \[6, 1, 0, 4\]"),
        (torch.zeros(B, T, 5), [6, 1, -2, 4], r"lengths must lie in 1\.\.6, got \[6, 1, -2, 4\]"),
        (torch.zeros(B, T, 5), [7, 1, 3, 4], r"lengths must lie in 1\.\.6, got \[7, 1, 3, 4\]"),
        (torch.zeros(B, 0, 5), [1, 1, 1, 1], r"lengths must lie in 1\.\.0"),
        (torch.zeros(B, T, 5), [6.0, 1.5, 3, 4], "lengths must be whole numbers, got torch.float32"),
        (torch.zeros(B, T, 5), [True, True, True, True], "lengths must be whole numbers, got torch.bool"),
    ],
)
def test_encode_refuses_what_does_not_fit(strokes, lengths, expected):
    with pytest.raises(BadInput, match=expected):
        make(dtype=torch.float32).encode(strokes, lengths)


@pytest.mark.parametrize(
    ("inputs", "z", "expected"),
    [
        (torch.zeros(B, T, 3), torch.zeros(B, Z), r"expected inputs \[B, T, 5\] with T at least 1, got \[4, 6, 3\]"),
        (torch.zeros(B, 5), torch.zeros(B, Z), r"got \[4, 5\]"),
        (torch.zeros(B, 0, 5), torch.zeros(B, Z), r"got \[4, 0, 5\]"),
        (torch.zeros(B, T, 5), None, r"expected z \[4, 4\], got None"),
        (torch.zeros(B, T, 5), torch.zeros(B, Z + 1), r"expected z \[4, 4\], got \[4, 5\]"),
        (torch.zeros(B, T, 5), torch.zeros(1, Z), r"expected z \[4, 4\], got \[1, 4\]"),
        (torch.zeros(B, T, 5), torch.zeros(Z), r"expected z \[4, 4\], got \[4\]"),
    ],
)
def test_decode_refuses_what_does_not_fit(inputs, z, expected):
    with pytest.raises(BadInput, match=expected):
        make(dtype=torch.float32).decode(inputs, z)


def test_an_unconditional_model_refuses_to_encode_and_refuses_z():
    model = make(None)
    with pytest.raises(BadInput, match=r"unconditional .*no encoder"):
        model.encode(batch()[:, 1:], LENGTHS)
    with pytest.raises(BadInput, match="unconditional: z must be None"):
        model.decode(batch()[:, :-1], torch.zeros(B, Z))


# --------------------------------------------------------------------------------------------------- saved and read
def bits(model: SketchRNN) -> dict[str, tuple]:
    return {name: (value.dtype, value.numpy().tobytes()) for name, value in model.state_dict().items()}


@every_combination
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saved_model_comes_back_bit_for_bit_in_eval_mode(tmp_path, enc_model, dec_model, dtype):
    model = make(enc_model, dec_model, dtype, kl_weight=0.75).train()
    model.save_pretrained(tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
    back = SketchRNN.from_pretrained(str(tmp_path / "new" / "folder"))
    assert bits(back) == bits(model)
    assert back.hparams == model.hparams
    assert not any(module.training for module in back.modules())
    assert all(parameter.requires_grad for parameter in back.parameters())


@pytest.mark.parametrize("stored", [torch.float32, torch.float64])
@pytest.mark.parametrize("asked", [torch.float32, torch.float64])
def test_a_model_is_read_in_the_dtype_that_is_asked_for(tmp_path, stored, asked):
    model = make(dtype=stored)
    model.save_pretrained(tmp_path)
    assert bits(SketchRNN.from_pretrained(tmp_path, dtype=asked)) == bits(model.to(asked))


def saved(folder: Path) -> Path:
    make(dtype=torch.float32).save_pretrained(folder)
    return folder


def rewrite(folder: Path, change) -> None:
    weights = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    safetensors.torch.save_file(change(weights), folder / WEIGHTS_FILE)


def without(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {other: value for other, value in weights.items() if other != name}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda w: without(w, "encoder.mu.w"), f"does not fit {CONFIG_FILE}: missing encoder.mu.w$"),
        (lambda w: w | {"extra": torch.zeros(1)}, f"does not fit {CONFIG_FILE}: unknown extra$"),
        (
            lambda w: w | {"encoder.mu.b": torch.zeros(Z + 1)},
            rf"does not fit {CONFIG_FILE}: encoder.mu.b is \[5\], expected \[4\]$",
        ),
        (
            lambda w: without(w, "encoder.mu.b") | {"mu": torch.zeros(1), "encoder.mu.w": torch.zeros(2, Z)},
            r"missing encoder.mu.b; unknown mu; encoder.mu.w is \[2, 4\], expected \[12, 4\]$",
        ),
        (lambda w: {}, "missing decoder.cell.W_hh, "),
        (
            lambda w: {name: value.to(torch.int32) for name, value in w.items()},
            "expected all weights in float32 or all in float64, got int32$",
        ),
        (
            lambda w: w | {"encoder.mu.b": torch.zeros(Z, dtype=torch.float64)},
            "expected all weights in float32 or all in float64, got float32 and float64$",
        ),
    ],
)
def test_weights_that_do_not_fit_are_bad_input_that_names_them(tmp_path, change, expected):
    rewrite(saved(tmp_path), change)
    with pytest.raises(BadInput, match=f"^{re.escape(str(tmp_path / WEIGHTS_FILE))}: .*{expected}"):
        SketchRNN.from_pretrained(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_truncated_weights_are_bad_input(tmp_path, length):
    path = saved(tmp_path) / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: expected weights in safetensors form, but "):
        SketchRNN.from_pretrained(tmp_path)


def test_a_file_of_another_kind_is_bad_input(tmp_path):
    path = saved(tmp_path) / WEIGHTS_FILE
    torch.save({}, path)
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: expected weights in safetensors form, but "):
        SketchRNN.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_bad_input_that_names_it(tmp_path, name):
    path = saved(tmp_path) / name
    path.unlink()
    with pytest.raises(BadInput, match=re.escape(str(path))):
        SketchRNN.from_pretrained(tmp_path)
    path.mkdir()
    with pytest.raises(BadInput, match=re.escape(str(path))):
        SketchRNN.from_pretrained(tmp_path)


def test_a_missing_folder_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=re.escape(str(tmp_path / "none" / CONFIG_FILE))):
        SketchRNN.from_pretrained(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"z_size": 5}, r"does not fit config.json: .*encoder.mu.b is \[4\], expected \[5\]"),
        ({"conditional": False}, "does not fit config.json: unknown decoder.initial.b, "),
        ({"dec_model": "hyper"}, "does not fit config.json: missing decoder.cell.hyper_"),
        ({"dec_rnn_size": 1_000_000}, r"decoder.output_w is \[7, 21\], expected \[1000000, 21\]"),
    ],
)
def test_a_config_that_contradicts_the_weights_is_bad_input(tmp_path, change, expected):
    config = saved(tmp_path) / CONFIG_FILE
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(BadInput, match=expected):
        SketchRNN.from_pretrained(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), safetensors.SafetensorError("disk full")])
def test_a_save_that_fails_leaves_both_old_files_whole(tmp_path, monkeypatch, error):
    before = contents(saved(tmp_path))

    def fail(weights: dict, path: Path) -> None:
        Path(path).write_bytes(b"half of the weights")
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    expected = f"^{re.escape(str(tmp_path / WEIGHTS_FILE))}: cannot be written .*(No space left|disk full)"
    with pytest.raises(BadInput, match=expected):
        make(z_size=9).save_pretrained(tmp_path)
    assert contents(tmp_path) == before


def test_where_the_config_cannot_take_its_place_the_weights_do_not_either(tmp_path):
    before = saved(tmp_path / "old").joinpath(WEIGHTS_FILE).read_bytes()
    (tmp_path / "new" / CONFIG_FILE).mkdir(parents=True)
    (tmp_path / "new" / WEIGHTS_FILE).write_bytes(before)
    with pytest.raises(BadInput, match=r"config\.json: cannot be written"):
        make(z_size=9).save_pretrained(tmp_path / "new")
    assert (tmp_path / "new" / WEIGHTS_FILE).read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.complex64, "float32"])
def test_another_dtype_is_bad_input(tmp_path, dtype):
    with pytest.raises(BadInput, match=f"^dtype is {dtype}, expected torch.float32, torch.float64 or None"):
        SketchRNN.from_pretrained(saved(tmp_path), dtype=dtype)


@pytest.mark.parametrize("device", ["blah", "", "meta", "cuda:999"])
def test_a_device_that_cannot_be_used_is_bad_input(tmp_path, device):
    with pytest.raises(BadInput, match=f"^device {device} cannot be used: .{{1,60}}$"):
        SketchRNN.from_pretrained(saved(tmp_path), device=device)


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch has CUDA")
def test_cuda_without_cuda_is_bad_input_that_says_so(tmp_path):
    with pytest.raises(BadInput, match=r"^device cuda cannot be used: this torch has no CUDA$"):
        SketchRNN.from_pretrained(saved(tmp_path), device="cuda")


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput, match=f"^{re.escape(str(folder))}: cannot be made"):
            make().save_pretrained(folder)
    assert contents(tmp_path) == {"file": b"in the way"}


# -------------------------------------------------------------------------------------------------------------- tape
GATES = ("i", "j", "f", "o", "g", "c", "h")
LAYER_NORM = (*GATES, "total", "normal_c")
NAMES = {
    "lstm": set(GATES),
    "layer_norm": set(LAYER_NORM),
    "hyper": {*LAYER_NORM, *(f"hyper_{g}{s}" for g in "ijfo" for s in "xh"), *(f"hyper_cell/{n}" for n in LAYER_NORM)},
}


def recorded_names(kind: str, scope: str) -> set[str]:
    return {f"{scope}/{name}" for name in (*NAMES[kind], "output", "state", "final_state")}


@every_combination
def test_the_tape_holds_every_intermediate_under_its_name_and_changes_nothing(enc_model, dec_model):
    model = make(enc_model, dec_model)
    tape = Tape()
    with_tape = model(batch(), LENGTHS, tape, draws=SpyDraws())
    names = recorded_names(dec_model, "decoder")
    if enc_model:
        names |= (
            recorded_names(enc_model, "encoder/fw")
            | recorded_names(enc_model, "encoder/bw")
            | {"decoder/initial_state"}
        )
        names |= {"mu", "presig", "z"}
    values = tape.values()
    assert set(values) == names
    for name, value in values.items():
        assert value.shape[0] == B, name
        once = name.endswith(("final_state", "initial_state")) or name in ("mu", "presig", "z")
        assert value.ndim == 2 if once else value.shape[1] == T, name
    without_tape = model(batch(), LENGTHS, draws=SpyDraws())
    for name, value in with_tape.mixture.parameters().items():
        assert torch.equal(value, without_tape.mixture.parameters()[name])


@every_combination
def test_what_the_tape_holds_is_what_the_cell_computes_step_by_step(enc_model, dec_model):
    model = make(enc_model, dec_model)
    tape, z = Tape(), latent(model)
    inputs = batch()[:, :-1]
    model.decode(inputs, z, tape)
    values = tape.values()
    cell, state = model.decoder.cell, model.decoder.initial_state(z, B)
    if z is not None:
        assert torch.equal(cell.pack(state), values["decoder/initial_state"])
        assert values["decoder/initial_state"].shape == (B, STATE_SIZES[dec_model])
        inputs = torch.cat([inputs, z.unsqueeze(1).expand(B, T, Z)], dim=2)
    for t in range(T):
        step = Tape()
        output, state = cell(inputs[:, t], state, None, step)
        assert torch.equal(values["decoder/output"][:, t], output)
        assert torch.equal(values["decoder/state"][:, t], cell.pack(state))
        for name, value in step.values().items():
            assert torch.equal(values[f"decoder/{name}"][:, t], value), name
    assert torch.equal(values["decoder/final_state"], cell.pack(state))


@pytest.mark.parametrize("enc_model", ENCODER_CELLS)
def test_the_last_h_of_both_directions_gives_mu_and_presig(enc_model):
    model = make(enc_model)
    tape = Tape()
    mu, presig = model.encode(batch()[:, 1:], LENGTHS, tape)
    values = tape.values()
    fw = model.encoder.fw.unpack(values["encoder/fw/final_state"])
    bw = model.encoder.bw.unpack(values["encoder/bw/final_state"])
    last_h = torch.cat([fw.h, bw.h], dim=1)
    assert_close(mu, last_h @ model.encoder.mu.w + model.encoder.mu.b)
    assert_close(presig, last_h @ model.encoder.presig.w + model.encoder.presig.b)
    for side in ("fw", "bw"):
        output = values[f"encoder/{side}/output"]
        assert not output[torch.arange(T) >= LENGTHS.unsqueeze(1)].any()
        assert torch.equal(values[f"encoder/{side}/state"][:, -1], values[f"encoder/{side}/final_state"])


@pytest.mark.parametrize("enc_model", ENCODER_CELLS)
def test_the_backward_cell_reads_each_sketch_from_its_end(enc_model):
    model = make(enc_model)
    tape, backwards = Tape(), Tape()
    model.encode(batch()[:, 1:], LENGTHS, tape)
    reversed_strokes = reverse_prefix(batch()[:, 1:], LENGTHS)
    model.encoder.fw, model.encoder.bw = model.encoder.bw, model.encoder.fw
    model.encode(reversed_strokes, LENGTHS, backwards)
    assert torch.equal(backwards.values()["encoder/fw/state"], tape.values()["encoder/bw/state"])


def test_a_tape_refuses_a_name_that_was_recorded_twice():
    model, tape = make(), Tape()
    model.encode(batch()[:, 1:], LENGTHS, tape)
    model.encode(batch()[:, 1:], LENGTHS, tape)
    with pytest.raises(ValueError, match=r"recorded more than once: encoder/fw/i, .*; use a fresh tape"):
        tape.values()


# -------------------------------------------------------------------------------------------------------------- cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@every_combination
def test_cuda_agrees_with_the_cpu(tmp_path, enc_model, dec_model):
    model = make(enc_model, dec_model)
    model.save_pretrained(tmp_path)
    on_gpu = SketchRNN.from_pretrained(tmp_path, device="cuda")
    z = latent(model)
    expected = model.decode(batch()[:, :-1], z).parameters()
    ours = on_gpu.decode(batch()[:, :-1].cuda(), None if z is None else z.cuda()).parameters()
    for name, value in expected.items():
        assert ours[name].is_cuda
        torch.testing.assert_close(ours[name].cpu(), value, rtol=1e-10, atol=1e-12)
    if enc_model:
        pairs = zip(on_gpu.encode(batch()[:, 1:].cuda(), LENGTHS), model.encode(batch()[:, 1:], LENGTHS), strict=True)
        for here, there in pairs:
            torch.testing.assert_close(here.cpu(), there, rtol=1e-10, atol=1e-12)
    on_gpu.train().costs(batch().cuda(), LENGTHS, 0.5).cost.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in on_gpu.parameters())
