"""Bugs that compute a part of a float64 model in float32."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import (
    CLIPPED,
    DECODER,
    HEAD,
    HYPER,
    LAYER_NORM,
    LSTM,
    MU,
    R_COST,
    START,
    WEIGHTS,
    Z,
)
from pytorch_sketch_rnn.model import cells, decoder, linear, losses, mixture, sequence, sketch_rnn
from pytorch_sketch_rnn.training import optim

# what mixed precision or a forgotten cast does in a float64 model: the smallest bugs of all
PRECISION_MUTANTS = (
    Mutant(
        "a sigmoid in float32", "precision",
        Text(cells.LSTMCell, "forward", ("torch.sigmoid(o)", "torch.sigmoid(o.float())")),
        LSTM, "h",
    ),
    Mutant(
        "layer norm in float32", "precision",
        Text(cells.LayerNorm, "forward", ("x.unflatten(", "x.float().unflatten(")),
        LAYER_NORM, "[ijfo]",
    ),
    Mutant(
        "hyper norms in float32", "precision",
        Text(cells.HyperNorm, "forward", ("hyper_output @ self.zw_w +", "hyper_output.float() @ self.zw_w.float() +")),
        HYPER, "hyper_[ijfo][xh]",
    ),
    Mutant(
        "latent layers in float32", "precision",
        Text(linear.Linear, "forward", ("x @ self.w +", "x.float() @ self.w.float() +")),
        MU + START,
    ),
    Mutant(
        "deviation of z in float32", "precision",
        Text(sketch_rnn.SketchRNN, "sample_latent", ("torch.exp(presig / 2)", "torch.exp(presig.float() / 2)")),
        Z,
    ),
    Mutant(
        "z rounded to float32 before the decoder reads it", "precision",
        Text(sequence, "run", ("constant.unsqueeze(1)", "constant.float().to(constant.dtype).unsqueeze(1)")),
        DECODER,
    ),
    Mutant(
        "output layer in float32", "precision",
        Text(decoder.Decoder, "output_layer", ("hidden @ self.output_w", "hidden.float() @ self.output_w.float()")),
        HEAD,
    ),
    Mutant(
        "softmax in float32", "precision",
        Text(
            mixture.Mixture, "pi",
            ("self.pi_logits, dim=-1)", "self.pi_logits.float(), dim=-1).to(self.pi_logits.dtype)"),
        ),
        ("pi",),
    ),
    Mutant(
        "likelihood in float32", "precision",
        Text(
            losses, "reconstruction_cost",
            ("logaddexp(log_density, floor)", "logaddexp(log_density.float(), floor.float())"),
        ),
        R_COST,
    ),
    Mutant(
        "KL cost in float32", "precision",
        Text(losses, "kl_divergence", ("presig.exp()", "presig.float().exp()")),
        ("kl_cost",),
    ),
    Mutant(
        "gradients rounded to float32", "precision",
        Text(optim, "clip_by_value", ("gradient.clamp(", "gradient.float().to(gradient.dtype).clamp(")),
        CLIPPED,
    ),
    Mutant(
        "root of v in float32", "precision",
        Text(optim.TF1Adam, "step_by", ("v.sqrt()", "v.float().sqrt()")),
        WEIGHTS,
    ),
)  # fmt: skip
