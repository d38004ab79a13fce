"""The command ``python -m pytorch_sketch_rnn train``, or ``train.py``: a run from its flags to its exit code."""

import argparse
import sys
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from pytorch_sketch_rnn.checksums import complaint, damaged_file
from pytorch_sketch_rnn.command_line import typed
from pytorch_sketch_rnn.commands.backend_flag import chosen_backend
from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.device import check_dtype, device_name, memory, usable_device, use_products
from pytorch_sketch_rnn.distributed import Group, LostProcess, exit_code, join
from pytorch_sketch_rnn.download import without_query
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.backend import AUTO, REFERENCE
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.regular_file import refuse_special
from pytorch_sketch_rnn.training.checkpoint import (
    checkpoints,
    last_checkpoint,
    load_optimizer,
    load_weights,
    read_state,
)
from pytorch_sketch_rnn.training.flags import changes_of, named_by_flag, parser
from pytorch_sketch_rnn.training.next_steps import after_training, resume_command
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE
from pytorch_sketch_rnn.training.resume import Checked, check_checkpoint, environment_changes, resume
from pytorch_sketch_rnn.training.run import Run
from pytorch_sketch_rnn.training.run_folder import check_places, make_folder, only_run, refuse_existing
from pytorch_sketch_rnn.training.run_log import check_curves
from pytorch_sketch_rnn.training.run_state import Best
from pytorch_sketch_rnn.training.settings import SETTINGS_FILE, Settings
from pytorch_sketch_rnn.training.stroke_sets import read_sets
from pytorch_sketch_rnn.training.trainer import NotFinite, Trainer

Report = Callable[[str], None]


def run() -> int:
    """Run the command line of this process; returns the exit code."""
    return exit_code(run_command(main))


def main(argv: list[str]) -> int:
    """Run a command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    changes = changes_of(arguments)
    folder = _folder_of(arguments)
    before = _recorded_before(folder, "device") if arguments.resume else None
    device = usable_device(arguments.device, "--device", before=before)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    group = join(device)
    try:
        code = _train(arguments, changes, folder, device, group)
        group.wait()  # for rank 0, which saves longer
        return code
    except LostProcess as error:
        print(f"error: process {group.rank} of {group.size} lost another one ({error}); its own message says why; "
              f"go on with: {resume_command(folder, arguments.device)}", file=sys.stderr)  # fmt: skip
        return 1


def _folder_of(arguments: argparse.Namespace) -> Path:
    folder: Path | None = arguments.save_dir or (Path("model_demo") if arguments.demo else None)
    if folder is None:
        raise BadInput("--save_dir is missing: expected the folder of the run, such as --save_dir=model1_save")
    return folder


def _recorded_before(folder: Path, name: str) -> str | None:
    """The device or backend of a run's last checkpoint, with which it resumes bit for bit; None if it has none."""
    found = checkpoints(folder)
    try:
        value = read_state(found[max(found)], finite=False).get(name) if found else None
    except BadInput:
        return None  # what is wrong is said where it is resumed
    return value if isinstance(value, str) else None


def _usable_backend(arguments: argparse.Namespace, folder: Path, device: torch.device, group: Group) -> str:
    """The name of the backend that all ranks use: that of --backend, else that of a resumed run, else the fastest.

    Raises:
        BadInput: when this machine does not have it.
    """
    chosen: list[str] = []

    def choose() -> None:
        if arguments.backend is not None or not arguments.resume:
            chosen.append(chosen_backend(arguments.backend or AUTO, device))
            return
        before = _recorded_before(folder, "backend") or REFERENCE  # older versions had no other
        try:
            chosen.append(chosen_backend(before, device))
        except BadInput as error:
            raise BadInput(
                f"the run in {folder} was trained with another backend than this machine has: "
                f"{str(error).removeprefix('--')}; --backend=auto goes on with what is there"
            ) from None

    _on_rank_0(group, choose)
    name: str = group.broadcast(chosen[0] if chosen else None)
    return name if group.leads else chosen_backend(name, device)


def _train(
    arguments: argparse.Namespace, changes: dict[str, Any], folder: Path, device: torch.device, group: Group
) -> int:
    def report(line: str) -> None:
        if group.leads:
            print(line, flush=True)

    checked: list[Checked] = []  # on rank 0
    if arguments.resume:
        settings = _resumed_settings(arguments, changes, folder)
        _on_rank_0(group, lambda: checked.append(check_checkpoint(folder)))
    else:
        _on_rank_0(group, lambda: refuse_existing(folder))
        settings = _new_settings(arguments, changes)
    check_dtype(device, settings.dtype)
    use_products(settings.products, device)
    backend = _usable_backend(arguments, folder, device, group)
    with ExitStack() as files:
        sets = _first_on_rank_0(group, lambda: read_sets(settings, files, report))
        num_steps = _num_steps(settings, sets)
        trainer = Trainer(_initial_model(sets, settings, device, backend), sets, settings.options, group)
        report(_description(settings, trainer, num_steps, device))
        if arguments.resume:
            return _resume(arguments, folder, trainer, settings, num_steps, checked[0] if checked else None, report)
        return _start(arguments, folder, trainer, settings, num_steps, report)


def _new_settings(arguments: argparse.Namespace, changes: dict[str, Any]) -> Settings:
    try:
        settings = Settings().changed(changes)
    except BadInput as error:
        raise named_by_flag(error) from None
    if settings.data_dir is None and not arguments.demo:
        raise BadInput("--data_dir is missing: expected a folder or URL of stroke sets; without data, try --demo")
    if arguments.init_from is not None:
        settings = settings.changed(_shape_of(arguments.init_from, changes))
    return settings


def _resumed_settings(arguments: argparse.Namespace, changes: dict[str, Any], folder: Path) -> Settings:
    if (folder / "checkpoint").is_file() and not (folder / SETTINGS_FILE).exists():
        convert = typed(["python", "-m", "weight_port", "convert", folder, "DIR"])
        raise BadInput(
            f"{folder}: expected a run of this program, got a TensorFlow checkpoint; convert it ({convert}), then "
            "start a run with --init_from=DIR"
        )
    settings = Settings.load(folder)
    if arguments.demo and settings.data_dir is not None:
        raise BadInput(f"--demo: the run in {folder} is no demo, it has data of its own; leave --demo out")
    try:
        return settings.resumed(changes, folder)
    except BadInput as error:
        raise named_by_flag(error) from None


def _start(
    arguments: argparse.Namespace, folder: Path, trainer: Trainer, settings: Settings, num_steps: int, report: Report
) -> int:
    init_from: Path | None = arguments.init_from
    if init_from is not None:
        report(_initialise(trainer, init_from))
    _on_rank_0(trainer.group, lambda: make_folder(folder, settings, trainer))
    with only_run(folder, trainer.group):
        return _run(Run(folder, trainer, Best(), settings.keep, report), num_steps, settings, arguments.device)


def _resume(
    arguments: argparse.Namespace,
    folder: Path,
    trainer: Trainer,
    settings: Settings,
    num_steps: int,
    checked: Checked | None,
    report: Report,
) -> int:
    group = trainer.group
    with only_run(folder, group):
        # everything that may refuse comes before the first write: a refused resume leaves the run as it was
        best = resume(folder, trainer, checked)
        _on_rank_0(group, lambda: check_curves(folder))
        _on_rank_0(group, lambda: check_places(folder))
        finished = trainer.steps_done >= num_steps
        if finished:
            settings = Settings.load(folder)  # nothing is trained with the changes
        else:
            for line in environment_changes(folder, trainer):
                report(line)
            report(f"resuming {folder} at step {trainer.steps_done}")
            _on_rank_0(group, lambda: settings.save_if_changed(folder))
        run = Run(folder, trainer, best, settings.keep, report)
        _on_rank_0(group, run.publish_resumed)
        if finished:
            report(
                f"{folder}: {trainer.steps_done} steps are done already, and nothing was changed; for more, give "
                "--num_steps or --num_epochs"
            )
            return 0
        return _run(run, num_steps, settings, arguments.device)


def _run(run: Run, num_steps: int, settings: Settings, device: str) -> int:
    """Train; ``device`` is the value of ``--device``, for the command that resumes."""
    trainer, folder = run.trainer, run.folder
    trainer.group.broadcast_tensors([*trainer.model.parameters(), *trainer.optimizer.slots()])
    try:
        finished = run.train(num_steps)
    except NotFinite as error:
        _, path = last_checkpoint(folder)
        print(f"error: {error}; the last good state stays in {path}; look at the data, or start another run with "
              f"--init_from={path} (its schedules start over) and a lower --lr", file=sys.stderr)  # fmt: skip
        return 1
    if not finished:
        run.report(f"stopped after step {trainer.steps_done}; go on with: {resume_command(folder, device)}")
        return 130
    if trainer.group.leads:
        run.report(after_training(folder, settings, trainer))
    return 0


def _initial_model(sets: Sets, settings: Settings, device: torch.device, backend: str) -> SketchRNN:
    """A model with initial weights.

    Raises:
        BadInput: when it cannot fit into memory.
    """
    dtype = getattr(torch, settings.dtype)
    with torch.device("meta"):
        numbers = sum(parameter.numel() for parameter in SketchRNN(sets.hparams).parameters())
    needed = 4 * numbers * dtype.itemsize  # weights, gradients, and Adam's two slots
    there = memory(device)
    if there is not None and needed > there:
        raise BadInput(
            f"the model has {numbers:.3g} parameters, so that its training takes more than the {there / 2**30:.0f} GiB "
            f"of memory of {device}; make enc_rnn_size, dec_rnn_size, hyper_num_units, z_size or num_mixture smaller"
        )
    model = SketchRNN(sets.hparams, settings.options.seed, backend=backend).to(device=device, dtype=dtype)
    model.scale_factor = float(sets.train.scale_factor)
    return model


def _shape_of(folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters that an initial model determines: its shape, and what its layer norms compute.

    Raises:
        BadInput: when a flag contradicts the model, or the folder holds none.
    """
    refuse_special(folder)
    if folder.is_file():
        raise BadInput(
            f"{folder}: is a file, expected a folder; convert it: "
            f"{typed(['python', '-m', 'weight_port', 'convert', folder, 'DIR'])}"
        )
    _refuse_damaged(folder, (CONFIG_FILE,))  # the other files when they are read
    hparams = HParams.load(folder / CONFIG_FILE)
    shape = {name: getattr(hparams, name) for name in HParams.OF_A_MODEL}
    for name in shape:
        if name in changes and changes[name] != shape[name]:
            raise BadInput(f"{name} is {changes[name]}, but the model in {folder} has {shape[name]}; leave it out")
    return shape


def _refuse_damaged(folder: Path, names: Collection[str] | None = None) -> None:
    damaged = damaged_file(folder, names)
    if damaged is not None:
        raise BadInput(f"{complaint(damaged)}; take another checkpoint")


def _initialise(trainer: Trainer, folder: Path) -> str:
    """Load weights and, if there are any, Adam's slots; returns a line for the user."""
    model = trainer.model
    _refuse_damaged(folder)
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


def _description(settings: Settings, trainer: Trainer, num_steps: int, device: torch.device) -> str:
    """Data, model and training of a run, for the user."""
    sets, model, group = trainer.sets, trainer.model, trainer.group
    hparams = sets.hparams
    source = without_query(settings.data_dir or "kanjivg")
    cells = hparams.dec_model if not hparams.conditional else f"{hparams.enc_model} -> {hparams.dec_model}"
    processes = f"{group.size} processes, " if group.size > 1 else ""
    validation = (
        f"KL weighed by kl_weight_start, {hparams.kl_weight_start}, padding counts, as Magenta"
        if trainer.options.validate_as_magenta
        else f"KL weighed by kl_weight, {hparams.kl_weight}; padding does not count"
    )
    threads = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    left_out = f", {sets.left_out} longer ones left out" if sets.left_out else ""
    warning = f"warning: {sets.warning}\n" if sets.warning else ""
    return (
        f"data: {source}: {len(sets.train)} / {len(sets.valid)} / {len(sets.test)} sketches of up to "
        f"{hparams.max_seq_len} points{left_out}; scale factor {float(sets.train.scale_factor):.4f}\n"
        f"{warning}"
        f"model: {cells}, {sum(p.numel() for p in model.parameters())} parameters, {settings.dtype} on "
        f"{device_name(device)}, backend {model.backend}\n"
        f"training: {num_steps} steps of {hparams.batch_size} sketches, {processes}{threads}\n"
        f"validation every {hparams.save_every} steps: {validation}"
    )


def _on_rank_0(group: Group, action: Callable[[], None]) -> None:
    """Run an action on rank 0; when it refuses, all ranks end, and rank 0 alone says why."""
    error = None
    if group.leads:
        try:
            action()
        except BadInput as found:
            error = str(found)
    if error := group.broadcast(error):
        if not group.leads:
            raise SystemExit(2)
        raise BadInput(error)


def _first_on_rank_0(group: Group, read: Callable[[], Sets]) -> Sets:
    """Read on rank 0 before the other ranks do, which find what it downloaded in the cache."""
    result: list[Sets] = []
    _on_rank_0(group, lambda: result.append(read()))
    return result[0] if result else read()


if __name__ == "__main__":
    sys.exit(run())
