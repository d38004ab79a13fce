"""``python -m parity_tests.why``: where a port departs from the shipped recordings, and why, where that is proven."""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from parity_tests.adapter import FAILURES, Adapter, Arrays, load_adapter
from parity_tests.adapter import describe_error as failure
from parity_tests.causes.proven import PAIRS, Cause, causes_for
from parity_tests.causes.reference import METHODS
from parity_tests.causes.search import MATCH, distance
from parity_tests.record.recording import Recording
from parity_tests.record.shipped import fixture_paths
from parity_tests.replay.model import replay
from pytorch_sketch_rnn.errors import BadInput

# A cell alone shows a bug before anything is made from it, and what is proven there is tried first elsewhere.
_ORDER = ("cell/lstm", "cell/layer_norm", "cell/", "data")


class Explained(NamedTuple):
    """What came of one recording."""

    recording: str
    compared: int  # quantities
    departures: dict[str, float]  # how far each is off that departs, relative to its largest magnitude
    causes: dict[str, Cause]
    broken: dict[str, str]  # methods of the port that failed, with what they said


class Answered(NamedTuple):
    """What a port says of a recording."""

    precision: str  # in which it was asked
    arrays: Arrays
    offered: frozenset[str]  # the methods that gave an answer
    broken: dict[str, str]  # those that failed


def answers_of(recording: Recording, port: Adapter) -> Answered:
    """Ask a port for everything that a recording holds.

    Args:
        recording: of the kinds cell, data, model and, for the schedules, training.
        port: the subject; in float64 wherever there are precisions.
    """
    offered = port.offers & METHODS
    if recording.kind == "training":
        steps = range(len(recording["float64"]["steps/lr"]))
        try:
            rates = np.array([port.schedules(dict(recording.hparams), step) for step in steps], np.float64)
        except NotImplementedError:
            return Answered("float64", {}, offered, {})
        except FAILURES as error:
            return Answered("float64", {}, offered, {"schedules": failure(error)})
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
    say: Callable[[str], None] | None = None,
) -> Iterator[Explained]:
    """What is proven of each recording in turn, cells first.

    Args:
        port: the subject.
        recordings: of the kinds cell, data, model and, for the schedules, training.
        pairs: see :func:`parity_tests.causes.proven.causes_for`.
        seconds: for each recording.
        say: where progress goes.
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
            say=say,
        )
        known |= {cause.bugs: cause for cause in causes.values()}
        yield Explained(recording.name, len(off), {name: off[name] for name in departing}, causes, broken)


def _place(recording: Recording) -> int:
    return next((i for i, start in enumerate(_ORDER) if recording.name.startswith(start)), len(_ORDER))


def told(explained: Explained) -> str:
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
        shown = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        proof = f"; with it the reference gives these numbers to {max(left):.0e}" if left else ""
        lines += [f"  {cause}", f"    {shown}: off by {min(sizes):.0e} to {max(sizes):.0e}{proof}"]
    lines += [f"  {method} failed: {reason}" for method, reason in explained.broken.items()]
    return "\n".join(lines)


def _shipped(names: Sequence[str] | None) -> list[Recording]:
    """The recordings of these names; None: all that :func:`explain` can use."""
    paths = {path.stem: path for path in fixture_paths() if not path.stem.startswith("initial-")}
    stems = list(paths) if names is None else [name.replace("/", "-") for name in names]
    if unknown := [stem for stem in stems if stem not in paths]:
        raise BadInput(f"--recording {unknown[0]}: expected one of {', '.join(paths)}")
    return [Recording.load(paths[stem]) for stem in stems]


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 where nothing departs, 1 where something does or the port fails, 2 for bad input and for no answer."""
    parser = argparse.ArgumentParser(prog="python -m parity_tests.why", description=__doc__.partition(": ")[2])
    parser.add_argument("--port", required=True, help="the class of an adapter, such as my_package.my_module:Adapter")
    parser.add_argument(
        "--recording", nargs="+", help="names of recordings that ship, such as cell/hyper; default: all but initial-*"
    )
    parser.add_argument(
        "--pairs", type=int, default=PAIRS, help="pairs of bugs tried for what is computed together (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="after which a recording's search gives up")
    options = parser.parse_args(arguments)
    try:
        port = load_adapter(options.port)
        if "float64" not in port.precisions:
            raise BadInput(f"--port {options.port}: offers {', '.join(port.precisions)} alone, expected float64")
        recordings = _shipped(options.recording)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    departs, compared = False, 0
    for explained in explain(port, recordings, pairs=options.pairs, seconds=options.seconds):
        departs |= bool(explained.departures or explained.broken)
        compared += explained.compared
        print(told(explained), flush=True)
    if not compared and not departs:
        print(f"--port {options.port}: answers nothing of these recordings", file=sys.stderr)
        return 2
    return int(departs)


if __name__ == "__main__":
    sys.exit(main())
