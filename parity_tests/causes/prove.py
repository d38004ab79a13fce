"""Why a port departs from a recording, with a proof: the bug that, planted in the reference, gives the port's numbers.

Each bug of :data:`parity_tests.mutation.catalogue.port.MUTANTS` and of
:data:`parity_tests.causes.hypotheses.HYPOTHESES` is planted in our own port, and so are pairs of those that touch a
quantity. Our port then replays the recording as the port under test did. If that gives the port's numbers, and not the
official ones, the bug is the cause.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from parity_tests.causes.cause import Cause
from parity_tests.causes.search import Search
from parity_tests.record.recording import Recording

PAIRS = 300  # pairs of bugs that are tried for quantities that are computed together


def prove_cause(
    recording: Recording,
    quantity: str,
    answer: np.ndarray,
    *,
    precision: str = "float64",
    offered: Collection[str] | None = None,
    pairs: int = PAIRS,
    seconds: float | None = None,
    log: Callable[[str], None] | None = None,
) -> Cause | None:
    """The cause of one departing quantity; see :func:`causes_for`."""
    found = causes_for(
        recording,
        {quantity: answer},
        precision=precision,
        offered=offered,
        pairs=pairs,
        seconds=seconds,
        log=log,
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
    log: Callable[[str], None] | None = None,
) -> dict[str, Cause]:
    """The proven causes of what departs in a recording.

    The reference is changed for the whole process while this runs: nothing else may use ``pytorch_sketch_rnn``.

    Args:
        recording: of the official code, of kind model, cell or data. Of a training the schedules are searched
            (``steps/lr``, ``steps/kl_weight``, all steps in one array), of initial weights those under ``initial/``.
        departures: the port's answers that depart, by the names that :func:`parity_tests.replay.model.replay` gives.
        equal: its answers that are equal. Of bugs that explain a departure equally well, those that would change one
            of these come last.
        precision: ``float64`` or ``exact``, in which the quantities were compared.
        offered: the methods of the adapter that gave an answer for this recording (of those that the port has, see
            :attr:`parity_tests.adapter.Adapter.offers`); the rest is taken from the recording. None: all.
        known: causes found in other recordings of the same port; they are tried first.
        pairs: how many pairs of bugs are tried for quantities that are computed together, likeliest first.
        seconds: when to give up; what has been found by then is returned.
        log: takes each line of progress.

    Returns:
        The cause of each quantity for which one was proven.
    """
    search = Search(
        recording,
        departures,
        equal or {},
        precision=precision,
        offered=offered,
        pairs=pairs,
        seconds=seconds,
        log=log,
    )
    return search.causes([frozenset(cause.bugs) for cause in known])
