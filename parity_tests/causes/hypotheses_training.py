"""Possible bugs of a training step and of sampling; see :mod:`parity_tests.causes.hypotheses`."""

from collections.abc import Iterator

from parity_tests.mutation.bugs import Hypothesis, Text, Value
from parity_tests.mutation.catalogue.port.parts import ADAM_M, ADAM_V, CLIPPED, LOADER, RATES, SAMPLED, WEIGHTS
from pytorch_sketch_rnn.data import magenta_loader as data
from pytorch_sketch_rnn.model import sampling
from pytorch_sketch_rnn.training import optim, schedules, trainer

_WEIGHT = "return hparams.kl_weight - (hparams.kl_weight - hparams.kl_weight_start) * hparams.kl_decay_rate**step"
_FACTOR = """import numpy as np
    factor = np.float32(1 - hparams.kl_weight_start)
    for _ in range(step):
        factor *= np.float32(hparams.kl_decay_rate)
    return hparams.kl_weight * (1 - float(factor))"""

_RATES = (
    Hypothesis(
        "KL weight starts at kl_weight * kl_weight_start",
        "schedules",
        Text(
            schedules,
            "kl_weight",
            (_WEIGHT, _WEIGHT.replace("hparams.kl_weight_start", "hparams.kl_weight * hparams.kl_weight_start")),
        ),
        RATES,
        ".*/kl_weight",
        sentence="the KL weight starts at kl_weight * kl_weight_start, Magenta's at kl_weight_start",
    ),
    Hypothesis(
        "KL weight starts at kl_weight * kl_weight_start, its decay kept in float32",
        "schedules",
        Text(schedules, "kl_weight", (_WEIGHT, _FACTOR)),
        RATES,
        ".*/kl_weight",
        sentence="the KL weight starts at kl_weight * kl_weight_start, Magenta's at kl_weight_start, and its decay is "
        "multiplied up in float32",
    ),
    Hypothesis(
        "KL weight starts at 0",
        "schedules",
        Text(schedules, "kl_weight", ("hparams.kl_weight_start", "0.0")),
        RATES,
        ".*/kl_weight",
        sentence="the KL weight starts at 0, Magenta's at kl_weight_start",
    ),
    Hypothesis(
        "KL weight counts steps from 1",
        "schedules",
        Text(schedules, "kl_weight", ("**step", "**(step + 1)")),
        RATES,
        ".*/kl_weight",
        sentence="the schedule of the KL weight counts steps from 1, Magenta's from 0",
    ),
    Hypothesis(
        "KL weight tends to 1",
        "schedules",
        Text(schedules, "kl_weight", ("hparams.kl_weight - (", "1 - (")),
        RATES,
        ".*/kl_weight",
        sentence="the KL weight tends to 1, Magenta's to kl_weight",
    ),
    Hypothesis(
        "constant learning rate",
        "schedules",
        Text(schedules, "learning_rate", ("hparams.decay_rate**step", "1.0")),
        RATES,
        ".*/lr",
        sentence="the learning rate does not decay",
    ),
    Hypothesis(
        "learning rate bounded from below",
        "schedules",
        Text(
            schedules,
            "learning_rate",
            (
                "return span * hparams.decay_rate**step + hparams.min_learning_rate",
                "return max(hparams.learning_rate * hparams.decay_rate**step, hparams.min_learning_rate)",
            ),
        ),
        RATES,
        ".*/lr",
        sentence="the learning rate is max(lr decay^step, min_lr), Magenta's is (lr - min_lr) decay^step + min_lr",
    ),
)

_SAMPLES = (
    Hypothesis(
        "temperature not applied to sigma",
        "sampling",
        Text(sampling, "_component", ("np.sqrt(temperature) * np.sqrt(temperature)", "1.0")),
        SAMPLED,
        sentence="the temperature does not scale sigma, Magenta's does",
    ),
    Hypothesis(
        "sigma times the square of the temperature",
        "sampling",
        Text(sampling, "_component", ("np.sqrt(temperature) * np.sqrt(temperature)", "temperature**2")),
        SAMPLED,
        sentence="sampling scales sigma by T^2, Magenta's by T",
    ),
    Hypothesis(
        "sigma taken for the variance",
        "sampling",
        Text(
            sampling,
            "sample",
            ("[[scale[0] * scale[0], off", "[[scale[0], off"),
            ("off_diagonal, scale[1] * scale[1]]", "off_diagonal, scale[1]]"),
        ),
        SAMPLED,
        sentence="sampling takes sigma for the variance of the point",
    ),
)


def _adam() -> Iterator[Hypothesis]:
    for value in (1e-3, 1e-4, 1e-5, 1e-6, 1e-10):
        yield Hypothesis(
            f"Adam's epsilon {value:g}",
            "epsilons",
            Value(optim, "EPSILON", value),
            WEIGHTS,
            sentence=f"Adam's epsilon is {value:g}, Magenta's is 1e-8",
        )
    for name, value, part in (
        ("BETA1", 0.5, ADAM_M),
        ("BETA1", 0.95, ADAM_M),
        ("BETA1", 0.99, ADAM_M),
        ("BETA2", 0.9, ADAM_V),
        ("BETA2", 0.98, ADAM_V),
        ("BETA2", 0.9999, ADAM_V),
    ):
        yield Hypothesis(
            f"Adam's {name.lower()} {value}",
            "Adam",
            Value(optim, name, value),
            part,
            sentence=f"Adam's {name.lower()} is {value}, Magenta's is {getattr(optim, name)}",
        )
    # the powers are kept as float32 numbers; the exponent of torch.optim.Adam is the count of steps
    exact = (
        "gradient.new_tensor(float(beta ** round(np.log(float(self.settings[name])) / np.log(beta)))) "
        "for name, beta in zip(POWERS, (beta1, beta2), strict=True)"
    )
    yield Hypothesis(
        "torch.optim.Adam",
        "Adam",
        Text(
            optim.TF1Adam,
            "step_by",
            ("number(np.float32(constant))", "number(constant)"),
            ("self.settings[name].to(gradient.dtype) for name in POWERS", exact),
            (
                "self.m * (lr_t * applied) / (self.v.sqrt() + float(epsilon))",
                "self.settings['lr'] * applied * (self.m / (1 - power1)) "
                "/ ((self.v / (1 - power2)).sqrt() + float(epsilon))",
            ),
        ),
        WEIGHTS,
        sentence="the optimizer is torch.optim.Adam, which adds epsilon to the bias-corrected root and keeps its "
        "constants in float64; TensorFlow's adds it to the root of v and keeps them in float32",
    )


_DATA = (
    Hypothesis(
        "scale drawn in float32, and only where its factor is not 0",
        "augmentation",
        Text(
            data.DataLoader,
            "_augmented",
            ("for axis in range(2):", "for axis in range(2 if self.random_scale_factor else 0):"),
            (
                "(self.rng.random_sample() - 0.5) * 2 * self.random_scale_factor + 1.0",
                "(np.float32(self.rng.random_sample()) - np.float32(0.5)) * 2 * self.random_scale_factor + 1.0",
            ),
        ),
        LOADER,
        sentence="the random scale is computed in float32, and drawn only where its factor is not 0",
    ),
    Hypothesis(
        "a number drawn only for a point that may be dropped",
        "augmentation",
        Text(
            data,
            "augment_strokes",
            (
                "result, _ =",
                "_, kept = drop_points(sketch, starts, np.ones(len(sketch), dtype=bool))\n"
                "    numbers = np.ones(len(sketch))\n"
                "    numbers[~kept] = rng.random_sample(int((~kept).sum()))\n    result, _ =",
            ),
            ("rng.random_sample(len(sketch)) < prob", "numbers < prob"),
        ),
        LOADER,
        sentence="a random number is drawn only for a point that may be dropped, Magenta's for every point",
    ),
)

_CLIP = "clipped = clip_by_value(gradient, self.hparams.grad_clip)"
_EACH = """bound = self.hparams.grad_clip
    clipped = torch.cat([part.ravel() * (bound / {}) for part in self.optimizer.split(gradient)])"""
_CLIPS = (
    Hypothesis(
        "each gradient always scaled to the norm of the bound",
        "clipping",
        Text(trainer.Trainer, "_apply", (_CLIP, _EACH.format("(float(part.norm()) + 1e-12)"))),
        CLIPPED,
        sentence="each gradient is scaled to the norm grad_clip, Magenta clips each element to +-grad_clip",
    ),
    Hypothesis(
        "clips by the largest magnitude",
        "clipping",
        Text(trainer.Trainer, "_apply", (_CLIP, _EACH.format("max(bound, float(part.abs().max()))"))),
        CLIPPED,
        sentence="each gradient is scaled down to a largest element of grad_clip, Magenta clips each element",
    ),
)

TRAINING_HYPOTHESES = (*_DATA, *_CLIPS, *_adam(), *_RATES, *_SAMPLES)
