"""THE table: official variable name <-> our name, of everything that a checkpoint holds.

Both sides keep the layout [in, out], so every weight is copied as it is. :func:`table` gives the names for one model,
in both directions. A variable that is in none of its parts has a reason to be skipped, or is an error.

This module must not import torch: the process that runs TensorFlow imports it.

Source: the variable scopes of Magenta ``model.py`` and ``rnn.py``, as seen in checkpoints that it saved.
"""

import dataclasses
import re
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.training.optimizer_file import STEP, slot_key

ROOT = "vector_rnn/"
SLOT_ROOT = "vector_rnn/vector_rnn/"
EVALUATION_ROOT = "vector_rnn_1/"  # of the scalars of the trainer's evaluation model, which it saves and never uses
SLOTS = {"m": "/Adam", "v": "/Adam_1"}  # our slot -> suffix of the official name
# official -> ours
ADAM_POWERS = {"vector_rnn/beta1_power": "beta1_power", "vector_rnn/beta2_power": "beta2_power"}
GLOBAL_STEP = "vector_rnn/global_step"
# official -> the hyperparameter that it holds; the schedules feed both, so that their value in a checkpoint is not used
CONSTANTS = {"vector_rnn/Variable": "learning_rate", "vector_rnn/Variable_1": "kl_weight_start"}

# official -> ours, below the scope of a cell
LSTM_CELL = {
    "W_xh": "W_xh",
    "W_hh": "W_hh",
    "bias": "bias",
}
LAYER_NORM_CELL = {
    "W_xh": "W_xh",
    "W_hh": "W_hh",
    "ln_all/ln_gamma": "ln_all.gamma",
    "ln_all/ln_beta": "ln_all.beta",
    "ln_c/ln_gamma": "ln_c.gamma",
    "ln_c/ln_beta": "ln_c.beta",
}
HYPER_SCALE = {
    "zw/super_linear_w": "zw_w",
    "zw/super_linear_b": "zw_b",
    "alpha/super_linear_w": "alpha_w",
}
HYPER_SHIFT = {
    "zb/super_linear_w": "zb_w",
    "beta/super_linear_w": "beta_w",
}
HYPER_CELL = (
    LAYER_NORM_CELL
    | {"bias": "bias"}
    | {f"LayerNormLSTMCell/{official}": f"hyper_cell.{ours}" for official, ours in LAYER_NORM_CELL.items()}
    | {
        f"hyper_{gate}{side}/{official}": f"hyper_{gate}{side}.{ours}"
        for gate in "ijfo"
        for side, norm in (("x", HYPER_SCALE), ("h", HYPER_SCALE | HYPER_SHIFT))
        for official, ours in norm.items()
    }
)
CELLS = {
    "lstm": ("LSTMCell", LSTM_CELL),
    "layer_norm": ("LayerNormLSTMCell", LAYER_NORM_CELL),
    "hyper": ("HyperLSTMCell", HYPER_CELL),
}
# official -> ours, at the scope of the model
OUTPUT = {
    "vector_rnn/RNN/output_w": "decoder.output_w",
    "vector_rnn/RNN/output_b": "decoder.output_b",
}
LATENT = {
    "vector_rnn/ENC_RNN_mu/super_linear_w": "encoder.mu.w",
    "vector_rnn/ENC_RNN_mu/super_linear_b": "encoder.mu.b",
    "vector_rnn/ENC_RNN_sigma/super_linear_w": "encoder.presig.w",
    "vector_rnn/ENC_RNN_sigma/super_linear_b": "encoder.presig.b",
    "vector_rnn/linear/super_linear_w": "decoder.initial.w",
    "vector_rnn/linear/super_linear_b": "decoder.initial.b",
}
# where a cell belongs: official scope, our module
DECODER_CELL = ("vector_rnn/RNN", "decoder.cell")
ENCODER_CELLS = (("vector_rnn/ENC_RNN/fw", "encoder.fw"), ("vector_rnn/ENC_RNN/bw", "encoder.bw"))

ENCODER_SCOPE = "vector_rnn/ENC_RNN"  # every variable of an encoder begins with it

_SKIPPED = {
    r"vector_rnn/Variable": "initial learning rate; the schedule feeds it",
    r"vector_rnn/Variable_1": "initial KL weight; the schedule feeds it",
    r"vector_rnn_\d+/(beta[12]_power|global_step|Variable(_1)?)": "stray scalar of an evaluation model",
}


@dataclasses.dataclass(frozen=True)
class Names:
    """The names of one model, official -> ours. Our names are those of the parameters and of ``optimizer_file``."""

    weights: Mapping[str, str]
    slots: Mapping[str, str]  # Adam's m and v of each weight
    powers: Mapping[str, str]  # Adam's powers of beta1 and beta2
    step: Mapping[str, str]  # the number of training steps
    constants: Mapping[str, str]  # -> the hyperparameter that the variable holds; not used by a conversion

    @cached_property
    def state(self) -> Mapping[str, str]:
        """Everything that the optimizer keeps: slots, powers and step."""
        return MappingProxyType({**self.slots, **self.powers, **self.step})

    @cached_property
    def _ours(self) -> Mapping[str, str]:
        return {**self.weights, **self.state}

    @cached_property
    def _official(self) -> Mapping[str, str]:
        return inverse(self._ours)

    def ours(self, official: str) -> str:
        """Our name of a weight or of a variable of the optimizer's state; KeyError for any other."""
        return self._ours[official]

    def official(self, ours: str) -> str:
        """The official name of a weight or of an array of the optimizer's state; KeyError for any other."""
        return self._official[ours]


def table(hparams: HParams) -> Names:
    """The names of a model with these hyperparameters."""
    weights = weight_names(hparams)
    slots = {slot_name(official, slot): slot_key(slot, ours) for official, ours in weights.items() for slot in SLOTS}
    parts = (weights, slots, ADAM_POWERS, {GLOBAL_STEP: STEP}, CONSTANTS)
    return Names(*(MappingProxyType(dict(part)) for part in parts))


def weight_names(hparams: HParams) -> dict[str, str]:
    """The weights alone, official -> ours: ``table(hparams).weights``."""
    names = OUTPUT | _cell_names(hparams.dec_model, *DECODER_CELL)
    if hparams.conditional:
        names |= LATENT
        for scope, module in ENCODER_CELLS:
            names |= _cell_names(hparams.enc_model, scope, module)
    return names


def _cell_names(kind: str, scope: str, module: str) -> dict[str, str]:
    official_cell, names = CELLS[kind]
    return {f"{scope}/{official_cell}/{official}": f"{module}.{ours}" for official, ours in names.items()}


def inverse(names: Mapping[str, str]) -> dict[str, str]:
    """The same names in the other direction; ValueError where two names lead to the same one."""
    result = {target: source for source, target in names.items()}
    if len(result) != len(names):
        repeated = sorted({target for source, target in names.items() if result[target] != source})
        raise ValueError(f"these names are not one to one: {', '.join(repeated)}")
    return result


def slot_name(official: str, slot: str) -> str:
    """Official name of the slot ``m`` or ``v`` of a weight."""
    return f"{SLOT_ROOT}{official.removeprefix(ROOT)}{SLOTS[slot]}"


def skip_reason(official: str) -> str | None:
    """Why a conversion skips a variable, or None if it must not."""
    for pattern, reason in _SKIPPED.items():
        if re.fullmatch(pattern, official):
            return reason
    return None
