"""Packed stroke sets in HDF5: sets larger than memory, read one sketch at a time.

For each split a file holds three datasets. ``<split>_points`` is int16 [P, 3]: the points of all sketches, one sketch
after the other; dx and dy in multiples of ``unit``, then 1 where the pen is lifted, else 0. ``<split>_offsets`` is
int64 [N + 1]: sketch i is rows offsets[i] to offsets[i + 1] of the points. ``<split>_crc32`` is uint32 [N]: the CRC-32
of each sketch's points; version 1 of the format had none. All are contiguous and uncompressed, so that a sketch is one
range of bytes of the file. The file's attributes are listed in ``ATTRIBUTES``.

:mod:`~pytorch_sketch_rnn.data.packed_writer` writes these files.

Source: the HDF5 File Format Specification 3.0.
"""

import io
import operator
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import h5py
import numpy as np
from numpy.typing import NDArray

from pytorch_sketch_rnn.data.hdf5_probe import probe_hdf5
from pytorch_sketch_rnn.data.magenta_loader import LIMIT
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.errors import BadInput, Refused
from pytorch_sketch_rnn.regular_file import check_regular

MIN_UNIT = 1e-6
MAX_POINTS = 1_000_000  # in one sketch

FORMAT = b"pytorch-sketch-rnn packed strokes"
VERSION = 2
WITHOUT_CHECKSUMS = 1  # the older version, which can still be read
POINT_TYPE = np.dtype("<i2")
OFFSET_TYPE = np.dtype("<i8")
CHECKSUM_TYPE = np.dtype("<u4")
_TYPES: dict[str, np.dtype[Any]] = {"points": POINT_TYPE, "offsets": OFFSET_TYPE, "crc32": CHECKSUM_TYPE}
# name: type, shape
ATTRIBUTES = {
    "format": (np.dtype(f"S{len(FORMAT)}"), ()),
    "version": (np.dtype("<i8"), ()),
    "unit": (np.dtype("<f8"), ()),
    "scale_factor": (np.dtype("<f8"), ()),
    "longest": (np.dtype("<i8"), ()),  # points in the longest sketch
    "counts": (np.dtype("<i8"), (len(SPLITS),)),  # sketches in each split
}
_ADVICE = "create it again with `python -m pytorch_sketch_rnn dataset`"


class PackedSplit(Sequence[np.ndarray]):
    """The sketches of one split, float32 [n, 3]; each is read from the file when it is indexed.

    Offsets are in the units of the original drawings. They were clamped when the set was packed.

    Raises:
        IndexError: if the index is out of range.
        BadInput: if the file's data for that sketch are invalid, or the file has been truncated since it was opened.
        ValueError: if the set has been closed.
    """

    def __init__(self, file: io.FileIO, extent: "_Extent", unit: float, longest: int) -> None:
        self._file = file
        self._extent = extent
        self._units: NDArray[np.float64] = np.array([unit, unit, 1.0])  # the pen column has no unit
        self._longest = longest

    def __len__(self) -> int:
        return self._extent.sketches

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        position = operator.index(index)
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"sketch {index} of {len(self)}")
        try:  # not naming(): entering context managers takes a fifth of the time of a read
            stored = self._stored(position)
        except Refused as error:
            raise BadInput(f"{self._extent.name}: sketch {position}: {error}; {_ADVICE}") from None
        return (stored * self._units).astype(np.float32)

    def _stored(self, index: int) -> NDArray[np.int16]:
        """The points int16 [n, 3] as the file holds them."""
        extent = self._extent
        start, end = _read(self._file, extent.offsets_at, OFFSET_TYPE, index, index + 2).tolist()
        if not 0 <= start < end <= extent.points or end - start > self._longest:
            raise Refused(
                f"expected 1 to {self._longest} of the {extent.points} points, got those from {start} to {end}"
            )
        stored = _read(self._file, extent.points_at, POINT_TYPE, 3 * start, 3 * end).reshape(-1, 3)
        check_pen(stored[:, 2])
        if extent.checksums_at is not None:
            expected = _read(self._file, extent.checksums_at, CHECKSUM_TYPE, index, index + 1).item()
            if zlib.crc32(stored.data) != expected:
                raise Refused("expected its points as they were packed, got others: the file is damaged")
        return stored


class PackedSet:
    """A packed set, open for reading; a context manager.

    Forked processes, such as the workers of a ``torch.utils.data.DataLoader``, may share it. Unpickling one opens its
    file again.

    Attributes:
        path: the file, as an absolute path.
        train, valid, test: the sketches; there is at least one for training.
        scale_factor: standard deviation of all training offsets, dx and dy together, clamped to +-1000. Magenta
            normalises by this number, rounded to float32.
        longest: points in the longest sketch of all splits.
        has_checksums: whether a damaged sketch is noticed; files of the older version hold no checksums.
    """

    def __init__(
        self,
        path: Path,
        file: io.FileIO,
        splits: Sequence[PackedSplit],
        scale_factor: float,
        longest: int,
        has_checksums: bool,
    ) -> None:
        self.path = path
        self.has_checksums = has_checksums
        self.train, self.valid, self.test = splits
        self.scale_factor = scale_factor
        self.longest = longest
        self._file = file

    def close(self) -> None:
        """Close the file; its sketches can no longer be read."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return open_packed, (self.path,)


def open_packed(path: Path) -> PackedSet:
    """Open a packed set; only the sketches that are indexed are read into memory.

    Raises:
        BadInput: if the file is missing, truncated, or not a packed set of this version, laid out as
            ``PackedWriter`` does.
    """
    path = Path(path)
    with _reading(path), ExitStack() as stack:
        if not path.exists():
            raise Refused("expected a packed stroke set, but there is no such file")
        check_regular(path)
        if not h5py.is_hdf5(path):
            raise Refused("expected a packed stroke set in HDF5, got another kind of file")
        # Some file systems have no locks, and the writer never changes a file in place.
        with h5py.File(path, "r", driver="sec2", locking=False) as h5:
            # The descriptor that HDF5 opened, so that the positions below belong to the very same file.
            file = io.FileIO(os.dup(h5.id.get_vfd_handle()), "rb")
            stack.enter_context(file)
            unit, scale_factor, longest, counts = _checked_attributes(h5)
            checked = _attribute(h5, "version") != WITHOUT_CHECKSUMS
            extents = [
                _extent(h5, file, split, count, checked=checked) for split, count in zip(SPLITS, counts, strict=True)
            ]
        splits = [PackedSplit(file, extent, unit, longest) for extent in extents]
        stack.pop_all()
        # Absolute, because a process that unpickles the set may have another working directory.
        return PackedSet(path.absolute(), file, splits, scale_factor, longest, checked)


def open_foreign_packed(path: Path) -> PackedSet:
    """Open a packed stroke set that a stranger may have made.

    Raises:
        BadInput: as :func:`open_packed` does, and if the file crashes libhdf5.
    """
    if path.is_file():
        probe_hdf5(path, numbers=False)
    return open_packed(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn every exception into BadInput, as a damaged file can make h5py raise almost any type."""
    try:
        yield
    except Refused as error:
        raise BadInput(f"{path}: {error}; {_ADVICE}") from None
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"{path}: expected a packed stroke set, got what cannot be read ({one_line(error)}); {_ADVICE}"
        ) from None


def one_line(error: Exception) -> str:
    """The reason in an exception, at most 300 characters on one line; HDF5's own messages can hold line breaks."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:300]


def check_pen(pen: np.ndarray) -> None:
    """Refuse pen states [n] other than 0 and 1."""
    if ((pen != 0) & (pen != 1)).any():
        raise Refused("expected as pen 0 or 1, got another value")


def _checked_attributes(h5: h5py.File) -> tuple[float, float, int, list[int]]:
    """Check the attributes; return unit, scale factor, longest, and the number of sketches in each split."""
    if _attribute(h5, "format") != FORMAT:
        raise Refused("expected a packed stroke set, got HDF5 of another format")
    version = _attribute(h5, "version")
    if version not in (WITHOUT_CHECKSUMS, VERSION):
        raise Refused(f"expected version {WITHOUT_CHECKSUMS} or {VERSION} of packed stroke sets, got {version}")
    unit, scale_factor, longest = (_attribute(h5, name).item() for name in ("unit", "scale_factor", "longest"))
    counts = _attribute(h5, "counts").tolist()
    # These comparisons are false for NaN.
    for name, value, valid, expected in (
        ("unit", unit, MIN_UNIT <= unit <= LIMIT, f"{MIN_UNIT} to {LIMIT}"),
        ("scale_factor", scale_factor, 0 < scale_factor <= LIMIT, f"more than 0, at most {LIMIT}"),
        ("longest", longest, 1 <= longest <= MAX_POINTS, f"1 to {MAX_POINTS}"),
        ("counts", counts, counts[0] >= 1 and min(counts) >= 0, "at least one training sketch, and none negative"),
    ):
        if not valid:
            raise Refused(f"expected as {name} {expected}, got {value}")
    return unit, scale_factor, longest, counts


def _attribute(h5: h5py.File, name: str) -> Any:
    """The value of an attribute, after a check of its type and shape."""
    number_type, shape = ATTRIBUTES[name]
    if name not in h5.attrs:
        raise Refused(f"expected a packed stroke set, got HDF5 without the attribute {name!r}")
    attribute = h5.attrs.get_id(name)
    if not _is_type(attribute.get_type(), number_type) or attribute.shape != shape:
        raise Refused(f"expected as the attribute {name!r} {number_type} of shape {shape}, got another type or shape")
    return h5.attrs[name]


def _is_type(found: h5py.h5t.TypeID, number_type: np.dtype) -> bool:
    """Whether HDF5's own type is exactly ``number_type``; the NumPy dtype that h5py reports hides differences."""
    return bool(found.equal(h5py.h5t.py_create(number_type)))


@dataclass(frozen=True)
class _Extent:
    """The place of one split's sketches in the file; positions are in bytes."""

    name: str  # of file and split, for messages
    sketches: int
    points: int
    points_at: int
    offsets_at: int
    checksums_at: int | None


def _extent(h5: h5py.File, file: io.FileIO, split: str, sketches: int, *, checked: bool) -> _Extent:
    """Find a split's datasets, and check their shapes and the first and last offset."""
    points, offsets = (_dataset(h5, f"{split}_{part}") for part in ("points", "offsets"))
    checksums = _dataset(h5, f"{split}_crc32") if checked else None
    if offsets.shape != (sketches + 1,) or points.ndim != 2 or points.shape[1] != 3:
        raise Refused(
            f"{split}: expected {sketches + 1} offsets and points [P, 3], got shapes {offsets.shape} and {points.shape}"
        )
    if checksums is not None and checksums.shape != (sketches,):
        raise Refused(f"{split}: expected {sketches} checksums, got shape {checksums.shape}")
    total = points.shape[0]
    points_at, offsets_at = (_position(dataset, file) for dataset in (points, offsets))
    ends = [_read(file, offsets_at, OFFSET_TYPE, index, index + 1).item() for index in (0, sketches)]
    if ends != [0, total]:
        raise Refused(f"{split}: expected offsets from 0 to {total}, got {ends[0]} to {ends[1]}")
    checksums_at = None if checksums is None else _position(checksums, file)
    return _Extent(f"{h5.filename}: {split}", sketches, total, points_at, offsets_at, checksums_at)


def _dataset(h5: h5py.File, name: str) -> h5py.Dataset:
    """A dataset stored as one range of bytes in this file; HDF5 can also refer to any other file on the disk."""
    if name not in h5 or not isinstance(h5.get(name, getlink=True), h5py.HardLink):
        raise Refused(f"expected the dataset {name!r} in the file itself, got none or a link")
    dataset = h5[name]
    if not isinstance(dataset, h5py.Dataset):
        raise Refused(f"expected {name!r} to be a dataset, got a {type(dataset).__name__.lower()}")
    number_type = _TYPES[name.rpartition("_")[2]]
    if not _is_type(dataset.id.get_type(), number_type):
        raise Refused(f"{name}: expected the type {number_type}, got another")
    creation = dataset.id.get_create_plist()
    # Compressed datasets have a chunked layout, and those that refer to other datasets a virtual one.
    if creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_external_count():
        raise Refused(f"{name}: expected a contiguous dataset, got one that is chunked, compressed or kept elsewhere")
    return dataset


def _position(dataset: h5py.Dataset, file: io.FileIO) -> int:
    """The byte where a dataset starts, after a check that the file is long enough to hold all of it."""
    if dataset.size == 0:
        return 0  # HDF5 allocates no space for it
    position: int | None = dataset.id.get_offset()
    size = os.fstat(file.fileno()).st_size
    if position is None or position + dataset.size * dataset.dtype.itemsize > size:
        raise Refused(
            f"{dataset.name}: expected its {dataset.shape} numbers in the {size} bytes of the file; cut short?"
        )
    return position


def _read(file: io.FileIO, position: int, number_type: np.dtype, start: int, end: int) -> np.ndarray:
    """Numbers ``start`` to ``end`` of the array that begins at byte ``position`` of the file.

    Positioned reads, not h5py slices or a memory map:

    - HDF5 returns zeros, which are valid points, for the missing part of a file that was truncated after it was
      opened. It also reads 64 KiB for each sketch of some 300 bytes, which is slow for a set that is not cached.
    - A truncated file kills a process that has it mapped, and mapped pages that were touched count as the process's
      memory: with 2 million sketches (586 MB) it grew by 577 MB, and does not grow with this.

    Processor time for a random batch of 100 sketches of 15 to 80 points, cached by the system, best of 60 batches:
    1.5 ms with this, 4.4 ms with h5py slices, 1.4 ms with a memory map. A training step takes seconds on a processor,
    but only milliseconds on a GPU. A positioned read uses no shared file position and releases Python's lock, so
    threads and forked processes can read at the same time.
    """
    size = (end - start) * number_type.itemsize
    data = _read_at(file, size, position + start * number_type.itemsize)
    if len(data) != size:
        raise Refused(f"expected {size} bytes at {position}, got {len(data)}: the file is cut short")
    return np.frombuffer(data, number_type)


def _read_at(file: io.FileIO, size: int, position: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, position)
    with _ONE_AT_A_TIME:  # Windows has no positioned reads
        file.seek(position)
        return file.read(size)


_ONE_AT_A_TIME = threading.Lock()
