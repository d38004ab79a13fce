"""Possible bugs outside the cells, besides those of the catalogue; see :mod:`parity_tests.causes.hypotheses`."""

from collections.abc import Iterator

from parity_tests.mutation.bugs import Hypothesis, Text, Value
from parity_tests.mutation.catalogue.port.parts import BACKWARD, DECODER, FORWARD, MIXTURE, MU, R_COST, START
from parity_tests.mutation.catalogue.port.parts import Z as LATENT
from pytorch_sketch_rnn.model import decoder, encoder, losses, mixture, sequence
from pytorch_sketch_rnn.model import sketch_rnn as model

_DEVIATION = "torch.exp(presig / 2)"
_EXPANDED = "constant.unsqueeze(1).expand(-1, inputs.shape[1], -1)"

_WHOLE = "lengths = torch.full_like(lengths, inputs.shape[1])\n    "
_START = "inputs = torch.nn.functional.pad(inputs, (0, 0, 1, 0))\n    inputs[:, 0, 2] = 1\n    "

_LATENT = (
    Hypothesis(
        "presig taken for the deviation",
        "latent vector",
        Text(model.SketchRNN, "sample_latent", (_DEVIATION, "presig")),
        LATENT,
        sentence="presig is taken for the deviation of z, it is the log of the variance",
    ),
    Hypothesis(
        "presig taken for the variance",
        "latent vector",
        Text(model.SketchRNN, "sample_latent", (_DEVIATION, "presig.abs().sqrt()")),
        LATENT,
        sentence="presig is taken for the variance of z, it is the log of the variance",
    ),
    Hypothesis(
        "deviation of z by softplus",
        "latent vector",
        Text(model.SketchRNN, "sample_latent", (_DEVIATION, "torch.nn.functional.softplus(presig)")),
        LATENT,
        sentence="the deviation of z is softplus(presig), Magenta's is exp(presig / 2)",
    ),
    Hypothesis(
        "mu instead of z",
        "latent vector",
        Text(
            model.SketchRNN,
            "forward",
            ("z = self.sample_latent(", "z = mu + 0 * self.sample_latent("),
        ),
        LATENT,
        sentence="z is mu: no noise is drawn in training",
    ),
    Hypothesis(
        "backward encoder's output at the last point",
        "lengths",
        Text(
            sequence,
            "run_both",
            ("_, bw_state = run(", "bw_output, bw_state = run("),
            ('tape.scope("bw"), outputs=False)', 'tape.scope("bw"))'),
            ("return fw_state, bw_state", "return fw_state, bw_state._replace(h=bw_output[:, 0])"),
        ),
        MU,
        sentence="of the backward encoder the output after its first step is taken (the last one in the order of the "
        "sketch, as output[:, -1] gives it), Magenta takes the state after its last step",
    ),
    Hypothesis(
        "last output regardless of length",
        "lengths",
        Text(
            sequence,
            "run_both",
            ("_, fw_state = run(", "fw_output, fw_state = run("),
            ('tape.scope("fw"), outputs=False)', 'tape.scope("fw"))'),
            ("_, bw_state = run(", "bw_output, bw_state = run("),
            ('tape.scope("bw"), outputs=False)', 'tape.scope("bw"))'),
            (
                "return fw_state, bw_state",
                "return fw_state._replace(h=fw_output[:, -1]), bw_state._replace(h=bw_output[:, -1])",
            ),
        ),
        MU,
        sentence="mu and presig are computed from the output of the last step, which is zero after the end of a sketch",
    ),
    Hypothesis(
        "encoder reads the start token and the padding",
        "lengths",
        Text(sequence, "run_both", ("backwards = ", f"{_START}{_WHOLE}backwards = ")),
        FORWARD + BACKWARD,
        sentence="the encoder reads the start token and the padding, Magenta's the points alone",
    ),
    Hypothesis(
        "both directions summed",
        "order",
        Text(
            encoder.Encoder,
            "posterior",
            ("[fw_state.h, bw_state.h]", "[fw_state.h + bw_state.h, 0 * bw_state.h]"),
        ),
        MU,
        sentence="the last outputs of both directions are summed, Magenta concatenates them",
    ),
    Hypothesis(
        "backward encoder reads forwards",
        "order",
        Text(sequence, "run_both", ("run(bw, backwards,", "run(bw, inputs,")),
        BACKWARD,
        sentence="the backward encoder reads the sketch from its first point on",
    ),
    Hypothesis(
        "initial state of zeros",
        "latent vector",
        Text(decoder.Decoder, "initial_state", ("torch.tanh(self.initial(z))", "0 * torch.tanh(self.initial(z))")),
        START,
        sentence="the decoder starts from zero, Magenta's from tanh(linear(z))",
    ),
    Hypothesis(
        "z not fed to the decoder",
        "latent vector",
        Text(sequence, "run", (_EXPANDED, f"0 * {_EXPANDED}")),
        DECODER,
        sentence="the decoder does not read z at its steps, only in its initial state",
    ),
)

_SPLIT = "*output[..., 3:].chunk(6, dim=-1)"
_SPLIT_BY = "*(lambda pi, mu1, mu2, s1, s2, r: ({}))(*output[..., 3:].chunk(6, dim=-1))"
_LOG_SOFTMAX = "F.log_softmax(mixture.pen_logits, dim=-1)"


def _split(fields: str) -> Text:
    """Other fields of the mixture, from ``pi``, ``mu1``, ``mu2``, ``s1``, ``s2`` and ``r``; the loss sees them too."""
    return Text(mixture.Mixture, "from_output", (_SPLIT, _SPLIT_BY.format(fields)))


def _mixtures() -> Iterator[Hypothesis]:
    for name, formula, said in (
        ("softplus", "F.softplus({0}).log()", "softplus of the output"),
        ("elu + 1", "(F.elu({0}) + 1).log()", "elu of the output plus 1"),
        ("the magnitude", "{0}.abs().log()", "the magnitude of the output"),
        ("exp of half", "{0} / 2", "exp of half the output (the output taken for a log variance)"),
        ("exp + 1e-3", "({0}.exp() + 1e-3).log()", "exp of the output plus 1e-3"),
    ):
        yield Hypothesis(
            f"sigma by {name}, in the loss too",
            "mixture",
            _split(f"pi, mu1, mu2, {formula.format('s1')}, {formula.format('s2')}, r"),
            MIXTURE,
            sentence=f"sigma is {said}, Magenta's is exp of the output",
        )
    for factor in (0.9, 0.95, 0.99, 0.999):
        yield Hypothesis(
            f"correlation times {factor}",
            "mixture",
            _split(f"pi, mu1, mu2, s1, s2, ({factor} * r.tanh()).atanh()"),
            MIXTURE,
            sentence=f"the correlation is {factor} tanh(output), Magenta's is tanh(output)",
        )
    for name, fields in (
        ("mu1 and mu2", "pi, mu2, mu1, s1, s2, r"),
        ("sigma1 and sigma2", "pi, mu1, mu2, s2, s1, r"),
        ("pi and the correlation", "r, mu1, mu2, s1, s2, pi"),
    ):
        yield Hypothesis(
            f"blocks of {name} swapped",
            "mixture",
            _split(fields),
            MIXTURE,
            sentence=f"the decoder's outputs of {name} are swapped",
        )
    yield Hypothesis(
        "parameters interleaved",
        "mixture",
        Text(mixture.Mixture, "from_output", (_SPLIT, "*output[..., 3:].unflatten(-1, (-1, 6)).unbind(-1)")),
        MIXTURE,
        sentence="the output holds six parameters for each component in turn, Magenta's a block for each parameter",
    )


def _density() -> Iterator[Hypothesis]:
    for value in (1e-2, 1e-3, 1e-4, 1e-7, 1e-8, 1e-10, 1e-12, 1e-20):
        yield Hypothesis(
            f"density epsilon {value:g}",
            "epsilons",
            Value(losses, "DENSITY_EPSILON", value),
            R_COST,
            sentence=f"the epsilon inside the log of the density is {value:g}, Magenta's is 1e-6",
        )
    for name, sentence, change in (
        ("without 2 pi", "the density lacks its factor 1 / (2 pi)", (" - math.log(2 * math.pi)", "")),
        (
            "without the deviations",
            "the density lacks its factor 1 / (sigma1 sigma2)",
            (" - self.log_sigma1 - self.log_sigma2", ""),
        ),
        (
            "with the correlation's factor squared",
            "the density is divided by 1 - corr^2, Magenta's by its root",
            ("- 0.5 * _log_one_minus_tanh2(r)", "- _log_one_minus_tanh2(r)"),
        ),
        (
            "without the half of the exponent",
            "the exponent of the density lacks its factor 1/2",
            ("-(along.square() + across.square())", "-2 * (along.square() + across.square())"),
        ),
    ):
        yield Hypothesis(
            f"density {name}", "loss", Text(mixture.Mixture, "log_density", change), R_COST, sentence=sentence
        )


def _loss(name: str, sentence: str, *changes: tuple[str, str]) -> Hypothesis:
    return Hypothesis(name, "loss", Text(losses, "reconstruction_cost", *changes), R_COST, sentence=sentence)


_TOTAL = "(offset_loss + pen_loss).mean()"
_DENSITY = "mixture.log_density(x1, x2)"
_FLOORED = "-torch.logaddexp(log_density, floor) * drawn"
_LOSSES = (
    *(
        _loss(
            f"variances regularised by {value:g}{without}",
            f"{value:g} is added to the variances of the density{also}; Magenta's are not regularised",
            (_DENSITY, f"mixture.regularized({value!r}).log_density(x1, x2)"),
            *changes,
        )
        for value in (1e-6, 1e-4, 1e-3)
        for without, also, changes in (
            ("", "", ()),
            (
                ", no epsilon in the log",
                ", and there is no epsilon inside its log",
                ((_FLOORED, "-log_density * drawn"),),
            ),
        )
    ),
    _loss(
        "each loss averaged over the steps that it counts",
        "each loss is averaged over the steps that it counts, Magenta divides both by all B x T steps",
        (
            _TOTAL,
            "offset_loss.sum() / drawn.sum() + (pen_loss.mean() if is_training else pen_loss.sum() / drawn.sum())",
        ),
    ),
    _loss(
        "both losses averaged over unmasked steps only",
        "both losses are averaged over the unmasked steps, Magenta divides both by all B x T steps",
        (_TOTAL, "((offset_loss + pen_loss) * drawn).sum() / drawn.sum()"),
    ),
    _loss(
        "pen loss averaged over unmasked steps only",
        "the pen loss is averaged over the unmasked steps, Magenta divides by all B x T steps",
        (_TOTAL, "offset_loss.mean() + (pen_loss * drawn).sum() / drawn.sum()"),
    ),
    _loss(
        "losses summed",
        "the losses are summed over steps and sketches, Magenta takes their mean",
        (_TOTAL, "(offset_loss + pen_loss).sum()"),
    ),
    _loss("stroke loss only", "the pen loss is missing", (_TOTAL, "offset_loss.mean() + 0 * pen_loss.mean()")),
    _loss("pen loss only", "the stroke loss is missing", (_TOTAL, "pen_loss.mean() + 0 * offset_loss.mean()")),
    _loss(
        "stroke loss divided by Nmax - 1, pen loss by Nmax",
        "the stroke loss is divided by one step less, Magenta divides by all B x T steps",
        (_TOTAL, "offset_loss.sum() / (len(drawn) * (drawn.shape[1] - 1)) + pen_loss.mean()"),
    ),
    _loss(
        "pen loss divided by Nmax - 1, stroke loss by Nmax",
        "the pen loss is divided by one step less, Magenta divides by all B x T steps",
        (_TOTAL, "offset_loss.mean() + pen_loss.sum() / (len(drawn) * (drawn.shape[1] - 1))"),
    ),
    _loss(
        "one loss that counts the padding's pen, divisor Nmax - 1",
        "both losses are divided by one step less, and the pen loss of the padding counts in evaluation too",
        (_TOTAL, "(offset_loss + pen_loss).sum() / (len(drawn) * (drawn.shape[1] - 1))"),
        ("if not is_training:", "if False:"),
    ),
    _loss(
        "one loss that counts the padding's pen a third, the stroke mask keeps the first end step",
        "the pen loss is a third of Magenta's (a mean over the three states) and counts the padding in evaluation too, "
        "and the stroke mask keeps the first end step",
        (".sum(dim=-1)", ".mean(dim=-1)"),
        ("drawn = 1 - pen[..., 2]", "drawn = 1 - F.pad(pen[..., :-1, 2], (1, 0))"),
        ("if not is_training:", "if False:"),
    ),
    _loss(
        "losses divided by each sketch's length",
        "the losses of each sketch are divided by its length, Magenta divides by all steps",
        (_TOTAL, "((offset_loss + pen_loss).sum(dim=1) / drawn.sum(dim=1).clamp(min=1)).mean()"),
    ),
    _loss(
        "stroke loss divided by each sketch's length",
        "the stroke loss of each sketch is divided by its length, Magenta divides by all steps",
        (_TOTAL, "(offset_loss.sum(dim=1) / drawn.sum(dim=1).clamp(min=1)).mean() + pen_loss.mean()"),
    ),
    _loss(
        "pen loss a third, the stroke mask keeps the first end step",
        "the pen loss is a third of Magenta's (a mean over "
        "the three states), and the stroke mask keeps the first end step",
        (".sum(dim=-1)", ".mean(dim=-1)"),
        ("drawn = 1 - pen[..., 2]", "drawn = 1 - F.pad(pen[..., :-1, 2], (1, 0))"),
    ),
    *(
        _loss(
            f"pen loss with epsilon {value:g}",
            f"the pen loss takes the log of the probability plus {value:g}, Magenta's has no epsilon",
            (_LOG_SOFTMAX, f"(F.softmax(mixture.pen_logits, dim=-1) + {value!r}).log()"),
        )
        for value in (1e-3, 1e-5, 1e-6, 1e-8)
    ),
    Hypothesis(
        "KL floor for each sketch",
        "KL",
        Text(
            losses,
            "kl_cost",
            (
                "kl_divergence(mu, presig)",
                "(-0.5 * (1 + presig - mu.square() - presig.exp()).mean(dim=1)).clamp(min=tolerance).mean()",
            ),
        ),
        ("kl_cost",),
        sentence="the KL cost of each sketch has the floor, Magenta's is that of the mean",
    ),
    Hypothesis(
        "KL floor subtracted",
        "KL",
        Text(losses, "kl_cost", ("kl.clamp(min=tolerance)", "(kl - tolerance).clamp(min=0)")),
        ("kl_cost",),
        sentence="the KL tolerance is subtracted: max(KL - tolerance, 0), Magenta's is max(KL, tolerance)",
    ),
    Hypothesis(
        "KL cost twice as large",
        "KL",
        Text(losses, "kl_divergence", ("-0.5 *", "-1.0 *")),
        ("kl_cost",),
        sentence="the KL cost lacks its factor 1/2",
    ),
    Hypothesis(
        "KL summed over z and the batch",
        "KL",
        Text(losses, "kl_divergence", (".mean()", ".sum()")),
        ("kl_cost",),
        sentence="the KL cost is summed over z and the batch, Magenta's is their mean",
    ),
)

MODEL_HYPOTHESES = (*_LATENT, *_mixtures(), *_density(), *_LOSSES)
