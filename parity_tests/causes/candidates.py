"""The bugs that a search may name, and what each says to the author of a port that has it."""

from collections.abc import Iterable, Mapping

from parity_tests.causes.hypotheses import HYPOTHESES
from parity_tests.causes.sentences import SENTENCES
from parity_tests.mutation.bugs import Hypothesis, Mutant
from parity_tests.mutation.catalogue.port import MUTANTS

CATALOGUE: Mapping[str, Mutant] = {bug.name: bug for bug in (*MUTANTS, *HYPOTHESES)}
_PLACE = {name: index for index, name in enumerate(CATALOGUE)}


def in_order(bugs: Iterable[str]) -> list[str]:
    """Names of bugs in the order of the catalogue."""
    return sorted(bugs, key=_PLACE.__getitem__)


def sentence_of(name: str) -> str:
    """What a bug says to the author of a port that has it."""
    bug = CATALOGUE[name]
    return bug.sentence if isinstance(bug, Hypothesis) else SENTENCES.get(name, f"it has this bug: {name}")
