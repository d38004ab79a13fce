"""Reads Magenta's stroke files without executing anything in them, and writes such files.

A file is a zip archive with a member ``<split>.npy`` for each split. A member is an object array [N] of sketches
[n, 3], which NumPy stores as a pickle, or, if all sketches have the same length, a plain array [N, n, 3].

Pickles are read by :mod:`~pytorch_sketch_rnn.data.pickled_arrays`, which runs nothing in them. A member is read while
it is decompressed, so that memory holds the sketches but not the member as well.

Sources: the docstring of ``numpy.lib.format`` for the .npy format, Magenta ``sketch_rnn_train.py`` (``load_dataset``)
for the members.
"""

import io
import math
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from pytorch_sketch_rnn.data.memory_budget import MemoryBudget
from pytorch_sketch_rnn.data.pickled_arrays import BYTES_PER_OBJECT, MAX_POINTS, NUMBER_TYPES, make_array, read_pickle
from pytorch_sketch_rnn.errors import BadInput, Refused, enumerated, naming, within
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.regular_file import open_regular

SPLITS = ("train", "valid", "test")
MAX_BYTES = 4 << 30

# The only methods that NumPy writes. Python decompresses the other zip methods without a limit on the output.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_CHUNK = 1 << 16  # bytes that are decompressed at once; a header must fit into it, of 10,000 characters for NumPy
_CHECKED_AFTER_FAILURE = 64 << 20  # bytes
# Deflate makes one byte of up to 1,000, but a drawing does not become less than two; small sets may repeat one drawing.
_SKETCHES_IN_ANY_MEMBER = 10_000
_COMPRESSED_BYTES_PER_SKETCH = 2
_DATASET = "python -m pytorch_sketch_rnn dataset OLD.npz NEW.npz"


def read_npz(path: Path, *, splits: Sequence[str] = SPLITS, max_bytes: int = MAX_BYTES) -> dict[str, list[np.ndarray]]:
    """Read the sketches of the named splits, each an array [n, 3] of dx, dy, pen lifted, with n >= 1.

    Every array owns its memory, is writable, and has the stored number type in native byte order.

    Args:
        path: the .npz file.
        splits: the splits to read; others may be absent.
        max_bytes: limit on the memory for the data in pickles, pickle instructions (128 bytes each, about 20 per
            sketch) and the resulting arrays together.

    Raises:
        BadInput: if the file or a member is missing, damaged, encrypted, too large or empty, if a pickle asks for
            anything but NumPy arrays, or if a sketch is not [n, 3] of finite numbers with n >= 1.
    """
    budget = MemoryBudget(max_bytes)
    result = {}
    with _opened(path) as archive:
        for split in splits:
            with within(f"{split}.npy"), _refusing():
                arrays = _read_member(archive, f"{split}.npy", budget)
                if not arrays:
                    raise Refused("expected sketches, got an empty split")
                for index, sketch in enumerate(arrays):
                    check_sketch(sketch, index)
                result[split] = arrays
    return result


def split_names(path: Path) -> list[str]:
    """The splits in a .npz file, in the order of ``SPLITS``.

    Raises:
        BadInput: if the file is missing or damaged, or has none of them.
    """
    with _opened(path) as archive:
        members = archive.namelist()
        found = [split for split in SPLITS if f"{split}.npy" in members]
        if not found:
            raise Refused(f"expected train.npy, valid.npy or test.npy in it, got {_listed(members)}")
        return found


def read_arrays(path: Path, split: str, max_bytes: int = MAX_BYTES) -> list[np.ndarray]:
    """Read the arrays of one split, of any shape and number type; there may be none.

    Otherwise as :func:`read_npz`, which also checks that each is a sketch.
    """
    with _opened(path) as archive, within(f"{split}.npy"), _refusing():
        return _read_member(archive, f"{split}.npy", MemoryBudget(max_bytes))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; errors inside become BadInput that names the file."""
    with naming(path), _refusing(), open_regular(path) as file, zipfile.ZipFile(file) as archive:
        yield archive


def write_npz(path: Path, splits: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write sketches [n, 3] in the format of Magenta's own files, readable by any version of NumPy.

    The bytes are a function of the sketches alone.

    Raises:
        BadInput: if ``read_npz`` would refuse the result, or the file cannot be written.
    """
    path = Path(path)
    members = {}
    for split, sketches in splits.items():
        with naming(path), within(f"{split}.npy"), _refusing():
            members[f"{split}.npy"] = _pack_member(sketches)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in members.items():
            # A bare ZipInfo has a fixed date; with a name alone, zipfile would store the current time.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn every exception into Refused, as a damaged file can make zipfile and NumPy raise almost any type."""
    try:
        yield
    except BadInput:
        raise
    except FileNotFoundError:
        raise Refused("expected a .npz file, but there is no such file") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]!a}"
        raise Refused(f"expected an intact .npz file, got one that cannot be read ({reason})") from None


def _read_member(archive: zipfile.ZipFile, name: str, budget: MemoryBudget) -> list[np.ndarray]:
    """The arrays of a .npy member, never more of them than the archive declares and the budget allows."""
    info = _member(archive, name)
    budget.check(info.file_size)
    with archive.open(info) as member, _buffered(member) as file:
        try:
            arrays = _read_npy(file, info.file_size, _most_sketches(archive, info), budget)
            if file.read(1):
                raise Refused("expected the end of the member after its array, got more data")
        except Exception:
            _check_intact(file)
            raise
        if member.tell() != info.file_size:
            raise Refused(f"expected the declared {info.file_size} bytes, got {member.tell()}")
    return arrays


class _Chunks(io.RawIOBase):
    """A member, read in chunks: zipfile would take two to three times the memory of a large piece."""

    def __init__(self, member: IO[bytes]) -> None:
        self._member = member

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._member.read(min(len(buffer), _CHUNK))
        buffer[: len(data)] = data
        return len(data)


def _buffered(member: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(_Chunks(member), _CHUNK)


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    names = archive.namelist()
    if name not in names:
        divide = f"; `{_DATASET} --split 0.9,0.05,0.05` divides a set afresh"
        raise Refused(f"no such member; expected the split in the file, which has {_listed(names)}{divide}")
    info = archive.getinfo(name)
    if info.flag_bits & _ENCRYPTED:
        raise Refused("expected an unencrypted member, got an encrypted one; decrypt it and create the .npz again")
    if info.compress_type not in _ZIP_METHODS:
        raise Refused(f"expected a stored or deflated member, got zip method {info.compress_type}")
    return info


def _listed(names: Sequence[str]) -> str:
    return f"[{enumerated((ascii(name) for name in sorted(names)), 5)}]"


def _most_sketches(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """How many sketches a member may declare, whose real compressed size cannot exceed that of the file."""
    size = os.fstat(archive.fp.fileno()).st_size if archive.fp is not None else 0
    return _SKETCHES_IN_ANY_MEMBER + min(info.compress_size, size) // _COMPRESSED_BYTES_PER_SKETCH


def _check_intact(file: io.BufferedReader) -> None:
    """After a failure, let zipfile compare the checksum, unless very much is left: damage is the better explanation."""
    left = _CHECKED_AFTER_FAILURE
    while left > 0 and (chunk := file.read(_CHUNK)):
        left -= len(chunk)


def _read_npy(file: io.BufferedReader, size: int, most: int, budget: MemoryBudget) -> list[np.ndarray]:
    """The arrays in a .npy file of ``size`` bytes, at most ``most`` of them."""
    header = io.BytesIO(file.peek(_CHUNK)[:_CHUNK])
    shape, fortran, number_type = _read_header(header)
    file.read(header.tell())
    is_pickle = number_type.kind == "O" and len(shape) == 1
    if not is_pickle and (number_type.str not in NUMBER_TYPES or len(shape) != 3):
        raise Refused(
            "expected an object array [N] of sketches [n, 3], or numbers [N, n, 3], "
            f"got shape {shape} of type {str(number_type)[:60]!a}"
        )
    budget.check(shape[0] * BYTES_PER_OBJECT)
    if not is_pickle and (math.prod(shape) * number_type.itemsize != size - header.tell() or min(shape) < 0):
        needed = math.prod(shape) * number_type.itemsize
        raise Refused(f"expected the {needed} bytes of shape {shape}, got {size - header.tell()}")
    if shape[0] > most:
        raise Refused(f"declares {shape[0]:,} sketches, more than its compressed bytes hold; do not trust this file")
    if is_pickle:
        return read_pickle(file, size, shape, budget)
    return _read_numbers(file, shape, number_type, fortran, budget)


def _read_header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read a .npy header, which NumPy parses as a literal of at most 10,000 characters."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise Refused(f"expected .npy version 1.0 or 2.0, got {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers written by Python 2, which are valid
        return readers[version](file)


def _read_numbers(
    file: io.BufferedReader, shape: tuple[int, ...], number_type: np.dtype, fortran: bool, budget: MemoryBudget
) -> list[np.ndarray]:
    """The sketches of a plain array [N, n, 3]."""
    count, points, columns = shape
    if points > MAX_POINTS:
        raise Refused(f"expected at most {MAX_POINTS:,} points in a sketch, got {points:,}")
    if fortran:  # the numbers of one sketch are spread over the whole file
        size = math.prod(shape) * number_type.itemsize
        budget.check(2 * size + (count + 1) * BYTES_PER_OBJECT)
        whole = make_array(file.read(size), shape, number_type, fortran, budget)
        budget.spend(size + count * BYTES_PER_OBJECT)
        return [sketch.copy() for sketch in whole]
    size = points * columns * number_type.itemsize
    return [make_array(file.read(size), (points, columns), number_type, False, budget) for _ in range(count)]


def check_sketch(sketch: np.ndarray, index: int) -> None:
    """Refuse what is not stroke-3 [n, 3] of finite numbers with n >= 1; ``index`` is for the message."""
    if not isinstance(sketch, np.ndarray) or sketch.ndim != 2 or sketch.shape[1] != 3:
        known = isinstance(sketch, np.ndarray) and sketch.ndim == 2 and sketch.shape[1] in (4, 5)
        advice = f"; `{_DATASET}` converts arrays of four or five columns" if known else ""
        raise Refused(f"sketch {index}: expected an array [n, 3], got {_describe(sketch)}{advice}")
    if sketch.dtype.str not in NUMBER_TYPES:
        raise Refused(f"sketch {index}: expected integers or floats, got {sketch.dtype}")
    if len(sketch) == 0:
        raise Refused(f"sketch {index}: expected at least one point, got none; remove the sketch")
    if sketch.dtype.kind == "f" and not np.isfinite(sketch).all():
        raise Refused(f"sketch {index}: expected finite numbers, got NaN or infinity")
    if not is_binary(sketch[:, 2]):
        advice = f"; `{_DATASET}` converts (pen lifted, dx, dy)" if is_binary(sketch[:, 0]) else ""
        raise Refused(f"sketch {index}: expected 0 or 1 in its third column, pen lifted, got other numbers{advice}")


def is_binary(column: np.ndarray) -> bool:
    """Whether every number is 0 or 1."""
    return bool(((column == 0) | (column == 1)).all())


def _describe(value: Any) -> str:
    return f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _pack_member(sketches: Sequence[np.ndarray]) -> bytes:
    """A .npy member with an object array [N]."""
    if len(sketches) == 0:
        raise Refused("expected sketches, got an empty split")
    objects = np.empty(len(sketches), dtype=object)
    for index, sketch in enumerate(sketches):  # assigned at once, sketches of equal length would become a 3-D array
        check_sketch(sketch, index)
        objects[index] = np.ascontiguousarray(sketch, dtype=NUMBER_TYPES[sketch.dtype.str])
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": objects.shape})
    # NumPy 2 knows its own and NumPy 1's module name, NumPy 1 only the latter. Protocol 3 stores the name as a line.
    pickled = pickle.dumps(objects, protocol=3)
    file.write(pickled.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1))
    return file.getvalue()
