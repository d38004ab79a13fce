"""Changes of zip archives and of the stroke sets in them, with right checksums of the members."""

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from random import Random

import numpy as np

from parity_tests.fuzz.mutators.arrays import mutate_array
from parity_tests.fuzz.mutators.raw import mutate_bytes

Members = dict[str, bytes]

_NAMES = (
    "../x.index", "/etc/x.index", "a\\b.index", "C:/x.index", "sketch_rnn/cat/", "a\nb", "checkpoint", "\x1b[31m.json",
    "x" * 5000, "sketch_rnn/dog/model.gen.json", "__MACOSX/x", "train.npy", "valid", "./train.npy", "train.npy/",
    "é.npy",
)  # fmt: skip
_HEADERS = (
    b"'descr'", b"'|O'", b"'<i2'", b"'>f8'", b"'<U5'", b"'V'", b"(2,)", b"(-1,)", b"(10**9,)", b"True", b"'shape'",
    b"()",
    b"'O'", b"(99999999999,)", b"(" * 150, b"{", b"}", b"\n", b"1, 2, 3",
)  # fmt: skip
# Instructions of a pickle, and names of what it may call.
PICKLE = (
    *(getattr(pickle, name) for name in (
        "MARK", "STOP", "POP", "POP_MARK", "DUP", "FLOAT", "INT", "BININT", "BININT1", "LONG", "BININT2", "NONE",
        "PERSID",
        "BINPERSID", "REDUCE", "STRING", "BINSTRING", "UNICODE", "BINUNICODE", "APPEND", "BUILD", "GLOBAL", "DICT",
        "EMPTY_DICT", "APPENDS", "GET", "BINGET", "INST", "LONG_BINGET", "LIST", "EMPTY_LIST", "OBJ", "PUT", "BINPUT",
        "LONG_BINPUT", "SETITEM", "TUPLE", "EMPTY_TUPLE", "SETITEMS", "BINFLOAT", "PROTO", "NEWOBJ", "EXT1", "TUPLE1",
        "TUPLE2", "TUPLE3", "NEWTRUE", "NEWFALSE", "LONG1", "LONG4", "BINBYTES", "SHORT_BINBYTES", "FRAME", "MEMOIZE",
        "BYTEARRAY8", "STACK_GLOBAL", "BINUNICODE8", "BINBYTES8", "EMPTY_SET",
    )),
    b"(" * 3000, b"]" * 3000, b")\x85" * 500, b"cposix\nsystem\n", b"c_codecs\nencode\n", b"cnumpy\ndtype\n",
    b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8a\xff", b"\x96\xff\xff\xff\xff\x00\x00\x00\x00",
)  # fmt: skip


def mutate_archive(
    random: Random,
    data: bytes,
    mutate_member: Callable[[Random, str, bytes], bytes],
    compressions: Sequence[int] = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED),
) -> bytes:
    """A changed archive: its members, or sometimes its own bytes.

    Args:
        random: decides everything.
        data: a valid archive.
        mutate_member: changes the content of a member, given its name.
        compressions: one of these is chosen.
    """
    if random.random() < 0.2:
        return mutate_bytes(random, data, (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"))
    members = read_members(data)
    name = random.choice(list(members))
    if random.random() < 0.75:
        members[name] = mutate_member(random, name, members[name])
    else:
        random.choice((_remove, _rename, _copy))(random, members, name)
    return write_members(members, random.choice(compressions))


def _remove(random: Random, members: Members, name: str) -> None:
    del members[name]


def _rename(random: Random, members: Members, name: str) -> None:
    members[random.choice(_NAMES)] = members.pop(name)


def _copy(random: Random, members: Members, name: str) -> None:
    members[random.choice(_NAMES)] = members[name]


def read_members(data: bytes) -> Members:
    """The content of each member of a valid archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive whose bytes depend on nothing else."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def mutate_strokes(random: Random, member: bytes, sketches: list[np.ndarray]) -> bytes:
    """A changed ``.npy`` member of pickled sketches: its header, its pickle, or one of its sketches.

    Args:
        random: decides everything.
        member: as our own writer makes it.
        sketches: what it holds, as our reader, which runs nothing, has read it.
    """
    size = 10 + int.from_bytes(member[8:10], "little")  # magic string, version and length of the header
    header, pickled = member[:size], member[size:]
    change = random.random()
    if change < 0.2:
        return mutate_bytes(random, header, _HEADERS) + pickled
    if change < 0.5:
        return header + mutate_bytes(random, pickled, PICKLE)
    return _npy(random, _changed_sketches(random, sketches))


def _changed_sketches(random: Random, sketches: list[np.ndarray]) -> np.ndarray:
    items = list(sketches)
    place = random.randrange(len(items))
    items[place] = mutate_array(random, items[place])
    if random.random() < 0.2:
        del items[: random.randrange(len(items) + 1)]
    changed = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        changed[index] = item
    return changed


def _npy(random: Random, sketches: np.ndarray) -> bytes:
    lengths = {item.shape for item in sketches if isinstance(item, np.ndarray)}
    if len(lengths) == 1 and random.random() < 0.5:
        sketches = np.stack(list(sketches))
    file = io.BytesIO()
    np.save(file, sketches, allow_pickle=True)
    return file.getvalue()
