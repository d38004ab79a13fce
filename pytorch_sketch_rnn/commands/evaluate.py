"""``python -m pytorch_sketch_rnn evaluate MODEL SET`` computes the costs of a model on each split of a stroke set."""

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_sketch_rnn.commands.backend_flag import add_backend, chosen_backend
from pytorch_sketch_rnn.commands.flag_ranges import check_range
from pytorch_sketch_rnn.errors import BadInput

if TYPE_CHECKING:
    from pytorch_sketch_rnn.data.stroke_set import StrokeSet
    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
    from pytorch_sketch_rnn.training.evaluation import Evaluation, SplitCosts

SPLITS = ("train", "valid", "test")
STDOUT = "-"  # the FILE of --json
_COSTS = {"reconstruction": "r_cost", "kl": "kl_cost", "total": "cost"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port")
    add("set", metavar="SET", type=Path, help="a stroke set, .npz or packed .h5")
    add("--split", action="append", choices=SPLITS, help="evaluate this split; may be repeated (default: all three)")
    add(
        "--scale",
        choices=("set", "model"),
        default="set",
        help="divide offsets by the scale factor of the set, as training does, or of the model (default set)",
    )
    add("--batch-size", type=int, help="sketches in a batch (default: that of the model's training)")
    add(
        "--reg-covar",
        type=float,
        help="added to the variances in our form, as --reg_covar of the training (default: that of train)",
    )
    add("--seed", type=int, default=0, help="seed of the latent noise, as that of the training (default 0)")
    add("--json", metavar="FILE", help=f"write the results as JSON; {STDOUT} prints them instead of the table")
    add("--device", default="auto", help="such as cpu, cuda or mps (default: the best that is there)")
    add_backend(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from pytorch_sketch_rnn.commands.usable_model import usable_model
    from pytorch_sketch_rnn.data.stroke_set import open_set
    from pytorch_sketch_rnn.device import usable_device
    from pytorch_sketch_rnn.hparams import LARGEST_SIZE
    from pytorch_sketch_rnn.training.trainer import LARGEST_SEED

    check_range("--seed", arguments.seed, 0, LARGEST_SEED)
    check_range("--batch-size", arguments.batch_size, 1, LARGEST_SIZE)
    if arguments.json not in (None, STDOUT) and not Path(arguments.json).parent.is_dir():
        raise BadInput(f"--json {arguments.json}: cannot be written, expected a folder that exists")
    device = usable_device(arguments.device, "--device")
    model = usable_model(arguments.model, device, chosen_backend(arguments.backend, device))
    if arguments.batch_size is not None:
        model.hparams = model.hparams.replace(batch_size=arguments.batch_size)
    if arguments.scale == "model" and model.scale_factor is None:
        raise BadInput(f"--scale model: {arguments.model} has no scale_factor in its config.json; use --scale set")
    with open_set(arguments.set) as stroke_set:
        forms = _evaluate(arguments, model, stroke_set)
    _check_costs(arguments.model, forms)
    if arguments.json != STDOUT:
        print("\n".join(_table(arguments, model, forms)))
    if arguments.json is not None:
        _write_json(arguments.json, _results(arguments, model, forms))
    return 0


def _evaluate(arguments: argparse.Namespace, model: "SketchRNN", stroke_set: "StrokeSet") -> "dict[str, Evaluation]":
    from pytorch_sketch_rnn.training.evaluation import evaluate_as_magenta, evaluate_as_trained
    from pytorch_sketch_rnn.training.settings import Settings
    from pytorch_sketch_rnn.training.trainer import Options

    reg_covar = Settings().options.reg_covar if arguments.reg_covar is None else arguments.reg_covar
    options = Options(seed=arguments.seed, reg_covar=reg_covar)
    names = [split for split in SPLITS if split in (arguments.split or SPLITS)]
    scale = model.scale_factor if arguments.scale == "model" else None
    return {
        "magenta": evaluate_as_magenta(model, stroke_set, names, scale_factor=scale, seed=arguments.seed),
        "ours": evaluate_as_trained(model, stroke_set, names, scale_factor=scale, options=options),
    }


def _check_costs(folder: Path, forms: "Mapping[str, Evaluation]") -> None:
    for evaluation in forms.values():
        for split, found in evaluation.splits.items():
            if found.costs is not None and not all(map(math.isfinite, found.costs)):
                raise BadInput(f"{folder}: its costs of the {split} split are not finite: the weights are too large")


def _table(arguments: argparse.Namespace, model: "SketchRNN", forms: "Mapping[str, Evaluation]") -> list[str]:
    """The results for a reader."""
    magenta, ours = forms["magenta"], forms["ours"]
    hparams = model.hparams
    if hparams.conditional:
        totals = [f"total = reconstruction + {form.kl_weight:g} * KL" for form in (magenta, ours)]
    else:
        totals = ["total = reconstruction (the model is unconditional)"] * 2
    own = "unknown" if model.scale_factor is None else f"{model.scale_factor:.6g}"
    return [
        f"{arguments.model} on {arguments.set}",
        f"scale factor {magenta.scale_factor:.6g}, of the {arguments.scale}; that of the model is {own}",
        f"as Magenta evaluates: {totals[0]}; whole batches of {hparams.batch_size}, "
        f"padded to {magenta.max_seq_len} points, the padding counts",
        *_rows(magenta),
        f"as our training validates: {totals[1]}; every sketch of up to {hparams.max_seq_len} points, "
        f"padded to {ours.max_seq_len} points, the padding does not count",
        *_rows(ours),
    ]


def _rows(evaluation: "Evaluation") -> list[str]:
    lines = [f"{'':7}{'sketches':>9}{'reconstruction':>16}{'KL':>10}{'total':>10}  left out"]
    for split, found in evaluation.splits.items():
        costs = ["-"] * 3 if found.costs is None else [f"{getattr(found.costs, n):.4f}" for n in _COSTS.values()]
        left_out = ", ".join(f"{number} {reason}" for reason, number in _left_out(found).items() if number) or "none"
        lines.append(f"{split:7}{found.sketches:9}{costs[0]:>16}{costs[1]:>10}{costs[2]:>10}  {left_out}")
    return lines


def _left_out(found: "SplitCosts") -> dict[str, int]:
    return {"longer than max_seq_len": found.too_long, "do not fill a batch": found.no_batch}


def _results(arguments: argparse.Namespace, model: "SketchRNN", forms: "Mapping[str, Evaluation]") -> dict[str, Any]:
    """The results for a program."""
    return {
        "model": str(arguments.model),
        "set": str(arguments.set),
        "seed": arguments.seed,
        "conditional": model.hparams.conditional,
        "batch_size": model.hparams.batch_size,
        "scale": {"used": arguments.scale, "model": model.scale_factor},
        "forms": {
            form: {
                "kl_weight": found.kl_weight,
                "padded_to": found.max_seq_len,
                "scale_factor": found.scale_factor,
                "splits": {split: _of_split(each) for split, each in found.splits.items()},
            }
            for form, found in forms.items()
        },
    }


def _of_split(found: "SplitCosts") -> dict[str, Any]:
    costs = {name: None if found.costs is None else getattr(found.costs, field) for name, field in _COSTS.items()}
    return costs | {"sketches": found.sketches, "left_out": _left_out(found)}


def _write_json(out: str, results: dict[str, Any]) -> None:
    from pytorch_sketch_rnn.files import atomic_path

    text = json.dumps(results, indent=1)
    if out == STDOUT:
        print(text)
        return
    with atomic_path(Path(out)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
