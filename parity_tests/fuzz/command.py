"""The command ``python -m parity_tests fuzz``, from its flags to its exit code."""

from collections.abc import Sequence
from pathlib import Path

from parity_tests.fuzz.kinds import KINDS
from parity_tests.fuzz.run import reproduce, run_fuzz
from pytorch_sketch_rnn.errors import BadInput

MOST_WORKERS = 64
LARGEST_SEED = 2**31 - 1


def fuzz(out: Path, names: Sequence[str] | None, count: int, seed: int | None, workers: int) -> int:
    """Run mutants, or with a seed one of them; returns the exit code.

    Args:
        out: folder for the results.
        names: of the kinds of input; None for all.
        count: mutants of each kind.
        seed: of the only mutant; None for ``count`` of them.
        workers: commands at a time.

    Raises:
        BadInput: for an unknown kind, or a number out of its range.
    """
    for name in names or ():
        if name not in KINDS:
            raise BadInput(f"--kind is {name!r}, expected one of {', '.join(KINDS)}")
    kinds = [KINDS[name] for name in names or KINDS]
    if not 1 <= workers <= MOST_WORKERS:
        raise BadInput(f"--workers is {workers}, expected 1 to {MOST_WORKERS}")
    if not 1 <= count <= LARGEST_SEED:
        raise BadInput(f"--count is {count}, expected 1 to {LARGEST_SEED}")
    if seed is None:
        return run_fuzz(out, kinds=kinds, seeds=range(count), workers=workers)
    if len(kinds) != 1 or not 0 <= seed <= LARGEST_SEED:
        raise BadInput(f"--seed is {seed}, expected 0 to {LARGEST_SEED} and the one --kind that it belongs to")
    return reproduce(out, kinds[0], seed)
