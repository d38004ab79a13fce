"""The scale factor of a model: what its normalised offsets are multiplied by to get the units of its training data.

Source: Magenta ``utils.py`` (``DataLoader.calculate_normalizing_scale_factor``). A checkpoint does not hold it; the
stroke sets that the model was trained on determine it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.magenta_loader import join_sets
from pytorch_sketch_rnn.data.make_set import PACKED_SUFFIXES
from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.data.packed import open_foreign_packed
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams


def scale_factor_of_sets(paths: Sequence[Path]) -> float:
    """The scale factor of a training on these stroke sets: the standard deviation of all training offsets.

    Args:
        paths: one or more ``.npz`` files, or one packed file.

    Raises:
        BadInput: when a file cannot be read, or the offsets are all the same.
    """
    packed = [path for path in paths if path.suffix.lower() in PACKED_SUFFIXES]
    if packed and len(paths) > 1:
        raise BadInput(f"--data {packed[0]}: a packed set is used alone; pack all sources into one")
    if packed:
        with open_foreign_packed(packed[0]) as opened:
            return float(opened.scale_factor)
    sets = [read_npz(path) for path in paths]
    try:
        return float(join_sets(sets, HParams(batch_size=1), np.random.RandomState(0)).scale_factor)
    except BadInput as error:
        raise BadInput(f"--data {', '.join(map(str, paths))}: {error}") from None
