"""The wheel that is built from this tree holds everything, and ``verify`` works from it alone."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import REPORT

from parity_tests.record.recording import FOLDER
from parity_tests.record.shipped import LOCK, fixture_paths

ROOT = Path(__file__).parents[3]

needs_setuptools = pytest.mark.skipif(
    importlib.util.find_spec("pip") is None
    or importlib.util.find_spec("setuptools") is None
    or int(version("setuptools").split(".")[0]) < 77,
    reason="building the wheel needs pip and setuptools 77",
)


def alone(command, folder, *path):
    """Run a Python in a folder, with nothing of this tree to import."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of this tree, so that the build leaves nothing here."""
    tree, folder = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    nothing_built = shutil.ignore_patterns("__pycache__", "tests")
    for name in ("pytorch_sketch_rnn", "weight_port", "parity_tests", "fixtures"):
        shutil.copytree(ROOT / name, tree / name, ignore=nothing_built)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    done = alone(["-m", "pip", "wheel", *options, tree, "-w", folder], folder)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    return path


@needs_setuptools
def test_the_wheel_holds_every_module_recording_and_template(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("pytorch_sketch_rnn", "weight_port", "parity_tests"):
        modules = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        modules = {path for path in modules if path.parts[:2] != ("parity_tests", "tests")}
        assert modules
        assert {str(path) for path in modules} <= names
        assert f"{package}/py.typed" in names
    recordings = {f"parity_tests/fixtures/{path.name}" for path in fixture_paths()}
    assert len(recordings) >= 20
    assert recordings | {f"parity_tests/fixtures/{LOCK}"} <= names
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "parity_tests").rglob("*.j2")}
    assert "parity_tests/report/report.html.j2" in templates
    assert templates <= names
    if (FOLDER / "mutants.json").exists():
        assert "parity_tests/fixtures/mutants.json" in names
    assert not any("/tests/" in name for name in names)
    with zipfile.ZipFile(wheel) as archive:
        for path in fixture_paths():
            assert archive.read(f"parity_tests/fixtures/{path.name}") == path.read_bytes()


@needs_setuptools
def test_verify_works_from_the_wheel_alone(wheel, tmp_path):
    unpacked, elsewhere = tmp_path / "unpacked", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    code = "import parity_tests.record.recording as r; print(r.FOLDER); import pytorch_sketch_rnn, weight_port; "
    code += "print(pytorch_sketch_rnn.__file__); print(weight_port.__file__)"
    done = alone(["-c", code], elsewhere, unpacked)
    assert done.stdout.splitlines()[0] == str(unpacked / "parity_tests/fixtures")
    assert all(line.startswith(str(unpacked)) for line in done.stdout.splitlines())

    done = alone(["-m", "parity_tests", "verify", "--recording", "lstm-moved"], elsewhere, unpacked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "EQUAL: " in done.stdout
    assert sorted(path.name for path in (elsewhere / "out/verify").iterdir()) == REPORT
    assert [path.name for path in elsewhere.iterdir()] == ["out"]
