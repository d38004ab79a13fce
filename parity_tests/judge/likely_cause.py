"""Why a tensor departs, told from its numbers alone: one sentence where they show it, silence where they do not.

A pattern counts only if it leaves no element unexplained and rests on far fewer numbers than it explains. NumPy alone.
Source of the layouts (order of the gates, packed states): Magenta 2.1.4, ``rnn.py``; of the patterns: bugs of ports.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property

import numpy as np

GATES = ("i", "j", "f", "o")
FOUR_GATES = ("total", "W_xh", "W_hh", "bias", "ln_all/ln_gamma", "ln_all/ln_beta")  # side by side
WEIGHTS = ("gradient/", "clipped/", "after/", "converted/", "initial/")
VECTORS = ("_b", "bias", "gamma", "beta")
PER_ROW = ("mu", "presig", "z", "initial_state", "final_state")
PER_STEP = ("nll", "kl_of_mixtures")
NUMBERS = ("cost", "power", "next_uniform", "next_normal", "scale_factor")  # one number each
DATA = ("strokes", "sketches")
TWINS = {"train/": "eval/", "eval/": "train/", "clipped/": "gradient/", "gradient/": "clipped/"}
PLURALS = {"row": "rows of the batch", "in": "inputs", "out": "units"}
EPSILON32 = float(np.finfo(np.float32).eps)
ENOUGH = 24  # rows and steps, and units, from which a normalisation is estimated


def likely_cause(
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    others: Mapping[str, np.ndarray],
    tolerance: float,
    lengths: np.ndarray | None = None,
) -> str | None:
    """What probably makes our tensor depart from theirs, in one sentence; None where the numbers do not show it.

    Args:
        name: of the quantity, such as ``train/decoder/i``; it tells what the axes are. ``steps/`` before it is ignored.
        ours: any shape; bool, integer or float.
        theirs: the same; where the shapes differ, that is what is explained.
        others: the official values of the recording's quantities by name; only near relatives are looked at.
        tolerance: below this, relative to the largest magnitude of theirs, two numbers are equal.
        lengths: true lengths of the sketches [B], where known.
    """
    if not (_is_numeric(ours) and _is_numeric(theirs)):
        return None
    name = name.removeprefix("steps/")
    others = {other.removeprefix("steps/"): values for other, values in others.items()}
    with np.errstate(all="ignore"):
        if np.shape(ours) != np.shape(theirs):
            return _other_shape(name, np.asarray(ours, np.float64), np.asarray(theirs, np.float64), tolerance)
        case = _case(name, np.asarray(ours), np.asarray(theirs), others, tolerance, lengths)
        if not (np.isfinite(case.ours).all() and np.isfinite(case.theirs).all()):
            return _not_finite(case)
        if not case.differs.any():
            return None
        patterns = ANY_NUMBERS + (MANY_NUMBERS if case.is_rich and case.is_sane else ())
        return next(filter(None, (pattern(case) for pattern in patterns)), None)


@dataclasses.dataclass(frozen=True)
class Case:
    """Two tensors of one shape, in float64."""

    name: str
    ours: np.ndarray
    theirs: np.ndarray
    others: Mapping[str, np.ndarray]
    tolerance: float
    axes: tuple[str, ...]  # what each axis counts
    lengths: np.ndarray | None  # where they belong to this tensor

    @cached_property
    def scale(self) -> float:
        """The largest magnitude of theirs."""
        return float(np.abs(self.theirs).max(initial=0.0))

    @cached_property
    def slack(self) -> float:
        """How near a pattern must come to every element: nearer where a lone number may be met by luck."""
        return max(self.tolerance * (100 if self.ours.size > 1 else 1), 1e-9)

    @cached_property
    def differs(self) -> np.ndarray:
        """Which elements are beyond the tolerance."""
        return np.abs(self.ours - self.theirs) > self.tolerance * self.scale

    @cached_property
    def alive(self) -> np.ndarray:
        """Which elements are not behind the end of a sketch."""
        if self.lengths is None or "step" not in self.axes:
            return np.ones(self.ours.shape, bool)
        steps = self.along("step", np.arange(self.size("step")))
        return np.broadcast_to(steps < self.along("row", self.lengths), self.ours.shape)

    @property
    def is_rich(self) -> bool:
        """Whether enough distinct numbers differ for a pattern in them to be no accident."""
        return max(np.unique(side[self.differs][:10_000]).size for side in (self.ours, self.theirs)) >= 3

    @property
    def is_sane(self) -> bool:
        """Whether float64 holds differences and squares of such numbers."""
        return 1e-100 < self.scale < 1e100

    @property
    def is_layer(self) -> bool:
        """Whether the network computes its units for each row or step."""
        is_computed = not self.name.startswith(WEIGHTS) and not self.name.endswith(DATA)
        return is_computed and len(self.axes) > 1 and self.axes[-1] == "unit"

    def size(self, kind: str) -> int:
        """How long the axis is that counts this; 0 without one."""
        return self.ours.shape[self.axes.index(kind)] if kind in self.axes else 0

    def along(self, kind: str, values: np.ndarray) -> np.ndarray:
        """Values laid along the axis that counts this."""
        return values.reshape(-1, *[1] * (self.ours.ndim - self.axes.index(kind) - 1))

    def meets(self, values: np.ndarray, guess: np.ndarray) -> bool:
        """Whether a guess comes near every value, measured by their own magnitude and by that of theirs."""
        return bool(np.abs(values - guess).max() <= self.slack * min(self.scale, np.abs(values).max()))

    def fits(self, values: np.ndarray, guess: np.ndarray, gap: np.ndarray) -> bool:
        """Whether a guess meets the values, and fills the gap that it was to fill."""
        return self.meets(values, guess) and bool(np.abs(values - guess).max() <= np.abs(gap).max() / 100)

    def explains(self, guess: np.ndarray) -> bool:
        """Whether ours is this guess; behind the end of a sketch it may be theirs."""
        guesses = (guess,) if self.alive.all() else (guess, np.where(self.alive, guess, self.theirs))
        return any(self.fits(self.ours, each, self.ours - self.theirs) for each in guesses)


def _case(
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    others: Mapping[str, np.ndarray],
    tolerance: float,
    lengths: np.ndarray | None,
) -> Case:
    ours, theirs, axes = ours.astype(np.float64), theirs.astype(np.float64), _axes(name, theirs.ndim)
    case = Case(name, ours, theirs, others, tolerance, axes, None)
    lengths = None if lengths is None else np.asarray(lengths)
    if lengths is None or lengths.shape != (case.size("row"),) or not lengths.size:
        return case
    longest = lengths.max()
    return dataclasses.replace(case, lengths=lengths) if 0 < longest <= (case.size("step") or longest) else case


def _axes(name: str, ndim: int) -> tuple[str, ...]:
    """What each axis counts; recordings of a training stack one more in front."""
    last = _bare(name).rpartition("/")[2]
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


def _bare(name: str) -> str:
    """The variable's name, for the name of a slot of Adam."""
    return name.removesuffix("/Adam").removesuffix("/Adam_1")


def _is_numeric(values: np.ndarray) -> bool:
    return np.asarray(values).dtype.kind in "biuf"


# --- what cannot be compared element by element ---


def _other_shape(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> str | None:
    def equal(a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.abs(a - b).max() <= max(100 * tolerance, 1e-9) * np.abs(theirs).max())

    if not (ours.size and theirs.size):
        return None
    axes = _axes(name, theirs.ndim)
    if [n for n in ours.shape if n != 1] == [n for n in theirs.shape if n != 1] and ours.ndim != theirs.ndim:
        return f"ours has {'more' if ours.ndim > theirs.ndim else 'fewer'} axes of length 1 than theirs"
    if ours.ndim != theirs.ndim:
        return None
    orders = [o for o in itertools.permutations(range(ours.ndim)) if theirs.transpose(o).shape == ours.shape]
    for order in orders:
        if equal(ours, theirs.transpose(order)):
            return f"ours is theirs transposed: its axes are {', '.join(axes[axis] for axis in order)}"
    if len(orders) == 1:
        return f"ours has the shape of theirs transposed: {', '.join(axes[axis] for axis in orders[0])}"
    more = np.subtract(ours.shape, theirs.shape)
    if np.abs(more).sum() != 1:
        return None
    axis = int(np.abs(more).argmax())
    longer, shorter = (np.moveaxis(side, axis, 0) for side in ((ours, theirs) if more[axis] > 0 else (theirs, ours)))
    ends = (("last", longer[:-1]), ("first", longer[1:]))
    end = next((f", the {end}; the rest is equal" for end, rest in ends if equal(rest, shorter)), "")
    return f"ours has one {axes[axis]} {'more' if more[axis] > 0 else 'fewer'} than theirs{end}"


def _not_finite(case: Case) -> str:
    ours, theirs = ~np.isfinite(case.ours), ~np.isfinite(case.theirs)
    if (ours == theirs).all():
        return f"NaN or infinity on both sides, at the same {ours.sum()} of {ours.size} elements"
    odd, side, other = (ours, "ours", "theirs") if (ours & ~theirs).any() else (theirs, "theirs", "ours")
    odd = odd & ~(ours & theirs)
    kind = "NaN" if np.isnan((case.ours if side == "ours" else case.theirs)[odd]).all() else "NaN or infinite"
    step = next((axis for axis in ("step", "training step") if axis in case.axes), None)
    first = f", from {step} {odd.nonzero()[case.axes.index(step)].min()} on" if step else ""
    return f"{side} is {kind} at {odd.sum()} of {odd.size} elements where {other} is finite{first}"


# --- patterns in numbers of any kind ---


def _zero_everywhere(case: Case) -> str | None:
    if not case.ours.any():
        return "ours is zero everywhere, theirs is not"
    return None if case.theirs.any() else "theirs is zero everywhere, ours is not"


def _rounded(case: Case) -> str | None:
    """What float32 computes are numbers that float32 holds, near those of float64, most of which it does not hold."""
    inexact = (case.theirs.astype(np.float32) != case.theirs).mean()
    round_numbers = (case.ours.astype(np.float16) == case.ours).mean()  # such as 0.5 prove nothing
    is_single = (case.ours.astype(np.float32) == case.ours).all()
    is_near = np.abs(case.ours - case.theirs).max() < 1e-4 * case.scale
    if case.tolerance > EPSILON32 or not (is_single and is_near and inexact > 0.5 > round_numbers):
        return None
    if (case.theirs.astype(np.float32) == case.ours).all():
        return "ours is theirs rounded to float32"
    return "ours looks rounded to float32: all its numbers are numbers that float32 holds"


def _another_quantity(case: Case) -> str | None:
    if np.unique(case.ours).size < min(3, case.ours.size):  # constants and masks are like many others
        return None
    for other in _relatives(case.name, case.others):
        values = np.asarray(case.others[other])
        if not (_is_numeric(values) and values.shape == case.ours.shape and case.explains(values.astype(np.float64))):
            continue
        (our_folder, _, ours), (their_folder, _, theirs) = case.name.rpartition("/"), other.rpartition("/")
        if our_folder != their_folder:
            return f"our {case.name} is their {other}"
        return f"our {ours} is their {theirs}{': two gates swapped' if {ours, theirs} <= set(GATES) else ''}"
    return None


def _relatives(name: str, others: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Quantities of the same folder (for what belongs to a weight, of all weights), and the same of another pass."""
    folder, kind = name.rpartition("/")[0], name.partition("/")[0] + "/"
    yield from (other for other in others if other != name and other.rpartition("/")[0] == folder)
    if kind in WEIGHTS:
        yield from (other for other in others if other.startswith(kind) and other.rpartition("/")[0] != folder)
    if kind in TWINS and (twin := TWINS[kind] + name.removeprefix(kind)) in others:
        yield twin


def _one_number(case: Case) -> str | None:
    if case.ours.size != 1 or not case.is_sane:
        return None
    ours, theirs = case.ours.item(), case.theirs.item()
    if ours.is_integer() and theirs.is_integer():
        return f"ours is theirs {'+' if ours > theirs else '-'} 1" if abs(ours - theirs) == 1 else None
    if case.explains(-case.theirs):
        return "ours is theirs with the other sign"
    fraction = _fraction(ours / theirs, case.tolerance)
    return f"ours is {ours / theirs:#.6g} times theirs ({fraction})" if fraction else None


def _two_constants(case: Case) -> str | None:
    if case.ours.size == 1 or np.ptp(case.ours) or np.ptp(case.theirs):
        return None
    return f"ours is {case.ours.flat[0]:.6g} everywhere, theirs {case.theirs.flat[0]:.6g}: another constant"


def _behind_the_end(case: Case) -> str | None:
    if case.differs.sum() < 3 or case.differs[case.alive].any():
        return None
    return "differs only behind the end of the sketches: length handling or padding"


# --- patterns that only many distinct numbers show ---


def _transposed(case: Case) -> str | None:
    for a, b in itertools.combinations(range(case.ours.ndim), 2):
        if case.ours.shape[a] == case.ours.shape[b] and case.explains(case.theirs.swapaxes(a, b)):
            return f"ours is theirs transposed: axes {case.axes[a]} and {case.axes[b]}"
    return None


def _shifted(case: Case) -> str | None:
    for axis, kind in enumerate(case.axes):
        if not kind.endswith("step") or case.size(kind) < 4:
            continue
        ours, theirs = np.moveaxis(case.ours, axis, 0), np.moveaxis(case.theirs, axis, 0)
        for now, then, sign in ((slice(None, -1), slice(1, None), "+"), (slice(1, None), slice(None, -1), "-")):
            if case.fits(ours[now], theirs[then], ours[now] - theirs[now]):
                return f"{kind}s shifted by one: ours at t is theirs at t{sign}1"
    return None


def _reversed_sketches(case: Case) -> str | None:
    if case.alive.all():
        return None
    steps = case.along("step", np.arange(case.size("step")))
    backwards = np.where(case.alive, case.along("row", case.lengths) - 1 - steps, steps).astype(int)
    if not case.explains(np.take_along_axis(case.theirs, backwards, case.axes.index("step"))):
        return None
    return "steps of each sketch in reverse order, up to its length"


def _reordered(case: Case) -> str | None:
    for axis, kind in enumerate(case.axes):
        order = _order(np.moveaxis(case.ours, axis, 0), np.moveaxis(case.theirs, axis, 0))
        if case.explains(np.take(case.theirs, order, axis)):
            return _describe_order(order, PLURALS.get(kind, f"{kind}s"), case.name)
    return None


def _order(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Where each slice of ours might stand in theirs: all are projected on one line, and paired as they lie on it."""
    line = np.random.default_rng(0).standard_normal(math.prod(ours.shape[1:]))
    places = [np.argsort(side.reshape(len(side), -1) @ line, kind="stable") for side in (ours, theirs)]
    order = np.empty_like(places[0])
    order[places[0]] = places[1]
    return order


def _describe_order(order: np.ndarray, things: str, name: str) -> str:
    size, straight = len(order), np.arange(len(order))
    if (order == straight[::-1]).all():
        return f"{things} in reverse order"
    head = f"{things} in another order"
    if things == "units" and size % 4 == 0 and _bare(name).endswith(FOUR_GATES):
        blocks = order[:: size // 4] // (size // 4)
        if (order == straight.reshape(4, -1)[blocks].ravel()).all():
            return f"four blocks of {head}: ours {', '.join(GATES[block] for block in blocks)}"
    if size % 2 == 0 and (order == np.roll(straight, size // 2)).all():
        return f"{head}: halves swapped"
    runs = np.split(order, np.flatnonzero(np.diff(order) != 1) + 1)
    if len(runs) > 6:
        return f"{head}: {(order != straight).sum()} of {size} elsewhere"
    return f"{head}: ours are theirs {', '.join('-'.join(map(str, sorted({run[0], run[-1]}))) for run in runs)}"


def _clipped_by_norm(case: Case) -> str | None:
    gradient = case.others.get(case.name.replace("clipped/", "gradient/", 1))
    if not case.name.startswith("clipped/") or np.shape(gradient) != case.ours.shape:
        return None
    gradient = np.asarray(gradient, np.float64)
    factor, is_cut = _slope(case.ours, gradient), not case.meets(case.theirs, gradient)
    if not (is_cut and 0 < factor < 1 and case.explains(factor * gradient)):
        return None
    return f"ours is their gradient times {factor:#.6g}: one common factor, as of a clip by norm, not by value"


def _bounded(case: Case) -> str | None:
    margin = case.tolerance * case.scale
    for side, held, free in (("ours", case.ours, case.theirs), ("theirs", case.theirs, case.ours)):
        low, high = held.min(), held.max()
        below, above = free < low - margin, free > high + margin
        if case.differs.all() or (case.differs != below | above).any():
            continue
        if case.fits(held, free.clip(low, high), case.ours - case.theirs):
            bounds = " and ".join(f"{bound:.6g}" for bound, beyond in ((low, below), (high, above)) if beyond.any())
            fault = "a floor or bound too many" if side == "ours" else "a floor or bound left out"
            return f"equal but for {case.differs.sum()} elements, where {side} stays at {bounds}: {fault}"
    return None


def _dropped(case: Case) -> str | None:
    """A dropout mask: some elements are zero on one side, and all the rest has one factor."""
    if not case.is_layer:
        return None
    zero, their_zero = case.ours == 0, case.theirs == 0
    # a mask leaves something of each unit and of each row and step
    partly, units = np.ones_like(zero), tuple(range(zero.ndim - 1))
    for side in (~zero, ~their_zero):
        partly &= side.any(axis=-1, keepdims=True) & side.any(axis=units)
    kept = ~zero & ~their_zero
    if kept.sum() < 3 or (zero != their_zero)[~partly].any():
        return None
    factor = _slope(case.ours[kept], case.theirs[kept])
    if not case.meets(case.ours[kept], factor * case.theirs[kept]):
        return None
    is_scaled = abs(factor - 1) > case.slack
    lost, extra = int((zero & ~their_zero).sum()), int((their_zero & ~zero).sum())
    if not lost and not extra:
        is_mask = is_scaled and (zero & partly).any()
        return f"ours is theirs times {factor:.6g} where not zero: dropout scaling" if is_mask else None
    sides = (("ours", "theirs", lost), ("theirs", "ours", extra))
    found = " and ".join(f"{a} is zero where {b} is not ({count} elements)" for a, b, count in sides if count)
    rest = f"elsewhere ours is theirs times {factor:.6g}" if is_scaled else "elsewhere equal"
    return f"{found}, {rest}: a dropout mask is missing or another"


def _one_factor(case: Case) -> str | None:
    factor = _slope(case.ours[case.alive], case.theirs[case.alive])
    if case.explains(-case.theirs):
        return "ours is theirs with the other sign"
    if not case.explains(factor * case.theirs):
        return None
    note = _fraction(factor, case.tolerance)
    note = _variance_note(np.array([factor]), case) or (note if "/" in note else "")
    times = f"{factor:#.6g}" if abs(factor - 1) > 1e-3 else f"1 {'+' if factor > 1 else '-'} {abs(factor - 1):.3g}"
    return f"ours is {times} times theirs{f' ({note})' if note else ''}"


def _one_shift(case: Case) -> str | None:
    shift = float((case.ours - case.theirs)[case.alive].mean())
    if not case.explains(case.theirs + shift):
        return None
    return f"ours is theirs {'+' if shift > 0 else '-'} {abs(shift):.6g} everywhere"


def _each_row_and_step(case: Case) -> str | None:
    """Another normalisation: a factor for each row and step, about a centre (beta) of each unit.

    ours - theirs = e (theirs - beta) is linear in 1/e and beta: both are solved for in a part of the tensor.
    """
    if not case.is_layer:
        return None
    units = case.ours.shape[-1]
    theirs = case.theirs.reshape(-1, units)
    gap = case.ours.reshape(-1, units) - theirs
    changed = np.flatnonzero(case.differs.reshape(-1, units).any(axis=1))
    if units < 4 or len(changed) < 4:
        return None
    some, few = _spread(changed), _spread(np.arange(units))
    part = theirs[np.ix_(some, few)]
    of_rows = np.eye(len(some))[:, None, :] * gap[np.ix_(some, few)][:, :, None]
    of_units = np.tile(np.eye(len(few)), (len(some), 1, 1))
    equations = np.concatenate([of_rows, of_units], axis=2).reshape(part.size, -1)
    excess = 1 / np.linalg.lstsq(equations, part.ravel(), rcond=None)[0][: len(some), None]
    centre = (excess**2 * theirs[some] - excess * gap[some]).sum(axis=0) / (excess**2).sum()
    factor = 1 + _slopes(gap.T, (theirs - centre).T)[:, None]
    is_shift = np.abs(centre).max() > 10 * case.scale  # a factor next to 1 about a centre far away
    if is_shift or not case.explains((centre + factor * (theirs - centre)).reshape(case.ours.shape)):
        return None
    found, who = factor[changed], " and ".join(case.axes[:-1])
    if found.min() < 0.03 or found.max() > 30:
        return None
    note = _variance_note(found, case) or "epsilon or variance"
    return f"each {who} is scaled by its own factor ({_range(found)}): a normalisation ({note})"


def _each_unit(case: Case) -> str | None:
    """Each unit has a factor, a shift or both of its own."""
    if case.axes[-1] not in ("unit", "out"):
        return None
    units = case.ours.shape[-1]
    if case.differs.sum() < 4 * case.differs.reshape(-1, units).any(axis=0).sum():
        return None
    alive, ours, theirs = (side.reshape(-1, units) for side in (case.alive, case.ours, case.theirs))
    weight = alive / np.maximum(alive.sum(axis=0), 1)
    mean_ours, mean_theirs = (weight * ours).sum(axis=0), (weight * theirs).sum(axis=0)
    if case.explains(np.broadcast_to(mean_ours, case.ours.shape)):
        return None  # constants say nothing of how they came from theirs
    shift, factor = mean_ours - mean_theirs, _slopes(weight * ours, weight * theirs)
    if case.explains(case.theirs + shift):
        cause = ": another bias or beta, or none" if case.is_layer else ""
        return f"each unit is shifted by its own constant ({_range(shift)}){cause}"
    if case.explains(case.theirs * factor):
        cause = ": another gamma, or bias before exp, or none" if case.is_layer else ""
        return f"each unit is scaled by its own factor ({_range(factor)}){cause}"
    if not case.is_layer:
        return None
    factor = _slopes(weight * (ours - mean_ours), weight * (theirs - mean_theirs))
    shift = mean_ours - factor * mean_theirs
    if case.explains(case.theirs * factor + shift):
        return f"each unit is scaled ({_range(factor)}) and shifted ({_range(shift)}): another gamma and beta, or none"
    return None


def _all_but_the_longest(case: Case) -> str | None:
    if case.lengths is None:
        return None
    shorter = case.lengths < case.lengths.max()
    if shorter.sum() < 2 or not _differs_only_at(case, case.axes.index("row"), shorter):
        return None
    return "differs in all sketches but the longest: length handling"


def _after_the_first_step(case: Case) -> str | None:
    for axis, kind in enumerate(case.axes):
        if not kind.endswith("step"):
            continue
        later = np.moveaxis((case.ours != 0) | (case.theirs != 0), axis, 0).reshape(case.size(kind), -1).any(axis=1)
        later[0] = False
        if later.sum() >= 2 and _differs_only_at(case, axis, later):
            what = "state, mask or input" if kind == "step" else "weights, Adam's state or the count of steps"
            return f"equal at the first {kind}, differs from the second on: what is carried over to it ({what})"
    return None


def _differs_only_at(case: Case, axis: int, places: np.ndarray) -> bool:
    """Whether all of these places along an axis differ, and the others by so much less that it is no luck."""
    gaps = np.moveaxis(np.abs(case.ours - case.theirs), axis, 0).reshape(len(places), -1).max(axis=1)
    least, allowed = gaps[places].min(), case.tolerance * case.scale
    return bool(least > allowed and gaps[~places].max() <= min(allowed, least / 1000))


# --- numbers ---


def _slope(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The factor from theirs to ours, by least squares."""
    return float((ours * theirs).sum() / (theirs * theirs).sum())


def _slopes(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The same for each column."""
    return np.nan_to_num((ours * theirs).sum(axis=0) / (theirs * theirs).sum(axis=0))


def _spread(indices: np.ndarray) -> np.ndarray:
    return indices[np.unique(np.linspace(0, len(indices) - 1, ENOUGH).astype(int))]


def _range(values: np.ndarray) -> str:
    """From the least to the largest, with as many digits as tell them apart; rounding is no number."""
    low, high = (0.0 if abs(end) < 1e-12 * np.abs(values).max() else end for end in (values.min(), values.max()))
    digits = next((digits for digits in (4, 7, 10) if f"{low:.{digits}g}" != f"{high:.{digits}g}"), 4)
    return f"{low:.{digits}g}..{high:.{digits}g}"


def _variance_note(factors: np.ndarray, case: Case) -> str:
    """Whether factors are those of a variance over n - 1 instead of n, or the reverse; epsilon moves them a little."""
    units = case.ours.shape[-1]
    root = math.sqrt(1 - 1 / units)
    for expected, bottom in ((root, "n - 1"), (1 / root if root else 0, "n")):
        if case.is_layer and (np.abs(factors - expected) < (1 - root) / 20).all():
            return f"about {expected:.4g}: a variance over {bottom}, n = {units}"
    return ""


def _fraction(ratio: float, tolerance: float) -> str:
    """The simple fraction that a ratio is; empty where luck may have met one (more than once in 500 cases)."""
    precision = max(tolerance, 1e-9)
    most = int(min(300, math.sqrt(1 / (600 * precision))))
    if not most or not 0 < abs(ratio) < math.inf:
        return ""
    below_one = min(abs(ratio), 1 / abs(ratio))
    near = Fraction(below_one).limit_denominator(most)
    if not 0 < near < 1 or abs(below_one / near - 1) > precision:
        return ""
    return f"{'-' if ratio < 0 else ''}{1 / near if abs(ratio) > 1 else near}"


Pattern = Callable[[Case], str | None]
# Tried in this order: the most specific first.
ANY_NUMBERS: tuple[Pattern, ...] = (
    _zero_everywhere,
    _rounded,
    _another_quantity,
    _one_number,
    _two_constants,
    _behind_the_end,
)
MANY_NUMBERS: tuple[Pattern, ...] = (
    _transposed,
    _shifted,
    _reversed_sketches,
    _reordered,
    _clipped_by_norm,
    _bounded,
    _dropped,
    _one_factor,
    _one_shift,
    _each_row_and_step,
    _each_unit,
    _all_but_the_longest,
    _after_the_first_step,
)
