"""Bugs in whole runs: checkpoints, resuming, several processes, settings."""

from parity_tests.mutation.bugs import Entries, ProductMutant, Text, Value
from pytorch_sketch_rnn import checksums, device, distributed
from pytorch_sketch_rnn.data import packed
from pytorch_sketch_rnn.model import losses
from pytorch_sketch_rnn.training import (
    checkpoint,
    command,
    flags,
    publish,
    resume,
    run,
    run_log,
    run_state,
    settings,
    stop_signal,
    trainer,
)

_SAVED = ("training/test_checkpoint.py",)
_CHECKPOINTS = (
    ProductMutant(
        "m and v are swapped where Adam is read", "checkpoints",
        Text(
            checkpoint, "set_optimizer",
            ("arrays[slot_key(slot, name)]", "arrays[slot_key('v' if slot == 'm' else 'm', name)]"),
        ),
        _SAVED,
    ),
    ProductMutant(
        "Adam's powers are not read", "checkpoints",
        Text(
            checkpoint, "set_optimizer",
            ("optimizer.set_powers({name: float(arrays[name]) for name in POWERS})", "pass"),
        ),
        _SAVED,
    ),
    ProductMutant(
        "checkpoints sorted by name, not by step", "checkpoints",
        Text(checkpoint, "checkpoints", ("(found.items())", "(found.items(), key=lambda item: item[1].name)")),
        _SAVED,
    ),
    ProductMutant(
        "the newest checkpoints are removed", "checkpoints",
        Text(checkpoint, "remove_older", ("[:-keep]", "[keep:]")),
        _SAVED,
    ),
    ProductMutant(
        "half-written files of a killed run are not removed", "checkpoints",
        Text(checkpoint, "remove_older", ('[*folder.glob(".*.tmp"), *folder.glob(".*.old")]', 'folder.glob(".*.old")')),
        _SAVED,
    ),
    ProductMutant(
        "a checkpoint is written in place, not atomically", "checkpoints",
        Text(
            checkpoint, "write_folder",
            (
                "model.save_pretrained(temporary)",
                "model.save_pretrained(folder), model.save_pretrained(temporary)",
            ),
        ),
        _SAVED,
    ),
    ProductMutant(
        "the umask is overridden for the folder of a checkpoint", "checkpoints",
        Text(checkpoint, "_new_folder", ("folder.mkdir()", "folder.mkdir(), folder.chmod(0o755)")),
        ("training/test_run_folder.py",),
    ),
)  # fmt: skip

_STATE = ("training/test_run_state.py",)
_RESUMED = ("training/test_resume.py",)
_BEST = ("training/test_train_cli.py::test_best_is_the_model_of_the_lowest_validation_cost",)
_RUN = (
    ProductMutant(
        "the data fingerprint covers only the training split", "run",
        Text(
            run_state, "fingerprint",
            ("for split in (sets.train, sets.valid, sets.test):", "for split in (sets.train,):"),
        ),
        _STATE,
    ),
    ProductMutant(
        "the data fingerprint covers only the first sketches", "run",
        Text(run_state, "fingerprint", ("np.linspace(0, len(split) - 1, 64)", "np.arange(min(len(split), 3))")),
        _STATE,
    ),
    ProductMutant(
        "a run resumes with other data", "run",
        Text(resume, "resume", ("if then != now:", "if False:")),
        _RESUMED,
    ),
    ProductMutant(
        "the best model so far is forgotten on resuming", "run",
        Text(resume, "resume", ("return best", "return Best()")),
        _RESUMED,
    ),
    ProductMutant(
        "a resumed run counts steps from 0", "run",
        Text(resume, "resume", ("trainer.steps_done = step", "pass")),
        _RESUMED,
    ),
    ProductMutant(
        "a resumed run starts with a new Adam", "run",
        Text(
            resume, "resume",
            (
                "load_optimizer(path / OPTIMIZER_FILE, trainer.model, trainer.optimizer) != step",
                "state['step'] != step",
            ),
        ),
        _RESUMED,
    ),
    ProductMutant(
        "of equally good models the last one is best", "run",
        Text(run.Run, "_save", ("costs.cost < self.best.valid_cost", "costs.cost <= self.best.valid_cost")),
        _BEST,
    ),
    ProductMutant(
        "the best model is chosen by the reconstruction cost", "run",
        Text(run.Run, "_save", ("costs.cost < self.best.valid_cost", "costs.r_cost < self.best.valid_cost")),
        _BEST,
    ),
    ProductMutant(
        "best/ is the latest model", "run",
        Text(publish.Publisher, "publish", ("if best.step in (0, step):", "if True:")),
        _BEST,
    ),
    ProductMutant(
        "before the first validation best/ is the untrained model", "run",
        Text(publish.Publisher, "publish", ("if best.step in (0, step):", "if best.step == step:")),
        ("training/test_train_front_doors.py::test_before_the_first_validation_best_is_the_last_model",),
    ),
    ProductMutant(
        "a run resumes from weights that are not finite", "run",
        Text(resume, "resume", ("trainer.check_weights()", "pass")),
        ("training/test_train_resume_errors.py::test_a_wrong_resume_is_refused",),
    ),
    ProductMutant(
        "a run resumes with other settings than its checkpoint's", "run",
        Text(resume, "_check_settings", ("if value != then[name]", "if False")),
        ("training/test_train_resume_errors.py::test_a_wrong_resume_is_refused",),
    ),
    ProductMutant(
        "a resume is refused after it has written", "run",
        Text(command, "_resume", ("_on_rank_0(group, lambda: check_places(folder))", "pass")),
        ("training/test_train_refused_resume.py",),
    ),
    ProductMutant(
        "Magenta's validation runs one step early", "run",
        Text(run.Run, "_validates", ("done > 1 and (done - 1) % save_every", "done > 1 and done % save_every")),
        ("training/test_train_cli.py::test_preset_magenta_leaves_no_sketch_out_and_validates_after_step_save_every",),
    ),
    ProductMutant(
        "validation costs are logged at the next step", "run",
        Text(run.Run, "_save", ("log.valid(step - 1,", "log.valid(step,")),
        ("training/test_train_cli.py::test_a_run_leaves_models_curves_and_pictures",),
    ),
    ProductMutant(
        "weights that are not finite are saved", "run",
        Text(run.Run, "_save", ("trainer.check_weights()", "pass")),
        ("training/test_train_start_errors.py::test_weights_that_leave_float32_at_the_last_step_do_not_replace_the_model",),
    ),
    ProductMutant(
        "a second SIGTERM ends a run unsaved", "run",
        Text(stop_signal, "stop_requests", ("number == signal.SIGINT and number in received", "number in received")),
        ("training/test_train_stop_resume.py::test_a_second_sigterm_loses_nothing",),
    ),
    ProductMutant(
        "the curve keeps a step that is repeated", "run",
        Text(run_log, "trim_curves", ("if row_step < step:", "if row_step <= step:")),
        ("training/test_run_log.py",),
    ),
    ProductMutant(
        "epochs are rounded down to whole epochs and batches", "run",
        Text(
            command, "_num_steps",
            (
                "max(1, round(settings.num_epochs * len(sets.train) / sets.hparams.batch_size))",
                "int(settings.num_epochs) * (len(sets.train) // sets.hparams.batch_size)",
            ),
        ),
        ("training/test_train_cli.py::test_an_epoch_is_the_training_set_once",),
    ),
    ProductMutant(
        "the Adam state of an initial model is not loaded", "run",
        Text(command, "_initialise", ("load_optimizer(slots, model, trainer.optimizer)", "pass")),
        ("training/test_train_cli.py::test_a_run_starts_from_another_models_weights_and_slots",),
    ),
)  # fmt: skip

_SHARED = ("judge/test_shared_steps.py",)
_PROCESSES = (
    ProductMutant(
        "KL floor applied to each process's own rows", "several processes",
        Text(
            losses, "kl_cost",
            (
                "group.sum(share * kl_divergence(mu, presig))",
                "group.sum(share * kl_divergence(mu, presig).clamp(min=tolerance))",
            ),
        ),
        _SHARED,
    ),
    ProductMutant(
        "gradients averaged over the processes", "several processes",
        Text(
            trainer.Trainer, "_gradient",
            ("self.model.parameters()))", "self.model.parameters())) / self.group.size"),
        ),
        _SHARED,
    ),
    ProductMutant(
        "each process keeps its own gradients", "several processes",
        Text(trainer.Trainer, "_gradient", ("self.group.sum(flat_gradient(", "(flat_gradient(")),
        _SHARED,
    ),
    ProductMutant(
        "every process has the same weight, whatever its rows", "several processes",
        Text(trainer.Trainer, "__init__", ("len(self.rows) / self.hparams.batch_size", "1 / group.size")),
        _SHARED,
    ),
    ProductMutant(
        "gradients of the costs are summed a second time", "several processes",
        Text(distributed._Sum, "backward", ("return gradient", "return _Sum.apply(gradient.detach())")),
        _SHARED,
    ),
    ProductMutant(
        "each process draws with its own seed", "several processes",
        Text(trainer.Trainer, "_batch_and_draws", ("seed, step, self", "seed + self.group.rank, step, self")),
        _SHARED,
    ),
    ProductMutant(
        "rows left over by the division belong to no process", "several processes",
        Text(distributed.Group, "rows", ("first + each + (self.rank < more)", "first + each")),
        _SHARED,
    ),
    ProductMutant(
        "every process validates everything", "several processes",
        Text(trainer.Trainer, "validate", ("if number % self.group.size != self.group.rank:", "if False:")),
        _SHARED,
    ),
    ProductMutant(
        "a sum overwrites its input", "several processes",
        Text(distributed._Sum, "forward", ("values = values.clone()\n", "values = values.detach()\n")),
        _SHARED,
    ),
    ProductMutant(
        "a signal stops only the process that received it", "several processes",
        Text(distributed.Group, "any", ("condition if self.size == 1 else", "condition if self.size >= 1 else")),
        _SHARED,
    ),
    ProductMutant(
        "processes start with their own weights", "several processes",
        Text(distributed.Group, "broadcast_tensors", ("if self.size > 1:", "if self.size > 99:")),
        _SHARED,
    ),
    ProductMutant(
        "each process uses its own object instead of rank 0's", "several processes",
        Text(distributed.Group, "broadcast", ("if self.size == 1:", "if self.size >= 1:")),
        _SHARED,
    ),
)  # fmt: skip

_SET = ("training/test_settings.py",)
_MAGENTA = dict(settings.PRESETS["magenta"])
_SETTINGS = (
    ProductMutant(
        "dropout flags used as keep probabilities", "settings",
        Text(flags, "_dropout_changes", ("{flag.keep: 1 - drop}", "{flag.keep: drop}")),
        _SET,
    ),
    ProductMutant(
        "num_epochs overrides --num_steps", "settings",
        Text(flags, "changes_of", ('given["num_epochs"] = None', "pass")),
        _SET,
    ),
    ProductMutant(
        "--hparams overrides a flag", "settings",
        Text(flags, "changes_of", ("given[flag.setting] = value", "given.setdefault(flag.setting, value)")),
        _SET,
    ),
    ProductMutant(
        "preset magenta keeps the safeguard of the loss", "settings",
        Entries(settings.PRESETS, {"magenta": {name: _MAGENTA[name] for name in _MAGENTA if name != "reg_covar"}}),
        _SET,
    ),
    ProductMutant(
        "preset magenta leaves out sketches of more than 250 points", "settings",
        Entries(settings.PRESETS, {"magenta": _MAGENTA | {"max_seq_len": 250}}),
        _SET,
    ),
    ProductMutant(
        "a run may resume with another seed", "settings",
        Value(settings, "FREE", (*settings.FREE, "seed")),
        _SET,
    ),
    ProductMutant(
        "--hparams reads False as true", "settings",
        Text(
            settings, "_parsed",
            ('lambda t: {"true": True, "1": True, "false": False, "0": False}[t.lower()]', "bool"),
        ),
        _SET,
    ),
    ProductMutant(
        "a run's data path is relative to the current folder", "settings",
        Text(flags, "changes_of", ('str(Path(changes["data_dir"]).absolute())', 'changes["data_dir"]')),
        _SET,
    ),
)  # fmt: skip

_DAMAGED = ("training/test_train_checksums.py",)
_CHECKSUMS = (
    ProductMutant(
        "a damaged checkpoint is resumed", "checksums",
        Text(resume, "check_checkpoint", ("if damaged is not None:", "if False:")),
        _DAMAGED,
    ),
    ProductMutant(
        "a run starts from a damaged checkpoint", "checksums",
        Text(command, "_refuse_damaged", ("if damaged is not None:", "if False:")),
        _DAMAGED,
    ),
    ProductMutant(
        "only the first file of a checkpoint is verified", "checksums",
        Text(checksums, "_first_damaged", ("for match in lines:", "for match in lines[:1]:")),
        _DAMAGED,
    ),
    ProductMutant(
        "a damaged checkpoint is recommended", "checksums",
        Text(
            resume, "_is_whole",
            ("has_checksums(checkpoint) and damaged_file(checkpoint) is None", "has_checksums(checkpoint)"),
        ),
        _DAMAGED,
    ),
    ProductMutant(
        "packed: a damaged sketch is read", "checksums",
        Text(packed.PackedSplit, "_stored", ("if zlib.crc32(stored.data) != expected:", "if False:")),
        ("data/test_packed_damage.py",),
    ),
)  # fmt: skip

_ON_DEVICE = ("training/test_train_devices.py",)
_DEVICES = (
    ProductMutant(
        "a resumed run moves to the best device", "devices",
        Text(device, "chosen_device", ("before if before in found else found[0]", "found[0]")),
        _ON_DEVICE,
    ),
    ProductMutant(
        "several processes share a GPU", "devices",
        Text(device, "chosen_device", ("there.gpus >= place.size", "there.gpus >= 1")),
        _ON_DEVICE,
    ),
    ProductMutant(
        "every process takes the first GPU", "devices",
        Text(device, "chosen_device", ('f"cuda:{place.rank}"', '"cuda:0"')),
        _ON_DEVICE,
    ),
    ProductMutant(
        "cuda stays without an index", "devices",
        Text(device, "usable_device", ('torch.device("cuda", torch.cuda.current_device())', 'torch.device("cuda")')),
        _ON_DEVICE,
    ),
)  # fmt: skip

RUN_MUTANTS = (*_CHECKPOINTS, *_RUN, *_PROCESSES, *_SETTINGS, *_CHECKSUMS, *_DEVICES)
