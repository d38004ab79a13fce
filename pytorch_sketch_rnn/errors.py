"""The one way in which bad input is reported: one sentence for the user, exit code 2, no traceback."""

import os
import sys
from collections.abc import Callable


class BadInput(ValueError):
    """A file, value or flag that the user gave cannot be used.

    The message names the file or flag, says what was expected and what came, and what to do.
    """


def run_command(main: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Run a command line's ``main(argv)``; turn :class:`BadInput` and Ctrl-C into one line on stderr.

    Returns:
        The exit code: what ``main`` returns, 2 for bad input, 130 for Ctrl-C, 141 for a closed pipe.
    """
    try:
        return main(sys.argv[1:] if argv is None else argv)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
