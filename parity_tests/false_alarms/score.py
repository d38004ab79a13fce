"""The results of the study of false alarms: counts, the confidence limit, and the fitted tail."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity_tests.false_alarms.tail import by_kind, checked, fit, predicted, upper_limit
from parity_tests.record.configurations import LIVE, MODEL_VARIANTS
from parity_tests.record.machine import in_words
from parity_tests.report.provenance import our_provenance

# The kind of each model recording of `make parity`; every model is recorded as it is and moved.
PARITY_RECORDINGS = [configuration.name for configuration in LIVE for _ in MODEL_VARIANTS]
ENOUGH = 16  # units from which on a tail is fitted
_SHARE_OF_NAN = 10.0  # share of the allowance that an alarm without a finite number counts as

Results = Sequence[dict[str, Any]]  # of each recording under each condition, see parity_tests/false_alarms/judging.py


def content(results: Results, skipped: Sequence[str], diverged: int = 0) -> dict[str, Any]:
    """Everything, ready for strict JSON.

    Args:
        results: of each recording under each condition.
        skipped: conditions that this machine lacks.
        diverged: number of recordings that are missing because official training ended in NaN.
    """
    units: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        units.setdefault(result["recording"], []).append(result)
    different = sum(any(result["alarms"] for result in unit) for unit in units.values())
    used = {name: _used(unit) for name, unit in units.items()}
    verdicts: Counter[str] = Counter()
    for result in results:
        verdicts.update(result["counts"])
    found: dict[str, Any] = {
        "recordings": len(units),
        "judgements": len(results),
        "rows": verdicts.total(),
        "different": different,
        "not_judged": verdicts["not judged"],
        "overflow": verdicts["official overflow"],
        "upper_limit": upper_limit(different, len(units)),
        "predicted": None,
        "closest": max(used.values(), default=0.0),
        "machine": in_words(our_provenance()),
        "recorded_with": sorted({result["recorded_with"] for result in results}),
        "skipped": list(skipped),
        "diverged": diverged,
        "conditions": _conditions(results),
        "models": _models(units),
        "kinds": _kinds(results),
        "alarms": [
            {"recording": result["recording"], "condition": result["condition"], **alarm}
            for result in results
            for alarm in result["alarms"]
        ],
        "used": used,
    }
    if len(units) >= ENOUGH:
        found |= _tail(used)
    return found | {"summary": summary(found)}


def _tail(used: Mapping[str, float]) -> dict[str, Any]:
    """The fitted tail, its cross-check, and the probability of an alarm that follows from it."""
    scaled, medians = by_kind(used)
    tail = fit(scaled)
    halves = np.array([_seed(name) % 2 == 0 for name in used])
    if not halves.any() or halves.all():  # there is only one seed
        halves = np.arange(len(used)) % 4 < 2
    return {
        "tail": {"threshold": tail.threshold, "share": tail.share, "rate": tail.rate},
        "medians": medians,
        "tail_checked": checked(scaled, halves),
        "predicted": predicted(tail, medians, PARITY_RECORDINGS),
    }


def _seed(name: str) -> int:
    """The seed in the name of a recording; 0 without one."""
    found = re.search(r"-seed(\d+)-", name)
    return int(found[1]) if found else 0


def _used(results: Results) -> float:
    """The largest share of an allowance that any row used under any condition; 1 and more is an alarm."""
    shares = [kind["used"] for result in results for kind in result["closest"].values()]
    shares += [alarm["used"] or _SHARE_OF_NAN for result in results for alarm in result["alarms"]]
    return float(max(shares, default=0.0))


def _conditions(results: Results) -> list[dict[str, Any]]:
    lines = []
    for name in dict.fromkeys(result["condition"] for result in results):
        some = [result for result in results if result["condition"] == name]
        different = sum(bool(result["alarms"]) for result in some)
        closest = max(_used([result]) for result in some)
        lines.append({"name": name, "recordings": len(some), "different": different, "closest": closest})
    return lines


def _models(units: Mapping[str, Results]) -> list[dict[str, Any]]:
    """One line for each kind of model: the name of a recording starts with its kind, followed by its seed."""
    kinds: dict[str, list[Results]] = {}
    for name, found in units.items():
        kinds.setdefault(name.partition("-seed")[0], []).append(found)
    return [
        {
            "name": name,
            "recordings": len(found),
            "different": sum(any(result["alarms"] for result in unit) for unit in found),
            "not_judged": sum(result["counts"].get("not judged", 0) for unit in found for result in unit),
            "overflow": sum(result["counts"].get("official overflow", 0) for unit in found for result in unit),
            "rows": sum(sum(result["counts"].values()) for unit in found for result in unit),
            "closest": max(map(_used, found)),
        }
        for name, found in kinds.items()
    ]


def _kinds(results: Results) -> dict[str, dict[str, Any]]:
    """For each rule of judgement, the row closest to its allowance."""
    kinds: dict[str, dict[str, Any]] = {}
    for result in results:
        for kind, closest in result["closest"].items():
            if closest["used"] > kinds.get(kind, {"used": -1.0})["used"]:
                kinds[kind] = closest | {"recording": result["recording"], "condition": result["condition"]}
    return kinds


def summary(found: Mapping[str, Any]) -> str:
    """The results in one line."""
    line = (
        f"{found['different']} of {found['recordings']} recordings were called different under "
        f"{len(found['conditions'])} conditions ({found['rows']} rows, {found['not_judged']} of them not judged): at "
        f"most {100 * found['upper_limit']:.1f} % of recordings, with 95 % confidence"
    )
    if found["predicted"] is None:
        return line + "."
    often = f"1 in {1 / found['predicted']:,.0f}" if found["predicted"] > 1e-12 else "less than 1 in a trillion"
    return f"{line}; the fitted tail predicts an alarm in {often} runs of `make parity`."
