"""States and mixture parameters of rfeinman/Sketch-RNN, to Magenta's and back."""

import torch
from torch import Tensor

from parity_tests.adapter import Arrays


def pack(kind: str, h: Tensor, c: Tensor) -> Tensor:
    """Magenta's state from the port's h and c, which hold the inner cell's after the outer's, as Magenta does."""
    return torch.cat([c, h] if kind == "lstm" else [h, c], dim=-1)


def unpack(kind: str, state: Tensor) -> tuple[Tensor, Tensor]:
    """The port's h and c from Magenta's state."""
    first, second = state.chunk(2, dim=-1)
    return (second, first) if kind == "lstm" else (first, second)


def mixture_of(params: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Magenta's parameters from those of the port's output layer."""
    log_pi, means, scales, corr, log_pen = params
    result = {"pi": log_pi.exp(), "mu1": means[..., 0], "mu2": means[..., 1]}
    return result | {"sigma1": scales[..., 0], "sigma2": scales[..., 1], "corr": corr, "pen": log_pen.exp()}


def params_of(mixture: Arrays) -> tuple[Tensor, ...]:
    """The port's parameters from Magenta's."""
    m = {name: torch.tensor(value) for name, value in mixture.items() if "/" not in name}
    means, scales = (torch.stack([m[f"{name}1"], m[f"{name}2"]], dim=-1) for name in ("mu", "sigma"))
    return m["pi"].log(), means, scales, m["corr"], m["pen_logits"].log_softmax(-1)
