"""Bugs in the cells: the gates and the design of each cell."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import FORWARD, HYPER, LAYER_NORM, LSTM
from pytorch_sketch_rnn.model import cells

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
        Text(cells.LSTMCell, "forward", ("apply_mask(torch.tanh(j), mask)", "apply_mask(j, mask)")),
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
        # five inputs: the encoder, and a decoder without an encoder
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
        "no layer norm between c and h", "cell design",
        Text(cells.LayerNormLSTMCell, "forward", ("self.ln_c(new_c)", "new_c + 0 * self.ln_c(new_c)")),
        LAYER_NORM, "normal_c",
    ),
    Mutant(
        "coupled gates: 1 - f instead of i", "cell design",
        Text(cells.HyperLSTMCell, "forward", ("torch.sigmoid(i) * g", "(1 - torch.sigmoid(f + FORGET_BIAS)) * g")),
        HYPER, "c",
    ),
)  # fmt: skip

CELL_MUTANTS = (*_GATES, *_CELL_DESIGN)
