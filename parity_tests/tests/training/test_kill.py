"""A training that is killed again and again and resumed gives the same numbers, bit by bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_training_survives_being_killed_anywhere(tmp_path, kills):
    command = [sys.executable, str(Path(__file__).with_name("kill_script.py")), str(tmp_path), str(kills)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(__file__).parents[up]) for up in (3, 1))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{kills} kills" in done.stdout
    print(done.stdout)
