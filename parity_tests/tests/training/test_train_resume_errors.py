"""train.py refuses a resume that is wrong: one clear line, exit code 2, every file unchanged."""

import fcntl
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from refusals import CAT, LAST, NEW, RESUME, SETS, assert_refused, case, cut, everything, forget_checksums, words_last

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main

pytestmark = pytest.mark.usefixtures("here")


def settings(**changed: Any) -> None:
    path = Path("run/settings.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def settings_without(name: str) -> None:
    path = Path("run/settings.json")
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))


def state(**changed: Any) -> None:
    path = LAST / "training.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def state_without(name: str) -> None:
    path = LAST / "training.json"
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def other_model() -> None:
    """The checkpoint is one of another model."""
    main([*NEW, "--dec_rnn_size=6", "--num_steps=1"])
    for name in ("config.json", "model.safetensors", "optimizer.safetensors"):
        shutil.copy(Path("new/checkpoints/step-00000000") / name, LAST)
    shutil.rmtree("new")


def optimizer_without_slot() -> None:
    path = LAST / "optimizer.safetensors"
    arrays = safetensors.torch.load_file(path)
    del arrays["m.decoder.output_b"]
    safetensors.torch.save_file(arrays, path)


def optimizer_of_another_step() -> None:
    shutil.copy("run/checkpoints/step-00000000/optimizer.safetensors", LAST)


def whole_number_weights() -> None:
    path = LAST / "model.safetensors"
    safetensors.torch.save_file({name: v.int() for name, v in safetensors.torch.load_file(path).items()}, path)


def infinite_weights() -> None:
    path = LAST / "model.safetensors"
    arrays = safetensors.torch.load_file(path)
    arrays["decoder.output_b"][1] = np.inf
    safetensors.torch.save_file(arrays, path)


def mirrored() -> None:
    """Other data of the same counts, lengths and deviation."""
    write_npz(CAT, {split: [np.stack([s[:, 1], s[:, 0], s[:, 2]], 1) for s in items] for split, items in SETS.items()})


def elsewhere() -> None:
    """Such data in another folder."""
    Path("other").mkdir()
    mirrored()
    CAT.replace("other/cat.npz")


def damage_curves() -> None:
    path = Path("run/curves.csv")
    path.write_text(path.read_text().replace("train", "trian", 1))


def no_checkpoints() -> None:
    shutil.rmtree("run/checkpoints")


DOUBLE = np.array([2, 2, 1], np.int16)
SETTINGS = "run/settings.json: "
EVERY_SETTING = "expected every setting of a run by its name; wrong or missing: "
RESUMES = [
    # what to resume
    case("no folder", None, "--save_dir=nowhere", "nowhere/settings.json", "expected a run of train.py"),
    case("no run", None, "--save_dir=data", "data/settings.json", "expected a run of train.py"),
    case("a file", None, f"--save_dir={CAT}", f"{CAT}/settings.json", "expected a run of train.py"),
    case("a checkpoint", None, f"--save_dir={LAST}", f"{LAST}/settings.json", "expected a run of train.py"),
    # other flags
    case("another learning rate", None, "--lr=0.5", "learning_rate is 0.5", "run has 0.001", "leave it out to resume",
         "--init_from"),
    case("another batch", None, "--batch_size=5", "batch_size is 5", "has 4", "leave it out"),
    case("another seed", None, "--seed=1", "seed is 1", "has 0", "leave it out"),
    case("another dtype", None, "--dtype=float64", "dtype is float64", "has float32", "leave it out"),
    case("another model", None, "--dec_rnn_size=6", "dec_rnn_size is 6", "has 5", "leave it out"),
    case("another loss", None, "--reg_covar=0", "reg_covar is 0", "has 1e-06", "leave it out"),
    case("other dropout", None, "--r_dropout=0.2", "recurrent_dropout_prob is 0.8", "has 0.9", "leave it out"),
    case("a folder without the data", None, "--data_dir=run", "run/cat.npz: no such file", "there are none"),
    case("a folder of other data", elsewhere, "--data_dir=other", "the data are not those of the run in run",
         "crc32_of_some"),
    case("another set", None, "--data_set=dog.npz", "data_set is ", "dog.npz", "leave it out"),
    case("another preset", None, "--preset=magenta", "--preset starts a run", "leave --preset out"),
    case("no steps", None, "--num_steps=0", "num_steps is 0", "at least 1"),
    # data that changed
    case("data that are gone", CAT.unlink, "", "data/cat.npz: no such file"),
    case("fewer data", lambda: write_npz(CAT, SETS | {"valid": SETS["valid"][:3]}), "", "the data are not those",
         "'valid': 4", "'valid': 3"),
    case("scaled data", lambda: write_npz(CAT, {k: [s * DOUBLE for s in v] for k, v in SETS.items()}), "",
         "the data are not those", "scale_factor"),
    case("mirrored data", mirrored, "", "the data are not those", "crc32_of_some"),
    # settings.json
    case("settings cut short", partial(cut, Path("run/settings.json")), "", SETTINGS, "expected JSON"),
    case("settings that are empty", partial(write, Path("run/settings.json"), b""), "", SETTINGS, "expected JSON"),
    case("settings that are no text", partial(write, Path("run/settings.json"), b"\xff\xfe"), "", SETTINGS, "utf-8"),
    case("settings that are a list", partial(write, Path("run/settings.json"), b"[]"), "", SETTINGS,
         f"{EVERY_SETTING}list"),
    case("settings that lack one", partial(settings_without, "learning_rate"), "", SETTINGS,
         f"{EVERY_SETTING}['learning_rate']"),
    case("settings of an unknown name", partial(settings, speed=1), "", SETTINGS, f"{EVERY_SETTING}['speed']"),
    case("settings out of range", partial(settings, learning_rate=-1), "", SETTINGS, "learning_rate is -1"),
    case("settings of another type", partial(settings, keep="three"), "", SETTINGS, "keep is 'three'",
         "a whole number"),
    case("settings with half a seed", partial(settings, seed=0.5), "", SETTINGS, "seed is 0.5", "a whole number"),
    case("settings with a number as folder", partial(settings, data_dir=5), "", SETTINGS, "data_dir is 5",
         "a folder or a URL"),
    case("settings with another seed", partial(settings, seed=7), "", SETTINGS, "seed is 7", "made with 0", "restore"),
    case("settings with another rate", partial(settings, kl_weight=0.25), "", SETTINGS, "kl_weight is 0.25",
         "made with 0.5"),
    case("settings with another dtype", partial(settings, dtype="float64"), "", SETTINGS, "dtype is float64",
         "made with float32"),
    case("settings of another model", partial(settings, dec_rnn_size=6), "", f"{LAST}/model.safetensors: ",
         "other cells or sizes"),
    # curves.csv
    case("curves with a damaged line", damage_curves, "--keep=9", "run/curves.csv: line 2: expected a row of",
         "repair that line or delete the file"),
    # checkpoints
    case("no checkpoint", no_checkpoints, "", "run: holds no checkpoint", "run/checkpoints"),
    case("a file as checkpoint", lambda: write(Path("run/checkpoints/step-00000009"), b""), "", "step-00000009",
         "cannot be read", "expected a checkpoint"),
    case("an empty checkpoint", lambda: Path("run/checkpoints/step-00000009").mkdir(), "", "step-00000009",
         "training.json", "expected a checkpoint"),
    case("config missing", (LAST / "config.json").unlink, "", f"{LAST}/config.json: cannot be read"),
    case("config cut short", partial(cut, LAST / "config.json"), "", f"{LAST}/config.json: expected JSON"),
    case("weights missing", (LAST / "model.safetensors").unlink, "", f"{LAST}/model.safetensors: expected weights"),
    case("weights cut short", partial(cut, LAST / "model.safetensors"), "", f"{LAST}/model.safetensors: expected"),
    case("weights that are empty", partial(write, LAST / "model.safetensors", b""), "", f"{LAST}/model.safetensors: "),
    case("weights in whole numbers", whole_number_weights, "", f"{LAST}/model.safetensors: ", "float32", "int32"),
    case("weights that are not finite", infinite_weights, "", f"{LAST}: ", "decoder.output_b", "not finite",
         "remove it"),
    case("a checkpoint of another model", other_model, "", f"{LAST}/model.safetensors: ", "other cells or sizes"),
    case("Adam's state missing", (LAST / "optimizer.safetensors").unlink, "", f"{LAST}/optimizer.safetensors: "),
    case("Adam's state cut short", partial(cut, LAST / "optimizer.safetensors"), "",
         f"{LAST}/optimizer.safetensors: expected Adam's state"),
    case("Adam's state without a slot", optimizer_without_slot, "", f"{LAST}/optimizer.safetensors: does not fit",
         "m.decoder.output_b"),
    case("Adam's state of another step", optimizer_of_another_step, "", f"{LAST}/optimizer.safetensors: ",
         "of another step", f"remove {LAST}"),
    case("state missing", (LAST / "training.json").unlink, "", f"{LAST}/training.json: cannot be read"),
    case("state cut short", partial(cut, LAST / "training.json"), "", f"{LAST}/training.json: expected JSON"),
    case("state that is no text", partial(write, LAST / "training.json", b"\xff"), "", f"{LAST}/training.json: "),
    case("state that is a list", partial(write, LAST / "training.json", b"[]"), "", "training.json: expected the state",
         "remove this checkpoint"),
    case("state nested without end", partial(write, LAST / "training.json", b"[" * 100_000), "", "training.json: "),
    case("state of a negative step", partial(state, step=-1), "", "training.json: expected the state"),
    case("state of another step", partial(state, step=1), "", f"{LAST}: records step 1", "remove it"),
    case("state of another seed", partial(state, seed=5), "", SETTINGS, "seed is 0", f"{LAST} was made with 5"),
    case("state without data", partial(state_without, "data"), "", "the data are not those", "they were None"),
    case("state without the version of its draws", partial(state_without, "draws"), "", f"{LAST}/training.json: ",
         "expected random draws of version 2, found no version", "that began it", f"--init_from={LAST}"),
    case("state of other draws", partial(state, draws=1), "--keep=9", f"{LAST}/training.json: ",
         "expected random draws of version 2, found version 1"),
    case("state without the best", partial(state_without, "best"), "", f"{LAST}: ", "best", "remove it"),
    case("state with an empty best", partial(state, best={}), "", f"{LAST}: ", "best", "remove it"),
    case("state with a best in words", partial(state, best={"step": 2, "valid_cost": "low", "test_cost": 1.0}), "",
         f"{LAST}: ", "best", "remove it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "flags", "words"),
    words_last(RESUMES, 2),
)
def test_a_wrong_resume_is_refused(make, flags, words, capsys, request):
    forget_checksums()  # which would name every damage of a checkpoint in the same words
    if make is not None:
        make()
    request.getfixturevalue("no_training")
    assert_refused(capsys, [*RESUME, *flags.split()], words)


def test_a_second_run_in_the_same_folder_is_refused(capsys, no_training):
    with Path("run/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_refused(capsys, RESUME, ["run: another process is training there", "stop it"])


def test_nothing_is_lost_where_the_steps_are_done_already(capsys, no_training):
    before = everything()
    assert run_command(main, ["--save_dir=run", "--resume", "--num_steps=2"]) == 0
    assert "2 steps are done already" in capsys.readouterr().out
    assert everything() == before
