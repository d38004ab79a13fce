"""How much of the original was compared."""

from collections.abc import Iterable, Sequence
from typing import Any

from parity_tests.judge.row import Row
from parity_tests.record.recording import Recording
from weight_port.names import slot_name


def coverage(recordings: Iterable[Recording], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each recorded model, how many of its variables and quantities were compared.

    Each entry reads "3 of 5". There is one for each tensor of a trainable variable (gradient, clipped gradient, Adam's
    two slots, the weights after the step), and one for all recorded quantities in each precision.
    """
    compared: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row.compared:
            compared.setdefault((row.recording, row.precision), set()).add(row.quantity)
    lines = []
    for recording in recordings:
        if recording.kind != "model":
            continue
        recorded = set(recording["float64"])
        found = compared.get((recording.name, "float64"), set())
        variables = [name.removeprefix("gradient/") for name in recorded if name.startswith("gradient/")]
        places = {
            "gradient": [f"gradient/{name}" for name in variables],
            "clipped": [f"clipped/{name}" for name in variables],
            "m": [f"after/{slot_name(name, 'm')}" for name in variables],
            "v": [f"after/{slot_name(name, 'v')}" for name in variables],
            "weights after": [f"after/{name}" for name in variables],
        }
        line: dict[str, Any] = {"model": recording.name, "variables": len(variables)}
        line |= {place: _share(found, names) for place, names in places.items()}
        line["float64"] = _share(found, recorded)
        single = set(recording.groups.get("float32", recorded))
        line["float32"] = _share(compared.get((recording.name, "float32"), set()), single)
        lines.append(line)
    return lines


def _share(found: set[str], names: Iterable[str]) -> str:
    names = list(names)
    return f"{sum(name in found for name in names)} of {len(names)}"
