"""pytorch_sketch_rnn.data.npz reads what NumPy reads, runs nothing, and gives BadInput for everything else."""

import contextlib
import io
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput

NUMBER_CODES = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
NUMBER_TYPES = ["i1", "u1", *(order + code for order in "<>" for code in NUMBER_CODES)]
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "strokes"


def sketches(count: int, dtype: str = "int16", seed: int = 0, length: int | None = None) -> list[np.ndarray]:
    """Seeded sketches [n, 3] of 1 to 120 points, or all of one length."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        n = length or int(rng.integers(1, 121))
        sketch = rng.integers(-100, 100, (n, 3))
        sketch[:, 2] = rng.random(n) < 0.2
        made.append(sketch.astype(dtype))
    return made


def objects(items: list) -> np.ndarray:
    """A 1-D object array."""
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def npy(pickled: bytes, shape: tuple[int, ...] = (1,), descr: str = "|O") -> bytes:
    """A .npy member: a header, then these bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + pickled


def save(path: Path, **members: bytes) -> Path:
    """A zip archive with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def load_unsafely(path: Path, split: str = "train") -> np.ndarray:
    """What Magenta does; for files made by this test only, and the real ones."""
    with np.load(path, allow_pickle=True, encoding="latin1") as archive:
        return archive[split]


def assert_same(result: list[np.ndarray], expected: list[np.ndarray] | np.ndarray) -> None:
    """Equal in number, type, shape and every value."""
    assert len(result) == len(expected)
    for ours, theirs in zip(result, expected, strict=True):
        assert ours.dtype == theirs.dtype.newbyteorder("=")
        assert ours.flags.writeable
        np.testing.assert_array_equal(ours, theirs)


# --- Pickles by hand, one function for each thing in them.


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def python2_string(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if -(2**31) <= value < 2**31 else b"\x8a\x0a" + value.to_bytes(10, "little")


def called(name: str, *arguments: bytes) -> bytes:
    """GLOBAL, arguments, REDUCE; name is "module name"."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def number_type(code: str, order: str, fields: bytes = b"N") -> bytes:
    made = called("numpy dtype", python2_string(code.encode()), integer(0), integer(1))
    flags = 63 if code.startswith("O") else 0
    state = [integer(3), python2_string(order.encode()), b"N", b"N", fields, integer(-1), integer(-1), integer(flags)]
    return made + b"(" + b"".join(state) + b"tb"


def array(shape: tuple[int | str, ...], dtype: bytes, data: bytes, fortran: bool = False) -> bytes:
    made = called(
        "numpy.core.multiarray _reconstruct", b"cnumpy\nndarray\n", integer(0) + b"\x85", python2_string(b"b")
    )
    lengths = b"".join(text(length) if isinstance(length, str) else integer(length) for length in shape)
    return made + b"(" + integer(1) + b"(" + lengths + b"t" + dtype + (b"\x88" if fortran else b"\x89") + data + b"tb"


def object_array(items: list[bytes], length: int | None = None) -> bytes:
    shape = (len(items) if length is None else length,)
    return b"\x80\x02" + array(shape, number_type("O8", "|"), b"](" + b"".join(items) + b"e") + b"."


def python2_sketch(sketch: np.ndarray) -> bytes:
    order, code = sketch.dtype.str[0], sketch.dtype.str[1:]
    return array(sketch.shape, number_type(code, order), python2_string(sketch.tobytes()))


NUMBERS = number_type("i2", "<")
GOOD = python2_sketch(np.array([[1, 2, 0], [3, 4, 1]], dtype="<i2"))


# --- What must be read.


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_every_protocol_by_python_3_are_read(tmp_path, protocol):
    expected = sketches(20) + sketches(5, "float32", 1) + [np.asfortranarray(sketches(1, "int8", 2)[0])]
    path = save(tmp_path / "a.npz", train=npy(pickle.dumps(objects(expected), protocol), (len(expected),)))
    assert_same(read_npz(path, splits=["train"])["train"], expected)
    assert_same(read_npz(path, splits=["train"])["train"], load_unsafely(path))


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "|i1", "|u1", "<f4", ">f8", "<i8", ">u4"])
def test_pickles_by_python_2_are_read(tmp_path, dtype):
    expected = sketches(10, dtype)
    path = save(tmp_path / "a.npz", train=npy(object_array([python2_sketch(sketch) for sketch in expected]), (10,)))
    result = read_npz(path, splits=["train"])["train"]
    assert_same(result, expected)
    assert_same(result, load_unsafely(path))


def test_a_header_by_python_2_with_long_integers_is_read(tmp_path):
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1L,), }"
    header += b" " * (117 - len(header)) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + object_array([GOOD])
    assert_same(
        read_npz(save(tmp_path / "a.npz", train=data), splits=["train"])["train"], [np.int16([[1, 2, 0], [3, 4, 1]])]
    )


@pytest.mark.parametrize("dtype", NUMBER_TYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_number_type_and_order_is_read_as_objects_and_as_numbers(tmp_path, dtype, order):
    expected = [np.array(sketch, order=order) for sketch in sketches(4, dtype, length=7)]
    np.savez(tmp_path / "a.npz", train=objects(expected), valid=np.array(np.stack(expected), order=order))
    result = read_npz(tmp_path / "a.npz", splits=["train", "valid"])
    assert_same(result["train"], expected)
    assert_same(result["valid"], expected)


@pytest.mark.parametrize("savez", [np.savez, np.savez_compressed])
def test_what_numpy_saves_is_read_as_numpy_reads_it(tmp_path, savez):
    splits = {"train": objects(sketches(300)), "valid": objects(sketches(30, seed=1)), "test": objects(sketches(3))}
    savez(tmp_path / "a.npz", **splits)
    result = read_npz(tmp_path / "a.npz")
    assert list(result) == ["train", "valid", "test"]
    for split, expected in splits.items():
        assert_same(result[split], expected)
        assert_same(result[split], load_unsafely(tmp_path / "a.npz", split))


def test_sketches_share_no_memory_even_where_the_pickle_shares_them(tmp_path):
    sketch = sketches(1)[0]
    np.savez(tmp_path / "a.npz", train=objects([sketch, sketch]), valid=np.zeros((2, 3, 3)))
    for first, second in read_npz(tmp_path / "a.npz", splits=["train", "valid"]).values():
        assert first.base is None
        before = second.copy()
        first += 1
        np.testing.assert_array_equal(second, before)


@pytest.mark.parametrize("name", ["aaron_sheep", "omniglot", "short_kanji"])
def test_real_files_are_read_as_numpy_reads_them(name):
    path = REAL / f"{name}.npz"
    if not path.exists():
        pytest.skip("the real data is not here")
    for split, result in read_npz(path).items():
        assert_same(result, load_unsafely(path, split))


# --- What must not run. Each payload is a pickle that touches a file when a true unpickler reads it.


def stack_global(module: str, name: str, *arguments: bytes) -> bytes:
    return text(module) + text(name) + b"\x93(" + b"".join(arguments) + b"tR"


def evil_npy(touch: str, folder: Path) -> str:
    (folder / "evil.npy").write_bytes(npy(b"\x80\x02" + called("os system", text(touch)) + b"."))
    return str(folder / "evil.npy")


PAYLOADS: dict[str, tuple[Callable[[str, Path], bytes], str]] = {
    "reduce": (lambda touch, _: called("os system", text(touch)), r"'os\.system'"),
    "posix": (lambda touch, _: called("posix system", text(touch)), r"'posix\.system'"),
    "python 2 name": (
        lambda touch, _: called("__builtin__ eval", text(f"__import__('os').system('{touch}')")),
        r"'__builtin__\.eval'",
    ),
    "eval": (
        lambda touch, _: called("builtins eval", text(f"__import__('os').system('{touch}')")),
        r"'builtins\.eval'",
    ),
    "stack global": (lambda touch, _: stack_global("posix", "system", text(touch)), r"'posix\.system'"),
    "dotted name": (lambda touch, _: stack_global("shutil", "os.system", text(touch)), r"'shutil\.os\.system'"),
    "numpy.load": (
        lambda touch, folder: called("numpy load", text(evil_npy(touch, folder)), b"N", b"\x88"),
        r"'numpy\.load'",
    ),
    "obj": (lambda touch, _: b"(cos\nsystem\n" + text(touch) + b"o", r"'os\.system'"),
    "inst": (lambda touch, _: b"(" + text(touch) + b"ios\nsystem\n", "instruction INST"),
}


@pytest.mark.parametrize("where", ["alone", "among the sketches", "as data", "as a state"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(tmp_path, name, where):
    make, named = PAYLOADS[name]
    sentinel = tmp_path / "sentinel"
    payload = make(f"touch {sentinel}", tmp_path)
    pickled = {
        "alone": b"\x80\x02" + payload + b".",
        "among the sketches": object_array([GOOD, payload]),
        "as data": object_array([array((1, 3), number_type("i2", "<"), payload)]),
        "as a state": object_array([GOOD + payload + b"b"]),
    }[where]
    protocol = b"\x80\x04" if name == "dotted name" else b"\x80\x02"  # only these know the name
    path = save(tmp_path / "a.npz", train=npy(protocol + pickled[2:]))
    with pytest.raises(BadInput, match=rf"a\.npz: train\.npy: .*{named}"):
        read_npz(path, splits=["train"])
    assert not sentinel.exists()
    with contextlib.suppress(Exception):  # the rest of the pickle is nonsense by then
        load_unsafely(path)
    assert sentinel.exists(), "the payload does nothing, so the test shows nothing"


@pytest.mark.parametrize(
    ("pickled", "message"),
    {
        "numpy scalar": (called("numpy.core.multiarray scalar", NUMBERS, text("ab")), "multiarray.scalar"),
        "state for an array's class": (b"cnumpy\nndarray\n(NX\x01\x00\x00\x00aK\x01dtb", "instruction DICT"),
        "state for a name": (b"cnumpy\nndarray\n(K\x01tb", "a state for a _Global"),
        "state for a list": (b"](K\x01tb", "a state for a list"),
        "call of a string": (text("os.system") + b"(" + text("true") + b"tR", "calls a str"),
        "call of a result": (GOOD + b"(tR", "calls a _Call"),
        "dict": (b"}", "instruction EMPTY_DICT"),
        "newobj": (b"cnumpy\nndarray\n)\x81", "instruction NEWOBJ"),
        "newobj_ex": (b"cnumpy\nndarray\n)}\x92", "instruction EMPTY_DICT"),
        "extension": (b"\x82\x01", "instruction EXT1"),
        "persistent id": (b"Pname\n", "instruction PERSID"),
        "persistent id on the stack": (b"K\x01Q", "instruction BINPERSID"),
        "buffer": (b"\x97", "instruction NEXT_BUFFER"),
        "unknown": (b"\xff", "instruction 0xff"),
        "other encoding": (
            object_array([array((1, 3), NUMBERS, called("_codecs encode", text("abc"), text("rot13")))])[2:],
            "sketch 0: expected data encoded in latin1",
        ),
        "ndarray called": (called("numpy ndarray", integer(3)), "got another object"),
        "dtype alone": (number_type("i2", "<"), "got another object"),
        "reconstruct another class": (
            called("numpy.core.multiarray _reconstruct", b"cnumpy\ndtype\n", b"K\x00\x85", text("b")) + b"(K\x01tb",
            "got another object",
        ),
        "dict as state": (called("numpy dtype", text("i2")) + b"(" + text("a") + b"K\x01d" + b"b", "instruction DICT"),
        "list": (b"](K\x01K\x02e", "expected a NumPy array, got list"),
        "memo that is not there": (b"h\x07", "UnpicklingError"),
        "empty stack": (b"tR", "IndexError"),
        "no end": (b"K\x01K\x02", "train.npy"),
    }.values(),
)  # fmt: skip
def test_a_pickle_of_other_things_than_arrays_is_refused(tmp_path, pickled, message):
    path = save(tmp_path / "a.npz", train=npy(b"\x80\x02" + pickled + b"."))
    with pytest.raises(BadInput) as caught:
        read_npz(path, splits=["train"])
    assert message in str(caught.value)


FIELDS = b"(" + text("a") + b"t"
SELF_REFERENCE = b"\x80\x02" + array((1,), number_type("O8", "|"), b"]q\x05h\x05a") + b"."


@pytest.mark.parametrize(
    ("pickled", "message"),
    {
        "too little data": (object_array([array((2, 3), NUMBERS, python2_string(b"x" * 11))]), "the 12 bytes"),
        "too much data": (object_array([array((2, 3), NUMBERS, python2_string(b"x" * 13))]), "the 12 bytes"),
        "huge shape": (object_array([array((2**40, 3), NUMBERS, python2_string(b""))]), "bytes of shape"),
        "huge columns": (object_array([array((2**70, 2**70), NUMBERS, python2_string(b""))]), "bytes of shape"),
        "negative shape": (object_array([array((-2, -3), NUMBERS, python2_string(b"x" * 12))]), "bytes of shape"),
        "text in shape": (object_array([array(("x" * 999, 2**60), NUMBERS, python2_string(b""))]), "damaged shape"),
        "no shape": (object_array([array((), NUMBERS, python2_string(b"xx"))]), "damaged shape"),
        "number as data": (object_array([array((1, 3), NUMBERS, b"K\x01")]), "expected data as bytes, got int"),
        "characters as data": (
            object_array([array((1, 3), number_type("i1", "|"), text("ab€"))]),
            "UnicodeEncodeError",
        ),
        "fields": (object_array([array((1, 3), number_type("V6", "|", FIELDS), python2_string(b"x" * 18))]), "fields"),
        "objects in objects": (
            object_array([array((1,), number_type("O8", "|"), b"](" + GOOD + b"e")]),
            "expected integers or floats, got type '|O'",
        ),
        "objects twice": (
            object_array([array((1,), number_type("O8", "|"), b"](" + object_array([GOOD])[2:-1] + b"e")]),
            "expected integers or floats, got type '|O'",
        ),
        "list in itself": (SELF_REFERENCE, "sketch 0: expected a NumPy array, got list"),
        "list of numbers": (object_array([b"](K\x01K\x02K\x03e"]), "sketch 0: expected a NumPy array, got list"),
        "string type": (object_array([array((1, 3), number_type("S2", "|"), python2_string(b"x" * 6))]), "type '|S2'"),
        "bool type": (object_array([array((1, 3), number_type("b1", "|"), python2_string(b"x" * 3))]), "type '|b1'"),
        "complex type": (object_array([array((1, 3), number_type("c8", "<"), python2_string(b"x" * 24))]), "'<c8'"),
        "no byte order": (object_array([array((1, 3), number_type("i2", "|"), python2_string(b"x" * 6))]), "'|i2'"),
        "dtype without state": (
            object_array([array((1, 3), called("numpy dtype", text("i2")), python2_string(b"x" * 6))]),
            "TypeError",
        ),
        "number as type": (object_array([array((1, 3), b"K\x01", python2_string(b"x" * 6))]), "a NumPy number type"),
        "two sketches, one declared": (object_array([GOOD, GOOD]), "shape (1,)"),
        "one sketch, none there": (object_array([], 1), "expected 1 sketches, got 0"),
        "numbers that hold objects": (b"\x80\x02" + array((1,), NUMBERS, b"](" + GOOD + b"e") + b".", "another array"),
        "not an object array": (b"\x80\x02" + array((1,), NUMBERS, python2_string(b"xx")) + b".", "another array"),
    }.values(),
)  # fmt: skip
def test_an_array_that_contradicts_itself_is_refused(tmp_path, pickled, message):
    path = save(tmp_path / "a.npz", train=npy(pickled))
    with pytest.raises(BadInput) as caught:
        read_npz(path, splits=["train"])
    assert message in str(caught.value)


# --- What must not take memory.


def peak_of_refusal(path: Path, message: str, **options: int) -> int:
    """Bytes allocated at most while the file is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=message):
            read_npz(path, splits=["train"], **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_huge_numbers_in_a_pickle_allocate_nothing(tmp_path):
    empty = python2_string(b"")
    reconstruct = called("numpy.core.multiarray _reconstruct", b"cnumpy\nndarray\n", integer(2**60) + b"\x85", empty)
    for pickled in [
        reconstruct,
        b"K\x01r\xff\xff\xff\xff",  # memo index
        b"\x96" + struct.pack("<Q", 2**40),  # bytearray
        b"B" + struct.pack("<I", 2**32 - 1),  # bytes
        b"X" + struct.pack("<I", 2**32 - 1),  # text
        b"\x95" + struct.pack("<Q", 2**50),  # frame
    ]:
        path = save(tmp_path / "a.npz", train=npy(b"\x80\x04" + pickled + b"."))
        assert peak_of_refusal(path, "train.npy") < 1 << 20


def test_shared_data_is_charged_each_time_it_is_used(tmp_path):
    sketch = np.zeros((100_000, 3), dtype="int16")
    path = save(tmp_path / "a.npz", train=npy(pickle.dumps(objects([sketch] * 1000), 4), (1000,)))
    assert path.stat().st_size < 20_000
    assert peak_of_refusal(path, "max_bytes = 20000000", max_bytes=20_000_000) < 25_000_000


@pytest.mark.parametrize("instruction", [b"]", b"(", b"K\x01\x94", b"N\x85"])
def test_many_objects_from_few_bytes_are_charged(tmp_path, instruction):
    path = save(tmp_path / "a.npz", train=npy(b"\x80\x04" + instruction * 200_000))
    assert peak_of_refusal(path, "max_bytes = 3000000", max_bytes=3_000_000) < 6_000_000


def test_many_tiny_sketches_of_a_plain_array_are_charged(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", train=np.zeros((1_000_000, 1, 3), dtype="int8"))
    assert peak_of_refusal(tmp_path / "a.npz", "max_bytes", max_bytes=20_000_000) < 10_000_000


def test_all_splits_share_one_limit(tmp_path):
    write_npz(tmp_path / "a.npz", {"train": sketches(100), "valid": sketches(100)})
    needed = 100 * (60 * 6 + 30 * 128)
    assert len(read_npz(tmp_path / "a.npz", splits=["train"], max_bytes=int(1.3 * needed))["train"]) == 100
    with pytest.raises(BadInput, match=r"valid\.npy: needs more than max_bytes"):
        read_npz(tmp_path / "a.npz", splits=["train", "valid"], max_bytes=int(1.3 * needed))


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = save(tmp_path / "a.npz", train=bytes(30_000_000))
    assert peak_of_refusal(path, "max_bytes = 1000000", max_bytes=1_000_000) < 1 << 20


def test_a_zip_bomb_that_declares_a_small_size_is_not_unpacked(tmp_path):
    path = save(tmp_path / "a.npz", train=bytes(30_000_000))
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 30_000_000), struct.pack("<I", 5000)))
    assert peak_of_refusal(path, "train.npy", max_bytes=1_000_000) < 1 << 20


def test_a_member_shorter_than_declared_is_refused(tmp_path):
    path = save(tmp_path / "a.npz", train=npy(object_array([GOOD])))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 24] += 1  # the lowest byte of the declared size
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"expected the declared \d+ bytes, got \d+"):
        read_npz(path, splits=["train"])


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods_that_unpack_without_limit_are_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("train.npy", npy(object_array([GOOD])))
    with pytest.raises(BadInput, match=f"stored or deflated member, got zip method {method}"):
        read_npz(tmp_path / "a.npz", splits=["train"])


# --- What must be refused as data.


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none\.npz: .*no such file"):
        read_npz(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_zip_archive_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.npz: expected an intact \.npz file"):
        read_npz(tmp_path / "a.npz")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match="expected an intact"):
        read_npz(tmp_path)


def test_a_missing_split_is_named_with_those_there(tmp_path):
    write_npz(tmp_path / "a.npz", {"train": sketches(1), "test": sketches(1)})
    with pytest.raises(BadInput, match=r"valid\.npy: no such member; .*\['test\.npy', 'train\.npy'\]"):
        read_npz(tmp_path / "a.npz")


def test_an_encrypted_member_is_refused(tmp_path):
    path = save(tmp_path / "a.npz", train=npy(object_array([GOOD])))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flags of the local header, and those of the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match="got an encrypted one"):
        read_npz(path, splits=["train"])


def test_a_wrong_checksum_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train.npy", npy(object_array([GOOD])))
    data = (tmp_path / "a.npz").read_bytes()
    changed = data.replace(np.int16([1, 2, 0, 3]).tobytes(), np.int16([1, 9, 0, 3]).tobytes())
    assert changed != data
    (tmp_path / "a.npz").write_bytes(changed)
    with pytest.raises(BadInput, match="CRC"):
        read_npz(tmp_path / "a.npz", splits=["train"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (objects([]), "got an empty split"),
        (np.zeros((0, 4, 3)), "got an empty split"),
        (objects([*sketches(2), np.zeros((0, 3), "int16")]), "sketch 2: expected at least one point"),
        (np.zeros((2, 0, 3)), "sketch 0: expected at least one point"),
        (objects([*sketches(1), np.zeros((4, 2))]), r"sketch 1: expected an array \[n, 3\], got shape \(4, 2\)"),
        (objects([np.zeros((4, 5))]), r"sketch 0: expected an array \[n, 3\], got shape \(4, 5\)"),
        (objects([np.zeros(3)]), r"sketch 0: expected an array \[n, 3\], got shape \(3,\)"),
        (np.zeros((2, 4, 5)), r"sketch 0: expected an array \[n, 3\], got shape \(4, 5\)"),
        (np.zeros((4, 3)), r"or numbers \[N, n, 3\], got shape \(4, 3\)"),
        (np.zeros((2, 4, 3), dtype=object), r"got shape \(2, 4, 3\) of type 'object'"),
        (np.zeros((2, 4, 3), dtype=bool), "of type 'bool'"),
        (np.zeros((2, 4, 3), dtype=complex), "of type 'complex128'"),
        (np.zeros((2, 4, 3), dtype="S3"), "of type '|S3'"),
        (np.zeros((2, 4, 3), dtype=[("a", "i2")]), r"of type .*'a'"),
        (np.zeros((2, 4, 3), dtype="datetime64[s]"), "datetime64"),
        (np.array(objects([1]))[0:1].reshape(()), r"got shape \(\)"),
        (objects([np.array([[1, 2, 0], [3, np.nan, 1.0]])]), "sketch 0: expected finite numbers"),
        (objects([*sketches(1), np.array([[np.inf, 2, 0]], "float32")]), "sketch 1: expected finite numbers"),
        (np.array([[[1, 2, 0]], [[1, -np.inf, 1]]]), "sketch 1: expected finite numbers"),
        (objects([[1, 2, 3]]), "sketch 0: expected a NumPy array, got list"),
        (objects(["abc"]), "sketch 0: expected a NumPy array, got str"),
        (objects([None]), "sketch 0: expected a NumPy array, got NoneType"),
        (objects([np.zeros((2, 3), dtype=bool)]), "expected integers or floats, got type '|b1'"),
        (objects([np.zeros((2, 3), dtype="longdouble")]), "expected integers or floats, got type '<f16'"),
    ],
)
def test_data_that_is_no_set_of_sketches_is_refused(tmp_path, array, message):
    np.savez(tmp_path / "a.npz", train=array)
    with pytest.raises(BadInput, match=message):
        read_npz(tmp_path / "a.npz", splits=["train"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ValueError"),
        (b"\x93NUMPY\x03\x00", r"version 1.0 or 2.0, got \(3, 0\)"),
        (b"\x93NUMPY\x01\x00\x04\x00[1]\n", "not a dictionary"),
        (b"\x93NUMPY\x01\x00" + struct.pack("<H", 20_000) + b"(" * 20_000, "large"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{}", "EOF"),
        (npy(b"x" * 35, (2, 3, 3), "<i2"), "expected the 36 bytes"),
        (npy(b"x" * 37, (2, 3, 3), "<i2"), "expected the 36 bytes"),
        (npy(b"", (2**50, 2**50, 3), "<i2"), "max_bytes"),
        (npy(b"x" * 36, (-2, -3, 3), "<i2"), "expected the 36 bytes"),
    ],
)
def test_a_damaged_member_with_the_right_checksum_is_refused(tmp_path, data, message):
    path = save(tmp_path / "a.npz", train=data)
    with pytest.raises(BadInput, match=message):
        read_npz(path, splits=["train"])


def test_a_message_is_short_and_keeps_control_characters_of_the_file_out(tmp_path):
    escape = "\x1b[31m" * 2000
    with zipfile.ZipFile(tmp_path / "names.npz", "w") as archive:
        archive.writestr(escape, b"")
    save(tmp_path / "global.npz", train=npy(b"\x80\x02c" + escape.encode() + b"\nname\n."))
    save(tmp_path / "type.npz", train=npy(object_array([array((1, 3), number_type(escape, "<"), python2_string(b""))])))
    save(tmp_path / "header.npz", train=b"\x93NUMPY\x01\x00" + struct.pack("<H", 5000) + b"[" + b"1," * 2499 + b"]")
    for name in ("names", "global", "type", "header"):
        with pytest.raises(BadInput) as caught:
            read_npz(tmp_path / f"{name}.npz", splits=["train"])
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < len(str(tmp_path)) + 600


def read_or_refuse(path: Path) -> dict[str, list[np.ndarray]] | None:
    """The sketches, or None for BadInput; anything else fails the test."""
    message = ""
    try:
        return read_npz(path, splits=["train", "valid"], max_bytes=50_000_000)
    except BadInput as error:
        message = str(error)
    assert message.startswith(str(path))
    assert "\n" not in message
    return None


def test_a_damaged_file_gives_the_same_sketches_or_bad_input(tmp_path):
    expected = {"train": sketches(6), "valid": sketches(2, "float32", 1)}
    write_npz(tmp_path / "good.npz", expected)
    good = (tmp_path / "good.npz").read_bytes()
    rng = np.random.default_rng(1)
    outcomes = {"same": 0, "refused": 0}
    for trial in range(500):
        data = bytearray(good)
        if trial % 4 == 3:
            del data[int(rng.integers(0, len(data))) :]
        else:
            # Half of the flips in the headers and the directory, where they are not all found by a checksum.
            start = len(data) - 250 if trial % 2 else 0
            data[int(rng.integers(start, len(data)))] ^= 1 << int(rng.integers(0, 8))
        (tmp_path / "bad.npz").write_bytes(data)
        result = read_or_refuse(tmp_path / "bad.npz")
        outcomes["refused" if result is None else "same"] += 1
        if result is not None:
            for split in expected:
                assert_same(result[split], expected[split])
    assert min(outcomes.values()) > 20, outcomes


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_damaged_pickle_with_the_right_checksum_gives_sketches_or_bad_input(tmp_path, protocol):
    items = sketches(3) + sketches(1, "float32", 1)
    good = npy(pickle.dumps(objects(items), protocol), (4,))
    if protocol == 2:
        good = npy(object_array([python2_sketch(sketch) for sketch in items]), (4,))
    rng = np.random.default_rng(2)
    outcomes = {"read": 0, "refused": 0}
    for trial in range(400):
        data = bytearray(good)
        position = int(rng.integers(0, len(data)))
        if trial % 3 == 0:
            data[position] ^= 1 << int(rng.integers(0, 8))
        elif trial % 3 == 1:
            data[position:position] = rng.bytes(int(rng.integers(1, 5)))
        else:
            del data[position : position + int(rng.integers(1, 9))]
        path = save(tmp_path / "bad.npz", train=bytes(data), valid=npy(object_array([GOOD])))
        result = read_or_refuse(path)
        outcomes["refused" if result is None else "read"] += 1
        if result is not None:
            assert len(result["train"]) == 4
            for sketch in result["train"]:
                assert sketch.shape == (len(sketch), 3)
                assert sketch.dtype.kind in "iuf"
    assert min(outcomes.values()) > 20, outcomes


# --- Writing.


@pytest.mark.parametrize("dtype", ["int16", "int8", ">i2", "float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("length", [None, 5])
def test_what_is_written_is_read_by_numpy_and_by_us(tmp_path, dtype, length):
    expected = {"train": sketches(20, dtype, length=length), "valid": sketches(1, dtype), "test": sketches(3, dtype)}
    write_npz(tmp_path / "a.npz", expected)
    result = read_npz(tmp_path / "a.npz")
    for split, items in expected.items():
        loaded = load_unsafely(tmp_path / "a.npz", split)
        assert loaded.dtype == object
        assert loaded.shape == (len(items),)
        assert_same(loaded, items)
        assert_same(result[split], items)


def test_sketches_that_are_views_are_written_as_they_are(tmp_path):
    whole = np.arange(60, dtype="int16").reshape(10, 6)
    whole[:, [2, 4, 5]] %= 2  # what each view has in its third column
    expected = [whole[::2, ::2], np.asfortranarray(whole[:, :3]), whole[::-1, 3:]]
    write_npz(tmp_path / "a.npz", {"train": expected})
    assert_same(read_npz(tmp_path / "a.npz", splits=["train"])["train"], expected)


def test_what_is_written_names_the_modules_of_numpy_1(tmp_path):
    write_npz(tmp_path / "a.npz", {"train": sketches(3)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        data = archive.read("train.npy")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in data
    assert b"numpy._core" not in data
    assert data[128:130] == b"\x80\x03"


def test_the_same_sketches_give_the_same_bytes(tmp_path):
    splits = {"train": sketches(20), "valid": sketches(3, "float32")}
    write_npz(tmp_path / "a.npz", splits)
    write_npz(tmp_path / "b.npz", read_npz(tmp_path / "a.npz", splits=["train", "valid"]))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_neither_layout_nor_time_changes_the_bytes(tmp_path):
    expected = sketches(5)
    views = [np.repeat(np.asfortranarray(sketch), 2, axis=0)[::2] for sketch in expected]
    # A number type that is equal to the usual one, but another object, which a pickle would write out again.
    views[0] = views[0].astype(np.dtype(">i2").newbyteorder("="))
    write_npz(tmp_path / "a.npz", {"train": expected})
    write_npz(tmp_path / "b.npz", {"train": views})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.getinfo("train.npy").date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "expected sketches, got an empty split"),
        ([np.zeros((2, 5))], r"sketch 0: expected an array \[n, 3\], got shape \(2, 5\)"),
        ([[[1, 2, 3]]], r"sketch 0: expected an array \[n, 3\], got list"),
        ([np.zeros((1, 3)), np.zeros((0, 3))], "sketch 1: expected at least one point"),
        ([np.full((1, 3), np.nan)], "sketch 0: expected finite numbers"),
        ([np.zeros((1, 3), dtype=bool)], "sketch 0: expected integers or floats, got bool"),
        ([np.zeros((1, 3), dtype=object)], "sketch 0: expected integers or floats, got object"),
    ],
)
def test_what_could_not_be_read_is_not_written_and_the_old_file_stays(tmp_path, items, message):
    (tmp_path / "a.npz").write_bytes(b"old")
    with pytest.raises(BadInput, match=rf"a\.npz: valid\.npy: {message}"):
        write_npz(tmp_path / "a.npz", {"train": sketches(1), "valid": items})
    assert (tmp_path / "a.npz").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


@pytest.mark.parametrize("pen", [2, -1, 0.5])
def test_a_pen_is_0_or_1_where_it_is_read_and_where_it_is_written(tmp_path, pen):
    sound = np.array([[1, 2, 0], [3, 4, 1]], np.float32)
    wrong = sound.copy()
    wrong[0, 2] = pen
    np.savez(tmp_path / "numbers.npz", train=np.stack([sound, wrong]))
    objects = np.empty(2, object)
    objects[:] = [sound, wrong[:1]]
    np.savez(tmp_path / "objects.npz", train=objects)
    for name in ("numbers", "objects"):
        with pytest.raises(BadInput, match=r"train\.npy: sketch 1: expected 0 or 1 in its third column"):
            read_npz(tmp_path / f"{name}.npz", splits=["train"])
    with pytest.raises(BadInput, match=r"train\.npy: sketch 1: expected 0 or 1 in its third column"):
        write_npz(tmp_path / "written.npz", {"train": [sound, wrong]})
    assert not (tmp_path / "written.npz").exists()


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(BadInput, match="No space left"):
        write_npz(tmp_path / "a.npz", {"train": sketches(1)})
    assert (tmp_path / "a.npz").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]
