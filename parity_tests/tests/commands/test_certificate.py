"""The certificate of a model: the same weights in any form are known again, and anything else is named."""

import base64
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from sample_models import checkpoint, tiny

from parity_tests.__main__ import main
from parity_tests.commands.check import check
from parity_tests.judge.row import Row
from parity_tests.report.certificate import FILE, KIND, SCHEMA, hash_of, hashes, write_certificate
from parity_tests.report.report import Report
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.__main__ import main as weight_port
from weight_port.names import weight_names
from weight_port.sketch_rnn_js import DECODER_ORDER
from weight_port.source import open_source
from weight_port.tensor_bundle_writer import write_bundle

HPARAMS = tiny("layer_norm", "hyper")
VARIABLES = checkpoint(HPARAMS)
MU_W, OUTPUT_B = "vector_rnn/ENC_RNN_mu/super_linear_w", "vector_rnn/RNN/output_b"


def report(verdict="equal", **more):
    return Report("Parity", [Row("lstm/as_is", "eval/pi", "float64", verdict, 0.0, 1e-10)], {}, {"seed": 1}, **more)


def write_model(folder: Path, variables=VARIABLES, prefix="vector-5") -> Path:
    """A folder as the official trainer leaves it."""
    write_bundle(folder / prefix, variables)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{prefix}"\n')
    return folder


def certify(folder: Path, model: Path, **more) -> Path:
    folder.mkdir(exist_ok=True)
    with open_source(model) as source:
        return write_certificate(folder, report(**more), {"source": source.location, "sha256": hashes(source)})


def convert(model: Path, out: Path) -> Path:
    assert run_command(weight_port, ["convert", str(model), str(out)]) == 0
    return out


def with_changed(name, change):
    return VARIABLES | {name: change(VARIABLES[name].copy())}


def one_ulp(value):
    value.flat[-1] = np.nextafter(value.flat[-1], np.float32(np.inf))
    return value


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model")


@pytest.fixture
def certified(tmp_path, model):
    return certify(tmp_path / "certified", model)


def run(capsys, *arguments):
    """The exit code of ``check``, and what it printed to either side."""
    capsys.readouterr()
    code = run_command(main, ["check", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err.splitlines()


# The same model -----------------------------------------------------------------------------------------------------


def pretrained(model: Path, out: Path) -> Path:
    SketchRNN.from_pretrained(convert(model, out.with_name("converted for torch"))).save_pretrained(out)
    return out


def zipped(model: Path, out: Path) -> Path:
    with zipfile.ZipFile(out.with_suffix(".zip"), "w") as archive:
        for path in model.iterdir():
            archive.write(path, f"owl/{path.name}")
    return out.with_suffix(".zip")


FORMS = {
    "folder": lambda model, out: model,
    "prefix": lambda model, out: model / "vector-5",
    "index": lambda model, out: model / "vector-5.index",
    "data": lambda model, out: model / "vector-5.data-00000-of-00001",
    "zip": zipped,
    "converted": convert,
    "saved by the package": pretrained,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_model_in_another_form_is_the_same(form, model, certified, tmp_path, capsys):
    other = FORMS[form](model, tmp_path / "other")
    code, out, err = run(capsys, certified, other)
    assert (code, err) == (0, [])
    assert out == [f"THE SAME: {other} and the model of {certified}"]
    assert check(certified, other) == []


def test_weights_alone_are_certified_not_how_they_are_stored(model, certified, tmp_path):
    trained_on = {name: value * 2 if "/Adam" in name else value for name, value in VARIABLES.items()}
    trained_on |= {"vector_rnn/global_step": np.array(2002, np.int32)}
    write_bundle(tmp_path / "elsewhere/vector-9", trained_on, num_shards=3, per_block=2, snappy=True)
    assert check(certified, tmp_path / "elsewhere/vector-9") == []
    without = {name: value for name, value in VARIABLES.items() if "/Adam" not in name and "power" not in name}
    write_bundle(tmp_path / "bare/vector-9", without)
    assert check(certified, tmp_path / "bare/vector-9") == []


def test_a_certificate_holds_a_hash_for_every_weight_and_nothing_else(model, certified):
    content = json.loads(certified.read_text())
    assert content["model"]["sha256"].keys() == weight_names(HPARAMS).keys()
    assert len(set(content["model"]["sha256"].values())) == len(weight_names(HPARAMS))  # no two are alike
    assert all(len(value) == 64 for value in content["model"]["sha256"].values())
    assert (content["kind"], content["schema"], content["equal"]) == (KIND, SCHEMA, True)
    assert content["verdict"].startswith("EQUAL: ")
    assert content["provenance"]["official"] == {"seed": 1}
    assert {"torch", "numpy"} <= content["provenance"]["ours"]["versions"].keys()


def test_a_certificate_says_who_was_tested_and_what_was_not(tmp_path, model):
    untested = Row("lstm/as_is", "sample/greedy/pi", "float64", "untested", float("inf"), 0.0)
    partial = Report("Parity", [*report().rows, untested], {}, {}, subject="owl", partial=True)
    content = json.loads(write_certificate(tmp_path, partial, {"sha256": {"a": "b"}}).read_text())
    assert (content["subject"], content["untested"]) == ("owl", ["sampling, greedy (1)"])
    assert content["equal"] is True
    assert content["verdict"].startswith("EQUAL IN 1 OF 2: ")


def test_an_archive_of_several_models_needs_the_name_of_one(model, certified, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        for name, variables in (("owl", VARIABLES), ("cat", with_changed(MU_W, one_ulp))):
            for path in write_model(tmp_path / name, variables).iterdir():
                archive.write(path, f"{name}/{path.name}")
    assert run(capsys, certified, tmp_path / "models.zip", "--member", "owl")[0] == 0
    assert run(capsys, certified, tmp_path / "models.zip", "--member", "cat")[0] == 1
    code, _, err = run(capsys, certified, tmp_path / "models.zip")
    assert code == 2
    assert len(err) == 1


def test_a_sketch_rnn_js_model_is_known_again_once_converted(tmp_path, capsys):
    units, rng = 6, np.random.RandomState(0)
    shapes = {"W_xh": [5, 4 * units], "W_hh": [units, 4 * units], "bias": [4 * units]}
    shapes |= {"output_w": [units, 123], "output_b": [123]}
    shapes = [shapes[name.split(".")[-1]] for name in DECODER_ORDER]
    blobs = [base64.b64encode(rng.randint(-900, 900, shape).astype("<i2").tobytes()).decode() for shape in shapes]
    info = {"mode": 2, "version": 6, "max_seq_len": 20, "name": "bird", "scale_factor": 70.0}
    bird = tmp_path / "bird.gen.json"
    bird.write_text(json.dumps([info, shapes, blobs]))
    certified = certify(tmp_path / "certified", bird)
    assert run(capsys, certified, bird)[0] == 0
    assert run(capsys, certified, convert(bird, tmp_path / "converted"))[0] == 0


# Another model ------------------------------------------------------------------------------------------------------


def test_one_weight_changed_by_one_ulp_is_named_in_any_form(certified, tmp_path, capsys):
    other = write_model(tmp_path / "changed", with_changed(MU_W, one_ulp))
    for form in (other, other / "vector-5", convert(other, tmp_path / "converted")):
        code, out, err = run(capsys, certified, form)
        assert (code, err) == (1, [])
        assert out == [f"{MU_W} holds other numbers", f"DIFFERS: {form} and the model of {certified}"]


def test_every_weight_counts(certified, tmp_path):
    names = sorted(weight_names(HPARAMS))
    write_bundle(tmp_path / "changed/vector-5", VARIABLES | {name: one_ulp(VARIABLES[name].copy()) for name in names})
    assert check(certified, tmp_path / "changed/vector-5") == [f"{name} holds other numbers" for name in names]


def test_the_sign_of_a_zero_counts(tmp_path):
    zero = write_model(tmp_path / "zero", with_changed(OUTPUT_B, np.zeros_like))
    minus = write_model(tmp_path / "minus", with_changed(OUTPUT_B, lambda value: -np.zeros_like(value)))
    assert check(certify(tmp_path / "certified", zero), minus) == [f"{OUTPUT_B} holds other numbers"]


def converted_with(model: Path, out: Path, change) -> Path:
    """A converted model, what its weights were changed to."""
    weights = safetensors.numpy.load_file(convert(model, out) / "model.safetensors")
    safetensors.numpy.save_file(change(weights), out / "model.safetensors")
    return out


def test_a_weight_that_is_missing_is_named(model, certified, tmp_path, capsys):
    ours = weight_names(HPARAMS)[OUTPUT_B]
    other = converted_with(model, tmp_path / "other", lambda w: {n: v for n, v in w.items() if n != ours})
    code, out, err = run(capsys, certified, other)
    assert (code, err) == (1, [])
    assert out == [f"{OUTPUT_B} is missing", f"DIFFERS: {other} and the model of {certified}"]


def test_a_checkpoint_that_lacks_a_weight_is_no_model_and_the_weight_is_named(certified, tmp_path, capsys):
    variables = {name: value for name, value in VARIABLES.items() if name != OUTPUT_B}
    code, out, err = run(capsys, certified, write_model(tmp_path / "other", variables))
    assert (code, out, len(err)) == (2, [], 1)
    assert OUTPUT_B in err[0]


def test_a_weight_too_many_is_named(model, certified, tmp_path, capsys):
    other = converted_with(model, tmp_path / "other", lambda w: w | {"owl": np.zeros(2, np.float32)})
    code, out, _ = run(capsys, certified, other)
    assert code == 1
    assert out[0] == "owl is not in the certificate"


@pytest.mark.parametrize("name", ["\0", "\x1b[31mowl", "a\nb", 5000 * "owl"])
def test_a_weights_name_is_printed_as_one_line_of_limited_length(model, certified, tmp_path, capsys, name):
    other = converted_with(model, tmp_path / "other", lambda w: w | {name: np.zeros(2, np.float32)})
    code, out, _ = run(capsys, certified, other)
    assert (code, len(out)) == (1, 2)
    assert out[0].endswith(" is not in the certificate")
    assert out[0].isprintable()
    assert len(out[0]) <= 1000


@pytest.mark.parametrize(
    "change",
    [lambda value: value.astype(np.float64), lambda value: value.reshape(1, -1), lambda value: value[:-1].copy()],
    ids=["type", "shape", "size"],
)
def test_the_same_numbers_in_another_type_or_shape_are_other_numbers(change, model, certified, tmp_path):
    ours = weight_names(HPARAMS)[OUTPUT_B]
    other = converted_with(model, tmp_path / "other", lambda w: w | {ours: change(w[ours])})
    assert check(certified, other) == [f"{OUTPUT_B} holds other numbers"]


def test_what_is_stored_in_another_byte_order_has_the_same_hash():
    value = np.arange(6, dtype="<f4").reshape(2, 3)
    expected = hash_of(value)
    assert hash_of(value.astype(">f4")) == expected
    assert hash_of(np.asfortranarray(value)) == expected
    assert hash_of(value.astype("<f8")) != expected
    assert hash_of(value.reshape(3, 2)) != expected


def test_of_many_differences_the_first_are_shown_and_the_rest_counted(certified, tmp_path, capsys):
    other = write_model(tmp_path / "other", checkpoint(tiny("lstm", "layer_norm")))
    wanted, found = weight_names(HPARAMS), weight_names(tiny("lstm", "layer_norm"))
    differences = check(certified, other)
    assert [d for d in differences if d.endswith(" is missing")] == [
        f"{n} is missing" for n in sorted(set(wanted) - set(found))
    ]
    assert {f"{n} is not in the certificate" for n in set(found) - set(wanted)} <= set(differences)
    code, out, _ = run(capsys, certified, other)
    assert code == 1
    assert out[:20] == differences[:20]
    assert out[20:] == [f"... and {len(differences) - 20} more", f"DIFFERS: {other} and the model of {certified}"]


def test_two_models_of_one_kind_differ_in_each_weight(certified, tmp_path):
    variables = {n: v + np.float32(1) if v.dtype == np.float32 else v for n, v in VARIABLES.items()}
    changed = [n for n in sorted(weight_names(HPARAMS)) if not np.array_equal(variables[n], VARIABLES[n])]
    assert check(certified, write_model(tmp_path / "other", variables)) == [f"{n} holds other numbers" for n in changed]


# What cannot be checked ---------------------------------------------------------------------------------------------


def assert_refused(capsys, message, *arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out, len(err)) == (2, [], 1)
    assert err[0].startswith("error: ")
    assert message in err[0], err[0]


def test_a_missing_certificate_is_refused(model, tmp_path, capsys):
    assert_refused(capsys, f"{tmp_path / 'owl.json'}: cannot be read (No such file", tmp_path / "owl.json", model)
    assert_refused(capsys, f"{tmp_path}: cannot be read (Is a directory)", tmp_path, model)
    assert_refused(capsys, "expected a certificate.json that verify wrote", tmp_path / "owl.json", model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, but "),
        (b'{"kind": ', "expected JSON, but "),
        (b"\xff\xfe\x00", "expected JSON, but "),
        (b"[" * 100_000, "expected JSON, but "),
        (b"[]", "expected a certificate.json that verify wrote, found other JSON"),
        (b"null", "expected a certificate.json that verify wrote, found other JSON"),
        (b'"owl"', "expected a certificate.json that verify wrote, found other JSON"),
        (b"{}", "expected a certificate.json that verify wrote, found other JSON"),
        (b'{"kind": ["a"], "schema": 1}', "expected a certificate.json that verify wrote, found other JSON"),
    ],
)
def test_a_file_that_is_no_certificate_is_refused(content, message, model, tmp_path, capsys):
    path = tmp_path / "owl.json"
    path.write_bytes(content)
    assert_refused(capsys, f"{path}: {message}", path, model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "certificate of owls"}, "found other JSON"),
        ({"schema": SCHEMA + 1}, f"a certificate of schema {SCHEMA + 1}, expected {SCHEMA}; run verify again"),
        ({"schema": None}, f"a certificate of schema None, expected {SCHEMA}; run verify again"),
        ({"model": None}, "lacks the hashes of the model or the verdict; run verify again"),
        ({"model": {}}, "lacks the hashes of the model or the verdict; run verify again"),
        ({"model": {"sha256": {}}}, "lacks the hashes of the model or the verdict; run verify again"),
        ({"model": {"sha256": ["a"]}}, "lacks the hashes of the model or the verdict; run verify again"),
        (
            {"model": {"sha256": {"a": None}}},
            "expected a SHA-256 for each weight, found None for 'a'; run verify again",
        ),
        (
            {"model": {"sha256": {"a": "ab"}}},
            "expected a SHA-256 for each weight, found 'ab' for 'a'; run verify again",
        ),
        ({"model": {"sha256": {"a\n": "0" * 64}}}, "for 'a\\n'; run verify again"),
        ({"equal": "yes"}, "lacks the hashes of the model or the verdict; run verify again"),
        ({"equal": None}, "lacks the hashes of the model or the verdict; run verify again"),
        ({"equal": False}, "says that the model was found different, so it certifies nothing"),
    ],
)
def test_a_certificate_that_certifies_nothing_is_refused(change, message, model, certified, capsys):
    certified.write_text(json.dumps(json.loads(certified.read_text()) | change))
    assert_refused(capsys, f"{certified}: ", certified, model)
    assert_refused(capsys, message, certified, model)


def test_a_model_that_was_found_different_gets_no_certificate_that_holds(model, tmp_path, capsys):
    path = certify(tmp_path / "certified", model, verdict="different")
    assert json.loads(path.read_text())["equal"] is False
    assert_refused(capsys, "says that the model was found different", path, model)


def test_a_missing_model_is_refused(certified, tmp_path, capsys):
    assert_refused(capsys, f"{tmp_path / 'owl'}: does not exist", certified, tmp_path / "owl")
    (tmp_path / "empty").mkdir()
    assert_refused(capsys, f"{tmp_path / 'empty'}", certified, tmp_path / "empty")
    (tmp_path / "text").write_text("owl")
    assert_refused(capsys, f"{tmp_path / 'text'}", certified, tmp_path / "text")


def test_a_damaged_model_is_refused(model, certified, tmp_path, capsys):
    converted = convert(model, tmp_path / "converted")
    data = model / "vector-5.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    assert_refused(capsys, "vector-5", certified, model)
    data.unlink()
    assert_refused(capsys, "vector-5.data-00000-of-00001", certified, model)

    weights = converted / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert_refused(capsys, f"{weights}: expected weights in safetensors form, but ", certified, converted)
    weights.write_bytes(whole)
    (converted / "config.json").write_text("{")
    assert_refused(capsys, f"{converted / 'config.json'}", certified, converted)
    (converted / "config.json").unlink()
    assert_refused(capsys, f"{converted / 'config.json'}", certified, converted)


def test_weights_of_a_type_that_numpy_lacks_are_refused(model, certified, tmp_path, capsys):
    converted = convert(model, tmp_path / "converted")
    weights = safetensors.torch.load_file(converted / "model.safetensors")
    halved = {name: value.to(torch.bfloat16) for name, value in weights.items()}
    safetensors.torch.save_file(halved, converted / "model.safetensors")
    assert_refused(capsys, f"{converted / 'model.safetensors'}: ", certified, converted)


def test_a_certificate_is_written_whole_or_not_at_all(tmp_path, model, monkeypatch):
    before = certify(tmp_path / "certified", model)
    content = before.read_text()

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises((OSError, BadInput)):
        write_certificate(before.parent, report(), {"sha256": {"a": "b"}})
    monkeypatch.undo()
    assert before.read_text() == content
    assert [path.name for path in before.parent.iterdir()] == [FILE]
