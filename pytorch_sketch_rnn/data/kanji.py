"""A stroke set of Chinese characters, made from the package ``kanjivg``."""

import numpy as np

from pytorch_sketch_rnn.data.sources.kanjivg import EPSILON, kanji_sketches
from pytorch_sketch_rnn.data.splitting import fraction_sizes
from pytorch_sketch_rnn.errors import BadInput

MAX_POINTS = 88


def kanji_splits(
    count: int | None = None,
    *,
    seed: int = 0,
    valid_fraction: float = 0.05,
    test_fraction: float = 0.05,
    max_points: int = MAX_POINTS,
    epsilon: float = EPSILON,
) -> dict[str, list[np.ndarray]]:
    """Make train, valid and test sets of kanji as stroke-3, int16 [n, 3]; the first offset is always (0, 0).

    Args:
        count: characters in all three sets together; None for all, about 6,400.
        seed: decides which characters are chosen, and their order.
        valid_fraction: the fraction of ``count`` in the validation set, rounded, and at least one character.
        test_fraction: the same for the test set.
        max_points: characters with more points are left out.
        epsilon: tolerance of the simplification, see :func:`~pytorch_sketch_rnn.data.sources.kanjivg.kanji_sketches`.

    Raises:
        BadInput: if a package is missing, an argument is out of range, there are fewer than ``count`` characters, or
            the training set would be empty.
    """
    if not (valid_fraction >= 0 and test_fraction >= 0 and valid_fraction + test_fraction < 1):
        raise BadInput(
            "valid_fraction, test_fraction: expected at least 0 each and less than 1 together, "
            f"got {valid_fraction} and {test_fraction}"
        )
    if not epsilon >= 0:
        raise BadInput(f"epsilon: expected at least 0, got {epsilon}", name="epsilon")
    sketches: list[np.ndarray] = []
    for sketch in kanji_sketches(seed, epsilon):
        if count is not None and len(sketches) >= count:
            break
        if len(sketch) <= max_points:
            sketches.append(sketch)
    if count is not None and len(sketches) < count:
        found = f"{len(sketches)} characters of up to {max_points} points"
        raise BadInput(f"count: expected at most the {found} that there are, got {count}", name="count")
    train, valid, _ = fraction_sizes(len(sketches), valid_fraction, test_fraction)
    if train < 1:
        raise BadInput(
            f"count: expected at least one character in each of train, valid and test, got {len(sketches)} in all; "
            "raise count or max_points",
            name="count",
        )
    return {"train": sketches[:train], "valid": sketches[train : train + valid], "test": sketches[train + valid :]}
