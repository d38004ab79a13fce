"""Bugs in a training step: schedules, clipping and Adam."""

from parity_tests.mutation.bugs import Mutant, Text, Value
from parity_tests.mutation.catalogue.port.parts import ADAM_M, ADAM_V, CLIPPED, POWERS, RATES, WEIGHTS
from pytorch_sketch_rnn.training import optim, schedules, trainer

TRAINING_MUTANTS = (
    Mutant(
        "KL weight starts at 0.005", "schedules",
        Text(schedules, "kl_weight", ("hparams.kl_weight_start", "0.005")),
        RATES, ".*/kl_weight",
    ),
    Mutant(
        "no KL annealing", "schedules",
        Text(schedules, "kl_weight", ("hparams.kl_weight - (", "hparams.kl_weight - 0 * (")),
        RATES, ".*/kl_weight",
    ),
    Mutant(
        "KL weight annealed at the learning rate's decay rate", "schedules",
        Text(schedules, "kl_weight", ("hparams.kl_decay_rate", "hparams.decay_rate")),
        RATES, ".*/kl_weight",
    ),
    Mutant(
        "no minimum learning rate", "schedules",
        Text(
            schedules, "learning_rate",
            (
                "span * hparams.decay_rate**step + hparams.min_learning_rate",
                "hparams.learning_rate * hparams.decay_rate**step",
            ),
        ),
        RATES, ".*/lr",
    ),
    Mutant(
        "learning rate counts steps from 1", "schedules",
        Text(schedules, "learning_rate", ("**step", "**(step + 1)")),
        RATES, ".*/lr",
    ),
    Mutant(
        "the whole learning rate decays, not its distance to the minimum", "schedules",
        Text(
            schedules, "learning_rate",
            ("hparams.learning_rate - hparams.min_learning_rate", "hparams.learning_rate"),
        ),
        RATES, ".*/lr",
    ),
    Mutant(
        "clips by the norm of all gradients", "clipping",
        Text(
            optim, "clip_by_value",
            ("in parameters:", "in [] if torch.nn.utils.clip_grad_norm_(list(parameters), bound) else []:"),
        ),
        CLIPPED,
    ),
    Mutant(
        "clips by the norm of each gradient", "clipping",
        Text(
            optim, "clip_by_value",
            ("clamp_(-bound, bound)", "mul_(min(1.0, bound / (float(parameter.grad.norm()) + 1e-12)))"),
        ),
        CLIPPED,
    ),
    Mutant(
        "no clipping", "clipping",
        Text(optim, "clip_by_value", ("parameter.grad.clamp_(-bound, bound)", "pass")),
        CLIPPED,
    ),
    Mutant(
        "clips from above only", "clipping",
        Text(optim, "clip_by_value", ("clamp_(-bound, bound)", "clamp_(max=bound)")),
        CLIPPED,
    ),
    Mutant(
        "clips after Adam", "clipping",
        Text(
            trainer.Trainer, "apply_gradients",
            ("clip_by_value(self.model.parameters(), self.hparams.grad_clip)", "pass"),
            (
                "self.optimizer.step()",
                "self.optimizer.step()\n    clip_by_value(self.model.parameters(), self.hparams.grad_clip)",
            ),
        ),
        CLIPPED,
    ),
    Mutant(
        "learning rate of the first step throughout", "schedules",
        Text(
            trainer.Trainer, "apply_gradients",
            ('group["lr"] = learning_rate', 'group["lr"] = self.hparams.learning_rate'),
        ),
        WEIGHTS,
    ),
    Mutant(
        "Adam as torch computes it", "Adam",
        Text(
            optim.TF1Adam, "step_by",
            (
                "m * float(lr_t) / (v.sqrt() + float(epsilon))",
                "group['lr'] * (m / (1 - power1)) / ((v / (1 - power2)).sqrt() + float(epsilon))",
            ),
        ),
        WEIGHTS,
    ),
    Mutant(
        "Adam's epsilon inside the root", "Adam",
        Text(optim.TF1Adam, "step_by", ("v.sqrt() + float(epsilon)", "(v + float(epsilon)).sqrt()")),
        WEIGHTS,
    ),
    Mutant("beta2 0.99", "Adam", Value(optim, "BETA2", 0.99), ADAM_V),
    Mutant(
        "no bias correction", "Adam",
        Text(optim.TF1Adam, "step_by", ("* np.sqrt(number(1) - power2) / (number(1) - power1)", "")),
        WEIGHTS,
    ),
    Mutant(
        "bias correction one step ahead: powers updated before use", "Adam",
        Text(
            optim.TF1Adam, "step_by",
            (
                'number(group["beta1_power"]), number(group["beta2_power"])',
                'number(group["beta1_power"] * beta1), number(group["beta2_power"] * beta2)',
            ),
        ),
        WEIGHTS,
    ),
    Mutant(
        "Adam's constants not rounded to float32", "Adam",
        Text(optim.TF1Adam, "step_by", ("number(np.float32(constant))", "number(constant)")),
        ADAM_M,
    ),
    Mutant(
        "powers in float64", "Adam",
        Text(
            optim.TF1Adam, "step_by",
            ('float(np.float32(group["beta1_power"]) * np.float32(BETA1))', 'group["beta1_power"] * BETA1'),
            ('float(np.float32(group["beta2_power"]) * np.float32(BETA2))', 'group["beta2_power"] * BETA2'),
        ),
        (*POWERS, "training: Adam's state"),
    ),
    Mutant(
        "weight decay", "Adam",
        Text(optim.TF1Adam, "step_by", ("parameter.sub_(", 'parameter.mul_(1 - 1e-2 * group["lr"]).sub_(')),
        WEIGHTS,
    ),
)  # fmt: skip
