"""The results of one long training of each side: as JSON, and as a page in Markdown."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.record.quantities import COSTS
from parity_tests.report.json_values import json_ready
from parity_tests.report.markdown import markdown_table
from parity_tests.report.provenance import our_provenance

INTRODUCTION = """\
Official Magenta and our `train.py`, once each, at Magenta's default sizes with the decoder {dec_model}: encoder
{enc_rnn_size}, decoder {dec_rnn_size}, z {z_size}, {num_mixture} mixture components, batch {batch_size}, sketches of up
to {max_seq_len} points, float32, both from the same initial weights. Each side draws its own batches, augmentation,
masks and latent noise. Validation is Magenta's: it counts the padding and weights the KL cost by `kl_weight_start`."""
METHOD = """\
Training costs are means of the steps since the line above. *±* is the standard error of the difference of two means,
from the scatter of the steps around a straight line. It covers the noise of single steps, not the difference between
whole runs. `make curves` judges the means of many runs of smaller models; this page shows one run at real size."""


def content(data_set: str, theirs: Mapping[str, Any], ours: Mapping[str, Any], official: Any) -> dict[str, Any]:
    """Both curves and where they come from, ready for strict JSON.

    Args:
        data_set: name of the stroke set.
        theirs: the official curves, see :func:`parity_tests.record.long_run.read_costs`.
        ours: our curves, in the same form.
        official: the provenance of the official run.
    """
    provenance = {"official": official, "ours": our_provenance()}
    return json_ready({"data_set": data_set, "magenta": dict(theirs), "ours": dict(ours), "provenance": provenance})


def markdown(result: Mapping[str, Any], picture: str) -> str:
    """The page.

    Args:
        result: as from :func:`content`.
        picture: its file name.
    """
    official, ours = result["provenance"]["official"], result["provenance"]["ours"]
    parts = [
        f"# {result['data_set']} at default sizes: official Magenta and ours",
        INTRODUCTION.format(**official["hparams"]),
        f"![training and validation costs of both sides]({picture})",
        METHOD,
        markdown_table(("training steps", *_titles("±")), _training_lines(result)),
        markdown_table(("validation after", *_titles()), _validations(result)),
        f"Magenta's loop ran as it is, its layers one step at a time, without TensorFlow's graph optimiser"
        f"{_interruptions(official)}. This page does not compare speed: the sides ran at different times.",
        f"Command: `{' '.join(ours['command'])}`. Magenta: {_versions(official)}. Ours: {_versions(ours)}.",
    ]
    return "\n\n".join(parts) + "\n"


def _interruptions(official: Mapping[str, Any]) -> str:
    again = [str(step) for step in official["starts"][1:]]
    return f"; it was interrupted, with new random numbers from step {', '.join(again)} on" if again else ""


def blocks(steps: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    """The steps up to each of ``ends``, inclusive, as one mask for each."""
    starts = [-1, *ends[:-1]]
    return [(steps > start) & (steps <= end) for start, end in zip(starts, ends, strict=True)]


def mean_and_error(steps: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The mean of some steps, and its standard error from the scatter around a straight line."""
    scatter = values - np.polyval(np.polyfit(steps, values, 1), steps)
    return float(values.mean()), float(np.sqrt((scatter**2).sum() / (len(values) - 2) / len(values)))


def _titles(*more: str) -> list[str]:
    return [title for cost in COSTS for title in (f"{cost}: Magenta", "ours", *more)]


def _training_lines(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    ends = np.array(result["magenta"]["valid/step"])
    lines = [[f"to {end}"] for end in ends]
    for cost in COSTS:
        sides = []
        for side in ("magenta", "ours"):
            steps, values = (np.array(result[side][f"train/{column}"]) for column in ("step", cost))
            sides.append([mean_and_error(steps[block], values[block]) for block in blocks(steps, ends)])
        for line, (theirs, error), (ours, our_error) in zip(lines, *sides, strict=True):
            line += [f"{number:.4f}" for number in (theirs, ours, np.hypot(error, our_error))]
    return [tuple(line) for line in lines]


def _validations(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    columns = [result[side][f"valid/{cost}"] for cost in COSTS for side in ("magenta", "ours")]
    steps = result["magenta"]["valid/step"]
    return [(str(step), *(f"{v:.4f}" for v in values)) for step, *values in zip(steps, *columns, strict=True)]


def _versions(provenance: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in provenance["versions"].items())
