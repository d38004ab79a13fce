"""What ``python -m build`` makes installs into an empty environment of each Python that is here, and works there.

The environments are filled from PyPI and hold several GB each; they have neither a compiler nor TensorFlow.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from sample_models import write_js_model

from parity_tests.record.shipped import fixture_paths

ROOT = Path(__file__).parents[3]
VERSIONS = ("3.11", "3.12", "3.13")
BUILT = ("pyproject.toml", "README.md", "LICENSE", "pytorch_sketch_rnn", "weight_port", "parity_tests", "fixtures")

pytestmark = pytest.mark.install


def run(*command, folder=None, path=None):
    """A command that must succeed, in a folder, with nothing but ``path`` to find programs in; its output."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PATH": str(path)} if path else {}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


def python(version):
    """A Python of that version, on the path or as pyenv installs it; the test is skipped if there is none."""
    name = f"python{version}"
    places = [shutil.which(name), *sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/{name}"))]
    for place in filter(None, places):
        asked = subprocess.run([place, "-c", "import ensurepip, venv"], capture_output=True, check=False)
        if asked.returncode == 0:
            return place
    return pytest.skip(f"there is no Python {version} here")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the sdist and of the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    for name in BUILT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            tree.mkdir(exist_ok=True)
            shutil.copy(source, tree)
    run(sys.executable, "-m", "venv", folder / "builder")
    builder = folder / "builder" / "bin" / "python"
    run(builder, "-m", "pip", "install", "--quiet", "build")
    run(builder, "-m", "build", "--outdir", folder / "dist", tree, folder=folder)
    return folder / "dist"


def test_the_sdist_holds_the_sources_and_the_recordings(built):
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {str(path.relative_to(ROOT)) for path in fixture_paths()}
    expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "pytorch_sketch_rnn").rglob("*.cpp")}
    assert {"pyproject.toml", "README.md", "LICENSE", "pytorch_sketch_rnn/model/cells.py"} | expected <= names


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_converts_samples_and_verifies_in_an_empty_environment(built, tmp_path, version):
    [wheel] = built.glob("*.whl")
    run(python(version), "-m", "venv", tmp_path / "empty")
    programs, folder = tmp_path / "empty" / "bin", tmp_path / "elsewhere"
    folder.mkdir()
    try:
        run(programs / "python", "-m", "pip", "install", "--quiet", wheel)
        installed, _ = run(programs / "python", "-m", "pip", "list", "--format=freeze")
        assert not re.search("tensorflow|tf.keras|magenta", installed, flags=re.IGNORECASE)
        assert "pytorch-sketch-rnn==" in installed
        write_js_model(folder / "bird.gen.json")
        within = {"folder": folder, "path": programs}  # where there is no compiler
        run(programs / "sketch-rnn-port", "convert", "bird.gen.json", "bird", **within)
        _, said = run(programs / "sketch-rnn", "sample", "bird", "-o", "birds.svg", "--count", "3", **within)
        assert "no C++ compiler" in said
        assert (folder / "birds.svg").stat().st_size > 0
        if shutil.which("g++"):
            _, said = run(programs / "sketch-rnn", "sample", "bird", "-o", "more.svg", "--count", "3", folder=folder)
            assert "no C++ compiler" not in said
        run(programs / "sketch-rnn-port", "export", "bird", "again.gen.json", "--format", "js", **within)
        verified, _ = run(*(programs / "python", "-m", "parity_tests", "verify", "--recording", "lstm-moved"), **within)
        assert "EQUAL: " in verified
    finally:
        shutil.rmtree(tmp_path / "empty")
