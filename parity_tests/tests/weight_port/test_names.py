"""The table of names: one to one, complete on our side, and complete on the side of the official graph."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from official_script import run_script
from sample_models import ALL_CELLS, tiny, weight_shapes

from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.optimizer_file import array_shapes
from weight_port.convert import expected_shapes
from weight_port.names import ADAM_POWERS, GLOBAL_STEP, inverse, skip_reason, slot_name, table, weight_names

# Written out by hand from checkpoints that Magenta saved, a name of each kind.
KNOWN = {
    ("lstm", "lstm"): {
        "vector_rnn/ENC_RNN/fw/LSTMCell/W_xh": "encoder.fw.W_xh",
        "vector_rnn/ENC_RNN/bw/LSTMCell/bias": "encoder.bw.bias",
        "vector_rnn/ENC_RNN_mu/super_linear_w": "encoder.mu.w",
        "vector_rnn/ENC_RNN_sigma/super_linear_b": "encoder.presig.b",
        "vector_rnn/linear/super_linear_w": "decoder.initial.w",
        "vector_rnn/RNN/LSTMCell/W_hh": "decoder.cell.W_hh",
        "vector_rnn/RNN/output_w": "decoder.output_w",
        "vector_rnn/RNN/output_b": "decoder.output_b",
    },
    ("layer_norm", "hyper"): {
        "vector_rnn/ENC_RNN/fw/LayerNormLSTMCell/ln_all/ln_gamma": "encoder.fw.ln_all.gamma",
        "vector_rnn/ENC_RNN/bw/LayerNormLSTMCell/ln_c/ln_beta": "encoder.bw.ln_c.beta",
        "vector_rnn/RNN/HyperLSTMCell/bias": "decoder.cell.bias",
        "vector_rnn/RNN/HyperLSTMCell/ln_c/ln_gamma": "decoder.cell.ln_c.gamma",
        "vector_rnn/RNN/HyperLSTMCell/LayerNormLSTMCell/W_xh": "decoder.cell.hyper_cell.W_xh",
        "vector_rnn/RNN/HyperLSTMCell/LayerNormLSTMCell/ln_all/ln_beta": "decoder.cell.hyper_cell.ln_all.beta",
        "vector_rnn/RNN/HyperLSTMCell/hyper_ix/zw/super_linear_w": "decoder.cell.hyper_ix.zw_w",
        "vector_rnn/RNN/HyperLSTMCell/hyper_ox/zw/super_linear_b": "decoder.cell.hyper_ox.zw_b",
        "vector_rnn/RNN/HyperLSTMCell/hyper_jx/alpha/super_linear_w": "decoder.cell.hyper_jx.alpha_w",
        "vector_rnn/RNN/HyperLSTMCell/hyper_fh/zb/super_linear_w": "decoder.cell.hyper_fh.zb_w",
        "vector_rnn/RNN/HyperLSTMCell/hyper_oh/beta/super_linear_w": "decoder.cell.hyper_oh.beta_w",
    },
}
# How many variables official models have: 2 of the output, 6 around z, and those of each cell.
CELL_SIZES = {"lstm": 3, "layer_norm": 6, "hyper": 7 + 6 + 4 * (3 + 5), None: 0}


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_the_table_is_one_to_one_and_fills_every_parameter_exactly_once(enc, dec):
    names = weight_names(tiny(enc, dec))
    with torch.device("meta"):
        parameters = [name for name, _ in SketchRNN(tiny(enc, dec)).named_parameters()]
    assert sorted(names.values()) == sorted(parameters)
    assert inverse(names).keys() == set(parameters)
    assert len(names) == 2 + CELL_SIZES[dec] + 2 * CELL_SIZES[enc] + 6 * (enc is not None)


@pytest.mark.parametrize("cells", KNOWN)
def test_known_names_lead_where_they_must(cells):
    names = weight_names(tiny(*cells))
    assert {official: names[official] for official in KNOWN[cells]} == KNOWN[cells]


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_weights_slots_powers_and_step_never_share_a_name_on_either_side(enc, dec):
    names = table(tiny(enc, dec))
    assert names.weights == weight_names(tiny(enc, dec))
    parts = (names.weights, names.slots, names.powers, names.step)
    assert [len(part) for part in parts] == [len(names.weights), 2 * len(names.weights), 2, 1]
    official = [name for part in (*parts, names.constants) for name in part]
    ours = [name for part in parts for name in part.values()]
    assert len(set(official)) == len(official)
    assert len(set(ours)) == len(ours)
    shapes = expected_shapes(tiny(enc, dec))
    assert set(names.weights.values()) == set(shapes)
    assert set(names.state.values()) == set(array_shapes(shapes))
    assert set(names.state) == {*names.slots, *names.powers, *names.step}
    assert [name for name in official if skip_reason(name)] == list(names.constants)


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_every_name_leads_there_and_back(enc, dec):
    names = table(tiny(enc, dec))
    pairs = names.weights | names.state
    assert {names.official(ours) for ours in pairs.values()} == set(pairs)
    assert {names.ours(official) for official in pairs} == set(pairs.values())
    assert all(names.official(names.ours(official)) == official for official in pairs)
    for official in ("vector_rnn/Variable", "vector_rnn_1/beta1_power", "dense/kernel", "decoder.output_w"):
        with pytest.raises(KeyError):
            names.ours(official)
    for ours in ("learning_rate", "m.owl", "vector_rnn/RNN/output_w"):
        with pytest.raises(KeyError):
            names.official(ours)


def test_a_table_cannot_be_changed():
    names = table(tiny())
    with pytest.raises(dataclasses.FrozenInstanceError):
        names.weights = {}
    for part in (names.weights, names.slots, names.powers, names.step, names.constants, names.state):
        with pytest.raises(TypeError):
            part["a"] = "b"


def test_names_that_are_not_one_to_one_have_no_inverse():
    assert inverse({"a": "x", "b": "y"}) == {"x": "a", "y": "b"}
    with pytest.raises(ValueError, match=r"^these names are not one to one: x, y$"):
        inverse({"a": "x", "b": "y", "c": "x", "d": "z", "e": "y"})


def test_constants_are_named_by_the_hyperparameter_that_they_hold():
    names = table(tiny())
    assert names.constants == {"vector_rnn/Variable": "learning_rate", "vector_rnn/Variable_1": "kl_weight_start"}
    assert set(names.constants.values()) <= set(tiny().to_dict())


def test_slots_are_named_as_tensorflow_names_them():
    weight = "vector_rnn/RNN/LSTMCell/W_xh"
    assert slot_name(weight, "m") == "vector_rnn/vector_rnn/RNN/LSTMCell/W_xh/Adam"
    assert slot_name(weight, "v") == "vector_rnn/vector_rnn/RNN/LSTMCell/W_xh/Adam_1"
    names = table(tiny())
    assert names.ours("vector_rnn/vector_rnn/RNN/LSTMCell/W_xh/Adam") == "m.decoder.cell.W_xh"
    assert names.ours("vector_rnn/vector_rnn/RNN/LSTMCell/W_xh/Adam_1") == "v.decoder.cell.W_xh"
    assert names.powers == {"vector_rnn/beta1_power": "beta1_power", "vector_rnn/beta2_power": "beta2_power"}
    assert names.step == {"vector_rnn/global_step": "global_step"}


def test_the_table_is_imported_without_torch():
    code = "import sys, weight_port.names; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_only_schedules_and_strays_of_evaluation_models_are_skipped():
    scalars = ("beta1_power", "beta2_power", "global_step", "Variable", "Variable_1")
    skipped = ["vector_rnn/Variable", "vector_rnn/Variable_1"]
    skipped += [f"vector_rnn_{number}/{name}" for number in (1, 3, 12) for name in scalars]
    assert [name for name in skipped if not skip_reason(name)] == []
    kept = ["vector_rnn/beta1_power", "vector_rnn/Variable_2", "vector_rnn/Variable\n", "x/vector_rnn/Variable", ""]
    kept += ["vector_rnn_1/RNN/output_w", "vector_rnn_/Variable", "vector_rnn_1/Variable/Adam", "vector_rnn_x/Variable"]
    kept += [
        "vector_rnn_1/RNN/Variable",
        "vector_rnn_1/beta3_power",
        "VECTOR_RNN/Variable",
        "vector_rnn_1/vector_rnn/RNN/output_w/Adam",
    ]
    assert {name: skip_reason(name) for name in kept if skip_reason(name)} == {}


# Each cell stands in the encoder, in the decoder and in a decoder alone; its names do not depend on the other cell.
OFFICIAL = [("lstm", "hyper"), ("layer_norm", "lstm"), ("hyper", "layer_norm")]
OFFICIAL += [(None, "lstm"), (None, "layer_norm"), (None, "hyper")]
SCRIPT = """
import json
from parity_tests.official.magenta import model, tf
for index, values in enumerate(json.loads(str(inputs["jobs"]))):
    tf.reset_default_graph()
    hparams = model.get_default_hparams()
    for name, value in values.items():
        hparams.set_hparam(name, value)
    evaluation = model.copy_hparams(hparams)  # as the official trainer builds it, training operation and all
    evaluation.use_recurrent_dropout, evaluation.is_training = 0, 1
    model.Model(hparams)
    model.Model(evaluation, reuse=True)
    variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    result[str(index)] = np.array(json.dumps(variables))
"""


@pytest.mark.oracle
@pytest.mark.slow
def test_every_variable_of_an_official_graph_is_accounted_for(tmp_path):
    # Magenta's model.py leaves the inner sizes of a hyper cell at their defaults.
    models = [tiny(*cells).replace(hyper_num_units=256, hyper_embedding_size=32) for cells in OFFICIAL]
    names = ("enc_model", "dec_model", "conditional", "enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture")
    jobs = [{n: h.to_dict()[n] for n in names} | {"batch_size": 2, "max_seq_len": 3} for h in models]
    result = run_script(SCRIPT, tmp_path, {"jobs": np.array(json.dumps(jobs))})
    for index, hparams in enumerate(models):
        official = {name: tuple(shape) for name, shape in json.loads(str(result[str(index)])).items()}
        weights = weight_shapes(hparams)
        expected = dict(weights)
        expected |= {slot_name(name, slot): shape for name, shape in weights.items() for slot in ("m", "v")}
        expected |= dict.fromkeys([*ADAM_POWERS, GLOBAL_STEP], ())
        skipped = {name for name in official if skip_reason(name)}
        assert {name: official[name] for name in official if name not in skipped} == expected, OFFICIAL[index]
        assert {official[name] for name in skipped} == {()}
        scalars = ("beta1_power", "beta2_power", "global_step", "Variable", "Variable_1")
        schedules = {"vector_rnn/Variable", "vector_rnn/Variable_1"}
        assert skipped == schedules | {f"vector_rnn_1/{name}" for name in scalars}
