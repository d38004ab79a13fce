"""Conversion changes no bit, uses every variable once, says where all came from, and refuses what does not fit."""

import copy
import hashlib
import json
import stat
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from sample_models import ALL_CELLS, STRAYS, checkpoint, tiny, weights

from pytorch_sketch_rnn.errors import BadInput, naming
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port import tensor_bundle_writer as bundle_writer
from weight_port.convert import convert_variables, expected_shapes, make_plan
from weight_port.folder import convert_source, new_folder
from weight_port.infer import infer_hparams
from weight_port.names import table, weight_names
from weight_port.source import open_source

W_HH = "vector_rnn/RNN/LSTMCell/W_hh"
BIAS = "vector_rnn/RNN/LSTMCell/bias"
SLOT = f"vector_rnn/{W_HH}/Adam"


def assert_same(actual: np.ndarray, expected: np.ndarray) -> None:
    """Bit for bit, negative zeros too."""
    assert (actual.dtype, actual.shape, actual.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def shapes_of(variables: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in variables.items()}


def convert(variables: dict[str, np.ndarray], hparams: HParams):
    with naming("the sheep"):
        return convert_variables(variables, make_plan(shapes_of(variables), hparams))


def write_checkpoint(folder: Path, variables: dict[str, np.ndarray], config: object = None, **layout) -> Path:
    """A folder such as Magenta's trainer leaves."""
    bundle_writer.write_bundle(folder / "vector-1000", variables, **layout)
    (folder / "checkpoint").write_text('model_checkpoint_path: "vector-1000"\n')
    if config is not None:
        (folder / "model_config.json").write_text(json.dumps(config))
    return folder


def convert_folder(folder: Path, out: Path, **more):
    with open_source(folder) as source:
        return convert_source(source, out, **more)


# The pure function ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_every_variable_lands_under_our_name_bit_for_bit_and_the_input_stays_as_it_is(enc, dec):
    hparams = tiny(enc, dec)
    variables = checkpoint(hparams, strays=(1, 3))
    before = copy.deepcopy(variables)
    plan = make_plan(shapes_of(variables), hparams)
    converted = convert_variables(variables, plan)
    names = table(hparams)
    for official, ours in names.weights.items():
        assert_same(converted.weights[ours], before[official])
    for official, ours in names.state.items():
        assert_same(converted.optimizer[ours], before[official])
    assert shapes_of(converted.weights) == expected_shapes(hparams)
    assert set(converted.optimizer) == set(names.state.values())
    schedules = ["vector_rnn/Variable", "vector_rnn/Variable_1"]
    assert set(plan.skipped) == {*schedules, *(f"vector_rnn_{n}/{stray}" for n in (1, 3) for stray in STRAYS)}
    assert all(plan.skipped.values())
    # each variable stands in exactly one place
    assert sorted([*plan.weights, *plan.optimizer, *plan.skipped]) == sorted(variables)
    assert list(variables) == list(before)
    for name, value in before.items():
        assert_same(variables[name], value)


def test_slots_and_step_are_kept_under_our_names():
    variables = checkpoint(tiny())
    optimizer = convert(variables, tiny()).optimizer
    assert_same(optimizer["m.decoder.cell.W_hh"], variables[f"vector_rnn/{W_HH}/Adam"])
    assert_same(optimizer["v.decoder.cell.W_hh"], variables[f"vector_rnn/{W_HH}/Adam_1"])
    assert_same(optimizer["beta1_power"], variables["vector_rnn/beta1_power"])
    assert_same(optimizer["beta2_power"], variables["vector_rnn/beta2_power"])
    assert_same(optimizer["global_step"], np.array(1001, np.int32))


@pytest.mark.parametrize("more", [{}, {"vector_rnn/global_step": np.array(7, np.int64)}])
def test_a_checkpoint_without_slots_is_converted_with_what_it_has(more):
    variables = weights(tiny()) | more
    converted = convert(variables, tiny())
    assert len(converted.weights) == len(weights(tiny()))
    assert set(converted.optimizer) == {name.split("/")[-1] for name in more}


def test_float64_weights_stay_float64():
    variables = {name: value.astype(np.float64) + 1e-12 for name, value in weights(tiny()).items()}
    converted = convert(variables, tiny())
    for official, ours in weight_names(tiny()).items():
        assert_same(converted.weights[ours], variables[official])


def changed(**changes: object) -> dict[str, np.ndarray]:
    """A checkpoint with some variables replaced, and without those that are None."""
    variables = checkpoint(tiny()) | changes
    return {name: value for name, value in variables.items() if value is not None}


def number(value: float = 1.0) -> np.ndarray:
    return np.array(value, np.float32)


MISFITS = {
    "a weight is missing": (changed(**{BIAS: None}), [f"missing (1): {BIAS}"], ["unknown", "of another shape"]),
    "a slot is missing": (changed(**{SLOT: None}), [f"missing (1): {SLOT}"], ["unknown", "of another shape"]),
    "a slot's weight and slots are missing": (
        changed(**{W_HH: None, SLOT: None, f"{SLOT}_1": None}),
        [f"missing (3): {W_HH}, {SLOT}, {SLOT}_1"],
        ["unknown"],
    ),
    "the step is missing": (changed(**{"vector_rnn/global_step": None}), ["missing (1): vector_rnn/global_step"], []),
    "a power is missing": (changed(**{"vector_rnn/beta2_power": None}), ["missing (1): vector_rnn/beta2_power"], []),
    "a stranger": (changed(**{"dense/kernel": number()}), ["unknown (1): dense/kernel"], ["missing", "another shape"]),
    "a slot of nothing": (changed(**{f"{SLOT}_2": number()}), [f"unknown (1): {SLOT}_2"], ["missing"]),
    "a weight of an evaluation model": (
        changed(**{"vector_rnn_1/RNN/output_w": number()}),
        ["unknown (1): vector_rnn_1/RNN/output_w"],
        ["missing"],
    ),
    "one renamed": (
        changed(**{BIAS: None, f"{BIAS}es": number()}),
        [f"missing (1): {BIAS};", f"unknown (1): {BIAS}es"],
        ["of another shape"],
    ),
    "a transposed weight": (
        changed(**{W_HH: np.zeros((16, 4), np.float32)}),
        [f"of another shape (1): {W_HH} is [16, 4], expected [4, 16]"],
        ["missing", "unknown"],
    ),
    "a slot of another shape": (
        changed(**{SLOT: np.zeros((4, 17), np.float32)}),
        [f"{SLOT} is [4, 17], expected [4, 16]"],
        ["missing", "unknown"],
    ),
    "a row for a vector": (changed(**{BIAS: np.zeros((1, 16), "f4")}), [f"{BIAS} is [1, 16], expected [16]"], []),
    "a step of one item": (
        changed(**{"vector_rnn/global_step": np.zeros(1, np.int32)}),
        ["vector_rnn/global_step is [1], expected []"],
        [],
    ),
    "everything at once": (
        changed(**{BIAS: None, "a/b": number(), "c": number(), W_HH: np.zeros((2, 2), np.float32)}),
        [f"missing (1): {BIAS}; unknown (2): a/b, c; of another shape (1): {W_HH} is [2, 2], expected [4, 16]"],
        [],
    ),
    "line breaks in a name": (changed(**{"a\nb\x1b[1m": number()}), ["unknown (1): 'a\\nb\\x1b[1m'"], []),
}


@pytest.mark.parametrize(("variables", "said", "unsaid"), MISFITS.values(), ids=MISFITS)
def test_what_is_missing_unknown_or_misshapen_is_listed_in_full(variables, said, unsaid):
    with pytest.raises(BadInput) as caught, naming("the sheep"):
        make_plan(shapes_of(variables), tiny())
    message = str(caught.value)
    assert message.startswith("the sheep: the variables do not make a Sketch-RNN of Magenta's. ")
    assert [text for text in said if text not in message] == []
    assert [text for text in unsaid if text in message] == []
    assert len(message.splitlines()) == 1


def test_a_model_of_other_cells_has_its_variables_listed_on_both_sides():
    ours, theirs = weight_names(tiny("lstm", "lstm")), weight_names(tiny("hyper", "layer_norm"))
    with pytest.raises(BadInput) as caught:
        make_plan(shapes_of(weights(tiny("hyper", "layer_norm"))), tiny("lstm", "lstm"))
    message = str(caught.value)
    missing, unknown = set(ours) - set(theirs), set(theirs) - set(ours)
    assert len(missing) == 9
    assert f"missing ({len(missing)}): {', '.join(sorted(missing))};" in message
    assert f"unknown ({len(unknown)}): {', '.join(sorted(unknown)[:10])} and {len(unknown) - 10} more" in message


def with_item(name: str, item: float) -> dict[str, np.ndarray]:
    variables = checkpoint(tiny())
    variables[name].flat[-1] = item
    return variables


BAD_VALUES = {
    "int weights": (changed(**{W_HH: np.ones((4, 16), np.int32)}), f"{W_HH} holds int32, expected float32 or float64"),
    "bool weights": (changed(**{W_HH: np.ones((4, 16), bool)}), f"{W_HH} holds bool, expected float32"),
    "half weights": (changed(**{W_HH: np.ones((4, 16), "f2")}), f"{W_HH} holds float16, expected float32"),
    "complex weights": (changed(**{W_HH: np.ones((4, 16), "c8")}), f"{W_HH} holds complex64, expected float32"),
    "int slots": (changed(**{SLOT: np.ones((4, 16), np.int32)}), f"{SLOT} holds int32, expected float32 or float64"),
    "a float step": (changed(**{"vector_rnn/global_step": number()}), "step holds float32, expected an integer"),
    "one weight of float64": (changed(**{W_HH: np.ones((4, 16))}), f"{W_HH} holds float64; expected weights that"),
    "NaN": (with_item(BIAS, np.nan), f"{BIAS} holds NaN or infinity"),
    "infinity": (with_item(BIAS, np.inf), f"{BIAS} holds NaN or infinity"),
    "minus infinity": (with_item(BIAS, -np.inf), f"{BIAS} holds NaN or infinity"),
    "NaN in a slot": (with_item(SLOT, np.nan), f"{SLOT} holds NaN or infinity"),
    "NaN for a power": (with_item("vector_rnn/beta1_power", np.nan), "beta1_power holds NaN or infinity"),
}


@pytest.mark.parametrize(("variables", "message"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_values_that_cannot_be_weights_are_refused_by_name(variables, message):
    with pytest.raises(BadInput) as caught:
        convert(variables, tiny())
    assert str(caught.value).startswith("the sheep: ")
    assert message in str(caught.value)


def test_a_skipped_variable_may_hold_anything():
    variables = changed(**{"vector_rnn/Variable": np.array([np.nan]), "vector_rnn_3/beta2_power": np.array(["x"])})
    assert set(convert(variables, tiny()).weights) == set(weight_names(tiny()).values())


# The folder ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_the_folder_is_read_by_from_pretrained_with_every_bit_in_its_place(tmp_path, enc, dec):
    hparams = tiny(enc, dec)
    variables = checkpoint(hparams)
    convert_folder(write_checkpoint(tmp_path / "magenta", variables), tmp_path / "out")
    model = SketchRNN.from_pretrained(tmp_path / "out")
    assert model.hparams == infer_hparams(shapes_of(variables)).hparams
    parameters = {name: value.detach().numpy() for name, value in model.named_parameters()}
    names = weight_names(hparams)
    assert set(parameters) == set(names.values())
    for official, ours in names.items():
        assert_same(parameters[ours], variables[official])
    optimizer = safetensors.numpy.load_file(tmp_path / "out/optimizer.safetensors")
    state = table(hparams).state
    assert set(optimizer) == set(state.values())
    for official, ours in state.items():
        assert_same(optimizer[ours], variables[official])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["magenta", "out"]


def test_a_float64_checkpoint_makes_a_float64_model_that_runs(tmp_path):
    variables = {name: value.astype(np.float64) / 1000 for name, value in weights(tiny()).items()}
    variables["vector_rnn/RNN/output_w"][0] = 0
    convert_folder(write_checkpoint(tmp_path / "magenta", variables), tmp_path / "out")
    model = SketchRNN.from_pretrained(tmp_path / "out")
    assert {value.dtype for value in model.parameters()} == {torch.float64}
    inputs, z = torch.zeros(1, 2, 5).double(), torch.zeros(1, 2).double()
    assert model.decode(inputs, z).pi.isfinite().all()
    assert not (tmp_path / "out/optimizer.safetensors").exists()


def test_the_record_tells_files_with_their_hashes_format_versions_and_what_was_inferred(tmp_path):
    config = {"max_seq_len": 33, "conditional": 1, "of another time": 1}
    folder = write_checkpoint(tmp_path / "magenta", checkpoint(tiny()), config, num_shards=2)
    inferred, plan = convert_folder(folder, tmp_path / "out", flags={"grad_clip": 2.0})
    record = json.loads((tmp_path / "out/conversion.json").read_text())
    names = ["vector-1000.index", *(f"vector-1000.data-0000{n}-of-00002" for n in (0, 1)), "model_config.json"]
    assert record["files"] == [
        {"name": str(folder / name), "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
        for name in names
    ]
    assert (record["source"], record["format"]) == (str(folder / "vector-1000"), "tensor bundle")
    assert record["hyperparameters"] == inferred.origin
    for name, origin in {
        "dec_model": "weights",
        "conditional": "weights",
        "max_seq_len": "config",
        "grad_clip": "flag",
        "kl_weight": "default",
    }.items():
        assert record["hyperparameters"][name] == origin
    assert record["ignored_in_config"] == ["of another time"]
    assert (record["converted"], record["optimizer_state"]) == (len(plan.weights), len(plan.optimizer)) == (17, 37)
    assert record["skipped"] == plan.skipped
    assert len(record["skipped"]) == 7
    assert record["versions"]["numpy"] == np.__version__
    assert record["versions"]["torch"] == version("torch")
    assert set(record["versions"]) == {"pytorch-sketch-rnn", "torch", "numpy", "safetensors", "python"}
    hparams = HParams.load(tmp_path / "out/config.json")
    assert hparams == inferred.hparams
    assert (hparams.max_seq_len, hparams.grad_clip) == (33, 2.0)


def test_all_files_have_the_permissions_that_the_user_gives_to_new_ones(tmp_path):
    convert_folder(write_checkpoint(tmp_path / "magenta", checkpoint(tiny())), tmp_path / "out")
    (tmp_path / "usual").touch()
    (tmp_path / "folder").mkdir()
    usual = stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == dict.fromkeys(
        ["config.json", "conversion.json", "model.safetensors", "optimizer.safetensors"], usual
    )
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "folder").stat().st_mode


@pytest.mark.parametrize("layout", [{"snappy": True, "per_block": 3}, {"num_shards": 5}], ids=str)
def test_a_bundle_of_any_layout_gives_the_same_files(tmp_path, layout):
    variables = checkpoint(tiny("hyper", "layer_norm"))
    for name, options in {"plain": {}, "other": layout}.items():
        convert_folder(write_checkpoint(tmp_path / f"{name} magenta", variables, **options), tmp_path / name)
    for name in ("config.json", "model.safetensors", "optimizer.safetensors"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


class Interrupted(BaseException):
    """Such as Ctrl-C."""


@pytest.mark.parametrize("error", [OSError("disk full"), BadInput("told"), Interrupted("now")])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_in_the_middle_leaves_what_was_there_and_nothing_else(tmp_path, exists, error):
    out = tmp_path / "out"
    if exists:
        out.mkdir()
        (out / "conversion.json").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    expected = BadInput if isinstance(error, OSError) else type(error)

    def fail_in_the_middle() -> None:
        with new_folder(out, force=exists) as folder:
            (folder / "half").write_text("written")
            raise error

    with pytest.raises(expected):
        fail_in_the_middle()
    assert sorted(tmp_path.rglob("*")) == before
    assert not exists or (out / "conversion.json").read_text() == "old"


@pytest.mark.parametrize("error", [OSError("no"), Interrupted("now")])
def test_the_old_folder_is_back_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch, error):
    out = tmp_path / "out"
    out.mkdir()
    (out / "conversion.json").write_text("old")
    rename = Path.rename

    def fail(self, target):
        if self.name == "new":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BadInput if isinstance(error, OSError) else Interrupted), new_folder(out, force=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "conversion.json").read_text() == "old"
