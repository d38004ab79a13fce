"""Each file of a checkpoint and of a run's models has a checksum: one flipped bit is noticed by whatever reads it."""

import hashlib
import json
import math
import os
import re
import shutil
from pathlib import Path

import pytest
from foreign_files import make_device, make_pipe
from refusals import CAT, LAST, NEW, RESUME, Began, assert_one_line, assert_refused, everything

from pytorch_sketch_rnn import checksums
from pytorch_sketch_rnn.__main__ import main as draw_main
from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE, damaged_file, write_checksums
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training import command
from pytorch_sketch_rnn.training.checkpoint import checkpoints
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
        f"{LAST / name}: expected the file as it was written",
        CHECKSUMS_FILE,
        f"{whole} is whole",
        "remove",
    ]
    assert_refused(capsys, RESUME, words)


def test_a_missing_file_is_refused(here, capsys, no_training):
    (LAST / "config.json").unlink()
    words = [f"{LAST / 'config.json'}: expected the file as it was written, but it is missing"]
    assert_refused(capsys, RESUME, words)


@pytest.mark.parametrize("text", [b"", b"\xff", b"owl\n", b"0" * 64 + b"  ../x\n"])
def test_broken_checksums_are_refused(here, capsys, no_training, text):
    (LAST / CHECKSUMS_FILE).write_bytes(text)
    assert_refused(capsys, RESUME, [f"{LAST / CHECKSUMS_FILE}: expected checksums in the form of sha256sum"])


def test_a_folder_in_place_of_the_checksums_is_refused(here, capsys, no_training):
    (LAST / CHECKSUMS_FILE).unlink()
    (LAST / CHECKSUMS_FILE).mkdir()
    assert_refused(capsys, RESUME, [f"{LAST / CHECKSUMS_FILE}: expected checksums in the form of sha256sum"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("make_odd", [make_pipe, make_device])
@pytest.mark.parametrize("name", [*FILES, CHECKSUMS_FILE])
def test_a_pipe_or_a_device_in_place_of_a_file_is_refused_at_once(here, capsys, no_training, name, make_odd):
    (LAST / name).unlink()
    make_odd(LAST / name)
    assert_refused(capsys, RESUME, [f"{LAST / name}: is a ", "expected a regular file"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_checkpoint_that_holds_a_pipe_is_not_recommended(here, capsys, no_training):
    flip(LAST / "model.safetensors", -1)
    before = LAST.with_name("step-00000000") / "training.json"
    before.unlink()
    make_pipe(before)
    assert_refused(capsys, RESUME, [f"{LAST / 'model.safetensors'}: ", "none of its checkpoints is whole"])


def test_where_no_state_is_whole_the_message_says_so(here, capsys, no_training):
    for path in checkpoints(Path("run")).values():
        flip(path / "optimizer.safetensors", -1)
    assert_refused(capsys, RESUME, [f"{LAST / 'optimizer.safetensors'}: ", "none of its checkpoints is whole"])


def test_a_new_run_does_not_start_from_a_damaged_checkpoint(here, capsys, no_training):
    flip(LAST / "model.safetensors", -1)
    words = [f"{LAST / 'model.safetensors'}: expected the file as it was written", "take another checkpoint"]
    assert_refused(capsys, [*NEW, f"--init_from={LAST}"], words)


def test_a_resume_reads_each_file_once_for_its_checksum(here, capsys, monkeypatch):
    digest, read = checksums._digest, []
    monkeypatch.setattr(checksums, "_digest", lambda path: read.append(path) or digest(path))
    assert run_command(main, [*RESUME[:2], "--num_steps=2"]) == 0
    assert sorted(path.name for path in read if path.parent == LAST) == sorted(FILES)


def test_a_file_that_changes_after_the_first_check_is_noticed(here, capsys, monkeypatch, no_training):
    """The sets are read after it, which may take long."""
    read_sets = command.read_sets

    def damaging(*arguments):
        flip(LAST / "model.safetensors", -1)
        return read_sets(*arguments)

    monkeypatch.setattr(command, "read_sets", damaging)
    assert run_command(main, RESUME) == 2
    assert_one_line(capsys.readouterr().err, [f"{LAST / 'model.safetensors'}: expected the file as it was written"])


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


MODELS = [Path("run"), Path("run/best"), LAST]


def draw(folder: Path) -> int:
    return run_command(draw_main, ["sample", str(folder), "-o", "page.svg", "--count=1", "--max-len=2"])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("folder", MODELS, ids=str)
def test_every_command_that_reads_a_model_of_a_run_refuses_a_damaged_one(here, capsys, no_training, folder, name):
    assert draw(folder) == 0
    Path("page.svg").unlink()
    flip(folder / name, -3)
    words = [f"{folder / name}: expected the file as it was written, got one that does not fit {CHECKSUMS_FILE}"]
    with pytest.raises(BadInput, match=re.escape(words[0])):
        SketchRNN.from_pretrained(folder)
    capsys.readouterr()
    for argv in (["sample", str(folder), "-o", "page.svg"], ["evaluate", str(folder), str(CAT)]):
        before = everything()
        assert run_command(draw_main, argv) == 2
        assert_one_line(capsys.readouterr().err, [*words, "another copy", f"remove {CHECKSUMS_FILE} if"])
        assert everything() == before
    assert_refused(capsys, [*NEW, f"--init_from={folder}"], [*words, "take another checkpoint"])


@pytest.mark.parametrize("folder", MODELS, ids=str)
def test_a_model_that_was_changed_on_purpose_is_read_without_its_checksums(here, folder):
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_seq_len": 77}))
    assert SketchRNN.from_pretrained(folder, verify=False).hparams.max_seq_len == 77
    (folder / CHECKSUMS_FILE).unlink()
    assert SketchRNN.from_pretrained(folder).hparams.max_seq_len == 77


@pytest.mark.parametrize("with_checksums", [False, True])
def test_a_model_can_be_copied_without_the_rest_of_its_checkpoint(here, with_checksums):
    copy = Path("copy")
    copy.mkdir()
    for name in ["config.json", "model.safetensors", *([CHECKSUMS_FILE] if with_checksums else [])]:
        shutil.copy(LAST / name, copy)
    SketchRNN.from_pretrained(copy)
    flip(copy / "model.safetensors", -3)
    if with_checksums:
        with pytest.raises(BadInput, match=r"copy.model\.safetensors: expected the file as it was written"):
            SketchRNN.from_pretrained(copy)
    else:
        SketchRNN.from_pretrained(copy)  # nothing tells what was written


@pytest.mark.parametrize("folder", MODELS, ids=str)
def test_a_model_saved_over_another_one_is_not_called_damaged(here, folder):
    model = SketchRNN(HParams(dec_rnn_size=3, conditional=False, num_mixture=1), seed=1)
    (folder / "optimizer.safetensors").unlink(missing_ok=True)  # it would be refused beside other weights
    model.save_pretrained(folder)
    assert not (folder / CHECKSUMS_FILE).exists()
    assert SketchRNN.from_pretrained(folder).hparams == model.hparams


def test_a_failed_save_keeps_the_checksums_of_the_old_files(here):
    model = SketchRNN(HParams(dec_rnn_size=3, conditional=False, num_mixture=1), seed=1)
    model.scale_factor = math.nan
    with pytest.raises(BadInput, match="scale_factor"):
        model.save_pretrained("run")
    (Path("run") / CHECKSUMS_FILE).unlink()
    (Path("run") / CHECKSUMS_FILE).mkdir()
    model.scale_factor = 1.0
    before = everything()
    with pytest.raises(BadInput, match=f"{CHECKSUMS_FILE}: cannot be replaced"):
        model.save_pretrained("run")
    assert everything() == before


def test_checksums_of_another_program_do_not_keep_a_model_from_being_read(here):
    """The files named there that the model does not consist of are nobody's business here."""
    folder = Path("run/best")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[:2]}
    lines = [f"{digest} *{name}\n" for name, digest in digests.items()]
    (folder / CHECKSUMS_FILE).write_text("".join([f"{'0' * 64}  pages/owl.png\n", *lines, f"{'0' * 64}  owl.png\n"]))
    SketchRNN.from_pretrained(folder)
    flip(folder / "model.safetensors", -3)
    with pytest.raises(BadInput, match=r"model\.safetensors: expected the file as it was written"):
        SketchRNN.from_pretrained(folder)


def test_a_model_that_a_training_replaces_while_it_is_read_is_not_called_damaged(here, monkeypatch):
    """The reader has the old checksums when the new weights come."""
    first_damaged = checksums._first_damaged

    def replaced_first(*arguments):
        monkeypatch.setattr(checksums, "_first_damaged", first_damaged)
        for name in ("config.json", "model.safetensors", CHECKSUMS_FILE):
            shutil.copy(LAST.with_name("step-00000000") / name, Path("run") / name)
        return first_damaged(*arguments)

    monkeypatch.setattr(checksums, "_first_damaged", replaced_first)
    assert damaged_file(Path("run"), FILES[:2]) is None
    assert checksums._first_damaged is first_damaged


def test_a_new_run_and_its_models_have_checksums_from_the_start(here, no_training):
    with pytest.raises(Began):
        main(NEW)
    for folder in ("new", "new/best", "new/checkpoints/step-00000000"):
        assert checksums.has_checksums(Path(folder))
        assert damaged_file(Path(folder)) is None


def test_resuming_gives_the_models_of_an_older_version_checksums(here):
    for folder in MODELS:
        (folder / CHECKSUMS_FILE).unlink()
    assert run_command(main, RESUME) == 0
    for folder in MODELS[:2]:
        assert checksums.has_checksums(folder)
        assert damaged_file(folder) is None
