"""Compares initial weights with those of the official initialisers.

Constants, and the orthogonal blocks that NumPy draws, must be the same numbers. No other generator gives TensorFlow's
random numbers, so those variables are compared as distributions: the largest distance between the two empirical
distribution functions (Kolmogorov-Smirnov), over many draws of each variable.
"""

from functools import partial

import numpy as np

from parity_tests.adapter import Adapter, Arrays
from parity_tests.judge.limits import EPSILON32, INITIAL_FLOOR
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_COMPARED, UNTESTED, Row
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers

# Probability that two samples of one distribution exceed the bound on their distance (asymptotic for large samples).
CHANCE = 1e-9


def compare_initial(recording: Recording, port: Adapter) -> list[Row]:
    """A row for each variable; one that the port offers and lacks is a failure."""
    missing = NOT_COMPARED if "initial" in port.offers else UNTESTED
    seed = recording.provenance["seed"]
    wanted = {name.removeprefix("initial/"): value for name, value in recording["initial"].items()}
    drawn = {name.removeprefix("initial/"): value for name, value in recording["distribution"].items()}
    count = len(next(iter(drawn.values())))
    draws = []
    for index in range(count):
        answers = Answers()
        answers.take("initial", partial(port.initial, dict(recording.hparams), seed + index), required=())
        if answers.untested:
            return [_row(recording, "initial", UNTESTED, answers.untested["initial"])]
        if answers.broken:
            return [_row(recording, "initial", DIFFERENT, f"initial failed: {answers.broken['initial']}")]
        draws.append(answers.arrays)
    rows = [_same(recording, name, draws[0].get(name), value, missing) for name, value in wanted.items()]
    rows += [_same_distribution(recording, name, draws, value, missing) for name, value in drawn.items()]
    unknown = sorted(set().union(*draws) - set(wanted) - set(drawn))
    return rows + [_row(recording, f"initial/{n}", NOT_COMPARED, "missing on the official side") for n in unknown]


def _row(recording: Recording, quantity: str, verdict: str, note: str) -> Row:
    return Row.failed(recording.name, quantity, "distribution", verdict, note)


def _same(recording: Recording, name: str, ours: np.ndarray | None, theirs: np.ndarray, missing: str) -> Row:
    """The row of a constant or of an orthogonal block; LAPACK's rounding differs between processors."""
    quantity = f"initial/{name}"
    if ours is None:
        return _row(recording, quantity, missing, "missing on the port")
    if obstacle := _obstacle([ours], theirs):
        return _row(recording, quantity, DIFFERENT, obstacle)
    scale = float(np.abs(theirs).max())
    difference = float(np.abs(ours.astype(np.float64) - theirs).max())
    error = 0.0 if difference == 0 else difference / scale if scale and np.isfinite(difference) else float("inf")
    return _judged(recording, quantity, error, INITIAL_FLOOR * EPSILON32)


def _same_distribution(recording: Recording, name: str, draws: list[Arrays], theirs: np.ndarray, missing: str) -> Row:
    """The row of a variable that TensorFlow draws."""
    quantity = f"distribution/{name}"
    if any(name not in draw for draw in draws):
        return _row(recording, quantity, missing, "missing on the port")
    if obstacle := _obstacle([draw[name] for draw in draws], theirs[0]):
        return _row(recording, quantity, DIFFERENT, obstacle)
    ours = np.stack([draw[name] for draw in draws])
    return _judged(recording, quantity, distance(ours, theirs), bound(ours.size, theirs.size))


def _obstacle(draws: list[np.ndarray], theirs: np.ndarray) -> str | None:
    """Why the numbers cannot be compared; None if they can."""
    for ours in draws:
        if ours.shape != theirs.shape:
            return f"shape {list(ours.shape)}, expected {list(theirs.shape)}"
        if ours.dtype.kind != "f":
            return f"type {ours.dtype}, expected {theirs.dtype}"
        if not np.isfinite(ours).all():
            return "NaN or infinity in the port"
    return None


def _judged(recording: Recording, quantity: str, error: float, allowed: float) -> Row:
    verdict = EQUAL if error <= allowed else DIFFERENT
    return Row(recording.name, quantity, "distribution", verdict, error, allowed)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest distance between two empirical distribution functions, 0 to 1."""
    a, b = np.sort(a, axis=None), np.sort(b, axis=None)
    both = np.concatenate([a, b])
    below = [np.searchsorted(side, both, side="right") / side.size for side in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def bound(n: int, m: int, chance: float = CHANCE) -> float:
    """The distance that two samples of one distribution, of n and m numbers, exceed with this probability."""
    return float(np.sqrt(-np.log(chance / 2) / 2 * (n + m) / (n * m)))
