"""``python -m weight_port``: ``convert SRC OUT``, ``inspect SRC``, ``export MODEL OUT`` and ``zoo``."""

import shlex
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytorch_sketch_rnn.command_line import Parser
from pytorch_sketch_rnn.errors import excerpt, printable, run_command
from weight_port import zoo
from weight_port.archive import EXPORT_NAME
from weight_port.convert import Plan
from weight_port.export import command as export
from weight_port.folder import convert_source, examine, scale_factor_of
from weight_port.infer import Inferred
from weight_port.scale_factor import scale_factor_of_sets
from weight_port.settings_flag import parse_setting
from weight_port.source import ACCEPTED_FORMS, Source, open_source

_WIDTH = 100  # characters of a printed line of hyperparameters


def parser() -> Parser:
    """The command line."""
    result = Parser(
        prog="python -m weight_port", description="Convert Magenta's Sketch-RNN models to PyTorch and back."
    )
    commands = result.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="write a folder that SketchRNN.from_pretrained reads")
    inspect = commands.add_parser("inspect", help="show hyperparameters, variables, and what is skipped and why")
    commands.add_parser("zoo", help="list the official models that convert takes by name, and where they are")
    export.add_arguments(commands.add_parser("export", help="write a saved model in a form of Magenta's"))
    for command in (convert, inspect):
        command.add_argument("source", metavar="SRC", help=ACCEPTED_FORMS)
        command.add_argument("--member", help="which model of a .zip archive")
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a hyperparameter that the weights do not determine, such as max_seq_len=250 (may be repeated)",
        )
    convert.add_argument("out", metavar="OUT", type=Path, help="the folder to write")
    convert.add_argument("--force", action="store_true", help="replace OUT if it is a converted model")
    convert.add_argument(
        "--data",
        action="append",
        type=Path,
        default=[],
        metavar="SET",
        help="a stroke set (.npz or packed) that a checkpoint was trained on, for its scale factor (may be repeated)",
    )
    return result


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.command == "export":
        return export.run(arguments)
    if arguments.command == "zoo":
        return _list_zoo()
    flags = dict(parse_setting(setting) for setting in arguments.set)
    with open_source(arguments.source, arguments.member) as source:
        if arguments.command == "inspect":
            _inspect(source, flags)
            return 0
        measured = scale_factor_of_sets(arguments.data) if arguments.data else None
        inferred, plan = convert_source(source, arguments.out, flags, scale_factor=measured, force=arguments.force)
        origin = "from --data" if arguments.data else _scale_origin(source)
        scale_factor = scale_factor_of(source) if measured is None else measured
    _print_note(source)
    _print_hyperparameters(source, inferred)
    _print_scale_factor(scale_factor, origin)
    _print_coverage(plan)
    print(f"wrote {printable(arguments.out)}")
    sample = ["sample", str(arguments.out), "-o", "sketches.svg", "--count", "12", "--temperature", "0.4"]
    print("next:", shlex.join(["python", "-m", "pytorch_sketch_rnn", *sample]))
    return 0


def _list_zoo() -> int:
    width = max(map(len, zoo.names()))
    for name in zoo.names():
        url, member = zoo.address(name)
        print(f"{name:{width}}  {url}{'' if member is None else f' ({member})'}")
    print("next:", shlex.join(["python", "-m", "weight_port", "convert", f"{zoo.PREFIX}bird", "bird"]))
    return 0


def _inspect(source: Source, flags: dict[str, Any]) -> None:
    variables = source.variables
    names = variables.names()
    inferred, plan = examine(source, flags)
    print(f"{printable(source.location)}: {source.format}, {len(names)} variables")
    if source.missing:
        print(f"MISSING: {', '.join(source.missing)}: the index is here but the data file with the weights is not,")
        print("so this checkpoint cannot be converted; put the data file beside the index")
    for name, what in source.odd.items():
        print(f"DAMAGED: {printable(name)}: {what}")
    _print_note(source)
    _print_hyperparameters(source, inferred)
    _print_scale_factor(scale_factor_of(source), _scale_origin(source))
    roles = (
        dict.fromkeys(plan.weights, "weight")
        | dict.fromkeys(plan.optimizer, "optimizer state")
        | {name: f"skipped: {reason}" for name, reason in plan.skipped.items()}
    )
    width = max(map(len, names))
    for name in names:
        print(
            f"  {printable(name):{width}}  {variables.dtype(name)!s:8} {list(variables.shape(name))!s:14} {roles[name]}"
        )
    _print_coverage(plan)


def _print_hyperparameters(source: Source, inferred: Inferred) -> None:
    titles = {
        "weights": "from the weights",
        "format": f"as in every model of {source.format}",
        "config": "from model_config.json",
        "model": "from the model's info",
        "variables": "from the first values in the checkpoint",
        "flag": "from --set",
        "default": "not known, Magenta's default taken (change with --set)",
    }
    for origin, title in titles.items():
        values = inferred.named(origin)
        if values:
            _print_list(title, [f"{name}={printable(value)}" for name, value in values.items()])
    if inferred.ignored:
        _print_list("ignored in model_config.json, unknown to Magenta 2.1.4", map(excerpt, inferred.ignored))


def _print_list(title: str, items: Iterable[str]) -> None:
    """Print a title and its items: on one line, or, if they do not fit, indented below it, several in a row."""
    row = ", ".join(items)
    if len(title) + len(row) + 2 <= _WIDTH:
        print(f"{title}: {row}")
        return
    print(f"{title}:")
    print(textwrap.fill(row, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))


def _print_note(source: Source) -> None:
    if source.note:
        print(f"note: {source.note}")


def _scale_origin(source: Source) -> str:
    """Where a source has its scale factor from; a checkpoint, from the export that wrote it."""
    return "from the model's info" if source.format == "sketch-rnn-js" else f"from {EXPORT_NAME}"


def _print_scale_factor(scale_factor: float | None, origin: str) -> None:
    if scale_factor is None:
        print("scale factor: not known; convert with --data and the stroke set that the model was trained on")
    else:
        print(f"scale factor: {scale_factor:.6g}, {origin}")


def _print_coverage(plan: Plan) -> None:
    print(
        f"{len(plan.weights)} weights, each used once; {len(plan.optimizer)} variables of optimizer state; "
        f"{len(plan.skipped)} skipped"
    )
    for name, reason in plan.skipped.items():
        print(f"  skipped {printable(name)}: {reason}")


def entry() -> int:
    """The command ``sketch-rnn-port``; returns the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(entry())
