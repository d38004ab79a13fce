"""Every command on every page of the documentation runs, or is listed here with the reason why it does not.

The first command of each program starts Python. The others run in forks of a process that has imported torch.
"""

import os
import re
import subprocess
import sys

import pytest
import torch
from forked_python import ForkedPython
from pages import COMMANDS, PAGES, README, ROOT, blocks
from reader_folder import make_reader_folder, write_few_kanji

BY_CI = "the checks of every change run it, in a fresh clone"
DOWNLOAD = "downloads another project"
IN_MAKE_TEST = "`make test` runs these tests"
HOURS = "trains for hours; test_long.py runs it with trainings that are short"
UNTIL_CTRL_C = "serves until Ctrl-C; test_cli_redraw.py runs it"
NOT_RUN = {
    "python -m pytorch_sketch_rnn demo models/bird": UNTIL_CTRL_C,
    "make parity": BY_CI,
    "make test": BY_CI,
    "git clone https://github.com/rfeinman/Sketch-RNN rfeinman": DOWNLOAD,
    "git -C rfeinman checkout 38e4d9b": DOWNLOAD,
    "export RFEINMAN_SKETCH_RNN=$PWD/rfeinman": DOWNLOAD,
    "python -m pytest parity_tests/tests/ports/test_ports.py": IN_MAKE_TEST,
    "python -m parity_tests long-curves aaron_sheep.npz --steps 500": HOURS,
}
RFEINMAN = "RFEINMAN_SKETCH_RNN"
# what a command contains that needs more than this machine may have: whether it has it, and what that is
CONDITIONS = {
    "--device cuda": (torch.cuda.is_available(), "a CUDA GPU"),
    "examples.rfeinman": (RFEINMAN in os.environ, f"{RFEINMAN}, the folder of rfeinman/Sketch-RNN"),
}
# the first runs the official code, the second reads what the first wrote
NEEDS_ORACLE = ("python -m parity_tests verify out/", "python -m parity_tests check")
# options that make a long training, or a large set, a short one
TINY = ["--num_steps=2", "--save_every=1", "--batch_size=8", "--max_seq_len=40"]
TINY_MODEL = ["--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=2", "--num_mixture=2"]
SMALLER = {"70000,2500,2500": "7,2,2"}
FEW_KANJI = "--count=300"
EXIT_CODE = re.compile(r"\s+#(?: .*:)? exit code (\d)$")
HERE = [command for command in COMMANDS if command not in NOT_RUN and not command.startswith(NEEDS_ORACLE)]
# the first command of each program
STARTED = set({" ".join(command.split()[: 3 if " -m " in command else 2]): command for command in HERE[::-1]}.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    make_reader_folder(folder)
    write_few_kanji(folder)
    return folder


def shortened(command):
    """Program, arguments and exit code of a command, made short where it would train or read for long."""
    expected = EXIT_CODE.search(command)
    words = [word for word in EXIT_CODE.sub("", command).split() if not re.match(r"[A-Z_]+=", word)]
    program, *arguments = [SMALLER.get(word, word) for word in words]
    if "verify" in arguments:  # tests/record and tests/replay replay all recordings, with our port and the NumPy one
        before = ["", *arguments]
        arguments = ["cell-lstm" if before[at] == "--recording" else word for at, word in enumerate(arguments)]
    if "kanjivg" in arguments and not any(word.startswith("--count") for word in arguments):
        arguments.append(FEW_KANJI)
    if program == "torchrun":
        arguments = ["-m", "torch.distributed.run", "--standalone", *arguments]
    if "train.py" in arguments or arguments[:3] == ["-m", "pytorch_sketch_rnn", "train"]:
        arguments = [str(ROOT / "train.py") if word == "train.py" else word for word in arguments]
        if "--resume" in arguments:
            arguments.append("--num_steps=3")
        else:
            arguments = [word for word in arguments if not word.startswith("--num_epochs")]
            arguments += TINY + ([] if any("init_from" in word for word in arguments) else TINY_MODEL)
    return program, arguments, int(expected[1]) if expected else 0


@pytest.fixture(scope="module")
def forked():
    with ForkedPython() as python:
        yield python


def run(arguments, folder, paths=(), forked=None):
    """Run Python in the reader's folder: a new process, or a fork."""
    path = os.pathsep.join(map(str, (*paths, ROOT)))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    if forked:
        return forked.run(arguments, folder, environment)
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def convert_layer_norm(folder, forked):
    if not (folder / "models/layer_norm").is_dir():
        arguments = ["-m", "weight_port", "convert", "out/parity/layer_norm/magenta", "models/layer_norm"]
        done = run(arguments, folder, forked=forked)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", HERE)
def test_command_runs(command, folder, forked):
    for part, (fulfilled, what) in CONDITIONS.items():
        if part in command and not fulfilled:
            pytest.skip(f"needs {what}")
    program, arguments, code = shortened(command)
    assert program in ("python", "torchrun")
    if "models/layer_norm" in command and "convert" not in command:
        convert_layer_norm(folder, forked)
    arguments = [found for a in arguments for found in (sorted(map(str, folder.glob(a))) if "*" in a else [a])]
    # `dataset kanjivg` draws all kanji; the demo need not do so again
    paths = [folder / "few_kanji"] if "--demo" in arguments else []
    done = run(arguments, folder, paths, None if command in STARTED else forked)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr
    assert "Traceback" not in done.stderr  # whose exit code is 1, too


@pytest.mark.oracle
@pytest.mark.slow
def test_commands_that_need_the_official_code_run_in_order(folder, forked):
    commands = [command for command in COMMANDS if command.startswith(NEEDS_ORACLE)]
    assert [command.split()[3] for command in commands] == ["verify", "check"]
    convert_layer_norm(folder, forked)
    for command, expected in zip(commands, ("EQUAL", "THE SAME"), strict=True):
        done = run(command.split()[1:], folder, forked=forked)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        assert expected in done.stdout


def test_each_program_is_started_once():
    programs = ["parity_tests", "parity_tests.why", "pytorch_sketch_rnn", "weight_port"]
    started = {command for command in STARTED if RFEINMAN not in command}
    assert len(started) == len(programs) + 2
    assert all(any(f"python -m {program} " in command for command in started) for program in programs)
    assert all(any(command.startswith(words) for command in started) for words in ("python train.py ", "torchrun "))


def test_no_command_is_missed_because_its_block_is_written_in_another_way():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"^```(bash|shell|console)", text, flags=re.MULTILINE), page
        assert not re.search(r"^ +```", text, flags=re.MULTILINE), page
    assert len(HERE) > 20


def test_a_command_that_is_not_run_is_on_a_page_and_its_reason_holds():
    assert set(NOT_RUN) <= set(COMMANDS)
    assert set(NOT_RUN.values()) == {BY_CI, DOWNLOAD, IN_MAKE_TEST, HOURS, UNTIL_CTRL_C}
    assert '"demo"' in (ROOT / "parity_tests/tests/package/test_cli_redraw.py").read_text()
    script = (ROOT / ".ci/run").read_text()
    for command, reason in NOT_RUN.items():
        if reason == BY_CI:
            assert re.search(rf"^{command}$", script, flags=re.MULTILINE), command
        if reason == DOWNLOAD:
            assert "rfeinman" in command
        if reason == IN_MAKE_TEST:
            assert (ROOT / command.split()[-1]).is_file()


def test_the_two_commands_of_the_readme_are_those_that_ci_runs():
    assert blocks(README, "sh")[0].splitlines() == ["make parity", "make test"]


def test_a_condition_belongs_to_a_command():
    assert all(any(part in command for command in HERE) for part in CONDITIONS)


@pytest.mark.parametrize("name", ["README.md", "docs/causes.md", "docs/drawing.md", "docs/other_programs.md"])
def test_python_runs(name, folder, forked):
    code = "\n".join(blocks((ROOT / name).read_text(encoding="utf-8"), "python"))
    convert_layer_norm(folder, forked)
    done = run(["-c", code], folder, forked=forked)
    assert done.returncode == 0, done.stderr
    if name == "README.md":
        assert (folder / "sketches.png").stat().st_size > 0
        assert "[2, 8, 3]" in done.stdout
    elif name == "docs/drawing.md":
        assert (folder / "drawings.svg").read_text().count("<g transform") == 17
    elif name == "docs/other_programs.md":
        assert {path.name for path in (folder / "models/bird-with-card").iterdir()} >= {"README.md", "sketches.png"}
        assert (folder / "onnx/decoder_step.onnx").is_file()
    else:
        assert "output ('LSTMCell: no recurrent dropout',)" in done.stdout


def test_python_is_on_no_other_page():
    """That of your_own_port.md is the file of an example, which test_port_adapters.py checks."""
    pages = [page.name for page in PAGES if blocks(page.read_text(encoding="utf-8"), "python")]
    assert sorted(pages) == ["README.md", "causes.md", "drawing.md", "other_programs.md", "your_own_port.md"]


@pytest.mark.oracle
@pytest.mark.slow
def test_benchmarks_run(tmp_path, forked):
    options = [
        "--case",
        "lstm",
        "--steps",
        "4",
        "--batch",
        "2",
        "--rounds",
        "1",
        "--repeats",
        "1",
        "--sample-batch",
        "3",
    ]
    done = run(["-m", "benchmarks", *options], tmp_path)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out/bench/bench.md").read_text()
    assert table.count("| lstm | ") == 3  # training, drawing, and where the time goes
    assert table.count("| lstm: ") == 6  # official, fast and reference, training and sampling
    assert {"bench.json", "bench.md", "bench.png"} == {path.name for path in (tmp_path / "out/bench").iterdir()}
    assert run(["-m", "benchmarks", "--rounds", "0"], tmp_path, forked=forked).returncode == 2
