"""Small errors of a port: the first departure names the part, and says whether the cell itself is wrong."""

import numpy as np
import pytest
import torch
from replays import (
    BOTH,
    CELL,
    DATA,
    INITIAL,
    MODEL,
    RECORDINGS,
    RNN,
    SMALL,
    broken,
    changed,
    one,
    overridden,
    rows_of,
    scaled,
)

from parity_tests import ours
from parity_tests.examples import numpy_port
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.row import failures
from parity_tests.report.parts import part_of
from parity_tests.report.sentences import explain


class Disguised(ours.Adapter):
    """Whatever becomes of its weights, it shows those that it was given."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        self.given = dict(variables)

    def variables(self):
        return {name: self.given[name] for name in super().variables()}


class WrongInitialState(Disguised):
    """Only where the decoder begins is wrong."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        self.model.decoder.initial.b.data += 1e-3


class WrongConcatenation(Disguised):
    """Only what the decoder's cell reads is wrong: z stands in it from behind."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        rows = len(RECORDINGS[MODEL]["inputs"]["lengths"])  # all steps at once are more, and come from official values

        def flipped(_, args):
            x, *rest = args
            return (torch.cat([x[:, :5], x[:, 5:].flip(1)], dim=1), *rest) if len(x) <= rows else args

        self.model.decoder.cell.register_forward_pre_hook(flipped)


class WrongCell(Disguised):
    """The decoder's cell itself is wrong, in the layer and alone."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        self.model.decoder.cell.W_hh.data *= SMALL


class DropsOutTooLate(ours.Adapter):
    """The decoder's cell is wrong where dropout is on alone: the candidate is dropped out by another mask."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        draws = {name: 1 / 0.9 - mask if name == "decoder/recurrent" else mask for name, mask in draws.items()}
        return super().train_step(sketches, lengths, draws, lr, kl_weight)

    def step_layer(self, layer, x, state, mask):
        mask = 1 / 0.9 - mask if mask is not None and layer == "decoder" else mask
        return super().step_layer(layer, x, state, mask)


class KeepsItsInput(ours.Adapter):
    """Input dropout is left out: wrong in training alone, and not in the cell."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        draws = {name: np.ones_like(mask) if name == "decoder/input" else mask for name, mask in draws.items()}
        return super().train_step(sketches, lengths, draws, lr, kl_weight)


LOCAL = "  the same step departs from the official state as well: the error is made in this step"
GIVEN = "  the same step is equal from the official state: the error comes from the step's inputs"


@pytest.mark.parametrize("port", [WrongInitialState, WrongConcatenation])
def test_a_right_cell_in_a_wrong_layer_is_equal_from_the_official_state(port):
    rows = rows_of(port(), MODEL)
    double = [row for row in rows if row.precision == "float64"]
    steps = [row for row in double if row.quantity.startswith("fed/train/decoder/") and "initial" not in row.quantity]
    assert {row.verdict for row in steps} == {"equal"}
    for name in ("i", "g", "c", "h", "output", "state"):
        row = one(rows, f"train/decoder/{name}")
        assert row.verdict == "different"
        assert GIVEN in explain(row, rows)
        assert LOCAL not in explain(row, rows)


def test_a_wrong_cell_departs_from_the_official_state_too():
    rows = rows_of(WrongCell(), MODEL)
    double = [row for row in rows if row.precision == "float64"]
    fed = [row for row in double if row.quantity.startswith("fed/train/decoder/") and "initial" not in row.quantity]
    assert fed
    assert {row.verdict for row in fed} == {"different"}
    assert {row.verdict for row in double if row.quantity.startswith("fed/train/encoder/")} == {"equal"}
    for name in ("i", "g", "c", "h", "output", "state"):
        row = one(rows, f"train/decoder/{name}")
        assert LOCAL in explain(row, rows)
        assert GIVEN not in explain(row, rows)


@pytest.mark.parametrize(
    ("port", "quantity", "told"),
    [
        (WrongInitialState, "eval/decoder/initial_state", LOCAL),
        (WrongConcatenation, "eval/decoder/output", GIVEN),
        (WrongCell, "eval/decoder/output", LOCAL),
    ],
)
def test_the_first_departure_of_an_evaluation_says_whether_the_cell_is_to_blame(port, quantity, told):
    rows = rows_of(port(), MODEL)
    first = first_departure(rows)
    assert first.quantity == quantity
    assert [line for line in explain(first, rows) if line in (LOCAL, GIVEN)] == ([told] if told else [])


@pytest.mark.parametrize(
    ("port", "recording", "quantity", "told"),
    [(DropsOutTooLate, MODEL, "train/decoder/g", LOCAL), (KeepsItsInput, "mix-all-dropout/moved", None, GIVEN)],
)
def test_the_first_departure_of_a_training_says_whether_the_cell_is_to_blame(port, recording, quantity, told):
    rows = rows_of(port(), recording)
    assert all(row.verdict == "equal" for row in rows if row.quantity.startswith(("eval/", "sample/")))
    first = first_departure(rows)
    assert first.quantity.startswith("train/decoder/")
    assert quantity in (None, first.quantity)
    assert first.where["step"] == 0
    assert told in explain(first, rows)
    assert part_of(first) == "decoder"


def test_what_departs_from_the_official_state_alone_is_a_failure():
    port = changed("step_layer", scaled("g"))
    rows = rows_of(port, MODEL)
    assert {row.quantity for row in failures(rows)} == {
        f"fed/train/{s}/g" for s in ("encoder/fw", "encoder/bw", "decoder")
    }
    assert part_of(first_departure(rows)) == "local: each step of a layer"


# Where a port is wrong ----------------------------------------------------------------------------------------------

W_XH, W_HH = f"{RNN}/W_xh", f"{RNN}/W_hh"
OUTPUT_W = "vector_rnn/RNN/output_w"
SLOT = "vector_rnn/vector_rnn/RNN/LSTMCell/W_xh/Adam"
POWER = "after/vector_rnn/beta2_power"
KEEP_PROB = "keep_prob/decoder/recurrent"
TENSORFLOW_DRAWS = "initial weights, distribution of what TensorFlow draws"


def other_scale(data):
    return data._replace(scale_factor=data.scale_factor * np.float32(1.000001))


def other_batch(data):
    return data._replace(valid_batch=lambda index: data.valid_batch(index + 1))


def worse_batch(data):
    """A loader whose training strokes are a little off."""

    def random_batch():
        strokes, sketches, lengths = data.random_batch()
        return [stroke * np.float32(1.000001) for stroke in strokes], sketches, lengths

    return data._replace(random_batch=random_batch)


def only_at_a_temperature(self, seq_len, temperature, greedy, uniform, normal):
    answer = ours.Adapter.sample(self, seq_len, temperature, greedy, uniform, normal)
    return answer if greedy else scaled("strokes", 1 + 1e-6)(answer)


def draws_one_more(self, seq_len, temperature, greedy, uniform, normal):
    answer = ours.Adapter.sample(self, seq_len, temperature, greedy, uniform, normal)
    uniform.random()
    return answer


def wrong_training_loss(self, mixture, targets, latent, *, is_training):
    answer = ours.Adapter.loss(self, mixture, targets, latent, is_training=is_training)
    return scaled("r_cost")(answer) if is_training else answer


def late_load(self, hparams, variables):
    name = "vector_rnn/RNN/output_b"
    value = variables[name] * variables[name].dtype.type(SMALL)
    ours.Adapter.load(self, hparams, {**variables, name: value})


def load_without_slots(self, hparams, variables):
    zeros = {name: np.zeros_like(value) for name, value in variables.items() if name.endswith(("/Adam", "/Adam_1"))}
    ours.Adapter.load(self, hparams, {**variables, **zeros})


MUTANTS = [
    ("step_cell", scaled("i"), CELL, "i", "LSTM cell alone"),
    ("step_cell", scaled("total"), "cell/layer_norm", "total", "layer-norm LSTM cell alone"),
    ("step_cell", scaled("hyper_jh"), "cell/hyper", "hyper_jh", "HyperLSTM cell alone"),
    ("step_cell", scaled("hyper_cell/normal_c"), "cell/hyper", "hyper_cell/normal_c", "HyperLSTM cell alone"),
    ("step_cell", scaled("state"), "cell/hyper", "state", "HyperLSTM cell alone"),
    ("dropout_mask", lambda mask: mask * np.float32(1 + 2e-7), CELL, "dropout_values", "dropout, values of a mask"),
    ("dropout_mask", lambda mask: mask * np.float32(0.9), CELL, "dropout_values", "dropout, values of a mask"),
    ("dropout_mask", np.ones_like, CELL, "dropout_values", "dropout, values of a mask"),
    ("encode", scaled("encoder/fw/output"), MODEL, "eval/encoder/fw/output", "encoder, forward"),
    ("encode", scaled("encoder/bw/final_state"), MODEL, "eval/encoder/bw/final_state", "encoder, backward"),
    ("encode", scaled("mu"), MODEL, "eval/mu", "mu"),
    ("encode", scaled("presig"), MODEL, "eval/presig", "presig"),
    ("encode", scaled("z"), MODEL, "eval/z", "z"),
    ("decode", scaled("decoder/initial_state"), MODEL, "eval/decoder/initial_state", "decoder, initial state"),
    ("decode", scaled("decoder/output"), MODEL, "eval/decoder/output", "decoder"),
    ("decode", scaled("pi"), MODEL, "eval/pi", "pi"),
    ("decode", scaled("sigma2"), MODEL, "eval/sigma2", "sigma2"),
    ("decode", scaled("corr"), MODEL, "eval/corr", "corr"),
    ("decode", scaled("pen"), MODEL, "eval/pen", "pen"),
    ("decode", scaled("pen_logits"), MODEL, "eval/pen_logits", "pen_logits"),
    ("loss", scaled("r_cost"), MODEL, "eval/r_cost", "r_cost, is_training 0"),
    ("loss", scaled("kl_cost"), MODEL, "eval/kl_cost", "kl_cost"),
    ("train_step", scaled(KEEP_PROB, 0.99), MODEL, f"train/{KEEP_PROB}", "dropout, keep probabilities"),
    ("train_step", scaled("encoder/fw/g"), MODEL, "train/encoder/fw/g", "encoder, forward"),
    ("train_step", scaled("encoder/bw/final_state"), MODEL, "train/encoder/bw/final_state", "encoder, backward"),
    ("train_step", scaled("presig"), MODEL, "train/presig", "presig"),
    ("train_step", scaled("decoder/initial_state"), MODEL, "train/decoder/initial_state", "decoder, initial state"),
    ("train_step", scaled("decoder/o"), MODEL, "train/decoder/o", "decoder"),
    ("train_step", scaled("mu2"), MODEL, "train/mu2", "mu2"),
    ("train_step", scaled("r_cost"), MODEL, "train/r_cost", "r_cost, is_training 1"),
    ("train_step", scaled("kl_cost"), MODEL, "train/kl_cost", "kl_cost"),
    ("train_step", scaled("cost"), MODEL, "train/cost", "cost"),
    ("train_step", scaled(f"gradient/{W_XH}"), MODEL, f"gradient/{W_XH}", "gradients"),
    ("train_step", scaled(f"clipped/{W_XH}"), MODEL, f"clipped/{W_XH}", "gradients, clipped"),
    ("train_step", scaled(f"after/{SLOT}"), MODEL, f"after/{SLOT}", "Adam: m"),
    ("train_step", scaled(f"after/{SLOT}_1"), MODEL, f"after/{SLOT}_1", "Adam: v"),
    ("train_step", scaled(POWER, 1.00001), MODEL, POWER, "Adam: powers"),
    ("train_step", scaled(f"after/{W_XH}"), MODEL, f"after/{W_XH}", "weights after a step"),
    ("sample", scaled("mu1"), MODEL, "sample/greedy/mu1", "sampling, greedy"),
    ("sample", scaled("strokes", 1 + 1e-6), MODEL, "sample/greedy/strokes", "sampling, greedy"),
    ("data", other_scale, DATA, "scale_factor", "data loader"),
    ("data", worse_batch, DATA, "train/0/strokes", "data loader"),
    ("data", other_batch, DATA, "valid/0/strokes", "data loader"),
    ("data", lambda data: data._replace(valid_batch=data.test_batch), "data/joined", "valid/0/strokes", "data loader"),
    ("initial", scaled(W_HH, 1 + 1e-5), INITIAL, f"initial/{W_HH}", "initial weights, constant or drawn by NumPy"),
    ("initial", scaled(OUTPUT_W, 1.2), INITIAL, f"distribution/{OUTPUT_W}", TENSORFLOW_DRAWS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "change", "recording", "quantity", "part"), MUTANTS, ids=[f"{m[0]}-{m[3]}" for m in MUTANTS]
)
def test_a_small_wrong_thing_is_found_and_its_part_named(method, change, recording, quantity, part):
    first = first_departure(rows_of(changed(method, change), recording))
    assert first is not None
    assert (first.quantity, first.verdict) == (quantity, "different")
    assert part_of(first) == part
    assert first.error > first.allowed


@pytest.mark.parametrize(
    ("methods", "recording", "quantity", "part"),
    [
        ({"sample": only_at_a_temperature}, MODEL, "sample/sampled/strokes", "sampling at a temperature"),
        ({"sample": draws_one_more}, MODEL, "sample/greedy/next_uniform", "sampling, greedy"),
        ({"load": late_load}, MODEL, "variables/vector_rnn/RNN/output_b", "weights as loaded"),
        ({"load": load_without_slots}, "layer_norm/moved", None, "Adam: m"),
    ],
)
def test_a_wrong_method_is_found_where_it_shows(methods, recording, quantity, part):
    first = first_departure(rows_of(overridden(**methods), recording))
    assert quantity in (None, first.quantity)
    assert part_of(first) == part


def test_float32_that_float64_cannot_tell_is_found():
    def worse_in_float32(answer):
        return scaled("mu1", 1 + 3e-5)(answer) if answer["mu1"].dtype == np.float32 else answer

    rows = rows_of(changed("decode", worse_in_float32), MODEL, precisions=BOTH)
    first = first_departure(rows)
    assert (first.quantity, first.precision) == ("eval/mu1", "float32")
    assert {row.precision for row in failures(rows)} == {"float32"}


def test_the_training_loss_of_a_port_that_cannot_train_is_asked_for():
    class Port(numpy_port.Adapter):
        def loss(self, mixture, targets, latent, *, is_training):
            answer = super().loss(mixture, targets, latent, is_training=is_training)
            return scaled("r_cost")(answer) if is_training else answer

    first = first_departure(rows_of(Port(), MODEL, partial=True))
    assert (first.quantity, part_of(first)) == ("train/r_cost", "r_cost, is_training 1")


@pytest.mark.parametrize("method", ["encode", "decode", "loss"])
def test_what_fails_in_the_forward_pass_of_a_port_that_cannot_train_is_named(method):
    class Port(numpy_port.Adapter):
        asked = 0

    def fails_in_training(self, *args, **kwargs):
        if kwargs.get("is_training") or any(isinstance(a, dict) and "decoder/recurrent" in a for a in args):
            raise RuntimeError("owl")
        return getattr(numpy_port.Adapter, method)(self, *args, **kwargs)

    setattr(Port, method, fails_in_training)
    rows = broken(rows_of(Port(), MODEL, partial=True), method)
    assert {row.note for row in rows} == {f"{method} failed: RuntimeError: owl"}
