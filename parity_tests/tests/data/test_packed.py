"""pytorch_sketch_rnn.data.packed: sketches come back as they were packed, in little memory, or the file is refused."""

import contextlib
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from pytorch_sketch_rnn.data.magenta_loader import DataLoader
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import MAX_POINTS, PackedSet, PackedSplit, PackedWriter, open_packed
from pytorch_sketch_rnn.errors import BadInput

ROOT = Path(__file__).parents[3]
LINE = np.array([[3, 4, 0], [-5, 6, 1]], np.int16)


def sketches(count: int, seed: int = 0, longest: int = 30) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    result = [random.integers(-300, 301, (length, 3)) for length in random.integers(1, longest + 1, count)]
    for sketch in result:
        sketch[:, 2] = random.integers(0, 2, len(sketch))
    return [sketch.astype(np.int16) for sketch in result]


SETS = {"train": sketches(40), "valid": sketches(5, 1), "test": sketches(3, 2, 50)}


def pack(path: Path, splits: dict[str, Iterable[np.ndarray]], unit: float = 1.0) -> Path:
    with PackedWriter(path, unit) as writer:
        for split, items in splits.items():
            for sketch in items:
                writer.add(split, sketch)
    return path


def everything(opened: PackedSet) -> dict[str, list[np.ndarray]]:
    return {split: list(getattr(opened, split)) for split in SPLITS}


def assert_same(found: dict[str, list[np.ndarray]], expected: dict[str, list[np.ndarray]]) -> None:
    for split in SPLITS:
        assert len(found[split]) == len(expected[split])
        for got, want in zip(found[split], expected[split], strict=True):
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, want)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return pack(tmp_path_factory.mktemp("packed") / "cat.h5", SETS)


@pytest.fixture
def path(saved, tmp_path) -> Path:
    """A sound file to damage."""
    return Path(shutil.copy(saved, tmp_path))


# What is packed is read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "float32", "float64", ">i2", "uint16"])
def test_whole_offsets_of_every_number_type_come_back_exactly(tmp_path, dtype):
    expected = {split: [np.abs(s % 100).astype(dtype) for s in items] for split, items in SETS.items()}
    with open_packed(pack(tmp_path / "a.h5", expected)) as opened:
        assert_same(everything(opened), expected)


def test_a_sketch_is_found_by_any_index_and_is_a_writable_copy(saved):
    with open_packed(saved) as opened:
        assert isinstance(opened.train, PackedSplit)
        assert [len(getattr(opened, split)) for split in SPLITS] == [40, 5, 3]
        for index in (0, 39, -1, -40, np.int64(7), np.uint8(7)):
            np.testing.assert_array_equal(opened.train[index], SETS["train"][index])
        opened.train[3][:] = 9
        np.testing.assert_array_equal(opened.train[3], SETS["train"][3])
        for index in (40, -41):
            with pytest.raises(IndexError):
                opened.train[index]
        with pytest.raises(TypeError):
            opened.train[1.0]


def test_splits_may_be_added_in_turns(tmp_path):
    with PackedWriter(tmp_path / "a.h5") as writer:
        for index in range(40):
            for split in reversed(SPLITS):
                for sketch in SETS[split][index : index + 1]:
                    writer.add(split, sketch)
    with open_packed(tmp_path / "a.h5") as opened:
        assert_same(everything(opened), SETS)


def test_the_file_is_flat_contiguous_arrays_that_any_hdf5_reader_reads(saved):
    with h5py.File(saved) as file:
        assert sorted(file) == sorted(f"{split}_{part}" for split in SPLITS for part in ("points", "offsets"))
        for split, items in SETS.items():
            points, offsets = file[f"{split}_points"], file[f"{split}_offsets"]
            assert (points.dtype.str, offsets.dtype.str) == ("<i2", "<i8")
            assert (points.chunks, offsets.chunks) == (None, None)
            np.testing.assert_array_equal(points, np.concatenate(items))
            np.testing.assert_array_equal(offsets, np.cumsum([0, *map(len, items)]))


def test_offsets_are_rounded_to_the_unit(tmp_path):
    line = np.array([[0.3, -0.37, 0], [0.6249, 0.6251, 1], [-7, 1e-9, 0]])
    with open_packed(pack(tmp_path / "a.h5", {"train": [line]}, unit=0.25)) as opened:
        np.testing.assert_array_equal(
            opened.train[0], np.array([[0.25, -0.25, 0], [0.5, 0.75, 1], [-7, 0, 0]], np.float32)
        )


def test_an_offset_is_the_float32_nearest_to_whole_times_unit(tmp_path):
    whole = np.arange(-1000, 1000).reshape(-1, 2)
    line = np.column_stack([whole * 0.1, np.zeros(len(whole))])
    with open_packed(pack(tmp_path / "a.h5", {"train": [line]}, unit=0.1)) as opened:
        np.testing.assert_array_equal(opened.train[0][:, :2], (whole * 0.1).astype(np.float32))


@pytest.mark.parametrize("unit", [1.0, 0.3, 0.7, 7.0, 1000.0])
def test_no_offset_is_beyond_1000_however_it_is_rounded(tmp_path, unit):
    line = np.array([[5000, -5000, 0], [1000, -1000, 1], [1e300, -1e300, 0]])
    with open_packed(pack(tmp_path / "a.h5", {"train": [line]}, unit)) as opened:
        largest = np.float32(int(1000 / unit) * unit)
        assert largest <= 1000
        np.testing.assert_array_equal(opened.train[0][:, :2], [[largest, -largest]] * 3)


def test_the_scale_factor_is_the_deviation_of_the_training_offsets_as_they_are_stored(tmp_path):
    random = np.random.default_rng(3)
    train = [np.column_stack([random.normal(3, 400, (n, 2)), np.zeros(n)]) for n in random.integers(1, 60, 200)]
    with open_packed(pack(tmp_path / "a.h5", {"train": train, "valid": SETS["valid"]}, unit=0.5)) as opened:
        stored = np.concatenate(list(opened.train)).astype(np.float64)[:, :2]
        assert stored.max() == 1000
        assert opened.scale_factor == pytest.approx(np.std(stored), rel=1e-14)
        loader = DataLoader(opened.train, 1, opened.longest, np.random.RandomState(0))
        assert opened.scale_factor == pytest.approx(loader.calculate_normalizing_scale_factor(), rel=1e-5)
    with open_packed(pack(tmp_path / "b.h5", {"train": reversed(train)}, unit=0.5)) as turned:
        assert turned.scale_factor == opened.scale_factor


def test_longest_is_of_all_splits(tmp_path):
    for split in SPLITS:
        splits = {"train": [LINE], split: [LINE, np.zeros((77, 3)), LINE]}
        with open_packed(pack(tmp_path / f"{split}.h5", splits)) as opened:
            assert opened.longest == 77


def test_validation_and_test_may_be_empty(tmp_path):
    with open_packed(pack(tmp_path / "a.h5", {"train": [LINE]})) as opened:
        assert_same(everything(opened), {"train": [LINE], "valid": [], "test": []})


# Memory, processes, threads ------------------------------------------------------------------------------------------


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_packing_holds_no_more_than_a_block(tmp_path):
    sketch = np.ones((10_000, 3), np.int16)
    sketch[::2, 0] = 7
    assert peak_bytes(lambda: pack(tmp_path / "a.h5", {"train": (sketch for _ in range(300))})) < 5e6
    assert (tmp_path / "a.h5").stat().st_size > 18e6


def test_reading_holds_neither_the_points_nor_the_offsets(path):
    count = 200_000
    with h5py.File(path, "r+") as file:
        replace(file, "valid_points", data=np.ones((count, 3), "<i2"))
        replace(file, "valid_offsets", data=np.arange(count + 1))
        file.attrs["counts"] = np.array([40, count, 3])

    def read() -> None:
        with open_packed(path) as opened:
            for index in range(0, count, 1999):
                np.testing.assert_array_equal(opened.valid[index], [[1, 1, 1]])

    read()  # imports
    assert peak_bytes(read) < 1.5e5


FORK = """
import multiprocessing, sys
import numpy as np
from pathlib import Path
from pytorch_sketch_rnn.data.packed import open_packed

def digest(seed):
    order = np.random.default_rng(seed).permutation(len(opened.train))
    sums = {int(i): float(opened.train[i].astype(float).sum()) for _ in range(20) for i in order}
    return [sums[i] for i in sorted(sums)]

opened = open_packed(Path(sys.argv[1]))
expected = digest(0)
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map(digest, range(9), chunksize=1) == [expected] * 9
assert digest(0) == expected
opened.close()
print("same")
"""


def test_forked_processes_read_one_open_set(saved):
    command = [sys.executable, "-c", FORK, str(saved)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("same\n", 0), done.stderr


def test_threads_read_one_open_set(saved):
    with open_packed(saved) as opened, ThreadPoolExecutor(4) as pool:
        order = np.random.default_rng(0).integers(0, 40, 2000)
        for index, got in zip(order, pool.map(opened.train.__getitem__, order), strict=True):
            np.testing.assert_array_equal(got, SETS["train"][index])


def test_a_pickled_set_opens_the_file_anew_from_any_folder(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with open_packed(Path(path.name)) as opened:
        data = pickle.dumps(opened)
        with pytest.raises(TypeError, match="pickle"):  # a number of an open file means nothing to another process
            pickle.dumps(opened.train)
    monkeypatch.chdir("/")
    with pickle.loads(data) as again:
        assert_same(everything(again), SETS)


def test_a_closed_set_reads_no_more(saved):
    opened = open_packed(saved)
    opened.close()
    opened.close()
    with pytest.raises(ValueError, match="closed file"):
        opened.train[0]
    with open_packed(saved) as again:
        pass
    with pytest.raises(ValueError, match="closed file"):
        again.valid[0]


def test_neither_an_open_nor_a_refused_file_stays_open(path):
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    before = count()
    open_packed(path).close()
    with h5py.File(path, "r+") as file:
        file.attrs.modify("longest", 0)
    refuse(path, "longest")
    assert count() == before


def test_an_open_set_is_not_touched_by_a_new_file_in_its_place(path):
    with open_packed(path) as opened:
        pack(path, {"train": [LINE]})
        assert_same(everything(opened), SETS)
    with open_packed(path) as opened:
        assert len(opened.train) == 1


# What cannot be packed -----------------------------------------------------------------------------------------------


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
def test_what_is_no_sketch_is_refused_by_number_and_the_old_file_stays(tmp_path, sketch, message):
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(BadInput, match=rf"a\.h5: valid: sketch 1: {message}"):
        pack(tmp_path / "a.h5", {"train": [LINE], "test": [LINE], "valid": [LINE, sketch]})
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_refused_sketch_leaves_no_trace_where_the_caller_goes_on(tmp_path, saved):
    with PackedWriter(tmp_path / "a.h5") as writer:
        for split, items in SETS.items():
            for sketch in items:
                with pytest.raises(BadInput, match="pen"):
                    writer.add(split, np.full((200, 3), 7))
                writer.add(split, sketch)
    with open_packed(tmp_path / "a.h5") as opened, open_packed(saved) as expected:
        assert_same(everything(opened), SETS)
        assert (opened.longest, opened.scale_factor) == (expected.longest, expected.scale_factor)


def test_an_offset_that_needs_more_than_16_bits_is_refused_with_the_unit_that_would_do(tmp_path):
    fits = np.array([[327.67, -327.67, 0], [0, 0, 1]])
    with open_packed(pack(tmp_path / "a.h5", {"train": [fits]}, unit=0.01)) as opened:
        np.testing.assert_array_equal(opened.train[0], fits.astype(np.float32))
    for value in (327.68, -327.68, 5000):
        line = np.array([[0, 0, 0], [0, value, 1]])
        with pytest.raises(BadInput, match=r"does not fit an int16 in units of 0\.01; use a unit of at least 0\.031"):
            pack(tmp_path / "b.h5", {"train": [line]}, unit=0.01)
    pack(tmp_path / "b.h5", {"train": [line]}, unit=0.031)


@pytest.mark.parametrize("unit", [0, -1, np.nan, np.inf, 1e-7, 1001])
def test_a_unit_that_means_nothing_is_refused(tmp_path, unit):
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
def test_a_set_to_train_nothing_with_is_not_written(tmp_path, splits, message):
    with pytest.raises(BadInput, match=rf"a\.h5: {message}"):
        pack(tmp_path / "a.h5", splits)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a fault"), BadInput("no good")])
def test_a_failure_on_the_way_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(type(error)), PackedWriter(tmp_path / "a.h5") as writer:  # noqa: PT012
        writer.add("train", LINE)
        assert os.listdir(tmp_path) == ["a.h5"]  # what is spooled has no name: even a killed process leaves nothing
        raise error
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_folder_that_is_not_there_is_bad_input_before_any_sketch(tmp_path):
    with pytest.raises(BadInput, match=r"none/a\.h5: cannot be written \(No such file or directory\)"):  # noqa: SIM117
        with PackedWriter(tmp_path / "none" / "a.h5"):
            raise AssertionError("too late")


FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.data.packed import PackedWriter

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


# the first bytes spooled; the last ones; the file: with points that fit, what stands around them does not
@pytest.mark.parametrize("limit", [1, 5_000, 599_999, 600_000, 601_000])
def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path, limit):
    (tmp_path / "a.h5").write_bytes(b"old")
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.h5"), str(limit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path}/a.h5: cannot be written (")
    assert "File too large" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_writer_whose_disk_was_full_takes_nothing_more(tmp_path):
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


# Files that are not what they should be ------------------------------------------------------------------------------


def refuse(path: Path, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        open_packed(path)
    check_message(caught.value, path)


def check_message(error: BadInput, path: Path) -> None:
    text = str(error)
    assert text.startswith(f"{path}: ")
    assert text.endswith("; make it anew with `python -m pytorch_sketch_rnn dataset`")
    assert text.isprintable()
    assert len(text) < len(str(path)) + 500


def replace(file: h5py.File, name: str, **options: object) -> None:
    """Make a dataset anew, of the same numbers where nothing else is said."""
    data = file[name][()]
    del file[name]
    file.create_dataset(name, **({"data": data} | options))


def low_level(file: h5py.File, name: str, change: Callable[[h5py.h5p.PropDCID], object]) -> None:
    """Make a dataset anew with a creation property that h5py's own call cannot set."""
    data = file[name][()]
    del file[name]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    change(creation)
    space = h5py.h5s.create_simple(data.shape)
    made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(data.dtype), space, creation)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, data)


def elsewhere(file: h5py.File, kind: type) -> None:
    """Move a dataset to another file and refer to it there."""
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as target:
        target["points"] = file["train_points"][()]
        source = h5py.VirtualSource(target["points"])
    shape = file["train_points"].shape
    del file["train_points"]
    if kind is h5py.ExternalLink:
        file["train_points"] = h5py.ExternalLink(str(other), "points")
    else:
        layout = h5py.VirtualLayout(shape, "<i2")
        layout[:] = source
        file.create_virtual_dataset("train_points", layout)


def soft(file: h5py.File) -> None:
    file.move("train_points", "hidden")
    file["train_points"] = h5py.SoftLink("/hidden")


def odd_integer(file: h5py.File) -> None:
    """int16 of which only 12 bits count: NumPy would see a plain int16."""
    shape = file["train_points"].shape
    del file["train_points"]
    number_type = h5py.h5t.STD_I16LE.copy()
    number_type.set_precision(12)
    h5py.h5d.create(file.id, b"train_points", number_type, h5py.h5s.create_simple(shape))


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs[name] = value

    return change


def numbers(name: str, value: object, at: object = ()) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][at] = value

    return change


def raw(path: Path) -> Path:
    return path.with_name("raw.bin")


HOSTILE: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "another HDF5": (lambda f: f.attrs.__delitem__("format"), "got HDF5 without the attribute 'format'"),
    "another format": (attribute("format", np.bytes_(b"x" * 33)), "got HDF5 of another format"),
    "text of any length": (attribute("format", "pytorch-sketch-rnn packed strokes"), "attribute 'format'"),
    "an array of formats": (attribute("format", np.array([b"x" * 33] * 2)), "attribute 'format'"),
    "a later version": (attribute("version", np.int64(2)), "expected version 1 of packed stroke sets, got 2"),
    "a version in text": (attribute("version", "1"), "attribute 'version'"),
    "a version of another type": (attribute("version", np.int32(1)), "attribute 'version'"),
    "no version": (lambda f: f.attrs.__delitem__("version"), "without the attribute 'version'"),
    "no unit": (lambda f: f.attrs.__delitem__("unit"), "without the attribute 'unit'"),
    "unit 0": (attribute("unit", np.float64(0)), "expected as unit 1e-06 to 1000, got 0.0"),
    "unit NaN": (attribute("unit", np.float64(np.nan)), "expected as unit 1e-06 to 1000, got nan"),
    "unit infinite": (attribute("unit", np.float64(np.inf)), "expected as unit 1e-06 to 1000, got inf"),
    "unit an integer": (attribute("unit", np.int64(1)), "attribute 'unit'"),
    "scale 0": (attribute("scale_factor", np.float64(0)), "expected as scale_factor more than 0"),
    "scale NaN": (attribute("scale_factor", np.float64(np.nan)), "expected as scale_factor more than 0"),
    "scale 1e300": (attribute("scale_factor", np.float64(1e300)), "expected as scale_factor more than 0, at most 1000"),
    "scale of nothing": (attribute("scale_factor", h5py.Empty("<f8")), "attribute 'scale_factor'"),
    "scale an array": (attribute("scale_factor", np.ones(1)), "attribute 'scale_factor'"),
    "longest 0": (attribute("longest", np.int64(0)), "expected as longest 1 to 1000000, got 0"),
    "longest absurd": (attribute("longest", np.int64(2**62)), "expected as longest 1 to 1000000"),
    "longest unsigned": (attribute("longest", np.uint64(9)), "attribute 'longest'"),
    "no training sketches": (attribute("counts", np.array([0, 5, 3])), "expected as counts at least one training"),
    "negative counts": (attribute("counts", np.array([40, -1, 3])), "expected as counts at least one training"),
    "other counts": (attribute("counts", np.array([40, 5, 4])), r"test: expected 5 offsets and points \[P, 3\]"),
    "absurd counts": (attribute("counts", np.array([2**63 - 1, 5, 3])), "train: expected 9223372036854775808 offsets"),
    "four counts": (attribute("counts", np.array([40, 5, 3, 1])), "attribute 'counts'"),
    "no points": (lambda f: f.__delitem__("test_points"), "expected the dataset 'test_points' in the file itself"),
    "no offsets": (lambda f: f.__delitem__("valid_offsets"), "expected the dataset 'valid_offsets'"),
    "a group": (lambda f: (f.__delitem__("test_points"), f.create_group("test_points")), "dataset, got a group"),
    "a soft link": (soft, "expected the dataset 'train_points' in the file itself, got none or a link"),
    "an external link": (lambda f: elsewhere(f, h5py.ExternalLink), "in the file itself, got none or a link"),
    "a virtual dataset": (lambda f: elsewhere(f, h5py.VirtualLayout), "train_points: expected a contiguous"),
    "external storage": (
        lambda f: replace(f, "train_points", external=[(str(raw(Path(f.filename))), 0, h5py.h5f.UNLIMITED)]),
        "train_points: expected a contiguous dataset, got one that is chunked, compressed or kept elsewhere",
    ),
    "chunked": (lambda f: replace(f, "train_points", chunks=(10, 3)), "train_points: expected a contiguous"),
    "compressed": (lambda f: replace(f, "test_points", compression="gzip"), "test_points: expected a contiguous"),
    "compressed offsets": (lambda f: replace(f, "valid_offsets", compression="lzf"), "valid_offsets: expected a cont"),
    "resizable": (lambda f: replace(f, "train_offsets", maxshape=(None,)), "train_offsets: expected a contiguous"),
    "compact": (
        lambda f: low_level(f, "valid_points", lambda creation: creation.set_layout(h5py.h5d.COMPACT)),
        "valid_points: expected a contiguous",
    ),
    "points in int32": (lambda f: replace(f, "train_points", dtype="<i4"), "train_points: expected the type int16"),
    "points in uint16": (lambda f: replace(f, "train_points", dtype="<u2"), "train_points: expected the type int16"),
    "points the other way round": (lambda f: replace(f, "train_points", dtype=">i2"), "expected the type int16"),
    "points in float16": (lambda f: replace(f, "train_points", dtype="<f2"), "expected the type int16"),
    "points of 12 bits": (odd_integer, "train_points: expected the type int16"),
    "offsets in uint64": (lambda f: replace(f, "train_offsets", dtype="<u8"), "expected the type int64"),
    "offsets in float64": (lambda f: replace(f, "train_offsets", dtype="<f8"), "expected the type int64"),
    "text for points": (
        lambda f: replace(f, "test_points", data=["x"], dtype=h5py.string_dtype()),
        "test_points: expected the type int16",
    ),
    "points [P, 2]": (lambda f: replace(f, "test_points", data=f["test_points"][:, :2]), r"points \[P, 3\]"),
    "points [P]": (lambda f: replace(f, "test_points", data=f["test_points"][:, 0]), r"points \[P, 3\]"),
    "points of nothing": (lambda f: replace(f, "test_points", data=h5py.Empty("<i2")), r"points \[P, 3\]"),
    "offsets [N, 1]": (lambda f: replace(f, "test_offsets", data=f["test_offsets"][()][:, None]), "offsets and points"),
    "a point less": (lambda f: replace(f, "train_points", data=f["train_points"][:-1]), "train: expected offsets from"),
    "a point more": (
        lambda f: replace(f, "test_points", data=np.zeros((999, 3), "<i2")),
        "test: expected offsets from",
    ),
    "an offset less": (lambda f: replace(f, "train_offsets", data=f["train_offsets"][:-1]), "expected 41 offsets"),
    "a late begin": (numbers("valid_offsets", 1, 0), "valid: expected offsets from 0 to"),
    "a negative begin": (numbers("valid_offsets", -1, 0), "valid: expected offsets from 0 to"),
    "an end beyond": (numbers("valid_offsets", 2**62, -1), "valid: expected offsets from 0 to"),
    "a negative end": (numbers("valid_offsets", -9, -1), "valid: expected offsets from 0 to"),
    "petabytes that are not there": (
        lambda f: (f.__delitem__("train_points"), f.create_dataset("train_points", (2**50, 3), "<i2")),
        "train_points: expected its .* numbers in the .* bytes of the file",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_not_laid_out_as_the_writer_does_is_refused(path, name):
    change, message = HOSTILE[name]
    with h5py.File(path, "r+") as file:
        change(file)
    refuse(path, message)


# sketch 3 of the training set holds points 3..4 of its offsets
BAD_SKETCHES: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "no points": (lambda f: numbers("train_offsets", f["train_offsets"][3], 4)(f), "expected 1 to"),
    "offsets that fall": (lambda f: numbers("train_offsets", f["train_offsets"][3] - 1, 4)(f), "expected 1 to"),
    "a negative begin": (numbers("train_offsets", [-1, 2], slice(3, 5)), "expected 1 to"),
    "an end beyond the points": (
        lambda f: numbers("train_offsets", f["train_offsets"][-1] + [-1, 1], slice(3, 5))(f),
        "expected 1 to",
    ),
    "far too many points": (numbers("train_offsets", 10**6, 4), "expected 1 to"),
    "an end beyond any file": (numbers("train_offsets", 2**63 - 1, 4), "expected 1 to"),
    "a pen of 2": (lambda f: numbers("train_points", 2, (f["train_offsets"][3], 2))(f), "expected as pen 0 or 1"),
    "a pen of -1": (lambda f: numbers("train_points", -1, (f["train_offsets"][4] - 1, 2))(f), "expected as pen 0 or 1"),
    "more points than the longest": (attribute("longest", np.int64(len(SETS["train"][3]) - 1)), "expected 1 to"),
}


@pytest.mark.parametrize("name", BAD_SKETCHES)
def test_a_bad_sketch_is_refused_when_it_is_read_and_others_are_not(path, name):
    change, message = BAD_SKETCHES[name]
    with h5py.File(path, "r+") as file:
        change(file)
    with open_packed(path) as opened:
        with pytest.raises(BadInput, match=f"train: sketch 3: {message}") as caught:
            opened.train[3]
        check_message(caught.value, path)
        shortest = min(range(30, 40), key=lambda index: len(SETS["train"][index]))
        np.testing.assert_array_equal(opened.train[shortest], SETS["train"][shortest])


def test_data_said_to_lie_beyond_the_end_of_the_file_is_refused(saved, tmp_path):
    with h5py.File(saved) as source, h5py.File(tmp_path / "a.h5", "w", libver="earliest") as file:
        for name, (number_type, shape) in {n: (v.dtype, v.shape) for n, v in source.attrs.items()}.items():
            file.attrs.create(name, source.attrs[name], shape, number_type)
        for name, dataset in source.items():
            file[name] = dataset[()]
        position, size = file["train_points"].id.get_offset(), file["train_points"].nbytes
    sound = (tmp_path / "a.h5").read_bytes()
    open_packed(tmp_path / "a.h5").close()
    # where they begin stands in the old form of HDF5 without a checksum
    stored = struct.pack("<qq", position, size)
    assert sound.count(stored) == 1
    for start in (len(sound) - size + 1, len(sound) + 2**40):
        (tmp_path / "a.h5").write_bytes(sound.replace(stored, struct.pack("<qq", start, size)))
        refuse(tmp_path / "a.h5", "numbers in the .* bytes of the file|invalid dataset size")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got another kind of file"),
        (b"PK\x03\x04", "got another kind of file"),
        (b"\x89HDF\r\n\x1a\n", "got what cannot be read"),
        (b"\x89HDF\r\n\x1a\n" + b"\xff" * 4000, "got what cannot be read"),
    ],
)
def test_what_is_not_hdf5_is_refused(tmp_path, content, message):
    (tmp_path / "a.h5").write_bytes(content)
    refuse(tmp_path / "a.h5", message)


def test_what_is_no_file_is_refused_and_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("none", "pipe", "loop", "."):
        refuse((tmp_path / name).absolute(), "there is no such file|symbolic link")


def test_a_file_cut_short_anywhere_is_refused(saved, tmp_path):
    whole = saved.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        (tmp_path / "a.h5").write_bytes(whole[:length])
        refuse(tmp_path / "a.h5", "expected a packed stroke set")


def test_a_file_cut_short_while_it_is_open_is_bad_input(path):
    with open_packed(path) as opened:
        os.truncate(path, 2100)
        with pytest.raises(BadInput, match=r"train: sketch 39: .*the file is cut short") as caught:
            opened.train[39]
        check_message(caught.value, path)


def test_damage_outside_the_sketches_is_refused_or_changes_nothing(saved, tmp_path):
    whole = saved.read_bytes()
    with h5py.File(saved) as file:
        sketches_at = [range(d.id.get_offset(), d.id.get_offset() + d.nbytes) for d in file.values()]
    with open_packed(saved) as opened:
        scale_factor, longest = opened.scale_factor, opened.longest
    random = np.random.default_rng(5)
    outcomes = {"same": 0, "refused": 0}
    for position in random.permutation([i for i in range(len(whole)) if not any(i in data for data in sketches_at)])[
        :150
    ]:
        data = bytearray(whole)
        data[position] ^= 1 << int(random.integers(0, 8))
        (tmp_path / "a.h5").write_bytes(data)
        outcome = "refused"
        with contextlib.suppress(BadInput), open_packed(tmp_path / "a.h5") as opened:
            assert_same(everything(opened), SETS)
            assert (opened.scale_factor, opened.longest) == (scale_factor, longest)
            outcome = "same"
        outcomes[outcome] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_damage_to_an_attribute_is_noticed_though_its_value_would_do(saved, tmp_path):
    whole = saved.read_bytes()
    with open_packed(saved) as opened:
        stored = struct.pack("<d", opened.scale_factor)
    assert whole.count(stored) == 1
    for byte in range(8):
        damaged = bytearray(whole)
        damaged[whole.index(stored) + byte] ^= 1
        (tmp_path / "a.h5").write_bytes(damaged)
        refuse(tmp_path / "a.h5", "got what cannot be read")


def test_what_hdf5_says_is_told_in_one_short_line(path, monkeypatch):
    def fail(*_, **__):
        raise OSError("first\n  second" + "x" * 1000)

    monkeypatch.setattr(h5py, "File", fail)
    refuse(path, r"\(first secondx+\); make it anew")
    with pytest.raises(BadInput, match=r"cannot be written \(first secondx+\)$") as caught:
        pack(path, SETS)
    assert len(str(caught.value)) < len(str(path)) + 400


# The measurement -----------------------------------------------------------------------------------------------------


def test_the_measurement_runs_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "benchmarks.packed"]
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "capture_output": True, "text": True}
    done = subprocess.run([*command, "--sketches", "300", "--batches", "10"], **options, check=False)
    assert done.returncode == 0, done.stderr
    for figure in ("sketches a second", "MB resident", "300 sketches"):
        assert figure in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert subprocess.run([*command, "--sketches", "0"], **options, check=False).returncode == 2
