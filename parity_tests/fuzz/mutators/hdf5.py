"""Changes of HDF5 files, that is of packed stroke sets and recordings, which are sealed again afterwards."""

import itertools
import json
import shutil
import zlib
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from parity_tests.fuzz.mutators.arrays import mutate_array
from parity_tests.fuzz.mutators.documents import mutate_json
from parity_tests.fuzz.mutators.raw import mutate_bytes
from parity_tests.record.recording import Recording, seal

_ODD_ATTRIBUTES: tuple[Any, ...] = (
    0, 1, -1, 2**40, 0.0, 1e300, float("nan"), "text", b"bytes", b"", [1, 2], [0, 0, 0], [-1, 5, 5], [10**9, 1, 1],
    np.float32(1), np.zeros((2, 2)), True, h5py.Empty("f8"),
)  # fmt: skip


_MOST_NUMBERS = 2**20  # in a dataset whose checksums are made right


def mutate_packed(random: Random, path: Path) -> None:
    """Change a packed stroke set: its attributes, its datasets, or any bytes.

    Args:
        random: decides everything.
        path: of a valid set.
    """
    if random.random() < 0.35:
        path.write_bytes(mutate_bytes(random, path.read_bytes()))
        return
    with h5py.File(path, "r+") as file:
        for _ in range(random.choice((1, 1, 2))):
            random.choice((_change_attribute, _change_values, _replace_dataset, _refer))(random, file)
        if random.random() < 0.7:
            _right_checksums(file)


def _right_checksums(file: h5py.File) -> None:
    """Make the CRC-32 of each sketch, if the file has them, those of the changed points."""
    for split in ("train", "valid", "test"):
        names = [f"{split}_{part}" for part in ("points", "offsets", "crc32")]
        parts = [file[name] for name in names if name in _datasets(file)]
        if len(parts) < len(names) or not all(0 < part.size < _MOST_NUMBERS for part in parts):
            continue
        points, offsets, checksums = (part[()] for part in parts)
        places = offsets.ravel().clip(0, len(points)).astype(np.int64).tolist()
        found = [zlib.crc32(points[start:end].tobytes()) for start, end in itertools.pairwise(places)]
        if found and checksums.dtype.kind in "iu":
            parts[2][...] = np.resize(np.array(found, np.uint32), checksums.shape)


def _change_attribute(random: Random, file: h5py.File) -> None:
    name = random.choice(sorted(file.attrs))
    if random.random() < 0.2:
        del file.attrs[name]
    elif random.random() < 0.5 and not isinstance(file.attrs[name], bytes):
        file.attrs[name] = mutate_array(random, np.asarray(file.attrs[name]))
    else:
        file.attrs[name] = random.choice(_ODD_ATTRIBUTES)


def _datasets(file: h5py.File) -> list[str]:
    """Names of the datasets in the file itself; the links that a mutant holds are not followed."""
    names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    return sorted(name for name in names if isinstance(file[name], h5py.Dataset))


def _change_values(random: Random, file: h5py.File) -> None:
    """Change numbers in place, such as an offset that points elsewhere."""
    names = _datasets(file)
    if names and 0 < file[name := random.choice(names)].size < _MOST_NUMBERS:
        dataset = file[name]
        with np.errstate(all="ignore"):
            changed = mutate_array(random, dataset[()])
            changed = (changed.real if np.iscomplexobj(changed) else changed).astype(dataset.dtype).ravel()
        dataset[...] = np.resize(changed, dataset.shape) if changed.size else 0


def _replace_dataset(random: Random, file: h5py.File) -> None:
    """Another type or shape, no dataset, a group, or another layout."""
    names = _datasets(file)
    if not names or file[name := random.choice(names)].size > _MOST_NUMBERS:
        return
    data = file[name][()]
    del file[name]
    change = random.randrange(4)
    if change == 0:
        file.create_group(name)
    elif change == 1:
        file.create_dataset(name, data=mutate_array(random, data))
    elif change == 2 and data.ndim:
        file.create_dataset(name, data=data, chunks=True, compression=random.choice(("gzip", "lzf", None)))


def _refer(random: Random, file: h5py.File) -> None:
    """A link to elsewhere instead of a dataset, or data that lie in another file."""
    names = _datasets(file)
    if not names:
        return
    name = random.choice(names)
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    change = random.randrange(4)
    if change == 0:
        file[name] = h5py.SoftLink(f"/{name}")
    elif change == 1:
        file[name] = h5py.ExternalLink("/dev/zero", "/a")
    elif change == 2:
        file.create_dataset(name, shape, dtype, external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
    else:
        file.create_dataset(name, (2**40, *shape[1:]), dtype, chunks=(1, *shape[1:]))


def mutate_recording(random: Random, path: Path) -> None:
    """Change a recording, and sign it again: its claims, its arrays, its groups, or any bytes.

    Args:
        random: decides everything.
        path: of a valid recording.
    """
    if random.random() < 0.1:
        data = path.read_bytes()
        path.write_bytes(data[:512] + mutate_bytes(random, data[512:]))
        seal(path)
        return
    recording = Recording.load(path)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice((_change_claims, _change_array, _change_array, _change_names))(random, recording)
    shutil.rmtree(path, ignore_errors=True)
    recording.save(path)


def _change_claims(random: Random, recording: Recording) -> None:

    claims = {name: getattr(recording, name) for name in ("kind", "name", "hparams", "provenance")}
    while True:
        try:
            changed = json.loads(mutate_json(random, claims))
        except (ValueError, RecursionError):
            continue
        if isinstance(changed, dict):
            break
    for name in claims:
        setattr(recording, name, changed.get(name))


def _change_array(random: Random, recording: Recording) -> None:
    group = random.choice(sorted(recording.groups) or [""])
    names = sorted(recording.groups.get(group, {}))
    if names:
        name = random.choice(names)
        recording.groups[group][name] = mutate_array(random, recording.groups[group][name])


def _change_names(random: Random, recording: Recording) -> None:
    """Remove, empty, rename or copy a group or an array."""
    groups = recording.groups
    if not groups:
        return
    group = random.choice(sorted(groups))
    names = sorted(groups[group])
    change = random.randrange(7)
    if change == 0:
        del groups[group]
    elif change == 1:
        groups[group] = {}
    elif change == 2:
        groups[f"{group}_2"] = groups.pop(group)
    elif change == 3:
        groups[group] = groups[random.choice(sorted(groups))]
    elif names and change == 4:
        del groups[group][random.choice(names)]
    elif names and change == 5:
        groups[group][random.choice((f"{random.choice(names)}x", "\x1b[31m\n", "a/b"))] = groups[group].pop(
            random.choice(names)
        )
    elif names:
        groups[group][random.choice(names)] = groups[group][random.choice(names)]
