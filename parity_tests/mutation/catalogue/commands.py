"""Bugs of the commands: what is evaluated, and what is drawn on a page."""

from parity_tests.mutation.bugs import ProductMutant, Text
from pytorch_sketch_rnn.commands import evaluate as evaluate_command
from pytorch_sketch_rnn.commands import sample as sample_command
from pytorch_sketch_rnn.data import drawing
from pytorch_sketch_rnn.model import sampling
from pytorch_sketch_rnn.training import evaluation

_EVALUATION = ("training/test_evaluation.py",)
_PAGE = ("data/test_drawing.py",)
_SAMPLE = ("package/test_cli_sample.py",)

COMMAND_MUTANTS = (
    ProductMutant(
        "Magenta's evaluation with the last KL weight", "evaluation",
        Text(evaluation, "magenta_costs", ("model.hparams.kl_weight_start", "model.hparams.kl_weight")),
        _EVALUATION,
    ),
    ProductMutant(
        "Magenta's evaluation does not count the padding", "evaluation",
        Text(evaluation, "magenta_costs", ("is_training=True", "is_training=False")),
        _EVALUATION,
    ),
    ProductMutant(
        "Magenta's evaluation in the order of the file", "evaluation",
        Text(
            evaluation, "magenta_batches",
            ("np.argsort([len(sketch) for sketch in split.sketches])", "np.arange(len(split.sketches))"),
        ),
        _EVALUATION,
    ),
    ProductMutant(
        "Magenta's evaluation loses the last whole batch", "evaluation",
        Text(evaluation, "magenta_batches", ("- batch_size + 1, batch_size)", "- batch_size, batch_size)")),
        _EVALUATION,
    ),
    ProductMutant(
        "Magenta's evaluation pads to the longest sketch of the split", "evaluation",
        Text(
            evaluation, "evaluate_as_magenta",
            ("for split in stroke_set.splits.values()", "for split in [stroke_set.splits[names[-1]]]"),
        ),
        _EVALUATION,
    ),
    ProductMutant(
        "our evaluation keeps sketches that training leaves out", "evaluation",
        Text(evaluation, "_kept", ("order[lengths[order] <= limit]", "order")),
        _EVALUATION,
    ),
    ProductMutant(
        "our evaluation ignores reg_covar and the seed", "evaluation",
        Text(evaluation, "evaluate_as_trained", ("model.hparams), options)", "model.hparams))")),
        _EVALUATION,
    ),
    ProductMutant(
        "a given scale factor is ignored", "evaluation",
        Text(
            evaluation, "evaluate_as_trained",
            ("if scale_factor is None else np.float32(scale_factor)", "if True else 0"),
        ),
        _EVALUATION,
    ),
    ProductMutant(
        "costs that are not finite are printed", "evaluation",
        Text(evaluate_command, "_check_costs", ("not all(map(math.isfinite, found.costs))", "False")),
        ("package/test_cli_evaluate.py",),
    ),
    ProductMutant(
        "a temperature that rounds to 0 is taken", "sampling of many",
        Text(sampling, "check_temperature", ("not LEAST_TEMPERATURE <= temperature", "not 0 < temperature")),
        ("model/test_sampling.py",),
    ),
    ProductMutant(
        "originals and reconstructions change places", "pages",
        Text(
            sample_command, "_draw_reconstructions",
            ("(batch.strokes[first:], reconstructions[first:])", "(reconstructions[first:], batch.strokes[first:])"),
        ),
        _SAMPLE,
    ),
    ProductMutant(
        "a row that is not full is completed with sketches of the next one", "pages",
        Text(sample_command, "_draw_reconstructions", ("[*row[:columns], *nothing][:columns]", "row[:columns]")),
        _SAMPLE,
    ),
    ProductMutant(
        "row labels stand below their rows", "pages",
        Text(drawing, "page_layout", ("row_labels[row]", "row_labels[row - 1]")),
        _PAGE,
    ),
    ProductMutant(
        "a long title runs out of the page", "pages",
        Text(drawing, "page_layout", ("(width - 2 * MARGIN) // _CHARACTER", "1000")),
        _PAGE,
    ),
)  # fmt: skip
