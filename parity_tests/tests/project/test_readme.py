"""The README tells the truth: its commands run, its Python runs, its tables are there."""

import base64
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from shipped import shipped

from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from parity_tests.record.recording import FOLDER
from parity_tests.report.score import FalseAlarms, Score
from weight_port.sketch_rnn_js import DECODER_ORDER

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# commands that the checks of every change run as they stand, in a fresh clone
RUN_BY_CI = {"make parity", "make test"}
# the first runs the official code, the second reads what the first wrote
NEEDS_ORACLE = ("python -m parity_tests verify out/", "python -m parity_tests check")
# what makes a long training, or a large set, a short one: the command is the README's otherwise
TINY = ["--num_steps=2", "--save_every=1", "--batch_size=8", "--max_seq_len=40"]
TINY_MODEL = ["--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=2", "--num_mixture=2"]
SMALLER = {"70000,2500,2500": "7,2,2"}
EXIT_CODE = re.compile(r"\s+#(?: .*:)? exit code (\d)$")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as the README's reader has it: a sketch-rnn-js model, and a checkpoint that `make parity` left."""
    folder = tmp_path_factory.mktemp("reader")
    write_js_model(folder / "bird.gen.json")
    write_checkpoint(folder / "out/parity/layer_norm/magenta")
    write_drawings(folder)
    return folder


def write_js_model(path):
    units, rng = 16, np.random.RandomState(0)
    shapes = {"W_xh": [5, 4 * units], "W_hh": [units, 4 * units], "bias": [4 * units]}
    shapes |= {"output_w": [units, 123], "output_b": [123]}
    shapes = [shapes[name.split(".")[-1]] for name in DECODER_ORDER]
    blobs = [base64.b64encode(rng.randint(-900, 900, shape).astype("<i2").tobytes()).decode() for shape in shapes]
    info = {"mode": 2, "version": 6, "max_seq_len": 20, "name": "bird", "scale_factor": 70.0}
    path.write_text(json.dumps([info, shapes, blobs]))


def write_checkpoint(folder):
    from weight_port.tensor_bundle_writer import write_bundle

    folder.mkdir(parents=True)
    write_bundle(folder / "vector-10", shipped()["layer_norm/as_is"]["weights"])
    (folder / "checkpoint").write_text('model_checkpoint_path: "vector-10"\n')


def write_drawings(folder):
    lines = [[[0, 50, 90, 10], [0, 40 + i, 80, 99]] for i in range(12)]
    drawings = [json.dumps({"word": "cat", "recognized": True, "drawing": [line, line]}) for line in lines]
    for name in ("cat.ndjson", "more.ndjson", "raw/a.ndjson", "raw/b.ndjson"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(drawings) + "\n")
    (folder / "my_drawings").mkdir()
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M 0 0 L 9 9 C 20 30 5 6 40 3"/></svg>'
    (folder / "my_drawings" / "a.svg").write_text(svg)


def quick(command):
    """The arguments of Python for a command of the README, made short where it would train or read for long."""
    told = EXIT_CODE.search(command)
    program, *arguments = EXIT_CODE.sub("", command).split()
    arguments = [SMALLER.get(argument, argument) for argument in arguments]
    code = int(told[1]) if told else 0
    if "--recording" in arguments and "--port" not in arguments:  # test_parity_fixtures.py takes them all
        arguments = ["cell-lstm" if argument == "all" else argument for argument in arguments]
    if program == "torchrun":
        arguments = ["-m", "torch.distributed.run", "--standalone", *arguments]
    if "train.py" in arguments:
        arguments[arguments.index("train.py")] = str(ROOT / "train.py")
        if "--resume" in arguments:
            arguments.append("--num_steps=3")
        else:
            arguments = [argument for argument in arguments if not argument.startswith("--num_epochs")]
            arguments += TINY + ([] if any("init_from" in argument for argument in arguments) else TINY_MODEL)
    return program, arguments, code


def run(command, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in RUN_BY_CI and not c.startswith(NEEDS_ORACLE)])
def test_command_runs(command, folder):
    program, arguments, code = quick(command)
    if "--device cuda" in command and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    assert program in ("python", "torchrun")
    if "--init_from=out/layer_norm" in arguments:
        convert_layer_norm(folder)
    arguments = [found for a in arguments for found in (sorted(map(str, folder.glob(a))) if "*" in a else [a])]
    done = run(arguments, folder)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr


@pytest.mark.oracle
def test_commands_that_need_the_official_code_run_in_their_order(folder):
    commands = [command for command in COMMANDS if command.startswith(NEEDS_ORACLE)]
    assert [command.split()[3] for command in commands] == ["verify", "check"]
    convert_layer_norm(folder)
    for command, said in zip(commands, ("EQUAL", "THE SAME"), strict=True):
        done = run(command.split()[1:], folder)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        assert said in done.stdout


def convert_layer_norm(folder):
    if not (folder / "out/layer_norm").is_dir():
        done = run(["-m", "weight_port", "convert", "out/parity/layer_norm/magenta", "out/layer_norm"], folder)
        assert done.returncode == 0, done.stderr


def test_the_commands_that_ci_runs_are_those_of_the_readme():
    script = (ROOT / ".ci/run").read_text()
    assert set(COMMANDS) >= RUN_BY_CI
    assert all(re.search(rf"^{command}$", script, flags=re.MULTILINE) for command in RUN_BY_CI)


def test_python_runs(folder):
    (code,) = blocks("python")
    convert_layer_norm(folder)
    done = run(["-c", code], folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "sketches.png").stat().st_size > 0
    assert "[2, 8, 3]" in done.stdout


@pytest.mark.parametrize("name", ["curves", "speed"])
def test_tables_are_there(name):
    table = re.search(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", README, flags=re.DOTALL)[1]
    assert table.count("\n|") > 5


@pytest.mark.parametrize("name", ["parity_table", "mutants", "sensitivity", "false_alarms"])
def test_the_pages_with_the_long_tables_are_there(name):
    assert (ROOT / f"docs/{name}.md").read_text().count("\n|") > 10


def test_both_scores_stand_side_by_side():
    """How many planted bugs are found, and how many equal pairs are called different, as the committed files say."""
    said = re.search(r"<!-- verdict:begin -->\n(.*?)<!-- verdict:end -->", README, flags=re.DOTALL)[1]
    assert said.startswith("EQUAL: ")
    assert Score.load(FOLDER / "mutants.json").line() in said
    assert FalseAlarms.load(FOLDER / "false_alarms.json").line() in said


def test_the_score_is_that_of_the_bugs_that_are_in_the_catalogue():
    content = json.loads((FOLDER / "mutants.json").read_text())
    assert {row["name"] for row in content["rows"]} == {mutant.name for mutant in MUTANTS}
    assert {bug["name"] for bug in content["harness"]} == {mutant.name for mutant in HARNESS_MUTANTS}
    assert {bug["name"] for bug in content["product"]} == {mutant.name for mutant in PRODUCT_MUTANTS}
    assert all(bug["killed"] for kind in ("harness", "product") for bug in content[kind])
    score = Score.load(FOLDER / "mutants.json")
    assert score.killed == score.planted >= 40
    assert score.located >= 0.9 * score.killed
    line = f"{score.killed} of {score.planted} planted port bugs were caught"
    assert line in README
    assert line in (ROOT / "docs/mutants.md").read_text()


def test_pictures_and_files_that_it_names_are_there():
    for path in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / path).is_file(), path
    for module in re.findall(r"`([a-z_]+\.py)`", README):
        assert list(ROOT.glob(f"*/{module}")), module


def test_every_target_that_it_names_is_there():
    targets = set(re.findall(r"`?make ([a-z-]+)`", README)) | {"help"}
    assert {"parity", "parity-training", "mutants", "test", "fixtures", "bench", "docs"} <= targets
    done = subprocess.run(["make", "-n", *sorted(targets)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.oracle
def test_benchmarks_run(tmp_path):
    options = ["--decoder", "lstm", "--steps", "4", "--batch", "2", "--rounds", "1", "--repeats", "1"]
    done = run(["-m", "benchmarks", *options], tmp_path)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out/bench/bench.md").read_text()
    assert table.count("| lstm |") == 4
    assert run(["-m", "benchmarks", "--rounds", "0"], tmp_path).returncode == 2


def test_tables_are_put_between_their_markers():
    path = ROOT / "docs/refresh.py"
    refresh = runpy.run_path(str(path))["refresh"]
    changed = refresh(README, "speed", "| new |")
    assert "<!-- speed:begin -->\n| new |\n<!-- speed:end -->" in changed
    assert refresh(changed, "speed", re.search(r"speed:begin -->\n(.*?)<!-- speed", README, re.DOTALL)[1]) == README
    with pytest.raises(SystemExit, match="markers of other"):
        refresh(README, "other", "")


PARITY = "# Parity\n\nEQUAL: 9 tensors.\n\nPlanted bugs: 3 of 3\n\n| quantity |\n| --- |\n| mu |\n\n- seen: this\n"


def test_the_readme_takes_the_table_of_the_proof_or_its_verdict_alone():
    sections = runpy.run_path(str(ROOT / "docs/refresh.py"))["sections"]
    table, verdict = "<!-- parity:begin -->\n<!-- parity:end -->", "<!-- verdict:begin -->\n<!-- verdict:end -->"
    whole = PARITY.partition("\n")[2]
    short = "\nEQUAL: 9 tensors.\n\nPlanted bugs: 3 of 3\n"
    assert sections("parity", PARITY, table) == {"parity": whole}
    assert sections("parity", PARITY, verdict) == {"verdict": short}
    assert sections("parity", PARITY, table + verdict) == {"parity": whole, "verdict": short}
    assert sections("parity", PARITY, "") == {"parity": whole}  # whose markers are missed then
    assert sections("speed", "# Speed\n| a |", "") == {"speed": "| a |"}


def test_the_tables_go_to_their_pages_and_a_smaller_study_of_false_alarms_replaces_no_larger_one(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("<!-- verdict:begin -->\n<!-- verdict:end -->\n")
    script = tmp_path / "docs/refresh.py"
    script.write_text((ROOT / "docs/refresh.py").read_text())
    (tmp_path / "fixtures").mkdir()
    for folder, name in (("parity", "parity.md"), ("false-alarms", "false_alarms.md")):
        (tmp_path / "out" / folder).mkdir(parents=True)
        (tmp_path / "out" / folder / name).write_text(PARITY)
    alarms = tmp_path / "out/false-alarms/false_alarms.json"
    for new, kept in ((224, 224), (56, 224), (300, 300)):
        alarms.write_text(json.dumps({"recordings": new}))
        (tmp_path / "out/false-alarms/false_alarms.md").write_text(f"{new}")
        runpy.run_path(str(script), run_name="__main__")
        assert json.loads((tmp_path / "fixtures/false_alarms.json").read_text()) == {"recordings": kept}
        assert (tmp_path / "docs/false_alarms.md").read_text() == str(kept)
    assert (tmp_path / "docs/parity_table.md").read_text() == PARITY
    assert "Planted bugs: 3 of 3\n<!-- verdict:end -->" in (tmp_path / "README.md").read_text()
    assert "| mu |" not in (tmp_path / "README.md").read_text()
