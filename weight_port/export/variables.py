"""A model as the variables of a checkpoint of Magenta's trainer, as a pure function; the inverse of ``convert``.

A checkpoint holds more than a saved model: Magenta's ``Saver`` refuses one that lacks a variable of its graph. What a
model has not, such as Adam's slots where no optimizer was saved, gets the value that it has before the first step.
"""

from collections.abc import Mapping

import numpy as np

from pytorch_sketch_rnn.errors import Refused
from pytorch_sketch_rnn.hparams import EPSILON, HYPER_SIZES, HParams
from pytorch_sketch_rnn.training.optim import BETA1, BETA2
from pytorch_sketch_rnn.training.optimizer_file import POWERS, STEP
from weight_port.names import ADAM_POWERS, CONSTANTS, EVALUATION_ROOT, GLOBAL_STEP, ROOT, table

FIRST_POWERS = dict(zip(POWERS, (BETA1, BETA2), strict=True))


def official_variables(
    hparams: HParams, weights: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Every variable of a checkpoint, by its official name; no value of the model or its optimizer is changed.

    The scalars of the trainer's evaluation model, which are in every checkpoint that it saves, have their first values.

    Args:
        hparams: of the model.
        weights: by parameter name, all of one type.
        optimizer: by the names in ``optimizer_file``; what is missing has its first value.

    Raises:
        BadInput: when the number of steps is no 32-bit number.
    """
    names = table(hparams)
    variables = {official: weights[ours] for official, ours in names.weights.items()}
    number = next(iter(variables.values())).dtype
    variables |= {
        official: optimizer[ours] if ours in optimizer else np.zeros_like(weights[ours.partition(".")[2]])
        for official, ours in names.slots.items()
    }
    constants = {name: np.array(getattr(hparams, setting), number) for name, setting in CONSTANTS.items()}
    powers = {official: np.array(FIRST_POWERS[ours], np.float32) for official, ours in ADAM_POWERS.items()}
    first = constants | powers | {GLOBAL_STEP: np.array(0, np.int32)}
    variables |= first | {f"{EVALUATION_ROOT}{name.removeprefix(ROOT)}": value for name, value in first.items()}
    variables |= {official: optimizer[ours] for official, ours in ADAM_POWERS.items() if ours in optimizer}
    return variables | {GLOBAL_STEP: _int32(optimizer.get(STEP, variables[GLOBAL_STEP]))}


def _int32(step: np.ndarray) -> np.ndarray:
    if not 0 <= int(step) <= np.iinfo(np.int32).max:
        raise Refused(f"global_step is {step}, expected a whole number that 32 bits hold, as TensorFlow stores it")
    return np.array(step, np.int32)


def check_loadable(
    hparams: HParams, weights: Mapping[str, np.ndarray], optimizer: Mapping[str, np.ndarray] | None = None
) -> None:
    """Check that Magenta's code, which has no flag for some sizes, can build the graph of a model and read its weights.

    Raises:
        BadInput: when it cannot, with the reason.
    """
    defaults = HParams()
    others = [f"{name}={value}" for name, value in hparams.not_magentas.items() if name in HYPER_SIZES]
    if others:
        expected = ", ".join(f"{name}={getattr(defaults, name)}" for name in HYPER_SIZES)
        raise Refused(f"{', '.join(others)}: Magenta's HyperLSTM has no such flags, it always has {expected}")
    check_epsilon(hparams)
    slots = {name: value for name, value in (optimizer or {}).items() if "." in name}
    if any(value.dtype != np.float32 for value in (*weights.values(), *slots.values())):
        raise Refused(
            "the weights or Adam's slots are float64, which Magenta's code cannot load; round them with --float32"
        )


def check_epsilon(hparams: HParams) -> None:
    """Check that the layer norms of a model, if it has any, are Magenta's.

    Raises:
        BadInput: when its code would compute something else.
    """
    if EPSILON in hparams.not_magentas:
        raise Refused(
            f"{EPSILON}={hparams.layer_norm_epsilon:g}: Magenta's layer norms always add "
            f"{HParams().layer_norm_epsilon:g} to the variance, so its code cannot compute this model"
        )
