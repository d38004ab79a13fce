"""The reader of sketch-rnn-js models: every form of the format, and everything that only looks like it."""

import base64
import copy
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.errors import BadInput
from weight_port import sketch_rnn_js
from weight_port.sketch_rnn_js import dequantise, read_model

REAL = Path(__file__).parents[4] / "shared/data/models"
HIDDEN, ENCODER, LATENT = 3, 2, 4
INFO = {"mode": 2, "version": 6, "max_seq_len": 129, "name": "bird", "scale_factor": 71.5}
# Written out by hand, in the order of the file.
DECODER_SHAPES = {
    "vector_rnn/RNN/output_w": [3, 123],
    "vector_rnn/RNN/output_b": [123],
    "vector_rnn/RNN/LSTMCell/W_xh": [5, 12],
    "vector_rnn/RNN/LSTMCell/W_hh": [3, 12],
    "vector_rnn/RNN/LSTMCell/bias": [12],
}
VAE_SHAPES = {
    "vector_rnn/ENC_RNN/fw/LSTMCell/W_xh": [5, 8],
    "vector_rnn/ENC_RNN/fw/LSTMCell/W_hh": [2, 8],
    "vector_rnn/ENC_RNN/fw/LSTMCell/bias": [8],
    "vector_rnn/ENC_RNN/bw/LSTMCell/W_xh": [5, 8],
    "vector_rnn/ENC_RNN/bw/LSTMCell/W_hh": [2, 8],
    "vector_rnn/ENC_RNN/bw/LSTMCell/bias": [8],
    "vector_rnn/ENC_RNN_mu/super_linear_w": [4, 4],
    "vector_rnn/ENC_RNN_mu/super_linear_b": [4],
    "vector_rnn/ENC_RNN_sigma/super_linear_w": [4, 4],
    "vector_rnn/ENC_RNN_sigma/super_linear_b": [4],
    "vector_rnn/linear/super_linear_w": [4, 6],
    "vector_rnn/linear/super_linear_b": [6],
    **DECODER_SHAPES,
    "vector_rnn/RNN/LSTMCell/W_xh": [9, 12],
}


def as_base64(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.astype("<i2").tobytes()).decode()


def as_flat_list(numbers: np.ndarray) -> list:
    return numbers.ravel().tolist()


def as_nested_list(numbers: np.ndarray) -> list:
    return numbers.tolist()


ENCODINGS = [as_base64, as_flat_list, as_nested_list]


def random_numbers(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.integers(-32768, 32768, shape) for name, shape in shapes.items()}


def make_document(mode: object = 2, encode=as_base64) -> list:
    shapes = DECODER_SHAPES if mode in (2, "gen") else VAE_SHAPES
    numbers = random_numbers(shapes)
    return copy.deepcopy([INFO | {"mode": mode}, list(shapes.values()), [encode(value) for value in numbers.values()]])


def write(folder: Path, document: object) -> Path:
    path = folder / "bird.gen.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize("encode", ENCODINGS)
@pytest.mark.parametrize("mode", [2, "gen", 0, 1, "vae"])
def test_every_variable_comes_under_its_official_name(tmp_path, mode, encode):
    shapes = DECODER_SHAPES if mode in (2, "gen") else VAE_SHAPES
    model = read_model(write(tmp_path, make_document(mode, encode)))
    assert model.conditional == (mode not in (2, "gen"))
    assert model.info == INFO | {"mode": mode}
    assert list(model.variables) == list(shapes)
    for name, numbers in random_numbers(shapes).items():
        assert model.variables[name].dtype == np.float32
        np.testing.assert_array_equal(model.variables[name], (numbers * 10 / 32767).astype(np.float32), strict=True)


def test_every_weight_is_the_float32_nearest_to_the_exact_quotient():
    numbers = np.arange(-32768, 32768).astype(np.int16)
    weights = dequantise(numbers)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights[1:], -weights[:0:-1])
    for number, weight in zip(range(-32768, 1), weights[:32769], strict=True):
        exact = Fraction(10 * number, 32767)
        error = abs(Fraction(float(weight)) - exact)
        for neighbour in (np.nextafter(weight, np.float32(-np.inf)), np.nextafter(weight, np.float32(np.inf))):
            assert error < abs(Fraction(float(neighbour)) - exact)


@pytest.mark.parametrize("mode", [2, "gen"])
def test_a_vae_whose_mode_is_that_of_a_decoder_is_read_with_a_note(tmp_path, mode):
    document = make_document(1)
    expected = read_model(write(tmp_path, document))
    assert expected.note == ""
    document[0]["mode"] = mode
    model = read_model(write(tmp_path, document))
    assert model.conditional
    assert model.note == f"info.mode is {mode!r}, a decoder alone, but the file holds the 17 arrays of a VAE"
    for name, value in expected.variables.items():
        np.testing.assert_array_equal(model.variables[name], value)


def test_a_model_without_the_optional_info_is_read(tmp_path):
    document = make_document()
    document[0] = {"mode": 2}
    assert read_model(write(tmp_path, document)).info == {"mode": 2}


def test_a_byte_order_mark_is_no_hindrance(tmp_path):
    path = tmp_path / "bird.gen.json"
    path.write_text(json.dumps(make_document()), "utf-8-sig")
    assert len(read_model(path).variables) == 5


def with_info(**changes: object) -> list:
    document = make_document()
    document[0] |= changes
    return document


def with_shape(mode: object, name: str, shape: object) -> list:
    document = make_document(mode)
    document[1][list(DECODER_SHAPES if mode == 2 else VAE_SHAPES).index(name)] = shape
    return document


def with_blob(blob: object, index: int = 4) -> list:
    document = make_document()
    document[2][index] = blob
    return document


BIAS = [0] * 12
BAD_DOCUMENTS = {
    "no bytes": ("", "expected JSON, but"),
    "half a file": (json.dumps(make_document())[:500], "expected JSON, but"),
    "an object": ({"info": INFO}, "no list of three items"),
    "a number": (3, "no list of three items"),
    "two items": (make_document()[:2], "no list of three items"),
    "four items": ([*make_document(), []], "no list of three items"),
    "info is a list": ([[], [], []], "first item is no JSON object"),
    "no mode": ([{}, [], []], "info.mode must be"),
    "mode 3": (with_info(mode=3), "info.mode must be .* not 3"),
    "mode true": (with_info(mode=True), "info.mode must be .* not True"),
    "mode false": (with_info(mode=False), "info.mode must be .* not False"),
    "mode 2.0": (with_info(mode=2.0), "info.mode must be .* not 2.0"),
    "mode a list": (with_info(mode=[2]), "info.mode must be"),
    "mode an unknown text": (with_info(mode="both"), "info.mode must be .* not 'both'"),
    "name a number": (with_info(name=5), "info.name must be a text, not 5"),
    "version true": (with_info(version=True), "info.version must be an integer, not True"),
    "max_seq_len 0": (with_info(max_seq_len=0), "info.max_seq_len must be a positive integer, not 0"),
    "max_seq_len 1.5": (with_info(max_seq_len=1.5), "info.max_seq_len must be a positive integer, not 1.5"),
    "max_seq_len true": (with_info(max_seq_len=True), "info.max_seq_len must be a positive integer, not True"),
    "scale_factor 0": (with_info(scale_factor=0), "info.scale_factor must be a positive number, not 0"),
    "scale_factor a text": (with_info(scale_factor="70"), "info.scale_factor must be a positive number, not '70'"),
    "scale_factor true": (with_info(scale_factor=True), "info.scale_factor must be a positive number, not True"),
    "scale_factor beyond float64": (with_info(scale_factor=10**400), "info.scale_factor must be a positive number"),
    "scale_factor NaN": (with_info(scale_factor=float("nan")), "NaN is not a finite number"),
    "scale_factor infinite": (with_info(scale_factor=float("-inf")), "-Infinity is not a finite number"),
    "scale_factor overflows": (json.dumps(make_document()).replace("71.5", "1e999"), "1e999 is not a finite number"),
    "a number of 5000 digits": (json.dumps(make_document()).replace("71.5", "1" * 5000), "expected JSON, but"),
    "shapes no list": ([INFO, {}, []], "mode 2 needs 5 shapes, but there are no list"),
    "too few shapes": ([INFO, [[1]], []], "mode 2 needs 5 shapes, but there are 1"),
    "too few blobs": ([*make_document()[:2], []], "mode 2 needs 5 blobs, but there are 0"),
    "a decoder called a VAE": (with_info(mode=1), "mode 1 needs 17 shapes, but there are 5"),
    "a VAE called a decoder that lacks a blob": (
        [INFO, make_document(1)[1], make_document(1)[2][:16]],
        "mode 2 needs 17 blobs, but there are 16",
    ),
    "17 shapes that are no VAE's": ([INFO, [[1, 1]] * 17, ["AAAA"] * 17], "but the other shapes need"),
    "a shape of text": (with_shape(2, "vector_rnn/RNN/output_b", "123"), "shape of vector_rnn/RNN/output_b must be a"),
    "a shape of true": (with_shape(2, "vector_rnn/RNN/output_b", [True]), "must be a list of positive integers"),
    "a shape of 0": (with_shape(2, "vector_rnn/RNN/LSTMCell/W_hh", [0, 0]), r"positive integers, not \[0, 0\]"),
    "a negative shape": (with_shape(2, "vector_rnn/RNN/output_b", [-123]), r"positive integers, not \[-123\]"),
    "a shape of floats": (with_shape(2, "vector_rnn/RNN/output_b", [123.0]), "must be a list of positive integers"),
    "a vector for W_hh": (with_shape(2, "vector_rnn/RNN/LSTMCell/W_hh", [36]), r"W_hh must be a matrix, .*\[36\]"),
    "a vector for fw W_hh": (with_shape(1, "vector_rnn/ENC_RNN/fw/LSTMCell/W_hh", [16]), "W_hh must be a matrix"),
    "a vector for the initial state": (with_shape(1, "vector_rnn/linear/super_linear_w", [24]), "must be a matrix"),
    "absurd W_hh": (
        with_shape(2, "vector_rnn/RNN/LSTMCell/W_hh", [2**70, 2**72]),
        "dec_rnn_size is 1180591620717411303424",
    ),
    "other mixtures": (with_shape(2, "vector_rnn/RNN/output_b", [33]), r"output_b is \[33\], .* need \[123\]"),
    "blob missing": (with_blob(None), "bias must be base64 or a list of integers, not None"),
    "blob a number": (with_blob(3), "bias must be base64 or a list of integers, not 3"),
    "blob not base64": (with_blob("####"), "the blob of .*bias is not base64"),
    "blob with a line break": (with_blob(as_base64(np.array(BIAS)) + "\n"), "is not base64"),
    "blob not ASCII": (with_blob("ä" * 32), "is not base64"),
    "blob cut off": (with_blob(as_base64(np.array(BIAS))[:-2]), "is not base64"),
    "blob of odd length": (with_blob("AAAA"), "3 bytes, which are no whole 16-bit numbers"),
    "blob too short": (with_blob(as_base64(np.array(BIAS[1:]))), r"has 11 numbers, but its shape \[12\] takes 12"),
    "blob too long": (with_blob(as_base64(np.array([*BIAS, 0]))), r"has 13 numbers, but its shape \[12\] takes 12"),
    "blob empty": (with_blob(""), "has 0 numbers"),
    "list too short": (with_blob(BIAS[1:]), "has 11 numbers"),
    "list beyond int16": (with_blob([*BIAS[1:], 32768]), "must hold 16-bit integers, but holds 32768"),
    "list below int16": (with_blob([*BIAS[1:], -32769]), "must hold 16-bit integers, but holds -32769"),
    "list with true": (with_blob([*BIAS[1:], True]), "must hold 16-bit integers, but holds True"),
    "list with a float": (with_blob([*BIAS[1:], 1.0]), "must hold 16-bit integers, but holds 1.0"),
    "list with null": (with_blob([*BIAS[1:], None]), "must hold 16-bit integers, but holds None"),
    "list with NaN": (with_blob([*BIAS[1:], float("nan")]), "NaN is not a finite number"),
    "list nested for a vector": (with_blob([BIAS]), "must hold 16-bit integers, but holds a JSON list of 12 items"),
    "rows of different lengths": (with_blob([[0] * 12, [0] * 11, [0] * 13], 3), "rows of other lengths"),
    "too many rows": (with_blob([[0] * 12] * 4, 3), "must hold 16-bit integers, but holds a JSON list of 12 items"),
    "three levels": (with_blob([[[0]] * 12] * 3, 3), r"must hold 16-bit integers, but holds \[0\]"),
}


@pytest.mark.parametrize(("document", "message"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_what_is_no_model_is_refused_with_its_reason(tmp_path, document, message):
    with pytest.raises(BadInput, match=rf"bird\.gen\.json: .*(?:{message})"):
        read_model(write(tmp_path, document))


@pytest.mark.parametrize("mode", [2, 1])
def test_every_size_must_fit_the_others(tmp_path, mode):
    shapes = DECODER_SHAPES if mode == 2 else VAE_SHAPES
    for name, shape in shapes.items():
        for axis in range(len(shape)):
            other = list(shape)
            other[axis] += 1
            with pytest.raises(BadInput, match=r"the shape of vector_rnn/\S+ is \[.*\], but the other shapes need \["):
                read_model(write(tmp_path, with_shape(mode, name, other)))


def test_every_size_is_free_as_long_as_all_fit(tmp_path):
    """One unit everywhere: the smallest VAE."""
    shapes = [[5, 4], [1, 4], [4], [5, 4], [1, 4], [4], [2, 1], [1], [2, 1], [1], [1, 2], [2]]
    shapes += [[1, 123], [123], [6, 4], [1, 4], [4]]
    document = [INFO | {"mode": 1}, shapes, [as_base64(np.ones(shape)) for shape in shapes]]
    variables = read_model(write(tmp_path, document)).variables
    assert [list(value.shape) for value in variables.values()] == shapes
    assert {float(value.min()) for value in variables.values()} == {float(np.float32(10 / 32767))}


@pytest.mark.parametrize("place", ["{}", "[{}, [], []]", '[{{"mode": {}}}, [], []]', '[{{"mode": 2}}, [{}], []]'])
def test_no_depth_of_nesting_breaks_the_reader(tmp_path, place):
    for depth in (1, 100, *range(850, 1010, 3), 10**4, 10**6):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = opening * depth + "1" + closing * depth
            with pytest.raises(BadInput, match=r"bird\.gen\.json"):
                read_model(write(tmp_path, place.format(nested)))


@pytest.mark.parametrize("index", [1, 2])
def test_no_depth_of_nesting_in_a_shape_or_blob_breaks_the_reader(tmp_path, index):
    for depth in (1, 100, *range(850, 1010, 3)):
        document = make_document()
        document[index][4] = "HERE"
        nested = "[" * depth + "1" + "]" * depth
        with pytest.raises(BadInput, match=r"bird\.gen\.json"):
            read_model(write(tmp_path, json.dumps(document).replace('"HERE"', nested)))


def test_random_damage_never_breaks_the_reader(tmp_path):
    random = np.random.default_rng(4)
    texts = [json.dumps(make_document(mode, encode)).encode() for mode in (2, 1) for encode in ENCODINGS]
    path = tmp_path / "bird.gen.json"
    refused = 0
    for _ in range(600):
        damaged = bytearray(texts[random.integers(len(texts))])
        # The structure is at the front; blobs would take nearly all of the hits.
        for _ in range(random.integers(1, 3)):
            damaged[random.integers(min(len(damaged), 400))] = random.choice(list(b'[]{}",:0129-.eE\x00\xff'))
        path.write_bytes(bytes(damaged))
        try:
            read_model(path)
        except BadInput:
            refused += 1
    assert refused > 300


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"nothing\.json: cannot be read \(No such file"):
        read_model(tmp_path / "nothing.json")
    with pytest.raises(BadInput, match="cannot be read"):
        read_model(tmp_path)


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path, monkeypatch):
    path = write(tmp_path, make_document())
    monkeypatch.setattr(sketch_rnn_js, "MAX_FILE_BYTES", path.stat().st_size)
    read_model(path)
    monkeypatch.setattr(sketch_rnn_js, "MAX_FILE_BYTES", path.stat().st_size - 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("the file was read"))
    with pytest.raises(BadInput, match="more than the limit of"):
        read_model(path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
@pytest.mark.parametrize(("name", "max_seq_len"), [("bird", 129), ("ambulance", 157)])
def test_an_official_model_is_read(name, max_seq_len):
    model = read_model(REAL / f"{name}.gen.json")
    assert not model.conditional
    assert (model.info["name"], model.info["max_seq_len"]) == (name, max_seq_len)
    shapes = {name.removeprefix("vector_rnn/RNN/"): value.shape for name, value in model.variables.items()}
    assert shapes == {
        "output_w": (512, 123),
        "output_b": (123,),
        "LSTMCell/W_xh": (5, 2048),
        "LSTMCell/W_hh": (512, 2048),
        "LSTMCell/bias": (2048,),
    }
    # Trained weights are small and of both signs; a wrong byte order or width would fill the range up to 10.
    for value in model.variables.values():
        assert 0.01 < value.std() < 1
        assert value.min() < 0 < value.max()
