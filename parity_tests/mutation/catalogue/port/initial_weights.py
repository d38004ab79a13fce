"""Bugs in the initial weights."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import CONSTANT, DRAWN
from pytorch_sketch_rnn.model import cells, initializers, sketch_rnn

INITIAL_WEIGHT_MUTANTS = (
    Mutant(
        "forget bias also in the initial bias", "initialisers",
        Text(
            cells.LSTMCell, "__init__",
            ("torch.zeros(4 * num_units)", "torch.tensor([0.0, 0.0, 1.0, 0.0]).repeat_interleave(num_units)"),
        ),
        CONSTANT, ".*/bias",
    ),
    Mutant(
        "output bias zero", "initialisers",
        Text(
            sketch_rnn.SketchRNN, "reset_parameters",
            ("glorot_uniform_(self.decoder.output_b, generator)", "self.decoder.output_b.data.zero_()"),
        ),
        DRAWN, ".*/output_b",
    ),
    Mutant(
        "output bias drawn with the fans of a matrix", "initialisers",
        Text(
            initializers, "glorot_uniform_",
            ("weight.shape[0], weight.shape[-1]", "weight.shape[0] ** (weight.ndim - 1), weight.shape[-1]"),
        ),
        DRAWN, ".*/output_b",
    ),
    Mutant(
        "W_hh orthogonal as a whole, not in four blocks", "initialisers",
        Text(
            initializers, "lstm_ortho_",
            ('[orthogonal(rng, rows, columns // 4) for _ in "ijfo"]', "[orthogonal(rng, rows, columns)]"),
        ),
        CONSTANT, ".*/W_hh",
    ),
    Mutant(
        "orthogonal blocks by QR", "initialisers",
        Text(initializers, "orthogonal", ("np.linalg.svd(", "(*np.linalg.qr("), (", full_matrices=False)", "), None)")),
        CONSTANT, ".*/W_hh",
    ),
    Mutant(
        "torch's default initialisers", "initialisers",
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
        "Glorot normal instead of uniform", "initialisers",
        Text(
            initializers, "glorot_uniform_",
            ("weight.uniform_(-limit, limit,", "weight.normal_(0.0, limit / 3**0.5,"),
        ),
        DRAWN,
    ),
    Mutant(
        "alpha of the hyper norms 0.1 instead of 0.1 / e", "initialisers",
        Text(cells.HyperNorm, "__init__", ("0.10 / embedding_size", "0.10")),
        CONSTANT, ".*/alpha/super_linear_w",
    ),
    Mutant(
        "latent layers with deviation 0.01", "initialisers",
        Text(
            sketch_rnn.SketchRNN, "reset_parameters",
            ("gaussian_(self.encoder.mu.w, 0.001,", "gaussian_(self.encoder.mu.w, 0.01,"),
        ),
        DRAWN, ".*ENC_RNN_mu.*",
    ),
)  # fmt: skip
