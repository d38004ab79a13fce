"""The progress of a training: a bar on a terminal that keeps speed and time left, else a line every 20 steps."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import termios

import pytest

from pytorch_sketch_rnn.training.progress import Progress
from pytorch_sketch_rnn.training.trainer import StepResult


class Terminal:
    """A pseudo-terminal, to which stderr is redirected in a with block."""

    def __init__(self, columns=80):
        self.columns = columns

    def __enter__(self):
        self.read_end, write_end = pty.openpty()
        fcntl.ioctl(write_end, termios.TIOCSWINSZ, struct.pack("4H", 24, self.columns, 0, 0))
        self.stderr = open(write_end, "w", encoding="utf-8")
        self.redirection = contextlib.redirect_stderr(self.stderr)
        self.redirection.__enter__()
        os.set_blocking(self.read_end, False)
        self.text = ""
        return self

    def __exit__(self, *exception):
        self.redirection.__exit__(*exception)
        self.read()
        self.stderr.close()
        os.close(self.read_end)

    def read(self) -> str:
        """Everything that was written so far."""
        self.stderr.flush()
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.read_end, 4096):
                self.text += part.decode()
        return self.text


def result(step):
    return StepResult(step, 1.25, 1.125, 0.125, 0.001, 0.01)


def shown(progress, steps):
    with progress:
        for step in steps:
            progress.update(result(step))


def test_without_a_terminal_there_is_a_line_every_20_steps_and_at_the_end(capsys):
    lines = []
    shown(Progress(45, 0, lines.append), range(45))
    assert [line.split()[1] for line in lines] == ["1/45", "21/45", "41/45", "45/45"]
    for words in ("step/s", " left", "cost 1.2500", "reconstruction 1.1250", "KL 0.1250", "lr 0.001000"):
        assert words in lines[1]
    assert capsys.readouterr().err == ""


def test_the_speed_leaves_out_what_is_done_while_paused(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pytorch_sketch_rnn.training.progress.time.monotonic", lambda: now[0])
    lines = []
    with Progress(100, 0, lines.append) as progress:
        for step in range(21):
            now[0] += 0.5
            progress.update(result(step))
            if step == 10:
                with progress.paused():
                    now[0] += 1000.0
    assert re.search(r"step 21/100 +2\.00step/s +00:39 left", lines[-1])


def test_a_rank_that_does_not_report_shows_nothing():
    lines = []
    with Terminal() as terminal:
        shown(Progress(20, 0, lines.append, enabled=False), range(20))
    assert (lines, terminal.text) == ([], "")


def test_80_columns_keep_step_speed_and_time_left_on_a_terminal():
    lines = []
    with Terminal() as terminal:
        shown(Progress(1_000_000, 999_000, lines.append), range(999_000, 999_200))
    drawn = [line for line in re.split(r"[\r\n]", terminal.text) if line.strip()]
    assert lines == []
    assert max(map(len, drawn)) <= 80
    assert re.search(r"\d\d:\d\d left [\d.]+step/s step 999200/1000000 .*, cost 1\.2500", drawn[-1])


@pytest.mark.parametrize("columns", [30, 40, 60])
def test_a_narrow_terminal_keeps_speed_and_time_left(columns):
    with Terminal(columns) as terminal:
        shown(Progress(1_000_000, 999_000, print), range(999_000, 999_200))
    drawn = [line for line in re.split(r"[\r\n]", terminal.text) if line.strip()]
    assert max(map(len, drawn)) <= columns
    assert re.match(r"\d\d:\d\d left [\d.]+step/s", drawn[-1])


def test_the_line_is_free_for_other_output_while_paused():
    with Terminal() as terminal, Progress(10, 0, print) as progress:
        progress.update(result(0))
        assert not terminal.read().endswith(" \r")
        with progress.paused():
            assert re.fullmatch(r"\r.*\r *\r", terminal.read(), re.DOTALL)
            cleared = terminal.read()
        assert terminal.read() == cleared
