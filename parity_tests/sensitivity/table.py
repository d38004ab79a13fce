"""The page on how small a change is found."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from parity_tests.report.markdown import markdown_table
from parity_tests.sensitivity.scaling import EVERYWHERE


def markdown(content: Mapping[str, Any]) -> str:
    """A few sentences, then one table with a row for each part.

    Args:
        content: what ``sensitivity.json`` holds.
    """
    rows = content["rows"]
    head = ("part, multiplied by 1 + size", "float64: found", "missed", "by", "float32: found", "missed", "by")
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        here = {row["precision"]: row for row in rows if row["name"] == name}
        if EVERYWHERE in here:
            lines.append((name, *_cells(here[EVERYWHERE]), "the same", "", ""))
        else:
            lines.append((name, *_cells(here["float64"]), *_cells(here.get("float32"))))
    return "\n\n".join(
        [
            "# How small a change is found",
            "Each part of the port is multiplied by 1 + size, in one precision only, and the harness is run. The "
            "table says the smallest size that it found, the next smaller one that it missed, and the comparison that "
            "departed furthest in the first recording that showed it. A part whose change is the same in both "
            "precisions has one size, and counts in neither line. Sizes go by 1, 2, 5 from 1e-12 on. Measured by "
            "`python -m parity_tests mutants --scaled`, on the recordings that ship; whole bugs are in "
            "[mutants.md](mutants.md).",
            *(sentence for precision in ("float64", "float32") if (sentence := _summary(rows, precision))),
            markdown_table(head, lines),
        ]
    ) + "\n"  # fmt: skip


def _cells(row: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if row is None:
        return "-", "", ""
    if row["found"] is None:
        return "**not found**", f"{row['missed']:.0e}", ""
    return f"{row['found']:.0e}", "" if row["missed"] is None else f"{row['missed']:.0e}", f"`{row['by']}`"


def _summary(rows: Iterable[Mapping[str, Any]], precision: str) -> str:
    """How many parts are found at some sizes, and the median; empty where none was scaled in this precision."""
    sizes = [row["found"] or math.inf for row in rows if row["precision"] == precision]
    if not sizes:
        return ""
    steps = (1e-10, 1e-9, 1e-8) if precision == "float64" else (1e-7, 1e-6, 1e-5)
    counts = ", ".join(f"{sum(size <= step for size in sizes)} at {step:.0e}" for step in steps)
    median = f"the median of the smallest sizes found is {np.median(sizes):.0e}"
    return f"**Parts found, of {len(sizes)} scaled in {precision}: {counts}; {median}.**"
