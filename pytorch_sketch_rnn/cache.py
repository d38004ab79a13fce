"""The folder in which this program keeps what it can make or download again."""

import os
from pathlib import Path


def cache_folder(parent: Path | str | None = None) -> Path:
    """The folder ``pytorch-sketch-rnn``, which may not exist yet.

    Args:
        parent: the folder that it is in; None for the XDG base directory for caches ($XDG_CACHE_HOME, ignored if it is
            relative, as its specification asks; else ~/.cache).
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    default = given if given.is_absolute() else Path.home() / ".cache"
    return (default if parent is None else Path(parent)) / "pytorch-sketch-rnn"
