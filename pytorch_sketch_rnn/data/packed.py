"""Packed stroke sets in HDF5: sets that outgrow memory, read one sketch at a time.

For each split a file holds two datasets. ``<split>_points`` is int16 [P, 3]: the points of all sketches one after the
other, dx and dy in steps of ``unit``, then 1 where the pen is lifted, else 0. ``<split>_offsets`` is int64 [N + 1]:
sketch i has the points from offsets[i] to offsets[i + 1]. Both are contiguous and not compressed, so that a sketch is
one range of bytes of the file. The attributes of the file are those of ``_ATTRIBUTES``.

Sources: the HDF5 File Format Specification 3.0; Magenta ``utils.py`` (``DataLoader``) for the clamp of the offsets and
for the scale to normalise by.
"""

import io
import math
import operator
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import h5py
import numpy as np

from pytorch_sketch_rnn.data.magenta_loader import LIMIT
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

MIN_UNIT = 1e-6
MAX_POINTS = 1_000_000  # of one sketch

_FORMAT = b"pytorch-sketch-rnn packed strokes"
_VERSION = 1
_POINT = np.dtype("<i2")
_OFFSET = np.dtype("<i8")
# name: type, shape
_ATTRIBUTES = {
    "format": (np.dtype(f"S{len(_FORMAT)}"), ()),
    "version": (np.dtype("<i8"), ()),
    "unit": (np.dtype("<f8"), ()),
    "scale_factor": (np.dtype("<f8"), ()),
    "longest": (np.dtype("<i8"), ()),  # points of the longest sketch
    "counts": (np.dtype("<i8"), (len(SPLITS),)),  # sketches of each split
}
_MOST = int(np.iinfo(_POINT).max)
_BLOCK = 2**18  # rows of a dataset that are copied at once
_ADVICE = "make it anew with `python -m pytorch_sketch_rnn dataset`"


class PackedWriter:
    """Writes a packed set, sketch by sketch, in memory that does not grow; a context manager.

    The file appears when the ``with`` block ends. Where the block, or the writing, fails, nothing is left and an
    older file stays.

    Args:
        path: the file to write.
        unit: what a stored 1 means, 1e-6 to 1000. Offsets are rounded to whole multiples of it.

    Raises:
        BadInput: when ``unit`` is out of range; from the ``with`` statement when the file cannot be written, has no
            training sketches, or all offsets of those are the same, so that they have no scale to normalise by.
    """

    def __init__(self, path: Path, unit: float = 1.0) -> None:
        self.path = Path(path)
        if not MIN_UNIT <= unit <= LIMIT:
            raise BadInput(f"{path}: the unit of a packed set is {unit}, expected {MIN_UNIT} to {LIMIT}")
        self.unit = float(unit)
        self.longest = 0
        self._spools: dict[str, _Spool] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with _writing(self.path), ExitStack() as stack:
            self._spools = {split: _Spool(self.path.parent, stack) for split in SPLITS}
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open:
            if kind is None:
                with _writing(self.path):
                    self._finish()

    def add(self, split: str, sketch: np.ndarray) -> None:
        """Add stroke-3 [n, 3], n >= 1, to ``split``.

        Offsets are clamped to +-1000, as Magenta does when it loads a set, and rounded.

        Raises:
            BadInput: for another split; where the sketch is not [n, 3] of finite numbers with a pen of 0 or 1; where
                an offset needs more than an int16, which only units below 1000 / 32767 can make happen; when the
                disk is full.
        """
        if split not in self._spools:
            raise BadInput(f"{self.path}: expected a split of {', '.join(SPLITS)}, got {split!r:.100}")
        spool = self._spools[split]
        try:
            steps = self._steps(sketch)
        except _Refused as error:
            raise BadInput(f"{self.path}: {split}: sketch {spool.sketches}: {error}") from None
        with ExitStack() as broken, _writing(self.path):
            broken.callback(self._open.close)  # a spool that took half a sketch takes no other
            spool.add(steps, sketch[:, 2])
            broken.pop_all()
        self.longest = max(self.longest, len(sketch))

    def _steps(self, sketch: np.ndarray) -> np.ndarray:
        """The offsets [n, 2] in whole steps of ``unit``, float64; the sketch is checked."""
        if not isinstance(sketch, np.ndarray) or sketch.ndim != 2 or sketch.shape[1] != 3:
            came = f"shape {sketch.shape}" if isinstance(sketch, np.ndarray) else type(sketch).__name__
            raise _Refused(f"expected an array [n, 3], got {came}")
        if sketch.dtype.kind not in "iuf":
            raise _Refused(f"expected integers or floats, got {sketch.dtype}")
        if not 1 <= len(sketch) <= MAX_POINTS:
            raise _Refused(f"expected 1 to {MAX_POINTS} points, got {len(sketch)}")
        if not np.isfinite(sketch).all():
            raise _Refused("expected finite numbers, got NaN or infinity")
        _check_pen(sketch[:, 2])
        # to a whole step, lest what is rounded up lies beyond the limit again
        limit = math.floor(LIMIT / self.unit) * self.unit
        steps = np.rint(sketch[:, :2].astype(np.float64).clip(-limit, limit) / self.unit)
        largest = np.abs(steps).max()
        if largest > _MOST:
            raise _Refused(
                f"the offset {largest * self.unit:g} does not fit an int16 in units of {self.unit:g}; "
                f"use a unit of at least {LIMIT / _MOST:.2g}, which fits all"
            )
        return steps

    def _finish(self) -> None:
        train = self._spools["train"]
        if not train.sketches:
            raise BadInput(f"{self.path}: expected at least one training sketch to write, got none")
        scale_factor = train.deviation() * self.unit
        if scale_factor == 0:
            raise BadInput(f"{self.path}: the training offsets are all the same, so they have no scale to normalise by")
        attributes = {
            "format": _FORMAT,
            "version": _VERSION,
            "unit": self.unit,
            "scale_factor": scale_factor,
            "longest": self.longest,
            "counts": [self._spools[split].sketches for split in SPLITS],
        }
        with (
            atomic_path(self.path) as temporary,
            # From version 1.10 of the format on, checksums guard all that HDF5 itself reads of such a file: damage
            # there could make the library crash. The file is nobody else's yet, and not every disk has locks.
            _writing(self.path),
            h5py.File(temporary, "w", driver="sec2", libver="v110", locking=False) as file,
        ):
            for name, (number_type, shape) in _ATTRIBUTES.items():
                file.attrs.create(name, attributes[name], shape, number_type)
            for split, spool in self._spools.items():
                _copy(spool.points, file.create_dataset(f"{split}_points", (spool.total, 3), _POINT))
                _copy(spool.offsets, file.create_dataset(f"{split}_offsets", (spool.sketches + 1,), _OFFSET))


class _Spool:
    """What was added to a split so far, in files without a name, which vanish with the process, however it ends."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.points, self.offsets = (_nameless(folder, stack) for _ in range(2))
        self.sketches = 0
        self.total = 0  # points
        # Of all steps and of their squares: whole numbers, hence exact, in any order of the sketches.
        self._sum = 0
        self._squares = 0
        self.offsets.write(struct.pack("<q", 0))

    def add(self, steps: np.ndarray, pen: np.ndarray) -> None:
        stored = np.empty((len(steps), 3), _POINT)
        stored[:, :2] = steps
        stored[:, 2] = pen
        self.points.write(stored)
        self.sketches += 1
        self.total += len(steps)
        self.offsets.write(struct.pack("<q", self.total))
        self._sum += int(steps.sum())
        self._squares += int(np.vdot(steps, steps))

    def deviation(self) -> float:
        """Standard deviation of all steps."""
        count = 2 * self.total
        return math.sqrt(count * self._squares - self._sum**2) / count


def _nameless(folder: Path, stack: ExitStack) -> BinaryIO:
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the stack closes it)
    stack.callback(_drop, file)
    return file


def _drop(file: BinaryIO) -> None:
    with suppress(OSError):  # of a full disk, once more: the failure that matters has been raised
        file.close()


def _copy(spool: BinaryIO, dataset: h5py.Dataset) -> None:
    spool.seek(0)
    row_bytes = dataset.dtype.itemsize * math.prod(dataset.shape[1:])
    for start in range(0, len(dataset), _BLOCK):
        block = np.frombuffer(spool.read(_BLOCK * row_bytes), dataset.dtype)
        dataset[start : start + _BLOCK] = block.reshape(-1, *dataset.shape[1:])


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what files and HDF5 raise, where they cannot write, into BadInput."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{path}: cannot be written ({_one_line(reason)})") from None


class PackedSplit(Sequence[np.ndarray]):
    """The sketches of one split, each read when it is asked for: float32 [n, 3] of its own.

    Offsets are in the units of the drawings that were packed; they are not clamped again.

    Raises:
        IndexError: when there is no such sketch.
        BadInput: when what the file says of that sketch cannot be, or the file was cut short meanwhile.
        ValueError: when the set has been closed.
    """

    def __init__(self, file: io.FileIO, extent: "_Extent", unit: float, longest: int) -> None:
        self._file = file
        self._extent = extent
        self._units = np.array([unit, unit, 1.0])  # the pen has none
        self._longest = longest

    def __len__(self) -> int:
        return self._extent.sketches

    def __getitem__(self, index: int) -> np.ndarray:
        position = operator.index(index)
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"sketch {index} of {len(self)}")
        try:
            stored = self._stored(position)
        except _Refused as error:
            raise BadInput(f"{self._extent.name}: sketch {position}: {error}; {_ADVICE}") from None
        return (stored * self._units).astype(np.float32)

    def _stored(self, index: int) -> np.ndarray:
        """The points [n, 3] as the file holds them."""
        extent = self._extent
        start, end = struct.unpack("<qq", _read(self._file, extent.offsets_at + _OFFSET.itemsize * index, 16))
        if not 0 <= start < end <= extent.points or end - start > self._longest:
            raise _Refused(
                f"expected 1 to {self._longest} of the {extent.points} points, got those from {start} to {end}"
            )
        row_bytes = 3 * _POINT.itemsize
        data = _read(self._file, extent.points_at + row_bytes * start, row_bytes * (end - start))
        stored = np.frombuffer(data, _POINT).reshape(-1, 3)
        _check_pen(stored[:, 2])
        return stored


class PackedSet:
    """A packed set, open for reading; a context manager. Forked processes may share it; a pickled one opens anew.

    Attributes:
        train, valid, test: the sketches; there is at least one for training.
        scale_factor: standard deviation of all training offsets, dx and dy together, clamped to +-1000: what Magenta
            normalises by, before it is rounded to float32.
        longest: points of the longest sketch of all splits.
    """

    def __init__(
        self, path: Path, file: io.FileIO, splits: Sequence[PackedSplit], scale_factor: float, longest: int
    ) -> None:
        self.path = path
        self.train, self.valid, self.test = splits
        self.scale_factor = scale_factor
        self.longest = longest
        self._file = file

    def close(self) -> None:
        """Close the file; sketches can no longer be read."""
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
    """Open a packed set; it takes no more memory than the sketches that are asked for.

    Raises:
        BadInput: when the file is missing, cut short, of another kind or version, or not laid out as the writer does.
    """
    path = Path(path)
    with _reading(path), ExitStack() as stack:
        if not path.is_file():  # HDF5 would wait for a pipe
            raise _Refused("expected a packed stroke set, but there is no such file")
        if not h5py.is_hdf5(path):
            raise _Refused("expected a packed stroke set in HDF5, got another kind of file")
        # Not every disk has locks, and a file that was renamed into place does not change.
        with h5py.File(path, "r", driver="sec2", locking=False) as h5:
            file = io.FileIO(os.dup(h5.id.get_vfd_handle()), "rb")
            stack.enter_context(file)
            unit, scale_factor, longest, counts = _claims(h5)
            extents = [_extent(h5, file, split, count) for split, count in zip(SPLITS, counts, strict=True)]
        splits = [PackedSplit(file, extent, unit, longest) for extent in extents]
        stack.pop_all()
        # a process that unpickles the set may work in another folder
        return PackedSet(path.absolute(), file, splits, scale_factor, longest)


class _Refused(Exception):
    """What was expected and what came, still without the name of the file."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside into BadInput: a damaged file can raise nearly any type of exception."""
    try:
        yield
    except _Refused as error:
        raise BadInput(f"{path}: {error}; {_ADVICE}") from None
    except Exception as error:
        reason = _one_line(getattr(error, "strerror", None) or error)
        raise BadInput(f"{path}: expected a packed stroke set, got what cannot be read ({reason}); {_ADVICE}") from None


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]  # HDF5's own messages can hold line breaks


def _claims(h5: h5py.File) -> tuple[float, float, int, list[int]]:
    """Check the attributes; return unit, scale factor, longest, and the number of sketches of each split."""
    if _attribute(h5, "format") != _FORMAT:
        raise _Refused("expected a packed stroke set, got HDF5 of another format")
    version = _attribute(h5, "version")
    if version != _VERSION:
        raise _Refused(f"expected version {_VERSION} of packed stroke sets, got {version}")
    unit, scale_factor, longest = (_attribute(h5, name).item() for name in ("unit", "scale_factor", "longest"))
    counts = _attribute(h5, "counts").tolist()
    # written so that NaN fails, too
    for name, value, fine, expected in (
        ("unit", unit, MIN_UNIT <= unit <= LIMIT, f"{MIN_UNIT} to {LIMIT}"),
        ("scale_factor", scale_factor, 0 < scale_factor <= LIMIT, f"more than 0, at most {LIMIT}"),
        ("longest", longest, 1 <= longest <= MAX_POINTS, f"1 to {MAX_POINTS}"),
        ("counts", counts, counts[0] >= 1 and min(counts) >= 0, "at least one training sketch, and none negative"),
    ):
        if not fine:
            raise _Refused(f"expected as {name} {expected}, got {value}")
    return unit, scale_factor, longest, counts


def _attribute(h5: h5py.File, name: str) -> Any:
    """The value of an attribute, once it is known to be of the right type and shape."""
    number_type, shape = _ATTRIBUTES[name]
    if name not in h5.attrs:
        raise _Refused(f"expected a packed stroke set, got HDF5 without the attribute {name!r}")
    attribute = h5.attrs.get_id(name)
    if not _is_type(attribute.get_type(), number_type) or attribute.shape != shape:
        raise _Refused(f"expected as the attribute {name!r} {number_type} of shape {shape}, got another type or shape")
    return h5.attrs[name]


def _is_type(found: h5py.h5t.TypeID, number_type: np.dtype) -> bool:
    """Whether HDF5's own description of a type is that of ``number_type``: NumPy's view of it hides differences."""
    return found.equal(h5py.h5t.py_create(number_type))


@dataclass(frozen=True)
class _Extent:
    """Where in the file the sketches of a split are: positions in bytes."""

    name: str  # of file and split, for messages
    sketches: int
    points: int
    points_at: int
    offsets_at: int


def _extent(h5: h5py.File, file: io.FileIO, split: str, sketches: int) -> _Extent:
    points, offsets = (_dataset(h5, f"{split}_{part}") for part in ("points", "offsets"))
    if offsets.shape != (sketches + 1,) or points.ndim != 2 or points.shape[1] != 3:
        raise _Refused(
            f"{split}: expected {sketches + 1} offsets and points [P, 3], got shapes {offsets.shape} and {points.shape}"
        )
    total = points.shape[0]
    points_at, offsets_at = (_position(dataset, file) for dataset in (points, offsets))
    ends = [
        struct.unpack("<q", _read(file, offsets_at + _OFFSET.itemsize * index, _OFFSET.itemsize))[0]
        for index in (0, sketches)
    ]
    if ends != [0, total]:
        raise _Refused(f"{split}: expected offsets from 0 to {total}, got {ends[0]} to {ends[1]}")
    return _Extent(f"{h5.filename}: {split}", sketches, total, points_at, offsets_at)


def _dataset(h5: h5py.File, name: str) -> h5py.Dataset:
    """A dataset that is one range of bytes of this very file: HDF5 can also refer to other files, and to strangers'."""
    if name not in h5 or not isinstance(h5.get(name, getlink=True), h5py.HardLink):
        raise _Refused(f"expected the dataset {name!r} in the file itself, got none or a link")
    dataset = h5[name]
    if not isinstance(dataset, h5py.Dataset):
        raise _Refused(f"expected {name!r} to be a dataset, got a {type(dataset).__name__.lower()}")
    number_type = _POINT if name.endswith("points") else _OFFSET
    if not _is_type(dataset.id.get_type(), number_type):
        raise _Refused(f"{name}: expected the type {number_type}, got another")
    creation = dataset.id.get_create_plist()
    # a compressed dataset is a chunked one, and one made of others is a virtual one
    if creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_external_count():
        raise _Refused(f"{name}: expected a contiguous dataset, got one that is chunked, compressed or kept elsewhere")
    return dataset


def _position(dataset: h5py.Dataset, file: io.FileIO) -> int:
    """Where the bytes of a dataset begin; they are known to be there."""
    if dataset.size == 0:
        return 0  # HDF5 gives it no place
    position = dataset.id.get_offset()
    size = os.fstat(file.fileno()).st_size
    if position is None or position + dataset.size * dataset.dtype.itemsize > size:
        raise _Refused(
            f"{dataset.name}: expected its {dataset.shape} numbers in the {size} bytes of the file; cut short?"
        )
    return position


def _read(file: io.FileIO, position: int, size: int) -> bytes:
    """Bytes of the file.

    Not by a memory map: pages that were touched once count as memory of the process, so that it seems to grow to the
    size of the file, and a file that is cut short meanwhile kills the process. Measured with 2 million sketches of 15
    to 80 points, 586 MB, all in the system's cache: 2 us a sketch for a map, 4 to 5 for np.memmap and for this, where
    a training step takes milliseconds; resident memory grew by 577 MB with either map, and does not grow with this.
    With nothing in the cache a map took 36 us and this 77, as a map has the disk read far more than was asked for,
    which helps only as long as the whole file fits into memory.
    """
    data = os.pread(file.fileno(), size, position)
    if len(data) != size:
        raise _Refused(f"expected {size} bytes at {position}, got {len(data)}: the file is cut short")
    return data


def _check_pen(pen: np.ndarray) -> None:
    """Refuse pen states [n] other than 0 and 1."""
    if ((pen != 0) & (pen != 1)).any():
        raise _Refused("expected as pen 0 or 1, got another value")
