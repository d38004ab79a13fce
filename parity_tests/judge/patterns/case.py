"""Two tensors that differ, and the questions that every pattern asks of them."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property

import numpy as np

WEIGHTS = ("gradient/", "clipped/", "after/", "converted/", "exported/", "initial/")
VECTORS = ("_b", "bias", "gamma", "beta")
PER_ROW = ("mu", "presig", "z", "initial_state", "final_state")
PER_STEP = ("nll", "kl_of_mixtures")
NUMBERS = ("cost", "power", "next_uniform", "next_normal", "scale_factor")  # one number each
DATA = ("strokes", "sketches")


@dataclasses.dataclass(frozen=True)
class Case:
    """Two tensors of one shape, in float64, and what their axes count."""

    name: str
    ours: np.ndarray
    theirs: np.ndarray
    others: Mapping[str, np.ndarray]
    tolerance: float
    axes: tuple[str, ...]  # what each axis counts
    lengths: np.ndarray | None  # of the sketches [B], if they belong to this tensor

    @cached_property
    def scale(self) -> float:
        """The largest magnitude of theirs."""
        return float(np.abs(self.theirs).max(initial=0.0))

    @cached_property
    def slack(self) -> float:
        """The relative tolerance of a pattern; stricter for a single number, which a pattern may match by chance."""
        return max(self.tolerance * (100 if self.ours.size > 1 else 1), 1e-9)

    @cached_property
    def differs(self) -> np.ndarray:
        """Which elements differ by more than the tolerance."""
        return np.abs(self.ours - self.theirs) > self.tolerance * self.scale

    @cached_property
    def before_end(self) -> np.ndarray:
        """Which elements lie before the end of their sketch; all of them if lengths are unknown."""
        if self.lengths is None or "step" not in self.axes:
            return np.ones(self.ours.shape, bool)
        steps = self.along("step", np.arange(self.size("step")))
        return np.broadcast_to(steps < self.along("row", self.lengths), self.ours.shape)

    @property
    def is_rich(self) -> bool:
        """Whether enough distinct numbers differ that a pattern in them cannot be chance."""
        return max(np.unique(side[self.differs][:10_000]).size for side in (self.ours, self.theirs)) >= 3

    @property
    def is_sane(self) -> bool:
        """Whether squares of such numbers neither overflow nor underflow in float64."""
        return 1e-100 < self.scale < 1e100

    @property
    def is_layer(self) -> bool:
        """Whether the last axis holds units that the network computed for each row or step."""
        is_computed = not self.name.startswith(WEIGHTS) and not self.name.endswith(DATA)
        return is_computed and len(self.axes) > 1 and self.axes[-1] == "unit"

    def size(self, kind: str) -> int:
        """Length of the axis that counts this; 0 if there is none."""
        return self.ours.shape[self.axes.index(kind)] if kind in self.axes else 0

    def along(self, kind: str, values: np.ndarray) -> np.ndarray:
        """Values reshaped to broadcast along the axis that counts this."""
        return values.reshape(-1, *[1] * (self.ours.ndim - self.axes.index(kind) - 1))

    def is_close(self, values: np.ndarray, guess: np.ndarray) -> bool:
        """Whether a guess is within the tolerance of every value, relative to the values and to theirs."""
        return bool(np.abs(values - guess).max() <= self.slack * min(self.scale, np.abs(values).max()))

    def fills(self, values: np.ndarray, guess: np.ndarray, gap: np.ndarray) -> bool:
        """Whether a guess is close to the values, and leaves at most a hundredth of the gap it should explain."""
        return self.is_close(values, guess) and bool(np.abs(values - guess).max() <= np.abs(gap).max() / 100)

    def explains(self, guess: np.ndarray) -> bool:
        """Whether ours equals this guess; after the end of a sketch ours may also equal theirs."""
        guesses = (guess,) if self.before_end.all() else (guess, np.where(self.before_end, guess, self.theirs))
        return any(self.fills(self.ours, each, self.ours - self.theirs) for each in guesses)


def case_of(
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    others: Mapping[str, np.ndarray],
    tolerance: float,
    lengths: np.ndarray | None,
) -> Case:
    """A case; the lengths are kept only if they fit the tensor."""
    ours, theirs, axes = ours.astype(np.float64), theirs.astype(np.float64), axes_of(name, theirs.ndim)
    case = Case(name, ours, theirs, others, tolerance, axes, None)
    lengths = None if lengths is None else np.asarray(lengths)
    if lengths is None or lengths.shape != (case.size("row"),) or not lengths.size:
        return case
    longest = lengths.max()
    return dataclasses.replace(case, lengths=lengths) if 0 < longest <= (case.size("step") or longest) else case


def axes_of(name: str, ndim: int) -> tuple[str, ...]:
    """What each axis counts; recordings of a training have the training steps as an additional first axis."""
    last = variable_of(name).rpartition("/")[2]
    if last.endswith(NUMBERS) or name.startswith("series/") or "keep_prob/" in name:
        inner: tuple[str, ...] = ()
    elif name.startswith(WEIGHTS):
        inner = ("unit",) if last.endswith(VECTORS) else ("in", "out")
    elif name.startswith("sample/") or last == "strokes":
        inner = ("step", "unit")
    elif last in PER_STEP:
        inner = ("row", "step")
    elif last in PER_ROW or ndim == 2:
        inner = ("row", "unit")
    else:
        inner = ("row",) if ndim == 1 else ("row", "step", "unit")
    known = {len(inner): inner, len(inner) + 1: ("training step", *inner)}
    return known.get(ndim, tuple(f"axis {axis}" for axis in range(ndim)))


def variable_of(name: str) -> str:
    """The name of the variable that a slot of Adam belongs to."""
    return name.removesuffix("/Adam").removesuffix("/Adam_1")


def is_numeric(values: np.ndarray) -> bool:
    """Whether an array holds booleans, integers or floats."""
    return np.asarray(values).dtype.kind in "biuf"
