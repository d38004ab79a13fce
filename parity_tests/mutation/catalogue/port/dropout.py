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
from pytorch_sketch_rnn.model import cells, decoder, draws, encoder, sequence, sketch_rnn

DROPOUT_MUTANTS = (
    Mutant(
        "no dropout", "dropout",
        Text(sketch_rnn.SketchRNN, "_mask", ("if not (self.training and used):", "if True:")),
        LAYERS + KEEP,
    ),
    Mutant(
        "encoder without dropout", "dropout",
        Text(sketch_rnn.SketchRNN, "encode", ("self.hparams.use_recurrent_dropout,", "False,")),
        FORWARD + BACKWARD + KEEP,
    ),
    Mutant(
        "dropout left on in evaluation", "dropout",
        Text(sketch_rnn.SketchRNN, "_mask", ("if not (self.training and used):", "if not used:")),
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
        Text(sketch_rnn.SketchRNN, "_mask", ("shape, keep_prob,", "shape, 1 - keep_prob,")),
        KEEP,
    ),
    Mutant(
        "keep probability used as drop probability where masks are drawn", "dropout",
        Text(draws.TorchDraws, "mask", ("bernoulli_(keep_prob,", "bernoulli_(1 - keep_prob,")),
        MASK,
    ),
    Mutant(
        "masks drawn without 1 / keep probability", "dropout",
        Text(draws.TorchDraws, "mask", (".div_(keep_prob)", "")),
        MASK,
    ),
    Mutant(
        "output dropout with the input's keep probability", "dropout",
        Text(sketch_rnn.SketchRNN, "decode", ("hparams.output_dropout_prob", "hparams.input_dropout_prob")),
        KEEP, "train/keep_prob/decoder/output",
    ),
    Mutant(
        "masks used without 1 / keep probability", "masks",
        Text(
            sketch_rnn.SketchRNN, "_mask",
            ("keep_prob, self.decoder.output_w)", "keep_prob, self.decoder.output_w) * keep_prob"),
        ),
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
                "output = apply_mask(output, after)",
                "output = apply_mask(output, after)\n        new_state = new_state._replace(h=output)",
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
