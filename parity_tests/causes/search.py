"""The search for bugs that give a port's numbers; see :mod:`parity_tests.causes.proven`.

Quantities come in the order of computation, and fields of a packed state as well (the inner cell of a HyperLSTM, then
c, then h): what was proven of an earlier one is planted when the next is looked at: several bugs are
found one by one.
"""

import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity_tests.causes.hypotheses import HYPOTHESES
from parity_tests.causes.proven import Cause
from parity_tests.causes.reference import Reference
from parity_tests.causes.sentences import SENTENCES
from parity_tests.mutation.bugs import Hypothesis, Mutant
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.catalogue.port.parts import HYPER, LAYER_NORM, LSTM
from parity_tests.record.recording import Recording
from weight_port.names import CELLS

Bugs = frozenset[str]

# A port matches where no more than this is left, relative to the largest magnitude. Measured: a second implementation
# (examples/numpy_port.py) with the same bug comes within 4e-15 in every forward quantity of the shipped models and
# cells, and our sound port within 9e-14 of the official code in all 3668 tensors, gradients and slots included. Two
# bugs that are not the same to rounding come this close in 23 of 113,000 pairs: in 22 of them one is an epsilon of
# 1e-12 and the other a smaller one or none.
MATCH = 1e-10
# ... and the departure must be larger than that by so much: what explains one part in 10^4 of many numbers is no
# accident, and of a single number (a cost) one part in 10^6: some hundred bugs and pairs are tried.
EVIDENCE, EVIDENCE_OF_ONE = 1e4, 1e6
KNOWN, SINGLE, PAIR = range(3)  # how many bugs are new in an explanation
TIES = 8  # explanations of a field that are followed up
BASES = 4  # sets of known bugs on top of which others are tried
CATALOGUE: Mapping[str, Mutant] = {bug.name: bug for bug in (*MUTANTS, *HYPOTHESES)}
_PLACE = {name: index for index, name in enumerate(CATALOGUE)}
_CELL_PARTS = {"lstm": LSTM, "layer_norm": LAYER_NORM, "hyper": HYPER}
# the fields of a packed state, and in which order a step computes them
_FIELDS = {"lstm": ("c", "h"), "layer_norm": ("h", "c"), "hyper": ("h", "hyper_h", "c", "hyper_c")}
_COMPUTED = ("hyper_c", "hyper_h", "c", "h")


class View(NamedTuple):
    """A quantity, or the units of one field of a state: [..., units]."""

    quantity: str
    start: int = 0
    stop: int | None = None

    def of(self, values: np.ndarray) -> np.ndarray:
        """Its numbers."""
        return values if self.stop is None else values[..., self.start : self.stop]


class Search:
    """For the arguments see :func:`parity_tests.causes.proven.causes_for`."""

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
        say: Callable[[str], None] | None,
        reference: Reference | None = None,
    ) -> None:
        self.recording = recording
        self.equal = equal
        self.reference = reference or Reference(recording, precision, {*departures, *equal}, offered)
        self.departures = {name: np.asarray(value) for name, value in departures.items()}
        self.pairs = pairs
        self.deadline = float("inf") if seconds is None else time.monotonic() + seconds
        self.say = say or (lambda line: None)
        self._level = KNOWN
        self._likely: Bugs = frozenset()  # of each explanation found so far the first
        self._merits: dict[Bugs, tuple[int, int, int, int]] = {}
        self._departures: dict[View, float] = {}
        self._spent: Counter[tuple[frozenset[str], Bugs]] = Counter()  # pairs, of what is computed together

    def causes(self, known: Sequence[Bugs]) -> dict[str, Cause]:
        """Of each departing quantity of which one is proven."""
        found: dict[str, list[Bugs]] = {}
        proven = list(known)
        self._likely = frozenset().union(*known)
        names = sorted((n for n in self.departures if self._departs(View(n))), key=self._order)
        for level in (KNOWN, SINGLE, PAIR):  # what costs least comes first, of everything that departs
            self._pass(level, names, found, proven)
        self.deadline = float("inf")  # what is known takes a few replays
        self._pass(KNOWN, names, found, proven)
        weights = Counter(bug for sets in found.values() for bug in frozenset().union(*sets))
        return {name: self._cause(name, found[name], weights) for name in names if found[name]}

    def _pass(self, level: int, names: Sequence[str], found: dict[str, list[Bugs]], proven: list[Bugs]) -> None:
        """Look at all that is unexplained, again and again: what is proven late may explain what came early."""
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
            told = " or ".join(" and ".join(sorted(bugs)) for bugs in found)
            self.say(f"{name}: {told} ({self.reference.replays} replays)")

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
        """What explains a view with new bugs, on top of those that explain the fields before it."""
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
        """What is known, in the combinations that are worth a try."""
        each = [start | bugs for bugs in proven] + [start | {bug} for bug in sorted(self._likely, key=_PLACE.get)]
        return list(dict.fromkeys([start, *each, start | self._likely]))

    def _minimal(self, view: View, bugs: Bugs) -> Bugs:
        """Without the bugs that change nothing in it."""
        for bug in sorted(bugs, key=_PLACE.get):
            if any(self._matching(view, [bugs - {bug}])):
                bugs = bugs - {bug}
        return bugs

    def _matching(self, view: View, candidates: Iterable[Bugs]) -> Iterator[Bugs]:
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
            if self._is_of_these_cells(bug) and self.reference.may_affect(bug, view.quantity):
                answer = self._answer(view, frozenset({name}))
                if answer is not None and distance(answer, official) > MATCH:
                    result.append(name)
        return sorted(result, key=lambda name: not self._fits(CATALOGUE[name], view.quantity))

    def _pairs(self, view: View, base: Bugs, touching: Sequence[str]) -> Iterator[Bugs]:
        """Pairs on top of a base, those first whose effects add up to what is left of the departure.

        What is computed for one quantity is there for the others, so the number of pairs is that of all together.
        """
        answers = {name: self._answer(view, base | {name}) for name in touching if name not in base}
        errors = _added(self._answer(view, base), answers, view.of(self.departures[view.quantity]))
        pairs = itertools.combinations((name for name, answer in answers.items() if answer is not None), 2)
        methods = self.reference.needs(view.quantity)
        for pair in sorted(pairs, key=lambda pair: errors.get(pair, float("inf"))):
            bugs = base | set(pair)
            if not self.reference.is_known(view.quantity, bugs):
                if self._spent[methods, base] >= self.pairs:
                    continue
                self._spent[methods, base] += 1
            yield bugs

    # --- the cause ---

    def _cause(self, name: str, found: Sequence[Bugs], weights: Mapping[str, int]) -> Cause:
        """Of several explanations the one that explains most; those that explain as much are named as well.

        ``weights`` says for how many departures each bug is part of an explanation.
        """
        ours, official = self.departures[name], self.reference.official(name)
        residuals = {bugs: distance(self._answer(View(name), bugs), ours) for bugs in found}
        merits = {bugs: self._merit(bugs, weights) if len(found) > 1 else () for bugs in found}
        best = max(merits.values())
        # below 1e-13 a residual is rounding, and says nothing about which is the better one
        tied = sorted((b for b in found if merits[b] == best), key=lambda bugs: max(residuals[bugs], 1e-13))
        named = [tuple(sorted(bugs, key=_PLACE.get)) for bugs in tied]
        sentence = "; and ".join(map(sentence_of, named[0]))
        departure = distance(ours, official)
        return Cause(named[0], sentence, residuals[tied[0]], departure, tuple(named[1:]))

    def _merit(self, bugs: Bugs, weights: Mapping[str, int]) -> tuple[int, int, int, int]:
        """How much a set of bugs explains, alone and with others; how much that is equal it leaves alone; few bugs."""
        if bugs not in self._merits:
            explained = sum(1 for name in self.departures for _ in self._matching(View(name), [bugs]))
            changed = sum(self._changes(name, bugs) for name in self.equal)
            self._merits[bugs] = explained, min(weights[bug] for bug in bugs), -changed, -len(bugs)
        return self._merits[bugs]

    def _changes(self, name: str, bugs: Bugs) -> bool:
        answer, official = self._answer(View(name), bugs), self.reference.official(name)
        return answer is not None and official is not None and distance(answer, official) > MATCH

    # --- small questions ---

    def _answer(self, view: View, bugs: Bugs) -> np.ndarray | None:
        planted = [CATALOGUE[name] for name in sorted(bugs, key=_PLACE.__getitem__)]
        answer = self.reference.answer(view.quantity, planted)
        official = self.reference.official(view.quantity)
        fits = answer is not None and (view.stop is None or answer.shape == official.shape)
        return view.of(np.asarray(answer)) if fits else None

    def _departure(self, view: View) -> float:
        if view not in self._departures:
            official = self.reference.official(view.quantity)
            ours = self.departures[view.quantity]
            self._departures[view] = 0.0 if official is None else distance(view.of(ours), view.of(official))
        return self._departures[view]

    def _departs(self, view: View) -> bool:
        return self._departure(view) > MATCH

    def _views(self, name: str) -> list[View]:
        """The fields of a state in the order in which they are computed, then all of it."""
        whole, kind = View(name), self._kind(name)
        official, ours = self.reference.official(name), self.departures[name]
        is_state = re.search(r"(^|/)(final_)?state$", name) is not None
        if kind is None or not is_state or official is None or official.shape != ours.shape:
            return [whole]
        units = self._units(name, kind)
        inner = official.shape[-1] // 2 - units
        fields, start = {}, 0
        for field in _FIELDS[kind]:
            size = inner if field.startswith("hyper_") else units
            fields[field] = View(name, start, start + size)
            start += size
        return [*(fields[field] for field in _COMPUTED if field in fields), whole]

    def _kind(self, name: str) -> str | None:
        """Of the cell that computes a quantity, where it is one cell."""
        hparams = self.recording.hparams
        if self.recording.kind == "cell":
            return hparams["cell"]
        layer = next((layer for layer in ("encoder", "decoder") if f"/{layer}/" in name), None)
        return None if layer is None else hparams[f"{layer[:3]}_model"]

    def _units(self, name: str, kind: str) -> int:
        if self.recording.kind == "cell":
            return len(self.recording["weights"][f"{CELLS[kind][0]}/W_hh"])
        return self.recording.hparams["enc_rnn_size" if "/encoder/" in name else "dec_rnn_size"]

    def _is_of_these_cells(self, bug: Mutant) -> bool:
        """A bug of a HyperLSTM's inner cell changes the code of the layer-norm LSTM; elsewhere that is another bug."""
        hparams = self.recording.hparams
        models = ("dec_model", "enc_model") if hparams.get("conditional") else ("dec_model",)
        kinds = {hparams[name] for name in ("cell", *models) if name in hparams}
        return bug.parts != HYPER or not kinds or "hyper" in kinds

    def _fits(self, bug: Mutant, quantity: str) -> bool:
        """Whether the catalogue expects a bug to show here."""
        kind = self._kind(quantity)
        return set(bug.parts) & set(_CELL_PARTS.get(kind, ())) != set() or quantity.rpartition("/")[2] in bug.parts

    def _order(self, name: str) -> tuple[bool, int]:
        return not name.startswith("fed/"), self.reference.place(name)

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference relative to the largest magnitude of either; infinite where they cannot be compared."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype.kind not in "biuf" or b.dtype.kind not in "biuf":
        return float("inf")
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return float(np.abs(a - b).max() / scale) if scale else 0.0


def _added(
    start: np.ndarray | None, answers: Mapping[str, np.ndarray | None], ours: np.ndarray
) -> dict[tuple[str, str], float]:
    """The square of what two effects together leave of a departure, less a constant, where they can be added."""
    fits = {n: a for n, a in answers.items() if a is not None and a.shape == ours.shape and np.isfinite(a).all()}
    if start is None or start.shape != ours.shape or not np.isfinite(ours).all() or len(fits) < 2:
        return {}
    vectors = np.stack([(answer.astype(np.float64) - start).ravel() for answer in fits.values()])
    along = vectors @ (ours.astype(np.float64) - start).ravel()
    products = vectors @ vectors.T
    squares = np.diag(products)
    error = squares[:, None] + squares + 2 * products - 2 * (along[:, None] + along)
    names = list(fits)
    return {(names[a], names[b]): error[a, b] for a, b in itertools.combinations(range(len(names)), 2)}


def is_match(residual: float, departure: float, size: int) -> bool:
    """Whether the reference with a bug gives the port's numbers, and the departure is large enough to tell."""
    return residual <= min(MATCH, departure / (EVIDENCE if size > 1 else EVIDENCE_OF_ONE))


def sentence_of(name: str) -> str:
    """What a bug says to the author of a port that has it."""
    bug = CATALOGUE[name]
    return bug.sentence if isinstance(bug, Hypothesis) else SENTENCES.get(name, f"it has this bug: {name}")
