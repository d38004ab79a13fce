"""Shared code of the adapters of PyTorch ports: precision, weights, Adam's slots, and a training step."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from parity_tests import adapter
from parity_tests.adapter import Arrays
from weight_port.names import ADAM_POWERS, inverse, slot_name
from weight_port.torch_layout import Layout

BETA1 = 0.9
SLOTS = {"m": "exp_avg", "v": "exp_avg_sq"}


@contextlib.contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """Compute in this precision, even if a port makes tensors of the default type or calls ``.float()``."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with mock.patch.object(torch.Tensor, "float", lambda tensor: tensor.to(dtype)):
            yield
    finally:
        torch.set_default_dtype(before)


def given(name: str, value: np.ndarray) -> contextlib.AbstractContextManager:
    """Make ``torch.<name>`` return this value instead of random numbers."""
    return mock.patch.object(torch, name, return_value=torch.tensor(value))


def arrays(values: Mapping[str, Tensor]) -> Arrays:
    """NumPy copies."""
    return {name: value.detach().numpy().copy() for name, value in values.items()}


class TorchPort(adapter.Adapter):
    """A port made of modules; :meth:`take` loads Magenta's variables into them."""

    layout: Layout
    dtype: torch.dtype

    def take(
        self, modules: nn.Module, optimizers: Sequence[torch.optim.Optimizer], variables: Mapping[str, np.ndarray]
    ) -> None:
        """Load the weights, and Adam's slots if there are any.

        Args:
            modules: all modules of the port as one.
            optimizers: instances of torch's Adam, each for some of the parameters.
            variables: of the model, by official names.
        """
        self.parameters = dict(modules.named_parameters())
        self.optimizers = optimizers
        for name, value in self.layout.to_port(variables).items():
            if self.parameters[name].shape != value.shape:
                raise ValueError(f"{name}: shape {list(self.parameters[name].shape)}, given {list(value.shape)}")
            self.parameters[name].data.copy_(torch.tensor(value))
        self.powers = {name: np.float32(variables[name]) for name in ADAM_POWERS if name in variables}
        officials = [name for block in self.layout.blocks for name in block.official]
        if self.powers and slot_name(officials[0], "m") in variables:
            self._take_slots(variables, officials)

    def _take_slots(self, variables: Mapping[str, np.ndarray], officials: list[str]) -> None:
        # after n steps Magenta's power is beta^(n + 1)
        steps = round(math.log(self.powers[inverse(ADAM_POWERS)["beta1_power"]]) / math.log(BETA1)) - 1
        slots = {
            slot: self.layout.to_port({name: variables[slot_name(name, slot)] for name in officials}, weights=False)
            for slot in SLOTS
        }
        for optimizer in self.optimizers:
            mine = {parameter for group in optimizer.param_groups for parameter in group["params"]}
            for name in slots["m"]:
                if (parameter := self.parameters[name]) in mine:
                    optimizer.state[parameter] = {"step": torch.tensor(float(steps), dtype=torch.float32)} | {
                        torch_name: torch.tensor(slots[slot][name]) for slot, torch_name in SLOTS.items()
                    }

    def clipped_step(self, cost: Tensor, clip: Callable[[], Any], lr: float) -> Arrays:
        """Take one step; returns gradients, clipped gradients, and the weights, slots and powers after it."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        cost.backward()
        result = self._named("gradient", lambda parameter: parameter.grad)
        clip()
        result |= self._named("clipped", lambda parameter: parameter.grad)
        state = {}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            state |= optimizer.state
        for slot, torch_name in SLOTS.items():
            values = self._named("after", lambda parameter, n=torch_name: state[parameter][n])
            result |= {f"after/{slot_name(n.removeprefix('after/'), slot)}": value for n, value in values.items()}
        result |= self._named("after", lambda parameter: parameter, weights=True)
        # torch counts steps; Magenta's powers are float32 products, which follow from the count
        for power, beta in zip(ADAM_POWERS, (0.9, 0.999), strict=True):
            if power in self.powers:
                self.powers[power] *= np.float32(beta)
                result[f"after/{power}"] = np.asarray(self.powers[power])
        return result

    def _named(self, kind: str, value: Callable[[Tensor], Tensor], *, weights: bool = False) -> Arrays:
        values = arrays({name: value(parameter) for name, parameter in self.parameters.items()})
        return {f"{kind}/{name}": v for name, v in self.layout.to_official(values, weights=weights).items()}
