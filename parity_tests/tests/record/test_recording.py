"""A recording comes back as it was, or is refused; so are fixtures that are not the ones that were locked."""

import copy
import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from parity_tests.record.recording import SCHEMA, SEAL_SIZE, Recording, seal
from parity_tests.record.shipped import LOCK, fixture_paths, load_fixtures
from pytorch_sketch_rnn.errors import BadInput

TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16", ">f4", ">i8"]


def make() -> Recording:
    """Every type; scalars, empty, small and large arrays; names that a file system would not take."""
    random = np.random.default_rng(1)
    types = {f"type/{kind}": random.integers(0, 2, (3, 4)).astype(kind) for kind in TYPES}
    return Recording(
        kind="model",
        name="lstm/as_is",
        hparams={"z_size": 5, "grad_clip": 0.1, "conditional": True, "data_set": ["a.npz"]},
        provenance={"seed": 1, "versions": {"numpy": "2"}, "größe": None},
        groups={
            "weights": {name.replace(">", "big-"): value for name, value in types.items()},
            "inputs": {
                "a": np.arange(6, dtype=np.float32).reshape(2, 3),
                "a/b": random.standard_normal((20, 30)),
                "a/b/c": np.array(7, np.int32),
                "empty": np.zeros((0, 3)),
                "hard": np.array([np.nan, np.inf, -0.0, 5e-324]),
            },
            "float64": {"q": random.standard_normal(200)},
            "draws": {},
        },
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "lstm.h5"
    make().save(path)
    return path


@pytest.fixture
def path(saved, tmp_path) -> Path:
    """A sound file to damage."""
    return Path(shutil.copy(saved, tmp_path))


def refuse(path: Path, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        Recording.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def of_schema(schema: int, content: bytes) -> bytes:
    """Claims or a seal, of another schema."""
    for text in (b'"schema": %d', b"schema %d,"):
        content = content.replace(text % SCHEMA, text % schema)
    return content


# Recordings ----------------------------------------------------------------------------------------------------------


def test_what_was_saved_is_loaded_bit_for_bit(saved):
    expected, found = make(), Recording.load(saved)
    claims = ("kind", "name", "hparams", "provenance")
    assert [getattr(found, name) for name in claims] == [getattr(expected, name) for name in claims]
    assert {group: list(arrays) for group, arrays in found.groups.items()} == {
        group: sorted(arrays) for group, arrays in sorted(expected.groups.items())
    }
    for group, arrays in expected.groups.items():
        for name, value in arrays.items():
            same = found[group][name]
            assert (same.dtype, same.shape, same.tobytes()) == (value.dtype, value.shape, value.tobytes()), name
    assert found.digest() == expected.digest()


def test_the_digest_does_not_depend_on_the_order_in_which_things_were_added():
    recording = make()
    turned = Recording(
        kind=recording.kind,
        name=recording.name,
        hparams=dict(reversed(recording.hparams.items())),
        provenance=dict(reversed(recording.provenance.items())),
        groups={g: dict(reversed(arrays.items())) for g, arrays in reversed(recording.groups.items())},
    )
    assert turned.digest() == recording.digest()


CHANGES: dict[str, Callable[[Recording], object]] = {
    "a bit of a value": lambda r: r["float64"]["q"].__setitem__(199, np.nextafter(r["float64"]["q"][199], 9)),
    "the sign of a zero": lambda r: r["inputs"]["hard"].__setitem__(2, 0.0),
    "the order of values": lambda r: r["float64"].update(q=r["float64"]["q"][::-1]),
    "a shape": lambda r: r["inputs"].update(a=r["inputs"]["a"].reshape(3, 2)),
    "a type of the same bytes": lambda r: r["inputs"].update(a=r["inputs"]["a"].view(np.int32)),
    "a name": lambda r: r["inputs"].update(b=r["inputs"].pop("a")),
    "two values exchanged": lambda r: r["weights"].update(
        {"type/f4": r["weights"]["type/f8"], "type/f8": r["weights"]["type/f4"]}
    ),
    "another group": lambda r: r["draws"].update(q=r["float64"].pop("q")),
    "an array more": lambda r: r["draws"].update(x=np.zeros(0)),
    "an array less": lambda r: r["inputs"].pop("empty"),
    "the kind": lambda r: setattr(r, "kind", "cell"),
    "the recording's name": lambda r: setattr(r, "name", "lstm/moved"),
    "a hyperparameter": lambda r: r.hparams.update(z_size=6),
    "a hyperparameter more": lambda r: r.hparams.update(more=None),
    "the seed": lambda r: r.provenance.update(seed=2),
    "a version": lambda r: r.provenance["versions"].update(numpy="1"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_shows_in_the_digest_and_a_file_that_hides_it_is_refused(tmp_path, monkeypatch, change):
    recording = make()
    claimed = recording.digest()
    change(recording)
    assert recording.digest() != claimed
    monkeypatch.setattr(Recording, "digest", lambda _: claimed)
    recording.save(tmp_path / "changed.h5")
    monkeypatch.undo()
    refuse(tmp_path / "changed.h5", "the content does not match the SHA-256 it claims; record it again")


def test_a_value_changed_in_the_file_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["inputs/a.b"][3, 4] += 1e-9
    refuse(path, "the content does not match the SHA-256 it claims")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__delitem__("claims"), "expected a recording in HDF5, but .*claims"),
        (lambda file: file.attrs.__delitem__("sha256"), "expected a recording in HDF5, but .*sha256"),
        (lambda file: file.attrs.__setitem__("claims", "{"), "expected a recording in HDF5, but "),
        (lambda file: file.attrs.__setitem__("claims", '"text"'), "expected a recording in HDF5, but "),
        (lambda file: file.attrs.__setitem__("claims", "[1]"), "expected a recording in HDF5, but "),
        (lambda file: file.attrs.__setitem__("claims", "{}"), "expected a recording in HDF5, but 'schema'"),
        (lambda file: file.attrs.__setitem__("claims", 5), "expected a recording in HDF5, but "),
        (lambda file: file.attrs.__setitem__("claims", f'{{"schema": {SCHEMA}}}'), "but .*missing .* 'kind'"),
        (
            lambda file: file.attrs.__setitem__("claims", file.attrs["claims"].replace(b'"kind"', b'"king"')),
            "but .*unexpected keyword argument 'king'",
        ),
        (
            lambda file: file.attrs.__setitem__("claims", of_schema(SCHEMA + 1, file.attrs["claims"])),
            f"a recording of schema {SCHEMA + 1}, expected {SCHEMA}; record it again",
        ),
        (lambda file: file.attrs.__setitem__("sha256", "0" * 64), "does not match the SHA-256 it claims"),
        (lambda file: file.attrs.__setitem__("sha256", [1, 2]), "expected a recording in HDF5, but "),
        (lambda file: file.create_dataset("loose", data=1), "expected a recording in HDF5, but "),
        (lambda file: file["inputs"].create_group("folder"), "expected a recording in HDF5, but "),
        (lambda file: file["inputs"].create_dataset("text", data="text"), "expected a recording in HDF5, but "),
        (lambda file: file.create_group("more").create_dataset("x", data=1), "does not match the SHA-256"),
        (lambda file: file.__delitem__("float64"), "does not match the SHA-256"),
        (lambda file: file["inputs"].__setitem__("gone", h5py.ExternalLink("gone.h5", "/x")), "expected a recording"),
    ],
)
def test_a_file_of_another_form_is_refused(path, change, message):
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)
    refuse(path, message)


def test_what_is_no_recording_is_refused(path):
    refuse(path.with_name("nothing.h5"), "cannot be read .No such file.*; expected a recording")
    refuse(path.parent, "cannot be read .Is a directory.; expected a recording")
    for content in (b"", b"text", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        refuse(path, f"expected a recording of schema {SCHEMA}, found another kind of file")


@pytest.mark.parametrize("schema", [1, SCHEMA + 1, 10 * SCHEMA])
def test_a_recording_of_another_schema_is_refused_by_its_number(path, schema):
    path.write_bytes(of_schema(schema, path.read_bytes()[:SEAL_SIZE]) + path.read_bytes()[SEAL_SIZE:])
    refuse(path, f"expected a recording of schema {SCHEMA}, found one of schema {schema}; record it again")


def test_what_is_sealed_but_no_hdf5_is_refused(path):
    path.write_bytes(b"\0" * 2000)
    seal(path)
    refuse(path, "expected a recording in HDF5, but ")


def test_a_file_that_was_cut_off_is_refused(path):
    content = path.read_bytes()
    for length in [*range(0, len(content), len(content) // 50), len(content) - 1]:
        path.write_bytes(content[:length])
        refuse(path, "found another kind of file|does not match the SHA-256 it claims")


def test_any_flipped_bit_is_refused_before_hdf5_opens_the_file(path, monkeypatch):
    content, random = path.read_bytes(), np.random.default_rng(3)
    monkeypatch.setattr(h5py, "File", None)
    for position in [*range(600), *random.integers(len(content), size=300)]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << random.integers(8)
        path.write_bytes(bytes(flipped))
        refuse(path, rf"does not match the SHA-256 it claims|found another kind|found one of schema (?!{SCHEMA};)")


def test_saving_is_all_or_nothing(path, monkeypatch):
    before = path.read_bytes()
    broken = dataclasses.replace(make(), groups={"inputs": {"a": np.zeros(3), "b": np.array("text")}})
    with pytest.raises(TypeError):
        broken.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(BadInput, match=r"gone/lstm\.h5: cannot be written"):
        make().save(path.parent / "gone/lstm.h5")


def test_saving_leaves_the_recording_as_it_is(tmp_path):
    recording = make()
    before = copy.deepcopy(recording)
    recording.save(tmp_path / "lstm.h5")
    assert recording.digest() == before.digest()
    assert list(recording.groups) == list(before.groups)


# Fixtures ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fixtures(saved, tmp_path) -> Path:
    """A folder of two locked recordings."""
    other = dataclasses.replace(make(), name="other")
    shutil.copy(saved, tmp_path / "lstm-as_is.h5")
    other.save(tmp_path / "other.h5")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(tmp_path.iterdir())]
    (tmp_path / LOCK).write_text("".join(sums))
    (tmp_path / "README.md").write_text("not a recording")
    return tmp_path


def test_locked_fixtures_are_loaded_by_name(fixtures):
    assert fixture_paths(fixtures) == [fixtures / "lstm-as_is.h5", fixtures / "other.h5"]
    assert {name: recording.digest() for name, recording in load_fixtures(fixtures).items()} == {
        "lstm/as_is": make().digest(),
        "other": dataclasses.replace(make(), name="other").digest(),
    }


def test_fixtures_that_are_not_the_locked_ones_are_refused_by_name(fixtures):
    lstm = (fixtures / "lstm-as_is.h5").read_bytes()
    lock = (fixtures / LOCK).read_text()

    def refuse_fixtures(message: str) -> None:
        for ask in (fixture_paths, load_fixtures):
            with pytest.raises(BadInput, match=message):
                ask(fixtures)
        (fixtures / "lstm-as_is.h5").write_bytes(lstm)
        (fixtures / LOCK).write_text(lock)

    dataclasses.replace(make(), hparams={}).save(fixtures / "lstm-as_is.h5")  # sound in itself, but not the one
    refuse_fixtures(rf"{fixtures}: lstm-as_is\.h5 do not match {LOCK}; record the fixtures")
    (fixtures / "lstm-as_is.h5").write_bytes(lstm[:-1])
    refuse_fixtures(r": lstm-as_is\.h5 do not match")
    (fixtures / "lstm-as_is.h5").unlink()
    refuse_fixtures(r": lstm-as_is\.h5 do not match")
    (fixtures / "more.h5").write_bytes(lstm)
    refuse_fixtures(r": more\.h5 do not match")
    (fixtures / "more.h5").unlink()
    (fixtures / LOCK).write_text(lock.splitlines(keepends=True)[0])
    refuse_fixtures(r": other\.h5 do not match")
    (fixtures / LOCK).write_text(lock.replace(lock[:4], "0000"))
    refuse_fixtures(r": lstm-as_is\.h5 do not match")
    assert len(fixture_paths(fixtures)) == 2
    (fixtures / LOCK).unlink()
    refuse_fixtures(rf"{LOCK}: is missing; record the fixtures with `make fixtures`")


@pytest.mark.parametrize("lock", ["", "no two columns\n", "a  b  c\n"])
def test_lock_that_says_nothing_is_refused(lock, tmp_path):
    (tmp_path / LOCK).write_text(lock)
    with pytest.raises(BadInput, match="expected lines of a SHA-256"):
        fixture_paths(tmp_path)


def test_locked_recording_under_another_name_is_refused(fixtures):
    (fixtures / "lstm-as_is.h5").rename(fixtures / "gru-as_is.h5")
    lock = (fixtures / LOCK).read_text().replace("lstm-as_is.h5", "gru-as_is.h5")
    (fixtures / LOCK).write_text(lock)
    with pytest.raises(BadInput, match=r"gru-as_is\.h5: holds the recording lstm/as_is"):
        load_fixtures(fixtures)
