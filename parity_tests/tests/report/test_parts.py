"""Every quantity belongs to a part of the report, and every part is met."""

import pytest
from report_rows import a_row
from sample_models import ALL_CELLS, tiny
from shipped import shipped

from parity_tests.judge.compare import official_names
from parity_tests.judge.tensor.together import TOGETHER
from parity_tests.record.quantities import FED
from parity_tests.report.parts import PARTS, kind_of, part_of
from weight_port.names import table

PLAIN = {"mu", "presig", "z", "pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits", "kl_cost", "cost"}
OF_A_MODEL = {
    *PLAIN, "head", "decoder", "r_cost, is_training 0", "r_cost, is_training 1", "gradients", "gradients, clipped",
    "gradients, all together in L2", "Adam: m", "Adam: v", "Adam: powers", "weights after a step",
    "dropout, keep probabilities", "sampling, greedy", "sampling at a temperature", "encoder, forward",
    "encoder, backward", "decoder, initial state", "likelihood of the strokes",
}  # fmt: skip
OF_A_MODEL |= {
    "weights as loaded", "local: each step of a layer", "local: derivatives of each step",
    "local: latent vector and initial state", "local: output layer and mixture", "local: costs",
    "local: gradients of the cost to its inputs", "local: clip and optimizer", "the first points of a sketch",
}  # fmt: skip
OF_AN_ENCODER = {
    "mu", "presig", "z", "encoder, forward", "encoder, backward", "decoder, initial state",
    "local: latent vector and initial state",
}  # fmt: skip


@pytest.fixture(scope="module")
def fixtures():
    return shipped()


def parts_of(recording) -> dict[str, str]:
    if recording.kind == "initial":
        names = [f"initial/{name.removeprefix('initial/')}" for name in recording["initial"]]
    else:
        kept = [precision for precision in ("float64", "float32", "exact") if precision in recording.groups]
        names = [name for precision in kept for name in official_names(recording, precision)]
    if recording.kind == "model":
        names.append(TOGETHER)
    return {name: part_of(a_row(recording.name, name)) for name in names}


@pytest.mark.parametrize(
    "name",
    [
        "lstm/as_is",
        "layer_norm/moved",
        "mix-all-dropout/moved",
        "mix-hyper-encoder/as_is",
        "layer_norm-unconditional/moved",
    ],
)
def test_every_quantity_of_a_model_belongs_to_a_part(name, fixtures):
    parts = parts_of(fixtures[name])
    assert set(parts.values()) == OF_A_MODEL - (OF_AN_ENCODER if "unconditional" in name else set())
    for quantity, part in parts.items():
        for scope, place in {"encoder/fw": "encoder, forward", "encoder/bw": "encoder, backward"}.items():
            inside = scope in quantity and quantity.startswith(("train", "eval")) and "keep_prob" not in quantity
            assert inside == (part == place)
        assert quantity.startswith((FED, "variables/")) == part.startswith(("local: ", "weights as loaded"))
        assert quantity.startswith("prefix/") == (part == "the first points of a sketch")
        if quantity.startswith(FED):
            assert kind_of(a_row(name, quantity)) == "local"


ALONE = {
    "cell/lstm": {"LSTM cell alone", "dropout, values of a mask"},
    "cell/layer_norm": {"layer-norm LSTM cell alone", "dropout, values of a mask"},
    "cell/hyper": {"HyperLSTM cell alone", "dropout, values of a mask"},
    "data": {"data loader"},
    "data/joined": {"data loader"},
    "initial/hyper": {"initial weights, constant or drawn by NumPy"},
    "training/mix": {
        f"training: {part}"
        for part in (
            "batches", "learning rate and KL weight", "costs", "validation costs", "gradients", "gradients, clipped",
            "Adam's state", "weights",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "parts"), ALONE.items())
def test_every_quantity_of_what_is_tested_alone_belongs_to_its_part(name, parts, fixtures):
    found = parts_of(fixtures[name])
    assert len(found) >= 9
    assert set(found.values()) == parts


@pytest.mark.parametrize(
    ("recording", "quantity", "part"),
    [
        ("initial/lstm", "distribution/output_w", "initial weights, distribution of what TensorFlow draws"),
        ("initial/lstm", "initial", "initial weights, constant or drawn by NumPy"),
        ("training/mix", "free run: drift of the weights", "training: drift of a free run"),
        ("training/mix", "fresh/after/w", "training: the first step of a fresh optimizer"),
        ("training/mix", "resumed/gradient/w", "training: the step after a checkpoint"),
        ("training/mix", "resumed/", "training: the step after a checkpoint"),
        ("training/mix", "resumed/cost", "training: costs"),
        ("lstm/as_is", "something/else", "something/else"),
    ],
)
def test_a_quantity_outside_of_recordings_belongs_to_a_part_too(recording, quantity, part):
    assert part_of(a_row(recording, quantity)) == part


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_every_converted_variable_belongs_to_a_part(enc, dec):
    names = table(tiny(enc, dec))
    for some, part in ((names.weights, "weights"), (names.state, "optimizer state")):
        assert {part_of(a_row("x/as_is", f"converted/{name}", "exact")) for name in some} == {
            f"checkpoint: {part}, converted or exported"
        }


def test_every_part_of_the_table_is_met(fixtures):
    met = {part for recording in fixtures.values() for part in parts_of(recording).values()}
    rest = {part for _, part in PARTS if part} - met
    assert rest == {
        "checkpoint: optimizer state, converted or exported",
        "checkpoint: weights, converted or exported",
        "initial weights, distribution of what TensorFlow draws",
        "training: the first step of a fresh optimizer",
        "training: the step after a checkpoint",
        "training: drift of a free run",
    }
