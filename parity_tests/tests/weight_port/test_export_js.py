"""sketch-rnn-js models: read and written again they are the same file; what the format cannot hold is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from model_files import REAL, as_base64, as_list, js_model

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.export.quantising_cost import cost_of_quantising, sketches_of
from weight_port.export.sketch_rnn_js import check_holds, export_js, quantise
from weight_port.export.stored import Stored, read_stored
from weight_port.folder import convert_source
from weight_port.names import weight_names
from weight_port.sketch_rnn_js import DECODER_ORDER, VAE_ORDER, read_model
from weight_port.source import open_source

INFO = {"mode": 2, "version": 6, "max_seq_len": 44, "name": "a bird", "scale_factor": 71.3754, "more": [1]}
SMALL = HParams(dec_rnn_size=4, enc_rnn_size=3, z_size=2, max_seq_len=9)


def saved(folder: Path, hparams: HParams = SMALL, scale_factor: float | None = 3.5, **weights: float) -> Stored:
    """A model with some weights set to one number."""
    model = SketchRNN(hparams, 1)
    for name, value in weights.items():
        dict(model.named_parameters())[f"decoder.{name}"].data[0] = value
    model.scale_factor = scale_factor
    model.save_pretrained(folder)
    return read_stored(folder)


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("mode", [1, 2])
def test_a_model_comes_back_byte_for_byte(tmp_path, mode, integers):
    document, _ = js_model(mode, as_list if integers else as_base64)
    document[0] = INFO | {"mode": mode}
    text = json.dumps(document, separators=(",", ":"))
    (tmp_path / "bird.json").write_text(text)
    with open_source(tmp_path / "bird.json") as source:
        convert_source(source, tmp_path / "pytorch")
    export_js(read_stored(tmp_path / "pytorch"), tmp_path / "back.json", integers=integers)
    assert (tmp_path / "back.json").read_text() == text


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
@pytest.mark.parametrize("name", ["bird", "ambulance", "antyoga", "diving_board"])
def test_an_official_model_comes_back_byte_for_byte(tmp_path, name):
    original = REAL / f"models/{name}.gen.json"
    with open_source(original) as source:
        convert_source(source, tmp_path / "pytorch")
    export_js(read_stored(tmp_path / "pytorch"), tmp_path / "back.json")
    assert (tmp_path / "back.json").read_text().strip() == original.read_text().strip()


def test_every_number_of_the_format_comes_back():
    numbers = np.arange(-32768, 32768)
    weights = {name: np.zeros(1, np.float32) for name in DECODER_ORDER}
    for dtype in (np.float32, np.float64):
        weights["decoder.output_w"] = (numbers.astype(np.float64) * 10 / 32767).astype(dtype)
        found = quantise(HParams(conditional=False), weights)
        assert np.array_equal(found.numbers["decoder.output_w"], numbers)
        assert found.clipped == 0


@pytest.mark.parametrize("conditional", [False, True])
def test_a_model_of_ours_is_written_in_the_order_of_the_format(tmp_path, conditional):
    stored = saved(tmp_path / "sheep", SMALL.replace(conditional=conditional))
    export_js(stored, tmp_path / "out.json")
    info, shapes, blobs = json.loads((tmp_path / "out.json").read_text())
    mode = 1 if conditional else 2
    assert info == {"mode": mode, "version": 6, "max_seq_len": 9, "name": "sheep", "scale_factor": 3.5}
    order = VAE_ORDER if conditional else DECODER_ORDER
    assert shapes == [list(stored.weights[name].shape) for name in order]
    assert all(isinstance(blob, str) for blob in blobs)
    read = read_model(tmp_path / "out.json").variables
    for official, name in weight_names(stored.hparams).items():
        assert np.abs(read[official] - stored.weights[name]).max() <= 10 / 32767 / 2 + 1e-9, name


def test_the_name_and_the_scale_factor_can_be_set(tmp_path):
    document, _ = js_model(2, as_base64)
    document[0] = INFO
    (tmp_path / "bird.json").write_text(json.dumps(document))
    with open_source(tmp_path / "bird.json") as source:
        convert_source(source, tmp_path / "pytorch", {"max_seq_len": 55}, scale_factor=2.5)
    stored = read_stored(tmp_path / "pytorch")
    info, _ = export_js(stored, tmp_path / "out.json", name="owl")
    assert info == INFO | {"max_seq_len": 55, "scale_factor": 2.5, "name": "owl"}
    assert list(info) == list(INFO)
    info, _ = export_js(stored, tmp_path / "other.json", scale_factor=7.5)
    assert (info["name"], info["scale_factor"]) == ("a bird", 7.5)
    with pytest.raises(
        BadInput, match="sheep: its scale factor is not known, and readers of sketch-rnn-js draw nothing"
    ):
        export_js(saved(tmp_path / "sheep", scale_factor=None), tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_weights_beyond_the_range_are_refused_or_clipped(tmp_path):
    stored = saved(tmp_path / "sheep", output_b=10.01, output_w=-123.5)
    message = r"sheep: 124 weights lie beyond \+-10, .*: vector_rnn/RNN/output_w \(123, up to 123.5 in magnitude\), "
    with pytest.raises(BadInput, match=message + r"vector_rnn/RNN/output_b \(1, up to 10.01 in magnitude\); clip them"):
        export_js(stored, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
    _, quantised = export_js(stored, tmp_path / "out.json", clip=True)
    assert quantised.clipped == 124
    assert (quantised.numbers["decoder.output_w"][0] == -32767).all()
    assert quantised.numbers["decoder.output_b"][0] == 32767
    assert np.abs(quantised.weights()["decoder.output_w"]).max() == 10


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"dec_model": "layer_norm"}, "dec_model is layer_norm, and its cells are always plain LSTMs"),
        ({"enc_model": "hyper"}, "enc_model is hyper, and its cells are always plain LSTMs"),
        ({"num_mixture": 5}, "num_mixture is 5, and it always has 20"),
        ({"dec_model": "hyper", "num_mixture": 3}, "dec_model is hyper, .*; num_mixture is 3, and it always has 20"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, changes, reasons):
    with pytest.raises(BadInput, match=f"sketch-rnn-js cannot hold this model: {reasons}; use --format tf"):
        export_js(saved(tmp_path / "sheep", SMALL.replace(**changes)), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_the_encoder_of_an_unconditional_model_does_not_count():
    check_holds(HParams(enc_model="hyper", conditional=False))


def test_files_are_replaced_only_on_demand(tmp_path):
    stored = saved(tmp_path / "sheep")
    with pytest.raises(BadInput, match=r"out: expected the name of a .json file, such as out.gen.json"):
        export_js(stored, tmp_path / "out")
    (tmp_path / "old.json").write_text("old")
    with pytest.raises(BadInput, match=r"old.json: exists already; choose another name, or replace it with --force"):
        export_js(stored, tmp_path / "old.json")
    assert (tmp_path / "old.json").read_text() == "old"
    with pytest.raises(BadInput, match=r"old.json: is not a sketch-rnn-js model; --force will not replace it"):
        export_js(stored, tmp_path / "old.json", force=True)
    assert (tmp_path / "old.json").read_text() == "old"
    (tmp_path / "old.json").write_text('[{"name": "bird", "mode": 2}, cut')
    export_js(stored, tmp_path / "old.json", force=True)
    read_model(tmp_path / "old.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(BadInput, match=r"folder.json: is a folder, expected the name of a file"):
        export_js(stored, tmp_path / "folder.json", force=True)


# What it costs -------------------------------------------------------------------------------------------------------


def write_set(path: Path, count: int, longest: int) -> Path:
    sketches = np.empty(count, object)
    rng = np.random.RandomState(0)
    sketches[:] = [np.column_stack([rng.randint(-9, 9, (n, 2)), np.arange(n) == n - 1]).astype(np.int16)
                   for n in rng.randint(2, longest + 1, count)]  # fmt: skip
    np.savez(path, train=sketches, valid=sketches, test=sketches)
    return path


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("from_set", [False, True])
def test_the_cost_is_that_of_the_weights(tmp_path, conditional, from_set):
    stored = saved(tmp_path / "sheep", SMALL.replace(conditional=conditional))
    data = sketches_of(write_set(tmp_path / "set.npz", 30, 12), SMALL.max_seq_len) if from_set else None
    exact = quantise(stored.hparams, stored.weights)
    itself = Stored(**vars(stored) | {"weights": exact.weights()})
    cost = cost_of_quantising(itself, quantise(stored.hparams, itself.weights), data)
    assert cost.before == cost.after  # it is quantised already
    assert 0 < cost.sketches < 30 if from_set else cost.sketches == 100  # those of up to 9 points
    cost = cost_of_quantising(stored, exact, data)
    assert 0 < abs(cost.after - cost.before) < 1e-3
    coarse = exact._replace(numbers={name: value // 4000 * 4000 for name, value in exact.numbers.items()})
    worse = cost_of_quantising(stored, coarse, data)
    assert worse.before == cost.before
    assert abs(worse.after - worse.before) > 100 * abs(cost.after - cost.before)


def test_a_set_without_short_sketches_is_refused(tmp_path):
    data = write_set(tmp_path / "set.npz", 5, 9)
    with pytest.raises(BadInput, match=r"its test split has no sketch of at most 1 points, that is max_seq_len"):
        sketches_of(data, 1)
