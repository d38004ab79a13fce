"""Bugs in the conversion of a checkpoint, and in the way back."""

from collections.abc import Mapping

from parity_tests.mutation.bugs import Entries, Mutant, Text, Value
from parity_tests.mutation.catalogue.port.parts import (
    ADAM_M,
    ADAM_V,
    BACKWARD,
    CONVERTED,
    CONVERTED_STATE,
    COSTS,
    FORWARD,
    HYPER,
    LAYER_NORM,
    MU,
    POWERS,
    WEIGHTS,
)
from weight_port import convert, names
from weight_port.export import variables

# how the converter reads each weight, and each slot and power of Adam
_WEIGHT = "ours: variables[official] for official, ours in plan.weights"
_SLOT = "ours: variables[official] for official, ours in plan.optimizer"
_LATENT = "vector_rnn/ENC_RNN_"


def _converted(text: str, value: str) -> Text:
    """A converter that writes another value: an expression in ``value`` and the names ``official`` and ``ours``."""
    head, tail = text.split(": variables[official] ")
    changed = f"{head}: (lambda value, official, ours: {value})(variables[official], official, ours) {tail}"
    return Text(convert, "convert_variables", (text, changed))


def _swapped(table: Mapping[str, str], *pairs: tuple[str, str]) -> dict[str, str]:
    """The entries of these pairs of keys, with their values swapped."""
    return {a: table[b] for a, b in pairs} | {b: table[a] for a, b in pairs}


CONVERTER_MUTANTS = (
    Mutant(
        "gamma and beta of a layer norm swapped", "converter",
        Entries(names.LAYER_NORM_CELL, _swapped(names.LAYER_NORM_CELL, ("ln_all/ln_gamma", "ln_all/ln_beta"))),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "hyper norms of input and output gate swapped", "converter",
        Entries(
            names.HYPER_CELL,
            _swapped(names.HYPER_CELL, *((f"hyper_ix/{name}", f"hyper_ox/{name}") for name in names.HYPER_SCALE)),
        ),
        HYPER, "hyper_[io]x",
    ),
    Mutant(
        "forward and backward encoder swapped", "converter",
        Value(
            names, "ENCODER_CELLS",
            tuple((names.ENCODER_CELLS[a][0], names.ENCODER_CELLS[1 - a][1]) for a in range(2)),
        ),
        FORWARD + BACKWARD,
    ),
    Mutant(
        "layers of mu and presig swapped", "converter",
        Entries(
            names.LATENT,
            _swapped(
                names.LATENT,
                *((f"{_LATENT}mu/super_linear_{n}", f"{_LATENT}sigma/super_linear_{n}") for n in "wb"),
            ),
        ),
        MU,
    ),
    Mutant(
        "W_hh transposed, then reshaped", "converter",
        _converted(_WEIGHT, 'value.T.reshape(value.shape) if official.endswith("W_hh") else value'),
        CONVERTED, ".*/W_hh",
    ),
    Mutant(
        "the converter adds the forget bias to the stored one", "converter",
        _converted(
            _WEIGHT,
            "value + np.repeat(np.float32([0, 0, 1, 0]), len(value) // 4) if official.endswith('/bias') else value",
        ),
        CONVERTED, ".*/bias",
    ),
    Mutant(
        "weights rounded to float16 on the way", "converter",
        _converted(_WEIGHT, "value.astype(np.float16).astype(value.dtype)"),
        CONVERTED,
    ),
    Mutant(
        "weights rounded to float32 on the way", "converter",
        # a checkpoint holds float32, so only the weights of a training in float64 change
        _converted(_WEIGHT, "value.astype(np.float32).astype(value.dtype)"),
        COSTS,
    ),
    Mutant(
        "Adam's slots m and v swapped", "converter",
        Entries(names.SLOTS, _swapped(names.SLOTS, ("m", "v"))),
        ADAM_M + ADAM_V,
    ),
    Mutant(
        "Adam's powers swapped", "converter",
        Entries(names.ADAM_POWERS, _swapped(names.ADAM_POWERS, ("vector_rnn/beta1_power", "vector_rnn/beta2_power"))),
        POWERS + WEIGHTS,
    ),
    Mutant(
        "Adam's powers left at their initial values", "converter",
        _converted(
            _SLOT,
            "np.float32({'beta1_power': 0.9, 'beta2_power': 0.999}.get(ours, 0)) if 'power' in ours else value",
        ),
        CONVERTED_STATE, ".*_power",
    ),
    Mutant(
        "Adam's slots left at zero", "converter",
        _converted(_SLOT, 'np.zeros_like(value) if ours[:2] in ("m.", "v.") else value'),
        CONVERTED_STATE, ".*/Adam(_1)?",
    ),
    Mutant(
        "exported weights rounded to float16", "exporter",
        Text(
            variables, "official_variables",
            (
                "{official: weights[ours] for official, ours in names.weights.items()}",
                "{o: weights[w].astype(np.float16).astype(weights[w].dtype) for o, w in names.weights.items()}",
            ),
        ),
        CONVERTED,
    ),
    Mutant(
        "exported slots m and v swapped", "exporter",
        Text(
            variables, "official_variables",
            ("optimizer[ours] if ours", "optimizer['vm'['vm'.index(ours[0]) - 1] + ours[1:]] if ours"),
        ),
        CONVERTED_STATE, ".*/Adam(_1)?",
    ),
    Mutant(
        "Adam's powers are left out of an export", "exporter",
        Text(variables, "official_variables", ("in ADAM_POWERS.items() if ours in optimizer", "in ()")),
        CONVERTED_STATE, ".*_power",
    ),
    Mutant(
        "the exported step is the one before", "exporter",
        Text(variables, "_int32", ("np.array(step, np.int32)", "np.array(step - 1, np.int32)")),
        CONVERTED_STATE, ".*/global_step",
    ),
)  # fmt: skip
