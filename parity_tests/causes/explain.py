"""Where a port departs from recordings, and the causes that are proven."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from parity_tests.adapter import FAILURES, Adapter, Arrays, describe_error
from parity_tests.causes.cause import Cause
from parity_tests.causes.matching import MATCH, distance
from parity_tests.causes.prove import PAIRS, causes_for
from parity_tests.causes.reference import METHODS
from parity_tests.record.recording import Recording
from parity_tests.replay.model import replay

# A cell alone shows a bug before anything is computed from it, and what is proven there is tried first elsewhere.
_FIRST = ("cell/lstm", "cell/layer_norm", "cell/", "data")


class Explained(NamedTuple):
    """What was found in one recording."""

    recording: str
    compared: int  # number of quantities
    departures: dict[str, float]  # what departs -> how far, relative to the largest magnitude
    causes: dict[str, Cause]
    broken: dict[str, str]  # methods of the port that failed -> what they raised


class Answered(NamedTuple):
    """What a port answers to a recording."""

    precision: str  # in which it computed
    arrays: Arrays
    offered: frozenset[str]  # the methods that gave an answer
    broken: dict[str, str]  # those that failed -> what they raised


def answers_of(recording: Recording, port: Adapter) -> Answered:
    """Let a port answer everything that a recording holds.

    Args:
        recording: of the kinds cell, data, model and, for the schedules, training.
        port: under test; it computes in float64, and exactly for data.
    """
    offered = port.offers & METHODS
    if recording.kind == "training":
        steps = range(len(recording["float64"]["steps/lr"]))
        try:
            rates = np.array([port.schedules(dict(recording.hparams), step) for step in steps], np.float64)
        except NotImplementedError:
            return Answered("float64", {}, offered, {})
        except FAILURES as error:
            return Answered("float64", {}, offered, {"schedules": describe_error(error)})
        return Answered("float64", {"steps/lr": rates[:, 0], "steps/kl_weight": rates[:, 1]}, offered, {})
    precision = "exact" if recording.kind == "data" else "float64"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        answers = replay(recording, precision, port)
    # a method may lack something for this recording alone; step_cell is asked for each layer
    failed = {method.partition(" ")[0] for method in (*answers.untested, *answers.broken)} - {"step_cell"}
    return Answered(precision, answers.arrays, offered - failed, dict(answers.broken))


def explain(
    port: Adapter,
    recordings: Iterable[Recording],
    *,
    pairs: int = PAIRS,
    seconds: float | None = None,
    log: Callable[[str], None] | None = None,
) -> Iterator[Explained]:
    """What is proven in each recording, cells first.

    Args:
        port: under test.
        recordings: of the kinds cell, data, model and, for the schedules, training.
        pairs: see :func:`parity_tests.causes.prove.causes_for`.
        seconds: for each recording.
        log: takes each line of progress.
    """
    known: dict[tuple[str, ...], Cause] = {}
    for recording in sorted(recordings, key=_place):
        precision, answers, offered, broken = answers_of(recording, port)
        official = {n: recording[precision].get(n.removeprefix("fed/")) for n in answers}
        off = {n: distance(value, official[n]) for n, value in answers.items() if official[n] is not None}
        departing = {name: answers[name] for name, size in off.items() if size > MATCH}
        causes = causes_for(
            recording,
            departing,
            equal={name: answers[name] for name in off if name not in departing},
            precision=precision,
            offered=offered,
            known=known.values(),
            pairs=pairs,
            seconds=seconds,
            log=log,
        )
        known |= {cause.bugs: cause for cause in causes.values()}
        yield Explained(recording.name, len(off), {name: off[name] for name in departing}, causes, broken)


def _place(recording: Recording) -> int:
    return next((i for i, start in enumerate(_FIRST) if recording.name.startswith(start)), len(_FIRST))


def as_text(explained: Explained) -> str:
    """Lines of text: each cause, the quantities that it explains and how far they are off."""
    departures, causes = explained.departures, explained.causes
    groups: dict[str, list[str]] = {}
    for name in departures:
        groups.setdefault(causes[name].named if name in causes else "no cause found", []).append(name)
    count = f"{len(departures)} of {explained.compared} quantities depart, {len(causes)} of them with a proven cause"
    lines = [f"{explained.recording}: {count if explained.compared else 'the port answers nothing'}"]
    for cause, names in groups.items():
        sizes = [departures[name] for name in names]
        left = [causes[name].residual for name in names if name in causes]
        quantities = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        proof = f"; with it the reference gives these numbers to {max(left):.0e}" if left else ""
        lines += [f"  {cause}", f"    {quantities}: off by {min(sizes):.0e} to {max(sizes):.0e}{proof}"]
    lines += [f"  {method} failed: {reason}" for method, reason in explained.broken.items()]
    return "\n".join(lines)
