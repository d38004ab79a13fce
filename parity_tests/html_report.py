"""The report as one HTML page that needs no network: tables by Jinja2, plots by matplotlib as SVG within the page.

The page says nothing that is not in ``Report.content()`` of :mod:`parity_tests.report`. It works from disk and without
JavaScript; only the list of every tensor, behind everything else, is drawn by a script.
"""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from parity_tests.judge.limits import (
    DRIFT_FACTOR,
    DRIFT_FLOOR,
    EPSILON32,
    FLOAT32_FLOOR,
    FLOAT64_ALLOWED,
    LOCAL_FACTORS,
    SPREAD_FACTOR32,
)
from parity_tests.judge.row import FAILED

TEMPLATE = "report.html.j2"

# matplotlib draws in these; the page's style sheet then says what they are, in light and in dark mode.
INK, FAINT, OURS, FED, OFFICIAL, ALLOWED = (f"#00000{digit}" for digit in range(1, 7))
COLOURS = {INK: "ink", FAINT: "rule", OURS: "ours", FED: "fed", OFFICIAL: "official", ALLOWED: "allowed"}
LINES: dict[str, dict[str, Any]] = {  # in the order in which they are laid over each other
    "official": {"color": OFFICIAL, "linewidth": 4.5, "alpha": 0.55},
    "ours": {"color": OURS, "linewidth": 1.4},
    "fed": {"color": FED, "linewidth": 1.2, "linestyle": (0, (4, 2))},
    "allowed": {"color": ALLOWED, "linewidth": 1.1, "linestyle": (0, (1.2, 2))},
}
SETTINGS = {
    "svg.fonttype": "none",
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,
}
WIDTH, PANEL, PAIR, POINTS = 256, 140, 190, 72  # of a plot, in points; POINTS to the inch
DECIMALS = re.compile(r"\d+\.\d{2,}")
LEFT, RIGHT, TOP, BOTTOM = 42, 8, 22, 28  # margins of a plot

# Decades that a plot of errors always shows; a smaller error stands at the bottom, among the zeros.
DECADES = {"float64": (-18, -9), "float32": (-10, -4)}
BAR = (24.0, 216.0)  # from 1e-17 to 1, in a bar's own units
BAR_DECADES = 17
KEY = {  # a line of the table as it should be
    "float64": {"error": 2e-15, "noise": 5e-14, "allowed": FLOAT64_ALLOWED},
    "smallest_bug": {"effect": 3e-6},
}
KINDS = {
    "distribution": "distance of distributions, 0 to 1",
    "initial": "the numbers themselves, in float32",
    "drift": "against the official code's own drift",
    "exact": "compared bit for bit",
}

Values = Sequence[float | None]
Profile = Mapping[str, Mapping[str, Values]]  # precision -> whose -> one number a step


def page(content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        content: what ``Report.content()`` returns, or what ``json.load`` makes of ``parity.json``.
    """
    with matplotlib.rc_context(SETTINGS):
        profiles = content.get("profiles") or {}
        plots = {
            "groups": _groups(profiles),
            "flat": [quantity for quantity, profile in profiles.items() if _flat(profile)],
            "training": _training(content.get("training") or ()),
        }
    rows = content.get("rows") or []
    failed = [row for row in rows if row["verdict"] in FAILED]
    kinds = _kinds(rows)
    lines = content.get("parts") or ()
    return _template().render(
        content,
        **{
            name: content.get(name)
            for name in ("first_departure", "score", "coverage", "mixtures", "sides", "provenance")
        },
        state=_state(content),
        answer=_answer(content, rows, failed),
        counts={
            "compared": sum(row["verdict"] != "untested" for row in rows),
            "untested": sum(row["verdict"] == "untested" for row in rows),
            "recordings": len({row["recording"] for row in rows}),
        },
        failed=failed,
        lines=[{**line, "bar": _bar(line), "kind": kinds.get(line["part"], "")} for line in lines],
        scale=[(_place(10.0**power), f"1e{power}" if power else "1") for power in (-15, -10, -5, 0)],
        key=_bar(KEY)[0],
        plots=plots,
        every_row=_every_row(rows),
        rules={
            "allowed": FLOAT64_ALLOWED,
            "local": LOCAL_FACTORS["forward"][0],
            "spread": SPREAD_FACTOR32,
            "drift": DRIFT_FACTOR,
        },
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "ratio": ratio, "exactly": _exactly, "measured": _measured}
    environment.filters |= {"count": _count, "where": _where}
    environment.tests["plain"] = lambda value: not isinstance(value, dict | list | tuple)
    environment.globals |= {"times": times, "columns": _columns}
    return environment.get_template(TEMPLATE)


def number(value: float | None) -> str:
    """An error, short; a dash where there is none."""
    return "–" if value is None else "0" if value == 0 else f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def times(larger: float | None, smaller: float | None) -> str:
    """How many times one stands above the other, in two digits; empty where that says nothing."""
    if not larger or not smaller:
        return ""
    factor = larger / smaller
    if factor < 10:
        return f"{factor:.1f} ×"
    if factor >= 1e6:
        return f"{factor:.0e} ×".replace("e+0", "e").replace("e+", "e")
    digits = math.floor(math.log10(factor)) - 1
    return f"{round(factor, -digits):,.0f} ×"


def _exactly(value: Any) -> str:
    """A number with all its digits, a dash for none, a list in brackets."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_exactly, value))}]"
    return "–" if value is None else str(value)


def _measured(value: float) -> str:
    """A number of any kind: an error short, anything else in six digits."""
    return number(value) if abs(value) < 1e-3 else f"{value:.6g}"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _where(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis} {index}" for axis, index in (row.get("where") or {}).items())


def ratio(value: float | None) -> str:
    """Our error over the official one."""
    return number(value) if value is None or value >= 1000 else f"{value:.2f}"


def _columns(table: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names that occur in any line of a table, in the order in which they come."""
    return list(dict.fromkeys(name for line in table for name in line))


def _kinds(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """For each part what the number under float64 is, where it is no error of a float64 tensor."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if row["verdict"] != "untested":
            found.setdefault(row["part"], set()).add(_kind(row))
    return {part: next((text for kind, text in KINDS.items() if each == {kind}), "") for part, each in found.items()}


def _kind(row: Mapping[str, Any]) -> str:
    if row["precision"] == "distribution":
        return "distribution" if row["quantity"].startswith("distribution/") else "initial"
    return "drift" if row["precision"] == "float64" and row.get("official_error") is not None else row["precision"]


def _state(content: Mapping[str, Any]) -> str:
    if not content["passed"]:
        return "failed"
    return "partly" if content.get("untested") else "passed"


def _answer(
    content: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Whether the difference is normal, in plain sentences."""
    if failed:
        compared = sum(row["verdict"] != "untested" for row in rows)
        verb = "differs" if len(failed) == 1 else "differ"
        return [f"No: {_count(len(failed))} of {_count(compared)} tensors {verb} by more than rounding explains."]
    if not content["passed"]:
        unmet = [condition for condition, met in content["conditions"].items() if not met]
        lacks = [f"not seen: {'; '.join(unmet)}"] if unmet else []
        lacks += [f"untested: {', '.join(content['untested'])}"] if content.get("untested") else []
        return ["Not proven. Nothing that was compared differs, but the proof has a hole.", *map(_sentence, lacks)]
    compared = [row for row in rows if row["verdict"] == "equal" and row["allowed"]]
    double = [row for row in compared if row["precision"] == "float64" and row.get("official_error") is None]
    single = [row for row in compared if row["precision"] == "float32"]
    sentences = ["Yes." if not content.get("untested") else "Yes, in what was tested; the rest is not known."]
    if double:
        worst = max(double, key=lambda row: row["error"])
        sentences.append(
            f"In float64 nothing is off by more than {number(worst['error'])} of its size; "
            f"{worst['allowed']:g} is allowed."
        )
    if single:
        share = max(row["error"] / row["allowed"] for row in single)
        sentences.append(
            f"In float32 no tensor uses more than {share:.0%} of the room that the official code's own error leaves it."
        )
    return sentences


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


# --- the bar of a line: noise, error, allowance and smallest bug, from 1e-17 to 1


def _place(value: float | None) -> float:
    """Where a value stands in a bar; None is an error beyond measure."""
    share = 1.0 if value is None else 0.0 if value <= 0 else 1 + math.log10(value) / BAR_DECADES
    return round(BAR[0] + (BAR[1] - BAR[0]) * min(max(share, 0.0), 1.0), 1)


def _bar(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A lane for each precision: where its marks stand. Data, which are held exactly, have no allowance to show."""
    lanes = []
    bug = (line.get("smallest_bug") or {}).get("effect")
    for precision, below in (("float64", "noise"), ("float32", "official")):
        numbers = line.get(precision)
        if not numbers:
            continue
        error, allowed = numbers.get("error"), numbers.get("allowed") or 0.0
        lanes.append(
            {
                "precision": precision,
                "error": _place(error),
                "over": error is None or error > allowed,
                "below": _place(numbers[below]) if numbers.get(below) else None,
                "allowed": _place(allowed) if allowed else None,
                "bug": _place(bug) if bug and precision == "float64" else None,
            }
        )
    return lanes


# --- every tensor, for the script


def _every_row(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All rows for the page's script: texts once each, rows by their numbers in these lists."""
    texts: dict[str, int] = {}
    names = ("part", "recording", "quantity", "precision", "verdict")
    table = [
        [
            *(texts.setdefault(str(row.get(name, "")), len(texts)) for name in names),
            *(_two_digits(row.get(name)) for name in ("error", "allowed", "official_error", "noise")),
            texts.setdefault(_where(row), len(texts)),
        ]
        for row in rows
    ]
    return {"texts": list(texts), "rows": table}


def _two_digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.1e}")


# --- error against time step


def _groups(profiles: Mapping[str, Profile]) -> list[dict[str, Any]]:
    """The quantities of each layer, with a plot of each and one of the largest of them all."""
    groups: dict[str, dict[str, Profile]] = {}
    for quantity, profile in profiles.items():
        if _flat(profile):
            continue
        layer = quantity.rpartition("/")[0].removesuffix("/hyper_cell") or "others"
        groups.setdefault(layer, {})[quantity] = profile
    spans = {precision: _span(precision, profiles.values()) for precision in _precisions(profiles.values())}
    return [_group(layer, quantities, spans) for layer, quantities in groups.items()]


def _group(layer: str, quantities: Mapping[str, Profile], spans: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    largest = {
        precision: _largest(profile[precision] for profile in quantities.values() if precision in profile)
        for precision in _precisions(quantities.values())
    }
    return {
        "layer": layer,
        "plots": _profile_plots(largest, spans),
        "largest": _largest_errors(largest),
        "quantities": [
            {"name": name, "plots": _profile_plots(profile, spans), "largest": _largest_errors(profile)}
            for name, profile in quantities.items()
        ],
    }


def _flat(profile: Profile) -> bool:
    """Whether it was compared bit for bit, and nothing differs: there is no error to draw."""
    return set(profile) == {"exact"} and all(error == 0 for error in _largest_errors(profile).values())


def _precisions(profiles: Iterable[Profile]) -> list[str]:
    """Which precisions there are, float64 first."""
    return sorted({precision for profile in profiles for precision in profile}, reverse=True)


def _largest(curves: Iterable[Mapping[str, Values]]) -> dict[str, list[float | None]]:
    """Of several quantities the largest error at each step; None, which is beyond measure, is the largest."""
    lines: dict[str, list[Values]] = {}
    for curve in curves:
        for whose, values in curve.items():
            lines.setdefault(whose, []).append(values)
    return {
        whose: [None if None in step else max(step) for step in zip_longest(*several, fillvalue=0.0)]
        for whose, several in lines.items()
    }


def _largest_errors(profile: Profile) -> dict[str, float | None]:
    """The largest of the port's errors, by precision."""
    result: dict[str, float | None] = {}
    for precision, curves in profile.items():
        errors = [error for whose, values in curves.items() if whose != "official" for error in values]
        result[precision] = None if None in errors else max(errors, default=0.0)
    return result


def _span(precision: str, profiles: Iterable[Profile]) -> tuple[int, int]:
    """The decades that all plots of a precision show, so that they can be compared at a glance."""
    low, high = DECADES.get(precision, DECADES["float64"])
    curves = [profile[precision] for profile in profiles if precision in profile]
    largest = max((error or 0.0 for curve in curves for values in curve.values() for error in values), default=0.0)
    return low, max(high, math.ceil(math.log10(largest)) if largest else high)


def _profile_plots(profile: Profile, spans: Mapping[str, tuple[int, int]]) -> list[Markup]:
    """A plot for each precision."""
    return [_profile_plot(name, profile[name], span) for name, span in spans.items() if name in profile]


def _profile_plot(precision: str, curves: Mapping[str, Values], span: tuple[int, int]) -> Markup:
    steps = max(map(len, curves.values()))
    lines = dict(curves)
    if precision == "float64":
        lines["allowed"] = [FLOAT64_ALLOWED] * steps
    elif "official" in curves:
        official = np.array(curves["official"], dtype=np.float64)
        lines["allowed"] = np.maximum(SPREAD_FACTOR32 * official, FLOAT32_FLOOR * EPSILON32).tolist()
    figure = Figure(figsize=(WIDTH / POINTS, PANEL / POINTS))
    axes = _axes(figure, f"{precision}: relative error", steps, TOP, PANEL - BOTTOM)
    axes.set_xlabel("time step", labelpad=1)
    _errors(axes, lines, span, steps)
    return _svg(figure)


# --- training


def _training(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each run: both sides' curves with their difference below, then how far the port drifts."""
    return [
        {
            "recording": run["recording"],
            "curves": [_curve_plot(name, run["ours"][name], run["theirs"][name]) for name in run["theirs"]],
            "drift": _drift_plot(run["drift"], run["official_drift"]),
            "fed": _fed_plot(run["fed_error"]),
            "steps": len(run["drift"]),
            "at_the_end": {"the port": run["drift"][-1], "the official code, from itself": run["official_drift"][-1]},
            "largest_fed": _largest_errors({"float64": {"fed": run["fed_error"]}})["float64"],
        }
        for run in runs
    ]


def _curve_plot(name: str, ours: Values, theirs: Values) -> Markup:
    figure = Figure(figsize=(WIDTH / POINTS, PAIR / POINTS))
    steps = len(theirs)
    middle = TOP + 84
    axes = _axes(figure, name.replace("_", " "), steps, TOP, middle, named_steps=False)
    for line, values in (("official", theirs), ("ours", ours)):
        axes.plot(np.array(values, dtype=np.float64), clip_on=False, **LINES[line])
    axes.yaxis.set_major_locator(MaxNLocator(3))
    mine, other = (np.array(values, dtype=np.float64) for values in (ours, theirs))
    scale = np.nanmax(np.abs(other), initial=0.0) or 1.0
    difference = np.abs(mine - other) / scale
    below = _axes(figure, "difference, relative", steps, middle + TOP - 2, PAIR - BOTTOM)
    below.set_xlabel("training step", labelpad=1)
    _errors(below, {"ours": _holed(difference)}, _span("float64", [{"float64": {"ours": _holed(difference)}}]), steps)
    return _svg(figure)


def _holed(values: np.ndarray) -> Values:
    """An array as JSON would hold it: None where it is not finite."""
    return [float(value) if math.isfinite(value) else None for value in values]


def _drift_plot(drift: Values, official: Values) -> Markup:
    own = np.array(official, dtype=np.float64)
    allowed = np.maximum(DRIFT_FACTOR * np.fmax.accumulate(own), DRIFT_FLOOR)
    return _error_plot("drift", {"official": official, "ours": drift, "allowed": _holed(allowed)})


def _fed_plot(errors: Values) -> Markup:
    lines = {"fed": errors, "allowed": [FLOAT64_ALLOWED] * len(errors)}
    return _error_plot("each step alone", lines)


def _error_plot(title: str, lines: Mapping[str, Values]) -> Markup:
    figure = Figure(figsize=(WIDTH / POINTS, PAIR / POINTS))
    steps = max(map(len, lines.values()))
    axes = _axes(figure, f"{title}: relative error", steps, TOP, PAIR - BOTTOM)
    axes.set_xlabel("training step", labelpad=1)
    _errors(axes, lines, _span("float64", [{"float64": lines}]), steps)
    return _svg(figure)


# --- matplotlib


def _axes(figure: Figure, title: str, steps: int, top: int, bottom: int, *, named_steps: bool = True) -> Axes:
    """Axes over the steps, between two heights in points from the top of the figure."""
    width, height = figure.get_size_inches() * POINTS
    box = (LEFT / width, 1 - bottom / height, (width - LEFT - RIGHT) / width, (bottom - top) / height)
    axes = figure.add_axes(box)
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(left=False, bottom=False, pad=2)
    axes.text(4 / width, 1 - (top - 8) / height, title, transform=figure.transFigure, fontweight="bold")
    axes.set_xlim(0, max(steps - 1, 1))
    ticks = [0, (steps - 1) // 2, steps - 1] if steps > 2 else list(range(steps))
    axes.set_xticks(ticks, [str(tick) for tick in ticks] if named_steps else [""] * len(ticks))
    return axes


def _errors(axes: Axes, lines: Mapping[str, Values], span: tuple[int, int], steps: int) -> None:
    """Errors over the steps by their decades; at the bottom stand the zeros, at the top what is beyond measure."""
    low, high = span
    stride = math.ceil((high - low) / 4)
    ticks = list(range(high, low + 1, -stride))
    axes.set_ylim(low, high)
    axes.set_yticks([low, *ticks], ["0", *(f"1e{tick}" if tick else "1" for tick in ticks)])
    for tick in ticks:
        axes.plot([0, max(steps - 1, 1)], [tick, tick], color=FAINT, linewidth=0.6, clip_on=False)
    for whose, style in LINES.items():
        if whose in lines:
            axes.plot([_decade(error, low, high) for error in lines[whose]], clip_on=False, **style)


def _decade(error: float | None, low: int, high: int) -> float:
    if error is None:
        return high
    return min(max(math.log10(error), low), high) if error > 0 else low


def _rounded(coordinate: re.Match[str]) -> str:
    return f"{float(coordinate[0]):.1f}".removesuffix(".0")


def _svg(figure: Figure) -> Markup:
    """A figure as an element of the page: no header, no date, no ids (random ones), colours and fonts of the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<defs>.*?</defs>|</?g\b[^>]*>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text)
    text = re.sub(r" font-family: [^;\"]*;?| transform=\"rotate\(-?0 [^\"]*\"|; stroke-linecap: \w+", "", text)
    text = re.sub(r'(?<= )([dxy])="[^"]*"', lambda found: DECIMALS.sub(_rounded, found[0]), text)
    for colour, name in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return Markup(re.sub(r"\s*\n\s*", " ", text))
