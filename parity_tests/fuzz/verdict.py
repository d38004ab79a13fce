"""What is wrong with the way a command ended: each must work, or end in one line and leave everything as it was."""

import hashlib
import os
import re
import stat
from pathlib import Path

from parity_tests.fuzz.forked import HANG, INCOMPLETE, MEMORY, STDERR, STDOUT, TEMPORARY, WORK, Ended
from parity_tests.fuzz.kinds import Command

LONGEST_LINE = len("error: ") + 1000  # characters
REFUSED = 2
_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$', re.MULTILINE)
_ALLOCATION = re.compile(r"MemoryError|Unable to allocate|Cannot allocate|not enough memory|can't allocate|bad_alloc")

Snapshot = dict[str, str]


def snapshot(folder: Path) -> Snapshot:
    """What is below a folder, by relative path: a hash of each file, the target of each link."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            what = f"link to {os.readlink(path)}"
        else:
            what = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else "folder"
        found[str(path.relative_to(folder))] = what
    return found


def fault(command: Command, before: Snapshot, folder: Path, ended: Ended) -> str | None:
    """What is wrong, as a short text that is the same for the same fault; None if all is well.

    Args:
        command: what was run.
        before: the working folder before the command.
        folder: of the child, see :class:`~parity_tests.fuzz.forked.Child`.
        ended: how the child ended.
    """
    err = (folder / STDERR).read_bytes().decode("utf-8", "replace")
    out = (folder / STDOUT).read_bytes().decode("utf-8", "replace")
    return (
        _wrong_end(command, ended, err)
        or _wrong_text(command, ended, err, out)
        or _wrong_files(command, before, folder, ended)
    )


def message_of(folder: Path) -> str:
    """The error line without what differs from file to file, such as names and numbers."""
    text = (folder / STDERR).read_bytes().decode("utf-8", "replace")
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "''", text.strip())
    return re.sub(r"[-+]?\d[\d.e+-]*", "0", text)[:160]


def _wrong_end(command: Command, ended: Ended, err: str) -> str | None:
    if ended.killed == HANG:
        return "hang"
    if ended.killed == MEMORY:
        return "memory"
    if _TRACEBACK in err:
        what = "incomplete output" if ended.code == INCOMPLETE else "traceback"
        return f"{what}: {_site(err)}"
    if ended.code < 0:
        return f"ended by signal {-ended.code}"
    if ended.code not in (*command.codes, REFUSED):
        return f"exit code {ended.code}"
    return None


def _site(err: str) -> str:
    """The exception of a traceback, and the last place in this project that it passed."""
    kind = re.split(r"[:\s]", err.strip().splitlines()[-1])[0]
    for line in reversed(err.splitlines()):
        if match := re.match(r"([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Warning|Exit|Refused|Damaged)\b)", line):
            kind = match[1]
            break
    places = [match for match in _FRAME.finditer(err) if "site-packages" not in match["file"]]
    ours = [match for match in places if re.search(r"/(pytorch_sketch_rnn|weight_port|parity_tests)/", match["file"])]
    if not ours:
        return kind
    file = re.sub(r"^.*/(?=(pytorch_sketch_rnn|weight_port|parity_tests)/)", "", ours[-1]["file"])
    return f"{kind} at {file}:{ours[-1]['line']} in {ours[-1]['function']}"


def _wrong_text(command: Command, ended: Ended, err: str, out: str) -> str | None:
    if ended.code == REFUSED:
        lines = err.splitlines()
        if not err.startswith("error: ") or len(err.rstrip("\n").split("\n")) != 1 or len(lines) != 1:
            return f"{len(lines)} lines on stderr instead of one"
        if len(lines[0]) > LONGEST_LINE:
            return "a line that is too long"
        if not lines[0].isprintable():
            return "control characters on stderr"
        if _ALLOCATION.search(err):
            return "an allocation that failed"
    elif "Warning" in err:
        return "a warning on stderr"
    if not out.translate({ord(character): None for character in "\n\r\t"}).isprintable():
        return "control characters on stdout"
    return None


def _wrong_files(command: Command, before: Snapshot, folder: Path, ended: Ended) -> str | None:
    after = snapshot(folder / WORK)
    if any((folder / TEMPORARY).iterdir()):
        return "temporary files are left"
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if ended.code == REFUSED and changed:
        return f"refused, but {_plain(changed[0])} is not as it was"
    for name in changed:
        if not any(name == path or name.startswith(f"{path}/") for path in command.writes):
            return f"{_plain(name)} is not as it was"
        if name.endswith(".tmp") or ("/." in f"/{name}" and not name.endswith(".lock")):
            return f"{_plain(name)} is left"
    if ended.code == 0:
        missing = [path for path in command.writes if path not in after]
        if missing:
            return f"{missing[0]} was not written"
    return None


def _plain(name: str) -> str:
    """A path without what is random in it."""
    return re.sub(r"[0-9a-z_]{8,}(?=\.tmp)", "*", name)[:80]
