"""Why a port departs from a recording, proven: the bug that, planted in the reference, gives the port's numbers.

Each bug of :data:`parity_tests.mutation.catalogue.port.MUTANTS` and of
:data:`parity_tests.causes.hypotheses.HYPOTHESES` is planted in our own port, and so are pairs of those that touch a
quantity. Our port then replays the recording as the port under test did. If that gives the port's numbers, and not the
official ones, the bug is the cause.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping

import numpy as np

from parity_tests.record.recording import Recording

PAIRS = 300  # of bugs that are tried for the quantities that are computed together


@dataclasses.dataclass(frozen=True)
class Cause:
    """A proven cause of a departure."""

    bugs: tuple[str, ...]  # as the catalogue calls them; several: all of them together
    sentence: str  # what the port does, told to its author
    residual: float  # what is left between the port and the reference with the bugs, relative to the largest magnitude
    departure: float  # between the port and the official code, the same way; infinite where the shapes differ
    alternatives: tuple[tuple[str, ...], ...] = ()  # other bugs that give the same numbers in all that departs

    @property
    def named(self) -> str:
        """The sentence, and the names of other bugs that give the same numbers."""
        return self.sentence + "".join(f"; or: {' and '.join(bugs)}" for bugs in self.alternatives)

    def __str__(self) -> str:
        return f"{self.named} (with it the reference gives these numbers to {self.residual:.1e})"


def prove_cause(
    recording: Recording,
    quantity: str,
    answer: np.ndarray,
    *,
    precision: str = "float64",
    offered: Collection[str] | None = None,
    pairs: int = PAIRS,
    seconds: float | None = None,
    say: Callable[[str], None] | None = None,
) -> Cause | None:
    """The cause of one departing quantity; see :func:`causes_for`."""
    found = causes_for(
        recording,
        {quantity: answer},
        precision=precision,
        offered=offered,
        pairs=pairs,
        seconds=seconds,
        say=say,
    )
    return found.get(quantity)


def causes_for(
    recording: Recording,
    departures: Mapping[str, np.ndarray],
    *,
    equal: Mapping[str, np.ndarray] | None = None,
    precision: str = "float64",
    offered: Collection[str] | None = None,
    known: Collection[Cause] = (),
    pairs: int = PAIRS,
    seconds: float | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Cause]:
    """The proven causes of what departs in a recording.

    While it runs, the reference is changed for the whole process: nothing else may use ``pytorch_sketch_rnn``.

    Args:
        recording: of the official code, of the kind model, cell or data; of a training the schedules
            (``steps/lr``, ``steps/kl_weight``, all steps in one array), of initial weights those under ``initial/``.
        departures: what the port answered, by the names that :func:`parity_tests.replay.model.replay` gives.
        equal: what else it answered, and rightly: of bugs that explain a departure equally well, those that would
            change something here come last.
        precision: ``float64`` or ``exact``, whichever the quantities were compared in.
        offered: the methods of the adapter that gave an answer here (of those that the port has, see
            :attr:`parity_tests.adapter.Adapter.offers`). What they lack comes from the recording. None: all.
        known: causes found in other recordings of the same port, which are tried first.
        pairs: how many pairs of bugs are tried for the quantities that are computed together, likeliest first.
        seconds: when to give up; what was found until then is returned.
        say: where progress goes.

    Returns:
        The cause of each quantity of which one was proven.
    """
    # here, since the catalogue imports most of the harness, which may import this module
    from parity_tests.causes.search import Search

    search = Search(
        recording,
        departures,
        equal or {},
        precision=precision,
        offered=offered,
        pairs=pairs,
        seconds=seconds,
        say=say,
    )
    return search.causes([frozenset(cause.bugs) for cause in known])
