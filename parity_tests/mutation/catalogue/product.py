"""Bugs outside the model's equations, which unit tests must catch.

They are mistakes that a refactoring may leave in the trainer, its batches, its checkpoints and its files.
Those of keyed draws, whole runs, files, files from elsewhere, SVG drawings, commands and what meets people are in
:mod:`~parity_tests.mutation.catalogue.draws`, :mod:`~parity_tests.mutation.catalogue.runs`,
:mod:`~parity_tests.mutation.catalogue.files`, :mod:`~parity_tests.mutation.catalogue.foreign_files`,
:mod:`~parity_tests.mutation.catalogue.svg`, :mod:`~parity_tests.mutation.catalogue.commands` and
:mod:`~parity_tests.mutation.catalogue.clients`.
"""

from parity_tests.mutation.bugs import ProductMutant, Text
from parity_tests.mutation.catalogue.clients import CLIENT_MUTANTS
from parity_tests.mutation.catalogue.commands import COMMAND_MUTANTS
from parity_tests.mutation.catalogue.draws import DRAW_MUTANTS
from parity_tests.mutation.catalogue.files import FILE_MUTANTS
from parity_tests.mutation.catalogue.foreign_files import FOREIGN_MUTANTS
from parity_tests.mutation.catalogue.runs import RUN_MUTANTS
from parity_tests.mutation.catalogue.svg import SVG_MUTANTS
from pytorch_sketch_rnn.data import batches
from pytorch_sketch_rnn.model import mixture, sampler, sampling, sketch_rnn
from pytorch_sketch_rnn.training import optim, trainer

_STEP = ("training/test_trainer.py",)
_TRAINING = (
    ProductMutant(
        "reg_covar left out of validation", "training step",
        Text(
            trainer.Trainer, "_pass",
            ("regularized(self.options.reg_covar)", "regularized(self.options.reg_covar * self.model.training)"),
        ),
        _STEP,
    ),
    ProductMutant(
        "reg_covar added to the deviations", "training step",
        Text(
            mixture.Mixture, "regularized",
            ("logaddexp(2 * s, torch.full_like(s, log_reg)) / 2", "logaddexp(s, torch.full_like(s, log_reg))"),
        ),
        ("model/test_regularized.py",),
    ),
    ProductMutant(
        "reg_covar that keeps the correlation", "training step",
        Text(mixture.Mixture, "regularized", ("(above.log() - below.log()) / 2", "self.corr_logits")),
        ("model/test_regularized.py",),
    ),
    ProductMutant(
        "KL tolerance applied to kl_weight * KL", "training step",
        Text(
            sketch_rnn.SketchRNN, "costs_of",
            (
                "r_cost + kl * kl_weight",
                "r_cost + (kl_cost(passed.mu, passed.presig, 0.0, share=share, group=group) * kl_weight)"
                ".clamp(min=self.hparams.kl_tolerance)",
            ),
        ),
        _STEP,
    ),
    ProductMutant(
        "gradients add up from step to step", "training step",
        Text(trainer.Trainer, "_gradient", ("self.optimizer.zero_grad()", "pass")),
        _STEP,
    ),
    ProductMutant(
        "schedules one step ahead", "training step",
        Text(trainer.Trainer, "step", ("(f(self.hparams, step) for f in", "(f(self.hparams, step + 1) for f in")),
        _STEP,
    ),
    ProductMutant(
        "final KL weight from the first step", "training step",
        Text(
            trainer.Trainer, "step",
            ("learning_rate, kl_weight, NO_TAPE", "learning_rate, self.hparams.kl_weight, NO_TAPE"),
        ),
        _STEP,
    ),
    ProductMutant(
        "the same masks and noise at every step", "training step",
        Text(trainer.Trainer, "_batch_and_draws", ("options.seed, step, self.rows)", "options.seed, 0, self.rows)")),
        _STEP,
    ),
    ProductMutant(
        "dropout stays off after the first validation", "training step",
        Text(trainer.Trainer, "_gradient", ("self.model.train()", "pass")),
        _STEP,
    ),
    ProductMutant(
        "infinite gradients move the weights", "training step",
        Text(
            trainer.Trainer, "_step",
            ("torch.isfinite(costs.cost) & torch.isfinite(gradient).all()", "torch.isfinite(costs.cost)"),
        ),
        _STEP,
    ),
    ProductMutant(
        "a step that is not finite is applied", "training step",
        Text(trainer.Trainer, "_step", ("self._apply(gradient, applied,", "self._apply(gradient, None,")),
        _STEP,
    ),
    ProductMutant(
        "a step after one that is not finite is applied", "training step",
        Text(trainer.Trainer, "_step", ("self._all_finite &= ", "self._all_finite = ")),
        _STEP,
    ),
    ProductMutant(
        "NaN of a skipped step enters Adam's slots", "training step",
        Text(trainer.Trainer, "_apply", ("torch.where(applied, clipped, 0)", "clipped")),
        _STEP,
    ),
    ProductMutant(
        "the check does not return to the failed step", "training step",
        Text(trainer.Trainer, "check", ("self.steps_done = failed.step", "pass")),
        _STEP,
    ),
    ProductMutant(
        "after a failed check every step is skipped", "training step",
        Text(trainer.Trainer, "check", ("self._all_finite.fill_(True)", "pass")),
        _STEP,
    ),
    ProductMutant(
        "the check names the last skipped step", "training step",
        Text(trainer.Trainer, "check", ("unchecked[applied.index(False)]", "unchecked[-1]")),
        _STEP,
    ),
    ProductMutant(
        "every check finds the same failed step again", "training step",
        Text(
            trainer.Trainer, "check",
            ("unchecked, self._unchecked = self._unchecked, []", "unchecked = self._unchecked"),
        ),
        _STEP,
    ),
    ProductMutant(
        "a tensor of a later step is blamed", "training step",
        Text(trainer.Trainer, "check", ("known = failed is unchecked[-1]", "known = True")),
        _STEP,
    ),
    ProductMutant(
        "a skipped step advances the beta powers", "training step",
        Text(
            optim.TF1Adam, "step_by",
            ("next_power if apply is None else torch.where(apply, next_power, power)", "next_power"),
        ),
        ("training/test_optim.py",),
    ),
    ProductMutant(
        "a skipped step decays m and v", "training step",
        Text(
            optim.TF1Adam, "step_by",
            ("(float(number(1) - beta1) * applied)", "float(number(1) - beta1)"),
            ("(float(number(1) - beta2) * applied)", "float(number(1) - beta2)"),
        ),
        ("training/test_optim.py",),
    ),
    ProductMutant(
        "a skipped step moves the weights", "training step",
        Text(optim.TF1Adam, "step_by", ("(lr_t * applied)", "lr_t")),
        ("training/test_optim.py",),
    ),
    ProductMutant(
        "a loaded state is not the one that steps use", "training step",
        Text(optim.TF1Adam, "load_state_dict", ("    self._share_slots()", "    pass")),
        ("training/test_optim.py",),
    ),
    ProductMutant(
        "a new Adam starts with beta2_power one step ahead", "training step",
        Text(optim.TF1Adam, "__init__", ('"beta2_power": BETA2', '"beta2_power": BETA2**2')),
        ("training/test_optim.py",),
    ),
    ProductMutant(
        "a new Adam starts with equal powers", "training step",
        Text(optim.TF1Adam, "__init__", ('"beta2_power": BETA2', '"beta2_power": BETA1')),
        ("training/test_optim.py",),
    ),
)  # fmt: skip

_VALIDATION = (
    ProductMutant(
        "dropout on in validation", "validation",
        Text(trainer.Trainer, "validate_on", ("self.model.eval()", "pass")),
        _STEP,
    ),
    ProductMutant(
        "validation noise depends on the step", "validation",
        Text(trainer.Trainer, "validate", ("VALIDATION, rows", "self.steps_done, rows")),
        _STEP,
    ),
    ProductMutant(
        "validation noise is the same in all batches", "validation",
        Text(trainer.Trainer, "validate", ("VALIDATION, rows", "VALIDATION, range(len(rows))")),
        _STEP,
    ),
    ProductMutant(
        "a smaller last batch weighs as much as a full one", "validation",
        Text(trainer.Trainer, "validate", ("sums += len(rows) *", "sums += size *")),
        _STEP,
    ),
    ProductMutant(
        "Magenta's validation counts an incomplete batch", "validation",
        Text(trainer.Trainer, "validate", ("count -= count % size", "pass")),
        _STEP,
    ),
    ProductMutant(
        "validation uses the KL weight of the first step", "validation",
        Text(
            trainer.Trainer, "validate_on",
            ("hparams.kl_weight_start if as_magenta else hparams.kl_weight", "hparams.kl_weight_start"),
        ),
        _STEP,
    ),
    ProductMutant(
        "validation counts the padding", "validation",
        Text(trainer.Trainer, "validate_on", ("hparams.is_training if as_magenta else False", "hparams.is_training")),
        _STEP,
    ),
)  # fmt: skip

_BATCH = ("data/test_batches.py",)


def _augmented(change: tuple[str, str]) -> Text:
    """A change of the arguments with which the numbers of both kinds of augmentation are drawn."""
    scale, drop = (
        'uniform(seed, step, "augment/scale", rows, 2)',
        'uniform(seed, step, "augment/drop", rows, lengths.max())',
    )
    return Text(batches.Split, "random_rows", *((call, call.replace(*change)) for call in (scale, drop)))


_BATCHES = (
    ProductMutant(
        "a sketch may occur twice in a batch", "batches",
        Text(batches.Split, "random_rows", ("batch_size, replace=False", "batch_size")),
        _BATCH,
    ),
    ProductMutant(
        "all rows of a batch are augmented alike", "batches",
        _augmented(("rows, ", "[0] * len(rows), ")),
        _BATCH,
    ),
    ProductMutant(
        "augmentation is the same at every step", "batches",
        _augmented(("step, ", "0, ")),
        _BATCH,
    ),
    ProductMutant(
        "augmentation is the same for every seed", "batches",
        _augmented(("seed, ", "0, ")),
        _BATCH,
    ),
    ProductMutant(
        "rows are augmented as if they were the first", "batches",
        _augmented(("rows, ", "range(len(rows)), ")),
        _BATCH,
    ),
    ProductMutant(
        "scales and dropped points come from the same numbers", "batches",
        Text(batches.Split, "random_rows", ("augment/drop", "augment/scale")),
        _BATCH,
    ),
    ProductMutant(
        "one random scale for x and y", "batches",
        Text(batches.Split, "random_rows", ("rows, 2)", "rows, 1)")),
        _BATCH,
    ),
    ProductMutant(
        "every process takes the first rows of a batch", "batches",
        Text(batches.Split, "random_rows", ("chosen[rows]", "chosen[: len(rows)]")),
        _BATCH,
    ),
    ProductMutant(
        "the longest sketch is never trained on", "batches",
        Text(batches.Split, "random_rows", ("rng.choice(len(self), ", "rng.choice(len(self) - 1, ")),
        _BATCH,
    ),
    ProductMutant(
        "scale factor of all three splits", "batches",
        Text(
            batches.Sets, "from_splits",
            (
                "joined.scale_factor",
                "np.float32(np.std(np.concatenate([s[:, :2] for split in kept.values() for s in split])))",
            ),
        ),
        _BATCH,
    ),
    ProductMutant(
        "a sketch of max_seq_len points is left out", "batches",
        Text(batches.Sets, "from_splits", ("len(s) <= limit", "len(s) < limit")),
        _BATCH,
    ),
    ProductMutant(
        "max_seq_len is not set to the longest sketch", "batches",
        Text(batches.Sets, "from_splits", ("joined.hparams, left_out", "hparams, left_out")),
        _BATCH,
    ),
    ProductMutant(
        "max_seq_len of a packed set is not set to its longest sketch", "batches",
        Text(batches.Sets, "from_packed", ("hparams = hparams.replace(max_seq_len=packed.longest)", "pass")),
        _BATCH,
    ),
)  # fmt: skip

_MANY = (  # by the loop alone: compiled code that departs from it would fail every test
    "model/test_sampling.py::test_each_sketch_follows_from_its_mixtures_and_draws_and_stops_at_its_end[reference-0.8]",
    "model/test_sampling.py::test_a_sketch_does_not_depend_on_the_others_in_its_batch[reference-True-lstm]",
    "model/test_sampling.py::test_many_points_have_the_distribution_of_their_mixture[reference-0.5]",
)
_SAMPLING = (
    ProductMutant(
        "many: deviations scaled by the root of the temperature", "sampling of many",
        Text(sampler, "_point", ("temperature * sigma1 * e1", "temperature**0.5 * sigma1 * e1")),
        _MANY,
    ),
    ProductMutant(
        "many: the pen ignores the temperature", "sampling of many",
        Text(sampler, "_point", ('mixture["pen"], temperature)', 'mixture["pen"], 1.0)')),
        _MANY,
    ),
    ProductMutant(
        "many: offsets without correlation", "sampling of many",
        Text(sampler, "_point", ("(corr * e1 + torch.sqrt((1 - corr.square()).clamp(min=0)) * e2)", "e2")),
        _MANY,
    ),
    ProductMutant(
        "many: one number picks component and pen", "sampling of many",
        Text(sampler, "_point", ("_pick(numbers.pen,", "_pick(numbers.component,")),
        _MANY,
    ),
    ProductMutant(
        "many: latent vectors of the first rows, not of the unfinished ones", "sampling of many",
        Text(sampler.LoopSampler, "draw", ("self._z[going]", "self._z[: len(here)]")),
        _MANY,
    ),
    ProductMutant(
        "many: states of the first rows, not of the unfinished ones", "sampling of many",
        Text(sampler.LoopSampler, "draw", ("field[going] for", "field[: len(here)] for")),
        _MANY,
    ),
    ProductMutant(
        "many: points go to the first sketches, not to the unfinished ones", "sampling of many",
        Text(
            sampling, "draw_points",
            ("points[rows, first : first + steps, :2]", "points[: len(rows), first : first + steps, :2]"),
        ),
        _MANY,
    ),
    ProductMutant(
        "many: the end of a sketch counts as a point", "sampling of many",
        Text(sampling, "draw_points", ("lengths[rows[ended]] = first", "lengths[rows[ended]] = 1 + first")),
        _MANY,
    ),
    ProductMutant(
        "many: a block's points go to the first sketches, not to the unfinished ones", "sampling of many",
        Text(
            sampler.LoopSampler, "draw",
            ("offsets[here, step], pens[here, step]", "offsets[: len(here), step], pens[here, step]"),
        ),
        _MANY,
    ),
    ProductMutant(
        "many: numbers of the first rows, not of the unfinished ones", "sampling of many",
        Text(sampler.LoopSampler, "draw", ("each[here, step]", "each[: len(here), step]")),
        _MANY,
    ),
    ProductMutant(
        "many: every block begins with the numbers of the first", "sampling of many",
        Text(sampler.Numbers, "draw", ("sample/{name}/{first}", "sample/{name}/0")),
        _MANY,
    ),
)  # fmt: skip

PRODUCT_MUTANTS = (
    *_TRAINING, *_VALIDATION, *_BATCHES, *DRAW_MUTANTS, *_SAMPLING, *RUN_MUTANTS, *FILE_MUTANTS, *FOREIGN_MUTANTS,
    *SVG_MUTANTS, *COMMAND_MUTANTS, *CLIENT_MUTANTS,
)  # fmt: skip
