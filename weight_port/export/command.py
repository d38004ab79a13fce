"""``python -m weight_port export MODEL OUT --format FORMAT``."""

import argparse
import dataclasses
import shlex
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.commands.backend_flag import notices_as_notes
from pytorch_sketch_rnn.errors import BadInput, naming, printable
from weight_port.export.checkpoint import export_checkpoint
from weight_port.export.quantising_cost import Sketches, cost_of_quantising, sketches_of
from weight_port.export.sketch_rnn_js import Quantised, export_js
from weight_port.export.stored import Stored, read_stored
from weight_port.export.variables import check_loadable

TF, JS, JS_INTS = "tf", "js", "js-ints"
FORMATS = {
    TF: "a folder with a TensorFlow checkpoint that official Magenta loads, samples from and trains on",
    JS: "a .json file of sketch-rnn-js, for @magenta/sketch and ml5",
    JS_INTS: "the same with lists of integers, the official exporter's intermediate form",
}
_OF_JS = {"name": "--name", "clip": "--clip", "data": "--data"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training, save_pretrained or convert")
    add("out", metavar="OUT", type=Path, help="the folder or .json file to write")
    formats = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
    add("--format", choices=tuple(FORMATS), required=True, help=formats)
    add("--force", action="store_true", help="replace OUT if it is an earlier export")
    add("--float32", action="store_true", help=f"{TF}: round a float64 model, which Magenta's code cannot load")
    add("--name", help="js: name of the model in the file (default: as converted, or the folder's)")
    add("--clip", action="store_true", help="js: set weights beyond +-10, which the format cannot hold, to +-10")
    add(
        "--data",
        metavar="SET",
        type=Path,
        help="js: a stroke set of the model's kind (.npz or packed), on whose test split the cost of 16-bit weights is "
        "measured (default: sketches that the model draws), and its scale factor if the model has none",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    given = [flag for name, flag in _OF_JS.items() if getattr(arguments, name)]
    if arguments.format == TF and given:
        raise BadInput(f"{', '.join(given)}: for --format {JS} and {JS_INTS} only")
    if arguments.format != TF and arguments.float32:
        raise BadInput(f"--float32: for --format {TF} only")
    stored = read_stored(arguments.model)
    if arguments.format == TF:
        _export_checkpoint(arguments, stored)
    else:
        _export_js(arguments, stored)
    return 0


def _export_checkpoint(arguments: argparse.Namespace, stored: Stored) -> None:
    if arguments.float32:
        stored = _rounded(stored)
    with naming(arguments.model):
        check_loadable(stored.hparams, stored.weights, stored.optimizer)
    prefix = export_checkpoint(stored, arguments.out, force=arguments.force)
    if not stored.optimizer:
        print("the model has no optimizer state: Adam's slots are zero, and the step is 0, as before the first step")
    if stored.scale_factor is not None:
        print(
            f"scale factor {stored.scale_factor:.6g}: a checkpoint does not hold it, and Magenta computes it from the "
            "stroke set; it is kept in export.json, where convert finds it"
        )
    print(f"wrote {printable(arguments.out)}: {prefix.name}, {len(stored.weights)} weights")
    _print_next(arguments.out)


def _rounded(stored: Stored) -> Stored:
    """The same with float32 weights and slots."""
    weights, optimizer = (
        {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in arrays.items()}
        for arrays in (stored.weights, stored.optimizer)
    )
    return dataclasses.replace(stored, weights=weights, optimizer=optimizer)


def _export_js(arguments: argparse.Namespace, stored: Stored) -> None:
    # read before anything is written, so that a set that cannot be used leaves nothing
    given = None if arguments.data is None else sketches_of(arguments.data, stored.hparams.max_seq_len)
    scale_factor = None if given is None or stored.scale_factor is not None else float(given.scale_factor)
    info, quantised = export_js(
        stored,
        arguments.out,
        name=arguments.name,
        scale_factor=scale_factor,
        integers=arguments.format == JS_INTS,
        clip=arguments.clip,
        force=arguments.force,
    )
    print(f"wrote {printable(arguments.out)}: {', '.join(f'{key}={printable(value)}' for key, value in info.items())}")
    if stored.optimizer:
        print(f"left out: {len(stored.optimizer)} variables of optimizer state, which the format does not have")
    _print_cost(stored, quantised, given, arguments.data)
    _print_next(arguments.out)


def _print_cost(stored: Stored, quantised: Quantised, given: Sketches | None, data: Path | None) -> None:
    moved = max(float(np.abs(quantised.weights()[name] - stored.weights[name]).max()) for name in quantised.numbers)
    clipped = f", {quantised.clipped} of them clipped at +-10" if quantised.clipped else ""
    print(f"weights in 16 bits: moved by up to {moved:.2g}{clipped}")
    with notices_as_notes():
        cost = cost_of_quantising(stored, quantised, given)
    source = "that the model drew" if data is None else f"of {printable(data)}"
    print(
        f"what that costs, on {cost.sketches} sketches {source} ({cost.points} points): the negative log-likelihood "
        f"changes by {cost.after - cost.before:+.2g} nats a point, from {cost.before:.6g} to {cost.after:.6g}"
    )


def _print_next(out: Path) -> None:
    print("next:", shlex.join(["python", "-m", "weight_port", "inspect", str(out)]))
