"""Recordings in HDF5: besides genuine checkpoints, all that the official process hands over.

A file holds groups of named arrays (names may contain slashes):

- ``weights``, ``inputs`` and ``draws``: shared by both sides.
- ``float64``, ``float32``, ``exact`` (data, which has no rounding): what the official code computed from them.
- ``float64_local``, ``float32_local``: results of single functions that are not part of a free run.
- ``float32_truth``: every single step and function in float64, on the recorded float32 values.
- ``float64_ensemble``, ``float32_ensemble``: how far other official runs are from the float64 run, for each quantity
  [members, 2, steps].

Its attributes hold the kind, the hyperparameters, the provenance, and a SHA-256 over everything.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.regular_file import open_regular

# The recordings that ship: inside an installed package, or next to the packages in a checkout.
_INSTALLED = Path(__file__).parents[1] / "fixtures"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "fixtures"
SCHEMA = 3
SEAL = b"sketch-rnn recording, schema 3, SHA-256 of what follows the first 512 bytes:\n"
SEAL_SIZE = 512
_MOST_COMPRESSED = 1032  # zlib's largest ratio; HDF5 fills what it did not store with zeros, however much that is
# What h5py may raise for a damaged file or a file of another kind; it documents no rule.
_DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)


def _stored(name: str) -> str:
    """A name as stored in the file, and back: HDF5 does not allow arrays "a" and "a/b", so dots and slashes swap."""
    return name.translate(str.maketrans("/.", "./"))


def _read(dataset: h5py.Dataset) -> np.ndarray:
    """The numbers of a dataset, which must be in the file itself, and as many as its bytes can hold."""
    if dataset.id.get_create_plist().get_external_count():
        raise ValueError(f"{dataset.name} is kept in another file")
    if dataset.nbytes > _MOST_COMPRESSED * dataset.id.get_storage_size():
        raise ValueError(f"{dataset.name} has the shape {dataset.shape}, more than its bytes in the file can hold")
    numbers: np.ndarray = dataset[()]
    return numbers


def seal(path: Path) -> None:
    """Write the SHA-256 of an HDF5 file into its user block, the first 512 bytes."""
    with path.open("r+b") as file:
        file.seek(SEAL_SIZE)
        text = SEAL + hashlib.file_digest(file, "sha256").hexdigest().encode() + b"\n"
        file.seek(0)
        file.write(text.ljust(SEAL_SIZE, b"\0"))


def check_seal(path: Path) -> None:
    """Check a file against its seal before HDF5 opens it, because HDF5 may crash or hang on a damaged file.

    Raises:
        BadInput: when the file is missing, is no recording, or was changed after it was sealed.
    """
    try:
        with open_regular(path) as file:
            text = file.read(SEAL_SIZE).rstrip(b"\0")
            found = SEAL + hashlib.file_digest(file, "sha256").hexdigest().encode() + b"\n"
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); expected a recording") from None
    if not text.startswith(SEAL):
        other = re.match(rb"sketch-rnn recording, schema (\d+),", text)
        instead = f"one of schema {int(other[1])}" if other and int(other[1]) != SCHEMA else "another kind of file"
        raise BadInput(f"{path}: expected a recording of schema {SCHEMA}, found {instead}; record it again")
    if text != found:
        raise BadInput(f"{path}: the content does not match the SHA-256 it claims; record it again")


@dataclasses.dataclass
class Recording:
    """Named arrays in groups, and their claims: kind, name, hyperparameters and provenance."""

    kind: str  # "model", "cell", "data", "training" or "initial"
    name: str  # of the configuration, for reports
    hparams: dict[str, Any]
    provenance: dict[str, Any]  # versions, SHA-256 of the official files, command, seed
    groups: dict[str, dict[str, np.ndarray]]

    def __getitem__(self, group: str) -> dict[str, np.ndarray]:
        return self.groups[group]

    def digest(self) -> str:
        """SHA-256 over the claims and every array: name, dtype, shape, bytes."""
        sha = hashlib.sha256(json.dumps(self._claims(), sort_keys=True).encode())
        for name, array in self._arrays():
            sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    def _claims(self) -> dict[str, Any]:
        claims = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "groups"}
        return claims | {"schema": SCHEMA}

    def _arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        for group in sorted(self.groups):
            for name in sorted(self.groups[group]):
                yield f"{group}/{name}", self.groups[group][name]

    def save(self, path: Path) -> None:
        """Write the file, atomically."""
        with atomic_path(path) as temporary:
            self._write(temporary)
            seal(temporary)

    def _write(self, path: Path) -> None:
        with h5py.File(path, "w", libver="latest", userblock_size=SEAL_SIZE) as file:
            # Text of fixed length: HDF5 stores the other kind without a checksum, and damage there can make it hang.
            file.attrs["claims"] = np.bytes_(json.dumps(self._claims(), sort_keys=True))
            file.attrs["sha256"] = np.bytes_(self.digest())
            for group, arrays in self.groups.items():
                target = file.create_group(group)
                for name, array in arrays.items():
                    # Recordings that ship have no larger arrays. In others those save a tenth of their size, and would
                    # take longer to compress than to record.
                    small = 64 < array.size < 2**15
                    options = {"compression": "gzip", "shuffle": True} if small else {}
                    target.create_dataset(_stored(name), data=array, **options)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file and check it against its seal and its SHA-256.

        Raises:
            BadInput: when it is missing, truncated, of another schema, or does not match its SHA-256.
        """
        check_seal(path)
        try:
            with h5py.File(os.fspath(path), "r") as file:
                claims = json.loads(file.attrs["claims"])
                schema = claims.pop("schema")
                if schema != SCHEMA:
                    raise BadInput(f"{path}: a recording of schema {schema}, expected {SCHEMA}; record it again")
                groups = {
                    group: {_stored(name): _read(dataset) for name, dataset in arrays.items()}
                    for group, arrays in file.items()
                }
                claimed = os.fsdecode(file.attrs["sha256"])
                recording = cls(groups=groups, **claims)
                matches = recording.digest() == claimed
        except BadInput:
            raise
        except _DAMAGE as error:
            reason = " ".join(str(error).split())  # HDF5's own messages hold line breaks
            raise BadInput(f"{path}: expected a recording in HDF5, but {reason}; record it again") from None
        if not matches:
            raise BadInput(f"{path}: the content does not match the SHA-256 it claims; record it again")
        return recording
