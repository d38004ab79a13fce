"""Bugs in a training step: schedules, clipping and Adam."""

from parity_tests.mutation.bugs import Mutant, Text, Value
from parity_tests.mutation.catalogue.port.parts import ADAM_M, ADAM_V, CLIPPED, POWERS, RATES, WEIGHTS
from pytorch_sketch_rnn.training import optim, schedules, trainer

_CLIP = "clip_by_value(gradient, self.hparams.grad_clip)"
_MOVE = "torch._foreach_sub_(self.parameters, self.split(update))"
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
            ("gradient.clamp(-bound, bound)", "gradient * (bound / (gradient.norm() + 1e-6)).clamp(max=1)"),
        ),
        CLIPPED,
    ),
    Mutant(
        "clips by the norm of each gradient", "clipping",
        Text(
            trainer.Trainer, "_apply",
            (
                _CLIP,
                "torch.cat([part.ravel() * min(1.0, self.hparams.grad_clip / (float(part.norm()) + 1e-12)) "
                "for part in self.optimizer.split(gradient)])",
            ),
        ),
        CLIPPED,
    ),
    Mutant(
        "no clipping", "clipping",
        Text(optim, "clip_by_value", ("gradient.clamp(-bound, bound)", "gradient")),
        CLIPPED,
    ),
    Mutant(
        "clips from above only", "clipping",
        Text(optim, "clip_by_value", ("clamp(-bound, bound)", "clamp(max=bound)")),
        CLIPPED,
    ),
    Mutant(
        "clips after Adam", "clipping",
        Text(
            trainer.Trainer, "_apply",
            (_CLIP, "gradient"),
            (
                "self.optimizer.step_by(clipped, applied)",
                f"self.optimizer.step_by(clipped, applied)\n    clipped = {_CLIP}",
            ),
        ),
        CLIPPED,
    ),
    Mutant(
        "learning rate of the first step throughout", "schedules",
        Text(
            trainer.Trainer, "_apply",
            ("fill_(learning_rate)", "fill_(self.hparams.learning_rate)"),
        ),
        WEIGHTS,
    ),
    Mutant(
        "Adam as torch computes it", "Adam",
        Text(
            optim.TF1Adam, "step_by",
            (
                "self.m * (lr_t * applied) / (self.v.sqrt() + float(epsilon))",
                "self.settings['lr'] * applied * (self.m / (1 - power1)) "
                "/ ((self.v / (1 - power2)).sqrt() + float(epsilon))",
            ),
        ),
        WEIGHTS,
    ),
    Mutant(
        "Adam's epsilon inside the root", "Adam",
        Text(optim.TF1Adam, "step_by", ("self.v.sqrt() + float(epsilon)", "(self.v + float(epsilon)).sqrt()")),
        WEIGHTS,
    ),
    Mutant("beta2 0.99", "Adam", Value(optim, "BETA2", 0.99), ADAM_V),
    Mutant(
        "no bias correction", "Adam",
        Text(optim.TF1Adam, "step_by", (" * torch.sqrt(1 - power2) / (1 - power1)", "")),
        WEIGHTS,
    ),
    Mutant(
        "bias correction one step ahead: powers updated before use", "Adam",
        Text(
            optim.TF1Adam, "step_by",
            (
                "self.settings[name].to(gradient.dtype) for name in POWERS",
                "self.settings[name].to(gradient.dtype) * float(beta) "
                "for name, beta in zip(POWERS, (beta1, beta2), strict=True)",
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
            ("power * float(np.float32(beta))", "power.double() * beta"),
            ("power.copy_(", "self.settings[name] = ("),
        ),
        (*POWERS, "training: Adam's state"),
    ),
    Mutant(
        "weight decay", "Adam",
        Text(
            optim.TF1Adam, "step_by",
            (_MOVE, f"torch._foreach_mul_(self.parameters, float(1 - 1e-2 * self.settings['lr']))\n    {_MOVE}"),
        ),
        WEIGHTS,
    ),
)  # fmt: skip
