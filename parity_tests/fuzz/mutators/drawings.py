"""Changes of SVG drawings: elements, attributes, path data, transforms, and any bytes."""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from xml.etree import ElementTree

from parity_tests.fuzz.mutators.raw import mutate_bytes

_TOKENS = (
    b"<!DOCTYPE svg>", b'<!DOCTYPE svg [<!ENTITY a "b">]>', b"&a;", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<g>",
    b"</g>",
    b"<path d='M0 0L9 9'/>", b"<?xml version='1.0' encoding='utf-16'?>", b"\xff\xfe", b"\x00", b"&#0;", b"&#x1b;",
    b"xmlns:a=''",
)  # fmt: skip
_PATHS = (
    "", "M", "M 0", "L 5 5", "z", "z z z", "M0 0z" * 3000, "M 1 1 " + "z" * 20000, "M0 0 " + "l1 1" * 5000,
    "M 0 0 A 0 0 0 0 0 5 5",
    "M0 0 A 1e300 1e-300 1e9 1 1 5 5", "M 1e308 1e308 L -1e308 -1e308", "M nan nan L inf inf", "M0 0 C", "M0 0 Q 1 2 3",
    "M0,0L1e999,1", "M 0 0 H", "T 5 5 S 1 1", "M0 0 C 1 1 2 2 3 3 4 4", "M 0 0 L 0 0", "m-.5.5.5.5", "M0 0L\x0b1 1",
)  # fmt: skip
_TRANSFORMS = (
    "scale(", "scale(" * 3000, "scale(0)", "scale(1e200) scale(1e200)", "matrix(1 2 3)", "rotate(nan)",
    "translate(1e308,1e308)",
    "translate(1) " * 5000, "skewX(90)", "rotate(1,2)", "perspective(1)", ")", "matrix(0 0 0 0 0 0)", "scale(1e-200)",
)  # fmt: skip
_NUMBERS = (
    "", "0", "-5", "1e308", "nan", "1e999", "5px", "50%", "10em", "auto", "5 5", "\u0665", "1" * 5000, "0x5", "none",
)  # fmt: skip
_POINTS = ("", "0", "0,0", "0,0 1", "1 1 " * 20000, "a b", "1e999,0 5,5", "0 0 nan 5")
_TAGS = (
    "path", "rect", "line", "polyline", "polygon", "circle", "ellipse", "g", "use", "symbol", "defs", "clipPath",
    "text",
    "image", "style", "switch", "a", "svg", "mask", "script", "foreignObject",
)  # fmt: skip
_STYLES = (
    "display:none", "fill:none;stroke:none", "visibility:hidden", "opacity:0", "opacity:nan", ";;:", "display",
    "a" * 5000,
)  # fmt: skip
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "d": _PATHS, "points": _POINTS, "transform": _TRANSFORMS, "style": _STYLES,
    "viewBox": ("0 0 0 0", "a", "0 0 1e999 1", "0 0 -1 -1"), "href": ("#a", "#b", "file:///dev/zero", "#" * 5000,
    "#\x85"),
    "id": ("a", "b", ""), "fill": ("none", "url(#a)", "#fff"), "stroke": ("none", "inherit"), "class": ("a", ""),
    "opacity": _NUMBERS, "stroke-width": _NUMBERS,
}  # fmt: skip
_LENGTHS = ("x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "width", "height")
_DEPTHS = (10, 500, 20_000)
_MOST_ELEMENTS = 2000


def mutate_svg(random: Random, data: bytes) -> bytes:
    """A changed drawing.

    Args:
        random: decides everything.
        data: a valid SVG file.
    """
    if random.random() < 0.25:
        return mutate_bytes(random, data, _TOKENS)
    root = ElementTree.fromstring(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_CHANGES)(random, root)
    text = ElementTree.tostring(root)
    if random.random() < 0.05:
        text = _nested(text, random.choice((b"g", b"svg", b"symbol")), random.choice(_DEPTHS))
    return mutate_bytes(random, text, _TOKENS) if random.random() < 0.1 else text


def _nested(text: bytes, tag: bytes, depth: int) -> bytes:
    """The drawing inside many elements, each of which moves it."""
    opened = b"<" + tag + b' transform="translate(1)">'
    return b"<svg>" + opened * depth + text + (b"</" + tag + b">") * depth + b"</svg>"


def _change_attribute(random: Random, root: ElementTree.Element) -> None:
    element = random.choice(list(root.iter()))
    name = random.choice((*_ATTRIBUTES, *_ATTRIBUTES, *_LENGTHS, *element.keys()))
    element.set(name, random.choice(_ATTRIBUTES.get(name, _NUMBERS)))


def _change_text(random: Random, root: ElementTree.Element) -> None:
    """Change a few characters of an attribute."""
    element = random.choice(list(root.iter()))
    if element.keys():
        name = random.choice(sorted(element.keys()))
        changed = mutate_bytes(
            random, element.get(name, "").encode(), (b"z", b"M", b"-", b".", b"e9", b",", b"A0 0 0 1 1")
        )
        element.set(name, changed.decode("utf-8", "replace")[:100_000])


def _remove_attribute(random: Random, root: ElementTree.Element) -> None:
    element = random.choice(list(root.iter()))
    if element.keys():
        del element.attrib[random.choice(sorted(element.keys()))]


def _change_tag(random: Random, root: ElementTree.Element) -> None:
    random.choice(list(root.iter())).tag = random.choice(_TAGS)


def _copy(random: Random, root: ElementTree.Element) -> None:
    """Copy an element into another one, sometimes many times."""
    elements = list(root.iter())
    copied, target = random.choice(elements[1:] or elements), random.choice(elements)
    copied = deepcopy(copied)  # as it may hold the other one
    for _ in range(min(random.choice((1, 1, 1, 50)), _MOST_ELEMENTS // len(elements))):
        target.append(deepcopy(copied))


def _use(random: Random, root: ElementTree.Element) -> None:
    """Refer to an element, perhaps one that contains the reference."""
    random.choice(list(root.iter())).set("id", "a")
    for _ in range(random.choice((1, 1, 2, 30))):
        random.choice(list(root.iter())).append(ElementTree.Element("use", {"href": random.choice(("#a", "#a", "#b"))}))


_CHANGES: tuple[Callable[[Random, ElementTree.Element], None], ...] = (
    _change_attribute, _change_attribute, _change_attribute, _change_text, _remove_attribute, _change_tag, _copy, _use,
)  # fmt: skip
