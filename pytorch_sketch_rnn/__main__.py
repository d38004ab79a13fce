"""``python -m pytorch_sketch_rnn sample MODEL -o FILE``: draw new sketches with a model."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_sketch_rnn.errors import BadInput, run_command

if TYPE_CHECKING:
    from torch import Tensor

    from pytorch_sketch_rnn.model import SketchRNN


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m pytorch_sketch_rnn", description="Sketch-RNN in PyTorch.")
    commands = result.add_subparsers(dest="command", required=True)
    sample = commands.add_parser("sample", help="draw new sketches, as one page of SVG or PNG")
    sample.add_argument("model", metavar="MODEL", type=Path, help="a folder that weight_port or training wrote")
    sample.add_argument("-o", "--out", metavar="FILE", type=Path, required=True, help="a .svg or .png file")
    sample.add_argument("--count", type=int, default=12, help="how many sketches (default 12)")
    sample.add_argument("--temperature", type=float, default=0.5, help="0.01 careful ... 1 as trained (default 0.5)")
    sample.add_argument("--seed", type=int, default=0, help="the same seed draws the same sketches on one machine")
    sample.add_argument("--max-len", type=int, help="longest sketch in points (default: the model's max_seq_len)")
    sample.add_argument("--columns", type=int, help="sketches in a row (default: about as many as rows)")
    sample.add_argument("--like", metavar="NPZ", type=Path, help="draw after sketches of a stroke set's test split")
    sample.add_argument("--device", default="cpu", help="such as cuda (default cpu)")
    return result


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    import torch

    from pytorch_sketch_rnn.drawing import check_suffix, save_drawing
    from pytorch_sketch_rnn.draws import TorchDraws
    from pytorch_sketch_rnn.model import SketchRNN
    from pytorch_sketch_rnn.sampling import sample_batch

    for name in ("count", "max_len", "columns"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise BadInput(f"--{name.replace('_', '-')} is {value}, expected at least 1")
    check_suffix(arguments.out)
    try:
        generator = torch.Generator(arguments.device)
    except RuntimeError as error:
        raise BadInput(f"--device {arguments.device} cannot be used: {str(error).splitlines()[0]}") from None
    try:
        generator.manual_seed(arguments.seed)
    except ValueError:
        raise BadInput(f"--seed is {arguments.seed}, expected a whole number of 64 bits") from None
    model = SketchRNN.from_pretrained(arguments.model, device=arguments.device)
    z = None if arguments.like is None else _latent_of(model, arguments.like, arguments.count, arguments.seed)
    sketches = sample_batch(
        model, arguments.count, arguments.max_len, arguments.temperature, z=z, draws=TorchDraws(generator)
    )
    save_drawing(arguments.out, sketches, arguments.columns)
    print(f"wrote {arguments.out}: {len(sketches)} sketches of {_lengths(sketches)} points")
    return 0


def _latent_of(model: "SketchRNN", path: Path, count: int, seed: int) -> "Tensor":
    """The means [count, z] that the encoder gives for random sketches of a set's test split."""
    import numpy as np
    import torch

    from pytorch_sketch_rnn.data import load_dataset

    hparams = model.hparams.replace(data_set=(path.name,), batch_size=count)
    batch = load_dataset(path.parent, hparams, np.random.RandomState(seed)).test.random_batch()
    weight = model.decoder.output_w
    strokes = torch.as_tensor(batch.sketches[:, 1:], dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        return model.encode(strokes, torch.as_tensor(batch.lengths))[0]


def _lengths(sketches: list) -> str:
    lengths = sorted(map(len, sketches))
    return f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"


if __name__ == "__main__":
    sys.exit(run_command(main))
