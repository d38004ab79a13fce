"""Tapes record a model's intermediate tensors by name and change nothing."""

import pytest
import torch
from small_models import (
    ENCODER_CELLS,
    LENGTHS,
    STATE_SIZES,
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

from pytorch_sketch_rnn.model.sequence import reverse_prefix
from pytorch_sketch_rnn.model.tape import Tape

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
def test_the_tape_holds_what_the_cell_computes_step_by_step(enc_model, dec_model):
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


def test_a_tape_with_a_name_recorded_twice_refuses_to_give_its_values():
    model, tape = make(), Tape()
    model.encode(batch()[:, 1:], LENGTHS, tape)
    model.encode(batch()[:, 1:], LENGTHS, tape)
    with pytest.raises(ValueError, match=r"recorded more than once: encoder/fw/i, .*; use a fresh tape"):
        tape.values()
