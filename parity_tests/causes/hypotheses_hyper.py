"""Possible bugs of the HyperLSTM besides those of the catalogue; see :mod:`parity_tests.causes.hypotheses`."""

from parity_tests.mutation.bugs import Hypothesis, Text
from parity_tests.mutation.catalogue.port.parts import HYPER
from pytorch_sketch_rnn.model import cells


def _hyper(*changes: tuple[str, str]) -> Text:
    return Text(cells.HyperLSTMCell, "forward", *changes)


def _other_norm(norm: str, values: str, groups: int, epsilon: str) -> str:
    """A layer norm written out, so that it changes in one place only."""
    blocks = f"{values}.unflatten(1, ({groups}, -1))"
    normal = f"torch.nn.functional.layer_norm({blocks}, (self.num_units,), eps={epsilon}).flatten(1)"
    return f"({normal} * self.{norm}.gamma + self.{norm}.beta)"


# In a HyperLSTM only the inner cell is a layer-norm LSTM, so a change of that class is one of the inner cell.
_INNER = (
    Hypothesis(
        "inner hyper cell without layer norm",
        "cell design",
        Text(
            cells.LayerNormLSTMCell,
            "forward",
            ("self.ln_all(total)", "(total + 0 * self.ln_all(total))"),
            ("self.ln_c(new_c)", "new_c"),
        ),
        HYPER,
        sentence="the inner hyper cell has no layer norm",
    ),
    Hypothesis(
        "inner hyper cell with epsilon 1e-5",
        "epsilons",
        Text(
            cells.LayerNormLSTMCell,
            "forward",
            ("self.ln_all(total)", _other_norm("ln_all", "total", 4, "1e-5")),
            ("self.ln_c(new_c)", _other_norm("ln_c", "new_c", 1, "1e-5")),
        ),
        HYPER,
        sentence="the layer norm's epsilon of the inner hyper cell is 1e-5, Magenta's is 1e-3",
    ),
    Hypothesis(
        "inner hyper cell without the forget bias",
        "biases",
        Text(cells.LayerNormLSTMCell, "forward", ("f + FORGET_BIAS", "f")),
        HYPER,
        sentence="the inner hyper cell does not add the forget bias 1",
    ),
    Hypothesis(
        "inner dropout of the HyperLSTM on, with the outer mask's first units",
        "dropout",
        _hyper(("inner_state, tape=", "inner_state, None if mask is None else mask[:, : self.hyper_num_units], tape=")),
        HYPER,
        sentence="recurrent dropout acts inside the inner hyper cell, Magenta's inner cell has none",
    ),
)

HYPER_HYPOTHESES = (
    *_INNER,
    Hypothesis(
        "outer hyper cell with epsilon 1e-5",
        "epsilons",
        _hyper(
            ("self.ln_all(total)", _other_norm("ln_all", "total", 4, "1e-5")),
            ("self.ln_c(new_c)", _other_norm("ln_c", "new_c", 1, "1e-5")),
        ),
        HYPER,
        sentence="the layer norm's epsilon of the outer hyper cell is 1e-5, Magenta's is 1e-3",
    ),
    Hypothesis(
        "outer hyper cell without the forget bias",
        "biases",
        _hyper(("f + FORGET_BIAS", "f")),
        HYPER,
        sentence="the outer hyper cell does not add the forget bias 1",
    ),
    Hypothesis(
        "outer hyper cell without layer norm",
        "cell design",
        _hyper(("self.ln_all(total)", "total"), ("self.ln_c(new_c)", "new_c")),
        HYPER,
        sentence="the outer hyper cell has no layer norm",
    ),
    Hypothesis(
        "outer hyper cell without ln_all",
        "cell design",
        _hyper(("self.ln_all(total)", "total")),
        HYPER,
        sentence="the gates of the outer hyper cell are not normalised",
    ),
    Hypothesis(
        "outer hyper cell without ln_c",
        "cell design",
        _hyper(("self.ln_c(new_c)", "new_c")),
        HYPER,
        sentence="the outer hyper cell does not normalise c on its way to h",
    ),
    Hypothesis(
        "outer hyper cell keeps the normalised c",
        "cell design",
        _hyper(("inner_state.h, new_c, inner", "inner_state.h, normal_c, inner")),
        HYPER,
        sentence="the outer hyper cell keeps the normalised c as its state, Magenta's keeps c as it is",
    ),
    Hypothesis(
        "inner hyper cell reads [h, x]",
        "order",
        _hyper(("torch.cat([x, h], dim=1)", "torch.cat([h, x], dim=1)")),
        HYPER,
        sentence="the inner hyper cell reads [h, x], Magenta's [x, h]",
    ),
    Hypothesis(
        "hyper norms read the inner c",
        "cell design",
        _hyper(("ix, jx, fx, ox =", "z = inner_state.c\n    ix, jx, fx, ox =")),
        HYPER,
        sentence="the hyper norms read the inner cell's c, Magenta's read its h",
    ),
    Hypothesis(
        "inner state packed as c, h",
        "order",
        _hyper(("LayerNormLSTMState(hyper_h, hyper_c)", "LayerNormLSTMState(hyper_c, hyper_h)")),
        HYPER,
        sentence="h and c of the inner hyper cell are swapped in the packed state",
    ),
    Hypothesis(
        "hyper norms without scale",
        "cell design",
        Text(
            cells.HyperNorm,
            "forward",
            ("return alpha * gate + beta", "return gate + beta + 0 * alpha"),
            ("return alpha * gate\n", "return gate + 0 * alpha\n"),
        ),
        HYPER,
        sentence="the hyper norms do not scale the gates",
    ),
    Hypothesis(
        "hyper norms without the bias of zw",
        "biases",
        Text(cells.HyperNorm, "forward", ("+ self.zw_b", "+ 0 * self.zw_b")),
        HYPER,
        sentence="the scale of the hyper norms lacks the bias of zw",
    ),
    Hypothesis(
        "hyper norms of the x and the h side swapped",
        "cell design",
        _hyper(
            *(
                (
                    f"self.hyper_{g}x({g}x, z), self.hyper_{g}h({g}h, z)",
                    f"self.hyper_{g}h({g}x, z), self.hyper_{g}x({g}h, z)",
                )
                for g in "ijfo"
            )
        ),
        HYPER,
        sentence="the hyper norms of the x side and of the h side are swapped",
    ),
)
