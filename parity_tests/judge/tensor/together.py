"""All gradients of a training step as one vector: its L2 error, compared with that of each official run."""

import numpy as np

from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_JUDGED, Row, relative
from parity_tests.judge.tensor.accumulated import allowance
from parity_tests.record.recording import Recording

TOGETHER = "gradient/together"


def gradients_together(recording: Recording, precision: str, ours: dict[str, np.ndarray]) -> list[Row]:
    """A row for all gradients together; none if the port lacks a gradient, which its own row reports."""
    truth = {name: value for name, value in recording["float64"].items() if name.startswith("gradient/")}
    if any(n not in ours or ours[n].shape != v.shape or ours[n].dtype.kind != "f" for n, v in truth.items()):
        return []
    drift = recording[f"{precision}_ensemble"]
    with np.errstate(invalid="ignore"):
        error = sum(np.sum((ours[name].astype(np.float64) - value) ** 2) for name, value in truth.items())
        members = sum(drift[name][:, :1].astype(np.float64) ** 2 * value.size for name, value in truth.items())
    length = float(np.sqrt(sum(np.sum(value**2) for value in truth.values())))
    limit = allowance(precision, np.sqrt(np.repeat(members, 2, axis=1)), length)
    found = relative(float(np.sqrt(error)), length)
    found = found if np.isfinite(found) else float("inf")
    allowed = relative(float(limit.allowed[0, 0]), length)
    verdict = NOT_JUDGED if not limit.judged.all() else EQUAL if found <= allowed else DIFFERENT
    spread = relative(float(limit.spread[0, 0]), length)
    note = f"official runs drift by {spread:.0e}" if verdict == NOT_JUDGED else ""
    noise = spread if precision == "float64" else None
    return [
        Row(recording.name, TOGETHER, precision, verdict, found, allowed, spread, measure="rms", noise=noise, note=note)
    ]
