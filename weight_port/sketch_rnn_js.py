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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from pytorch_sketch_rnn.errors import Refused, excerpt, naming
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.json_file import read_json
from weight_port.convert import expected_shapes
from weight_port.names import Names, table

# An official decoder has 3 MB, and two to three times that as lists of integers.
MAX_FILE_BYTES = 256 * 2**20

# A weight is quantised to q = round(weight / MAX_WEIGHT * QUANTISATION_STEPS), clipped at +-QUANTISATION_STEPS.
MAX_WEIGHT = 10
QUANTISATION_STEPS = 32767

NUM_MIXTURE = 20

# Our names, in the order in which a file lists the variables.
DECODER_ORDER = (
    "decoder.output_w",
    "decoder.output_b",
    "decoder.cell.W_xh",
    "decoder.cell.W_hh",
    "decoder.cell.bias",
)
VAE_ORDER = (
    "encoder.fw.W_xh",
    "encoder.fw.W_hh",
    "encoder.fw.bias",
    "encoder.bw.W_xh",
    "encoder.bw.W_hh",
    "encoder.bw.bias",
    "encoder.mu.w",
    "encoder.mu.b",
    "encoder.presig.w",
    "encoder.presig.b",
    "decoder.initial.w",
    "decoder.initial.b",
    *DECODER_ORDER,
)
_IS_CONDITIONAL: dict[int | str, bool] = {0: True, 1: True, "vae": True, 2: False, "gen": False}


@dataclass(frozen=True)
class JsModel:
    """A model as its file has it.

    ``info`` is the file's first item: always ``mode``, mostly ``name``, ``version``, ``max_seq_len`` and
    ``scale_factor`` (the standard deviation of the training offsets, in pixels), of the right types where they are
    there. ``variables`` maps official checkpoint names to float32 arrays. ``note`` says where the file contradicts
    itself although its meaning is clear; it is mostly empty.
    """

    info: dict[str, object]
    conditional: bool
    variables: dict[str, np.ndarray]
    note: str = ""


def read_model(path: Path) -> JsModel:
    """Read a sketch-rnn-js model file.

    Raises:
        BadInput: The file cannot be read, is not such a model, or its parts contradict each other.
    """
    document = read_json(path, "a sketch-rnn-js model", MAX_FILE_BYTES)
    with naming(f"{path}: is not a sketch-rnn-js model, which is a JSON list [info, shapes, blobs]"):
        return _parse_model(document)


def dequantise(numbers: np.ndarray) -> np.ndarray:
    """The float32 weights, q * 10 / 32767, of int16 numbers.

    Every weight is the float32 nearest to the exact quotient: the product has at most 19 bits, so it is exact in
    float32, and the division is the only rounding. (Dividing first would round twice.)
    """
    return numbers.astype(np.float32) * np.float32(MAX_WEIGHT) / np.float32(QUANTISATION_STEPS)


def _parse_model(document: object) -> JsModel:
    if not isinstance(document, list) or len(document) != 3:
        raise Refused("the file is no list of three items")
    info, shapes, blobs = document
    conditional = _check_info(info)
    note = ""
    if not conditional and isinstance(shapes, list) and len(shapes) == len(VAE_ORDER):
        # Some exporters write 2 whatever the model is; the shapes are checked below, and no others fit them.
        note = (
            f"info.mode is {info['mode']!r}, a decoder alone, but the file holds the {len(VAE_ORDER)} arrays of a VAE"
        )
        conditional = True
    names = table(HParams(conditional=conditional))
    order = [names.official(ours) for ours in (VAE_ORDER if conditional else DECODER_ORDER)]
    for what, items in (("shapes", shapes), ("blobs", blobs)):
        if not isinstance(items, list) or len(items) != len(order):
            came = f"{len(items)}" if isinstance(items, list) else "no list"
            raise Refused(f"mode {info['mode']!r} needs {len(order)} {what}, but there are {came}")
    parsed_shapes = {name: _parse_shape(name, shape) for name, shape in zip(order, shapes, strict=True)}
    _check_sizes(parsed_shapes, names, conditional)
    variables = {
        name: dequantise(_parse_blob(name, blob, parsed_shapes[name])) for name, blob in zip(order, blobs, strict=True)
    }
    return JsModel(info, conditional, variables, note)


def _check_info(info: object) -> bool:
    """Check the types of what is known in ``info``; True for a VAE, False for a decoder alone."""
    if not isinstance(info, dict):
        raise Refused("the first item is no JSON object")
    mode = info.get("mode")
    if not (_is_integer(mode) or isinstance(mode, str)) or mode not in _IS_CONDITIONAL:
        raise Refused(f"info.mode must be 0, 1 or 'vae' (VAE), or 2 or 'gen' (decoder only), not {_shorten(mode)}")
    checks: dict[str, tuple[str, Callable[[object], bool]]] = {
        "name": ("a text", lambda value: isinstance(value, str)),
        "version": ("an integer", _is_integer),
        "max_seq_len": ("a positive integer", lambda value: _is_integer(value) and value > 0),
        "scale_factor": ("a positive number", _is_positive_number),
    }
    for key, (expected, check) in checks.items():
        if key in info and not check(info[key]):
            raise Refused(f"info.{key} must be {expected}, not {_shorten(info[key])}")
    return _IS_CONDITIONAL[mode]


def _is_integer(value: object) -> TypeGuard[int]:
    # In Python, but not in JSON, true is an integer.
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive_number(value: object) -> bool:
    return (_is_integer(value) or isinstance(value, float)) and 0 < value <= sys.float_info.max


def _parse_shape(name: str, shape: object) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(_is_integer(size) and size > 0 for size in shape):
        raise Refused(f"the shape of {name} must be a list of positive integers, not {_shorten(shape)}")
    return tuple(shape)


def _check_sizes(shapes: Mapping[str, tuple[int, ...]], names: Names, conditional: bool) -> None:
    """Compare every shape with that of a model of the sizes that some of them imply."""
    sizes: dict[str, Any] = {"dec_rnn_size": _rows(shapes, names.official("decoder.cell.W_hh"))}
    if conditional:
        sizes |= {
            "enc_rnn_size": _rows(shapes, names.official("encoder.fw.W_hh")),
            "z_size": _rows(shapes, names.official("decoder.initial.w")),
        }
    expected = expected_shapes(HParams(conditional=conditional, num_mixture=NUM_MIXTURE, **sizes))
    for name, shape in shapes.items():
        if shape != expected[names.ours(name)]:
            needed = list(expected[names.ours(name)])
            raise Refused(f"the shape of {name} is {_shorten(list(shape))}, but the other shapes need {needed}")


def _rows(shapes: Mapping[str, tuple[int, ...]], name: str) -> int:
    if len(shapes[name]) != 2:
        raise Refused(f"{name} must be a matrix, but its shape is {_shorten(list(shapes[name]))}")
    return shapes[name][0]


def _parse_blob(name: str, blob: object, shape: tuple[int, ...]) -> np.ndarray:
    """The quantised numbers of one variable: int16 of the given shape."""
    if isinstance(blob, str):
        numbers = _decode_base64(name, blob)
    elif isinstance(blob, list):
        numbers = _decode_list(name, blob, shape)
    else:
        raise Refused(f"the blob of {name} must be base64 or a list of integers, not {_shorten(blob)}")
    if numbers.size != math.prod(shape):
        raise Refused(
            f"the blob of {name} has {numbers.size} numbers, but its shape {list(shape)} takes {math.prod(shape)}"
        )
    return numbers.reshape(shape)


def _decode_base64(name: str, blob: str) -> np.ndarray:
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"the blob of {name} is not base64 ({error})") from None
    if len(data) % 2:
        raise Refused(f"the blob of {name} has {len(data)} bytes, which are no whole 16-bit numbers")
    return np.frombuffer(data, "<i2")


def _decode_list(name: str, blob: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    rows = blob
    if len(shape) == 2 and len(blob) == shape[0] and all(isinstance(row, list) for row in blob):
        if any(len(row) != shape[1] for row in blob):
            raise Refused(f"the blob of {name} has rows of other lengths than its shape {list(shape)} says")
        rows = [number for row in blob for number in row]
    bounds = np.iinfo(np.int16)
    for number in rows:
        if not _is_integer(number) or not bounds.min <= number <= bounds.max:
            raise Refused(f"the blob of {name} must hold 16-bit integers, but holds {_shorten(number)}")
    return np.array(rows, np.int16)


def _shorten(value: object) -> str:
    """Enough of a stranger's value to recognise it in a message."""
    is_short_list = isinstance(value, list) and len(value) <= 8 and all(_is_integer(item) for item in value)
    if isinstance(value, list | dict) and not is_short_list:
        # A deep one could be too deep for repr.
        return f"a JSON {'list' if isinstance(value, list) else 'object'} of {len(value)} items"
    return excerpt(value, 60)
