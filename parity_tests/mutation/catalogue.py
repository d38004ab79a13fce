"""The catalogue of bugs of a port, each planted in the real code for as long as a ``with``.

The bugs of a port are those that other ports of Sketch-RNN have, and those that its official code invites. Each says in
which part of the report it must show first: the part where a maintainer would have to look, decided from the bug.
"""

import contextlib
import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol

from pytorch_sketch_rnn.data import magenta_loader as data
from pytorch_sketch_rnn.data import strokes
from pytorch_sketch_rnn.model import cells, decoder, draws, encoder, linear, losses, mixture, sampling, sequence
from pytorch_sketch_rnn.model import initializers as init
from pytorch_sketch_rnn.model import sketch_rnn as model
from pytorch_sketch_rnn.training import optim, schedules, trainer
from weight_port import convert, names

FAMILIES = (
    "gates", "cell design", "biases", "epsilons", "variance", "dropout", "masks", "lengths", "order", "latent vector",
    "mixture", "loss", "KL", "schedules", "clipping", "Adam", "initialisers", "sampling", "data", "augmentation",
    "converter", "precision",
)  # fmt: skip


class Planting(Protocol):
    """A way to put a bug into the code that runs, and to take it out again."""

    def planted(self) -> contextlib.AbstractContextManager[None]:
        """Put it in for as long as the ``with`` lasts.

        Raises:
            LookupError: when the code does not hold what is to be changed.
        """
        ...


class Text:
    """A change of source text: the function runs what is compiled from it, by whatever name it was imported."""

    def __init__(self, owner: Any, function: str, *changes: tuple[str, str]) -> None:
        self.owner, self.function, self.changes = owner, function, changes  # the owner is a class or a module

    @contextmanager
    def planted(self) -> Iterator[None]:
        """See :class:`Planting`."""
        sound = self._sound()
        code = sound.__code__
        sound.__code__ = self.code()
        try:
            yield
        finally:
            sound.__code__ = code

    def code(self) -> Any:
        """The changed code.

        Raises:
            LookupError: when a text to change does not stand exactly once in the function.
        """
        sound = self._sound()
        source = textwrap.dedent(inspect.getsource(sound))
        for old, new in self.changes:
            if source.count(old) != 1:
                raise LookupError(f"{old!r} stands {source.count(old)} times in {self.function}, expected once")
            source = source.replace(old, new)
        return _compiled(sound, source).__code__

    def _sound(self) -> Any:
        return _bare(inspect.getattr_static(self.owner, self.function))


def _bare(found: Any) -> Any:
    """The function under a classmethod, a property or a decorator."""
    for attribute in ("__func__", "fget", "func"):
        found = getattr(found, attribute, None) or found
    return inspect.unwrap(found)


def _compiled(sound: Any, source: str) -> Any:
    """The changed function; what it has from around it (``super()`` needs its class) stays its own."""
    outer = sound.__code__.co_freevars
    if outer:
        inner = textwrap.indent(source, "    ")
        source = f"def around({', '.join(outer)}):\n{inner}\n    return {sound.__name__}\n"
    namespace: dict[str, Any] = {}
    exec(compile(source, inspect.getsourcefile(sound) or "", "exec"), vars(sys.modules[sound.__module__]), namespace)
    return _bare(namespace["around"](*outer) if outer else namespace[sound.__name__])


@dataclasses.dataclass(frozen=True)
class Value:
    """Another value of a constant."""

    owner: Any
    name: str
    value: Any

    @contextmanager
    def planted(self) -> Iterator[None]:
        """See :class:`Planting`."""
        if not hasattr(self.owner, self.name):
            raise LookupError(f"{self.owner.__name__} has no {self.name}")
        sound = getattr(self.owner, self.name)
        setattr(self.owner, self.name, self.value)
        try:
            yield
        finally:
            setattr(self.owner, self.name, sound)


@dataclasses.dataclass(frozen=True)
class Entries:
    """Other entries of a table."""

    table: MutableMapping[str, str]
    entries: Mapping[str, str]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """See :class:`Planting`."""
        if not set(self.entries) <= set(self.table):
            raise LookupError(f"the table has no {', '.join(set(self.entries) - set(self.table))}")
        sound = dict(self.table)
        self.table.update(self.entries)
        try:
            yield
        finally:
            self.table.update(sound)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A bug of a port."""

    name: str
    family: str
    planting: Planting
    parts: tuple[str, ...]  # of the report, one of which must be named first
    quantity: str = ".*"  # which quantity of that part, as a regular expression

    def planted(self) -> contextlib.AbstractContextManager[None]:
        """See :class:`Planting`."""
        return self.planting.planted()


@dataclasses.dataclass(frozen=True)
class HarnessMutant:
    """A bug of the harness, and which of its self-tests must catch it."""

    name: str
    planting: Planting
    tests: tuple[str, ...]  # files below parity_tests/tests


@dataclasses.dataclass(frozen=True)
class ProductMutant:
    """A bug outside the model's equations, and which unit tests must catch it."""

    name: str
    family: str
    planting: Planting
    tests: tuple[str, ...]  # files below parity_tests/tests


def _swapped(table: Mapping[str, str], *pairs: tuple[str, str]) -> dict[str, str]:
    """Entries of a table with the values of each two exchanged."""
    return {a: table[b] for a, b in pairs} | {b: table[a] for a, b in pairs}


LSTM, LAYER_NORM, HYPER = ("LSTM cell alone",), ("layer-norm LSTM cell alone",), ("HyperLSTM cell alone",)
FORWARD, BACKWARD, DECODER = ("encoder, forward",), ("encoder, backward",), ("decoder",)
LAYERS = FORWARD + BACKWARD + DECODER
KEEP, MASK = ("dropout, keep probabilities",), ("dropout, values of a mask",)
MU, Z, START = ("mu", "presig"), ("z",), ("decoder, initial state",)
HEAD = ("head",)
MIXTURE = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits")
R_TRAINING, R_EVALUATION = ("r_cost, is_training 1",), ("r_cost, is_training 0",)
R_COST = R_TRAINING + R_EVALUATION
GRADIENTS, CLIPPED = ("gradients",), ("gradients, clipped",)
ADAM_M, ADAM_V, POWERS, WEIGHTS = ("Adam: m",), ("Adam: v",), ("Adam: powers",), ("weights after a step",)
CONSTANT = ("initial weights, constant or drawn by NumPy",)
DRAWN = ("initial weights, distribution of what TensorFlow draws",)
GREEDY, SAMPLED = ("sampling, greedy",), ("sampling at a temperature",)
LOADER = ("data loader",)
RATES = ("training: learning rate and KL weight",)
CONVERTED = ("checkpoint: weights as converted", "weights as loaded")
CONVERTED_STATE = ("checkpoint: optimizer state as converted",)
COSTS = ("training: costs",)

_GATES = (
    Mutant(
        "gates in torch's order: i, f, g, o", "gates",
        Text(cells.LSTMCell, "forward", ("i, j, f, o =", "i, f, j, o =")),
        LSTM, "[jf]",
    ),
    Mutant(
        "input and forget gate swapped", "gates",
        Text(cells.LayerNormLSTMCell, "forward", ("i, j, f, o =", "f, j, i, o =")),
        LAYER_NORM, "[if]",
    ),
    Mutant(
        "candidate and output gate swapped", "gates",
        Text(cells.HyperLSTMCell, "forward", ("i, j, f, o =", "i, o, f, j =")),
        HYPER, "[jo]",
    ),
    Mutant(
        "candidate without tanh", "gates",
        Text(cells.LSTMCell, "forward", ("dropped(torch.tanh(j), mask)", "dropped(j, mask)")),
        LSTM, "g",
    ),
    Mutant(
        "output gate inside the tanh", "gates",
        Text(
            cells.LSTMCell, "forward",
            ("torch.tanh(new_c) * torch.sigmoid(o)", "torch.tanh(new_c * torch.sigmoid(o))"),
        ),
        LSTM, "h",
    ),
    Mutant(
        "hard sigmoid on the input gate", "gates",
        Text(cells.LayerNormLSTMCell, "forward", ("torch.sigmoid(i)", "(0.2 * i + 0.5).clamp(0, 1)")),
        LAYER_NORM, "c",
    ),
)  # fmt: skip

_CELL_DESIGN = (
    Mutant(
        "inner hyper cell sees x only", "cell design",
        Text(
            cells.HyperLSTMCell, "forward",
            ("torch.cat([x, h], dim=1)", "torch.cat([x, torch.zeros_like(h)], dim=1)"),
        ),
        HYPER, "hyper_cell/total",
    ),
    Mutant(
        "HyperLSTM of another design: the gates read the inner cell's previous output", "cell design",
        Text(cells.HyperLSTMCell, "forward", ("z, inner_state = self", "z, (_, inner_state) = hyper_h, self")),
        HYPER, "hyper_[ijfo][xh]",
    ),
    Mutant(
        "HyperLSTM of another design: the bias is scaled as well", "cell design",
        Text(
            cells.HyperLSTMCell, "forward",
            ("self.hyper_ix(ix, z), self.hyper_ih(ih, z)", "self.hyper_ix(ix, z), self.hyper_ih(ih + ib, z) - ib"),
        ),
        HYPER, "hyper_ih",
    ),
    Mutant(
        "hyper norms scale without shifting", "cell design",
        Text(cells.HyperNorm, "forward", ("return alpha * gate + beta", "return alpha * gate + 0 * beta")),
        HYPER, "hyper_[ijfo]h",
    ),
    Mutant(
        "no layer norm", "cell design",
        Text(
            cells.LayerNorm, "forward",
            ("normal.flatten(1) * self.gamma + self.beta", "x + 0 * self.gamma * self.beta"),
        ),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "encoder without layer norm", "cell design",
        # the encoder alone reads five numbers, and a decoder without an encoder
        Text(
            cells.LayerNormLSTMCell, "forward",
            ("self.ln_all(total)", "(self.ln_all(total) * (len(self.W_xh) != 5) + total * (len(self.W_xh) == 5))"),
        ),
        FORWARD,
    ),
    Mutant(
        "layer norm fed back into the state", "cell design",
        Text(
            cells.LayerNormLSTMCell, "forward",
            ("LayerNormLSTMState(new_h, new_c)", "LayerNormLSTMState(new_h, normal_c)"),
        ),
        LAYER_NORM, "state",
    ),
    Mutant(
        "no layer norm on the way from c to h", "cell design",
        Text(cells.LayerNormLSTMCell, "forward", ("self.ln_c(new_c)", "new_c + 0 * self.ln_c(new_c)")),
        LAYER_NORM, "normal_c",
    ),
    Mutant(
        "coupled gates: 1 - f in the place of i", "cell design",
        Text(cells.HyperLSTMCell, "forward", ("torch.sigmoid(i) * g", "(1 - torch.sigmoid(f + FORGET_BIAS)) * g")),
        HYPER, "c",
    ),
)  # fmt: skip

_NUMBERS = (
    Mutant("forget bias missing", "biases", Value(cells, "FORGET_BIAS", 0.0), LSTM, "c"),
    Mutant("forget bias twice, stored and added", "biases", Value(cells, "FORGET_BIAS", 2.0), LSTM, "c"),
    Mutant("forget bias 0.9", "biases", Value(cells, "FORGET_BIAS", 0.9), LSTM, "c"),
    Mutant(
        "main bias of the HyperLSTM dropped with layer norm", "biases",
        Text(
            cells.HyperLSTMCell, "forward",
            ("ix + ih + ib, jx + jh + jb, fx + fh + fb, ox + oh + ob", "ix + ih + 0 * ib, jx + jh, fx + fh, ox + oh"),
        ),
        HYPER, "total",
    ),
    Mutant(
        "main bias of the HyperLSTM added behind layer norm", "biases",
        Text(
            cells.HyperLSTMCell, "forward",
            ("ix + ih + ib, jx + jh + jb, fx + fh + fb, ox + oh + ob", "ix + ih, jx + jh, fx + fh, ox + oh"),
            ("self.ln_all(total)", "(self.ln_all(total) + self.bias)"),
        ),
        HYPER, "total",
    ),
    Mutant(
        "latent layers without bias", "biases",
        Text(linear.Linear, "forward", ("x @ self.w + self.b", "x @ self.w + 0 * self.b")),
        MU + START,
    ),
    Mutant(
        "output layer without bias", "biases",
        Text(decoder.Decoder, "output_layer", ("+ self.output_b", "+ 0 * self.output_b")),
        HEAD,
    ),
    Mutant("layer-norm epsilon 1e-5", "epsilons", Value(cells, "LAYER_NORM_EPSILON", 1e-5), LAYER_NORM, "[ijfo]"),
    Mutant(
        "layer-norm epsilon outside the root", "epsilons",
        Text(
            cells.LayerNorm, "forward",
            ("centred * torch.rsqrt(", "centred / ("),
            ("keepdim=True) + LAYER_NORM_EPSILON", "keepdim=True).sqrt() + LAYER_NORM_EPSILON"),
        ),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant("density epsilon 1e-5", "epsilons", Value(losses, "DENSITY_EPSILON", 1e-5), R_COST),
    Mutant(
        "density without epsilon", "epsilons",
        Text(losses, "reconstruction_cost", ("-torch.logaddexp(log_density, floor)", "-log_density")),
        R_COST,
    ),
    Mutant(
        "density bounded from below by epsilon, not added to it", "epsilons",
        Text(losses, "reconstruction_cost", ("torch.logaddexp(", "torch.maximum(")),
        R_COST,
    ),
    Mutant("Adam's epsilon 1e-7", "epsilons", Value(optim, "EPSILON", 1e-7), WEIGHTS),
    Mutant(
        "unbiased variance", "variance",
        Text(
            cells.LayerNorm, "forward",
            ("centred.square().mean(dim=2, keepdim=True)", "blocks.var(dim=2, keepdim=True)"),
        ),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "layer norm over all four gates as one", "variance",
        Text(cells.LayerNorm, "forward", ("x.unflatten(1, (-1, self.num_units))", "x.unsqueeze(1)")),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "root of the mean square, the mean left in", "variance",
        Text(cells.LayerNorm, "forward", ("blocks - blocks.mean(dim=2, keepdim=True)", "blocks")),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "log variance taken for log deviation", "variance",
        Text(model.SketchRNN, "sample_latent", ("torch.exp(presig / 2)", "torch.exp(presig)")),
        Z,
    ),
    Mutant(
        "KL cost takes the log variance for a log deviation", "variance",
        Text(
            losses, "kl_divergence",
            ("1 + presig - mu.square() - presig.exp()", "1 + 2 * presig - mu.square() - (2 * presig).exp()"),
        ),
        ("kl_cost",),
    ),
)  # fmt: skip

_DROPOUT = (
    Mutant(
        "no dropout", "dropout",
        Text(model.SketchRNN, "_mask", ("if not (self.training and used):", "if True:")),
        LAYERS + KEEP,
    ),
    Mutant(
        "encoder without dropout", "dropout",
        Text(model.SketchRNN, "encode", ("self.hparams.use_recurrent_dropout,", "False,")),
        FORWARD + BACKWARD + KEEP,
    ),
    Mutant(
        "dropout left on in evaluation", "dropout",
        Text(model.SketchRNN, "_mask", ("if not (self.training and used):", "if not used:")),
        (*LAYERS, "encode", "encode (first 1)"),
    ),
    Mutant(
        "inner dropout of the HyperLSTM on", "dropout",
        Text(
            cells.HyperLSTMCell, "forward",
            ("inner_state, tape=", "inner_state, None if mask is None else mask[:, :1], tape="),
        ),
        HYPER, "hyper_cell/g",
    ),
    Mutant(
        "keep probability taken for that of dropping", "dropout",
        Text(model.SketchRNN, "_mask", ("shape, keep_prob,", "shape, 1 - keep_prob,")),
        KEEP,
    ),
    Mutant(
        "keep probability taken for that of dropping, where masks are drawn", "dropout",
        Text(draws.TorchDraws, "mask", ("bernoulli_(keep_prob,", "bernoulli_(1 - keep_prob,")),
        MASK,
    ),
    Mutant(
        "masks drawn without 1 / keep probability", "dropout",
        Text(draws.TorchDraws, "mask", (".div_(keep_prob)", "")),
        MASK,
    ),
    Mutant(
        "output dropout with the keep probability of the input's", "dropout",
        Text(model.SketchRNN, "decode", ("hparams.output_dropout_prob", "hparams.input_dropout_prob")),
        KEEP, "train/keep_prob/decoder/output",
    ),
    Mutant(
        "masks used without 1 / keep probability", "masks",
        Text(
            model.SketchRNN, "_mask",
            ("keep_prob, self.decoder.output_w)", "keep_prob, self.decoder.output_w) * keep_prob"),
        ),
        LAYERS, "train/.*/g",
    ),
    Mutant(
        "recurrent mask on h, not on the candidate", "masks",
        Text(
            cells.LSTMCell, "forward",
            ("dropped(torch.tanh(j), mask)", "torch.tanh(j)"),
            ("torch.tanh(new_c) * torch.sigmoid(o)", "dropped(torch.tanh(new_c) * torch.sigmoid(o), mask)"),
        ),
        LSTM, "g",
    ),
    Mutant(
        "recurrent mask on c, not on the candidate", "masks",
        Text(
            cells.LayerNormLSTMCell, "forward",
            ("dropped(torch.tanh(j), mask)", "torch.tanh(j)"),
            ("new_c = c *", "new_c = (1 if mask is None else mask) * (c *"),
            ("torch.sigmoid(i) * g", "torch.sigmoid(i) * g)"),
        ),
        LAYER_NORM, "g",
    ),
    Mutant("one mask for all steps", "masks", Text(sequence, "run", ("mask[t]", "mask[0]")), LAYERS, "train/.*/g"),
    Mutant(
        "backward encoder's masks in the order of the sketch", "masks",
        Text(
            encoder.Encoder, "forward",
            (
                "Masks(bw_mask)",
                "Masks(None if bw_mask is None else reverse_prefix(bw_mask.transpose(0, 1), lengths).transpose(0, 1))",
            ),
        ),
        BACKWARD, "train/.*/g",
    ),
    Mutant(
        "output dropout reaches the recurrent state", "masks",
        Text(
            sequence, "run",
            (
                "output = dropped(output, after)",
                "output = dropped(output, after)\n        new_state = new_state._replace(h=output)",
            ),
        ),
        DECODER,
    ),
    Mutant(
        "input dropout on the strokes, not on z", "masks",
        Text(
            decoder.Decoder, "forward",
            (
                "None, masks, tape)",
                "None, masks if masks.input is None else masks._replace(input=torch.cat("
                "[masks.input[..., :5], torch.ones_like(masks.input[..., 5:])], dim=2)), tape)",
            ),
        ),
        DECODER,
    ),
)  # fmt: skip

_SEQUENCES = (
    Mutant(
        "encoder ignores lengths", "lengths",
        Text(
            encoder.Encoder, "forward",
            ("run(self.fw, strokes, fw_start, lengths,", "run(self.fw, strokes, fw_start, None,"),
            ("run(self.bw, backwards, bw_start, lengths,", "run(self.bw, strokes.flip(1), bw_start, None,"),
        ),
        FORWARD + BACKWARD,
    ),
    Mutant(
        "state runs on behind the end of a sketch", "lengths",
        Text(sequence, "run", ("torch.where(alive, new, old)", "new")),
        FORWARD + BACKWARD, ".*state",
    ),
    Mutant(
        "backward direction ignores lengths at its end", "lengths",
        Text(
            encoder.Encoder, "forward",
            ("run(self.bw, backwards, bw_start, lengths,", "run(self.bw, backwards, bw_start, None,"),
        ),
        BACKWARD, ".*state",
    ),
    Mutant(
        "backward direction begins in the padding", "lengths",
        Text(encoder.Encoder, "forward", ("reverse_prefix(strokes, lengths)", "strokes.flip(1)")),
        BACKWARD,
    ),
    Mutant(
        "one point too few of each sketch", "lengths",
        Text(
            encoder.Encoder, "forward",
            ("backwards = reverse_prefix", "lengths = (lengths - 1).clamp(min=1)\n    backwards = reverse_prefix"),
        ),
        FORWARD + BACKWARD,
    ),
    Mutant(
        "encoder reads the start token", "order",
        Text(model.SketchRNN, "forward", ("sketches[:, 1:], lengths", "sketches[:, :-1], lengths")),
        FORWARD,
    ),
    Mutant(
        "decoder reads without the start token", "order",
        Text(model.SketchRNN, "forward", ("sketches[:, :-1], z", "sketches[:, 1:], z")),
        DECODER,
    ),
    Mutant(
        "targets shifted by one step", "order",
        Text(model.SketchRNN, "costs_of", ("self.as_input(sketches)[:, 1:]", "self.as_input(sketches)[:, :-1]")),
        R_TRAINING,
    ),
    Mutant(
        "layer-norm state packed as the LSTM's: c, h", "order",
        Text(
            cells.Cell, "unpack",
            (
                "*packed.split(self.state_sizes, dim=1)",
                "*packed.split(self.state_sizes, dim=1)[:: -1 if self.state_type is LayerNormLSTMState else 1]",
            ),
        ),
        LAYER_NORM, "total",
    ),
    Mutant(
        "LSTM state packed as the layer norm's: h, c", "order",
        Text(
            cells.Cell, "unpack",
            (
                "*packed.split(self.state_sizes, dim=1)",
                "*packed.split(self.state_sizes, dim=1)[:: -1 if self.state_type is LSTMState else 1]",
            ),
        ),
        LSTM, "[ijfo]",
    ),
    Mutant(
        "initial state split without regard to the packed order", "order",
        Text(
            decoder.Decoder, "initial_state",
            ("unpack(packed)", "unpack(torch.cat(packed.split(packed.shape[1] // 2, dim=1)[::-1], dim=1))"),
        ),
        DECODER + GREEDY,
    ),
    Mutant(
        "last outputs concatenated as backward, forward", "order",
        Text(encoder.Encoder, "posterior", ("[fw_state.h, bw_state.h]", "[bw_state.h, fw_state.h]")),
        MU,
    ),
    Mutant(
        "c, not h, of the last states", "order",
        Text(encoder.Encoder, "posterior", ("[fw_state.h, bw_state.h]", "[fw_state.c, bw_state.c]")),
        MU,
    ),
    Mutant(
        "mu and presig swapped", "latent vector",
        Text(
            encoder.Encoder, "posterior",
            ("self.mu(last_h), self.presig(last_h)", "self.presig(last_h), self.mu(last_h)"),
        ),
        MU,
    ),
    Mutant(
        "z without noise", "latent vector",
        Text(model.SketchRNN, "sample_latent", ("mu + torch", "mu + 0 * torch")),
        Z,
    ),
    Mutant(
        "initial state without tanh", "latent vector",
        Text(decoder.Decoder, "initial_state", ("torch.tanh(self.initial(z))", "self.initial(z)")),
        START,
    ),
    Mutant(
        "z fed at the first step alone", "latent vector",
        Text(
            decoder.Decoder, "forward",
            ("z.unsqueeze(1).expand(-1, steps, -1)", "torch.nn.functional.pad(z.unsqueeze(1), (0, 0, 0, steps - 1))"),
        ),
        DECODER,
    ),
    Mutant(
        "z in front of the stroke", "latent vector",
        Text(
            decoder.Decoder, "forward",
            ("[inputs, z.unsqueeze(1).expand(-1, steps, -1)]", "[z.unsqueeze(1).expand(-1, steps, -1), inputs]"),
        ),
        DECODER,
    ),
)  # fmt: skip

_COSTS = (
    Mutant(
        "pen block last", "mixture",
        Text(
            mixture.Mixture, "from_output",
            (
                "output[..., :3], *output[..., 3:].chunk(6, dim=-1)",
                "output[..., -3:], *output[..., :-3].chunk(6, dim=-1)",
            ),
        ),
        (*MIXTURE, "head"),  # our adapter gives the blocks of `head` in the order in which they were read
    ),
    Mutant(
        "blocks of mu2 and sigma1 swapped", "mixture",
        Text(
            mixture.Mixture, "from_output",
            ("*output[..., 3:].chunk(6, dim=-1)", "*(output[..., 3:].chunk(6, dim=-1)[k] for k in (0, 1, 3, 2, 4, 5))"),
        ),
        ("mu2", "sigma1", "head"),
    ),
    Mutant(
        "sigma by softplus", "mixture",
        Text(mixture.Mixture, "sigma1", ("self.log_sigma1.exp()", "F.softplus(self.log_sigma1)")),
        ("sigma1",),
    ),
    Mutant(
        "correlation without tanh", "mixture",
        Text(mixture.Mixture, "corr", ("self.corr_logits.tanh()", "self.corr_logits")),
        ("corr",),
    ),
    Mutant(
        "weights of the components by sigmoid", "mixture",
        Text(mixture.Mixture, "pi", ("F.softmax(self.pi_logits, dim=-1)", "self.pi_logits.sigmoid()")),
        ("pi",),
    ),
    Mutant(
        "density without the factor of the correlation", "mixture",
        Text(mixture.Mixture, "log_density", (" - 0.5 * _log_one_minus_tanh2(r)", "")),
        R_COST,
    ),
    Mutant(
        "density with pi not normalised", "mixture",
        Text(mixture.Mixture, "log_density", ("F.log_softmax(self.pi_logits, dim=-1)", "self.pi_logits")),
        R_COST,
    ),
    Mutant(
        "density of the best component alone", "mixture",
        Text(mixture.Mixture, "log_density", ("torch.logsumexp(", "torch.amax(")),
        R_COST,
    ),
    Mutant(
        "stroke loss averaged over unmasked steps only", "loss",
        Text(
            losses, "reconstruction_cost",
            ("(offset_loss + pen_loss).mean()", "offset_loss.sum() / drawn.sum() + pen_loss.mean()"),
        ),
        R_COST,
    ),
    Mutant(
        "pen loss a third: mean over the three states", "loss",
        Text(losses, "reconstruction_cost", (".sum(dim=-1)", ".mean(dim=-1)")),
        R_COST,
    ),
    Mutant(
        "stroke mask keeps the first end step", "loss",
        Text(losses, "reconstruction_cost", ("drawn = 1 - pen[..., 2]", "drawn = 1 - F.pad(pen[..., :-1, 2], (1, 0))")),
        R_COST,
    ),
    Mutant(
        "stroke loss of the padding counted", "loss",
        Text(losses, "reconstruction_cost", ("floor) * drawn", "floor)")),
        R_COST,
    ),
    Mutant(
        "divisor Nmax - 1", "loss",
        Text(losses, "reconstruction_cost", (".mean()", ".sum() / (len(drawn) * (drawn.shape[1] - 1))")),
        R_COST,
    ),
    Mutant(
        "divisor Nmax + 1: the start token counted", "loss",
        Text(losses, "reconstruction_cost", (".mean()", ".sum() / (len(drawn) * (drawn.shape[1] + 1))")),
        R_COST,
    ),
    Mutant(
        "sum over steps, mean over sketches", "loss",
        Text(losses, "reconstruction_cost", (".mean()", ".sum(dim=1).mean()")),
        R_COST,
    ),
    Mutant(
        "pen loss masked in training", "loss",
        Text(losses, "reconstruction_cost", ("if not is_training:", "if True:")),
        R_TRAINING,
    ),
    Mutant(
        "pen loss unmasked in evaluation", "loss",
        Text(losses, "reconstruction_cost", ("if not is_training:", "if False:")),
        R_EVALUATION,
    ),
    Mutant("no KL floor", "KL", Text(losses, "kl_cost", ("kl.clamp(min=tolerance)", "kl")), ("kl_cost",)),
    Mutant(
        "KL floor for each dimension", "KL",
        Text(
            losses, "kl_cost",
            (
                "kl_divergence(mu, presig)",
                "(-0.5 * (1 + presig - mu.square() - presig.exp())).clamp(min=tolerance).mean()",
            ),
        ),
        ("kl_cost",),
    ),
    Mutant(
        "KL floor that lets gradients through", "KL",
        Text(losses, "kl_cost", ("kl.clamp(min=tolerance)", "kl + (kl.clamp(min=tolerance) - kl).detach()")),
        GRADIENTS,
    ),
    Mutant(
        "KL floor of the weighted cost", "KL",
        Text(
            model.SketchRNN, "costs_of",
            (
                "r_cost + kl * kl_weight",
                "r_cost + (kl_cost(passed.mu, passed.presig, 0.0) * kl_weight).clamp(min=self.hparams.kl_tolerance)",
            ),
        ),
        ("cost",),
    ),
    Mutant("KL summed over z", "KL", Text(losses, "kl_divergence", (".mean()", ".sum(dim=1).mean()")), ("kl_cost",)),
    Mutant("KL cost without its weight", "KL", Text(model.SketchRNN, "costs_of", ("kl * kl_weight", "kl")), ("cost",)),
)  # fmt: skip

_TRAINING = (
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
        "KL weight approaches at the rate of the learning rate", "schedules",
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
            optim, "clip_by_value_",
            ("in parameters:", "in [] if torch.nn.utils.clip_grad_norm_(list(parameters), bound) else []:"),
        ),
        CLIPPED,
    ),
    Mutant(
        "clips by the norm of each gradient", "clipping",
        Text(
            optim, "clip_by_value_",
            ("clamp_(-bound, bound)", "mul_(min(1.0, bound / (float(parameter.grad.norm()) + 1e-12)))"),
        ),
        CLIPPED,
    ),
    Mutant(
        "no clip", "clipping",
        Text(optim, "clip_by_value_", ("parameter.grad.clamp_(-bound, bound)", "pass")),
        CLIPPED,
    ),
    Mutant(
        "clips from above only", "clipping",
        Text(optim, "clip_by_value_", ("clamp_(-bound, bound)", "clamp_(max=bound)")),
        CLIPPED,
    ),
    Mutant(
        "clips after Adam", "clipping",
        Text(
            trainer.Trainer, "apply_gradients",
            ("clip_by_value_(self.model.parameters(), self.hparams.grad_clip)", "pass"),
            (
                "self.optimizer.step()",
                "self.optimizer.step()\n    clip_by_value_(self.model.parameters(), self.hparams.grad_clip)",
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
            optim.TF1Adam, "_step_group",
            (
                "m * float(lr_t) / (v.sqrt() + float(epsilon))",
                "group['lr'] * (m / (1 - power1)) / ((v / (1 - power2)).sqrt() + float(epsilon))",
            ),
        ),
        WEIGHTS,
    ),
    Mutant(
        "Adam's epsilon inside the root", "Adam",
        Text(optim.TF1Adam, "_step_group", ("v.sqrt() + float(epsilon)", "(v + float(epsilon)).sqrt()")),
        WEIGHTS,
    ),
    Mutant("beta2 0.99", "Adam", Value(optim, "BETA2", 0.99), ADAM_V),
    Mutant(
        "no bias correction", "Adam",
        Text(optim.TF1Adam, "_step_group", ("* np.sqrt(number(1) - power2) / (number(1) - power1)", "")),
        WEIGHTS,
    ),
    Mutant(
        "bias correction a step ahead: powers multiplied up before their use", "Adam",
        Text(
            optim.TF1Adam, "_step_group",
            (
                'number(group["beta1_power"]), number(group["beta2_power"])',
                'number(group["beta1_power"] * beta1), number(group["beta2_power"] * beta2)',
            ),
        ),
        WEIGHTS,
    ),
    Mutant(
        "exact constants in the place of float32 ones", "Adam",
        Text(optim.TF1Adam, "_step_group", ("number(np.float32(constant))", "number(constant)")),
        ADAM_M,
    ),
    Mutant(
        "powers in float64", "Adam",
        Text(
            optim.TF1Adam, "_step_group",
            ('float(np.float32(group["beta1_power"]) * np.float32(BETA1))', 'group["beta1_power"] * BETA1'),
            ('float(np.float32(group["beta2_power"]) * np.float32(BETA2))', 'group["beta2_power"] * BETA2'),
        ),
        (*POWERS, "training: Adam's state"),
    ),
    Mutant(
        "weight decay", "Adam",
        Text(optim.TF1Adam, "_step_group", ("parameter.sub_(", 'parameter.mul_(1 - 1e-2 * group["lr"]).sub_(')),
        WEIGHTS,
    ),
    Mutant(
        "forget bias in the stored bias as well", "initialisers",
        Text(
            cells.LSTMCell, "__init__",
            ("torch.zeros(4 * num_units)", "torch.tensor([0.0, 0.0, 1.0, 0.0]).repeat_interleave(num_units)"),
        ),
        CONSTANT, ".*/bias",
    ),
    Mutant(
        "output bias zero", "initialisers",
        Text(
            model.SketchRNN, "reset_parameters",
            ("glorot_uniform_(self.decoder.output_b, generator)", "self.decoder.output_b.data.zero_()"),
        ),
        DRAWN, ".*/output_b",
    ),
    Mutant(
        "output bias with the fans of a matrix", "initialisers",
        Text(
            init, "glorot_uniform_",
            ("weight.shape[0], weight.shape[-1]", "weight.shape[0] ** (weight.ndim - 1), weight.shape[-1]"),
        ),
        DRAWN, ".*/output_b",
    ),
    Mutant(
        "W_hh orthogonal as a whole, not in four blocks", "initialisers",
        Text(
            init, "lstm_ortho_",
            ('[orthogonal(rng, rows, columns // 4) for _ in "ijfo"]', "[orthogonal(rng, rows, columns)]"),
        ),
        CONSTANT, ".*/W_hh",
    ),
    Mutant(
        "orthogonal blocks by QR", "initialisers",
        Text(init, "orthogonal", ("np.linalg.svd(", "(*np.linalg.qr("), (", full_matrices=False)", "), None)")),
        CONSTANT, ".*/W_hh",
    ),
    Mutant(
        "default initialisers of torch", "initialisers",
        Text(
            cells.Cell, "reset_parameters",
            ("glorot_uniform_(self.W_xh, generator)", "bound = self.num_units**-0.5"),
            (
                "lstm_ortho_(self.W_hh, rng)",
                "[w.data.uniform_(-bound, bound, generator=generator) for w in (self.W_xh, self.W_hh)]",
            ),
        ),
        CONSTANT + DRAWN, ".*/W_[xh]h",
    ),
    Mutant(
        "glorot normal in the place of uniform", "initialisers",
        Text(init, "glorot_uniform_", ("weight.uniform_(-limit, limit,", "weight.normal_(0.0, limit / 3**0.5,")),
        DRAWN,
    ),
    Mutant(
        "alpha of the hyper norms 0.1 in the place of 0.1 / e", "initialisers",
        Text(cells.HyperNorm, "__init__", ("0.10 / embedding_size", "0.10")),
        CONSTANT, ".*/alpha/super_linear_w",
    ),
    Mutant(
        "latent layers with deviation 0.01", "initialisers",
        Text(
            model.SketchRNN, "reset_parameters",
            ("gaussian_(self.encoder.mu.w, 0.001,", "gaussian_(self.encoder.mu.w, 0.01,"),
        ),
        DRAWN, ".*ENC_RNN_mu.*",
    ),
)  # fmt: skip

_SAMPLING = (
    Mutant(
        "temperature not applied to the pen", "sampling",
        Text(sampling, "sample", ('here["pen"], temperature,', 'here["pen"], 1.0,')),
        SAMPLED,
    ),
    Mutant(
        "temperature not applied to the component", "sampling",
        Text(sampling, "sample", ('here["pi"], temperature,', 'here["pi"], 1.0,')),
        SAMPLED,
    ),
    Mutant(
        "sigma times the root of the temperature", "sampling",
        Text(sampling, "_component", ("np.sqrt(temperature) * np.sqrt(temperature)", "np.sqrt(temperature)")),
        SAMPLED,
    ),
    Mutant(
        "probabilities divided by the temperature, not their logs", "sampling",
        Text(sampling, "_pick", ("np.log(pdf) / temperature", "np.log(pdf / temperature)")),
        SAMPLED,
    ),
    Mutant(
        "covariance without the correlation", "sampling",
        Text(sampling, "sample", ("corr * scale[0] * scale[1]", "0.0")),
        SAMPLED,
    ),
    Mutant(
        "pen drawn before the component", "sampling",
        Text(
            sampling, "sample",
            (
                '_pick(uniform.random(), here["pi"]',
                '_pick([first := uniform.random(), uniform.random()][1], here["pi"]',
            ),
            ('pen = _pick(uniform.random(), here["pen"]', 'pen = _pick(first, here["pen"]'),
        ),
        SAMPLED,
    ),
    Mutant(
        "one random number too few a step when greedy", "sampling",
        Text(
            sampling, "sample",
            ('_pick(uniform.random(), here["pi"]', '_pick(0.0 if greedy_mode else uniform.random(), here["pi"]'),
        ),
        GREEDY, ".*/next_uniform",
    ),
    Mutant(
        "a point drawn even when greedy, and thrown away", "sampling",
        Text(
            sampling, "sample",
            (
                "if not greedy_mode:",
                "normal.multivariate_normal(mean, np.eye(2)) if greedy_mode else None\n        if not greedy_mode:",
            ),
        ),
        GREEDY, ".*/next_normal",
    ),
    Mutant(
        "no z drawn where there is no encoder", "sampling",
        Text(sampling, "sample", ("if z is None:", "if z is None and model.hparams.conditional:")),
        GREEDY + SAMPLED,
    ),
    Mutant(
        "points fed back without being rounded to float32", "sampling",
        Text(sampling, "sample", ("*np.eye(3)[pen]], dtype=np.float32)", "*np.eye(3)[pen]], dtype=np.float64)")),
        GREEDY,
    ),
    Mutant(
        "sampling begins without the start token", "sampling",
        Text(sampling, "sample", ("np.array(START_TOKEN, dtype=np.float32)", "np.zeros(5, dtype=np.float32)")),
        GREEDY,
    ),
    Mutant(
        "sampling stops at the end of the sketch", "sampling",
        Text(
            sampling, "sample",
            ("strokes[step] = point", "strokes[step] = point\n        if pen == 2 and step:\n            break"),
        ),
        GREEDY + SAMPLED,
    ),
    Mutant(
        "greedy point is the mean over all components", "sampling",
        Text(
            sampling, "_component",
            (
                'mixture["mu1"][index], mixture["mu2"][index]',
                '(mixture["pi"] * mixture["mu1"]).sum(), (mixture["pi"] * mixture["mu2"]).sum()',
            ),
        ),
        GREEDY,
    ),
)  # fmt: skip

_DATA = (
    Mutant(
        "a scale factor for each axis", "data",
        Text(
            data.DataLoader, "calculate_normalizing_scale_factor",
            ("sketch[:, :2].ravel() for", "sketch[:, :2] for"),
            ("np.std(np.concatenate(offsets))", "np.std(np.concatenate(offsets), axis=0)"),
            ("if scale_factor == 0:", "if (scale_factor == 0).any():"),
        ),
        LOADER, "scale_factor",
    ),
    Mutant(
        "scale factor of dx alone", "data",
        Text(data.DataLoader, "calculate_normalizing_scale_factor", ("sketch[:, :2].ravel()", "sketch[:, 0]")),
        LOADER, "scale_factor",
    ),
    Mutant(
        "unbiased scale factor", "data",
        Text(
            data.DataLoader, "calculate_normalizing_scale_factor",
            ("np.concatenate(offsets))", "np.concatenate(offsets), ddof=1)"),
        ),
        LOADER, "scale_factor",
    ),
    Mutant(
        "scale factor of all splits", "data",
        Text(
            data, "join_sets",
            (
                "train.calculate_normalizing_scale_factor()",
                "DataLoader([s for each in (train, valid, test) for s in each.strokes], 1, longest, rng)"
                ".calculate_normalizing_scale_factor()",
            ),
        ),
        LOADER, "scale_factor",
    ),
    Mutant(
        "each split normalised by itself", "data",
        Text(
            data, "join_sets",
            ("loader.normalize(scale_factor)", "loader.normalize(loader.calculate_normalizing_scale_factor())"),
        ),
        LOADER, "valid/.*",
    ),
    Mutant(
        "normalised twice", "data",
        Text(data.DataLoader, "normalize", ("/= scale_factor", "/= scale_factor * scale_factor")),
        LOADER, "train/.*",
    ),
    Mutant(
        "large gaps not clamped", "data",
        Text(data, "_clamped", ("np.clip(sketch.astype(np.float64), -LIMIT, LIMIT)", "sketch")),
        LOADER, "scale_factor",
    ),
    Mutant(
        "sketches not sorted by length", "data",
        Text(data.DataLoader, "__init__", ("[kept[i] for i in order]", "list(kept)")),
        LOADER,
    ),
    Mutant(
        "long sketches cut, not dropped", "data",
        Text(
            data.DataLoader, "__init__",
            (
                "_clamped(sketch) for sketch in strokes if len(sketch) <= max_seq_len",
                "_clamped(sketch[:max_seq_len]) for sketch in strokes",
            ),
        ),
        (*LOADER, "data"),
    ),
    Mutant(
        "of several data sets the last alone", "data",
        Text(data, "join_sets", ("sketch for each in sets for", "sketch for each in sets[-1:] for")),
        (*LOADER, "data"),
    ),
    Mutant(
        "batch drawn with repetition", "data",
        Text(
            data.DataLoader, "random_batch",
            (
                "self.rng.permutation(len(self.strokes))[: self.batch_size]",
                "self.rng.randint(0, len(self.strokes), self.batch_size)",
            ),
        ),
        LOADER, "train/.*",
    ),
    Mutant(
        "padding with the pen lifted, not with the end", "data",
        Text(strokes, "to_big_strokes", ("big[length:, 4] = 1", "big[length:, 3] = 1")),
        LOADER, ".*/sketches",
    ),
    Mutant(
        "no start token", "data",
        Text(data, "_with_start", ("[START_TOKEN]", "[[0, 0, 0, 0, 0]]")),
        LOADER, ".*/sketches",
    ),
    Mutant(
        "scale drawn only where its factor is not 0", "augmentation",
        Text(
            data.DataLoader, "_augmented",
            ("for axis in range(2):", "for axis in range(2 if self.random_scale_factor > 0 else 0):"),
        ),
        LOADER, "train/1/.*",
    ),
    Mutant(
        "one scale for both axes", "augmentation",
        Text(data.DataLoader, "_augmented", ("for axis in range(2):", "for axis in (slice(0, 2),):")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "half the random scale", "augmentation",
        Text(data.DataLoader, "_augmented", ("- 0.5) * 2 *", "- 0.5) *")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "validation augmented as well", "augmentation",
        Text(data, "join_sets", ('if split == "train" else {}', "")),
        LOADER, "valid/0/.*",
    ),
    Mutant(
        "dropped point merged into the next one", "augmentation",
        Text(data, "augment_strokes", ("np.cumsum(~dropped)[dropped] - 1", "np.cumsum(~dropped)[dropped]")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "dropped point lost, not merged", "augmentation",
        Text(data, "augment_strokes", ("sketch[dropped, axis])", "0 * sketch[dropped, axis])")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "points dropped from the second of a stroke on: count > 1", "augmentation",
        Text(data, "augment_strokes", ("(since > 2)", "(since > 1)")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "no augmentation", "augmentation",
        Text(data.DataLoader, "_augmented", ("if self.augment_stroke_prob > 0:", "if False:")),
        LOADER, "train/0/.*",
    ),
)  # fmt: skip

# how the converter takes each weight from its source, and each slot and power of Adam
_WEIGHT = "ours: variables[official] for official, ours in plan.weights"
_SLOT = "ours: variables[official] for official, ours in plan.optimizer"
_LATENT = "vector_rnn/ENC_RNN_"


def _taken(text: str, value: str) -> Text:
    """A converter that takes another value, an expression in ``value``, ``official`` and ``ours``."""
    head, tail = text.split(": variables[official] ")
    changed = f"{head}: (lambda value, official, ours: {value})(variables[official], official, ours) {tail}"
    return Text(convert, "convert_variables", (text, changed))


_CONVERTER = (
    Mutant(
        "gamma and beta of a layer norm swapped", "converter",
        Entries(names.LAYER_NORM_CELL, _swapped(names.LAYER_NORM_CELL, ("ln_all/ln_gamma", "ln_all/ln_beta"))),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "hyper norms of input and output gate swapped", "converter",
        Entries(
            names.HYPER_CELL,
            _swapped(names.HYPER_CELL, *((f"hyper_ix/{name}", f"hyper_ox/{name}") for name in names.HYPER_SCALE)),
        ),
        HYPER, "hyper_[io]x",
    ),
    Mutant(
        "forward and backward encoder swapped", "converter",
        Value(
            names, "ENCODER_CELLS",
            tuple((names.ENCODER_CELLS[a][0], names.ENCODER_CELLS[1 - a][1]) for a in range(2)),
        ),
        FORWARD + BACKWARD,
    ),
    Mutant(
        "layers of mu and presig swapped", "converter",
        Entries(
            names.LATENT,
            _swapped(
                names.LATENT,
                *((f"{_LATENT}mu/super_linear_{n}", f"{_LATENT}sigma/super_linear_{n}") for n in "wb"),
            ),
        ),
        MU,
    ),
    Mutant(
        "W_hh transposed, then pressed into shape", "converter",
        _taken(_WEIGHT, 'value.T.reshape(value.shape) if official.endswith("W_hh") else value'),
        CONVERTED, ".*/W_hh",
    ),
    Mutant(
        "the converter adds the forget bias to the stored one", "converter",
        _taken(
            _WEIGHT,
            "value + np.repeat(np.float32([0, 0, 1, 0]), len(value) // 4) if official.endswith('/bias') else value",
        ),
        CONVERTED, ".*/bias",
    ),
    Mutant(
        "weights rounded to float16 on the way", "converter",
        _taken(_WEIGHT, "value.astype(np.float16).astype(value.dtype)"),
        CONVERTED,
    ),
    Mutant(
        "weights rounded to float32 on the way", "converter",
        # a checkpoint holds float32; those of a training in float64 alone are other numbers
        _taken(_WEIGHT, "value.astype(np.float32).astype(value.dtype)"),
        COSTS,
    ),
    Mutant(
        "Adam's slots m and v swapped", "converter",
        Entries(names.SLOTS, _swapped(names.SLOTS, ("m", "v"))),
        ADAM_M + ADAM_V,
    ),
    Mutant(
        "Adam's powers swapped", "converter",
        Entries(names.ADAM_POWERS, _swapped(names.ADAM_POWERS, ("beta1_power", "beta2_power"))),
        POWERS + WEIGHTS,
    ),
    Mutant(
        "Adam's powers left at their first values", "converter",
        _taken(
            _SLOT,
            "np.float32({'beta1_power': 0.9, 'beta2_power': 0.999}.get(ours, 0)) if 'power' in ours else value",
        ),
        CONVERTED_STATE, ".*_power",
    ),
    Mutant(
        "Adam's slots left at zero", "converter",
        _taken(_SLOT, 'np.zeros_like(value) if ours[:2] in ("m.", "v.") else value'),
        CONVERTED_STATE, ".*/Adam(_1)?",
    ),
)  # fmt: skip

# what mixed precision or a forgotten cast leaves in a model of float64: the smallest bugs of all
_PRECISION = (
    Mutant(
        "a sigmoid in float32", "precision",
        Text(cells.LSTMCell, "forward", ("torch.sigmoid(o)", "torch.sigmoid(o.float())")),
        LSTM, "h",
    ),
    Mutant(
        "layer norm in float32", "precision",
        Text(cells.LayerNorm, "forward", ("x.unflatten(", "x.float().unflatten(")),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "hyper norms in float32", "precision",
        Text(cells.HyperNorm, "forward", ("hyper_output @ self.zw_w +", "hyper_output.float() @ self.zw_w.float() +")),
        HYPER, "hyper_[ijfo][xh]",
    ),
    Mutant(
        "latent layers in float32", "precision",
        Text(linear.Linear, "forward", ("x @ self.w +", "x.float() @ self.w.float() +")),
        MU + START,
    ),
    Mutant(
        "deviation of z in float32", "precision",
        Text(model.SketchRNN, "sample_latent", ("torch.exp(presig / 2)", "torch.exp(presig.float() / 2)")),
        Z,
    ),
    Mutant(
        "z rounded to float32 where it is fed", "precision",
        Text(decoder.Decoder, "forward", ("z.unsqueeze(1)", "z.float().to(z.dtype).unsqueeze(1)")),
        DECODER,
    ),
    Mutant(
        "output layer in float32", "precision",
        Text(decoder.Decoder, "output_layer", ("hidden @ self.output_w", "hidden.float() @ self.output_w.float()")),
        HEAD,
    ),
    Mutant(
        "softmax in float32", "precision",
        Text(
            mixture.Mixture, "pi",
            ("self.pi_logits, dim=-1)", "self.pi_logits.float(), dim=-1).to(self.pi_logits.dtype)"),
        ),
        ("pi",),
    ),
    Mutant(
        "likelihood in float32", "precision",
        Text(
            losses, "reconstruction_cost",
            ("logaddexp(log_density, floor)", "logaddexp(log_density.float(), floor.float())"),
        ),
        R_COST,
    ),
    Mutant(
        "KL cost in float32", "precision",
        Text(losses, "kl_divergence", ("presig.exp()", "presig.float().exp()")),
        ("kl_cost",),
    ),
    Mutant(
        "gradients rounded to float32", "precision",
        Text(optim, "clip_by_value_", ("grad.clamp_(", "grad.copy_(parameter.grad.float()).clamp_(")),
        CLIPPED,
    ),
    Mutant(
        "root of v in float32", "precision",
        Text(optim.TF1Adam, "_step_group", ("v.sqrt()", "v.float().sqrt()")),
        WEIGHTS,
    ),
)  # fmt: skip

MUTANTS = (
    *_GATES, *_CELL_DESIGN, *_NUMBERS, *_DROPOUT, *_SEQUENCES, *_COSTS, *_TRAINING, *_SAMPLING, *_DATA, *_CONVERTER,
    *_PRECISION,
)  # fmt: skip

# what no recording can tell from the sound code, and why it is not among them
LEFT_OUT = {
    "component picked with > in the place of >=": "differs only where a random number of 53 bits equals a cumulated "
    "probability",
    "sigma times T, not sqrt(T) * sqrt(T)": "one rounding of float64 in a deviation; the point is rounded to float32",
    "z drawn behind the first point": "the first point needs it",
}
