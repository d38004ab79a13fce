"""A fork looks to a program as a new process does."""

import json
import os
import signal
import subprocess
import sys

import pytest
from forked_python import ForkedPython

FACTS = """
import atexit, json, os, sys
import some_module
print("first", file=sys.stderr)
facts = {
    "argv": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ), "path": sys.path, "name": __name__,
    "input": sys.stdin.read(), "main": sys.modules["__main__"].__dict__ is globals(), "module": some_module.__file__,
    "encodings": [(each.encoding, each.errors, each.line_buffering) for each in (sys.stdout, sys.stderr)],
}
atexit.register(lambda: print(json.dumps(facts)))
"""
ENDS = {
    "works": "print('ok')",
    "exit code": "import sys; print('out'); sys.exit(3)",
    "message": "import sys; sys.exit('why')",
    "signal": f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})",
    "not a character": "import sys; print('\\udc80', file=sys.stderr)",
}


@pytest.fixture(scope="module")
def forked():
    with ForkedPython() as python:
        yield python


@pytest.fixture
def both(forked, tmp_path):
    """A run in a new process and one in a fork."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "some_module.py").write_text("")
    (tmp_path / "here").mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "lib"), "OWL": "hoot"}

    def run(*arguments):
        started = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path / "here", env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return started, forked.run(arguments, tmp_path / "here", environment)

    return run


@pytest.mark.parametrize("kind", ["script", "module", "code"])
def test_a_program_sees_the_same(kind, both, tmp_path):
    (tmp_path / "here" / "facts.py").write_text(FACTS)
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere" / "facts.py"
    script.write_text(FACTS)
    program = {"script": [str(script)], "module": ["-m", "facts"], "code": ["-c", FACTS]}[kind]
    started, done = both(*program, "--flag", "owl")
    assert (done.returncode, done.stderr) == (started.returncode, started.stderr) == (0, "first\n")
    assert json.loads(done.stdout) == json.loads(started.stdout)


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_the_same(end, both):
    started, done = both("-c", ENDS[end])
    assert (done.returncode, done.stdout, done.stderr) == (started.returncode, started.stdout, started.stderr)


def test_an_error_is_shown(both):
    started, done = both("-c", "{}['owl']")
    assert (done.returncode, done.stdout) == (started.returncode, started.stdout) == (1, "")
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == started.stderr.splitlines()[-1] == "KeyError: 'owl'"


def test_nothing_of_ours_is_imported_beforehand(both):
    code = "import sys; print(*sys.modules)"
    _, done = both("-c", code)
    names = {name.partition(".")[0] for name in done.stdout.split()}
    assert "torch" in names
    assert not names & {"pytorch_sketch_rnn", "weight_port", "parity_tests", "tensorflow"}
