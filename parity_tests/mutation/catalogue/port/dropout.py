"""Bugs in dropout and its masks."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import (
    BACKWARD,
    DECODER,
    FORWARD,
    HYPER,
    KEEP,
    LAYER_NORM,
    LAYERS,
    LSTM,
    MASK,
)
from pytorch_sketch_rnn.model import cells, draws, sequence, sketch_rnn

DROPOUT_MUTANTS = (
    Mutant(
        "no dropout", "dropout",
        Text(
            sketch_rnn.SketchRNN, "_mask",
            ('self.training and getattr(self.hparams, f"use_{kind}_dropout")', "False"),
        ),
        LAYERS + KEEP,
    ),
    Mutant(
        "encoder without dropout", "dropout",
        Text(sketch_rnn.SketchRNN, "encode", ('self._mask(f"encoder/{side}/recurrent", shape, draws)', "None")),
        FORWARD + BACKWARD + KEEP,
    ),
    Mutant(
        "dropout left on in evaluation", "dropout",
        Text(sketch_rnn.SketchRNN, "_mask", ("self.training and ", "")),
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
        "keep probability used as drop probability", "dropout",
        Text(sketch_rnn.SketchRNN, "_mask", ("shape, getattr(", "shape, 1 - getattr(")),
        KEEP,
    ),
    Mutant(
        "keep probability used as drop probability where masks are drawn", "dropout",
        Text(draws.GeneratorMask, "tensor", ("bernoulli_(self.keep_prob,", "bernoulli_(1 - self.keep_prob,")),
        MASK,
    ),
    Mutant(
        "masks drawn without 1 / keep probability", "dropout",
        Text(draws.GeneratorMask, "tensor", (".div_(self.keep_prob)", "")),
        MASK,
    ),
    Mutant(
        "output dropout with the input's keep probability", "dropout",
        Text(
            sketch_rnn.SketchRNN, "_mask",
            ('f"{kind}_dropout_prob"', 'f"{kind}_dropout_prob".replace("output", "input")'),
        ),
        KEEP, "train/keep_prob/decoder/output",
    ),
    Mutant(
        "masks used without 1 / keep probability", "masks",
        Text(sequence, "_by_step", ("mask.tensor(like)", "mask.tensor(like).sign()")),
        LAYERS, "train/.*/g",
    ),
    Mutant(
        "recurrent mask on h, not on the candidate", "masks",
        Text(
            cells.LSTMCell, "forward",
            ("apply_mask(torch.tanh(j), mask)", "torch.tanh(j)"),
            ("torch.tanh(new_c) * torch.sigmoid(o)", "apply_mask(torch.tanh(new_c) * torch.sigmoid(o), mask)"),
        ),
        LSTM, "g",
    ),
    Mutant(
        "recurrent mask on c, not on the candidate", "masks",
        Text(
            cells.LayerNormLSTMCell, "forward",
            ("apply_mask(torch.tanh(j), mask)", "torch.tanh(j)"),
            ("new_c = c *", "new_c = (1 if mask is None else mask) * (c *"),
            ("torch.sigmoid(i) * g", "torch.sigmoid(i) * g)"),
        ),
        LAYER_NORM, "g",
    ),
    Mutant(
        "one mask for all steps", "masks",
        Text(sequence, "_by_step", (".unbind(dim=1)", ".unbind(dim=1)[:1] * like.shape[1]")),
        LAYERS, "train/.*/g",
    ),
    Mutant(
        "backward encoder's masks in the order of the sketch", "masks",
        Text(
            sequence, "run_both",
            (
                "Masks(masks[1])",
                "Masks(masks[1] and type('', (), {'tensor': lambda _, like: "
                "reverse_prefix(masks[1].tensor(like), lengths)})())",
            ),
        ),
        BACKWARD, "train/.*/g",
    ),
    Mutant(
        "output dropout reaches the recurrent state", "masks",
        Text(
            sequence, "run",
            (
                "output = apply_mask(output, after[t])",
                "output = apply_mask(output, after[t])\n        new_state = new_state._replace(h=output)",
            ),
        ),
        DECODER,
    ),
    Mutant(
        "input dropout on the strokes, not on z", "masks",
        Text(
            sequence, "run",
            (
                "apply_mask(x, before[t])",
                "torch.cat([apply_mask(x[:, :5], None if before[t] is None else before[t][:, :5]), x[:, 5:]], dim=1)",
            ),
        ),
        DECODER,
    ),
)  # fmt: skip
