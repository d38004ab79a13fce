"""Writes packed stroke sets in constant memory; :mod:`~pytorch_sketch_rnn.data.packed` reads them.

Source: Magenta ``utils.py`` (``DataLoader``) for the clamp of the offsets and for the scale factor.
"""

import math
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import h5py
import numpy as np

from pytorch_sketch_rnn.data.magenta_loader import LIMIT
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import (
    ATTRIBUTES,
    CHECKSUM_TYPE,
    FORMAT,
    MAX_POINTS,
    MIN_UNIT,
    OFFSET_TYPE,
    POINT_TYPE,
    VERSION,
    check_pen,
    one_line,
)
from pytorch_sketch_rnn.data.scale import RunningDeviation
from pytorch_sketch_rnn.errors import BadInput, Refused, naming, within
from pytorch_sketch_rnn.files import atomic_path

_MOST = int(np.iinfo(POINT_TYPE).max)
_BLOCK = 2**18  # rows of a dataset that are copied at once


class PackedWriter:
    """Writes a packed set, sketch by sketch; a context manager.

    The file appears when the ``with`` block ends. If the block or the writing fails, no new file is left and an
    existing file is kept.

    Args:
        path: the file to write.
        unit: the value of a stored 1, from 1e-6 to 1000. Offsets are rounded to multiples of it.

    Raises:
        BadInput: if ``unit`` is out of range; from the ``with`` statement if the file cannot be written, or if there
            are no training sketches or all their offsets are equal, which leaves no scale to normalise by.
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

        Offsets are clamped to +-1000, as Magenta does when it loads a set, then rounded.

        Raises:
            BadInput: if there is no such split; if the sketch is not [n, 3] of finite numbers with a pen of 0 or 1;
                if an offset does not fit an int16, which can happen only with units below 1000 / 32767; if the disk
                is full.
        """
        with naming(self.path):
            if split not in self._spools:
                raise Refused(f"expected a split of {', '.join(SPLITS)}, got {split!r:.100}")
            spool = self._spools[split]
            with within(split), within(f"sketch {spool.sketches}"):
                steps = self._steps(sketch)
        with ExitStack() as broken, _writing(self.path):
            broken.callback(self._open.close)  # after half a sketch, a spool must not accept another
            spool.add(steps, sketch[:, 2])
            broken.pop_all()
        self.longest = max(self.longest, len(sketch))

    def _steps(self, sketch: np.ndarray) -> np.ndarray:
        """Check a sketch; return its offsets in whole steps of ``unit``, int16 [n, 2]."""
        if not isinstance(sketch, np.ndarray) or sketch.ndim != 2 or sketch.shape[1] != 3:
            found = f"shape {sketch.shape}" if isinstance(sketch, np.ndarray) else type(sketch).__name__
            raise Refused(f"expected an array [n, 3], got {found}")
        if sketch.dtype.kind not in "iuf":
            raise Refused(f"expected integers or floats, got {sketch.dtype}")
        if not 1 <= len(sketch) <= MAX_POINTS:
            raise Refused(f"expected 1 to {MAX_POINTS} points, got {len(sketch)}")
        if not np.isfinite(sketch).all():
            raise Refused("expected finite numbers, got NaN or infinity")
        check_pen(sketch[:, 2])
        # The largest multiple of the unit within the limit, as rounding could lead beyond the limit itself.
        limit = math.floor(LIMIT / self.unit) * self.unit
        steps = np.rint(sketch[:, :2].astype(np.float64).clip(-limit, limit) / self.unit)
        largest = np.abs(steps).max()
        if largest > _MOST:
            raise Refused(
                f"the offset {largest * self.unit:g} does not fit an int16 in units of {self.unit:g}; "
                f"use a unit of at least {LIMIT / _MOST:.2g}, which fits all"
            )
        return steps.astype(POINT_TYPE)

    def _finish(self) -> None:
        train = self._spools["train"]
        if not train.sketches:
            raise BadInput(f"{self.path}: expected at least one training sketch to write, got none")
        scale_factor = train.steps.deviation() * self.unit
        if scale_factor == 0:
            raise BadInput(f"{self.path}: the training offsets are all the same, so they have no scale to normalise by")
        attributes = {
            "format": FORMAT,
            "version": VERSION,
            "unit": self.unit,
            "scale_factor": scale_factor,
            "longest": self.longest,
            "counts": [self._spools[split].sketches for split in SPLITS],
        }
        with (
            atomic_path(self.path) as temporary,
            # Format version 1.10 and later protect HDF5's own structures by checksums; without them, damage could
            # crash the library. Locking is off because some file systems have none, and nobody else knows the file.
            _writing(self.path),
            h5py.File(temporary, "w", driver="sec2", libver="v110", locking=False) as file,
        ):
            for name, (number_type, shape) in ATTRIBUTES.items():
                file.attrs.create(name, attributes[name], shape, number_type)
            for split, spool in self._spools.items():
                _copy(spool.points, file.create_dataset(f"{split}_points", (spool.total, 3), POINT_TYPE))
                _copy(spool.offsets, file.create_dataset(f"{split}_offsets", (spool.sketches + 1,), OFFSET_TYPE))
                _copy(spool.checksums, file.create_dataset(f"{split}_crc32", (spool.sketches,), CHECKSUM_TYPE))


class _Spool:
    """The sketches of one split so far, in unnamed files, which disappear when the process ends for any reason."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.points, self.offsets, self.checksums = (_unnamed_file(folder, stack) for _ in range(3))
        self.sketches = 0
        self.total = 0  # points
        self.steps = RunningDeviation()
        self.offsets.write(struct.pack("<q", 0))

    def add(self, steps: np.ndarray, pen: np.ndarray) -> None:
        stored = np.empty((len(steps), 3), POINT_TYPE)
        stored[:, :2] = steps
        stored[:, 2] = pen
        self.points.write(stored.data)
        self.checksums.write(struct.pack("<I", zlib.crc32(stored.data)))
        self.sketches += 1
        self.total += len(steps)
        self.offsets.write(struct.pack("<q", self.total))
        self.steps.add(steps)


def _unnamed_file(folder: Path, stack: ExitStack) -> BinaryIO:
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the stack closes it)
    stack.callback(_close, file)
    return file


def _close(file: BinaryIO) -> None:
    with suppress(OSError):  # closing flushes; a full disk has been reported by the write before
        file.close()


def _copy(spool: BinaryIO, dataset: h5py.Dataset) -> None:
    spool.seek(0)
    row_bytes = dataset.dtype.itemsize * math.prod(dataset.shape[1:])
    for start in range(0, len(dataset), _BLOCK):
        block = np.frombuffer(spool.read(_BLOCK * row_bytes), dataset.dtype)
        dataset[start : start + _BLOCK] = block.reshape(-1, *dataset.shape[1:])


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what files and HDF5 raise when they cannot write into BadInput."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{path}: cannot be written ({one_line(error)})") from None
