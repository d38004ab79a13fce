"""Lengths and other numbers of SVG attributes.

Source: CSS Values and Units 3, chapter 6; SVG 2, chapter 8.9 for percentages.
"""

import re

NUMBER = r"[-+]?(?:[0-9]++(?:\.[0-9]++)?+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+"
_LENGTH = re.compile(rf"[ \t\r\n\f]*({NUMBER})([a-zA-Z]*|%)[ \t\r\n\f]*")
_FONT_SIZE = 16.0  # that of a browser's medium text
# Pixels in a unit.
_UNITS = {
    "": 1.0, "px": 1.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "q": 96 / 101.6, "pt": 96 / 72, "pc": 16.0,
    "em": _FONT_SIZE, "rem": _FONT_SIZE, "ex": _FONT_SIZE / 2, "ch": _FONT_SIZE / 2,
}  # fmt: skip


def parse_length(text: str | None, whole: float = 100.0) -> float | None:
    """Parse a length in pixels; ``whole`` is 100 %. Returns None for what is none, which a browser ignores."""
    match = _LENGTH.fullmatch(text) if text is not None else None
    if match is None:
        return None
    number, unit = float(match[1]), match[2].lower()
    if unit == "%":
        return number / 100 * whole
    return number * _UNITS[unit] if unit in _UNITS else None


def parse_fraction(text: str) -> float | None:
    """Parse an opacity, a number or a percentage."""
    match = _LENGTH.fullmatch(text)
    if match is None or match[2] not in ("", "%"):
        return None
    return float(match[1]) / (100 if match[2] else 1)
