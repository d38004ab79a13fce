"""The command line of ``train.py``: flags, one run from start to end.

Flags that are dropout give DROP probabilities; hyperparameters, here and in ``--hparams``, keep Magenta's names, in
which every ``*_dropout_prob`` is a KEEP probability.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.download import fetch_sets, is_url, without_query
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.make_set import PACKED_SUFFIXES
from pytorch_sketch_rnn.data.npz import SPLITS, read_npz
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.device import physical_memory, usable_device
from pytorch_sketch_rnn.distributed import Group, LostProcess, join, local_device, under_torchrun
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.hparams import CELL_TYPES, HParams
from pytorch_sketch_rnn.model.sketch_rnn import CONFIG_FILE, SketchRNN
from pytorch_sketch_rnn.training.checkpoint import OPTIMIZER_FILE, checkpoints, load_optimizer, load_weights
from pytorch_sketch_rnn.training.run_folder import (
    Best,
    Run,
    make_folder,
    only_run,
    refuse_existing,
    resume,
    surroundings_differ,
)
from pytorch_sketch_rnn.training.settings import DTYPES, PRESETS, Settings, parse_hparams
from pytorch_sketch_rnn.training.trainer import NotFinite, Trainer

# what an initial model decides: these hyperparameters are its own
SHAPE = (
    "enc_model", "dec_model", "enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", "conditional",
    "hyper_num_units", "hyper_embedding_size",
)  # fmt: skip

# flag: (what it sets, type, what it means); the defaults are those of Settings
FLAGS: dict[str, dict[str, tuple[str, Callable[[str], Any], str]]] = {
    "the model": {
        "enc_model": ("enc_model", str, f"cell of the encoder: {', '.join(CELL_TYPES)}"),
        "dec_model": ("dec_model", str, "cell of the decoder, one of the same"),
        "enc_rnn_size": ("enc_rnn_size", int, "units of the encoder, each direction"),
        "dec_rnn_size": ("dec_rnn_size", int, "units of the decoder"),
        "z_size": ("z_size", int, "size of the latent vector"),
        "num_mixture": ("num_mixture", int, "components of the mixture density"),
        "max_seq_len": ("max_seq_len", int, "longer sketches are left out; then it is that of the longest one left"),
    },
    "the loss": {
        "kl_weight": ("kl_weight", float, "weight of the KL cost that the schedule approaches"),
        "kl_weight_start": ("kl_weight_start", float, "the same at step 0"),
        "kl_tolerance": ("kl_tolerance", float, "floor of the KL cost, below which it has no gradient"),
        "kl_decay_rate": ("kl_decay_rate", float, "of the distance to kl_weight, a step"),
        "reg_covar": (
            "reg_covar",
            float,
            "added to both variances of each component, not to the covariance; 0: Magenta",
        ),
    },
    "the optimizer": {
        "batch_size": ("batch_size", int, "sketches a step, over all processes"),
        "lr": ("learning_rate", float, "learning rate at step 0"),
        "lr_decay": ("decay_rate", float, "of the learning rate, a step"),
        "min_lr": ("min_learning_rate", float, "what the learning rate approaches"),
        "grad_clip": ("grad_clip", float, "bound of each element of each gradient"),
    },
    "the data": {
        "data_dir": (
            "data_dir",
            str,
            "folder of the stroke sets, or its URL (http, https): downloaded once, to a cache",
        ),
        "data_set": ("data_set", str, "stroke sets in it, comma-separated: .npz, or one packed .h5"),
        "sha256": ("sha256", str, "of these files, comma-separated: they are checked after a download"),
        "random_scale_factor": ("random_scale_factor", float, "augmentation: each axis is scaled by 1 +- this"),
        "augment_stroke_prob": ("augment_stroke_prob", float, "augmentation: probability of dropping a point"),
    },
    "the run": {
        "num_epochs": ("num_epochs", float, "how long: so many times the training set"),
        "num_steps": ("num_steps", int, "how long: so many steps, in place of num_epochs"),
        "save_every": ("save_every", int, "steps between two validations, each with a save"),
        "keep": ("keep", int, "checkpoints to keep"),
        "seed": ("seed", int, "of all random numbers"),
        "dtype": ("dtype", str, " or ".join(DTYPES)),
    },
}
# flag: (what uses it, keep probability, what is dropped)
DROPOUTS = {
    "r_dropout": ("use_recurrent_dropout", "recurrent_dropout_prob", "the candidate of each cell, encoder and decoder"),
    "input_dropout": ("use_input_dropout", "input_dropout_prob", "the decoder's input"),
    "output_dropout": ("use_output_dropout", "output_dropout_prob", "the decoder's output"),
}


def parser() -> argparse.ArgumentParser:
    """The command line. A flag that is not given is None: then the preset, or the default of Settings, holds."""
    result = argparse.ArgumentParser(
        prog="train.py",
        description="Train Sketch-RNN. The run is left in --save_dir, whose model can be read at any moment.",
        epilog="Flags take = or a blank; dashes may stand for underscores. Ctrl-C saves and stops; --resume goes on.",
        allow_abbrev=False,
    )
    defaults = Settings().flat()
    where = result.add_argument_group("where")
    where.add_argument("--save_dir", "--log_root", type=Path, metavar="DIR", help="the run's folder, a new one")
    where.add_argument("--resume", action="store_true", help="go on with the run in --save_dir")
    where.add_argument("--init_from", type=Path, metavar="DIR", help="start from this model (a folder that weight_port"
                       " or train.py wrote), with its Adam slots if it has them")  # fmt: skip
    where.add_argument("--demo", action="store_true", help="a small model, on kanji from the package kanjivg")
    where.add_argument("--preset", choices=("magenta",), help="all of Magenta's own defaults")
    where.add_argument("--hparams", metavar="a=1,b=2", help="hyperparameters as Magenta's trainer takes them")
    where.add_argument("--device", default="cpu", help="such as cuda (default cpu)")
    for title, flags in FLAGS.items():
        group = result.add_argument_group(title)
        for flag, (name, kind, text) in flags.items():
            default = defaults[name] if name != "num_steps" else None
            default = ",".join(default) if isinstance(default, list | tuple) else default
            told = "" if default in (None, "") else f" (default {default})"
            group.add_argument(*_spelled(flag), dest=flag, type=kind, metavar="X", help=text + told)
    group = result.add_argument_group("dropout (drop probabilities)")
    for flag, (used, keep, text) in DROPOUTS.items():
        default = round(1 - defaults[keep], 6) if defaults[used] else 0
        group.add_argument(*_spelled(flag), dest=flag, type=float, metavar="P", help=f"on {text} (default {default:g})")
    result.add_argument("--unconditional", action="store_true", default=None, help="a decoder alone, no latent vector")
    return result


def _spelled(flag: str) -> list[str]:
    return [f"--{flag}"] + ([f"--{flag.replace('_', '-')}"] if "_" in flag else [])


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    device = usable_device(local_device(arguments.device), "--device")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    group = join(device)
    try:
        code = _train(arguments, device, group)
        group.wait()  # for the leader, which saves longer
        return code
    except LostProcess as error:
        print(f"error: process {group.rank} of {group.size} lost another one ({error}); its own message says why; "
              f"go on with --resume and --save_dir={arguments.save_dir}", file=sys.stderr)  # fmt: skip
        return 1


def _train(arguments: argparse.Namespace, device: torch.device, group: Group) -> int:
    def say(line: str) -> None:
        if group.leads:
            print(line, flush=True)

    changes = changes_of(arguments)
    folder = arguments.save_dir or (Path("model_demo") if arguments.demo else None)
    if folder is None:
        raise BadInput("--save_dir is missing: expected the folder of the run, such as --save_dir=model1_save")
    if arguments.resume:
        if arguments.init_from is not None:
            raise BadInput("--init_from starts a run, --resume goes on with one: leave one of them out")
        settings = Settings.load(folder)
        if arguments.demo and settings.data_dir is not None:
            raise BadInput(f"--demo: the run in {folder} is no demo, it has data of its own; leave --demo out")
        settings = settings.resumed(changes, folder)
    else:
        _on_the_leader(group, lambda: refuse_existing(folder))
        try:
            settings = Settings().changed(changes)
        except BadInput as error:
            raise _named_by_flag(error) from None
        if settings.data_dir is None and not arguments.demo:
            raise BadInput("--data_dir is missing: expected a folder or URL of stroke sets; without data, try --demo")
    if arguments.init_from is not None:
        settings = settings.changed(_shape_of(arguments.init_from, changes))
    with ExitStack() as files:
        sets = _first_on_the_leader(group, lambda: read_sets(settings, files))
        return _train_on(sets, arguments, settings, folder, device, group, say)


def _train_on(
    sets: Sets,
    arguments: argparse.Namespace,
    settings: Settings,
    folder: Path,
    device: torch.device,
    group: Group,
    say: Callable[[str], None],
) -> int:
    model = _model(sets.hparams, settings, device)
    trainer = Trainer(model, sets, settings.options, group)
    num_steps = _num_steps(settings, sets)
    say(_told(settings, sets, model, num_steps, group, device))
    if not arguments.resume:
        if arguments.init_from is not None:
            say(_initialise(trainer, arguments.init_from))
        _on_the_leader(group, lambda: make_folder(folder, settings, trainer))
    with only_run(folder, group):
        best = Best()
        if arguments.resume:
            best = resume(folder, trainer)
            for told in surroundings_differ(folder, trainer):
                say(told)
            say(f"resuming {folder} at step {trainer.steps_done}")
            _on_the_leader(group, lambda: settings.save_if_other(folder))
        group.spread([*trainer.model.parameters(), *trainer.optimizer.slots()])
        return _run(Run(folder, trainer, best, settings, say), num_steps, say)


def _run(run: Run, num_steps: int, say: Callable[[str], None]) -> int:
    folder, done = run.folder, run.trainer.steps_done
    if done >= num_steps:
        say(f"{folder}: {done} steps are done already; for more, give --num_steps or --num_epochs")
        return 0
    try:
        finished = run.train(num_steps)
    except NotFinite as error:
        last = list(checkpoints(folder).values())[-1]
        print(f"error: {error}; the last good state stays in {last}; look at the data, or start another run with "
              f"--init_from={last} (its schedules begin anew) and a lower --lr", file=sys.stderr)  # fmt: skip
        return 1
    if not finished:
        say(f"stopped after step {run.trainer.steps_done}; go on with: python train.py --save_dir={folder} --resume")
        return 130
    say(f"done. Draw with it: python -m pytorch_sketch_rnn sample {folder / 'best'} --out sketches.svg\n"
        f"Look at its curves: {folder / 'curves.png'}, or tensorboard --logdir {folder / 'tensorboard'}")  # fmt: skip
    return 0


def _named_by_flag(error: BadInput) -> BadInput:
    """An error that names a hyperparameter, with the flag that sets it in front."""
    for flags in FLAGS.values():
        for flag, (name, _, _) in flags.items():
            if str(error).startswith(f"{name} is ") and flag != name:
                return BadInput(f"--{flag}: {error}")
    return error


def changes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the flags say, by the names of Settings: first a preset, then ``--hparams``, then single flags.

    Raises:
        BadInput: for flags that contradict each other.
    """
    changes: dict[str, Any] = {}
    if arguments.resume and arguments.preset:
        raise BadInput("--preset starts a run, --resume goes on with one, whose settings it knows: leave --preset out")
    if arguments.demo and arguments.preset:
        raise BadInput("--demo and --preset: leave one of them out")
    if arguments.demo and arguments.data_dir is not None:
        raise BadInput("--demo draws its own data: leave --data_dir out, or --demo")
    if arguments.demo and not arguments.resume:
        changes |= PRESETS["demo"]
    if arguments.preset:
        changes |= PRESETS[arguments.preset]
    told = set()
    if arguments.hparams is not None:
        changes |= (parsed := parse_hparams(arguments.hparams))
        told |= set(parsed)
    for flags in FLAGS.values():
        for flag, (name, _, _) in flags.items():
            if (value := getattr(arguments, flag)) is not None:
                changes[name] = value
                told.add(name)
    for flag, (used, keep, _) in DROPOUTS.items():
        if (drop := getattr(arguments, flag)) is not None:
            if not 0 <= drop < 1:
                raise BadInput(f"--{flag} is {drop}, expected a drop probability in [0, 1)")
            changes |= {used: drop > 0} | ({keep: 1 - drop} if drop > 0 else {})
    if arguments.unconditional:
        changes["conditional"] = False
    for name in ("data_set", "sha256"):
        if isinstance(changes.get(name), str):
            changes[name] = tuple(part.strip() for part in changes[name].split(",") if part.strip())
    if "num_steps" in told and arguments.num_epochs is not None:
        raise BadInput("num_steps and --num_epochs both say how long: leave one of them out")
    if "num_steps" in told:
        changes["num_epochs"] = None
    if changes.get("data_dir") is not None and "://" not in changes["data_dir"]:
        changes["data_dir"] = str(Path(changes["data_dir"]).absolute())  # a resumed run may start elsewhere
    return changes


def read_sets(settings: Settings, files: ExitStack) -> Sets:
    """The strokes that a run is told to train on; ``files`` keeps open what is read later.

    Raises:
        BadInput: when they are missing or broken.
    """
    hparams = settings.hparams
    if settings.data_dir is None:
        return Sets.from_splits(kanji_splits(), hparams)
    names = hparams.data_set
    if is_url(settings.data_dir):
        if settings.sha256 and len(settings.sha256) != len(names):
            raise BadInput(f"--sha256: {len(settings.sha256)} of them for {len(names)} files of --data_set")
        data_dir = fetch_sets(settings.data_dir, names, sha256=dict(zip(names, settings.sha256, strict=False)))
    else:
        data_dir = _local(settings, names)
    try:
        return _sets_in(data_dir, names, hparams, files)
    except BadInput as error:
        if str(data_dir) in str(error):
            raise
        raise BadInput(f"{without_query(settings.data_dir)}: {', '.join(names)}: {error}") from None


def _local(settings: Settings, names: Sequence[str]) -> Path:
    """The folder that holds the named sets; raises BadInput where it does not."""
    data_dir = Path(settings.data_dir)
    if "://" in settings.data_dir:
        raise BadInput(f"--data_dir {settings.data_dir}: expected a folder, or a URL that begins with http or https")
    if settings.sha256:
        raise BadInput("--sha256: is checked after a download, but --data_dir is a folder; leave it out")
    if not data_dir.is_dir():
        what = "is a file" if data_dir.exists() else "no such folder"
        raise BadInput(f"--data_dir {data_dir}: {what}; expected a folder of stroke sets")
    for name in names:
        path = data_dir / name
        if not path.is_file():
            there = sorted(p.name for p in data_dir.iterdir() if p.suffix in (".npz", *PACKED_SUFFIXES) and p.is_file())
            what = "is no file" if path.exists() or path.is_symlink() else "no such file"
            raise BadInput(
                f"{path}: {what}; of stroke sets there are {', '.join(there[:10]) or 'none'}; choose by --data_set"
            )
    return data_dir


def _sets_in(data_dir: Path, names: Sequence[str], hparams: HParams, files: ExitStack) -> Sets:
    if any(Path(name).suffix in PACKED_SUFFIXES for name in names):
        if len(names) > 1:
            raise BadInput(f"--data_set {','.join(names)}: a packed set stands alone; pack all sources into one")
        return Sets.from_packed(files.enter_context(open_packed(data_dir / names[0])), hparams)
    splits: dict[str, list] = {split: [] for split in SPLITS}
    for name in names:
        for split, sketches in read_npz(data_dir / name).items():
            splits[split] += sketches
    return Sets.from_splits(splits, hparams)


def _model(hparams: HParams, settings: Settings, device: torch.device) -> SketchRNN:
    """A model with initial weights.

    Raises:
        BadInput: when it cannot fit into memory.
    """
    dtype = getattr(torch, settings.dtype)
    with torch.device("meta"):
        numbers = sum(parameter.numel() for parameter in SketchRNN(hparams).parameters())
    needed = 4 * numbers * dtype.itemsize  # weights, gradients, and Adam's two slots
    there = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else physical_memory()
    if needed > there:
        raise BadInput(
            f"the model has {numbers:.3g} parameters, so that its training takes more than the {there / 2**30:.0f} GiB "
            f"of memory of {device}; make enc_rnn_size, dec_rnn_size, hyper_num_units, z_size or num_mixture smaller"
        )
    return SketchRNN(hparams, settings.options.seed).to(device=device, dtype=dtype)


def _shape_of(folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters that an initial model decides.

    Raises:
        BadInput: when a flag says otherwise, or it is no such folder.
    """
    if folder.is_file():
        raise BadInput(
            f"{folder}: is a file, expected a folder; convert it: python -m weight_port convert {folder} DIR"
        )
    hparams = HParams.load(folder / CONFIG_FILE)
    shape = {name: getattr(hparams, name) for name in SHAPE}
    for name in shape:
        if name in changes and changes[name] != shape[name]:
            raise BadInput(f"{name} is {changes[name]}, but the model in {folder} has {shape[name]}; leave it out")
    return shape


def _initialise(trainer: Trainer, folder: Path) -> str:
    model = trainer.model
    load_weights(folder, model)
    slots = folder / OPTIMIZER_FILE
    if not slots.exists():
        return f"starting from {folder} at step 0 of the schedules; it has no Adam slots"
    load_optimizer(slots, model, trainer.optimizer)
    return f"starting from {folder} at step 0 of the schedules, with its Adam slots"


def _num_steps(settings: Settings, sets: Sets) -> int:
    if settings.num_epochs is None:
        return settings.hparams.num_steps
    return max(1, round(settings.num_epochs * len(sets.train) / sets.hparams.batch_size))


def _told(settings: Settings, sets: Sets, model: SketchRNN, num_steps: int, group: Group, device: torch.device) -> str:
    hparams = sets.hparams
    source = without_query(settings.data_dir or "kanjivg")
    cells = hparams.dec_model if not hparams.conditional else f"{hparams.enc_model} -> {hparams.dec_model}"
    where = f"{group.size} processes, " if group.size > 1 else ""
    validation = (
        f"KL weighed by kl_weight_start, {hparams.kl_weight_start}, padding counts, as Magenta"
        if settings.options.validate_as_magenta
        else f"KL weighed by kl_weight, {hparams.kl_weight}; padding does not count"
    )
    left_out = f", {sets.left_out} longer ones left out" if sets.left_out else ""
    return (
        f"data: {source}: {len(sets.train)} / {len(sets.valid)} / {len(sets.test)} sketches of up to "
        f"{hparams.max_seq_len} points{left_out}; scale factor {float(sets.train.scale_factor):.4f}\n"
        f"model: {cells}, {sum(p.numel() for p in model.parameters())} parameters, {settings.dtype} on {device}\n"
        f"training: {num_steps} steps of {hparams.batch_size} sketches, {where}{torch.get_num_threads()} threads\n"
        f"validation every {hparams.save_every} steps: {validation}"
    )


def _on_the_leader(group: Group, do: Callable[[], None]) -> None:
    """Let the leading process do it; where that fails, all fail."""
    error = None
    if group.leads:
        try:
            do()
        except BadInput as found:
            error = str(found)
    if error := group.told(error):
        if not group.leads:
            raise SystemExit(2)  # it is told once
        raise BadInput(error)


def _first_on_the_leader(group: Group, do: Callable[[], Sets]) -> Sets:
    """Let the leading process do it before the others: what it downloads they find."""
    result: list[Sets] = []
    _on_the_leader(group, lambda: result.append(do()))
    return result[0] if result else do()


def run() -> int:
    """For ``train.py``: the exit code."""
    code = run_command(main)
    if under_torchrun():
        # past the destructors: in one run of twenty, gloo's threads abort in them when all is done and saved
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
