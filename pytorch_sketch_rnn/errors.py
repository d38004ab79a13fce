"""The one way in which bad input is reported: one sentence for the user, exit code 2, no traceback."""

import errno
import os
import sys
from collections.abc import Callable


class BadInput(ValueError):
    """A file, value or flag that the user gave cannot be used.

    The message names the file or flag, says what was expected and what came, and what to do.
    """


def run_command(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Run a command line's ``main(argv)``; turn :class:`BadInput`, a full disk and Ctrl-C into one line on stderr.

    Returns:
        The exit code: what ``main`` returns, 2 for bad input or a full disk, 130 for Ctrl-C, 141 for a closed pipe.
    """
    try:
        code = main(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # what cannot be written must show here, not when the interpreter ends
        return code
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output, such as `head`, has had enough
        _drop_output()
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC and error.filename is not None:  # closed to us, or no name for a file
            print(f"error: {error.filename}: cannot be used ({error.strerror})", file=sys.stderr)
            return 2
        if error.errno != errno.ENOSPC:
            raise
        print(f"error: the output cannot be written ({error.strerror})", file=sys.stderr)
        _drop_output()
        return 2


def _drop_output() -> None:
    """Let what stdout still holds go nowhere, as the interpreter writes it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
