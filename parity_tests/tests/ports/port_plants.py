"""What the ports of ``docs/ports.md`` do otherwise than Magenta, as changes of our reference.

Each is planted for as long as a ``with``. With all those of a port in place, the reference must give that port's
numbers, so that nothing of a departure is left unexplained.
"""

import contextlib
from collections.abc import Iterator, Mapping

from parity_tests import ours
from parity_tests.mutation.bugs import Text, Value
from pytorch_sketch_rnn.data import magenta_loader as data
from pytorch_sketch_rnn.model import cells, encoder, losses, sampling
from pytorch_sketch_rnn.training import optim

# Cells ---------------------------------------------------------------------------------------------------------------

EPSILON = Value(cells, "LAYER_NORM_EPSILON", 1e-5)
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
NO_DROPOUT = Text(cells, "dropped", ("x if mask is None else x * mask", "x"))

# Encoder -------------------------------------------------------------------------------------------------------------

NO_ENCODER_DROPOUT = Text(
    encoder.Encoder, "forward", ("Masks(fw_mask)", "Masks(None)"), ("Masks(bw_mask)", "Masks(None)")
)
_WHOLE = "lengths = torch.full_like(lengths, strokes.shape[1])\n    "
_START = "strokes = torch.nn.functional.pad(strokes, (0, 0, 1, 0))\n    strokes[:, 0, 2] = 1\n    "
READS_PADDING = Text(encoder.Encoder, "forward", ("backwards = ", f"{_WHOLE}backwards = "))
READS_START_AND_PADDING = Text(encoder.Encoder, "forward", ("backwards = ", f"{_START}{_WHOLE}backwards = "))

# Costs ---------------------------------------------------------------------------------------------------------------

_FLOOR = "-torch.logaddexp(log_density, floor) * drawn"
_TOTAL = "(offset_loss + pen_loss).mean()"
RFEINMAN_LOSS = {
    "covariance regularised": ("mixture.log_density(", "mixture.shrunk(1e-6).log_density("),
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

_EXACT_POWERS = ", ".join(
    f'beta{k} ** round(np.log(group["beta{k}_power"]) / np.log({beta}))' for k, beta in ((1, 0.9), (2, 0.999))
)


def torch_adam(*twins: int) -> Text:
    """torch's Adam; biases [n] with one of these n are twice there, so that their sum moves twice as far."""
    shapes = {(size,) for size in twins} or "()"
    update = "group['lr'] * (m / (1 - power1)) / ((v / (1 - power2)).sqrt() + float(epsilon))"
    return Text(
        optim.TF1Adam,
        "step_by",
        ("number(np.float32(constant))", "number(constant)"),
        ('number(group["beta1_power"]), number(group["beta2_power"])', _EXACT_POWERS),
        (
            "m * float(lr_t) / (v.sqrt() + float(epsilon))",
            f"(2 if tuple(parameter.shape) in {shapes} else 1) * {update}",
        ),
    )


class ClipByNorm:
    """Clips encoder and decoder apart, by the norm of all their gradients; the biases of the cells are there twice."""

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        """Also notes the model, which the function that it replaces is not given."""
        models, load, clip = [], ours.Adapter.load, ours.clip_by_value

        def noting_load(adapter: ours.Adapter, *arguments: object) -> None:
            load(adapter, *arguments)
            models[:] = [adapter.model]

        def by_norm(_: object, bound: float) -> None:
            for module in (models[0].encoder, models[0].decoder):
                named = list(module.named_parameters())
                squares = [(2 if n.endswith("bias") else 1) * p.grad.square().sum() for n, p in named]
                factor = min(1.0, bound / (float(sum(squares)) ** 0.5 + 1e-6))
                for _, parameter in named:
                    parameter.grad.mul_(factor)

        ours.Adapter.load, ours.clip_by_value = noting_load, by_norm
        try:
            yield
        finally:
            ours.Adapter.load, ours.clip_by_value = load, clip


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
    ("draws = rng.random_sample(len(sketch))", "draws = np.ones(len(sketch))"),
    (
        "dropped = (",
        "may = (lifted == 0) & (lifted_before == 0) & (since > 2)\n"
        "    draws[may] = rng.random_sample(int(may.sum()))\n    dropped = (",
    ),
)
