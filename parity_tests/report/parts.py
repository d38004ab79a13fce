"""The part of the model and the kind of judgement that a row of the report belongs to."""

import re
from collections.abc import Iterable

from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED

# Pattern of a quantity -> its part; None: the quantity names its own part. The first match counts. The order is that of
# the table.
PARTS = (
    (
        r"(converted|exported)/.*(/Adam(_1)?|power|step|/Variable(_1)?)",
        "checkpoint: optimizer state, converted or exported",
    ),
    (r"(converted|exported)/.*", "checkpoint: weights, converted or exported"),
    (r"cell/.*: dropout_(values|share|mask)", "dropout, values of a mask"),
    (r"initial/.*: initial(/.*)?", "initial weights, constant or drawn by NumPy"),
    (r"initial/.*: distribution/.*", "initial weights, distribution of what TensorFlow draws"),
    (r"cell/lstm: .*", "LSTM cell alone"),
    (r"cell/layer_norm: .*", "layer-norm LSTM cell alone"),
    (r"cell/hyper: .*", "HyperLSTM cell alone"),
    (r"variables/.*", "weights as loaded"),
    (r"fed/train/(encoder/fw|encoder/bw|decoder)/(?!initial_state).*", "local: each step of a layer"),
    (r"fed/vjp/.*", "local: derivatives of each step"),
    (r"fed/train/(mu|presig|z|decoder/initial_state)", "local: latent vector and initial state"),
    (r"fed/train/(head|pi|mu1|mu2|sigma1|sigma2|corr|pen|pen_logits)", "local: output layer and mixture"),
    (r"fed/(train|eval)/.*cost", "local: costs"),
    (r"fed/loss/.*", "local: gradients of the cost to its inputs"),
    (r"fed/optimizer/.*", "local: clip and optimizer"),
    (r"prefix/.*", "the first points of a sketch"),
    (r"train/keep_prob/.*", "dropout, keep probabilities"),
    (r"(train|eval)/encoder/fw/.*", "encoder, forward"),
    (r"(train|eval)/encoder/bw/.*", "encoder, backward"),
    (r"(train|eval)/(mu|presig|z)", None),
    (r"(train|eval)/decoder/initial_state", "decoder, initial state"),
    (r"(train|eval)/decoder/.*", "decoder"),
    (r"(train|eval)/(head|pi|mu1|mu2|sigma1|sigma2|corr|pen|pen_logits)", None),
    (r"train/r_cost", "r_cost, is_training 1"),
    (r"eval/r_cost", "r_cost, is_training 0"),
    (r"(train|eval)/(kl_cost|cost)", None),
    (r"(train|eval)/nll", "likelihood of the strokes"),
    (r"gradient/together", "gradients, all together in L2"),
    (r"gradient/.*", "gradients"),
    (r"clipped/.*", "gradients, clipped"),
    (r"after/.*/Adam", "Adam: m"),
    (r"after/.*/Adam_1", "Adam: v"),
    (r"after/.*power", "Adam: powers"),
    (r"after/.*", "weights after a step"),
    (r"sample/greedy/.*", "sampling, greedy"),
    (r"sample/sampled/.*", "sampling at a temperature"),
    (r"(train|valid)/\d/.*|scale_factor", "data loader"),
    (r"(steps|resumed|continued)/(sketches|lengths)", "training: batches"),
    (r"(steps|resumed|continued)/(lr|kl_weight)", "training: learning rate and KL weight"),
    (r"(steps|resumed|continued)/(cost|r_cost|kl_cost)", "training: costs"),
    (r"validation(/.*)?", "training: validation costs"),
    (r"steps/gradient/.*", "training: gradients"),
    (r"steps/clipped/.*", "training: gradients, clipped"),
    (r"steps/after/.*/Adam(_1)?|steps/after/.*power", "training: Adam's state"),
    (r"steps/after/.*", "training: weights"),
    (r"fresh/.*", "training: the first step of a fresh optimizer"),
    (r"(resumed|continued)/.*", "training: the step after a checkpoint"),
    (r"free run: .*", "training: drift of a free run"),
)


def part_of(row: Row) -> str:
    """The part of the model that a quantity belongs to."""
    alone = row.recording.startswith(("cell/", "initial/"))
    name = f"{row.recording}: {row.quantity}" if alone else row.quantity
    for pattern, part in PARTS:
        if re.fullmatch(pattern, name):
            return part or name.split("/")[-1]
    return name


def in_order(parts: Iterable[str]) -> list[str]:
    """Parts in the order of the table."""
    return sorted(parts, key=_place)  # the sort is stable: parts of one pattern stay in the order in which they came


def _place(part: str) -> int:
    """The index of a part in :data:`PARTS`; parts that match nothing come last."""
    named = [index for index, (_, title) in enumerate(PARTS) if title == part]
    if named:
        return named[-1]
    own = (i for i, (pattern, title) in enumerate(PARTS) if title is None and re.fullmatch(pattern, f"train/{part}"))
    return next(own, len(PARTS))


LOCAL, ACCUMULATED, EXACT, DRAWN = KINDS = ("local", "accumulated", "exact", "drawn")


def kind_of(row: Row) -> str:
    """The kind of rule by which a row is judged; see :mod:`parity_tests.judge.tensor.comparison`."""
    if row.precision == "distribution":
        return DRAWN
    if row.precision == "exact" or re.fullmatch(r"(steps|resumed|continued)/(sketches|lengths)", row.quantity):
        return EXACT
    return LOCAL if row.quantity.startswith(FED) or row.recording.startswith("cell/") else ACCUMULATED
