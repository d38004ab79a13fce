"""A parser of command lines whose errors are one line, and commands as a user would type them."""

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pytorch_sketch_rnn.errors import BadInput

PACKAGE = "pytorch_sketch_rnn"
_UNKNOWN = "unrecognized arguments: "
_LONGEST = 100  # characters of an argument in a message


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that raises BadInput instead of printing its usage, and suggests the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput for a message of argparse."""
        if message.startswith(_UNKNOWN):
            raise BadInput(self._unknown(message.removeprefix(_UNKNOWN).split()[0]))
        raise BadInput(re.sub(r"^argument ([^\s/:]+)[^:]*:", r"\1:", message) + f"; see {self.prog} --help")

    def _unknown(self, argument: str) -> str:
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            return f"expected flags, which begin with --, got {argument[:_LONGEST]!r}; see {self.prog} --help"
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        plain = {_plain(flag): flag for flag in reversed(flags)}
        begun = [flag for flag in flags if _plain(name) and _plain(flag).startswith(_plain(name))]
        near = begun or [plain[found] for found in difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.6)]
        advice = f"did you mean {near[0]}? " if near else ""
        return f"{name[:_LONGEST]} is no flag of {self.prog}; {advice}see {self.prog} --help"


def _plain(flag: str) -> str:
    """A flag without what is easily mistyped."""
    return re.sub("[-_]", "", flag).lower()


def whole_number(text: str) -> int:
    """The type of a flag that takes a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text[:_LONGEST]!r}") from None


def number(text: str) -> float:
    """The type of a flag that takes a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text[:_LONGEST]!r}") from None


def true_or_false(text: str) -> bool:
    """The type of a flag that takes true or false, as TensorFlow's flags do."""
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text[:_LONGEST]!r}")
    return values[text.lower()]


def typed(words: Sequence[object]) -> str:
    """A command as one line that this system's shell reads as these words."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def training_command(processes: int = 1) -> list[str]:
    """How the user started this training, or would start one: with ``train.py`` if that is what runs.

    Args:
        processes: how many of them ``torchrun`` starts on this machine.
    """
    script = Path(sys.argv[0])
    what = [sys.argv[0]] if script.name == "train.py" and script.is_file() else ["-m", PACKAGE, "train"]
    return [*(["python"] if processes == 1 else ["torchrun", f"--nproc_per_node={processes}"]), *what]
