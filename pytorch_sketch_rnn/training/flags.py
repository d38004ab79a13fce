"""The flags of a training's command line, and the settings that they change.

Dropout flags are DROP probabilities. Hyperparameters keep Magenta's names, here and in ``--hparams``: every
``*_dropout_prob`` is a KEEP probability.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_sketch_rnn.command_line import Parser, number, training_command, true_or_false, typed, whole_number
from pytorch_sketch_rnn.commands.backend_flag import BACKEND_HELP
from pytorch_sketch_rnn.device import AUTO
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.training.settings import DTYPES, PRESETS, Settings, parse_hparams


class Flag(NamedTuple):
    """A flag that sets one setting; the default is that of :class:`Settings`."""

    setting: str
    type: Callable[[str], Any]
    help: str


def _hyperparameter(name: str, help: str | None = None) -> Flag:
    """A flag that sets the hyperparameter of a name; ``help`` where its description does not fit the flag."""
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(HParams)}
    return Flag(name, kinds[name] if kinds[name] in (int, float) else str, help or HParams.DESCRIPTION[name])


class DropoutFlag(NamedTuple):
    """A flag that sets the drop probability of one kind of dropout."""

    use: str  # the hyperparameter that switches it on
    keep: str  # the hyperparameter that holds the keep probability
    applied_to: str


FLAGS: dict[str, dict[str, Flag]] = {
    "the model": {
        "enc_model": _hyperparameter("enc_model"),
        "dec_model": _hyperparameter("dec_model"),
        "enc_rnn_size": _hyperparameter("enc_rnn_size"),
        "dec_rnn_size": _hyperparameter("dec_rnn_size"),
        "z_size": _hyperparameter("z_size"),
        "num_mixture": _hyperparameter("num_mixture"),
        "max_seq_len": _hyperparameter("max_seq_len", "longest sketch in points; longer ones are left out"),
    },
    "the loss": {
        "kl_weight": _hyperparameter("kl_weight"),
        "kl_weight_start": _hyperparameter("kl_weight_start"),
        "kl_tolerance": _hyperparameter("kl_tolerance"),
        "kl_decay_rate": _hyperparameter("kl_decay_rate"),
        "reg_covar": Flag(
            "reg_covar", float, "added to both variances of each component, not to the covariance; 0: Magenta"
        ),
    },
    "the optimizer": {
        "batch_size": _hyperparameter("batch_size", "sketches per step, over all processes"),
        "lr": _hyperparameter("learning_rate"),
        "lr_decay": _hyperparameter("decay_rate"),
        "min_lr": _hyperparameter("min_learning_rate"),
        "grad_clip": _hyperparameter("grad_clip"),
    },
    "the data": {
        "data_dir": Flag(
            "data_dir", str, "folder of the stroke sets, or its URL (http, https): downloaded once, to a cache"
        ),
        "data_set": _hyperparameter("data_set", "stroke sets in it, comma-separated: .npz, or one packed .h5"),
        "sha256": Flag("sha256", str, "SHA-256 of each of these files, comma-separated; checked after a download"),
        "random_scale_factor": _hyperparameter("random_scale_factor"),
        "augment_stroke_prob": _hyperparameter("augment_stroke_prob"),
    },
    "the run": {
        "num_epochs": Flag("num_epochs", float, "length of the training in epochs"),
        "num_steps": _hyperparameter("num_steps", "length of the training in steps, instead of num_epochs"),
        "save_every": _hyperparameter("save_every"),
        "keep": Flag("keep", int, "number of checkpoints to keep"),
        "seed": Flag("seed", int, "seed of all random numbers"),
        "dtype": Flag("dtype", str, " or ".join(DTYPES)),
        "products": Flag(
            "products",
            str,
            "matrix products on a GPU: float32, or tf32, which is faster but rounds every factor to 11 bits, so that "
            "nothing is equal to Magenta's any more",
        ),
    },
}
_TYPES: dict[Any, Callable[[str], Any]] = {int: whole_number, float: number}  # whose errors are in plain words
DROPOUTS = {
    "r_dropout": DropoutFlag(
        "use_recurrent_dropout", "recurrent_dropout_prob", "the candidate of each cell, encoder and decoder"
    ),
    "input_dropout": DropoutFlag("use_input_dropout", "input_dropout_prob", "the decoder's input"),
    "output_dropout": DropoutFlag("use_output_dropout", "output_dropout_prob", "the decoder's output"),
}


def parser() -> Parser:
    """The command line. A flag that is not given is None: the preset or the default of Settings applies."""
    result = Parser(
        prog=typed(training_command()),
        description="Train Sketch-RNN. The run is kept in --save_dir, whose model can be read at any moment.",
        epilog="Flags take = or a blank; dashes may replace underscores. Ctrl-C saves and stops; --resume goes on.",
        allow_abbrev=False,
    )
    _add_where(result.add_argument_group("where"))
    defaults = Settings().flat()
    for title, flags in FLAGS.items():
        group = result.add_argument_group(title)
        for name, flag in flags.items():
            default = defaults[flag.setting] if name != "num_steps" else None
            default = ",".join(default) if isinstance(default, list | tuple) else default
            suffix = "" if default in (None, "") else f" (default {default})"
            kind = _TYPES.get(flag.type, flag.type)
            group.add_argument(*_spellings(name), dest=name, type=kind, metavar="X", help=flag.help + suffix)
    group = result.add_argument_group("dropout (drop probabilities)")
    for name, dropout in DROPOUTS.items():
        default = round(1 - defaults[dropout.keep], 6) if defaults[dropout.use] else 0
        text = f"on {dropout.applied_to} (default {default:g})"
        group.add_argument(*_spellings(name), dest=name, type=number, metavar="P", help=text)
    result.add_argument("--unconditional", action="store_true", default=None, help="a decoder alone, no latent vector")
    return result


def _add_where(group: argparse._ArgumentGroup) -> None:
    """Add the flags that say which run it is, from what it starts, and where it runs."""
    names = (*_spellings("save_dir"), *_spellings("log_root"))
    group.add_argument(*names, dest="save_dir", type=Path, metavar="DIR", help="the run's folder, a new one")
    group.add_argument("--resume", action="store_true", help="go on with the run in --save_dir")
    # as Magenta's trainer takes it: TensorFlow's flags of true or false
    group.add_argument(
        "--resume_training", dest="resume", nargs="?", const=True, type=true_or_false, help=argparse.SUPPRESS
    )
    group.add_argument("--noresume_training", dest="resume", action="store_false", help=argparse.SUPPRESS)
    group.add_argument(
        *_spellings("init_from"),
        type=Path,
        metavar="DIR",
        help="start from this model, a folder that weight_port or a training wrote, with its Adam slots if it has them",
    )
    group.add_argument("--demo", action="store_true", help="a small model, on kanji from the package kanjivg")
    group.add_argument("--preset", choices=("magenta",), help="all of Magenta's own defaults")
    group.add_argument("--hparams", metavar="a=1,b=2", help="hyperparameters in the form of Magenta's trainer")
    group.add_argument(
        "--device",
        default=AUTO,
        help="such as cpu, cuda, cuda:1 or mps (default: that of a resumed run, else the best)",
    )
    group.add_argument(
        "--backend",
        metavar="X",
        help=f"{BACKEND_HELP} (default: that of a resumed run, else auto)",
    )


def _spellings(name: str) -> list[str]:
    return [f"--{name}"] + ([f"--{name.replace('_', '-')}"] if "_" in name else [])


def changes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line changes: first a preset, then ``--hparams``, then single flags.

    Raises:
        BadInput: for flags that contradict each other.
    """
    _check_contradictions(arguments)
    changes: dict[str, Any] = {}
    if arguments.demo and not arguments.resume:
        changes |= _preset("demo", arguments)
    if arguments.preset:
        changes |= _preset(arguments.preset, arguments)
    given = {} if arguments.hparams is None else parse_hparams(arguments.hparams)
    for flags in FLAGS.values():
        for name, flag in flags.items():
            if (value := getattr(arguments, name)) is not None:
                given[flag.setting] = value
    if arguments.demo and "data_set" in given:
        raise BadInput("--demo draws its own data: leave data_set out, or --demo")
    if "num_steps" in given:
        if arguments.num_epochs is not None:
            raise BadInput("num_steps and --num_epochs both say how long: leave one of them out")
        given["num_epochs"] = None
    changes |= given | _dropout_changes(arguments)
    if arguments.unconditional:
        changes["conditional"] = False
    for name in ("data_set", "sha256"):
        if isinstance(changes.get(name), str):
            changes[name] = tuple(part.strip() for part in changes[name].split(",") if part.strip())
    if changes.get("data_dir") is not None and "://" not in changes["data_dir"]:
        changes["data_dir"] = str(Path(changes["data_dir"]).absolute())  # a run may be resumed from another folder
    return changes


def _preset(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of a preset; the model that a run starts from determines what belongs to a model."""
    of_the_model = HParams.OF_A_MODEL if arguments.init_from is not None else ()
    return {setting: value for setting, value in PRESETS[name].items() if setting not in of_the_model}


def _check_contradictions(arguments: argparse.Namespace) -> None:
    if arguments.resume and arguments.preset:
        raise BadInput("--preset starts a run, --resume goes on with one, which has its settings: leave --preset out")
    if arguments.resume and arguments.init_from is not None:
        raise BadInput("--init_from starts a run, --resume goes on with one: leave one of them out")
    if arguments.demo and arguments.preset:
        raise BadInput("--demo and --preset: leave one of them out")
    if arguments.demo and arguments.data_dir is not None:
        raise BadInput("--demo draws its own data: leave --data_dir out, or --demo")


def _dropout_changes(arguments: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, flag in DROPOUTS.items():
        drop = getattr(arguments, name)
        if drop is None:
            continue
        if not 0 <= drop < 1:
            raise BadInput(f"--{name} is {drop}, expected a drop probability in [0, 1)")
        changes |= {flag.use: drop > 0} | ({flag.keep: 1 - drop} if drop > 0 else {})
    return changes


def named_by_flag(error: BadInput) -> BadInput:
    """An error about a setting, with the flag in front whose name differs from that of the setting."""
    for flags in FLAGS.values():
        for name, flag in flags.items():
            if error.name == flag.setting != name:
                return BadInput(f"--{name}: {error}", name=error.name)
    return error
