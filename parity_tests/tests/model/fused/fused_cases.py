"""Sequences of many shapes, computed by a fused path and by the loop over steps."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from pytorch_sketch_rnn.model.backend import LOOP, Backend
from pytorch_sketch_rnn.model.cells import Cell, HyperLSTMCell, LayerNormLSTMCell, LSTMCell
from pytorch_sketch_rnn.model.draws import RecordedMask
from pytorch_sketch_rnn.model.fused import choice
from pytorch_sketch_rnn.model.sequence import Masks

CPU = torch.device("cpu")
KINDS = (LSTMCell, LayerNormLSTMCell, HyperLSTMCell)
EPSILON = 1e-2  # not the default, which a kernel could hold as a constant
EVERY = choice.names(CPU)
every_backend = pytest.mark.parametrize("name", EVERY)
Values = dict[str, Tensor]


class Shape(NamedTuple):
    """The sizes of a sequence; its length T may be beyond that of the longest sketch."""

    lengths: tuple[int, ...]
    T: int
    units: int
    inputs: int
    constant: int


SHAPES = (
    Shape((1,), 1, 1, 1, 0),  # nothing but one number
    Shape((5,), 5, 3, 2, 1),
    Shape((4, 1, 3, 4, 2), 4, 17, 5, 3),  # one more than a multiple of every vector width
    Shape((3, 3, 3), 3, 8, 4, 0),
    Shape((1, 1, 1, 1), 6, 5, 1, 4),
    Shape((2, 1) * 9 + (2,), 2, 33, 3, 2),  # more rows than Native.groups, which does not divide them
    Shape((2, 1), 2, 170, 2, 1),  # products longer than what products.cpp takes at a time
    Shape((3, 3, 1, 2) * 4, 3, 16, 2, 0),  # as many rows as groups, and whole vectors
)


def backend(name: str) -> Backend:
    """The fused path of that name; the test is skipped where it cannot be built."""
    try:
        return choice.proven(name, CPU)
    except choice.Unusable as error:
        if "compiler" in str(error):
            pytest.skip(str(error))
        raise


class Case:
    """A cell or two, inputs, states and masks, drawn from a seed."""

    def __init__(
        self, kind: type[Cell], shape: Shape, *, masked: bool, dtype: torch.dtype = torch.float64, seed: int = 0
    ) -> None:
        self.kind, self.shape, self.masked, self.dtype = kind, shape, masked, dtype
        self._generator = torch.Generator().manual_seed(seed)
        self.batch = len(shape.lengths)
        self.cells = [self._cell(shape.inputs + shape.constant), self._cell(shape.inputs + shape.constant)]
        self.x = self.random(self.batch, shape.T, shape.inputs)
        self.constant = self.random(self.batch, shape.constant) if shape.constant else None
        self.state = [self.random(self.batch, size) for size in self.cells[0].state_sizes]
        self.lengths = torch.tensor(shape.lengths)
        self.numbers = [self._mask(size) for size in (shape.units, shape.inputs + shape.constant, shape.units)]
        self.both = [self._mask(shape.units), self._mask(shape.units)]

    def __str__(self) -> str:
        return f"{self.kind.__name__}, {self.shape}, {'masked' if self.masked else 'without masks'}"

    def random(self, *shape: int) -> Tensor:
        """Normal numbers."""
        return torch.randn(shape, generator=self._generator, dtype=torch.float64).to(self.dtype)

    def decode(self, by: Backend, weigh: Callable[[Values], Tensor] | None = None) -> Values:
        """What a sequence of full length gives, with its gradients."""
        cell = self.cells[0]
        x, constant, *state = (None if v is None else v.clone().requires_grad_() for v in self._given())
        masks = Masks(*(RecordedMask(numbers) for numbers in self.numbers)) if self.masked else Masks()
        outputs, last = by.run(cell, x, cell.state_type(*state), masks, constant=constant)
        ends = {"x": x, "constant": constant, **dict(zip(cell.state_type._fields, state, strict=True))}
        return with_gradients({"outputs": outputs, **prefixed("last", last._asdict())}, [cell], ends, weigh)

    def encode(self, by: Backend, weigh: Callable[[Values], Tensor] | None = None) -> Values:
        """What two cells over sketches of several lengths give, with their gradients."""
        x = self.x if self.constant is None else torch.cat(
            [self.x, self.constant.unsqueeze(1).expand(-1, self.shape.T, -1)], dim=2
        )  # fmt: skip
        x = x.clone().requires_grad_()
        masks = tuple(RecordedMask(numbers) for numbers in self.both) if self.masked else (None, None)
        fw, bw = by.run_both(*self.cells, x, self.lengths, masks)
        values = prefixed("fw", fw._asdict()) | prefixed("bw", bw._asdict())
        return with_gradients(values, self.cells, {"x": x}, weigh)

    def _given(self) -> list[Tensor | None]:
        return [self.x, self.constant, *self.state]

    def _cell(self, inputs: int) -> Cell:
        cell = made(self.kind, inputs, self.shape.units, 7, 3)
        for parameter in cell.parameters():
            parameter.data = 0.5 * self.random(*parameter.shape)
        return cell

    def _mask(self, size: int) -> np.ndarray:
        kept = self.random(self.batch, self.shape.T, size) > -1
        return (kept / 0.8).double().numpy()


def made(kind: type[Cell], inputs: int, units: int, *inner: int) -> Cell:
    """A cell; ``inner`` are the sizes of a hyper cell's inner one."""
    if kind is LayerNormLSTMCell:
        return LayerNormLSTMCell(inputs, units, EPSILON)
    if kind is HyperLSTMCell:
        return HyperLSTMCell(inputs, units, *inner, EPSILON)
    return kind(inputs, units)


def cases(*, dtype: torch.dtype = torch.float64, shapes: tuple[Shape, ...] = SHAPES) -> Iterator[Case]:
    """Every kind of cell in every shape, with masks and without."""
    for kind, shape, masked in itertools.product(KINDS, shapes, (True, False)):
        yield Case(kind, shape, masked=masked, dtype=dtype)


def prefixed(before: str, values: Values) -> Values:
    """The values under longer names."""
    return {f"{before} {name}": value for name, value in values.items()}


def with_gradients(
    values: Values, cells: list[Cell], given: Values, weigh: Callable[[Values], Tensor] | None = None
) -> Values:
    """The values, and the gradients of a sum that weighs each of their numbers differently."""
    total = (weigh or weighed)(values)
    ends = {f"{n} {name}": p for n, cell in enumerate(cells) for name, p in cell.named_parameters()}
    ends |= {name: value for name, value in given.items() if value is not None}
    found = torch.autograd.grad(total, list(ends.values()), allow_unused=True)
    gradients = {n: torch.zeros_like(v) if g is None else g for (n, v), g in zip(ends.items(), found, strict=True)}
    return {name: value.detach() for name, value in (values | prefixed("gradient of", gradients)).items()}


def weighed(values: Values) -> Tensor:
    """A sum in which each number of each value has a weight of its own."""
    sums = [(v * torch.linspace(1, 2, v.numel(), dtype=v.dtype).view_as(v)).sum() for v in values.values()]
    return torch.stack(sums).sum()


def error(ours: Values, theirs: Values) -> tuple[float, str]:
    """The largest difference of any tensor relative to its largest number, but to no less than 0.1; and whose it is."""
    found = []
    for name, value in theirs.items():
        assert ours[name].shape == value.shape
        off = float((ours[name] - value).abs().max() / value.abs().max().clamp(min=0.1))
        found.append((off if off == off else float("inf"), name))  # NaN differs from everything
    return max(found)


def worst(by: Backend, of: Iterator[Case]) -> tuple[float, str]:
    """The largest :func:`error` of a fused path in either direction, and where it is."""
    found = []
    for case in of:
        for direction in (Case.decode, Case.encode):
            off, what = error(direction(case, by), direction(case, LOOP))
            found.append((off, f"{direction.__name__}, {case}: {what}"))
    return max(found)
