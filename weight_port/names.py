"""THE table: official variable name <-> our parameter name.

Both sides keep the layout [in, out], so that every weight goes over as it is. The same names, with ``/Adam`` and
``/Adam_1`` behind, carry the optimizer's slots. All else in a checkpoint is in :data:`SKIPPED` with its reason.

Source: the variable scopes of Magenta ``model.py`` and ``rnn.py``, as seen in checkpoints that it saved.
"""

import re

from pytorch_sketch_rnn.hparams import HParams

ROOT = "vector_rnn/"
SLOT_ROOT = "vector_rnn/vector_rnn/"
SLOTS = {"m": "/Adam", "v": "/Adam_1"}
ADAM_POWERS = {"beta1_power": "vector_rnn/beta1_power", "beta2_power": "vector_rnn/beta2_power"}
GLOBAL_STEP = "vector_rnn/global_step"

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
DECODER = {
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
# where a cell stands: official scope -> our module
DECODER_CELL = ("vector_rnn/RNN", "decoder.cell")
ENCODER_CELLS = (("vector_rnn/ENC_RNN/fw", "encoder.fw"), ("vector_rnn/ENC_RNN/bw", "encoder.bw"))

# what else a checkpoint holds, by pattern -> why it is not converted
SKIPPED = {
    r"vector_rnn/Variable": "initial learning rate; the schedule feeds it",
    r"vector_rnn/Variable_1": "initial KL weight; the schedule feeds it",
    r"vector_rnn_\d+/(beta[12]_power|global_step|Variable(_1)?)": "stray scalar of an evaluation model",
}


def weight_names(hparams: HParams) -> dict[str, str]:
    """Official name -> our name, for every weight of a model with these hyperparameters; one to one."""
    names = DECODER | _cell_names(hparams.dec_model, *DECODER_CELL)
    if hparams.conditional:
        names |= LATENT
        for scope, module in ENCODER_CELLS:
            names |= _cell_names(hparams.enc_model, scope, module)
    return names


def _cell_names(kind: str, scope: str, module: str) -> dict[str, str]:
    official_cell, table = CELLS[kind]
    return {f"{scope}/{official_cell}/{official}": f"{module}.{ours}" for official, ours in table.items()}


def slot_name(official: str, slot: str) -> str:
    """Official name of the slot ``m`` or ``v`` of a weight."""
    return f"{SLOT_ROOT}{official.removeprefix(ROOT)}{SLOTS[slot]}"


def skip_reason(official: str) -> str | None:
    """Why a variable is left out, or None where it must not be."""
    for pattern, reason in SKIPPED.items():
        if re.fullmatch(pattern, official):
            return reason
    return None
