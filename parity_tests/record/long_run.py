"""The folder of one long run of the official trainer: what it holds, and how its costs are read."""

import csv
from pathlib import Path

import numpy as np

from parity_tests.record.quantities import COSTS
from pytorch_sketch_rnn.errors import BadInput

INITIAL, RUN = "initial", "run"  # folders of official checkpoints: of the initial weights, and of the run
COSTS_FILE, PROVENANCE = "costs.csv", "provenance.json"
COLUMNS = ("step", "split", *COSTS, "seconds")  # a row for each training step and each validation


def rows_before(path: Path, step: int) -> list[str]:
    """The whole rows of a file of costs, without its heading, that belong to steps before ``step``."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    # the last row may have been cut off
    return [line.strip() for line in lines if line.endswith("\n") and int(line.partition(",")[0]) < step]


def read_costs(path: Path) -> dict[str, np.ndarray]:
    """Read a file of costs.

    Args:
        path: of the file, which may still be growing.

    Returns:
        For the splits ``train`` and ``valid``: ``<split>/step``, ``<split>/<cost>`` and ``<split>/seconds``, each
        [rows].

    Raises:
        BadInput: when the file is not one.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]  # the last may be cut off
        numbers = {name: np.array([float(row[name]) for row in rows]) for name in (*COSTS, "seconds")}
        steps = np.array([int(row["step"]) for row in rows])
        splits = np.array([row["split"] for row in rows])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: expected the costs of a training, {', '.join(COLUMNS)} ({error})") from None
    columns = {"step": steps, **numbers}
    return {f"{split}/{name}": v[splits == split] for split in ("train", "valid") for name, v in columns.items()}
