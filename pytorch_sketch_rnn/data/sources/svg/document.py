"""Parses an SVG file into elements, with expat and no more of XML than drawings need.

The danger of a DOCTYPE are the entities that it declares: they can expand a small file without limit or name other
files. So a DOCTYPE is read, including its default attributes (KanjiVG binds a namespace prefix by one), but the
declaration of an entity is refused, and no external DTD is read. ``xml.etree`` hides the expat parser that decides
this, and defusedxml forbids the whole DOCTYPE or lets its defaults pass without a limit.

Source: XML 1.0, chapters 2.8 and 3.3; https://docs.python.org/3/library/pyexpat.html.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.errors import Refused

ELEMENT_STEPS = 5  # an element takes about as long as this many other steps
_SVG = "http://www.w3.org/2000/svg"
_MAX_DEFAULTS = 1000  # expat's time grows with their square; KanjiVG has 15
_WITH_TEXT = ("style", "text")


@dataclass(slots=True)
class Element:
    """An element of SVG; those of other namespaces are dropped, as they are not painted.

    Attributes:
        tag: its name without prefix.
        attributes: by their names without prefix; those of other namespaces are dropped, except for ``xlink:href``.
        children: in the order of the file.
        text: that of a ``style`` or ``text`` element, with what is nested in it.
    """

    tag: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""


def parse_document(data: bytes, budget: Budget) -> Element:
    """Parse a file; returns its ``svg`` element.

    Raises:
        Refused: if it is not SVG, declares an entity, or exceeds the budget.
    """
    builder = _Builder(budget, most_text=4 * len(data) + 100_000)
    try:
        builder.parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: an unknown encoding
        if isinstance(error, Refused):
            raise
        raise Refused(f"expected an SVG, got a file that is no XML ({str(error)[:80]})") from None
    if builder.root is None:
        raise Refused(f"expected an SVG, got XML of another kind, <{ascii(builder.first[:40])[1:-1]}>")
    return builder.root


class _Builder:
    """Receives the events of the parser."""

    def __init__(self, budget: Budget, most_text: int) -> None:
        self.root: Element | None = None
        self.first = ""  # name of the outermost element
        self._budget = budget
        self._text_left = most_text  # characters in attributes: the DTD's defaults repeat with each element
        self._defaults_left = _MAX_DEFAULTS
        self._namespaces: dict[str, list[str]] = {"": [_SVG]}  # some programs omit it
        self._open: list[tuple[Element | None, list[str]]] = []  # None if dropped; the prefixes that it binds
        self._reading: Element | None = None
        self._texts: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._entity
        self.parser.AttlistDeclHandler = self._default

    def _entity(self, name: str, *_: object) -> None:
        raise Refused(
            f"expected an SVG without entities, got the declaration of one, {name[:40]!a}; write its text where it "
            "is used, and take the declaration out"
        )

    def _default(self, *_: object) -> None:
        self._defaults_left -= 1
        if self._defaults_left < 0:
            raise Refused(f"expected at most {_MAX_DEFAULTS} attributes declared in the DOCTYPE, got more")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._budget.spend(ELEMENT_STEPS)
        self._text_left -= sum(map(len, attributes.values())) + len(attributes)
        if self._text_left < 0:
            raise Refused("expected attributes as long as the file, got a DOCTYPE that makes them longer")
        bound = [key for key in attributes if key.startswith("xmlns")]
        for key in bound:
            self._namespaces.setdefault(key[6:], []).append(attributes[key])
        self._open.append((self._element(name, attributes), bound))

    def _element(self, name: str, attributes: dict[str, str]) -> Element | None:
        prefix, _, tag = name.rpartition(":")
        namespaces = self._namespaces.get(prefix) or ["unbound"]
        is_svg = namespaces[-1] in (_SVG, "")
        if not self._open:
            self.first = tag
            if not is_svg or tag != "svg":
                return None
        elif self._open[-1][0] is None or not is_svg:
            return None
        element = Element(tag, _plain(attributes))
        if self.root is None:
            self.root = element
        if self._open and (parent := self._open[-1][0]) is not None:
            parent.children.append(element)
        if tag in _WITH_TEXT and self._reading is None:
            self._reading, self._texts = element, []
        return element

    def _end(self, name: str) -> None:
        element, bound = self._open.pop()
        for key in bound:
            self._namespaces[key[6:]].pop()
        if element is not None and element is self._reading:
            element.text, self._reading = "".join(self._texts), None

    def _characters(self, text: str) -> None:
        if self._reading is not None:
            self._texts.append(text)


def _plain(attributes: dict[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in attributes.items() if ":" not in name}
    if "xlink:href" in attributes:
        plain.setdefault("href", attributes["xlink:href"])
    return plain
