"""pytorch_sketch_rnn.data.packed_writer: what is no sketch is refused, and a failure leaves the old file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from packed_sets import LINE, SETS, assert_same, everything, pack

from pytorch_sketch_rnn.data.packed import MAX_POINTS, open_packed
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import BadInput

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("sketch", "message"),
    [
        ([[1, 2, 0]], r"expected an array \[n, 3\], got list"),
        (np.zeros((2, 5)), r"expected an array \[n, 3\], got shape \(2, 5\)"),
        (np.zeros(3), r"expected an array \[n, 3\], got shape \(3,\)"),
        (np.zeros((0, 3)), f"expected 1 to {MAX_POINTS} points, got 0"),
        (np.broadcast_to(np.int8(0), (MAX_POINTS + 1, 3)), f"expected 1 to {MAX_POINTS} points, got {MAX_POINTS + 1}"),
        (np.zeros((1, 3), bool), "expected integers or floats, got bool"),
        (np.zeros((1, 3), object), "expected integers or floats, got object"),
        (np.zeros((1, 3), complex), "expected integers or floats, got complex128"),
        (np.array([[1, np.nan, 0]]), "expected finite numbers"),
        (np.array([[1, np.inf, 0]]), "expected finite numbers"),
        (np.array([[1, 2, 0], [1, 2, 2]]), "expected as pen 0 or 1"),
        (np.array([[1, 2, 0], [1, 2, -1]]), "expected as pen 0 or 1"),
        (np.array([[1, 2, 0.5]]), "expected as pen 0 or 1"),
    ],
)
def test_an_invalid_sketch_is_refused_by_number_and_the_old_file_is_kept(tmp_path, sketch, message):
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(BadInput, match=rf"a\.h5: valid: sketch 1: {message}"):
        pack(tmp_path / "a.h5", {"train": [LINE], "test": [LINE], "valid": [LINE, sketch]})
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_refused_sketch_leaves_no_trace_if_the_caller_goes_on(tmp_path, saved):
    with PackedWriter(tmp_path / "a.h5") as writer:
        for split, items in SETS.items():
            for sketch in items:
                with pytest.raises(BadInput, match="pen"):
                    writer.add(split, np.full((200, 3), 7))
                writer.add(split, sketch)
    with open_packed(tmp_path / "a.h5") as opened, open_packed(saved) as expected:
        assert_same(everything(opened), SETS)
        assert (opened.longest, opened.scale_factor) == (expected.longest, expected.scale_factor)


def test_an_offset_that_needs_more_than_16_bits_is_refused_with_a_unit_that_fits(tmp_path):
    fits = np.array([[327.67, -327.67, 0], [0, 0, 1]])
    with open_packed(pack(tmp_path / "a.h5", {"train": [fits]}, unit=0.01)) as opened:
        np.testing.assert_array_equal(opened.train[0], fits.astype(np.float32))
    for value in (327.68, -327.68, 5000):
        line = np.array([[0, 0, 0], [0, value, 1]])
        with pytest.raises(BadInput, match=r"does not fit an int16 in units of 0\.01; use a unit of at least 0\.031"):
            pack(tmp_path / "b.h5", {"train": [line]}, unit=0.01)
    pack(tmp_path / "b.h5", {"train": [line]}, unit=0.031)


@pytest.mark.parametrize("unit", [0, -1, np.nan, np.inf, 1e-7, 1001])
def test_a_unit_out_of_range_is_refused(tmp_path, unit):
    with pytest.raises(BadInput, match=r"a\.h5: the unit of a packed set is .*, expected 1e-06 to 1000"):
        PackedWriter(tmp_path / "a.h5", unit)


def test_another_split_is_refused(tmp_path):
    with pytest.raises(BadInput, match="expected a split of train, valid, test, got 'val'"):
        pack(tmp_path / "a.h5", {"val": [LINE]})


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({}, "expected at least one training sketch to write, got none"),
        ({"valid": [LINE]}, "expected at least one training sketch to write, got none"),
        ({"train": [np.full((5, 3), 1)], "valid": [LINE]}, "the training offsets are all the same"),
    ],
)
def test_a_set_without_a_scale_is_not_written(tmp_path, splits, message):
    with pytest.raises(BadInput, match=rf"a\.h5: {message}"):
        pack(tmp_path / "a.h5", splits)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a fault"), BadInput("no good")])
def test_after_a_failure_the_old_file_is_kept_and_nothing_else_is_left(tmp_path, error):
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(type(error)), PackedWriter(tmp_path / "a.h5") as writer:  # noqa: PT012
        writer.add("train", LINE)
        assert os.listdir(tmp_path) == ["a.h5"]  # spools have no name, so that even a killed process leaves nothing
        raise error
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_missing_folder_is_bad_input_before_any_sketch(tmp_path):
    with pytest.raises(BadInput, match=r"none/a\.h5: cannot be written \(No such file or directory\)"):  # noqa: SIM117
        with PackedWriter(tmp_path / "none" / "a.h5"):
            raise AssertionError("too late")


FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.data.packed_writer import PackedWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
line = np.ones((1000, 3), np.int16)
line[0] = 0
try:
    with PackedWriter(Path(sys.argv[1])) as writer:
        for _ in range(100):  # 600,000 bytes of points and 808 of offsets
            writer.add("train", line)
except BadInput as error:
    print(error)
"""


# The disk is full at the first spooled byte, at the last one, or at the end of the file, after all points.
@pytest.mark.parametrize("limit", [1, 5_000, 599_999, 600_000, 601_000])
def test_a_full_disk_is_one_line_and_the_old_file_is_kept(tmp_path, limit):
    (tmp_path / "a.h5").write_bytes(b"old")
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.h5"), str(limit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path}/a.h5: cannot be written (")
    assert "File too large" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_after_a_full_disk_a_writer_accepts_no_more_sketches(tmp_path):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="closed"), PackedWriter(tmp_path / "a.h5") as writer:  # noqa: PT012
        writer.add("train", LINE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(writer._spools["train"], "add", fail)
            with pytest.raises(BadInput, match="No space left"):
                writer.add("train", LINE)
        writer.add("train", LINE)
    assert os.listdir(tmp_path) == []
