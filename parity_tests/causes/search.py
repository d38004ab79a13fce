"""The search for bugs that give a port's numbers; see :mod:`parity_tests.causes.prove`.

Quantities are searched in the order in which they are computed, and so are the fields of a packed state: the inner cell
of a HyperLSTM, then c, then h. What was proven of an earlier one is planted when the next is searched, so several bugs
are found one by one.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from parity_tests.causes.candidates import CATALOGUE, in_order, sentence_of
from parity_tests.causes.cause import Cause
from parity_tests.causes.matching import MATCH, distance, is_match, left_by_pairs
from parity_tests.causes.reference import Reference
from parity_tests.causes.views import View, is_expected, is_of_its_cells, views_of
from parity_tests.record.recording import Recording

Bugs = frozenset[str]

KNOWN, SINGLE, PAIR = range(3)  # levels of the search: no new bug, one, or two
TIES = 8  # explanations of a field that are followed up
BASES = 4  # sets of known bugs on top of which others are tried


class Search:
    """One search in one recording.

    For the arguments see :func:`parity_tests.causes.prove.causes_for`.
    """

    def __init__(
        self,
        recording: Recording,
        departures: Mapping[str, np.ndarray],
        equal: Mapping[str, np.ndarray],
        *,
        precision: str,
        offered: Collection[str] | None,
        pairs: int,
        seconds: float | None,
        log: Callable[[str], None] | None,
        reference: Reference | None = None,
    ) -> None:
        self.recording = recording
        self.equal = equal
        self.reference = reference or Reference(recording, precision, {*departures, *equal}, offered)
        self.departures = {name: np.asarray(value) for name, value in departures.items()}
        self.pairs = pairs
        self.deadline = float("inf") if seconds is None else time.monotonic() + seconds
        self.log = log or (lambda line: None)
        self._level = KNOWN
        self._likely: Bugs = frozenset()  # the first explanation of each quantity so far
        self._merits: dict[Bugs, tuple[int, int, int, int]] = {}
        self._departures: dict[View, float] = {}
        self._pairs_tried: Counter[tuple[frozenset[str], Bugs]] = Counter()  # by methods and base

    def causes(self, known: Sequence[Bugs]) -> dict[str, Cause]:
        """The cause of each departing quantity for which one is proven, given bugs that are known already."""
        found: dict[str, list[Bugs]] = {}
        proven = list(known)
        self._likely = frozenset().union(*known)
        names = sorted((n for n in self.departures if self._departs(View(n))), key=self._order)
        for level in (KNOWN, SINGLE, PAIR):  # the cheapest level first, for everything that departs
            self._pass(level, names, found, proven)
        self.deadline = float("inf")  # known bugs take a few replays only, so there is time for them
        self._pass(KNOWN, names, found, proven)
        weights = Counter(bug for sets in found.values() for bug in frozenset().union(*sets))
        return {name: self._cause(name, found[name], weights) for name in names if found[name]}

    def _pass(self, level: int, names: Sequence[str], found: dict[str, list[Bugs]], proven: list[Bugs]) -> None:
        """Search what is unexplained until nothing new is proven: a late proof may explain an early quantity."""
        self._level = level
        while True:
            before = len(proven)
            for name in names:
                if not found.get(name):
                    found[name] = self._explained(name, proven)
                    self._learn(name, found[name], proven)
            if len(proven) == before or self._is_late():
                break

    def _learn(self, name: str, found: Sequence[Bugs], proven: list[Bugs]) -> None:
        if found:
            proven += [bugs for bugs in found if bugs not in proven]
            self._likely = self._likely | found[0]
            names = " or ".join(" and ".join(sorted(bugs)) for bugs in found)
            self.log(f"{name}: {names} ({self.reference.replays} replays)")

    # --- one quantity ---

    def _explained(self, name: str, proven: Sequence[Bugs]) -> list[Bugs]:
        """The sets of bugs that give the port's numbers."""
        whole = View(name)
        starts: list[Bugs] = [frozenset()]
        for view in self._views(name):
            if not self._departs(view):
                continue
            tries = list(dict.fromkeys(bugs for start in starts for bugs in self._combined(start, proven)))
            if found := [self._minimal(whole, bugs) for bugs in self._matching(whole, tries)]:
                return list(dict.fromkeys(found))
            found = list(self._matching(view, tries))
            found = found or [bugs for start in starts for bugs in self._extended(view, start, tries)]
            starts = list(dict.fromkeys(found))[:TIES]
        return list(self._matching(whole, starts))

    def _extended(self, view: View, start: Bugs, combined: Sequence[Bugs]) -> list[Bugs]:
        """Sets that explain a view with new bugs added to those that explain the fields before it."""
        if self._level == KNOWN:
            return []
        touching = self._touching(view)
        relevant = [bugs for bugs in combined if bugs > start and bugs - start <= set(touching)]
        bases = list(dict.fromkeys([start | (self._likely & set(touching)), start, *relevant]))[:BASES]
        singles = [base | {bug} for base in bases for bug in touching if bug not in base]
        if found := list(self._matching(view, dict.fromkeys(singles))):
            smallest = min(map(len, found))
            return [bugs for bugs in found if len(bugs) == smallest]
        for base in bases if self._level == PAIR else ():
            if found := list(self._matching(view, self._pairs(view, base, touching))):
                return found
        return []

    def _combined(self, start: Bugs, proven: Sequence[Bugs]) -> list[Bugs]:
        """Known bugs, in the combinations that are worth a try."""
        each = [start | bugs for bugs in proven] + [start | {bug} for bug in in_order(self._likely)]
        return list(dict.fromkeys([start, *each, start | self._likely]))

    def _minimal(self, view: View, bugs: Bugs) -> Bugs:
        """The set without the bugs that change nothing in the view."""
        for bug in in_order(bugs):
            if any(self._matching(view, [bugs - {bug}])):
                bugs = bugs - {bug}
        return bugs

    def _matching(self, view: View, candidates: Iterable[Bugs]) -> Iterator[Bugs]:
        """The candidates that give the port's numbers."""
        ours = view.of(self.departures[view.quantity])
        departure = self._departure(view)
        for bugs in candidates:
            if self._is_late():
                return
            answer = self._answer(view, bugs) if bugs else None
            if answer is not None and is_match(distance(answer, ours), departure, ours.size):
                yield bugs

    def _touching(self, view: View) -> list[str]:
        """The bugs that change a view, likeliest first."""
        official = view.of(self.reference.official(view.quantity))
        result = []
        for name, bug in CATALOGUE.items():
            if self._is_late():
                break
            if is_of_its_cells(self.recording, bug) and self.reference.may_affect(bug, view.quantity):
                answer = self._answer(view, frozenset({name}))
                if answer is not None and distance(answer, official) > MATCH:
                    result.append(name)
        return sorted(result, key=lambda name: not is_expected(self.recording, CATALOGUE[name], view.quantity))

    def _pairs(self, view: View, base: Bugs, touching: Sequence[str]) -> Iterator[Bugs]:
        """Pairs added to a base; those come first whose effects add up to what is left of the departure.

        A replay for one quantity serves all that are computed with it, so the limit on pairs is for all of them.
        """
        answers = {name: self._answer(view, base | {name}) for name in touching if name not in base}
        errors = left_by_pairs(self._answer(view, base), answers, view.of(self.departures[view.quantity]))
        pairs = itertools.combinations((name for name, answer in answers.items() if answer is not None), 2)
        methods = self.reference.needs(view.quantity)
        for pair in sorted(pairs, key=lambda pair: errors.get(pair, float("inf"))):
            bugs = base | set(pair)
            if not self.reference.is_known(view.quantity, bugs):
                if self._pairs_tried[methods, base] >= self.pairs:
                    continue
                self._pairs_tried[methods, base] += 1
            yield bugs

    # --- the cause ---

    def _cause(self, name: str, found: Sequence[Bugs], weights: Mapping[str, int]) -> Cause:
        """The explanation that explains most; those that explain as much are named as well.

        ``weights`` is the number of departures that each bug helps to explain.
        """
        ours, official = self.departures[name], self.reference.official(name)
        residuals = {bugs: distance(self._answer(View(name), bugs), ours) for bugs in found}
        merits = {bugs: self._merit(bugs, weights) if len(found) > 1 else () for bugs in found}
        best = max(merits.values())
        # a residual below 1e-13 is rounding and does not say which is the better one
        tied = sorted((b for b in found if merits[b] == best), key=lambda bugs: max(residuals[bugs], 1e-13))
        named = [tuple(in_order(bugs)) for bugs in tied]
        sentence = "; and ".join(map(sentence_of, named[0]))
        departure = distance(ours, official)
        return Cause(named[0], sentence, residuals[tied[0]], departure, tuple(named[1:]))

    def _merit(self, bugs: Bugs, weights: Mapping[str, int]) -> tuple[int, int, int, int]:
        """A key: how much the bugs explain, alone and with others; how few equal quantities they change; how few."""
        if bugs not in self._merits:
            explained = sum(1 for name in self.departures for _ in self._matching(View(name), [bugs]))
            changed = sum(self._changes(name, bugs) for name in self.equal)
            self._merits[bugs] = explained, min(weights[bug] for bug in bugs), -changed, -len(bugs)
        return self._merits[bugs]

    def _changes(self, name: str, bugs: Bugs) -> bool:
        answer, official = self._answer(View(name), bugs), self.reference.official(name)
        return answer is not None and official is not None and distance(answer, official) > MATCH

    # --- answers ---

    def _views(self, name: str) -> list[View]:
        return views_of(self.recording, name, self.reference.official(name), self.departures[name])

    def _answer(self, view: View, bugs: Bugs) -> np.ndarray | None:
        """What the reference answers with these bugs; None if it answers nothing or in another shape."""
        planted = [CATALOGUE[name] for name in in_order(bugs)]
        answer = self.reference.answer(view.quantity, planted)
        official = self.reference.official(view.quantity)
        fits = answer is not None and (view.stop is None or answer.shape == official.shape)
        return view.of(np.asarray(answer)) if fits else None

    def _departure(self, view: View) -> float:
        """How far the port is from the official code."""
        if view not in self._departures:
            official = self.reference.official(view.quantity)
            ours = self.departures[view.quantity]
            self._departures[view] = 0.0 if official is None else distance(view.of(ours), view.of(official))
        return self._departures[view]

    def _departs(self, view: View) -> bool:
        return self._departure(view) > MATCH

    def _order(self, name: str) -> tuple[bool, int]:
        """A key for sorting: what is computed from official values first, then in the order of computation."""
        return not name.startswith("fed/"), self.reference.place(name)

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline
