"""Possible bugs of the three cells, besides those of the catalogue; see :mod:`parity_tests.causes.hypotheses`."""

import itertools
from collections.abc import Iterator

from parity_tests.mutation.bugs import Entries, Hypothesis, Text
from parity_tests.mutation.catalogue.port.parts import HYPER, LAYER_NORM, LSTM
from pytorch_sketch_rnn.model import cells
from weight_port import names

# for each cell: its class, its part of the report, its name in a sentence, and what its last tanh reads
_CELLS = (
    (cells.LSTMCell, LSTM, "the LSTM", "new_c"),
    (cells.LayerNormLSTMCell, LAYER_NORM, "the layer-norm LSTM (also inside a HyperLSTM)", "normal_c"),
    (cells.HyperLSTMCell, HYPER, "the HyperLSTM's outer cell", "normal_c"),
)
_MASKED = "apply_mask(torch.tanh(j), mask)"
_ALL_GATES = ("torch.sigmoid(f + FORGET_BIAS)", "torch.sigmoid(i)", "torch.sigmoid(o)")
_HARD = {
    "Keras": ("({} / 5 + 0.5).clamp(0, 1)", "clip(0.2 x + 0.5, 0, 1)"),
    "torch": ("({} / 6 + 0.5).clamp(0, 1)", "clip(x / 6 + 0.5, 0, 1)"),
}


def _for_each_cell() -> Iterator[Hypothesis]:
    """Bugs that any of the three cells may have."""
    for cell, part, called, last in _CELLS:
        for what, family, sentence, *changes in _cell_changes(last):
            yield Hypothesis(
                f"{cell.__name__}: {what}",
                family,
                Text(cell, "forward", *changes),
                part,
                sentence=f"in {called}, {sentence}",
            )


def _cell_changes(last: str) -> Iterator[tuple]:
    """Name, family, sentence and the changes of text; ``last`` is what the tanh of the output reads."""
    output = f"torch.tanh({last}) * torch.sigmoid(o)"
    for order in itertools.permutations("ijfo"):
        stored = ", ".join(order)
        if stored != "i, j, f, o":
            sentence = f"the four blocks of the gates are taken as {stored}, Magenta stores them as i, j, f, o"
            yield f"gates {stored}", "gates", sentence, ("i, j, f, o =", f"{stored} =")
    yield "candidate without tanh", "gates", "the candidate has no tanh", (_MASKED, "apply_mask(j, mask)")
    yield (
        "candidate by sigmoid",
        "gates",
        "the candidate goes through a sigmoid, Magenta's through tanh",
        (_MASKED, "apply_mask(torch.sigmoid(j), mask)"),
    )
    yield (
        "output gate inside the tanh",
        "gates",
        "the output gate is inside the tanh, Magenta multiplies after it",
        (output, f"torch.tanh({last} * torch.sigmoid(o))"),
    )
    yield "no tanh before the output", "gates", "h is c o without tanh", (output, f"{last} * torch.sigmoid(o)")
    for library, (formula, said) in _HARD.items():
        yield (
            f"hard sigmoids of {library}",
            "gates",
            f"the gates are {said}, {library}'s hard sigmoid, not the logistic one",
            *((gate, formula.format(f"({gate[14:-1]})")) for gate in _ALL_GATES),
        )
    yield (
        "coupled gates",
        "cell design",
        "the input gate is 1 - f",
        ("torch.sigmoid(i) * g", "(1 - torch.sigmoid(f + FORGET_BIAS)) * g"),
    )
    yield (
        "forget bias on the input gate",
        "biases",
        "the forget bias 1 is added to the input gate",
        ("f + FORGET_BIAS", "f"),
        ("torch.sigmoid(i)", "torch.sigmoid(i + FORGET_BIAS)"),
    )
    yield from _dropout_changes(output)


def _dropout_changes(output: str) -> Iterator[tuple]:
    yield "no recurrent dropout", "dropout", "there is no recurrent dropout", (_MASKED, "torch.tanh(j)")
    yield (
        "recurrent mask without 1 / keep probability",
        "masks",
        "the recurrent mask is not divided by the keep probability",
        (_MASKED, "torch.tanh(j) if mask is None else torch.tanh(j) * (mask > 0)"),
    )
    yield (
        "recurrent mask before the tanh of the candidate",
        "masks",
        "the recurrent mask acts on the candidate before its tanh, Magenta's after it",
        (_MASKED, "torch.tanh(apply_mask(j, mask))"),
    )
    yield (
        "recurrent mask on the new h",
        "masks",
        "the recurrent mask acts on the new h, Magenta's on the candidate tanh(j) alone",
        (_MASKED, "torch.tanh(j)"),
        (output, f"apply_mask({output}, mask)"),
    )
    yield (
        "recurrent mask on the new c",
        "masks",
        "the recurrent mask acts on the new c, Magenta's on the candidate tanh(j) alone",
        (_MASKED, "torch.tanh(j)"),
        ("new_c = c *", "new_c = (1 if mask is None else mask) * (c *"),
        ("torch.sigmoid(i) * g", "torch.sigmoid(i) * g)"),
    )
    yield (
        "recurrent mask on the old h",
        "masks",
        "the recurrent mask acts on the h that W_hh reads, Magenta's on the candidate tanh(j) alone",
        (_MASKED, "torch.tanh(j)"),
        ("h @ self.W_hh", "apply_mask(h, mask) @ self.W_hh"),
    )
    yield (
        "recurrent mask on the old c",
        "masks",
        "the recurrent mask acts on the old c, Magenta's on the candidate tanh(j) alone",
        (_MASKED, "torch.tanh(j)"),
        ("new_c = c *", "new_c = apply_mask(c, mask) *"),
    )


def _epsilons() -> Iterator[Hypothesis]:
    for value in (1e-2, 1e-4, 1e-6, 1e-7, 1e-8, 1e-12, 0.0):
        yield Hypothesis(
            f"layer-norm epsilon {value:g}",
            "epsilons",
            _norm(("self.epsilon", f"{value!r}")),
            LAYER_NORM,
            sentence=f"the layer norm's epsilon is {value:g}, Magenta's is 1e-3",
        )
    for what, groups in (("gates (ln_all)", ">"), ("c (ln_c)", "==")):
        yield Hypothesis(
            f"layer-norm epsilon 1e-5 on {what} alone",
            "epsilons",
            _norm(("+ self.epsilon", f"+ (1e-5 if blocks.shape[1] {groups} 1 else self.epsilon)")),
            LAYER_NORM,
            sentence=f"the epsilon of the layer norm of {what} is 1e-5, Magenta's is 1e-3 throughout",
        )


def _norm(*changes: tuple[str, str]) -> Text:
    return Text(cells.LayerNorm, "forward", *changes)


_VARIANCE = "centred.square().mean(dim=2, keepdim=True)"
_ROOT = f"torch.rsqrt({_VARIANCE} + self.epsilon)"
_LAYER_NORMS = (
    *_epsilons(),
    Hypothesis(
        "epsilon outside the root of the unbiased variance",
        "epsilons",
        _norm((_ROOT, "(1 / (blocks.std(dim=2, keepdim=True) + self.epsilon))")),
        LAYER_NORM,
        sentence="the layer norm divides by the unbiased deviation plus epsilon; Magenta's variance is biased, with "
        "epsilon inside the root",
    ),
    Hypothesis(
        "variance bounded from below by epsilon",
        "epsilons",
        _norm((f"{_VARIANCE} + self.epsilon", f"{_VARIANCE}.clamp(min=self.epsilon)")),
        LAYER_NORM,
        sentence="the layer norm's variance is max(variance, epsilon), Magenta's is their sum",
    ),
    Hypothesis(
        "unbiased variance in ln_c alone",
        "variance",
        _norm((_VARIANCE, "blocks.var(dim=2, keepdim=True, unbiased=blocks.shape[1] == 1)")),
        LAYER_NORM,
        sentence="the layer norm of c takes the unbiased variance, Magenta's the biased one",
    ),
    Hypothesis(
        "layer norm without gamma",
        "cell design",
        _norm(("* self.gamma", "+ 0 * self.gamma")),
        LAYER_NORM,
        sentence="the layer norm does not multiply by gamma",
    ),
    Hypothesis(
        "layer norm without beta",
        "cell design",
        _norm(("+ self.beta", "+ 0 * self.beta")),
        LAYER_NORM,
        sentence="the layer norm does not add beta",
    ),
    Hypothesis(
        "1 + gamma instead of gamma",
        "cell design",
        _norm(("* self.gamma", "* (1 + self.gamma)")),
        LAYER_NORM,
        sentence="the layer norm multiplies by 1 + gamma, Magenta's by gamma",
    ),
    Hypothesis(
        "layer norm divides by the variance",
        "variance",
        _norm(("torch.rsqrt(", "torch.reciprocal(")),
        LAYER_NORM,
        sentence="the layer norm divides by the variance, Magenta's by its root",
    ),
    Hypothesis(
        "x W and h W normalised separately",
        "cell design",
        Text(
            cells.LayerNormLSTMCell,
            "forward",
            ("self.ln_all(total)", "(self.ln_all(x @ self.W_xh) + self.ln_all(h @ self.W_hh))"),
        ),
        LAYER_NORM,
        sentence="x W_xh and h W_hh are normalised apart, Magenta normalises their sum",
    ),
    Hypothesis(
        "gamma and beta of ln_c swapped",
        "converter",
        Entries(names.LAYER_NORM_CELL, {"ln_c/ln_gamma": "ln_c.beta", "ln_c/ln_beta": "ln_c.gamma"}),
        LAYER_NORM,
        sentence="gamma and beta of the layer norm of c are swapped",
    ),
    Hypothesis(
        "gamma and beta of a HyperLSTM's ln_all swapped",
        "converter",
        Entries(names.HYPER_CELL, {"ln_all/ln_gamma": "ln_all.beta", "ln_all/ln_beta": "ln_all.gamma"}),
        HYPER,
        sentence="gamma and beta of the HyperLSTM's ln_all are swapped",
    ),
    Hypothesis(
        "gamma and beta of a HyperLSTM's ln_c swapped",
        "converter",
        Entries(names.HYPER_CELL, {"ln_c/ln_gamma": "ln_c.beta", "ln_c/ln_beta": "ln_c.gamma"}),
        HYPER,
        sentence="gamma and beta of the HyperLSTM's ln_c are swapped",
    ),
)

_LSTM = (
    Hypothesis(
        "LSTM without bias",
        "biases",
        Text(cells.LSTMCell, "forward", ("+ self.bias", "+ 0 * self.bias")),
        LSTM,
        sentence="the LSTM has no bias",
    ),
    Hypothesis(
        "LSTM's bias added twice",
        "biases",
        Text(cells.LSTMCell, "forward", ("+ self.bias", "+ 2 * self.bias")),
        LSTM,
        sentence="the LSTM's bias is added twice (b_ih and b_hh of torch's LSTM are summed)",
    ),
)

CELL_HYPOTHESES = (*_for_each_cell(), *_LSTM, *_LAYER_NORMS)
