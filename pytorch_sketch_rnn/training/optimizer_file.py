"""The format of ``optimizer.safetensors``: which arrays Adam's state is saved as, by name and shape.

A training writes it beside each checkpoint, and ``weight_port`` writes it from the slots of a Magenta checkpoint. This
module needs no torch, so that the process that runs TensorFlow can import it.
"""

from collections.abc import Mapping

OPTIMIZER_FILE = "optimizer.safetensors"
SLOTS = ("m", "v")  # moving averages of the gradient and of its square
POWERS = ("beta1_power", "beta2_power")  # beta1 and beta2 to the power of the steps taken, plus one; float32
STEP = "global_step"  # steps taken; an integer

Shape = tuple[int, ...]


def slot_key(slot: str, parameter: str) -> str:
    """Name of the array of slot ``m`` or ``v`` of a parameter."""
    return f"{slot}.{parameter}"


def array_shapes(parameters: Mapping[str, Shape]) -> dict[str, Shape]:
    """Shape of every array in the file, by name.

    Args:
        parameters: shape of each parameter of the model, by name.
    """
    slots = {slot_key(slot, name): tuple(shape) for name, shape in parameters.items() for slot in SLOTS}
    return slots | dict.fromkeys((*POWERS, STEP), ())
