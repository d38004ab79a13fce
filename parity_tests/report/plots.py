"""The plots of the HTML report, drawn by matplotlib as inline SVG."""

import io
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from parity_tests.judge.limits import DRIFT_FACTOR, DRIFT_FLOOR, FLOAT64_ALLOWED
from parity_tests.report.profiles import Lines, Values, merged

# Placeholders that matplotlib draws with; each becomes a CSS variable of the page, which has a light and a dark value.
INK, FAINT, OURS, FED, OFFICIAL, SPREAD, ALLOWED = (f"#00000{digit}" for digit in range(1, 8))
COLOURS = {INK: "ink", FAINT: "rule", OURS: "ours", FED: "fed", OFFICIAL: "official", SPREAD: "spread"}
COLOURS[ALLOWED] = "allowed"
WIDE = {"linewidth": 4.5, "alpha": 0.55}  # a line that stays visible below another one
LINES: dict[str, dict[str, Any]] = {  # in drawing order
    "spread": {"color": SPREAD, **WIDE},
    "official": {"color": OFFICIAL, "linewidth": 1.2, "linestyle": (0, (1.2, 1.2))},
    "ours": {"color": OURS, "linewidth": 1.4},
    "fed": {"color": FED, "linewidth": 1.2, "linestyle": (0, (4, 2))},
    "allowed": {"color": ALLOWED, "linewidth": 1.1, "linestyle": (0, (1.2, 2))},
}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,
}
POINTS = 72  # to the inch
WIDTH, HEIGHT, PAIR_HEIGHT = 256, 140, 190  # in points: of a plot; the height of two panels above each other
DECIMALS = re.compile(r"\d+\.\d{2,}")
LEFT, RIGHT, TOP, BOTTOM = 42, 8, 22, 28  # margins of a plot, in points

# Decades that a plot of errors always shows; smaller errors are drawn at the bottom, like zeros.
DECADES = {"float64": (-18, -9), "float32": (-10, -4)}

Profile = Mapping[str, Lines]  # precision -> name of a line -> one number a step


def plots_of(profiles: Mapping[str, Profile], training: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All plots of a page.

    Args:
        profiles: of the quantities that have steps, see :func:`parity_tests.report.profiles.profiles`.
        training: the curves of training runs, see :class:`parity_tests.judge.training.Curves`.

    Returns:
        ``groups``: plots of the quantities of each layer; ``flat``: names of quantities without any error to draw;
        ``training``: plots of each training run.
    """
    with matplotlib.rc_context(SETTINGS):
        return {
            "groups": _groups(profiles),
            "flat": [quantity for quantity, profile in profiles.items() if _flat(profile)],
            "training": _training(training),
        }


# --- error against time step


def _groups(profiles: Mapping[str, Profile]) -> list[dict[str, Any]]:
    """For each layer, the plots of all its quantities, and one plot of the quantity closest to its allowance."""
    groups: dict[str, dict[str, Profile]] = {}
    for quantity, profile in profiles.items():
        if _flat(profile):
            continue
        layer = quantity.rpartition("/")[0].removesuffix("/hyper_cell") or "others"
        groups.setdefault(layer, {})[quantity] = profile
    spans = {precision: _span(precision, profiles.values()) for precision in _precisions(profiles.values())}
    return [_group(layer, quantities, spans) for layer, quantities in groups.items()]


def _group(layer: str, quantities: Mapping[str, Profile], spans: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    closest = {
        precision: merged(profile[precision] for profile in quantities.values() if precision in profile)
        for precision in _precisions(quantities.values())
    }
    return {
        "layer": layer,
        "plots": _profile_plots(closest, spans),
        "largest": {precision: _largest_error(precision, quantities.values()) for precision in closest},
        "quantities": [
            {"name": name, "plots": _profile_plots(profile, spans), "largest": _largest_errors(profile)}
            for name, profile in quantities.items()
        ],
    }


def _flat(profile: Profile) -> bool:
    """Whether a quantity was compared bit for bit without a difference, so that there is no error to draw."""
    return set(profile) == {"exact"} and all(error == 0 for error in _largest_errors(profile).values())


def _precisions(profiles: Iterable[Profile]) -> list[str]:
    """The precisions that occur, float64 first."""
    return sorted({precision for profile in profiles for precision in profile}, reverse=True)


def _largest_errors(profile: Profile) -> dict[str, float | None]:
    """The port's largest error in each precision."""
    return {precision: _largest_error(precision, [profile]) for precision in profile}


def _largest_error(precision: str, profiles: Iterable[Profile]) -> float | None:
    """The port's largest error in some quantities; None, which stands for infinity, is the largest."""
    curves = [profile[precision] for profile in profiles if precision in profile]
    errors = [error for curve in curves for whose in ("ours", "fed") for error in curve.get(whose, ())]
    numbers = [error for error in errors if error is not None]
    return None if len(numbers) < len(errors) else max(numbers, default=0.0)


def _span(precision: str, profiles: Iterable[Profile]) -> tuple[int, int]:
    """The decades of the vertical axis, the same in all plots of a precision so that they can be compared."""
    low, high = DECADES.get(precision, DECADES["float64"])
    curves = [profile[precision] for profile in profiles if precision in profile]
    largest = max((error or 0.0 for curve in curves for values in curve.values() for error in values), default=0.0)
    return low, max(high, math.ceil(math.log10(largest)) if largest else high)


def _profile_plots(profile: Profile, spans: Mapping[str, tuple[int, int]]) -> list[Markup]:
    """A plot for each precision."""
    return [_profile_plot(name, profile[name], span) for name, span in spans.items() if name in profile]


def _profile_plot(precision: str, curves: Mapping[str, Values], span: tuple[int, int]) -> Markup:
    steps = max(map(len, curves.values()))
    figure = Figure(figsize=(WIDTH / POINTS, HEIGHT / POINTS))
    axes = _axes(figure, f"{precision}: relative error", steps, TOP, HEIGHT - BOTTOM)
    axes.set_xlabel("time step", labelpad=1)
    _errors(axes, curves, span, steps)
    return _svg(figure)


# --- training


def _training(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each run: the curves of both sides with their difference below, and the drift of the port."""
    return [
        {
            "recording": run["recording"],
            "curves": [_curve_plot(name, run["ours"][name], run["theirs"][name]) for name in run["theirs"]],
            "drift": _drift_plot(run["drift"], run["official_drift"]),
            "fed": _fed_plot(run["fed_error"]),
            "steps": len(run["drift"]),
            "at_the_end": {"the port": run["drift"][-1], "the official code, from itself": run["official_drift"][-1]},
            "largest_fed": _largest_error("float64", [{"float64": {"fed": run["fed_error"]}}]),
        }
        for run in runs
    ]


def _curve_plot(name: str, ours: Values, theirs: Values) -> Markup:
    figure = Figure(figsize=(WIDTH / POINTS, PAIR_HEIGHT / POINTS))
    steps = len(theirs)
    middle = TOP + 84
    axes = _axes(figure, name.replace("_", " "), steps, TOP, middle, named_steps=False)
    for style, values in (({"color": OFFICIAL, **WIDE}, theirs), (LINES["ours"], ours)):
        axes.plot(np.array(values, dtype=np.float64), clip_on=False, **style)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    mine, other = (np.array(values, dtype=np.float64) for values in (ours, theirs))
    scale = np.nanmax(np.abs(other), initial=0.0) or 1.0
    difference = np.abs(mine - other) / scale
    below = _axes(figure, "difference, relative", steps, middle + TOP - 2, PAIR_HEIGHT - BOTTOM)
    below.set_xlabel("training step", labelpad=1)
    _errors(below, {"ours": _listed(difference)}, _span("float64", [{"float64": {"ours": _listed(difference)}}]), steps)
    return _svg(figure)


def _listed(values: np.ndarray) -> Values:
    """An array as a list, with None for what is not finite."""
    return [float(value) if math.isfinite(value) else None for value in values]


def _drift_plot(drift: Values, official: Values) -> Markup:
    own = np.array(official, dtype=np.float64)
    allowed = np.maximum(DRIFT_FACTOR * np.fmax.accumulate(own), DRIFT_FLOOR)
    return _error_plot(
        "drift", {"spread": np.fmax.accumulate(own).tolist(), "ours": drift, "allowed": _listed(allowed)}
    )


def _fed_plot(errors: Values) -> Markup:
    lines: Lines = {"fed": errors, "allowed": [FLOAT64_ALLOWED] * len(errors)}
    return _error_plot("each step alone", lines)


def _error_plot(title: str, lines: Lines) -> Markup:
    figure = Figure(figsize=(WIDTH / POINTS, PAIR_HEIGHT / POINTS))
    steps = max(map(len, lines.values()))
    axes = _axes(figure, f"{title}: relative error", steps, TOP, PAIR_HEIGHT - BOTTOM)
    axes.set_xlabel("training step", labelpad=1)
    _errors(axes, lines, _span("float64", [{"float64": lines}]), steps)
    return _svg(figure)


# --- matplotlib


def _axes(figure: Figure, title: str, steps: int, top: int, bottom: int, *, named_steps: bool = True) -> Axes:
    """Axes over the steps, between two heights that are in points from the top of the figure."""
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
    """Draw errors over the steps on a logarithmic scale, with zeros at the bottom and infinite errors at the top."""
    low, high = span
    stride = math.ceil((high - low) / 4)
    ticks = list(range(high, low + 1, -stride))
    axes.set_ylim(low, high)
    axes.set_yticks([low, *ticks], ["0", *(f"1e{tick}" if tick else "1" for tick in ticks)])
    for tick in ticks:
        axes.plot([0, max(steps - 1, 1)], [tick, tick], color=FAINT, linewidth=0.6, clip_on=False)
    for whose, style in LINES.items():
        if whose in lines:
            # the allowance ends at a step that is not judged
            missing = math.nan if whose == "allowed" else high
            decades = [missing if error is None else _decade(error, low, high) for error in lines[whose]]
            axes.plot(decades, clip_on=False, **style)


def _decade(error: float, low: int, high: int) -> float:
    return min(max(math.log10(error), low), high) if error > 0 else low


def _one_decimal(coordinate: re.Match[str]) -> str:
    return f"{float(coordinate[0]):.1f}".removesuffix(".0")


def _svg(figure: Figure) -> Markup:
    """A figure as an element of the page.

    matplotlib writes a whole document, which cannot be embedded as it is: the ids of many plots would collide on one
    page, its metadata name addresses on the web, its colours would not follow dark mode, and its groups, fonts and
    digits make it nearly three times as large. So ids, metadata, groups and fonts are removed, colours become variables
    of the page's style sheet, and coordinates are rounded to 0.1 point.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<defs>.*?</defs>|</?g\b[^>]*>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text)
    text = re.sub(r" font-family: [^;\"]*;?| transform=\"rotate\(-?0 [^\"]*\"|; stroke-linecap: \w+", "", text)
    text = re.sub(r'(?<= )([dxy])="[^"]*"', lambda found: DECIMALS.sub(_one_decimal, found[0]), text)
    for colour, name in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return Markup(re.sub(r"\s*\n\s*", " ", text))
