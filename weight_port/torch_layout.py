"""Carries Magenta's variables to the parameters of a PyTorch port, and what a training makes of them back.

Ports order columns in their own way (gates, mixture parameters, h and c), transpose matrices, and join or split
variables. All of that is a permutation. Two things are not: where a port adds up two biases, the first takes Magenta's
and the second is zero; where a port adds no forget bias, it goes into the stored one.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

Arrays = dict[str, np.ndarray]

GATES = "ijfo"
FORGET_BIAS = 1.0  # Magenta adds it at run time


@dataclasses.dataclass(frozen=True)
class Block:
    """Official variables, side by side along their last axis, and the parameters that hold their columns.

    A parameter [columns, in] is the transpose of what it holds.
    """

    official: Mapping[str, int]  # name -> number of columns
    port: Mapping[str, np.ndarray]  # parameter -> which columns it holds, in its order
    rows: int | None = None  # so many rows, the first ones, are all that the port has; None: it has all


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a port keeps the variables of a model."""

    blocks: tuple[Block, ...]
    twins: Mapping[str, str] = dataclasses.field(default_factory=dict)  # bias -> the bias that is added to it
    forget: Mapping[str, slice] = dataclasses.field(default_factory=dict)  # bias -> where its forget gate is

    def to_port(self, variables: Mapping[str, np.ndarray], *, weights: bool = True) -> Arrays:
        """Parameters from official variables; if ``weights`` is false, gradients or slots."""
        result: Arrays = {}
        for block in self.blocks:
            whole = np.concatenate([variables[name] for name in block.official], axis=-1)[: block.rows]
            result |= {name: whole[..., columns].T for name, columns in block.port.items()}
        if weights:
            for name, gate in self.forget.items():
                result[name][gate] += FORGET_BIAS
        for name, twin in self.twins.items():
            result[twin] = np.zeros_like(result[name]) if weights else result[name].copy()
        return result

    def to_official(self, parameters: Mapping[str, np.ndarray], *, weights: bool = True) -> Arrays:
        """The inverse of :meth:`to_port`. Twins have equal gradients and slots, so those of the first are taken."""
        values = dict(parameters)
        if weights:
            values |= {name: values[name] + values[twin] for name, twin in self.twins.items()}
            for name, gate in self.forget.items():
                values[name] = values[name].copy()
                values[name][gate] -= FORGET_BIAS
        result: Arrays = {}
        for block in self.blocks:
            first = values[next(iter(block.port))].T
            whole = np.empty((*first.shape[:-1], sum(block.official.values())), first.dtype)
            for name, columns in block.port.items():
                whole[..., columns] = values[name].T
            ends = np.cumsum(list(block.official.values()))[:-1]
            result |= dict(zip(block.official, np.split(whole, ends, axis=-1), strict=True))
        return result


def joined(layouts: Iterable[Layout]) -> Layout:
    """One layout of several."""
    layouts = list(layouts)
    return Layout(
        tuple(block for layout in layouts for block in layout.blocks),
        {name: twin for layout in layouts for name, twin in layout.twins.items()},
        {name: gate for layout in layouts for name, gate in layout.forget.items()},
    )


def gates(units: int, order: str) -> np.ndarray:
    """Columns of i, j, f, o in another order."""
    return np.concatenate([GATES.index(gate) * units + np.arange(units) for gate in order])


def renamed(names: Mapping[str, str], columns: np.ndarray) -> Layout:
    """Variables with these columns, each a parameter of its own (official -> port)."""
    return Layout(tuple(Block({official: len(columns)}, {port: columns}) for official, port in names.items()))


def linear(scope: str, port: str, columns: np.ndarray, parts: str = "super_linear") -> Layout:
    """A linear layer with weight and bias; the port may have another order of outputs."""
    names = {f"{scope}/{parts}_w": f"{port}.weight", f"{scope}/{parts}_b": f"{port}.bias"}
    return renamed(names, columns)


def torch_lstm(scope: str, port: str, units: int, suffix: str = "") -> Layout:
    """A plain cell as one direction of ``torch.nn.LSTM``: gates i, f, g, o with g for Magenta's j, two biases."""
    names = {kind: f"{port}.{kind}_l0{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    official = {"W_xh": "weight_ih", "W_hh": "weight_hh", "bias": "bias_ih"}
    layout = renamed({f"{scope}/{ours}": names[theirs] for ours, theirs in official.items()}, gates(units, "ifjo"))
    return dataclasses.replace(
        layout, twins={names["bias_ih"]: names["bias_hh"]}, forget={names["bias_ih"]: slice(units, 2 * units)}
    )


def torch_encoder(port: str, units: int) -> Layout:
    """A bidirectional plain encoder as ``torch.nn.LSTM``."""
    sides = {"fw": "", "bw": "_reverse"}
    return joined(torch_lstm(f"vector_rnn/ENC_RNN/{s}/LSTMCell", port, units, suffix) for s, suffix in sides.items())
