"""A converted checkpoint exported again is the same bit for bit, and official Magenta loads it and trains on."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from model_files import content, names_in, write_checkpoint
from official_script import run_script
from sample_models import ALL_CELLS, checkpoint, tiny

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import OURS_ALONE, HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.optimizer_file import STEP
from weight_port.export.checkpoint import export_checkpoint
from weight_port.export.stored import read_stored
from weight_port.export.variables import check_loadable, official_variables
from weight_port.folder import convert_source
from weight_port.names import ADAM_POWERS, CONSTANTS, GLOBAL_STEP, SLOTS, slot_name, weight_names
from weight_port.source import open_source

FIRST = {  # what the trainer's evaluation model holds from its first step to its last
    "vector_rnn_1/Variable": np.array(0.001, np.float32),
    "vector_rnn_1/Variable_1": np.array(0.01, np.float32),
    "vector_rnn_1/beta1_power": np.array(0.9, np.float32),
    "vector_rnn_1/beta2_power": np.array(0.999, np.float32),
    "vector_rnn_1/global_step": np.array(0, np.int32),
}


def official(hparams: HParams, dtype: type = np.float32) -> dict[str, np.ndarray]:
    """A checkpoint as official Magenta saves it; in float64 but for Adam's powers, if its graph ran in float64."""
    variables = checkpoint(hparams, strays=()) | FIRST
    kept = {*ADAM_POWERS, GLOBAL_STEP, *(name for name in FIRST if "power" in name or "step" in name)}
    varied = {name: value if name in kept else value.astype(dtype) for name, value in variables.items()}
    return varied | {name: np.array(float(str(variables[name])), dtype) for name in variables if "Variable" in name}


def convert(folder: Path, out: Path, **flags: object) -> Path:
    with open_source(folder) as source:
        convert_source(source, out, flags)
    return out


def variables_of(path: Path) -> dict[str, np.ndarray]:
    with open_source(path) as source:
        return {name: source.variables.read(name) for name in source.variables.names()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_a_checkpoint_comes_back_bit_for_bit(tmp_path, enc, dec, dtype):
    variables = official(tiny(enc, dec), dtype)
    source = write_checkpoint(tmp_path / "magenta", variables, {"max_seq_len": 33})
    stored = read_stored(convert(source, tmp_path / "pytorch"))
    prefix = export_checkpoint(stored, tmp_path / "back")
    assert prefix.name == "vector-1000"  # its step is 1001: the trainer saves after the step
    assert_same(variables_of(tmp_path / "back"), variables)
    again = convert(tmp_path / "back", tmp_path / "again")
    for name in ("config.json", "model.safetensors", "optimizer.safetensors"):
        assert (again / name).read_bytes() == (tmp_path / "pytorch" / name).read_bytes()


def test_the_first_learning_rate_and_kl_weight_are_those_of_the_checkpoint_where_no_config_says_them(tmp_path):
    variables = official(tiny()) | {
        "vector_rnn/Variable": np.array(0.0123, np.float32),
        "vector_rnn/Variable_1": np.array(0.3, np.float32),
    }
    source = write_checkpoint(tmp_path / "magenta", variables, ["learning_rate", "kl_weight_start"])
    stored = read_stored(convert(source, tmp_path / "pytorch"))
    assert (stored.hparams.learning_rate, stored.hparams.kl_weight_start) == (0.0123, 0.3)
    exported = variables_of(export_checkpoint(stored, tmp_path / "back"))
    assert all(exported[name] == variables[name] for name in CONSTANTS)
    assert read_stored(convert(source, tmp_path / "flags", learning_rate=0.5)).hparams.learning_rate == 0.5
    impossible = variables | {"vector_rnn/Variable": np.array(np.nan, np.float32)}
    source = write_checkpoint(tmp_path / "damaged", impossible, ["learning_rate"])
    assert read_stored(convert(source, tmp_path / "default")).hparams.learning_rate == 0.001


def test_a_model_without_optimizer_state_has_that_of_the_first_step(tmp_path):
    SketchRNN(tiny("hyper", "layer_norm"), 1).save_pretrained(tmp_path / "model")
    stored = read_stored(tmp_path / "model")
    prefix = export_checkpoint(stored, tmp_path / "back")
    assert prefix.name == "vector-0"
    found = variables_of(prefix)
    for name, ours in weight_names(stored.hparams).items():
        assert found[name].tobytes() == stored.weights[ours].tobytes()
        assert not any(found[slot_name(name, slot)].any() for slot in SLOTS)
    scalars = {name: value for name, value in found.items() if name.startswith("vector_rnn/") and not value.shape}
    assert scalars == {name.replace("_1/", "/"): value for name, value in FIRST.items()}


def test_the_powers_and_the_step_are_kept_without_slots(tmp_path):
    variables = {n: v for n, v in official(tiny()).items() if "/Adam" not in n}
    source = write_checkpoint(tmp_path / "magenta", variables)
    found = variables_of(export_checkpoint(read_stored(convert(source, tmp_path / "pytorch")), tmp_path / "back"))
    for name in (*ADAM_POWERS, GLOBAL_STEP):
        assert found[name] == variables[name]


def test_a_step_beyond_32_bits_is_refused():
    hparams = tiny()
    weights = {name: value.numpy() for name, value in SketchRNN(hparams, 1).state_dict().items()}
    with pytest.raises(BadInput, match="global_step is 2147483648, expected a whole number that 32 bits hold"):
        official_variables(hparams, weights, {"global_step": np.array(2**31)})


def test_what_magenta_cannot_load_is_refused():
    weights = {"decoder.output_b": np.zeros(3, np.float32)}
    check_loadable(HParams(dec_model="hyper"), weights)
    check_loadable(HParams(hyper_num_units=3), weights)  # of no cell of the model
    with pytest.raises(BadInput, match="hyper_num_units=3: Magenta's HyperLSTM has no such flags, it always has"):
        check_loadable(HParams(enc_model="hyper", hyper_num_units=3), weights)
    check_loadable(HParams(enc_model="hyper", hyper_num_units=3, conditional=False), weights)
    with pytest.raises(
        BadInput,
        match="the weights or Adam's slots are float64, which Magenta's code cannot load; round them with --float32",
    ):
        check_loadable(HParams(), {"decoder.output_b": np.zeros(3)})


def test_the_folder_is_that_of_the_trainer_and_remembers_the_scale_factor(tmp_path):
    model = SketchRNN(tiny().replace(use_recurrent_dropout=False, max_seq_len=55), 1)
    model.scale_factor = 12.5
    model.save_pretrained(tmp_path / "model")
    export_checkpoint(read_stored(tmp_path / "model"), tmp_path / "out")
    files = ["checkpoint", "export.json", "model_config.json", "vector-0.data-00000-of-00001", "vector-0.index"]
    assert names_in(tmp_path / "out") == files
    lines = 'model_checkpoint_path: "vector-0"\nall_model_checkpoint_paths: "vector-0"\n'
    assert (tmp_path / "out/checkpoint").read_text() == lines
    config = json.loads((tmp_path / "out/model_config.json").read_text())
    assert config.keys() == HParams().to_dict().keys() - set(OURS_ALONE)
    assert (config["use_recurrent_dropout"], config["conditional"], config["max_seq_len"]) == (False, True, 55)
    assert SketchRNN.from_pretrained(convert(tmp_path / "out", tmp_path / "back")).scale_factor == 12.5


@pytest.mark.parametrize("record", ['["a list"]', '{"info": 3, "scale_factor": 12.5}'])
def test_an_odd_record_of_an_export_does_no_harm(tmp_path, record):
    source = write_checkpoint(tmp_path / "magenta")
    (source / "export.json").write_text(record)
    convert(source, tmp_path / "out")
    (source / "export.json").write_text('{"scale_factor": -1}')
    with pytest.raises(BadInput, match="scale_factor is -1, expected a positive, finite number"):
        convert(source, tmp_path / "refused")


def test_only_an_earlier_export_is_replaced(tmp_path):
    SketchRNN(tiny(), 1).save_pretrained(tmp_path / "model")
    stored = read_stored(tmp_path / "model")
    for folder in ("model", "empty"):
        (tmp_path / folder).mkdir(exist_ok=True)
        before = content(tmp_path / folder)
        with pytest.raises(BadInput, match="exists already; choose another name"):
            export_checkpoint(stored, tmp_path / folder)
        with pytest.raises(BadInput, match=r"is not an exported model \(it holds no export.json\)"):
            export_checkpoint(stored, tmp_path / folder, force=True)
        assert content(tmp_path / folder) == before
    export_checkpoint(stored, tmp_path / "out")
    export_checkpoint(stored, tmp_path / "out", force=True)
    (tmp_path / "out/vector-500.index").write_text("of a training")
    before = content(tmp_path / "out")
    with pytest.raises(BadInput, match=r"out: holds what no export wrote: vector-500.index; --force will not"):
        export_checkpoint(stored, tmp_path / "out", force=True)
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("m.decoder.output_b"), "does not fit config.json: m.decoder.output_b"),
        (lambda arrays: arrays.update(more=np.zeros(1)), "does not fit config.json: more"),
        (lambda arrays: arrays.update(global_step=np.zeros(2, int)), "does not fit config.json: global_step"),
        (lambda arrays: arrays.update(global_step=np.array(1.5)), "global_step holds float64, expected an integer"),
        (lambda arrays: arrays.update(beta1_power=np.array(1)), "beta1_power holds int64, expected floats"),
        (lambda arrays: arrays.update(beta1_power=np.array(np.nan)), "beta1_power holds NaN or infinity"),
    ],
)
def test_an_optimizer_that_does_not_fit_is_refused(tmp_path, change, message):
    folder = convert(write_checkpoint(tmp_path / "magenta"), tmp_path / "pytorch")
    arrays = safetensors.numpy.load_file(folder / "optimizer.safetensors")
    change(arrays)
    safetensors.numpy.save_file(arrays, folder / "optimizer.safetensors")
    with pytest.raises(BadInput, match=f"optimizer.safetensors: {message}"):
        read_stored(folder)


# Loads an export as Magenta's notebook does, and samples; then goes on training as Magenta's trainer does.
OFFICIAL = """
from parity_tests.official import magenta
trainer, tf = magenta.sketch_rnn_train, magenta.tf
folder = str(inputs["folder"])
model_params, eval_params, sample_params = trainer.load_model(folder)
trainer.reset_graph()
models = [trainer.sketch_rnn_model.Model(model_params)]
models += [trainer.sketch_rnn_model.Model(params, reuse=True) for params in (eval_params, sample_params)]
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    trainer.load_checkpoint(sess, folder)
    for variable in tf.global_variables():
        result[variable.op.name] = sess.run(variable)
    strokes, _ = trainer.sketch_rnn_model.sample(sess, models[2], seq_len=5)
    result["sampled"] = strokes
trainer.FLAGS(["train", f"--log_root={folder}", f"--data_dir={inputs['data']}", "--resume_training",
    "--hparams=" + str(inputs["hparams"])])
trainer.main([])
result["later"] = np.array(tf.train.latest_checkpoint(folder))
"""


def test_official_magenta_loads_an_export_samples_and_trains_on(tmp_path):
    hparams = tiny("layer_norm", "lstm").replace(data_set=("set.npz",), batch_size=2)
    first = {name: value.numpy() for name, value in SketchRNN(hparams, 1).state_dict().items()}
    variables = official_variables(hparams, first, {STEP: np.array(7)})
    variables |= {name: value + 1e-3 for name, value in variables.items() if name.endswith(("/Adam", "/Adam_1"))}
    config = {"max_seq_len": 33, "data_set": ["set.npz"], "batch_size": 2}
    source = write_checkpoint(tmp_path / "magenta", variables, config)
    export_checkpoint(read_stored(convert(source, tmp_path / "pytorch")), tmp_path / "out")
    sketches = np.empty(4, object)
    sketches[:] = [np.array([[1, 2, 0], [3, -4, 1], [1, 1, 1]], np.int16) * (i + 1) for i in range(4)]
    np.savez(tmp_path / "set.npz", train=sketches, valid=sketches, test=sketches)
    flags = {"data_set": "[set.npz]", "batch_size": 2, "num_steps": 10, "save_every": 9, "dec_rnn_size": 4}
    flags |= {"enc_rnn_size": 3, "z_size": 2, "num_mixture": 7, "enc_model": "layer_norm"}
    given = {
        "folder": tmp_path / "out",
        "data": tmp_path,
        "hparams": ",".join(f"{name}={value}" for name, value in flags.items()),
    }
    found = run_script(OFFICIAL, tmp_path, {name: np.array(str(value)) for name, value in given.items()})
    assert found.pop("sampled").shape == (5, 5)
    assert str(found.pop("later")).endswith("/vector-9")
    assert_same(found, {name: value for name, value in variables.items() if not name.startswith("vector_rnn_1/")})
    later = variables_of(tmp_path / "out")
    assert later[GLOBAL_STEP] == 10  # saved after the step that was the tenth
    assert set(later) == set(variables)
