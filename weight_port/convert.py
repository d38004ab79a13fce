"""Conversion as a pure function from names and arrays to names and arrays, with every variable accounted for."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.names import ADAM_POWERS, GLOBAL_STEP, SLOTS, skip_reason, slot_name, weight_names


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which variable goes where: each of the source stands in exactly one place, each of ours is filled once."""

    weights: dict[str, str]  # official -> ours
    optimizer: dict[str, str]  # official -> ours; empty where the source carries no optimizer state
    skipped: dict[str, str]  # official -> reason


@dataclasses.dataclass(frozen=True)
class Converted:
    """A model's weights and, where the source has it, its optimizer's state, under our names."""

    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]


def expected_shapes(hparams: HParams) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter of our model, by our name."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in SketchRNN(hparams).state_dict().items()}


def optimizer_names(weights: Mapping[str, str]) -> dict[str, str]:
    """Official name -> our name of all that Adam keeps for these weights: ``m.<ours>``, ``v.<ours>``, powers, step."""
    slots = {slot_name(official, slot): f"{slot}.{ours}" for official, ours in weights.items() for slot in SLOTS}
    powers = {official: ours for ours, official in ADAM_POWERS.items()}
    return slots | powers | {GLOBAL_STEP: "global_step"}


def make_plan(shapes: Mapping[str, tuple[int, ...]], hparams: HParams, location: str = "the model") -> Plan:
    """Account for every variable of the source and every parameter of ours.

    Args:
        shapes: shape of each variable of the source, by its official name.
        hparams: of the model.
        location: what to call the source in messages.

    Raises:
        BadInput: with what is missing, what is unknown, and which shapes do not fit.
    """
    weights = weight_names(hparams)
    ours = expected_shapes(hparams)
    if set(weights.values()) != set(ours) or len(weights) != len(ours):
        raise AssertionError("the table of names does not fill our model exactly once")
    state = optimizer_names(weights)
    carried = {official: name for official, name in state.items() if official in shapes}
    has_slots = any(name[:2] in ("m.", "v.") for name in carried.values())
    slots_needed = set(state) if has_slots else set(carried)  # all of it or, in a model without slots, what is there
    missing = sorted((set(weights) | slots_needed) - set(shapes))
    skipped = {name: reason for name in shapes if (reason := skip_reason(name)) is not None}
    unknown = sorted(set(shapes) - set(weights) - set(carried) - set(skipped))
    wanted = {official: ours[name] for official, name in weights.items()}
    wanted |= {official: ours[name[2:]] for official, name in state.items() if name[:2] in ("m.", "v.")}
    wanted |= {official: () for official, name in state.items() if name[:2] not in ("m.", "v.")}
    wrong = [
        f"{name} is {list(shapes[name])}, expected {list(shape)}"
        for name, shape in wanted.items()
        if name in shapes and tuple(shapes[name]) != shape
    ]
    problems = [
        f"{title} ({len(names)}): {', '.join(map(_shown, names))}"
        for title, names in (("missing", missing), ("unknown", unknown), ("of another shape", wrong))
        if names
    ]
    if problems:
        raise BadInput(f"{location}: the variables do not make a Sketch-RNN of Magenta's. {'; '.join(problems)}")
    return Plan(weights, carried, skipped)


def _shown(name: str) -> str:
    """A name for a message; a stranger's may hold line breaks."""
    return name if name.isprintable() else repr(name)


def convert_variables(variables: Mapping[str, np.ndarray], plan: Plan, location: str = "the model") -> Converted:
    """Rename the variables; no value is changed, none is copied.

    Raises:
        BadInput: when a weight is not float32 or float64, or not of the type of the others, or is not finite, or the
            step is no integer.
    """
    weights = {ours: variables[official] for official, ours in plan.weights.items()}
    optimizer = {ours: variables[official] for official, ours in plan.optimizer.items()}
    officials = {ours: official for official, ours in (plan.weights | plan.optimizer).items()}
    for name, value in (weights | optimizer).items():
        is_step = name == "global_step"
        fits = value.dtype.kind in "iu" if is_step else value.dtype in (np.float32, np.float64)
        if not fits:
            expected = "an integer" if is_step else "float32 or float64"
            raise BadInput(f"{location}: {officials[name]} holds {value.dtype}, expected {expected}")
        if not np.isfinite(value).all():
            raise BadInput(
                f"{location}: {officials[name]} holds NaN or infinity; the training went astray before it was saved"
            )
    types = {value.dtype: officials[name] for name, value in weights.items()}
    if len(types) > 1:
        found = ", ".join(f"{official} holds {dtype}" for dtype, official in types.items())
        raise BadInput(f"{location}: {found}; expected weights that are all of one type")
    return Converted(weights, optimizer)
