"""The fuzz test finds what is planted, and finds nothing in some mutants of every kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_script import BEHAVIOURS

from parity_tests.__main__ import main
from parity_tests.fuzz.kinds import KINDS
from pytorch_sketch_rnn.errors import run_command

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent


def python(*arguments, **variables):
    environment = (
        os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE))), "OMP_NUM_THREADS": "1"} | variables
    )
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def fuzz(*arguments):
    return python("-m", "parity_tests", "fuzz", *arguments)


def score(out):
    return json.loads((out / "fuzz.json").read_text())


def test_some_mutants_of_every_kind_work_or_end_in_one_line(tmp_path):
    done = fuzz("--count=10", "--out", tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    kinds = score(tmp_path)["kinds"]
    assert kinds.keys() == KINDS.keys()
    assert all(kind["mutants"] == 10 for kind in kinds.values())
    assert sum(kind["lines"] for kind in kinds.values()) > 50  # not all die at the first check
    assert sum(kind["accepted"] for kind in kinds.values()) > 20
    assert "No fault" in (tmp_path / "fuzz.md").read_text()


EXPECTED = {
    "hang": "hang",
    "spin": "hang",
    "fill_memory": "memory",
    "crash": "ended by signal 6",
    "two_lines": "2 lines on stderr instead of one",
    "escape": "control characters on stderr",
    "long_line": "a line that is too long",
    "leave_a_file": "refused, but left is not as it was",
    "change_the_input": "cat.ndjson is not as it was",
    "leave_a_temporary_file": "temporary files are left",
    "fail": "traceback: KeyError at parity_tests/tests/fuzz/fuzz_script.py",
    "other_code": "exit code 3",
}


def test_every_misbehaviour_is_found(tmp_path):
    assert EXPECTED.keys() == set(BEHAVIOURS.values())
    done = python(HERE / "fuzz_script.py", "misbehaving", tmp_path)
    assert done.returncode == 1, done.stderr + done.stdout
    faults = score(tmp_path)["kinds"]
    assert faults.keys() == EXPECTED.keys()
    for name, expected in EXPECTED.items():
        (fault,) = faults[name]["faults"]
        assert fault.startswith(expected), name
        assert (tmp_path / "mutants" / f"{name}-0" / "work").is_dir()


@pytest.mark.slow
def test_a_check_that_is_left_out_is_found(tmp_path):
    done = python(HERE / "fuzz_script.py", "unchecked", tmp_path)
    assert done.returncode == 1, done.stderr + done.stdout
    assert any("traceback" in fault for fault in score(tmp_path)["kinds"]["signed-index"]["faults"])


@pytest.mark.slow
def test_a_mutant_can_be_run_again(tmp_path):
    done = [fuzz("--kind=js", "--seed=4", "--out", tmp_path / name) for name in ("a", "b")]
    assert done[0].returncode == 0, done[0].stderr
    assert "--kind js --seed 4: nothing is wrong" in done[0].stdout
    kept = [(tmp_path / name / "js-4" / "work" / "bird.gen.json").read_bytes() for name in ("a", "b")]
    assert kept[0] == kept[1]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--kind=owl"], "error: --kind is 'owl', expected one of index, "),
        (["--workers=0"], "error: --workers is 0, expected 1 to 64"),
        (["--count=-1"], "error: --count is -1, expected 1 to "),
        (["--seed=3"], "error: --seed is 3, expected 0 to 2147483647 and the one --kind that it belongs to"),
    ],
)
def test_wrong_flags_end_in_one_line(flags, line, capsys):
    assert run_command(main, ["fuzz", *flags]) == 2
    assert capsys.readouterr().err.startswith(line)


def test_other_systems_are_refused_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert run_command(main, ["fuzz", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "error: fuzz: expected Linux, whose fork, /proc and resource limits it needs, got darwin\n"
    )
    assert not (tmp_path / "out").exists()
