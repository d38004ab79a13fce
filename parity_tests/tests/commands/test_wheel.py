"""The wheel that is built from this tree holds everything; a newcomer goes from a model to a training with it alone."""

import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import REPORT
from sample_models import write_js_model

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
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "pytorch_sketch_rnn").rglob("*.cpp")}
    assert "pytorch_sketch_rnn/model/fused/kernels.cpp" in sources
    assert sources <= names
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "pytorch_sketch_rnn/demo/page").iterdir()}
    assert "pytorch_sketch_rnn/demo/page/index.html" in page
    assert page <= names
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


class Newcomer:
    """Somebody in an empty folder, with the wheel and nothing of this tree, who runs what was printed before."""

    def __init__(self, folder, unpacked):
        self.folder, self.unpacked = folder, unpacked

    def runs(self, line):
        """The output of a command, typed as it stands; it must succeed."""
        python, *arguments = shlex.split(line)
        assert python == "python"
        done = alone(arguments, self.folder, self.unpacked)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert not re.search("Traceback|Warning|^error", done.stderr), done.stderr  # progress may stand there
        return done.stdout

    def trains(self, line):
        """The output of a training that is stopped with Ctrl-C after its first steps."""
        started = time.monotonic()
        python, *arguments = shlex.split(line)
        assert python == "python"
        environment = os.environ | {"PYTHONPATH": str(self.unpacked), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [sys.executable, *arguments], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            first = process.stdout.readline()  # printed before the first step
            time.sleep(1 + time.monotonic() - started)  # longer where the machine is slow
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=100)
        assert process.returncode == 130, f"{line}\n{first}{out}\n{err}"
        return first + out


def printed(out):
    """The commands that an output holds, each up to the end of its line."""
    return re.findall(r"(?:^|: )(python (?:-m |\w+\.py).*)$", out, flags=re.MULTILINE)


def write_icons(folder, count):
    """Icons as people have them: an outline and a line or two."""
    folder.mkdir()
    for number in range(count):
        path = f"M{number % 7} 2 C 8 {number % 5} 16 20 {22 - number % 3} {number % 9}"
        body = f'<circle cx="12" cy="12" r="{4 + number % 6}"/><path d="{path}"/>'
        (folder / f"icon-{number}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="black">{body}</svg>'
        )


@pytest.mark.slow
@needs_setuptools
def test_a_newcomer_gets_from_a_model_to_a_training_by_the_printed_commands(wheel, tmp_path):
    unpacked, folder = tmp_path / "unpacked", tmp_path / "my folder"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    write_js_model(folder / "bird.gen.json")
    write_icons(folder / "icons", 40)
    newcomer = Newcomer(folder, unpacked)

    [draw] = printed(newcomer.runs("python -m weight_port convert bird.gen.json models/bird"))
    newcomer.runs(draw)
    assert (folder / "sketches.svg").exists()

    [train] = printed(newcomer.runs("python -m pytorch_sketch_rnn dataset icons icons.npz"))
    [resume] = printed(newcomer.trains(train))
    [again] = printed(newcomer.trains(resume))
    assert again == resume
    steps = int(re.search(r"stopped after step (\d+)", newcomer.trains(resume))[1])
    finished = printed(newcomer.runs(f"{resume} --num_steps={steps + 1}"))
    assert any("--like" in command for command in finished)
    assert any("--like" not in command for command in finished)
    for command in finished:
        newcomer.runs(command)
    assert sum(path.suffix == ".svg" for path in folder.iterdir()) >= 3
    model = re.search(r"--save_dir=(\S+)", train)[1]
    assert "as Magenta evaluates" in newcomer.runs(f"python -m pytorch_sketch_rnn evaluate {model} icons.npz")
