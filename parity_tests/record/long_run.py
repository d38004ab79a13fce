"""The folder of one long run of the official trainer: what it holds, and how its costs are read."""

import csv
from pathlib import Path

import numpy as np

from parity_tests.record.quantities import COSTS
from pytorch_sketch_rnn.errors import BadInput

INITIAL, RUN = "initial", "run"  # folders of official checkpoints: of the initial weights, and of the run
COSTS_FILE = "costs.csv"
STARTS = "starts.txt"  # the first step of each process, a line each: a run that was interrupted has several
PROVENANCE = "provenance.json"  # written at the end
COLUMNS = ("step", "split", *COSTS, "seconds")  # a row for each training step and each validation


def rows_before(path: Path, done: int) -> list[str]:
    """The rows of a file of costs, without its heading, that belong to the first ``done`` training steps.

    Raises:
        BadInput: when one of these steps is missing, or the file is not one of costs.
    """
    steps = read_costs(path)["train/step"] if path.is_file() else np.array([])
    if steps[:done].tolist() != list(range(done)):
        raise BadInput(
            f"{path}: expected the costs of steps 0 to {done - 1}, which the checkpoint has done; start again"
        )
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[1:] if done else []
    return [line.strip() for line in lines if line.endswith("\n") and int(line.partition(",")[0]) < done]


def read_costs(path: Path) -> dict[str, np.ndarray]:
    """Read a file of costs.

    Args:
        path: of the file, which may still be growing: a last line without an end is left out.

    Returns:
        For the splits ``train`` and ``valid``: ``<split>/step``, ``<split>/<cost>`` and ``<split>/seconds``, each
        [rows].

    Raises:
        BadInput: when the file is not one.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = list(csv.DictReader(line for line in lines if line.endswith("\n")))
        numbers = {name: np.array([float(row[name]) for row in rows]) for name in (*COSTS, "seconds")}
        steps = np.array([int(row["step"]) for row in rows], np.int64)
        splits = np.array([row["split"] for row in rows])
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise BadInput(f"{path}: expected the costs of a training, {', '.join(COLUMNS)} ({error})") from None
    columns = {"step": steps, **numbers}
    return {f"{split}/{name}": v[splits == split] for split in ("train", "valid") for name, v in columns.items()}
