"""A soundly sealed recording with any one part missing, empty or of another type is refused, or is proven as ever.

Each part of a recording is damaged in turn. What the form refuses costs little. What it accepts, such as NaN among the
official results, is proven and reported as by ``verify --recording``, without its files and plots. `make test` does so
with some of the changes; `make test-slow` with all of them, but proves only some of those that larger recordings
accept.
"""

import json
import zlib

import numpy as np
import pytest
from recording_changes import changes, damaged
from shipped import shipped

from parity_tests import ours
from parity_tests.__main__ import main
from parity_tests.judge.conditions import conditions
from parity_tests.judge.proof import prove
from parity_tests.record.form import check_form
from parity_tests.report.collecting import Collected, report_of
from parity_tests.report.score import Scores
from parity_tests.report.writing import content_of, markdown_of, text_of
from pytorch_sketch_rnn.errors import BadInput, run_command

RECORDINGS = shipped()
SMALL = ("cell/lstm", "data", "initial/lstm", "layer_norm-unconditional/moved", "training/layer_norm")
ALL = (*SMALL, "cell/hyper", "data/joined", "mix-all-dropout/moved", "training/mix")


def verify(recording):
    """Prove a recording and make its report; nothing is written."""
    collected = Collected([recording], prove(recording, ours.Adapter()), conditions([recording]))
    report = report_of("Parity", collected, ours.Adapter(), Scores.load(), margin_wanted=False)
    (text_of(report) + markdown_of(report)).encode()
    json.dumps(content_of(report), allow_nan=False).encode()


def refuses(recording):
    """Whether the form refuses a recording, which it must do in one line."""
    try:
        check_form(recording)
    except BadInput as error:
        text = str(error)
    else:
        return False
    assert len(text.splitlines()) == 1
    assert text.endswith("; record it again")
    return True


def damage(name, share, accepted_share):
    """Damage one in ``share`` of the parts, and verify one in ``accepted_share`` of what the form accepts.

    Returns:
        How many were refused, and which were verified.
    """
    refused, accepted = 0, []
    for part, change in changes(RECORDINGS[name]):
        number = zlib.crc32(f"{name} {part}".encode())
        if number % share:
            continue
        recording = damaged(RECORDINGS[name], change)
        try:
            if refuses(recording):
                refused += 1
            elif number // share % accepted_share == 0:
                verify(recording)
                accepted.append(part)
        except Exception as error:
            raise AssertionError(f"{name}: {part}: {type(error).__name__}: {error}") from error
    return refused, accepted


@pytest.mark.parametrize("name", SMALL)
def test_some_damaged_parts_are_refused_in_one_line_or_verified(name):
    refused, _ = damage(name, 37, 50)
    assert refused > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_damaged_part_is_refused_in_one_line_or_verified(name):
    refused, accepted = damage(name, 1, 1 if RECORDINGS[name].kind in ("cell", "data", "initial") else 40)
    assert refused > 100
    assert accepted


def test_the_damage_includes_every_array_and_every_claim():
    recording = RECORDINGS["training/layer_norm"]
    parts = [part for part, _ in changes(recording)]
    assert len(set(parts)) == len(parts)
    for group, arrays in recording.groups.items():
        assert f"{group} is missing" in parts
        assert all(f"{group}/{array} is no elements" in parts for array in arrays)
    assert "provenance/versions/numpy is missing" in parts
    assert "hparams/z_size is text" in parts


@pytest.mark.parametrize("name", ["cell/lstm", "data", pytest.param("training/layer_norm", marks=pytest.mark.slow)])
def test_the_command_refuses_damage_of_each_kind_in_one_line(name, tmp_path, capsys):
    """Through the file itself, which is written and sealed again."""
    every = list(changes(RECORDINGS[name]))
    seen = 0
    for part, change in every[5 :: len(every) // 20]:
        recording = damaged(RECORDINGS[name], change)
        if not refuses(recording):
            continue
        try:
            recording.save(tmp_path / "damaged.h5")
        except (TypeError, ValueError, OverflowError, AttributeError):
            continue  # no file can hold it
        arguments = ["verify", "--recording", str(tmp_path / "damaged.h5"), "--out", str(tmp_path / "out")]
        assert run_command(main, arguments) == 2, part
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"error: {tmp_path}/damaged.h5: ")
        assert len(captured.err.splitlines()) == 1
        assert not list((tmp_path / "out").glob("*"))
        seen += 1
    assert seen > 3


def test_numbers_that_the_file_cannot_hold_are_refused_before_they_take_memory(tmp_path):
    import h5py

    from parity_tests.record.recording import Recording, seal

    path = tmp_path / "huge.h5"
    RECORDINGS["cell/lstm"].save(path)
    with h5py.File(path, "r+") as file:
        file["inputs"].create_dataset("huge", shape=(2**40,), dtype="f8", chunks=(2**16,))
    seal(path)
    with pytest.raises(BadInput, match=r"huge has the shape \(1099511627776,\), more than its bytes in the file can"):
        Recording.load(path)
    with h5py.File(path, "r+") as file:
        del file["inputs/huge"]
        (tmp_path / "secret").write_bytes(np.arange(4.0).tobytes())
        external = [(str(tmp_path / "secret"), 0, 32)]
        file["inputs"].create_dataset("outside", shape=(4,), dtype="f8", external=external)
    seal(path)
    with pytest.raises(BadInput, match="outside is kept in another file"):
        Recording.load(path)
