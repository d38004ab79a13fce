"""What ``mutants.json`` holds: counts, the smallest bug of each part, and one entry for each bug."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parity_tests.judge.row import Row
from parity_tests.mutation.port_bugs import Result
from parity_tests.report.parts import PARTS, in_order, part_of


def summary(
    results: Sequence[Result],
    harness: list[dict[str, Any]],
    product: list[dict[str, Any]],
    kernels: list[dict[str, Any]],
    sound: Iterable[Row],
) -> dict[str, Any]:
    """The content of the file; :class:`parity_tests.report.score.Score` reads the first four entries.

    Args:
        results: of the bugs of a port.
        harness: results of the bugs of the harness.
        product: results of the bugs of what surrounds the model.
        kernels: results of the bugs of the fused paths.
        sound: the rows without any bug, for the names of the parts.
    """
    killed = [result for result in results if result.killed]
    parts = in_order(dict.fromkeys([*(title for _, title in PARTS if title), *map(part_of, sound)]))
    touched = {part for result in killed for part in result.touched}
    smallest = smallest_bugs(killed)
    return {
        "planted": len(results),
        "killed": len(killed),
        "located": sum(result.located for result in killed),
        "smallest": {part: smallest[part] for part in sorted(smallest, key=[*parts, *smallest].index)},
        "never_touched": [part for part in parts if part not in touched],
        "rows": [result.to_dict() for result in results],
        "harness": harness,
        "product": product,
        "kernels": kernels,
    }


def smallest_bugs(killed: Iterable[Result]) -> dict[str, dict[str, Any]]:
    """For each part that failed, the bug with the smallest finite error there, and that error."""
    smallest: dict[str, dict[str, Any]] = {}
    for result in killed:
        for part, error in result.touched.items():
            if error is not None and (part not in smallest or error < smallest[part]["effect"]):
                smallest[part] = {"bug": result.name, "effect": error}
    return smallest


def all_caught(content: Mapping[str, Any]) -> bool:
    """Whether no bug of any kind survived."""
    return all(row["killed"] for kind in ("rows", "harness", "product", "kernels") for row in content[kind])
