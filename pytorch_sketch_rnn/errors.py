"""Bad input is reported in one way: one line on stderr, exit code 2, no traceback.

Messages quote what strangers put into files. :class:`BadInput` makes any message one printable line of limited length,
so no control character of a file reaches a terminal. :func:`excerpt` shortens a single value.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

LONGEST_LINE = 1000  # characters of a message; only a path or a list of many names comes near it
_LONGEST_VALUE = 100
_LONGEST_NAME = 200
_TAIL = 300  # characters kept at the end of a message that is cut, where it says what to do


class BadInput(ValueError):
    """A file, value or flag from the user cannot be used.

    The message names the file or flag, says what was expected, what was found, and what to do. It is one line, see
    :func:`one_line`.

    Attributes:
        name: the setting that the message is about, such as ``"batch_size"``, so that a command line can name its
            own flag instead; None if it is about something else.
    """

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(one_line(message))
        self.name = name


class Refused(BadInput):
    """Bad input whose message does not name the file yet: what was expected and what was found.

    Readers raise this, so that the file's name need not be passed down to them; :func:`naming` adds it.
    """


def one_line(text: object) -> str:
    """Text as one printable line: control characters and line breaks escaped, the middle left out if it is long."""
    line = printable(text)
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE - _TAIL - 5]} ... {line[-_TAIL:]}"


def printable(text: object) -> str:
    """Text with everything escaped that a terminal would not print as a character, such as ESC or a line break."""
    characters = str(text)
    if characters.isprintable():
        return characters
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in characters
    )


def excerpt(value: object, longest: int = _LONGEST_VALUE) -> str:
    """The ``repr`` of a value from a file, cut to ``longest`` characters, for a message."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= longest else f"{text[:longest]}..."


def enumerated(names: Iterable[str], most: int = 10) -> str:
    """Names from a file for a message: the first ``most``, each cut, and the number of those left out."""
    every = list(names)
    shown = ", ".join(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


@contextmanager
def naming(where: object) -> Iterator[None]:
    """Turn a :class:`Refused` raised inside into a :class:`BadInput` that begins with ``where``, such as a path.

    A BadInput raised inside has its name already and passes unchanged, as does every other exception.
    """
    try:
        yield
    except Refused as error:
        raise BadInput(f"{where}: {error}", name=error.name) from None


@contextmanager
def within(part: object) -> Iterator[None]:
    """Put a part of a file, such as ``"sketch 3"``, in front of a :class:`Refused`; :func:`naming` adds the file."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{part}: {error}", name=error.name) from None


def run_command(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Run a command line's ``main(argv)``; turn :class:`BadInput`, a full disk and Ctrl-C into one line on stderr.

    Returns:
        The exit code: that of ``main``, 2 for bad input or a full disk, 130 for Ctrl-C, 141 for a closed pipe.
    """
    try:
        code = main(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # a failed write must show here, not at the interpreter's exit
        return code
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        _discard_output()
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC and error.filename is not None:  # a missing permission, or an impossible name
            print(f"error: {one_line(error.filename)}: cannot be used ({error.strerror})", file=sys.stderr)
            return 2
        if error.errno != errno.ENOSPC:
            raise
        print(f"error: the output cannot be written ({error.strerror})", file=sys.stderr)
        _discard_output()
        return 2


def _discard_output() -> None:
    """Redirect stdout to the null device, so that the interpreter can flush its buffer at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
