"""What the kernels of a fused sequence read and write; its forms are ``aten``, ``native`` and ``triton_pointwise``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from pytorch_sketch_rnn.model.draws import Mask
from pytorch_sketch_rnn.model.fused.layout import Layout
from pytorch_sketch_rnn.model.fused.memory import room

Product = Callable[[Tensor, Tensor], None]  # see Kernels.product


class Norm(NamedTuple):
    """Gains and offsets of the layer norms of D cells: of the gates [D, 1, 4 n], of the state [D, 1, n]."""

    gamma: Tensor
    beta: Tensor
    gamma_c: Tensor
    beta_c: Tensor


class Kept(NamedTuple):
    """What layer norm keeps of each row for its gradients."""

    deviation: Tensor  # reciprocal standard deviations of the four gates [D, S, 4]
    normal_c: Tensor  # the new state, normalised, before gamma and beta [D, S, n]
    deviation_c: Tensor  # reciprocal standard deviation of the new state [D, S, 1]

    @classmethod
    def empty(cls, states: Tensor) -> "Kept":
        """Room for cells with these states [D, S, n]."""
        rows = states.shape[:2]
        return cls(states.new_empty(*rows, 4), room(states, *states.shape), states.new_empty(*rows, 1))


class Dropout(NamedTuple):
    """Recurrent dropout masks of D cells."""

    mask: Tensor  # [D, B, T, n]
    order: Tensor | None  # row r of the sequence has the mask of row order[r] [B]; None: the same row


class Parts(NamedTuple):
    """Into how many parts a GPU splits the inner dimension of the products of a step, of which one cell has few rows.

    More parts occupy more of its processors, and the element-wise part adds them up.
    """

    total: int  # of the products that give the pre-activations; a divisor of 16
    d_h: int  # of those that give the gradient of h; a divisor of 4


WHOLE = Parts(1, 1)
TOGETHER = 3200  # of Kernels.together, on a CPU


@dataclass(frozen=True)
class Buffers:
    """The numbers of a sequence of steps of D cells, in packed rows S (see :class:`Layout`).

    A step turns its pre-activations into the states that follow. With layer norm, ``total`` is then the normalised
    pre-activation, before gamma and beta.
    """

    layout: Layout
    total: Tensor  # pre-activations [D, S, 4 n], in rows that may be apart (Kernels.spread)
    projected: Tensor | None  # the part of them that is the same at every step [D, B, 4 n]
    c: Tensor  # [D, S, n]; block t is the state before step t
    Z: Tensor  # [D, S, width], likewise; h in its first n columns
    dropout: Dropout | None
    norm: Norm | None
    epsilon: float  # of the layer norms
    kept: Kept | None  # with layer norm
    parts: Tensor | None = (
        None  # the products of one step [P, D, B, 4 n], to be added up into total; None: they are there
    )


@dataclass(frozen=True)
class Gradients:
    """Gradients during the way back through a sequence. ``d_h`` and ``d_c`` are those of the states after a step.

    ``d_total`` covers only some steps at a time: its first row is packed row ``first``.
    """

    d_outputs: Tensor | None  # of each step's h [D, S - B, n]: the block of step t begins at offsets[t + 1] - B
    d_h: Tensor  # [D, B, n]
    d_c: Tensor  # [D, B, n]
    d_total: Tensor  # [D, window, 4 n], in rows that may be apart
    first: int
    d_norm: Norm | None  # sums so far, [D, groups, ...], of rows in groups
    parts: Tensor | None = None  # [P, D, B, n]: the gradient of h after a step is d_h and the sum of these


@dataclass(frozen=True)
class Mix:
    """How HyperLSTM cells make their pre-activations.

    For each gate: total = signal 0 (x W_xh) + signal 1 (h W_hh) + signal 2 + bias, where the first four of the twelve
    signals are the signals 0 of the four gates, and so on.
    """

    layout: Layout
    total: Tensor  # [D, S, 4 n], in rows that may be apart
    from_x: Tensor  # x W_xh of the running rows of one step [D, B, 4 n]; without the part that is always the same
    projected: Tensor | None  # that part [D, B, 4 n]
    from_h: Tensor  # h W_hh [D, S, 4 n], in rows as those of total
    bias: Tensor  # [D, 4 n]
    signals: Tensor  # of the running rows of one step [D, 12, B, n]


@dataclass(frozen=True)
class MixGradients:
    """Gradients of :class:`Mix`; those of packed rows cover some steps only and begin at packed row ``first``.

    The rows of the first three may be apart, all as far.
    """

    d_total: Tensor  # [D, window, 4 n]
    first: int
    d_from_x: Tensor  # [D, window, 4 n]
    d_from_h: Tensor  # [D, window, 4 n]
    d_signals: Tensor  # of the running rows of one step [D, 12, B, n]


class Kernels(Protocol):
    """What a fused sequence is made of: products with weights, and the element-wise part of each step of D cells."""

    @property
    def groups(self) -> int | None:
        """The groups of :attr:`Gradients.d_norm`; None: each row is one."""
        ...

    @property
    def together(self) -> int:
        """How many packed rows' gradients are kept until they enter the weights' gradients."""
        ...

    @property
    def freezes(self) -> bool:
        """Whether rows come in their own order and stay in the batch when they end (``Layout.frozen``). Then
        :attr:`Gradients.parts` are wanted, and :attr:`Buffers.parts` if there are several.
        """
        ...

    @property
    def parts(self) -> Parts:
        """Into how many parts the products of a step are split, if it freezes."""
        ...

    @property
    def spread(self) -> int:
        """How many unused numbers are wanted between two rows of pre-activations, or of their gradients.

        Rows that are a power of two apart compete for the same few places of a processor's cache.
        """
        ...

    def fill(self, out: Tensor, mask: Mask, lengths: Tensor | None) -> None:
        """Write the numbers of a mask into a tensor [B, T, n]; with lengths [B], only those of each row's steps."""
        ...

    def product(self, weights: Tensor) -> Product:
        """A function of a [D, rows, K] and out [D, rows, N] that computes out = a @ weights, for weights [D, K, N].

        Columns of ``a`` and ``out`` are adjacent. The weights must not change while it is used.
        """
        ...

    def add_product(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        """out += a^T b for each of D matrices: a [D, rows, M], b [D, rows, N], out [D, M, N]; columns are adjacent."""
        ...

    def forward(self, buffers: Buffers) -> Callable[[int], None]:
        """A function of t that computes step t.

        It goes from the products in ``total`` and the states in block t to the states in block t + 1.
        """
        ...

    def backward(self, buffers: Buffers, gradients: Gradients) -> Callable[[int], None]:
        """A function of t that goes back through step t, whose packed rows must lie in the window of ``d_total``.

        It computes ``d_total`` of the running rows from the gradients of the states after the step, and sets the other
        rows of block t to zero. Then ``d_c`` is that of the state before the step, and ``d_h`` is undefined; with parts
        it is what passes by the step: the gradient of h of rows that have ended, and zero in the other rows.
        """
        ...

    def mix(self, mix: Mix) -> Callable[[int], None]:
        """A function of t that computes ``total`` of step t. Then ``from_x`` is undefined."""
        ...

    def mix_backward(self, mix: Mix, gradients: MixGradients) -> Callable[[int], None]:
        """A function of t that goes from ``d_total`` of step t to the other gradients. Then ``from_x`` is undefined.
        Packed rows of block t that do not run get zeros.
        """
        ...
