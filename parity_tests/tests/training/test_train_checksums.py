"""Each file of a checkpoint has a checksum: one flipped bit is noticed, and the run says what it can go on from."""

import hashlib
import shutil
from pathlib import Path

import pytest
from refusals import LAST, NEW, RESUME, assert_refused

from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training import checksums
from pytorch_sketch_rnn.training.checkpoint import checkpoints
from pytorch_sketch_rnn.training.checksums import CHECKSUMS_FILE, damaged_file, write_checksums
from pytorch_sketch_rnn.training.command import main

FILES = ("config.json", "model.safetensors", "optimizer.safetensors", "training.json")


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_the_checksums_are_those_of_all_files_in_the_form_of_sha256sum(here):
    lines = (LAST / CHECKSUMS_FILE).read_text().splitlines()
    assert lines == [f"{hashlib.sha256((LAST / name).read_bytes()).hexdigest()}  {name}" for name in FILES]
    assert sorted(path.name for path in LAST.iterdir()) == sorted([*FILES, CHECKSUMS_FILE])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, -3])
def test_one_flipped_bit_is_refused_with_the_state_to_go_on_from(here, capsys, no_training, name, place):
    flip(LAST / name, place)
    whole = LAST.with_name("step-00000000")
    words = [
        f"{LAST / name}: expected the file as the training wrote it",
        CHECKSUMS_FILE,
        f"{whole} is whole",
        "remove",
    ]
    assert_refused(capsys, RESUME, words)


def test_a_missing_file_is_refused(here, capsys, no_training):
    (LAST / "config.json").unlink()
    assert_refused(capsys, RESUME, [f"{LAST / 'config.json'}: expected the file as the training wrote it"])


@pytest.mark.parametrize("text", [b"", b"\xff", b"owl\n", b"0" * 64 + b"  ../x\n", b"0" * 64 + b"  training.json\n"])
def test_broken_checksums_are_refused(here, capsys, no_training, text):
    (LAST / CHECKSUMS_FILE).write_bytes(text)
    assert_refused(capsys, RESUME, [str(LAST), "expected the file as the training wrote it"])


def test_where_no_state_is_whole_the_message_says_so(here, capsys, no_training):
    for path in checkpoints(Path("run")).values():
        flip(path / "optimizer.safetensors", -1)
    assert_refused(capsys, RESUME, [f"{LAST / 'optimizer.safetensors'}: ", "none of its checkpoints is whole"])


def test_a_new_run_does_not_start_from_a_damaged_checkpoint(here, capsys, no_training):
    flip(LAST / "model.safetensors", -1)
    words = [f"{LAST / 'model.safetensors'}: expected the file as the training wrote it", "take another checkpoint"]
    assert_refused(capsys, [*NEW, f"--init_from={LAST}"], words)


def test_what_the_message_advises_works(here, capsys):
    undamaged = {name: (LAST / name).read_bytes() for name in FILES}
    flip(LAST / "model.safetensors", -1)
    assert run_command(main, ["--save_dir=run", "--resume"]) == 2
    assert f"{LAST.with_name('step-00000000')} is whole" in capsys.readouterr().err
    shutil.rmtree(LAST)
    assert run_command(main, ["--save_dir=run", "--resume"]) == 0
    assert {name: (LAST / name).read_bytes() for name in FILES} == undamaged


def test_a_folder_without_checksums_is_not_called_damaged(tmp_path):
    assert damaged_file(tmp_path) is None
    (tmp_path / "owl").write_text("hoot")
    write_checksums(tmp_path)
    assert damaged_file(tmp_path) is None
    (tmp_path / "owl").write_text("hoo")
    assert damaged_file(tmp_path) == tmp_path / "owl"
    assert checksums.has_checksums(tmp_path)
