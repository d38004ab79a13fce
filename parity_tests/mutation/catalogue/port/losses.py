"""Bugs in the mixture, the losses and the KL cost."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import GRADIENTS, MIXTURE, R_COST, R_EVALUATION, R_TRAINING
from pytorch_sketch_rnn.model import losses, mixture, sketch_rnn

LOSS_MUTANTS = (
    Mutant(
        "pen block last", "mixture",
        Text(
            mixture.Mixture, "from_output",
            (
                "output[..., :3], *output[..., 3:].chunk(6, dim=-1)",
                "output[..., -3:], *output[..., :-3].chunk(6, dim=-1)",
            ),
        ),
        (*MIXTURE, "head"),  # our adapter returns the blocks of `head` in the order in which they were read
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
        "mixture weights by sigmoid instead of softmax", "mixture",
        Text(mixture.Mixture, "pi", ("F.softmax(self.pi_logits, dim=-1)", "self.pi_logits.sigmoid()")),
        ("pi",),
    ),
    Mutant(
        "density without the correlation's factor", "mixture",
        Text(mixture.Mixture, "log_density", (" - 0.5 * _log_one_minus_tanh2(r)", "")),
        R_COST,
    ),
    Mutant(
        "density with unnormalised pi", "mixture",
        Text(mixture.Mixture, "log_density", ("F.log_softmax(self.pi_logits, dim=-1)", "self.pi_logits")),
        R_COST,
    ),
    Mutant(
        "density of only the best component", "mixture",
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
            sketch_rnn.SketchRNN, "costs_of",
            (
                "r_cost + kl * kl_weight",
                "r_cost + (kl_cost(passed.mu, passed.presig, 0.0) * kl_weight).clamp(min=self.hparams.kl_tolerance)",
            ),
        ),
        ("cost",),
    ),
    Mutant("KL summed over z", "KL", Text(losses, "kl_divergence", (".mean()", ".sum(dim=1).mean()")), ("kl_cost",)),
    Mutant(
        "KL cost without its weight", "KL",
        Text(sketch_rnn.SketchRNN, "costs_of", ("kl * kl_weight", "kl")),
        ("cost",),
    ),
)  # fmt: skip
