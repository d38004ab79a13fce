"""``python -m pytorch_sketch_rnn sample MODEL -o FILE`` draws sketches: from the prior, or like those of a set."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytorch_sketch_rnn.commands.backend_flag import add_backend, chosen_backend, notices_as_notes
from pytorch_sketch_rnn.commands.flag_ranges import check_range
from pytorch_sketch_rnn.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pytorch_sketch_rnn.data.magenta_loader import Batch
    from pytorch_sketch_rnn.model.draws import Draws
    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

LARGEST_SEED = 2**32 - 1  # that NumPy's RandomState accepts
MOST_SKETCHES = 10_000
LONGEST_SKETCH = 100_000  # points
COUNT = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port")
    add("-o", "--out", metavar="FILE", type=Path, required=True, help="a .svg or .png file")
    add(
        "--count",
        type=int,
        help=f"number of sketches, up to {MOST_SKETCHES} (default {COUNT}; with --like, no more than the set has)",
    )
    add("--temperature", type=float, default=0.5, help="randomness, from 0.01 (low) to 1 (as trained; default 0.5)")
    add(
        "--seed",
        type=int,
        default=0,
        help=f"0 to {LARGEST_SEED}; the same seed gives the same picture on the same machine",
    )
    add("--max-len", type=int, help="maximum points in a sketch (default: the model's max_seq_len)")
    add("--columns", type=int, help="sketches per row (default: a nearly square page)")
    add(
        "--like",
        metavar="SET",
        type=Path,
        help="encode random sketches of this stroke set's test split, and draw them above their reconstructions; "
        "drawings will do as well, such as one.svg",
    )
    add("--device", default="auto", help="such as cpu, cuda or mps (default: the best that is there)")
    add_backend(parser)


class _Sampler(NamedTuple):
    """A model, and how it draws."""

    model: "SketchRNN"
    temperature: float
    max_len: int | None
    draws: "Draws"

    def __call__(self, count: int, z: "Tensor | None" = None) -> "list[np.ndarray]":
        from pytorch_sketch_rnn.model.sampling import sample_batch

        return sample_batch(self.model, count, self.max_len, self.temperature, z=z, draws=self.draws)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    import torch

    from pytorch_sketch_rnn.commands.usable_model import usable_model
    from pytorch_sketch_rnn.data.drawing import check_suffix
    from pytorch_sketch_rnn.device import usable_device
    from pytorch_sketch_rnn.model.draws import TorchDraws
    from pytorch_sketch_rnn.model.sampling import check_temperature

    check_range("--count", arguments.count, 1, MOST_SKETCHES)
    check_range("--seed", arguments.seed, 0, LARGEST_SEED)
    check_range("--max-len", arguments.max_len, 1, LONGEST_SKETCH)
    check_range("--columns", arguments.columns, 1)
    check_temperature(arguments.temperature)
    check_suffix(arguments.out)
    device = usable_device(arguments.device, "--device")
    generator = torch.Generator(device).manual_seed(arguments.seed)
    model = usable_model(arguments.model, device, chosen_backend(arguments.backend, device))
    sampler = _Sampler(model, arguments.temperature, arguments.max_len, TorchDraws(generator))
    with notices_as_notes():
        if arguments.like is None:
            return _draw_from_the_prior(arguments, sampler)
        return _draw_reconstructions(arguments, sampler)


def _draw_from_the_prior(arguments: argparse.Namespace, sampler: _Sampler) -> int:
    from pytorch_sketch_rnn.data.drawing import save_drawing

    count = COUNT if arguments.count is None else arguments.count
    sketches = sampler(count)
    columns = None if arguments.columns is None else min(arguments.columns, count)
    conditional = sampler.model.hparams.conditional
    source = "drawn from the prior" if conditional else "drawn by an unconditional model"
    save_drawing(arguments.out, sketches, columns, title=f"{source}, temperature {arguments.temperature:g}")
    print(f"wrote {arguments.out}: {len(sketches)} sketches of {_lengths(sketches)} points, {source}")
    if conditional:
        print(
            "If they look broken, the training may have been too short for the prior, though not for reconstructions; "
            "with --like SET.npz, sketches of a set are drawn above their reconstructions."
        )
    return 0


def _draw_reconstructions(arguments: argparse.Namespace, sampler: _Sampler) -> int:
    import numpy as np
    import torch

    from pytorch_sketch_rnn.data.drawing import save_drawing
    from pytorch_sketch_rnn.data.stroke_set import holds_drawings

    model, path = sampler.model, arguments.like
    if model.encoder is None:
        raise BadInput(f"--like needs an encoder, but the model {arguments.model} is unconditional (decoder only)")
    batch = _test_sketches(path, arguments.count, arguments.seed)
    count = len(batch.strokes)
    with torch.no_grad():
        z, _ = model.encode(batch.sketches[:, 1:], batch.lengths)
    reconstructions = sampler(count, z)
    columns = min(arguments.columns or math.ceil(math.sqrt(2 * count)), count)
    rows = [row for first in range(0, count, columns) for row in (batch.strokes[first:], reconstructions[first:])]
    nothing = [np.zeros((0, 3), np.float32)] * columns
    save_drawing(
        arguments.out,
        [sketch for row in rows for sketch in [*row[:columns], *nothing][:columns]],
        columns,
        title=f"sketches of {path.name} and their reconstructions, temperature {arguments.temperature:g}",
        row_labels=["originals", "reconstructions"] * (len(rows) // 2),
    )
    source = path if holds_drawings(path) else f"the test split of {path}"
    print(
        f"wrote {arguments.out}: {count} sketches of {source}, each above its reconstruction of "
        f"{_lengths(reconstructions)} points"
    )
    return 0


def _test_sketches(path: Path, count: int | None, seed: int) -> "Batch":
    """Random sketches of a set's test split, normalised as for training."""
    import numpy as np

    from pytorch_sketch_rnn.data.batches import Split
    from pytorch_sketch_rnn.data.stroke_set import open_set

    with open_set(path) as stroke_set:
        test = stroke_set.splits["test"]
        if not len(test):
            raise BadInput(f"{path}: its test split is empty, so there is nothing to encode; give it some by --split")
        if count is not None and len(test) < count:
            raise BadInput(f"{path}: its test split has {len(test)} sketches, fewer than --count {count}")
        order = np.random.RandomState(seed).permutation(len(test))
        sketches = [test[int(index)] for index in order[: COUNT if count is None else count]]
        split = Split(sketches, stroke_set.scale_factor(), max(map(len, sketches)))
        return split.in_order(range(len(sketches)))


def _lengths(sketches: "Sequence[np.ndarray]") -> str:
    lengths = sorted(map(len, sketches))
    return f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"
