"""pytorch_sketch_rnn.data.packed: sketches come back as they were packed, in little memory, in any process."""

import os
import pickle
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from packed_sets import LINE, SETS, assert_same, everything, pack, refuse, replace

from pytorch_sketch_rnn.data.magenta_loader import DataLoader
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import PackedSplit, open_packed
from pytorch_sketch_rnn.data.packed_writer import PackedWriter

ROOT = Path(__file__).parents[3]

# Reading what was packed ---------------------------------------------------------------------------------------------


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


def test_sketches_of_all_splits_can_be_added_in_any_order(tmp_path):
    with PackedWriter(tmp_path / "a.h5") as writer:
        for index in range(40):
            for split in reversed(SPLITS):
                for sketch in SETS[split][index : index + 1]:
                    writer.add(split, sketch)
    with open_packed(tmp_path / "a.h5") as opened:
        assert_same(everything(opened), SETS)


def test_the_file_holds_contiguous_arrays_that_any_hdf5_reader_reads(saved):
    with h5py.File(saved) as file:
        assert sorted(file) == sorted(f"{split}_{part}" for split in SPLITS for part in ("points", "offsets", "crc32"))
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


def test_a_slice_is_a_list_of_its_sketches(path):
    with open_packed(path) as opened:
        every = list(opened.train)
        for part in (slice(1, None), slice(None, None, -1), slice(-2, 100)):
            found = opened.train[part]
            assert type(found) is list
            assert len(found) == len(every[part]) > 0
            for ours, expected in zip(found, every[part], strict=True):
                np.testing.assert_array_equal(ours, expected)


# Memory, processes, threads ------------------------------------------------------------------------------------------


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_packing_needs_memory_for_one_block_only(tmp_path):
    sketch = np.ones((10_000, 3), np.int16)
    sketch[::2, 0] = 7
    assert peak_bytes(lambda: pack(tmp_path / "a.h5", {"train": (sketch for _ in range(300))})) < 5e6
    assert (tmp_path / "a.h5").stat().st_size > 18e6


def test_reading_loads_neither_all_points_nor_all_offsets(path):
    count = 200_000
    with h5py.File(path, "r+") as file:
        replace(file, "valid_points", data=np.ones((count, 3), "<i2"))
        replace(file, "valid_offsets", data=np.arange(count + 1))
        replace(file, "valid_crc32", data=np.full(count, zlib.crc32(np.ones((1, 3), "<i2")), "<u4"))
        file.attrs["counts"] = np.array([40, count, 3])

    def read() -> None:
        with open_packed(path) as opened:
            for index in range(0, count, 1999):
                np.testing.assert_array_equal(opened.valid[index], [[1, 1, 1]])

    read()  # imports what it needs
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


def test_a_pickled_set_opens_its_file_again_from_any_folder(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with open_packed(Path(path.name)) as opened:
        data = pickle.dumps(opened)
        with pytest.raises(TypeError, match="pickle"):  # another process does not have the open file
            pickle.dumps(opened.train)
    monkeypatch.chdir("/")
    with pickle.loads(data) as again:
        assert_same(everything(again), SETS)


def test_a_closed_set_cannot_be_read(saved):
    opened = open_packed(saved)
    opened.close()
    opened.close()
    with pytest.raises(ValueError, match="closed file"):
        opened.train[0]
    with open_packed(saved) as again:
        pass
    with pytest.raises(ValueError, match="closed file"):
        again.valid[0]


def test_closed_and_refused_files_leave_no_open_descriptor(path):
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


def test_an_open_set_is_unaffected_by_a_new_file_in_its_place(path):
    with open_packed(path) as opened:
        pack(path, {"train": [LINE]})
        assert_same(everything(opened), SETS)
    with open_packed(path) as opened:
        assert len(opened.train) == 1


# The benchmark -------------------------------------------------------------------------------------------------------


FEW = """
import sys
from benchmarks import packed
packed.BATCH, packed.STEPS = 4, 1
sys.exit(packed.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_benchmark_runs_and_leaves_nothing(tmp_path):
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "capture_output": True, "text": True}
    few = [sys.executable, "-c", FEW, "--sketches", "300", "--batches", "10"]
    done = subprocess.run(few, **options, check=False)
    assert done.returncode == 0, done.stderr
    for figure in ("sketches a second", "MB resident", "300 sketches"):
        assert figure in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    wrong = [sys.executable, "-m", "benchmarks.packed", "--sketches", "0"]
    assert subprocess.run(wrong, **options, check=False).returncode == 2
