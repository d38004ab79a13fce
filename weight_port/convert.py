"""Conversion as a pure function, from arrays by official name to arrays by our name; every variable is accounted for.

Errors do not name the source: the caller adds it with ``errors.naming``.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from pytorch_sketch_rnn.errors import Refused, enumerated
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.optimizer_file import STEP, array_shapes
from weight_port.names import inverse, skip_reason, table


@dataclasses.dataclass(frozen=True)
class Plan:
    """What becomes of each variable of a source: each is in exactly one of the three parts."""

    weights: dict[str, str]  # official -> ours
    optimizer: dict[str, str]  # official -> ours; empty if the source has no optimizer state
    skipped: dict[str, str]  # official -> reason


@dataclasses.dataclass(frozen=True)
class Converted:
    """A model's weights and, if the source has it, its optimizer's state, by our names."""

    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]


def expected_shapes(hparams: HParams) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter of our model, by our name."""
    return {name: tuple(value.shape) for name, value in empty_model(hparams).state_dict().items()}


def empty_model(hparams: HParams) -> SketchRNN:
    """A model whose parameters have shapes and no values."""
    with torch.device("meta"):
        return SketchRNN(hparams)


def make_plan(shapes: Mapping[str, tuple[int, ...]], hparams: HParams) -> Plan:
    """Account for every variable of the source and every parameter of our model.

    Args:
        shapes: shape of each variable of the source, by its official name.
        hparams: of the model.

    Raises:
        BadInput: when a variable is missing, unknown or of another shape; the message gives the number
            of each kind and the first names.
    """
    names = table(hparams)
    parameters = expected_shapes(hparams)
    if set(names.weights.values()) != set(parameters) or len(names.weights) != len(parameters):
        raise AssertionError("the table of names does not fill our model exactly once")
    arrays = parameters | array_shapes(parameters)
    carried = {official: ours for official, ours in names.state.items() if official in shapes}
    # a source has all of the optimizer's state, or no slots; without slots, powers and step are optional
    needed = set(names.state) if any(official in names.slots for official in carried) else set(carried)
    skipped = {official: reason for official in shapes if (reason := skip_reason(official)) is not None}
    missing = sorted((set(names.weights) | needed) - set(shapes))
    unknown = sorted(set(shapes) - set(names.weights) - set(carried) - set(skipped))
    misshapen = [
        f"{official} is {list(shapes[official])}, expected {list(arrays[names.ours(official)])}"
        for official in (*names.weights, *names.state)
        if official in shapes and tuple(shapes[official]) != arrays[names.ours(official)]
    ]
    problems = [
        f"{title} ({len(found)}): {enumerated(map(_printable, found))}"
        for title, found in (("missing", missing), ("unknown", unknown), ("of another shape", misshapen))
        if found
    ]
    if problems:
        raise Refused(f"the variables do not make a Sketch-RNN of Magenta's. {'; '.join(problems)}")
    return Plan(dict(names.weights), carried, skipped)


def _printable(name: str) -> str:
    """A name for a message: names in an untrusted file may hold line breaks."""
    return name if name.isprintable() else repr(name)


def convert_variables(variables: Mapping[str, np.ndarray], plan: Plan) -> Converted:
    """Rename the variables; no value is changed, none is copied.

    Raises:
        BadInput: when a value is not finite, a weight or slot is neither float32 nor float64, the weights are not all
            of one type, or the step is not an integer.
    """
    weights = {ours: variables[official] for official, ours in plan.weights.items()}
    optimizer = {ours: variables[official] for official, ours in plan.optimizer.items()}
    officials = inverse(plan.weights | plan.optimizer)
    for name, value in (weights | optimizer).items():
        fits = value.dtype.kind in "iu" if name == STEP else value.dtype in (np.float32, np.float64)
        if not fits:
            expected = "an integer" if name == STEP else "float32 or float64"
            raise Refused(f"{officials[name]} holds {value.dtype}, expected {expected}")
        if not np.isfinite(value).all():
            raise Refused(f"{officials[name]} holds NaN or infinity; the training diverged before it was saved")
    types = {value.dtype: officials[name] for name, value in weights.items()}
    if len(types) > 1:
        found = ", ".join(f"{official} holds {dtype}" for dtype, official in types.items())
        raise Refused(f"{found}; expected weights that are all of one type")
    return Converted(weights, optimizer)
