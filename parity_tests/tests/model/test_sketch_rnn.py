"""SketchRNN for its callers: shapes, independence of rows and padding, costs, bad input."""

import numpy as np
import pytest
import torch
from small_models import (
    ENCODER_CELLS,
    LENGTHS,
    MIXTURE,
    B,
    SpyDraws,
    T,
    Z,
    assert_close,
    batch,
    every_combination,
    latent,
    make,
)
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.cells import LayerNorm
from pytorch_sketch_rnn.model.draws import RecordedDraws
from pytorch_sketch_rnn.model.losses import kl_cost, reconstruction_cost
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN


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
def test_values_after_the_end_of_a_sketch_change_no_bit(enc_model, dtype):
    model = make(enc_model, dtype=dtype)
    strokes = batch(dtype)[:, 1:]
    padding = torch.arange(T) >= LENGTHS.unsqueeze(1)
    other = torch.where(padding.unsqueeze(2), 1e3 * torch.randn(B, T, 5, dtype=dtype), strokes)
    longer = torch.cat([strokes, torch.full((B, 3, 5), 7.0, dtype=dtype)], dim=1)
    for changed in (other, longer):
        for ours, expected in zip(model.encode(changed, LENGTHS), model.encode(strokes, LENGTHS), strict=True):
            assert torch.equal(ours, expected)


@pytest.mark.parametrize("enc_model", ENCODER_CELLS)
def test_every_point_of_a_sketch_counts_and_none_after_its_end(enc_model):
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
def test_decoding_step_by_step_equals_decoding_at_once(enc_model, dec_model):
    model = make(enc_model, dec_model)
    inputs, z = batch()[:, :-1], latent(model)
    at_once = model.decode(inputs, z).parameters()
    state = model.decoder.initial_state(z, B)
    for t in range(T):
        mixture, state = model.decoder(inputs[:, t : t + 1], z, state)
        for name, value in at_once.items():
            assert_close(mixture.parameters()[name], value[:, t : t + 1])


def test_lengths_may_be_a_list_or_an_array_of_any_integer_type():
    model = make()
    strokes = batch()[:, 1:]
    expected = model.encode(strokes, LENGTHS)[0]
    for lengths in (LENGTHS.tolist(), LENGTHS.numpy(), LENGTHS.to(torch.int32), np.asarray(LENGTHS, dtype=np.int16)):
        assert torch.equal(model.encode(strokes, lengths)[0], expected)


# ------------------------------------------------------------------------------------------------------------- costs
@pytest.mark.parametrize("is_training", [True, False])
def test_costs_combine_the_losses_as_the_hyperparameters_say(is_training):
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
def test_strokes_and_z_may_be_arrays_or_lists_or_have_another_dtype(as_given):
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


def test_strokes_may_be_integers():
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
def test_values_that_are_not_numbers_are_bad_input(value):
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
def test_encode_refuses_strokes_and_lengths_of_wrong_shape_or_value(strokes, lengths, expected):
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
def test_decode_refuses_inputs_and_z_of_wrong_shape(inputs, z, expected):
    with pytest.raises(BadInput, match=expected):
        make(dtype=torch.float32).decode(inputs, z)


def test_an_unconditional_model_refuses_to_encode_and_refuses_z():
    model = make(None)
    with pytest.raises(BadInput, match=r"unconditional .*no encoder"):
        model.encode(batch()[:, 1:], LENGTHS)
    with pytest.raises(BadInput, match="unconditional: z must be None"):
        model.decode(batch()[:, :-1], torch.zeros(B, Z))


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


@every_combination
def test_every_layer_norm_has_the_epsilon_of_the_hyperparameters(enc_model, dec_model):
    model = make(enc_model, dec_model, layer_norm_epsilon=0.25)
    normed = [cell for cell in (enc_model, enc_model, dec_model) if cell not in ("lstm", None)]
    norms = [module for module in model.modules() if isinstance(module, LayerNorm)]
    assert len(norms) == sum({"layer_norm": 2, "hyper": 4}[cell] for cell in normed)
    assert {norm.epsilon for norm in norms} <= {0.25}
