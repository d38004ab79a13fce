"""pytorch_sketch_rnn.data.npz executes nothing in a pickle, and its memory is bounded by max_bytes."""

import contextlib
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from handmade_npz import (
    GOOD,
    NUMBERS,
    array,
    called,
    integer,
    npy,
    number_type,
    object_array,
    objects,
    python2_string,
    save,
    sketches,
    text,
)

from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput

# Code that must not run. Each payload is a pickle that creates a file when Python's own unpickler reads it ------------


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


def run_as_numpy_does(path: Path) -> None:
    """Runs the payload, which only makes the test's own file: for the payloads above and nothing else."""
    with np.load(path, allow_pickle=True, encoding="latin1") as archive:
        archive["train"]


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
        run_as_numpy_does(path)
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


# Memory that must not be allocated ------------------------------------------------------------------------------------


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
def test_instructions_without_a_call_are_refused_at_once(tmp_path, instruction):
    path = save(tmp_path / "a.npz", train=npy(b"\x80\x04" + instruction * 5_000_000, (9000,)))
    assert path.stat().st_size < 100_000
    assert peak_of_refusal(path, r"far too many instructions|nested more than 32 deep") < 5_000_000


def test_calls_without_a_sketch_are_refused_soon(tmp_path):
    call = b"h\x00)R"
    path = save(tmp_path / "a.npz", train=npy(b"\x80\x04cnumpy\ndtype\nq\x00" + call * 5_000_000, (20_000_000,)))
    assert peak_of_refusal(path, "more than its compressed bytes hold") < 5_000_000
    path = save(tmp_path / "a.npz", train=npy(b"\x80\x04cnumpy\ndtype\nq\x00" + call * 5_000_000, (100,)))
    assert peak_of_refusal(path, "far too many instructions") < 5_000_000


@pytest.mark.parametrize("made", [python2_string, lambda data: b"B" + struct.pack("<I", len(data)) + data])
def test_data_that_are_never_used_are_charged(tmp_path, made):
    path = save(tmp_path / "a.npz", train=npy(b"\x80\x04]" + made(bytes(1_000_000)) * 40 + b"."))
    assert peak_of_refusal(path, "max_bytes = 20000000", max_bytes=20_000_000) < 23_000_000


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("as_objects", [True, False])
def test_memory_stays_within_max_bytes(tmp_path, order, as_objects):
    numbers = np.zeros((20, 20_000, 3), dtype="float64")
    numbers = (
        objects([np.array(sketch, order=order) for sketch in numbers]) if as_objects else np.array(numbers, order=order)
    )
    np.savez_compressed(tmp_path / "a.npz", train=numbers)
    del numbers
    size = 20 * 20_000 * 24
    # The data and the arrays; the numbers of an array in C order are read straight into the sketches.
    enough = size + 1_000_000 if order == "C" and not as_objects else 2 * size + 1_000_000
    tracemalloc.start()
    try:
        assert len(read_npz(tmp_path / "a.npz", splits=["train"], max_bytes=enough)["train"]) == 20
        assert tracemalloc.get_traced_memory()[1] < enough + 1_000_000
    finally:
        tracemalloc.stop()
    assert peak_of_refusal(tmp_path / "a.npz", "max_bytes", max_bytes=size - 1_000_000) < size + 1_000_000
    if enough > 2 * size:
        half = 3 * size // 2
        assert peak_of_refusal(tmp_path / "a.npz", "max_bytes", max_bytes=half) < half + 1_000_000


def test_a_sketch_of_more_points_than_any_drawing_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", train=np.zeros((1, 1_000_001, 3), dtype="int8"))
    assert peak_of_refusal(tmp_path / "a.npz", "at most 1,000,000 points in a sketch, got 1,000,001") < 3_000_000


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
