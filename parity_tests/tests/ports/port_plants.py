"""What the ports of ``docs/ports.md`` do otherwise than Magenta, as changes of our reference.

Each is planted for as long as a ``with``. With all those of a port in place, the reference must give that port's
numbers, so that nothing of a departure is left unexplained.
"""

from collections.abc import Mapping

from parity_tests.mutation.bugs import Text
from pytorch_sketch_rnn.data import magenta_loader as data
from pytorch_sketch_rnn.model import cells, losses, sampling, sequence
from pytorch_sketch_rnn.training import optim, trainer

# Cells ---------------------------------------------------------------------------------------------------------------

EPSILON = Text(cells.LayerNorm, "forward", ("self.epsilon", "1e-5"))
_READS_X = ("torch.cat([x, h], dim=1)", "torch.cat([x, torch.zeros_like(h)], dim=1)")
_NO_BIAS = ("self.bias.chunk(4)", "(0 * self.bias).chunk(4)")
_INNER_DROPOUT = (
    "inner_state, tape=",
    "inner_state, None if mask is None else mask.repeat(1, self.hyper_num_units)[:, : self.hyper_num_units], tape=",
)
READS_X = Text(cells.HyperLSTMCell, "forward", _READS_X)
NO_BIAS = Text(cells.HyperLSTMCell, "forward", _NO_BIAS)
READS_X_NO_BIAS = Text(cells.HyperLSTMCell, "forward", _READS_X, _NO_BIAS)
READS_X_NO_BIAS_INNER_DROPOUT = Text(cells.HyperLSTMCell, "forward", _READS_X, _NO_BIAS, _INNER_DROPOUT)
NO_DROPOUT = Text(cells, "apply_mask", ("x if mask is None else x * mask", "x"))

# Encoder -------------------------------------------------------------------------------------------------------------

NO_ENCODER_DROPOUT = Text(sequence, "run_both", ("Masks(masks[0])", "Masks(None)"), ("Masks(masks[1])", "Masks(None)"))
_WHOLE = "lengths = torch.full_like(lengths, inputs.shape[1])\n    "
_START = "inputs = torch.nn.functional.pad(inputs, (0, 0, 1, 0))\n    inputs[:, 0, 2] = 1\n    "
READS_PADDING = Text(sequence, "run_both", ("backwards = ", f"{_WHOLE}backwards = "))
READS_START_AND_PADDING = Text(sequence, "run_both", ("backwards = ", f"{_START}{_WHOLE}backwards = "))

# Costs ---------------------------------------------------------------------------------------------------------------

_FLOOR = "-torch.logaddexp(log_density, floor) * drawn"
_TOTAL = "(offset_loss + pen_loss).mean()"
RFEINMAN_LOSS = {
    "covariance regularised": ("mixture.log_density(", "mixture.regularized(1e-6).log_density("),
    "no epsilon in the log": (_FLOOR, "-log_density * drawn"),
    "averages over drawn steps": (
        _TOTAL,
        "offset_loss.sum() / drawn.sum() + (pen_loss.mean() if is_training else pen_loss.sum() / drawn.sum())",
    ),
}
_EPSILON_1E_5 = ("math.log(DENSITY_EPSILON)", "math.log(1e-5)")
_ONE_LOSS = ("if not is_training:", "if False:")
JACQ_LOSS = {
    "epsilon 1e-5 in the log": _EPSILON_1E_5,
    "pen of the padding always counts": _ONE_LOSS,
    "divides by one step less": (_TOTAL, "(offset_loss + pen_loss).sum() / (drawn.numel() - len(drawn))"),
}
LABML_LOSS = {
    "epsilon 1e-5 in the log": _EPSILON_1E_5,
    "pen of the padding always counts": _ONE_LOSS,
    "stroke mask keeps the first end step": (
        "drawn = 1 - pen[..., 2]",
        "drawn = 1 - F.pad(pen[..., :-1, 2], (1, 0))",
    ),
    "pen loss a third": (".sum(dim=-1)", ".mean(dim=-1)"),
}
NO_FLOOR = Text(losses, "kl_cost", ("kl.clamp(min=tolerance)", "kl"))


def loss(changes: Mapping[str, tuple[str, str]]) -> Text:
    """All changes of the reconstruction cost."""
    return Text(losses, "reconstruction_cost", *changes.values())


# Training and sampling -----------------------------------------------------------------------------------------------

_EXACT_POWERS = (
    "gradient.new_tensor(float(beta ** round(np.log(float(self.settings[name])) / np.log(beta)))) "
    "for name, beta in zip(POWERS, (beta1, beta2), strict=True)"
)


def torch_adam(*twins: int) -> Text:
    """torch's Adam; biases [n] with one of these n are twice there, so that their sum moves twice as far."""
    shapes = {(size,) for size in twins} or "()"
    return Text(
        optim.TF1Adam,
        "step_by",
        ("number(np.float32(constant))", "number(constant)"),
        ("self.settings[name].to(gradient.dtype) for name in POWERS", _EXACT_POWERS),
        (
            "self.m * (lr_t * applied) / (self.v.sqrt() + float(epsilon))",
            "self.settings['lr'] * applied * (self.m / (1 - power1)) "
            "/ ((self.v / (1 - power2)).sqrt() + float(epsilon))",
        ),
        (
            "self.split(update)",
            f"[(2 if tuple(part.shape) in {shapes} else 1) * part for part in self.split(update)]",
        ),
    )


# encoder and decoder apart, by the norm of all their gradients; the biases of the cells are there twice
CLIP_BY_NORM = Text(
    trainer.Trainer,
    "_apply",
    (
        "clipped = clip_by_value(gradient, self.hparams.grad_clip)",
        """parts = dict(zip(dict(self.model.named_parameters()), self.optimizer.split(gradient.clone()), strict=True))
    for side in ("encoder", "decoder"):
        of_side = {name: part for name, part in parts.items() if name.startswith(side)}
        squares = [(2 if name.endswith("bias") else 1) * part.square().sum() for name, part in of_side.items()]
        factor = min(1.0, self.hparams.grad_clip / (float(sum(squares)) ** 0.5 + 1e-6))
        for part in of_side.values():
            part.mul_(factor)
    clipped = torch.cat([part.ravel() for part in parts.values()])""",
    ),
)
SIGMA_SQRT_T = Text(sampling, "_component", ("np.sqrt(temperature) * np.sqrt(temperature)", "np.sqrt(temperature)"))

# Data ----------------------------------------------------------------------------------------------------------------

UNBIASED_SCALE = Text(
    data.DataLoader,
    "calculate_normalizing_scale_factor",
    ("np.std(np.concatenate(offsets))", "np.std(np.concatenate(offsets), ddof=1)"),
)
# nothing is drawn where the factor is 0; the rest in float32, as torch draws it
SCALE_IN_FLOAT32 = Text(
    data.DataLoader,
    "_augmented",
    ("for axis in range(2):", "for axis in range(2 if self.random_scale_factor else 0):"),
    (
        "(self.rng.random_sample() - 0.5) * 2 * self.random_scale_factor + 1.0",
        "(np.float32(self.rng.random_sample()) - np.float32(0.5)) * 2 * self.random_scale_factor + 1.0",
    ),
)
DRAWS_WHERE_A_POINT_MAY_GO = Text(
    data,
    "augment_strokes",
    (
        "result, _ =",
        "_, kept = drop_points(sketch, starts, np.ones(len(sketch), dtype=bool))\n"
        "    numbers = np.ones(len(sketch))\n"
        "    numbers[~kept] = rng.random_sample(int((~kept).sum()))\n    result, _ =",
    ),
    ("rng.random_sample(len(sketch)) < prob", "numbers < prob"),
)
