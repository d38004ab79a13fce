"""``python -m pytorch_sketch_rnn sample MODEL -o FILE`` draws sketches, ``dataset SRC OUT`` makes a stroke set.

``train`` trains a model; its flags are in :mod:`~pytorch_sketch_rnn.training.flags`.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_sketch_rnn.data import make_set_command
from pytorch_sketch_rnn.errors import BadInput, run_command

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

LARGEST_SEED = 2**32 - 1  # that NumPy's RandomState accepts
MOST_SKETCHES = 10_000
LONGEST_SKETCH = 100_000  # points


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    result = argparse.ArgumentParser(prog="python -m pytorch_sketch_rnn", description="Sketch-RNN in PyTorch.")
    commands = result.add_subparsers(dest="command", required=True)
    sample = commands.add_parser("sample", help="draw new sketches, as one page of SVG or PNG")
    sample.add_argument("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port")
    sample.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="a .svg or .png file")
    sample.add_argument("--count", type=int, default=12, help=f"number of sketches, up to {MOST_SKETCHES} (default 12)")
    sample.add_argument(
        "--temperature", type=float, default=0.5, help="randomness, from 0.01 (low) to 1 (as trained; default 0.5)"
    )
    sample.add_argument(
        "--seed",
        type=int,
        default=0,
        help=f"0 to {LARGEST_SEED}; the same seed gives the same picture on the same machine",
    )
    sample.add_argument("--max-len", type=int, help="maximum points in a sketch (default: the model's max_seq_len)")
    sample.add_argument("--columns", type=int, help="sketches per row (default: as many columns as rows)")
    sample.add_argument(
        "--like", metavar="NPZ", type=Path, help="imitate random sketches of this stroke set's test split"
    )
    sample.add_argument("--device", default="auto", help="such as cpu, cuda or mps (default: the best that is there)")
    commands.add_parser("train", help="train a model; `train --help` lists its flags")
    make_set_command.add_arguments(commands.add_parser("dataset", help="make a stroke set for training from drawings"))
    return result


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    if argv[:1] == ["train"]:
        from pytorch_sketch_rnn.training import command

        return command.main(argv[1:])
    arguments = parser().parse_args(argv)
    return make_set_command.run(arguments) if arguments.command == "dataset" else _sample(arguments)


def _sample(arguments: argparse.Namespace) -> int:
    """Run the command ``sample``."""
    import torch

    from pytorch_sketch_rnn.data.drawing import check_suffix, save_drawing
    from pytorch_sketch_rnn.device import usable_device
    from pytorch_sketch_rnn.model.draws import TorchDraws
    from pytorch_sketch_rnn.model.sampling import sample_batch
    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

    _check_range("--count", arguments.count, 1, MOST_SKETCHES)
    _check_range("--seed", arguments.seed, 0, LARGEST_SEED)
    if arguments.max_len is not None:
        _check_range("--max-len", arguments.max_len, 1, LONGEST_SKETCH)
    if arguments.columns is not None and arguments.columns < 1:
        raise BadInput(f"--columns is {arguments.columns}, expected at least 1")
    check_suffix(arguments.out)
    device = usable_device(arguments.device, "--device")
    generator = torch.Generator(device).manual_seed(arguments.seed)
    model = SketchRNN.from_pretrained(arguments.model, device=device)
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise BadInput(f"{arguments.model}: the weight {name} holds NaN or infinity, so the model cannot draw")
    if arguments.like is not None and model.encoder is None:
        raise BadInput(f"--like needs an encoder, but the model {arguments.model} is unconditional (decoder only)")
    z = None if arguments.like is None else _latent_of(model, arguments.like, arguments.count, arguments.seed)
    sketches = sample_batch(
        model, arguments.count, arguments.max_len, arguments.temperature, z=z, draws=TorchDraws(generator)
    )
    columns = None if arguments.columns is None else min(arguments.columns, arguments.count)
    save_drawing(arguments.out, sketches, columns)
    print(f"wrote {arguments.out}: {len(sketches)} sketches of {_lengths(sketches)} points")
    return 0


def _latent_of(model: "SketchRNN", path: Path, count: int, seed: int) -> "Tensor":
    """The encoder's means [count, z] of random sketches from a set's test split."""
    import numpy as np
    import torch

    from pytorch_sketch_rnn.data.magenta_loader import load_dataset

    hparams = model.hparams.replace(data_set=(path.name,), batch_size=count)
    test = load_dataset(path.parent, hparams, np.random.RandomState(seed)).test
    if len(test.strokes) < count:
        raise BadInput(f"{path}: its test split has {len(test.strokes)} sketches, fewer than --count {count}")
    batch = test.random_batch()
    with torch.no_grad():
        return model.encode(batch.sketches[:, 1:], batch.lengths)[0]


def _check_range(flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadInput(f"{flag} is {value}, expected {least} to {most}")


def _lengths(sketches: "list[np.ndarray]") -> str:
    lengths = sorted(map(len, sketches))
    return f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"


if __name__ == "__main__":
    code = run_command(main)
    if sys.argv[1:2] == ["train"]:
        from pytorch_sketch_rnn.distributed import exit_code

        code = exit_code(code)
    sys.exit(code)
