"""Bugs of whole runs: checkpoints, resuming, several processes, settings."""

from parity_tests.mutation.bugs import Entries, ProductMutant, Text, Value
from pytorch_sketch_rnn import distributed
from pytorch_sketch_rnn.model import losses
from pytorch_sketch_rnn.training import checkpoint, command, run_folder, run_log, settings, trainer

_SAVED = ("training/test_checkpoint.py",)
_CHECKPOINTS = (
    ProductMutant(
        "m and v are swapped where Adam is read", "checkpoints",
        Text(
            checkpoint, "load_optimizer",
            ('arrays[f"{slot}.{name}"]', """arrays[f"{'v' if slot == 'm' else 'm'}.{name}"]"""),
        ),
        _SAVED,
    ),
    ProductMutant(
        "Adam's powers are not read", "checkpoints",
        Text(checkpoint, "load_optimizer", ("optimizer.param_groups[0][power] = float(arrays[power])", "pass")),
        _SAVED,
    ),
    ProductMutant(
        "checkpoints in the order of their names", "checkpoints",
        Text(checkpoint, "checkpoints", ("(found.items())", "(found.items(), key=lambda item: item[1].name)")),
        _SAVED,
    ),
    ProductMutant(
        "the newest checkpoints are removed", "checkpoints",
        Text(checkpoint, "remove_older", ("[:-keep]", "[keep:]")),
        _SAVED,
    ),
    ProductMutant(
        "what a killed run left half written stays", "checkpoints",
        Text(checkpoint, "remove_older", ('[*folder.glob(".*.tmp"), *folder.glob(".*.old")]', 'folder.glob(".*.old")')),
        _SAVED,
    ),
    ProductMutant(
        "a checkpoint is written in its place, file by file", "checkpoints",
        Text(
            checkpoint, "write_folder",
            (
                "model.save_pretrained(temporary)",
                "model.save_pretrained(folder), model.save_pretrained(temporary)",
            ),
        ),
        _SAVED,
    ),
)  # fmt: skip

_RUNS = ("training/test_run_folder.py",)
_BEST = ("training/test_train_cli.py::test_best_is_the_model_of_the_lowest_validation_cost",)
_RUN = (
    ProductMutant(
        "the data's fingerprint sees the training split alone", "run",
        Text(
            run_folder, "fingerprint",
            ("for split in (sets.train, sets.valid, sets.test):", "for split in (sets.train,):"),
        ),
        _RUNS,
    ),
    ProductMutant(
        "the data's fingerprint sees the first sketches alone", "run",
        Text(run_folder, "fingerprint", ("np.linspace(0, len(split) - 1, 64)", "np.arange(min(len(split), 3))")),
        _RUNS,
    ),
    ProductMutant(
        "a run goes on with other data", "run",
        Text(run_folder, "resume", ("if then != now:", "if False:")),
        _RUNS,
    ),
    ProductMutant(
        "which model was best is forgotten on resuming", "run",
        Text(run_folder, "resume", ("return Best(**best)", "return Best()")),
        _RUNS,
    ),
    ProductMutant(
        "a resumed run counts from 0", "run",
        Text(run_folder, "resume", ("trainer.steps_done = step", "pass")),
        _RUNS,
    ),
    ProductMutant(
        "a resumed run begins with a new Adam", "run",
        Text(
            run_folder, "resume",
            (
                "load_optimizer(path / OPTIMIZER_FILE, trainer.model, trainer.optimizer) != step",
                "state['step'] != step",
            ),
        ),
        _RUNS,
    ),
    ProductMutant(
        "best is the last of equals", "run",
        Text(run_folder.Run, "_save", ("costs.cost < self.best.valid_cost", "costs.cost <= self.best.valid_cost")),
        _BEST,
    ),
    ProductMutant(
        "best by the reconstruction cost", "run",
        Text(run_folder.Run, "_save", ("costs.cost < self.best.valid_cost", "costs.r_cost < self.best.valid_cost")),
        _BEST,
    ),
    ProductMutant(
        "best/ is the latest model", "run",
        Text(run_folder.Run, "_publish", ("if self.best.step == step:", "if True:")),
        _BEST,
    ),
    ProductMutant(
        "validates as Magenta one step early", "run",
        Text(run_folder.Run, "_validates", ("done > 1 and (done - 1) % self", "done > 1 and done % self")),
        ("training/test_train_cli.py::test_magenta_leaves_no_sketch_out_and_validates_behind_step_save_every",),
    ),
    ProductMutant(
        "validation costs stand at the next step", "run",
        Text(run_folder.Run, "_save", ("log.valid(step - 1,", "log.valid(step,")),
        ("training/test_train_cli.py::test_a_run_leaves_models_curves_and_pictures",),
    ),
    ProductMutant(
        "weights that are not finite are saved", "run",
        Text(run_folder.Run, "_save", ("trainer.check_weights()", "pass")),
        ("training/test_train_errors.py::test_weights_that_leave_float32_at_the_last_step_do_not_replace_the_model",),
    ),
    ProductMutant(
        "a second SIGTERM ends a run unsaved", "run",
        Text(run_folder, "_stop_signal", ("number == signal.SIGINT and number in came", "number in came")),
        ("training/test_train_cli.py::test_a_second_signal_to_end_loses_nothing",),
    ),
    ProductMutant(
        "the curve keeps a step that is done again", "run",
        Text(run_log, "_drop_from", ("if row_step < step:", "if row_step <= step:")),
        ("training/test_run_log.py",),
    ),
    ProductMutant(
        "an epoch counts whole batches, whole epochs", "run",
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
        "a first model's Adam is left behind", "run",
        Text(command, "_initialise", ("load_optimizer(slots, model, trainer.optimizer)", "pass")),
        ("training/test_train_cli.py::test_a_run_starts_from_another_models_weights_and_slots",),
    ),
)  # fmt: skip

_SHARED = ("judge/test_shared_steps.py",)
_PROCESSES = (
    ProductMutant(
        "KL floor of each process's own rows", "several processes",
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
        "every process counts alike, whatever rows it has", "several processes",
        Text(trainer.Trainer, "__init__", ("len(self.rows) / self.hparams.batch_size", "1 / group.size")),
        _SHARED,
    ),
    ProductMutant(
        "gradients of the costs are summed a second time", "several processes",
        Text(distributed._Sum, "backward", ("return gradient", "return _Sum.apply(gradient.detach())")),
        _SHARED,
    ),
    ProductMutant(
        "each process draws with a seed of its own", "several processes",
        Text(trainer.Trainer, "_batch_and_draws", ("KeyedDraws(seed, ", "KeyedDraws(seed + self.group.rank, ")),
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
        "a sum changes what was summed", "several processes",
        Text(distributed._Sum, "forward", ("values = values.clone()\n", "values = values.detach()\n")),
        _SHARED,
    ),
    ProductMutant(
        "a signal stops the process that it reached alone", "several processes",
        Text(distributed.Group, "any", ("true if self.size == 1 else", "true if self.size >= 1 else")),
        _SHARED,
    ),
    ProductMutant(
        "processes begin with weights of their own", "several processes",
        Text(distributed.Group, "spread", ("if self.size > 1:", "if self.size > 99:")),
        _SHARED,
    ),
    ProductMutant(
        "each process takes its own word for the leader's", "several processes",
        Text(distributed.Group, "told", ("if self.size == 1:", "if self.size >= 1:")),
        _SHARED,
    ),
)  # fmt: skip

_SET = ("training/test_settings.py",)
_MAGENTA = settings.PRESETS["magenta"]
_SETTINGS = (
    ProductMutant(
        "dropout flags as keep probabilities", "settings",
        Text(command, "changes_of", ("{keep: 1 - drop}", "{keep: drop}")),
        _SET,
    ),
    ProductMutant(
        "num_epochs goes before --num_steps", "settings",
        Text(command, "changes_of", ('changes["num_epochs"] = None', "pass")),
        _SET,
    ),
    ProductMutant(
        "--hparams goes before a flag of its own", "settings",
        Text(command, "changes_of", ("changes[name] = value", "changes.setdefault(name, value)")),
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
        "a run may go on with another seed", "settings",
        Value(settings, "FREE", (*settings.FREE, "seed")),
        _SET,
    ),
    ProductMutant(
        "--hparams takes False for true", "settings",
        Text(
            settings, "_parsed",
            ('lambda t: {"true": True, "1": True, "false": False, "0": False}[t.lower()]', "bool"),
        ),
        _SET,
    ),
    ProductMutant(
        "a run's data are sought from the current folder", "settings",
        Text(command, "changes_of", ('str(Path(changes["data_dir"]).absolute())', 'changes["data_dir"]')),
        _SET,
    ),
)  # fmt: skip

RUN_MUTANTS = (*_CHECKPOINTS, *_RUN, *_PROCESSES, *_SETTINGS)
