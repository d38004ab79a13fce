"""Bugs in biases, epsilons and variances."""

from parity_tests.mutation.bugs import Mutant, Text, Value
from parity_tests.mutation.catalogue.port.parts import HEAD, HYPER, LAYER_NORM, LSTM, MU, R_COST, START, WEIGHTS, Z
from pytorch_sketch_rnn.model import cells, decoder, linear, losses, sketch_rnn
from pytorch_sketch_rnn.training import optim

CONSTANT_MUTANTS = (
    Mutant("forget bias missing", "biases", Value(cells, "FORGET_BIAS", 0.0), LSTM, "c"),
    Mutant("forget bias stored and added again", "biases", Value(cells, "FORGET_BIAS", 2.0), LSTM, "c"),
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
        "main bias of the HyperLSTM added after layer norm", "biases",
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
    Mutant(
        "layer-norm epsilon 1e-5", "epsilons", Text(cells.LayerNorm, "forward", ("self.epsilon", "1e-5")),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "layer-norm epsilon outside the root", "epsilons",
        Text(
            cells.LayerNorm, "forward",
            ("centred * torch.rsqrt(", "centred / ("),
            ("keepdim=True) + self.epsilon", "keepdim=True).sqrt() + self.epsilon"),
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
        "density is max(density, epsilon), not their sum", "epsilons",
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
        "layer norm without subtracting the mean", "variance",
        Text(cells.LayerNorm, "forward", ("blocks - blocks.mean(dim=2, keepdim=True)", "blocks")),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "log variance used as log deviation", "variance",
        Text(sketch_rnn.SketchRNN, "sample_latent", ("torch.exp(presig / 2)", "torch.exp(presig)")),
        Z,
    ),
    Mutant(
        "KL cost uses the log variance as log deviation", "variance",
        Text(
            losses, "kl_divergence",
            ("1 + presig - mu.square() - presig.exp()", "1 + 2 * presig - mu.square() - (2 * presig).exp()"),
        ),
        ("kl_cost",),
    ),
)  # fmt: skip
