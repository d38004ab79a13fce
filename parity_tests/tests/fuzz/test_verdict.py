"""What counts as a fault: each way in which a command can fail to work or to end in one line."""

import signal

import pytest

from parity_tests.fuzz.forked import HANG, INCOMPLETE, MEMORY, STDERR, STDOUT, TEMPORARY, WORK, Ended
from parity_tests.fuzz.kinds import Command
from parity_tests.fuzz.verdict import fault, message_of, snapshot

COMMAND = Command("none", (), writes=("out",), codes=(0, 1))
LINE = "error: in: expected a file, got none\n"
TRACEBACK = """Traceback (most recent call last):
  File "/a/weight_port/source.py", line 5, in open_source
    x
  File "/a/site-packages/numpy/core.py", line 7, in array
    y
KeyError: 'two
lines'
"""
PLACE = "KeyError at weight_port/source.py:5 in open_source"


@pytest.fixture
def folder(tmp_path):
    for name in (WORK, TEMPORARY):
        (tmp_path / name).mkdir()
    (tmp_path / WORK / "in").write_text("input")
    return tmp_path


def judged(folder, code=0, err="", out="", killed="", change=lambda work: None):
    before = snapshot(folder / WORK)
    change(folder / WORK)
    (folder / STDERR).write_text(err, newline="")
    (folder / STDOUT).write_text(out, newline="")
    return fault(COMMAND, before, folder, Ended(code, killed, 0.1, 0))


def emptied(work):
    (work / "in").write_text("")


def written(work):
    (work / "out").mkdir()


def test_a_command_may_work_find_a_difference_or_refuse_in_one_line(folder):
    assert judged(folder, 2, LINE) is None
    assert judged(folder, 2, f"error: {'x' * 1000}\n") is None
    assert judged(folder, 1) is None
    assert judged(folder, 0, out="wrote out\n", change=written) is None


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"code": -9, "killed": HANG}, "hang"),
        ({"code": -9, "killed": MEMORY}, "memory"),
        ({"code": 1, "err": TRACEBACK}, f"traceback: {PLACE}"),
        ({"code": INCOMPLETE, "err": TRACEBACK}, f"incomplete output: {PLACE}"),
        ({"code": -signal.SIGSEGV}, "ended by signal 11"),
        ({"code": 3}, "exit code 3"),
        ({"code": 2}, "0 lines on stderr instead of one"),
        ({"code": 2, "err": "usage: a\n"}, "1 lines on stderr instead of one"),
        ({"code": 2, "err": f"{LINE}more\n"}, "2 lines on stderr instead of one"),
        ({"code": 2, "err": "error: a\rb\n"}, "2 lines on stderr instead of one"),
        ({"code": 2, "err": "error: a\x1b[31mb\n"}, "control characters on stderr"),
        ({"code": 2, "err": f"error: {'x' * 1001}\n"}, "a line that is too long"),
        ({"code": 2, "err": "error: MemoryError\n"}, "an allocation that failed"),
        ({"code": 1, "err": "a.py:1: RuntimeWarning: overflow\n"}, "a warning on stderr"),
        ({"code": 1, "out": "\x1b[31m"}, "control characters on stdout"),
        ({"code": 0}, "out was not written"),
        ({"code": 2, "err": LINE, "change": written}, "refused, but out is not as it was"),
        ({"code": 2, "err": LINE, "change": emptied}, "refused, but in is not as it was"),
        ({"code": 1, "change": lambda work: (work / "in").unlink()}, "in is not as it was"),
        ({"code": 1, "change": lambda work: (work / "more").touch()}, "more is not as it was"),
        ({"code": 1, "change": lambda work: written(work) or (work / "out/a.tmp").touch()}, "out/a.tmp is left"),
        ({"code": 1, "change": lambda work: (work.parent / TEMPORARY / "a").touch()}, "temporary files are left"),
    ],
)  # fmt: skip
def test_everything_else_is_a_fault(folder, how, expected):
    assert judged(folder, **how) == expected


def test_error_lines_that_differ_in_names_and_numbers_count_as_one(folder):
    messages = set()
    for text in ("error: a: 'x' has 5 bytes, expected -3.5e9\n", "error: a: 'y z' has 66 bytes, expected 1\n"):
        (folder / STDERR).write_text(text)
        messages.add(message_of(folder))
    assert messages == {"error: a: '' has 0 bytes, expected 0"}
