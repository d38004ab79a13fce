"""train.py refuses initial models and folders that it cannot use, and keeps nothing of a step that is not finite."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from refusals import (
    LAST,
    NEW,
    RESUME,
    SETS,
    TRAIN,
    Began,
    Hostile,
    assert_one_line,
    assert_refused,
    case,
    cut,
    everything,
    forget_checksums,
    no_root,
    pack,
    with_sketch,
    with_split,
    words_last,
)

from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("here")


def config(text: str) -> None:
    Path("run/config.json").write_text(text)


def config_with(**changed: Any) -> None:
    path = Path("run/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


STARTS = [
    case("a file", None, f"--init_from={LAST}/model.safetensors", "is a file, expected a folder",
         "weight_port convert"),
    case("nothing", None, "--init_from=nowhere", "nowhere/config.json: cannot be read", "hyperparameters"),
    case("no model", None, "--init_from=data", "data/config.json: cannot be read"),
    case("other sizes", None, "--init_from=run --dec_rnn_size=6", "dec_rnn_size is 6", "model in run has 5",
         "leave it out"),
    case("other cells", None, "--init_from=run --dec_model=hyper", "dec_model is hyper", "has layer_norm"),
    case("another kind", None, "--init_from=run --unconditional", "conditional is False", "has True", "leave it out"),
    case("a config cut short", partial(cut, Path("run/config.json")), "--init_from=run",
         "run/config.json: expected JSON"),
    case("a config of names alone", partial(config, '["z_size"]'), "--init_from=run", "run/config.json: ",
         "names without values", "weight_port"),
    case("a config of an unknown name", partial(config_with, speed=1), "--init_from=run", "run/config.json: ",
         "unknown hyperparameter speed"),
    case("a config of other weights", partial(config_with, num_mixture=3), "--init_from=run --num_mixture=3",
         "run/model.safetensors: does not fit config.json", "decoder.output_b"),
    case("weights cut short", partial(cut, Path("run/model.safetensors")), "--init_from=run",
         "run/model.safetensors: expected weights"),
    case("no weights", Path("run/model.safetensors").unlink, "--init_from=run", "run/model.safetensors: expected"),
    case("Adam's state cut short", partial(cut, LAST / "optimizer.safetensors"), f"--init_from={LAST}",
         f"{LAST}/optimizer.safetensors: expected Adam's state"),
    case("a name beyond the file system", None, f"--init_from={'a' * 300}", "a" * 300, "File name too long"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "flags", "words"),
    words_last(STARTS, 2),
)
def test_a_wrong_start_is_refused(make, flags, words, capsys, no_training):
    forget_checksums()
    if make is not None:
        make()
    assert_refused(capsys, [*NEW, *flags.split()], words)


@no_root
def test_a_place_that_cannot_be_written_is_refused(capsys, no_training):
    Path("closed").mkdir(mode=0o500)
    assert_refused(capsys, [*NEW, "--save_dir=closed/new"], ["closed/new: cannot be made", "Permission denied"])


def test_the_parents_of_the_run_are_made(no_training):
    with pytest.raises(Began):
        main([*NEW, "--save_dir=a/b/new"])
    assert sorted(path.name for path in Path("a/b/new").iterdir()) == [
        ".lock", "SHA256SUMS", "best", "checkpoints", "config.json", "model.safetensors", "settings.json",
    ]  # fmt: skip


def test_a_cost_that_is_not_finite_after_the_last_step_does_not_replace_the_model(capsys):
    assert_stopped(capsys, ["--lr=1e30"], "step 0: the validation cost after the step is not finite")


def test_weights_that_leave_float32_at_the_last_step_do_not_replace_the_model(capsys):
    path = LAST / "optimizer.safetensors"
    arrays = safetensors.torch.load_file(path)
    arrays["m.decoder.output_b"] += 3e38
    safetensors.torch.save_file(arrays, path)
    forget_checksums()
    why = "step 0: the weight decoder.output_b, after the step, is not finite"
    assert_stopped(capsys, [f"--init_from={LAST}", "--lr=1e6"], why)


def assert_stopped(capsys: pytest.CaptureFixture, flags: Sequence[str], why: str) -> None:
    """The only step of a new run is not kept: exit code 1, one line, and everything as it was before the step."""
    began = Path("new/checkpoints/step-00000000")
    capsys.readouterr()
    assert run_command(main, [*NEW, "--num_steps=1", *flags]) == 1
    assert_one_line(capsys.readouterr().err, [why, f"stays in {began}", f"--init_from={began}", "a lower --lr"])
    assert [path.name for path in Path("new/checkpoints").iterdir()] == [began.name]
    assert Path("new/model.safetensors").read_bytes() == (began / "model.safetensors").read_bytes()
    assert Path("new/best/model.safetensors").read_bytes() == (began / "model.safetensors").read_bytes()
    weights = safetensors.torch.load_file("new/model.safetensors")
    assert [name for name, value in weights.items() if not bool(torch.isfinite(value).all())] == []


def train_py(*argv: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "train.py"), *argv]
    # matplotlib keeps its list of fonts in the same cache
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_the_program_gives_one_line_and_exit_code_2_and_runs_nothing_of_a_hostile_set():
    with_sketch(Hostile())
    before = everything()
    done = train_py(*NEW)
    assert done.returncode == 2
    assert done.stdout == ""
    assert_one_line(done.stderr, [TRAIN, "could run code", "do not trust this file"])
    assert everything() == before


@pytest.mark.parametrize("name", ["cat.npz", "cat.h5"])
def test_the_unbroken_sets_and_run_are_accepted(name, no_training, bounded):
    """So the tests of refusals cannot pass for another reason than theirs."""
    with_split("train", SETS["train"])
    pack()
    with pytest.raises(Began):
        main([*NEW, f"--data_set={name}"])
    with pytest.raises(Began):
        main(RESUME)
