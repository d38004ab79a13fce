"""Style sheets and ``style`` attributes, as far as drawings need them: element, class and id selectors.

Source: CSS Syntax 3, CSS Cascade 4; SVG 2, chapter 6.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.document import Element

# Those that decide whether and where something is painted.
PROPERTIES = frozenset(
    (
        "clip-path", "color", "cx", "cy", "display", "fill", "fill-opacity", "filter", "height", "marker", "marker-end",
        "marker-mid", "marker-start", "mask", "opacity", "r", "rx", "ry", "stroke", "stroke-dasharray",
        "stroke-linecap", "stroke-opacity", "stroke-width", "transform", "transform-origin", "visibility", "width",
        "x", "y",
    )
)  # fmt: skip
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_DECLARATION = re.compile(r"\s*([a-zA-Z-]+)\s*:\s*([^;]*)")
_SELECTOR = re.compile(r"(\*|[a-zA-Z][\w-]*)?((?:[.#][\w-]+)*)")
_BRACE = re.compile(r"[{}]")
_RULE_STEPS = 3  # a rule takes about as long as this many other steps

# Property, value, and whether it is important.
Declaration = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A selector of one compound, and its declarations."""

    specificity: tuple[int, int, int, int]  # ids, classes, elements, and the place in the file
    tag: str  # "*" for any
    ids: frozenset[str]
    classes: frozenset[str]
    declarations: list[Declaration]


class StyleSheet:
    """The rules of all ``style`` elements of a file.

    Attributes:
        unsupported: whether there are rules that could change what is painted, but are not understood: media queries,
            and selectors that depend on more than the element itself.
    """

    def __init__(self, texts: list[str], budget: Budget) -> None:
        self.unsupported = False
        self._budget = budget
        self._rules: dict[str, list[_Rule]] = {}  # by the id, class or tag without which none of them applies
        self._count = 0
        for text in texts:
            for prelude, body in self._blocks(_COMMENT.sub(" ", text)):
                self._add(prelude, body)

    def declarations(self, element: Element) -> list[Declaration]:
        """The declarations for an element, the ones that win last; importance is not sorted."""
        if not self._rules:
            return []
        identity, classes = element.attributes.get("id", ""), element.attributes.get("class", "").split()
        names = {f"#{identity}", element.tag, "*", *(f".{name}" for name in classes)}
        self._budget.spend(len(classes))
        found = [rule for name in names for rule in self._rules.get(name, ())]
        self._budget.spend(_RULE_STEPS * len(found))
        held = frozenset(classes)
        found = [
            rule for rule in found if rule.tag in ("*", element.tag) and rule.ids <= {identity} and rule.classes <= held
        ]
        found.sort(key=lambda rule: rule.specificity)
        self._budget.spend(sum(len(rule.declarations) for rule in found))
        return [declaration for rule in found for declaration in rule.declarations]

    def _blocks(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield what stands before and in each pair of braces, without at-rules."""
        position = 0
        while (brace := text.find("{", position)) >= 0:
            self._budget.spend(_RULE_STEPS)
            prelude = text[position:brace].rpartition(";")[2].strip()
            if "@import" in text[position:brace]:
                self.unsupported = True
            depth, end = 1, brace + 1
            while depth and (found := _BRACE.search(text, end)):
                depth, end = depth + (1 if found[0] == "{" else -1), found.end()
            position = end if not depth else len(text)
            if not prelude.startswith("@"):
                yield prelude, text[brace + 1 : position - (not depth)]
            elif prelude.startswith(("@media", "@supports", "@layer", "@container")):
                self.unsupported = True

    def _add(self, prelude: str, body: str) -> None:
        declarations = parse_declarations(body)
        if not declarations:
            return
        for selector in prelude.split(","):
            self._budget.spend(_RULE_STEPS)
            match = _SELECTOR.fullmatch(selector.strip())
            if match is None or not match[0]:
                self.unsupported = True
                continue
            parts = re.findall(r"[.#][\w-]+", match[2])
            ids = frozenset(part[1:] for part in parts if part[0] == "#")
            classes = frozenset(part[1:] for part in parts if part[0] == ".")
            tag = match[1] or "*"
            self._count += 1
            specificity = (len(ids), len(classes), int(tag != "*"), self._count)
            key = parts[-1] if parts else tag
            self._rules.setdefault(key, []).append(_Rule(specificity, tag, ids, classes, declarations))


def parse_declarations(text: str) -> list[Declaration]:
    """The declarations of a ``style`` attribute or of a rule, of those in ``PROPERTIES``."""
    if "/*" in text:
        text = _COMMENT.sub(" ", text)
    declarations = []
    for part in text.split(";"):
        match = _DECLARATION.match(part)
        if match and (name := match[1].lower()) in PROPERTIES:
            value, important, _ = match[2].strip().partition("!important")
            declarations.append((name, value.strip(), bool(important)))
    return declarations
