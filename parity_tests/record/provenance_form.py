"""The form of a recording's provenance: who wrote it is not known, but reports show it and replays use it."""

import json
from collections.abc import Mapping
from typing import Any

LARGEST_SEED = 2**31 - 1  # a replay adds the number of a draw to it, and NumPy accepts up to 2**32 - 1
# The entries that the official side writes; those of other versions may lack some, and have others.
TEXTS = ("official", "machine", "processor", "vector instructions", "linear algebra", "checkpoint")
NUMBERS = ("cores", "threads", "seed")
TABLES = ("versions", "sha256", "environment")  # text by name
LISTS = ("command", "not sampled")  # of texts


def provenance_problem(provenance: Mapping[str, Any]) -> str | None:
    """What is wrong with a provenance, or None.

    Args:
        provenance: from JSON.
    """
    for name, value in provenance.items():
        if name in TEXTS and not isinstance(value, str):
            return f"its {name} is of another form, expected text"
        if name in NUMBERS and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            return f"its {name} is of another form, expected a whole number"
        if name in TABLES and not (isinstance(value, dict) and all(isinstance(text, str) for text in value.values())):
            return f"its {name} is of another form, expected texts by name"
        if name in LISTS and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
            return f"its {name} is of another form, expected a list of texts"
    if provenance.get("seed", 0) > LARGEST_SEED:
        return f"its seed is larger than {LARGEST_SEED}"
    return None


def is_unicode(claims: Any) -> bool:
    """Whether all text in claims can be written to a file; JSON can also name halves of surrogate pairs."""
    try:
        json.dumps(claims, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
