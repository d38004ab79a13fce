"""What the page asks, as JSON: checked, answered by a model, and given back as JSON."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from pytorch_sketch_rnn.errors import Refused, excerpt

if TYPE_CHECKING:
    import numpy as np

    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

MOST_DRAWINGS = 12
MOST_POINTS = 2000  # of a sketch that somebody drew
LARGEST_OFFSET = 1000.0  # in normalised units
LARGEST_NUMBER = 1e30
LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 0.01, 2.0
_LARGEST_SEED = 2**32 - 1
_MEASURED, _MEASURED_TEMPERATURE = 20, 0.4

Answer = dict[str, Any]


def describe(model: "SketchRNN", name: str) -> Answer:
    """What the page must know of a model."""
    hparams = model.hparams
    return {
        "name": name,
        "conditional": hparams.conditional,
        "max_seq_len": hparams.max_seq_len,
        "z_size": hparams.z_size,
        "extent": typical_extent(model),
    }


def typical_extent(model: "SketchRNN") -> float:
    """How large a model draws, in normalised units: the median of the longer sides of some drawings' boxes.

    Stroke sets differ in their units and in how large their drawings are, so the paper takes its measure from this.
    """
    import numpy as np
    import torch

    from pytorch_sketch_rnn.model.draws import TorchDraws
    from pytorch_sketch_rnn.model.sampling import sample_batch

    draws = TorchDraws(torch.Generator(model.decoder.output_w.device).manual_seed(0))
    drawings = sample_batch(model, _MEASURED, temperature=_MEASURED_TEMPERATURE, draws=draws)
    places = [np.cumsum(drawing[:, :2], axis=0) for drawing in drawings if len(drawing) > 1]
    extents = [float(np.ptp(place, axis=0).max()) for place in places]
    return float(np.median(extents)) if extents and 0 < np.median(extents) < math.inf else 1.0


def complete(model: "SketchRNN", question: Mapping[str, Any]) -> Answer:
    """``strokes`` finished ``count`` times.

    Raises:
        BadInput: when the question is not one that the page asks.
    """
    strokes = _sketch(question, "strokes")
    drawn = model.complete(strokes, *_count_and_temperature(question, 1), draws=_draws(model, question))
    return {"drawings": [_listed(drawing) for drawing in drawn]}


def interpolate(model: "SketchRNN", question: Mapping[str, Any]) -> Answer:
    """``count`` drawings from ``first`` to ``second``.

    Raises:
        BadInput: when the question is not one that the page asks, or the model has no encoder.
    """
    first, second = (_sketch(question, name) for name in ("first", "second"))
    drawn = model.interpolate(first, second, *_count_and_temperature(question, 2), draws=_draws(model, question))
    return {"drawings": [_listed(drawing) for drawing in drawn]}


QUESTIONS: dict[str, Callable[["SketchRNN", Mapping[str, Any]], Answer]] = {
    "complete": complete,
    "interpolate": interpolate,
}


def _sketch(question: Mapping[str, Any], name: str) -> "np.ndarray":
    import numpy as np

    given = question.get(name)
    if not isinstance(given, list) or len(given) > MOST_POINTS:
        raise Refused(f"{name}: expected a list of at most {MOST_POINTS} points, got {excerpt(given, 60)}")
    for point in given:
        if not isinstance(point, list) or len(point) != 3 or not all(map(_is_number, point)) or point[2] not in (0, 1):
            raise Refused(f"{name}: expected points [dx, dy, 0 or 1], got {excerpt(point, 60)}")
        if max(abs(point[0]), abs(point[1])) > LARGEST_OFFSET:
            raise Refused(f"{name}: expected offsets of at most {LARGEST_OFFSET:g}, got {excerpt(point, 60)}")
    return np.array(given, np.float32).reshape(-1, 3)


def _count_and_temperature(question: Mapping[str, Any], least: int) -> tuple[int, float]:
    count, temperature = question.get("count"), question.get("temperature")
    if not isinstance(count, int) or isinstance(count, bool) or not least <= count <= MOST_DRAWINGS:
        raise Refused(f"count: expected {least} to {MOST_DRAWINGS}, got {excerpt(count, 60)}")
    if not _is_number(temperature) or not LEAST_TEMPERATURE <= temperature <= LARGEST_TEMPERATURE:
        expected = f"{LEAST_TEMPERATURE:g} to {LARGEST_TEMPERATURE:g}"
        raise Refused(f"temperature: expected {expected}, got {excerpt(temperature, 60)}")
    return count, float(temperature)


def _draws(model: "SketchRNN", question: Mapping[str, Any]) -> Any:
    import torch

    from pytorch_sketch_rnn.model.draws import TorchDraws

    seed = question.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= _LARGEST_SEED:
        raise Refused(f"seed: expected 0 to {_LARGEST_SEED}, got {excerpt(seed, 60)}")
    return TorchDraws(torch.Generator(model.decoder.output_w.device).manual_seed(seed))


def _is_number(value: Any) -> TypeGuard[int | float]:
    # a whole number of JSON may be too large for a float
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_NUMBER


def _listed(drawing: "np.ndarray") -> list[list[float]]:
    """Points for JSON, in five digits: a picture needs no more."""
    return [[round(float(dx), 5), round(float(dy), 5), int(lifted)] for dx, dy, lifted in drawing]
