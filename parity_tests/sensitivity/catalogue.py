"""The catalogue of scaled bugs: each part of the port, and the change of its text that multiplies it by 1 + size.

Each bug names the few small recordings that can show it: those with its local quantity, and one in which it
accumulates. Bugs of real ports are in :mod:`parity_tests.mutation.catalogue.port`; here the question is how small a
change of each part the harness still finds.
"""

from collections.abc import Iterator
from typing import Any

from parity_tests.sensitivity.scaling import EVERYWHERE, ScaledBug, Scaling
from pytorch_sketch_rnn.data import magenta_loader
from pytorch_sketch_rnn.model import (
    cells,
    decoder,
    draws,
    encoder,
    linear,
    losses,
    mixture,
    sampling,
    sequence,
    sketch_rnn,
)
from pytorch_sketch_rnn.training import optim, schedules, trainer
from weight_port import convert

BOTH, DOUBLE, BITS = ("float64", "float32"), ("float64",), (EVERYWHERE,)
LSTM, LAYER_NORM, HYPER = "LSTM cell", "layer-norm LSTM cell", "HyperLSTM cell"
NORMS = "layer norm"
# the recording of the cell alone, and of a model with the cell in its decoder
RECORDINGS = {
    LSTM: ("cell/lstm", "lstm/moved"),
    LAYER_NORM: ("cell/layer_norm", "layer_norm/moved"),
    HYPER: ("cell/hyper", "mix-all-dropout/moved"),
}
MODELS = ("lstm/moved",)
# the only recordings in which the KL exceeds its tolerance, and in which gradients reach the bound
KL, CLIPPED = ("lstm/as_is",), ("layer_norm/moved",)
DROPOUT = ("mix-all-dropout/moved",)
TRAINING = ("lstm/moved", "training/layer_norm")
RUN = ("training/layer_norm",)
# a decision changes only if a number is near a boundary: more recordings, and larger changes
DECISIONS = ("lstm/as_is", "lstm/moved", "layer_norm/as_is", "layer_norm/moved")
LARGE = 0.5
DATA = ("data", "data/joined")


def _bug(
    part: str,
    name: str,
    place: tuple[Any, str],
    *changes: tuple[str, str],
    recordings: tuple[str, ...] = MODELS,
    precisions: tuple[str, ...] = BOTH,
    largest: float = 1e-2,
) -> ScaledBug:
    return ScaledBug(f"{part}: {name}", part, Scaling(*place, *changes), recordings, precisions, largest)


def _before(text: str, line: str) -> tuple[str, str]:
    """A change that inserts a line, equally indented, before the one that starts with this text."""
    indent = text[: len(text) - len(text.lstrip())]
    return text, f"{indent}{line}\n{text}"


def _called(text: str, function: str = "scaled") -> tuple[str, str]:
    """A change that wraps an expression."""
    return text, f"{function}({text})"


def _cell(part: str, owner: type, state: str, norm: str, tape: str) -> Iterator[ScaledBug]:
    """What all three cells have in common.

    Args:
        part: the cell.
        owner: its class.
        state: the expression of the new state.
        norm: the beginning of the line that reads the new c first.
        tape: the beginning of the line that records everything.
    """
    place, recordings = (owner, "forward"), RECORDINGS[part]
    candidate = "apply_mask(torch.tanh(j), mask)"
    found = [
        *((f"gate {gate}", _before(f"    g = {candidate}", f"{gate} = scaled({gate})")) for gate in "ijfo"),
        ("candidate g", _called(candidate)),
        ("forget bias", ("f + FORGET_BIAS", "f + scaled(FORGET_BIAS, f)")),
        ("c", _before(norm, "new_c = scaled(new_c)")),
        ("c, one unit", _before(norm, "new_c = scaled_unit(new_c)")),
        ("c, one row", _before(norm, "new_c = scaled_row(new_c)")),
        ("h", _before(tape, "new_h = scaled(new_h)")),
        ("c in the state alone", (state, state.replace("new_c", "scaled(new_c)"))),
        ("h in the state alone", (state, state.replace("new_h", "scaled(new_h)"))),
        ("gradient to c", _before(norm, "new_c = scaled_gradient(new_c)")),
        ("gradient to W_hh", ("h @ self.W_hh", "h @ scaled_gradient(self.W_hh)")),
    ]
    if part != LSTM:
        found += [
            ("gates before the layer norm", _before("    i, j, f, o = self.ln_all", "total = scaled(total)")),
            ("normalised c", _before("    new_h = torch.tanh(", "normal_c = scaled(normal_c)")),
        ]
    return (_bug(part, name, place, change, recordings=recordings) for name, change in found)


_CELLS = (
    *_cell(LSTM, cells.LSTMCell, "LSTMState(new_c, new_h)", "    new_h = torch.tanh(", "    tape("),
    *_cell(
        LAYER_NORM, cells.LayerNormLSTMCell, "LayerNormLSTMState(new_h, new_c)", "    normal_c = self", "    tape(",
    ),
    *_cell(
        HYPER, cells.HyperLSTMCell,
        "HyperLSTMState(new_h, inner_state.h, new_c, inner_state.c)", "    normal_c = self", "    tape(hyper_ix",
    ),
)  # fmt: skip


def _norm(which: str) -> Iterator[ScaledBug]:
    """One class serves both norms of a cell; only ``ln_all`` has several groups."""
    grouped = f"(len(self.gamma) {'>' if which == 'ln_all' else '=='} self.num_units)"
    variance, mean = "centred.square().mean(dim=2, keepdim=True)", "blocks.mean(dim=2, keepdim=True)"
    for name, value in {
        "epsilon": "self.epsilon",
        "variance": variance,
        "mean": mean,
        "gamma": "self.gamma",
        "beta": "self.beta",
    }.items():
        old = f"* {value}" if name == "gamma" else value
        new = f"(scaled({value}, x) if {grouped} else {value})"
        change = (old, f"* {new}" if name == "gamma" else new)
        yield _bug(NORMS, f"{name} of {which}", (cells.LayerNorm, "forward"), change, recordings=RECORDINGS[LAYER_NORM])


_HYPER_NORMS = (
    *(
        _bug(
            HYPER, f"norm hyper_{gate}{side}", (cells.HyperLSTMCell, "forward"),
            _called(f"self.hyper_{gate}{side}({gate}{side}, z)"),
            recordings=RECORDINGS[HYPER][:1],
        )
        for gate in "ijfo" for side in "xh"
    ),
    *(
        _bug(HYPER, name, place, change, recordings=RECORDINGS[HYPER][:1])
        for name, place, change in (
            ("alpha of the norms", (cells.HyperNorm, "forward"), _called("(hyper_output @ self.zw_w + self.zw_b)")),
            ("beta of the norms", (cells.HyperNorm, "forward"), _called("(hyper_output @ self.zb_w)")),
            ("main bias", (cells.HyperLSTMCell, "forward"), ("self.bias.chunk", "scaled(self.bias).chunk")),
            ("input of the inner cell", (cells.HyperLSTMCell, "forward"), _called("torch.cat([x, h], dim=1)")),
            (
                "h of the inner cell in the state alone", (cells.HyperLSTMCell, "forward"),
                ("new_h, inner_state.h,", "new_h, scaled(inner_state.h),"),
            ),
            (
                "c of the inner cell in the state alone", (cells.HyperLSTMCell, "forward"),
                ("new_c, inner_state.c)", "new_c, scaled(inner_state.c))"),
            ),
        )
    ),
)  # fmt: skip

_RUN = (sequence, "run")
_MASKS = (
    *(
        _bug(
            "dropout", f"scale of the {kind} mask", _RUN,
            _before("    steps = ", f"{masks} = [mask if mask is None else scaled(mask) for mask in {masks}]"),
            recordings=DROPOUT,
        )
        for kind, masks in (("recurrent", "recurrent"), ("input", "before"), ("output", "after"))
    ),
    _bug(
        "dropout", "keep probability of a mask's scale", (draws.GeneratorMask, "tensor"),
        ("div_(self.keep_prob)", "div_(scaled(self.keep_prob))"), recordings=("cell/lstm",), precisions=BITS,
    ),
)  # fmt: skip

_STATE = "        state = new_state"
# only the encoder has lengths
_AT_EACH_STEP = f"        if lengths {{}} None:\n            new_state = type(state)(*map(scaled, new_state))\n{_STATE}"
_LAYERS = (
    _bug(
        "encoder", "state at every step, outside the cell", _RUN,
        (_STATE, _AT_EACH_STEP.format("is not")),
        recordings=TRAINING,
    ),
    _bug(
        "encoder", "last state of the backward direction, outside the cell", (sequence, "run_both"),
        ("return fw_state, bw_state", "return fw_state, bw_state._replace(h=scaled(bw_state.h))"),
    ),
    _bug("encoder", "last h of the forward direction", (encoder.Encoder, "posterior"), _called("fw_state.h")),
    _bug("encoder", "mu", (encoder.Encoder, "posterior"), _called("self.mu(last_h)")),
    _bug("encoder", "presig", (encoder.Encoder, "posterior"), _called("self.presig(last_h)")),
    _bug("encoder", "bias of mu, presig and initial state", (linear.Linear, "forward"), _called("self.b")),
    _bug(
        "latent vector", "z", (sketch_rnn.SketchRNN, "sample_latent"),
        ("return mu + torch", "return scaled(mu) + torch"),
    ),
    _bug("latent vector", "deviation of z", (sketch_rnn.SketchRNN, "sample_latent"), _called("torch.exp(presig / 2)")),
    _bug("latent vector", "z where the decoder reads it", _RUN, ("constant.unsq", "scaled(constant).unsq")),
    _bug("decoder", "initial state", (decoder.Decoder, "initial_state"), _called("torch.tanh(self.initial(z))")),
    _bug(
        "decoder", "state at every step, outside the cell", _RUN,
        (_STATE, _AT_EACH_STEP.format("is")),
        recordings=TRAINING,
    ),
    _bug(
        "decoder", "output layer", (decoder.Decoder, "output_layer"), _called("hidden @ self.output_w + self.output_b"),
    ),
    _bug("decoder", "bias of the output layer", (decoder.Decoder, "output_layer"), _called("self.output_b")),
    _bug(
        "converter", "weights", (convert, "convert_variables"),
        ("{ours: variables[official] for official, ours in plan.weights",
         "{ours: scaled(variables[official]) for official, ours in plan.weights"),
    ),
)  # fmt: skip


def _field(index: int) -> tuple[str, str]:
    """A change of one field of a mixture, in the order of the decoder's output."""
    blocks = "*output[..., 3:].chunk(6, dim=-1)"
    return blocks, f"*(scaled(v) if k == {index} else v for k, v in enumerate({blocks[1:]}))"


_MIXTURE = (
    *(
        _bug("mixture", name, (mixture.Mixture, "from_output"), _field(index))
        for index, name in enumerate(
            ("logits of pi", "mu1", "mu2", "logarithm of sigma1", "logarithm of sigma2", "logits of corr")
        )
    ),
    _bug("mixture", "logits of the pen", (mixture.Mixture, "from_output"), _called("output[..., :3]")),
    _bug("mixture", "pi", (mixture.Mixture, "pi"), _called("F.softmax(self.pi_logits, dim=-1)")),
    _bug("mixture", "sigma1", (mixture.Mixture, "sigma1"), _called("self.log_sigma1.exp()")),
    _bug("mixture", "sigma2", (mixture.Mixture, "sigma2"), _called("self.log_sigma2.exp()")),
    _bug("mixture", "corr", (mixture.Mixture, "corr"), _called("self.corr_logits.tanh()")),
    _bug("mixture", "pen", (mixture.Mixture, "pen"), _called("F.softmax(self.pen_logits, dim=-1)")),
)
_R, _KL = (losses, "reconstruction_cost"), (losses, "kl_cost")
_COSTS = (
    _bug("costs", "logarithm of the density", _R, _called("mixture.log_density(x1, x2)")),
    _bug("costs", "density", _R, _before("    floor =", "log_density = scaled(log_density.exp()).log()")),
    _bug("costs", "epsilon of the density", _R, ("math.log(DENS", "math.log(scaled(1.0, log_density) * DENS")),
    _bug("costs", "normalisation by corr", (mixture.Mixture, "log_density"), _called("_log_one_minus_tanh2(r)")),
    _bug("costs", "pen loss", _R, ("pen_loss = -(pen", "pen_loss = -(scaled(pen)")),
    _bug("costs", "r_cost", _R, _called("(offset_loss + pen_loss).mean()")),
    _bug("costs", "KL divergence", _KL, _called("kl_divergence(mu, presig)"), recordings=(*KL, *MODELS)),
    _bug("costs", "tolerance of the KL", _KL, ("min=tolerance", "min=scaled(tolerance, kl)"),
        recordings=(*KL, *MODELS, *RUN)),
    _bug("costs", "cost", (sketch_rnn.SketchRNN, "costs_of"), _called("r_cost + kl * kl_weight")),
    _bug("costs", "KL weight", (sketch_rnn.SketchRNN, "costs_of"), ("kl * kl_weight", "kl * scaled(kl_weight, kl)"),
        recordings=(*KL, *MODELS)),
)  # fmt: skip

_OF = (sketch_rnn.SketchRNN, "costs_of")
_GRADIENTS = (
    _bug("gradients", "to the head", (mixture.Mixture, "from_output"),
        _before("    return cls(", "output = scaled_gradient(output)")),
    _bug("gradients", "of the KL to mu", _OF,
        ("kl_cost(passed.mu,", "kl_cost(scaled_gradient(passed.mu),"), recordings=(*KL, *MODELS)),
    _bug("gradients", "of the KL to presig", _OF,
        ("passed.presig,", "scaled_gradient(passed.presig),"), recordings=(*KL, *MODELS)),
    _bug("gradients", "to z", (sketch_rnn.SketchRNN, "forward"),
        _called("self.sample_latent(mu, presig, draws)", "scaled_gradient")),
    _bug("gradients", "to mu, presig and initial state's weights", (linear.Linear, "forward"),
        ("x @ self.w", "x @ scaled_gradient(self.w)")),
    _bug("gradients", "to the output layer's weights", (decoder.Decoder, "output_layer"),
        ("hidden @ self.output_w", "hidden @ scaled_gradient(self.output_w)")),
    _bug("gradients", "to the state, through time", _RUN,
        (_STATE, f"        new_state = type(state)(*map(scaled_gradient, new_state))\n{_STATE}")),
    _bug("gradients", "all", (trainer.Trainer, "_gradient"),
        ("costs.cost.backward()", "scaled_gradient(costs.cost).backward()")),
)  # fmt: skip

_STEP = (optim.TF1Adam, "step_by")
_MOVE = "torch._foreach_sub_(self.parameters, self.split(update))"
_OPTIMIZER = (
    _bug("clipping", "bound", (optim, "clip_by_value"),
        ("clamp(-bound, bound)", "clamp(*(scaled(sign * bound, gradient) for sign in (-1, 1)))"),
        recordings=CLIPPED),
    *(
        _bug("Adam", name, _STEP, change)
        for name, change in (
            ("m", _before("    self.v.add_(", "self.m.copy_(scaled(self.m))")),
            ("v", _before("    update = ", "self.v.copy_(scaled(self.v))")),
            ("1 - beta1", ("float(number(1) - beta1)", "scaled(float(number(1) - beta1), gradient)")),
            ("1 - beta2", ("float(number(1) - beta2)", "scaled(float(number(1) - beta2), gradient)")),
            *(
                (f"power of {beta} after the step", _before(
                    "        power.copy_(",
                    f"next_power = scaled(next_power, gradient) if name == '{beta}_power' else next_power"))
                for beta in ("beta1", "beta2")
            ),
            ("power of beta2 as read", _before("    lr_t = ", "power2 = scaled(power2)")),
            ("learning rate", ("lr_t * applied", "scaled(lr_t) * applied")),
            ("epsilon", ("v.sqrt() + float(epsilon)", "v.sqrt() + scaled(float(epsilon), gradient)")),
            ("weights", (
                _MOVE, f"{_MOVE}\n    torch._foreach_copy_(self.parameters, list(map(scaled, self.parameters)))")),
        )
    ),
)  # fmt: skip

_SAMPLING = (
    *(
        _bug("sampling", name, (sampling, function), change, recordings=DECISIONS, largest=LARGE)
        for name, function, change in (
            ("temperature of pi and pen", "_pick", ("/ temperature", "/ scaled(temperature, pdf)")),
            ("cumulated weights", "_pick", _called("np.cumsum(weights / weights.sum())")),
            ("number that picks the component", "sample", (
                '_pick(uniform.random(), here["pi"]', '_pick(scaled(uniform.random(), here["pi"]), here["pi"]')),
            ("number that picks the pen", "sample", (
                '_pick(uniform.random(), here["pen"]', '_pick(scaled(uniform.random(), here["pen"]), here["pen"]')),
        )
    ),
    _bug("sampling", "mean of the point", (sampling, "_component"),
        _called('mixture["mu1"][index]'), _called('mixture["mu2"][index]')),
    _bug("sampling", "sigma of the point", (sampling, "_component"),
        _called('mixture["sigma1"][index]'), _called('mixture["sigma2"][index]')),
    _bug("sampling", "correlation of the point", (sampling, "_component"), _called('mixture["corr"][index]')),
)  # fmt: skip

_LOADER = magenta_loader.DataLoader
_DATA = tuple(
    _bug("data loader", name, place, change, recordings=DATA, precisions=BITS, largest=LARGE)
    for name, place, change in (
        ("scale factor", (_LOADER, "calculate_normalizing_scale_factor"), _called("np.std(np.concatenate(offsets))")),
        ("offsets as normalised", (_LOADER, "normalize"), ("/= scale_factor", "/= scaled(scale_factor)")),
        (
            "factor of the random scale", (_LOADER, "_augmented"),
            ("2 * self.random_scale_factor", "2 * scaled(self.random_scale_factor)"),
        ),
        ("probability of dropping a point", (magenta_loader, "augment_strokes"), ("< prob", "< scaled(prob)")),
        ("largest offset", (magenta_loader, "clamped"), ("-LIMIT, LIMIT", "-scaled(LIMIT), scaled(LIMIT)")),
    )
)  # fmt: skip
_SCHEDULES = tuple(
    _bug("schedules", name, (schedules, function), change, recordings=RUN, precisions=DOUBLE)
    for name, function, change in (
        ("learning rate", "learning_rate", _called("span * hparams.decay_rate**step + hparams.min_learning_rate")),
        ("decay of the learning rate", "learning_rate", _called("hparams.decay_rate")),
        ("KL weight", "kl_weight", ("return hparams.kl_weight -", "return scaled(1.0) * hparams.kl_weight -")),
        ("growth of the KL weight", "kl_weight", _called("hparams.kl_decay_rate")),
    )
)

SCALED_BUGS = (
    *_CELLS, *_norm("ln_all"), *_norm("ln_c"), *_HYPER_NORMS, *_MASKS, *_LAYERS, *_MIXTURE, *_COSTS, *_GRADIENTS,
    *_OPTIMIZER, *_SAMPLING, *_DATA, *_SCHEDULES,
)  # fmt: skip
