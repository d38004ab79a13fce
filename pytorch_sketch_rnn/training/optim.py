"""Clipping by value and Adam as TensorFlow 1 computes it.

Source: ``tf.train.AdamOptimizer`` and its kernel ``ApplyAdam``; Magenta ``model.py`` (``capped_gvs``).
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def clip_by_value_(parameters: Iterable[Tensor], bound: float) -> None:
    """Clip each element of each gradient to +-bound, in place."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.clamp_(-bound, bound)


class TF1Adam(torch.optim.Optimizer):
    """TensorFlow 1's Adam, which differs from ``torch.optim.Adam``:

    - epsilon is added to sqrt(v), not to the bias-corrected one: var -= lr_t m / (sqrt(v) + epsilon) with
      lr_t = lr sqrt(1 - beta2_power) / (1 - beta1_power);
    - the beta powers are state, one pair for all parameters, float32 always, and are multiplied up at each step;
    - beta1, beta2 and epsilon are float32 constants, whatever the dtype of the weights;
    - m and v exist from the start, and every parameter must have a gradient.

    The state is that of a Magenta checkpoint: slots ``m`` and ``v`` for each parameter, ``beta1_power`` and
    ``beta2_power`` in the parameter group (float32 values held as Python floats, which every way of saving keeps).
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        powers = {"beta1_power": _float32(BETA1), "beta2_power": _float32(BETA2)}
        super().__init__(params, {"lr": lr, **powers})
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {"m": torch.zeros_like(parameter), "v": torch.zeros_like(parameter)}

    def slots(self) -> list[Tensor]:
        """All slots, in the order of the parameters."""
        return [slot for group in self.param_groups for p in group["params"] for slot in self.state[p].values()]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step, with the learning rate in ``param_groups[..]["lr"]``.

        Raises:
            ValueError: when a parameter has no gradient; then nothing is changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    raise ValueError(f"a parameter of shape {list(parameter.shape)} has no gradient")
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        number = _kernel_dtype(group["params"][0])
        beta1, beta2, epsilon = (number(np.float32(constant)) for constant in (BETA1, BETA2, EPSILON))
        power1, power2 = number(group["beta1_power"]), number(group["beta2_power"])
        lr_t = number(group["lr"]) * np.sqrt(number(1) - power2) / (number(1) - power1)
        for parameter in group["params"]:
            m, v = self.state[parameter]["m"], self.state[parameter]["v"]
            m.add_((parameter.grad - m) * float(number(1) - beta1))
            v.add_((parameter.grad.square() - v) * float(number(1) - beta2))
            parameter.sub_(m * float(lr_t) / (v.sqrt() + float(epsilon)))
        group["beta1_power"] = float(np.float32(group["beta1_power"]) * np.float32(BETA1))
        group["beta2_power"] = float(np.float32(group["beta2_power"]) * np.float32(BETA2))


def _kernel_dtype(parameter: Tensor) -> type:
    """The NumPy scalar type in which the kernel computes its constants: that of the weights."""
    return np.float64 if parameter.dtype == torch.float64 else np.float32


def _float32(value: float) -> float:
    """The value rounded to float32."""
    return float(np.float32(value))
