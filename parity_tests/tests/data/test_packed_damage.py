"""pytorch_sketch_rnn.data.packed refuses every file that the writer did not write, with one line that names it."""

import contextlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from packed_sets import SETS, assert_same, check_message, everything, pack, refuse, replace

from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.errors import BadInput


def low_level(file: h5py.File, name: str, change: Callable[[h5py.h5p.PropDCID], object]) -> None:
    """Create a dataset again with a creation property that h5py's own call cannot set."""
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
    "a later version": (attribute("version", np.int64(3)), "expected version 1 or 2 of packed stroke sets, got 3"),
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
    "no checksums": (lambda f: f.__delitem__("train_crc32"), "expected the dataset 'train_crc32'"),
    "checksums in int32": (lambda f: replace(f, "train_crc32", dtype="<i4"), "expected the type uint32"),
    "a checksum less": (lambda f: replace(f, "train_crc32", data=f["train_crc32"][:-1]), "expected 40 checksums"),
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
def test_a_file_with_another_layout_than_the_writers_is_refused(path, name):
    change, message = HOSTILE[name]
    with h5py.File(path, "r+") as file:
        change(file)
    refuse(path, message)


# Offsets 3 and 4 are the start and end of training sketch 3.
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
def test_an_invalid_sketch_is_refused_when_it_is_read_and_others_are_not(path, name):
    change, message = BAD_SKETCHES[name]
    with h5py.File(path, "r+") as file:
        change(file)
    with open_packed(path) as opened:
        with pytest.raises(BadInput, match=f"train: sketch 3: {message}") as caught:
            opened.train[3]
        check_message(caught.value, path)
        shortest = min(range(30, 40), key=lambda index: len(SETS["train"][index]))
        np.testing.assert_array_equal(opened.train[shortest], SETS["train"][shortest])


@pytest.mark.parametrize("split", SPLITS)
def test_one_flipped_bit_of_any_point_or_checksum_is_refused_when_its_sketch_is_read(path, split):
    for part in ("points", "crc32"):
        sound = path.read_bytes()
        with h5py.File(path) as file:
            dataset, index = file[f"{split}_{part}"], len(SETS[split]) - 1
            first = (int(file[f"{split}_offsets"][index]) if part == "points" else index) * dataset[0].nbytes
            place = dataset.id.get_offset() + first
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with open_packed(path) as opened:
            assert opened.has_checksums
            with pytest.raises(BadInput, match=f"{split}: sketch {index}: expected its points as they were packed"):
                getattr(opened, split)[index]
            np.testing.assert_array_equal(getattr(opened, split)[0], SETS[split][0])
        path.write_bytes(sound)


def test_a_file_of_the_version_without_checksums_can_be_read(path):
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = np.int64(1)
        for split in SPLITS:
            del file[f"{split}_crc32"]
    with open_packed(path) as opened:
        assert not opened.has_checksums
        np.testing.assert_array_equal(opened.train[0], SETS["train"][0])


def test_a_dataset_positioned_beyond_the_end_of_the_file_is_refused(saved, tmp_path):
    with h5py.File(saved) as source, h5py.File(tmp_path / "a.h5", "w", libver="earliest") as file:
        for name, (number_type, shape) in {n: (v.dtype, v.shape) for n, v in source.attrs.items()}.items():
            file.attrs.create(name, source.attrs[name], shape, number_type)
        for name, dataset in source.items():
            file[name] = dataset[()]
        position, size = file["train_points"].id.get_offset(), file["train_points"].nbytes
    sound = (tmp_path / "a.h5").read_bytes()
    open_packed(tmp_path / "a.h5").close()
    # The old form of HDF5 stores the position without a checksum.
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
def test_a_file_that_is_not_hdf5_is_refused(tmp_path, content, message):
    (tmp_path / "a.h5").write_bytes(content)
    refuse(tmp_path / "a.h5", message)


def test_a_missing_file_is_refused_and_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("none", "loop", "."):
        refuse((tmp_path / name).absolute(), "there is no such file|symbolic link|Is a directory")
    with pytest.raises(BadInput, match=r"pipe: is a named pipe, expected a regular file$"):
        open_packed(tmp_path / "pipe")


def test_a_file_truncated_anywhere_is_refused(saved, tmp_path):
    whole = saved.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        (tmp_path / "a.h5").write_bytes(whole[:length])
        refuse(tmp_path / "a.h5", "expected a packed stroke set")


def test_a_file_truncated_while_it_is_open_is_bad_input(path):
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


def test_damage_to_an_attribute_is_noticed_even_if_its_value_is_valid(saved, tmp_path):
    whole = saved.read_bytes()
    with open_packed(saved) as opened:
        stored = struct.pack("<d", opened.scale_factor)
    assert whole.count(stored) == 1
    for byte in range(8):
        damaged = bytearray(whole)
        damaged[whole.index(stored) + byte] ^= 1
        (tmp_path / "a.h5").write_bytes(damaged)
        refuse(tmp_path / "a.h5", "got what cannot be read")


def test_a_message_of_hdf5_becomes_one_short_line(path, monkeypatch):
    def fail(*_, **__):
        raise OSError("first\n  second" + "x" * 1000)

    monkeypatch.setattr(h5py, "File", fail)
    refuse(path, r"\(first secondx+\); create it again")
    with pytest.raises(BadInput, match=r"cannot be written \(first secondx+\)$") as caught:
        pack(path, SETS)
    assert len(str(caught.value)) < len(str(path)) + 400
