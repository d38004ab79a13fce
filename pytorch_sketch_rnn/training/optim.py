"""Clipping by value and Adam as TensorFlow 1 computes it, over all parameters at once.

Source: ``tf.train.AdamOptimizer`` and its kernel ``ApplyAdam``; Magenta ``model.py`` (``capped_gvs``).
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytorch_sketch_rnn.training.optimizer_file import POWERS, SLOTS

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def clip_by_value(gradient: Tensor, bound: float) -> Tensor:
    """The gradient with each element clipped to +-bound."""
    return gradient.clamp(-bound, bound)


def flat_gradient(parameters: Iterable[Tensor]) -> Tensor:
    """The gradients of all parameters in one vector, in order.

    Raises:
        ValueError: when a parameter has no gradient.
    """
    parts = []
    for parameter in parameters:
        if parameter.grad is None:
            raise ValueError(f"a parameter of shape {list(parameter.shape)} has no gradient")
        parts.append(parameter.grad.ravel())
    return torch.cat(parts)


class TF1Adam(torch.optim.Optimizer):
    """TensorFlow 1's Adam. It differs from ``torch.optim.Adam``:

    - epsilon is added to sqrt(v) without bias correction: var -= lr_t m / (sqrt(v) + epsilon) with
      lr_t = lr sqrt(1 - beta2_power) / (1 - beta1_power);
    - the beta powers are state, one pair for all parameters, always float32, multiplied by their beta at each step;
    - beta1, beta2 and epsilon are float32 constants, whatever the dtype of the weights;
    - the slots m and v exist from the start, and every parameter must have a gradient.

    The state is that of a Magenta checkpoint: slots ``m`` and ``v`` for each parameter, and the two powers. All ``m``
    slots are views of one vector, as are all ``v`` slots, so a step takes a dozen operations, however many parameters
    there are. Learning rate and powers are tensors on the device of the weights: a step reads nothing back to the host.
    """

    # torch wraps these, to keep its compiler away from them; the wrapper imports the compiler, which takes 2 seconds
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        inspect.unwrap(torch.optim.Optimizer.__init__)(self, params, {"lr": lr})
        self.parameters: list[Tensor] = [p for group in self.param_groups for p in group["params"]]
        first = self.parameters[0]
        self.settings = self.param_groups[0]
        self.settings["lr"] = first.detach().new_tensor(lr)
        self.set_powers({"beta1_power": BETA1, "beta2_power": BETA2})
        count = sum(parameter.numel() for parameter in self.parameters)
        self.m, self.v = (first.detach().new_zeros(count) for _ in SLOTS)
        self._share_slots()

    def split(self, flat: Tensor) -> list[Tensor]:
        """Views of a vector of all parameters' elements, one in the shape of each parameter."""
        parts = flat.split([parameter.numel() for parameter in self.parameters])
        return [part.view_as(parameter) for part, parameter in zip(parts, self.parameters, strict=True)]

    def slots(self) -> list[Tensor]:
        """All slots, in the order of the parameters."""
        return [self.state[parameter][slot] for parameter in self.parameters for slot in SLOTS]

    def powers(self) -> dict[str, float]:
        """The beta powers: float32 values as Python floats, which every file format preserves."""
        return {name: float(self.settings[name]) for name in POWERS}

    def set_powers(self, powers: Mapping[str, float]) -> None:
        """Set both beta powers, for example to those of a checkpoint."""
        for name in POWERS:
            self.settings[name] = torch.tensor(
                float(powers[name]), dtype=torch.float32, device=self.parameters[0].device
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy the state of another optimizer, whose parameters have the same shapes."""
        super().load_state_dict(state_dict)
        self.settings = self.param_groups[0]
        self.set_powers(self.settings)
        with torch.no_grad():
            for flat, slot in ((self.m, "m"), (self.v, "v")):
                flat.copy_(torch.cat([self.state[parameter][slot].ravel() for parameter in self.parameters]))
        self._share_slots()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step with the parameters' gradients and the learning rate ``param_groups[0]["lr"]``.

        Raises:
            ValueError: when a parameter has no gradient; then nothing changes.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.step_by(flat_gradient(self.parameters))
        return loss

    @torch.no_grad()
    def step_by(self, gradient: Tensor, apply: Tensor | None = None) -> None:
        """One step with all gradients in one vector.

        Args:
            gradient: as :func:`flat_gradient` gives it; finite where ``apply`` is false.
            apply: a boolean scalar on the device; if it is false, weights and state do not change.
        """
        number = _kernel_dtype(gradient)
        beta1, beta2, epsilon = (number(np.float32(constant)) for constant in (BETA1, BETA2, EPSILON))
        power1, power2 = (self.settings[name].to(gradient.dtype) for name in POWERS)
        lr_t = self.settings["lr"] * torch.sqrt(1 - power2) / (1 - power1)
        applied = 1.0 if apply is None else apply.to(gradient.dtype)
        self.m.add_((gradient - self.m) * (float(number(1) - beta1) * applied))
        self.v.add_((gradient.square() - self.v) * (float(number(1) - beta2) * applied))
        update = self.m * (lr_t * applied) / (self.v.sqrt() + float(epsilon))
        torch._foreach_sub_(self.parameters, self.split(update))
        for name, beta in zip(POWERS, (BETA1, BETA2), strict=True):
            power = self.settings[name]
            next_power = power * float(np.float32(beta))
            power.copy_(next_power if apply is None else torch.where(apply, next_power, power))

    def _share_slots(self) -> None:
        for parameter, m, v in zip(self.parameters, self.split(self.m), self.split(self.v), strict=True):
            self.state[parameter] = {"m": m, "v": v}


def _kernel_dtype(gradient: Tensor) -> type[np.floating]:
    """The NumPy type in which TensorFlow's kernel computes its constants: that of the weights."""
    return np.float64 if gradient.dtype == torch.float64 else np.float32
