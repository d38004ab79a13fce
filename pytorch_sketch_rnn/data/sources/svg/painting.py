"""Whether an element is painted: the properties of fill and stroke, how they are inherited, and what hides an element.

Source: SVG 2, chapters 6 and 13; CSS Color 4, chapter 4.
"""

import re
from collections.abc import Mapping

from PIL.ImageColor import colormap

from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.css import PROPERTIES, Declaration, StyleSheet, parse_declarations
from pytorch_sketch_rnn.data.sources.svg.document import Element
from pytorch_sketch_rnn.data.sources.svg.lengths import parse_fraction, parse_length

# The inherited properties, with their initial values. "" is a stroke that nobody has mentioned.
INITIAL: Mapping[str, str] = {
    "color": "black",
    "fill": "black",
    "fill-opacity": "1",
    "marker-end": "none",
    "marker-mid": "none",
    "marker-start": "none",
    "stroke": "",
    "stroke-dasharray": "none",
    "stroke-linecap": "butt",
    "stroke-opacity": "1",
    "stroke-width": "1",
    "visibility": "visible",
}
# What these properties do to a painted element is not done to its lines.
EFFECTS = ("clip-path", "filter", "mask", "marker-end", "marker-mid", "marker-start", "stroke-dasharray")
_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_FUNCTION = re.compile(r"(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|color|color-mix)\(([^()]*)\)")
_REFERENCE = re.compile(r"url\(\s*[\"']?#([^\"')]*)[\"']?\s*\)\s*(.*)", re.DOTALL)
_KEYWORDS = ("none", "currentcolor", "transparent", "context-fill", "context-stroke")


def declared(element: Element, sheet: StyleSheet, budget: Budget) -> dict[str, str]:
    """The valid properties of an element: its attributes, then style sheets, then its ``style``, the last one wins."""
    attributes = element.attributes
    values = {name: value.strip() for name, value in attributes.items() if name in PROPERTIES}
    values = {name: value for name, value in values.items() if _is_valid(name, value)}
    own = parse_declarations(attributes["style"]) if "style" in attributes else []
    budget.spend(len(own))
    found: list[Declaration] = [*sheet.declarations(element), *own]
    if any(important for _, _, important in found):
        found.sort(key=lambda declaration: declaration[2])
    for name, value, _ in found:
        if not _is_valid(name, value):
            continue
        for each in ("marker-start", "marker-mid", "marker-end") if name == "marker" else (name,):
            values[each] = value
    return values


def inherit(parent: Mapping[str, str], values: Mapping[str, str]) -> Mapping[str, str]:
    """The inherited properties of an element, from its parent's and its own."""
    changed = {
        name: INITIAL[name] if value == "initial" else value
        for name, value in values.items()
        if name in INITIAL and value not in ("inherit", "unset")
    }
    for name, value in values.items():  # an attribute, which a style has set back
        if name in INITIAL and value in ("inherit", "unset"):
            changed[name] = parent[name]
    return {**parent, **changed} if changed else parent


def referenced(value: str) -> str | None:
    """The id in ``url(#id)``."""
    match = _REFERENCE.fullmatch(value)
    return match[1] if match else None


def is_hidden(values: Mapping[str, str]) -> bool:
    """Whether an element is hidden with all that is in it."""
    return values.get("display") == "none" or _is_zero(parse_fraction(values.get("opacity", "1")))


def is_visible(style: Mapping[str, str]) -> bool:
    """Whether the element itself is visible; one in it can be visible all the same."""
    return style["visibility"] not in ("hidden", "collapse")


def has_fill(style: Mapping[str, str], ids: Mapping[str, Element]) -> bool:
    """Whether the inside of a visible shape is painted."""
    return _paints(style["fill"], style["color"], ids) and not _is_zero(parse_fraction(style["fill-opacity"]))


def has_stroke(style: Mapping[str, str], ids: Mapping[str, Element]) -> bool:
    """Whether the outline of a visible shape is painted."""
    return (
        _paints(style["stroke"], style["color"], ids)
        and not _is_zero(parse_fraction(style["stroke-opacity"]))
        and not _is_zero(parse_length(style["stroke-width"]))
    )


def is_plain(style: Mapping[str, str]) -> bool:
    """Whether no stroke is mentioned anywhere.

    A browser fills such a shape and shows nothing of a line, which has no inside. Who wrote it meant a line.
    """
    return style["stroke"] == ""


def _paints(paint: str, color: str, ids: Mapping[str, Element]) -> bool:
    reference = _REFERENCE.fullmatch(paint)
    if reference:
        if reference[1] in ids:
            return True
        paint = reference[2].strip() or "none"
    paint = paint.lower()
    if paint == "currentcolor":
        paint = color.lower()
    if paint in ("", "none", "transparent"):
        return False
    if paint[0] == "#":
        return not ((len(paint) == 5 and paint[4] == "0") or (len(paint) == 9 and paint[7:] == "00"))
    match = _FUNCTION.fullmatch(paint)
    return match is None or not _is_zero(_alpha(match[1]))


def _alpha(arguments: str) -> float | None:
    """The fourth argument of a color, after a slash or a third comma."""
    if "/" in arguments:
        return parse_fraction(arguments.rpartition("/")[2])
    parts = arguments.split(",")
    return parse_fraction(parts[3]) if len(parts) == 4 else None


def _is_zero(number: float | None) -> bool:
    return number is not None and number <= 0


def _is_valid(name: str, value: str) -> bool:
    """Whether a browser would not ignore a value; only of the properties that decide what is painted."""
    if value in ("inherit", "initial", "unset"):
        return True
    if name in ("fill", "stroke"):
        return _is_paint(value.lower()) or _REFERENCE.fullmatch(value) is not None
    if name in ("opacity", "fill-opacity", "stroke-opacity"):
        return parse_fraction(value) is not None
    if name == "stroke-width":
        length = parse_length(value)
        return length is not None and length >= 0
    if name == "visibility":
        return value in ("visible", "hidden", "collapse")
    if name == "color":
        return _is_paint(value.lower())
    return bool(value)


def _is_paint(value: str) -> bool:
    return (
        value in colormap
        or value in _KEYWORDS
        or _HEX.fullmatch(value) is not None
        or _FUNCTION.fullmatch(value) is not None
    )
