"""Bugs in the lengths and the order of sequences, and in the latent vector."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import (
    BACKWARD,
    DECODER,
    FORWARD,
    GREEDY,
    LAYER_NORM,
    LSTM,
    MU,
    R_TRAINING,
    START,
    Z,
)
from pytorch_sketch_rnn.model import cells, decoder, encoder, sequence, sketch_rnn

SEQUENCE_MUTANTS = (
    Mutant(
        "encoder ignores lengths", "lengths",
        Text(
            sequence, "run_both",
            ("run(fw, inputs, fw_start, lengths,", "run(fw, inputs, fw_start, None,"),
            ("run(bw, backwards, bw_start, lengths,", "run(bw, inputs.flip(1), bw_start, None,"),
        ),
        FORWARD + BACKWARD,
    ),
    Mutant(
        "state not frozen after the end of a sketch", "lengths",
        Text(sequence, "run", ("torch.where(alive, new, old)", "new")),
        FORWARD + BACKWARD, ".*state",
    ),
    Mutant(
        "backward state not frozen after its last point", "lengths",
        Text(
            sequence, "run_both",
            ("run(bw, backwards, bw_start, lengths,", "run(bw, backwards, bw_start, None,"),
        ),
        BACKWARD, ".*state",
    ),
    Mutant(
        "backward direction starts in the padding", "lengths",
        Text(sequence, "run_both", ("reverse_prefix(inputs, lengths)", "inputs.flip(1)")),
        BACKWARD,
    ),
    Mutant(
        "encoder stops one point early", "lengths",
        Text(
            sequence, "run_both",
            ("backwards = reverse_prefix", "lengths = (lengths - 1).clamp(min=1)\n    backwards = reverse_prefix"),
        ),
        FORWARD + BACKWARD,
    ),
    Mutant(
        "encoder reads the start token", "order",
        Text(sketch_rnn.SketchRNN, "forward", ("sketches[:, 1:], lengths", "sketches[:, :-1], lengths")),
        FORWARD,
    ),
    Mutant(
        "decoder reads without the start token", "order",
        Text(sketch_rnn.SketchRNN, "forward", ("sketches[:, :-1], z", "sketches[:, 1:], z")),
        DECODER,
    ),
    Mutant(
        "targets shifted by one step", "order",
        Text(sketch_rnn.SketchRNN, "costs_of", ("self.as_input(sketches)[:, 1:]", "self.as_input(sketches)[:, :-1]")),
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
        "initial state split in the wrong order", "order",
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
        "last c instead of last h", "order",
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
        Text(sketch_rnn.SketchRNN, "sample_latent", ("mu + torch", "mu + 0 * torch")),
        Z,
    ),
    Mutant(
        "initial state without tanh", "latent vector",
        Text(decoder.Decoder, "initial_state", ("torch.tanh(self.initial(z))", "self.initial(z)")),
        START,
    ),
    Mutant(
        "z fed only at the first step", "latent vector",
        Text(
            sequence, "run",
            (
                "constant.unsqueeze(1).expand(-1, inputs.shape[1], -1)",
                "torch.nn.functional.pad(constant.unsqueeze(1), (0, 0, 0, inputs.shape[1] - 1))",
            ),
        ),
        DECODER,
    ),
    Mutant(
        "z concatenated before the stroke", "latent vector",
        Text(
            sequence, "run",
            (
                "[inputs, constant.unsqueeze(1).expand(-1, inputs.shape[1], -1)]",
                "[constant.unsqueeze(1).expand(-1, inputs.shape[1], -1), inputs]",
            ),
        ),
        DECODER,
    ),
)  # fmt: skip
