"""What came of the study of false alarms: a file for machines, and a page for people."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity_tests.false_alarms.tail import by_kind, checked, fit, predicted, upper_limit
from parity_tests.record.configurations import LIVE, MODEL_VARIANTS
from parity_tests.record.machine import in_words
from parity_tests.report.our_side import our_provenance

# the kinds of model that `make parity` records, each as it is and moved
PARITY_RECORDINGS = [configuration.name for configuration in LIVE for _ in MODEL_VARIANTS]
ENOUGH = 16  # units from which a tail is fitted


def content(results: Sequence[dict[str, Any]], skipped: Sequence[str], diverged: int = 0) -> dict[str, Any]:
    """Everything, ready for JSON.

    Args:
        results: of each recording under each condition, see :mod:`parity_tests.false_alarms.judging`.
        skipped: conditions that this machine does not have.
        diverged: recordings that were not made, since the official training ended in NaN.
    """
    units: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        units.setdefault(result["recording"], []).append(result)
    different = [name for name, found in units.items() if any(result["alarms"] for result in found)]
    used = np.array([_used(found) for found in units.values()])
    verdicts: dict[str, int] = {}
    for result in results:
        for verdict, count in result["counts"].items():
            verdicts[verdict] = verdicts.get(verdict, 0) + count
    found: dict[str, Any] = {
        "recordings": len(units),
        "judgements": len(results),
        "rows": sum(verdicts.values()),
        "different": len(different),
        "not_judged": verdicts.get("not judged", 0),
        "overflow": verdicts.get("official overflow", 0),
        "upper_limit": upper_limit(len(different), len(units)),
        "predicted": None,
        "closest": float(used.max()) if used.size else 0.0,
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
        "used": {name: _used(results) for name, results in units.items()},
    }
    if len(units) >= ENOUGH:
        scaled, medians = by_kind(found["used"])
        tail = fit(scaled)
        halves = np.array([_seed(name) % 2 == 0 for name in units])
        if not halves.any() or halves.all():  # one seed
            halves = np.arange(len(units)) % 4 < 2
        found["tail"] = {"threshold": tail.threshold, "share": tail.share, "rate": tail.rate}
        found["medians"] = medians
        found["tail_checked"] = checked(scaled, halves)
        found["predicted"] = predicted(tail, medians, PARITY_RECORDINGS)
    return found | {"summary": summary(found)}


def _seed(name: str) -> int:
    """Of a recording; 0 without one."""
    found = re.search(r"-seed(\d+)-", name)
    return int(found[1]) if found else 0


def _used(results: Sequence[dict[str, Any]]) -> float:
    """The largest share of an allowance that any row of a unit used under any condition; 1 and more is an alarm."""
    shares = [kind["used"] for result in results for kind in result["closest"].values()]
    shares += [alarm["used"] or 10.0 for result in results for alarm in result["alarms"]]
    return max(shares, default=0.0)


def _conditions(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = []
    for name in dict.fromkeys(result["condition"] for result in results):
        some = [result for result in results if result["condition"] == name]
        different = sum(bool(result["alarms"]) for result in some)
        closest = max(_used([result]) for result in some)
        lines.append({"name": name, "recordings": len(some), "different": different, "closest": closest})
    return lines


def _models(units: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Of each kind of model: recordings are named by it, its seed, its training steps and its variant."""
    kinds: dict[str, list[Sequence[dict[str, Any]]]] = {}
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


def _kinds(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each rule, how close the closest row came, and which it was."""
    kinds: dict[str, dict[str, Any]] = {}
    for result in results:
        for kind, closest in result["closest"].items():
            if closest["used"] > kinds.get(kind, {"used": -1.0})["used"]:
                kinds[kind] = closest | {"recording": result["recording"], "condition": result["condition"]}
    return kinds


def summary(found: dict[str, Any]) -> str:
    """One line."""
    line = (
        f"{found['different']} of {found['recordings']} recordings were called different under "
        f"{len(found['conditions'])} conditions ({found['rows']} rows, {found['not_judged']} of them not judged): at "
        f"most {100 * found['upper_limit']:.1f} % of recordings, with 95 % confidence"
    )
    if found["predicted"] is None:
        return line + "."
    often = f"1 in {1 / found['predicted']:,.0f}" if found["predicted"] > 1e-12 else "less than 1 in a trillion"
    return f"{line}; the fitted tail predicts an alarm in {often} runs of `make parity`."


def markdown(found: dict[str, Any]) -> str:
    """The page."""
    lines = [
        "# False alarms",
        "",
        f"**{found['summary']}**",
        "",
        "Pairs that are known to be equal are judged as everything else is: official Magenta against recordings of "
        "itself, run on another number of threads, without oneDNN, with TensorFlow's graph optimiser, or with hidden "
        "units and batch rows in another order; and this port under other vector instructions and on more threads. The "
        "models are of every kind, freshly initialised and after 10, 200 and 1000 official training steps, with their "
        'weights as they are and moved by noise. Every "different" is a false alarm. The unit is a recording (a '
        "model and its seed), because rows of one recording are not independent; the first "
        "condition is tried on all of them, each other on those of one seed.",
        "",
        "Reproduce with `make false-alarms` (one seed) or `make false-alarms-long` (four seeds). `--model FILE` adds a "
        "model of your own, on one seed and under fewer conditions; kinds with few recordings below were added so.",
        "",
        f"Machine: {found['machine']}. The official recordings ran with {' and '.join(found['recorded_with'])}; the "
        "condition of that name, if there is one, runs the same program once more."
        + (f" Not to be had here: {', '.join(found['skipped'])}." if found["skipped"] else "")
        + (
            f" {found['diverged']} recordings are missing, because the official training ended in NaN before them."
            if found["diverged"]
            else ""
        ),
        "",
        "| condition | recordings | called different | closest row used of its allowance |",
        "| --- | --- | --- | --- |",
        *(
            f"| {c['name']} | {c['recordings']} | {c['different']} | {100 * c['closest']:.0f} % |"
            for c in found["conditions"]
        ),
        "",
        "| model | recordings | called different | rows | not judged | official overflow | closest row used |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {m['name']} | {m['recordings']} | {m['different']} | {m['rows']} | {m['not_judged']} | "
            f"{m['overflow']} | {100 * m['closest']:.0f} % |"
            for m in found["models"]
        ),
        "",
        "| rule | closest | of its allowance | recording, condition |",
        "| --- | --- | --- | --- |",
        *(
            f"| {kind} | `{row['quantity']}` ({row['measure']}) | {_percent(row['used'])} | {row['recording']}, "
            f"{row['condition']} |"
            for kind, row in sorted(found["kinds"].items())
        ),
        "",
    ]
    if found["predicted"] is not None:
        lines += _tail_lines(found)
    if found["alarms"]:
        lines += [
            "## Alarms",
            "",
            "| recording | condition | quantity | used | note |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {a['recording']} | {a['condition']} | `{a['quantity']}` ({a['precision']}, {a['measure']}) | "
            f"{'-' if a['used'] is None else format(a['used'], '.2f')} | {a['note']} |"
            for a in found["alarms"]
        ]
        lines.append("")
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def _tail_lines(found: dict[str, Any]) -> list[str]:
    tail = found["tail"]
    lines = [
        "## The tail",
        "",
        "Seeing no alarm in this many recordings bounds the rate only loosely. How close each recording came says "
        "more. Large tensors average more, so each recording's closest row is taken over the median of its kind "
        f"({', '.join(f'{kind} {100 * median:.0f} %' for kind, median in found['medians'].items())}). The largest "
        f"quarter of these numbers falls off as a power law, P(r > x) = {tail['share']:.2f} "
        f"(x / {tail['threshold']:.2f})^-{tail['rate']:.1f}. An alarm is r > 1 / median: for the "
        f"{len(PARITY_RECORDINGS)} recordings of one `make parity` together {found['predicted']:.1e}. A kind that was "
        "not studied is taken for the one with the largest median.",
        "",
        "Fitted on every other seed and checked on the rest, and the reverse:",
        "",
        "| rate | beyond | expected | seen | beyond | expected | seen |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {check['rate']:.1f} | {check['threshold']:.2f} | {100 * check['expected beyond threshold']:.0f} % | "
        f"{100 * check['seen beyond threshold']:.0f} % | {check['far']:.2f} | "
        f"{100 * check['expected beyond far']:.1f} % | {100 * check['seen beyond far']:.1f} % |"
        for check in found["tail_checked"]
    ]
    return [*lines, ""]
