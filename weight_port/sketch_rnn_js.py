"""Read the JSON models of sketch-rnn-js, Magenta's Sketch-RNN for the browser (``*.gen.json``, ``*.vae.json``).

Sources of the format: Magenta's published models and its npm package ``@magenta/sketch``. A file is a list of three:
``[info, shapes, blobs]``. ``info`` says what the model is, and the two other lists have one item per variable, in a
fixed order. A blob is the base64 of little-endian int16 numbers or, in the exporter's intermediate ``*.gen.full.json``,
a list of integers. The cells are always plain LSTMs, the mixture always has 20 components.
"""

import base64
import binascii
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.json_file import read_json

# An official decoder has 3 MB, and two to three times that as lists of integers.
MAX_FILE_BYTES = 256 * 2**20

# A weight is quantised to q = round(weight / MAX_WEIGHT * QUANTISATION_STEPS), clipped at +-QUANTISATION_STEPS.
MAX_WEIGHT = 10
QUANTISATION_STEPS = 32767

NUM_MIXTURE = 20
OUTPUT_SIZE = 3 + 6 * NUM_MIXTURE
STROKE_SIZE = 5

DECODER_ORDER = (
    "vector_rnn/RNN/output_w",
    "vector_rnn/RNN/output_b",
    "vector_rnn/RNN/LSTMCell/W_xh",
    "vector_rnn/RNN/LSTMCell/W_hh",
    "vector_rnn/RNN/LSTMCell/bias",
)
VAE_ORDER = (
    "vector_rnn/ENC_RNN/fw/LSTMCell/W_xh",
    "vector_rnn/ENC_RNN/fw/LSTMCell/W_hh",
    "vector_rnn/ENC_RNN/fw/LSTMCell/bias",
    "vector_rnn/ENC_RNN/bw/LSTMCell/W_xh",
    "vector_rnn/ENC_RNN/bw/LSTMCell/W_hh",
    "vector_rnn/ENC_RNN/bw/LSTMCell/bias",
    "vector_rnn/ENC_RNN_mu/super_linear_w",
    "vector_rnn/ENC_RNN_mu/super_linear_b",
    "vector_rnn/ENC_RNN_sigma/super_linear_w",
    "vector_rnn/ENC_RNN_sigma/super_linear_b",
    "vector_rnn/linear/super_linear_w",
    "vector_rnn/linear/super_linear_b",
    *DECODER_ORDER,
)
_IS_CONDITIONAL: dict[int | str, bool] = {0: True, 1: True, "vae": True, 2: False, "gen": False}


@dataclass(frozen=True)
class JsModel:
    """A model as its file has it.

    ``info`` is the file's first item: always ``mode``, mostly ``name``, ``version``, ``max_seq_len`` and
    ``scale_factor`` (the standard deviation of the training offsets, in pixels), of the right types where they are
    there. ``variables`` maps official checkpoint names to float32 arrays.
    """

    info: dict[str, object]
    conditional: bool
    variables: dict[str, np.ndarray]


def read_model(path: Path) -> JsModel:
    """Read a sketch-rnn-js model file.

    Raises:
        BadInput: The file cannot be read, is not such a model, or its parts contradict each other.
    """
    document = read_json(path, "a sketch-rnn-js model", MAX_FILE_BYTES)
    try:
        return _parse_model(document)
    except _NotAModel as reason:
        raise BadInput(
            f"{path}: is not a sketch-rnn-js model, which is a JSON list [info, shapes, blobs]: {reason}"
        ) from None


def dequantise(numbers: np.ndarray) -> np.ndarray:
    """The float32 weights, q * 10 / 32767, of int16 numbers.

    Every weight is the float32 nearest to the exact quotient: the product has at most 19 bits, so it is exact in
    float32, and the division is the only rounding. (Dividing first would round twice.)
    """
    return numbers.astype(np.float32) * np.float32(MAX_WEIGHT) / np.float32(QUANTISATION_STEPS)


class _NotAModel(Exception):
    """What is wrong with the document; :func:`read_model` adds the file's name."""


def _parse_model(document: object) -> JsModel:
    if not isinstance(document, list) or len(document) != 3:
        raise _NotAModel("the file is no list of three items")
    info, shapes, blobs = document
    conditional = _check_info(info)
    order = VAE_ORDER if conditional else DECODER_ORDER
    for what, items in (("shapes", shapes), ("blobs", blobs)):
        if not isinstance(items, list) or len(items) != len(order):
            came = f"{len(items)}" if isinstance(items, list) else "no list"
            raise _NotAModel(f"mode {info['mode']!r} needs {len(order)} {what}, but there are {came}")
    parsed_shapes = {name: _parse_shape(name, shape) for name, shape in zip(order, shapes, strict=True)}
    _check_sizes(parsed_shapes, conditional)
    variables = {
        name: dequantise(_parse_blob(name, blob, parsed_shapes[name])) for name, blob in zip(order, blobs, strict=True)
    }
    return JsModel(info, conditional, variables)


def _check_info(info: object) -> bool:
    """Check the types of what is known in ``info``; True for a VAE, False for a decoder alone."""
    if not isinstance(info, dict):
        raise _NotAModel("the first item is no JSON object")
    mode = info.get("mode")
    if not (_is_integer(mode) or isinstance(mode, str)) or mode not in _IS_CONDITIONAL:
        raise _NotAModel(f"info.mode must be 0, 1 or 'vae' (VAE), or 2 or 'gen' (decoder only), not {mode!r}")
    checks = {
        "name": ("a text", lambda value: isinstance(value, str)),
        "version": ("an integer", _is_integer),
        "max_seq_len": ("a positive integer", lambda value: _is_integer(value) and value > 0),
        "scale_factor": ("a positive number", _is_positive_number),
    }
    for key, (expected, check) in checks.items():
        if key in info and not check(info[key]):
            raise _NotAModel(f"info.{key} must be {expected}, not {_shorten(info[key])}")
    return _IS_CONDITIONAL[mode]


def _is_integer(value: object) -> bool:
    # In Python, but not in JSON, true is an integer.
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive_number(value: object) -> bool:
    return (_is_integer(value) or isinstance(value, float)) and 0 < value <= sys.float_info.max


def _parse_shape(name: str, shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(_is_integer(size) and size > 0 for size in shape):
        raise _NotAModel(f"the shape of {name} must be a list of positive integers, not {_shorten(shape)}")
    return tuple(shape)


def _check_sizes(shapes: Mapping[str, tuple[int, ...]], conditional: bool) -> None:
    """Derive every shape from the sizes that the model implies, and compare."""
    hidden = _rows(shapes, "vector_rnn/RNN/LSTMCell/W_hh")
    decoder_input = STROKE_SIZE
    expected = {}
    if conditional:
        encoder = _rows(shapes, "vector_rnn/ENC_RNN/fw/LSTMCell/W_hh")
        latent = _rows(shapes, "vector_rnn/linear/super_linear_w")
        decoder_input += latent
        for direction in ("fw", "bw"):
            expected |= _lstm_shapes(f"vector_rnn/ENC_RNN/{direction}/LSTMCell", STROKE_SIZE, encoder)
        expected |= _linear_shapes("vector_rnn/ENC_RNN_mu/super_linear", 2 * encoder, latent)
        expected |= _linear_shapes("vector_rnn/ENC_RNN_sigma/super_linear", 2 * encoder, latent)
        expected |= _linear_shapes("vector_rnn/linear/super_linear", latent, 2 * hidden)
    expected |= _lstm_shapes("vector_rnn/RNN/LSTMCell", decoder_input, hidden)
    expected |= _linear_shapes("vector_rnn/RNN/output", hidden, OUTPUT_SIZE)
    for name, shape in shapes.items():
        if shape != expected[name]:
            raise _NotAModel(
                f"the shape of {name} is {_shorten(list(shape))}, but the other shapes need {list(expected[name])}"
            )


def _rows(shapes: Mapping[str, tuple[int, ...]], name: str) -> int:
    if len(shapes[name]) != 2:
        raise _NotAModel(f"{name} must be a matrix, but its shape is {_shorten(list(shapes[name]))}")
    return shapes[name][0]


def _lstm_shapes(scope: str, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{scope}/W_xh": (inputs, 4 * units),
        f"{scope}/W_hh": (units, 4 * units),
        f"{scope}/bias": (4 * units,),
    }


def _linear_shapes(stem: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{stem}_w": (inputs, outputs), f"{stem}_b": (outputs,)}


def _parse_blob(name: str, blob: object, shape: tuple[int, ...]) -> np.ndarray:
    """The quantised numbers of one variable: int16 of the given shape."""
    if isinstance(blob, str):
        numbers = _decode_base64(name, blob)
    elif isinstance(blob, list):
        numbers = _decode_list(name, blob, shape)
    else:
        raise _NotAModel(f"the blob of {name} must be base64 or a list of integers, not {_shorten(blob)}")
    if numbers.size != math.prod(shape):
        raise _NotAModel(
            f"the blob of {name} has {numbers.size} numbers, but its shape {list(shape)} takes {math.prod(shape)}"
        )
    return numbers.reshape(shape)


def _decode_base64(name: str, blob: str) -> np.ndarray:
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _NotAModel(f"the blob of {name} is not base64 ({error})") from None
    if len(data) % 2:
        raise _NotAModel(f"the blob of {name} has {len(data)} bytes, which are no whole 16-bit numbers")
    return np.frombuffer(data, "<i2")


def _decode_list(name: str, blob: list, shape: tuple[int, ...]) -> np.ndarray:
    rows = blob
    if len(shape) == 2 and len(blob) == shape[0] and all(isinstance(row, list) for row in blob):
        if any(len(row) != shape[1] for row in blob):
            raise _NotAModel(f"the blob of {name} has rows of other lengths than its shape {list(shape)} says")
        rows = [number for row in blob for number in row]
    bounds = np.iinfo(np.int16)
    for number in rows:
        if not _is_integer(number) or not bounds.min <= number <= bounds.max:
            raise _NotAModel(f"the blob of {name} must hold 16-bit integers, but holds {_shorten(number)}")
    return np.array(rows, np.int16)


def _shorten(value: object) -> str:
    """Enough of a stranger's value to recognise it in a message."""
    is_short_list = isinstance(value, list) and len(value) <= 8 and all(_is_integer(item) for item in value)
    if isinstance(value, list | dict) and not is_short_list:
        # A deep one could be too deep for repr.
        return f"a JSON {'list' if isinstance(value, list) else 'object'} of {len(value)} items"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
