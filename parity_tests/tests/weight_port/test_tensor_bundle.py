"""weight_port.tensor_bundle: every kind of checkpoint is read, and every kind of damage is noticed."""

from pathlib import Path

import numpy as np
import pytest
from bundles import assert_same, sample_variables

from pytorch_sketch_rnn.errors import BadInput
from weight_port import leveldb_table
from weight_port import tensor_bundle_writer as bundle_writer
from weight_port.leveldb_table import MAX_BLOCK_BYTES, MAX_KEY_BYTES, masked_crc32c
from weight_port.tensor_bundle import TensorBundle
from weight_port.tensor_bundle_writer import bytes_field, entry, header, number_field, varint

REAL = Path(__file__).parents[4] / "shared/data/checkpoints/catbus-official/vector"


def assert_holds(prefix: Path, expected: dict[str, np.ndarray]) -> None:
    bundle = TensorBundle.open(prefix)
    assert set(bundle.entries) == set(expected)
    for name, value in expected.items():
        assert (bundle.entries[name].dtype, bundle.entries[name].shape) == (value.dtype, value.shape)
        assert_same(bundle.read(name), value)


def write_index(folder: Path, pairs: list[tuple[bytes, bytes]]) -> Path:
    return write_table(folder, bundle_writer.table(pairs))


def write_table(folder: Path, table: bytes) -> Path:
    (folder / "model.index").write_bytes(table)
    return folder / "model"


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"restart_interval": 1},
        {"restart_interval": 3, "per_block": 7},
        {"per_block": 1},
        {"snappy": True},
        {"snappy": True, "per_block": 5},
        {"num_shards": 3},
        {"num_shards": 12, "snappy": True, "per_block": 2, "restart_interval": 2},
    ],
    ids=str,
)
def test_what_was_written_is_read_in_every_layout(tmp_path, layout):
    expected = sample_variables()
    bundle_writer.write_bundle(tmp_path / "model.ckpt-1000", expected, **layout)
    assert_holds(tmp_path / "model.ckpt-1000", expected)


def test_an_empty_checkpoint_has_no_variables(tmp_path):
    bundle_writer.write_bundle(tmp_path / "model", {})
    assert TensorBundle.open(tmp_path / "model").entries == {}


def test_a_value_is_a_read_only_view(tmp_path):
    bundle_writer.write_bundle(tmp_path / "model", {"a": np.arange(5.0), "b": np.zeros((0, 2))})
    bundle = TensorBundle.open(tmp_path / "model")
    for name in ("a", "b"):
        value = bundle.read(name)
        assert not value.flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


def test_an_index_alone_lists_its_variables_and_its_missing_files(tmp_path):
    expected = {"a": np.arange(3), "b": np.ones((2, 2), np.float32), "c": np.float64(1)}
    bundle_writer.write_bundle(tmp_path / "model", expected, num_shards=3)
    names = [f"model.data-0000{shard}-of-00003" for shard in range(3)]
    (tmp_path / names[1]).unlink()
    bundle = TensorBundle.open(tmp_path / "model")
    assert bundle.shard_paths == [tmp_path / name for name in names]
    assert bundle.missing_shards == [tmp_path / names[1]]
    assert bundle.entries["b"].shape == (2, 2)
    assert_same(bundle.read("a"), expected["a"])
    with pytest.raises(BadInput, match=rf"{names[1]}: this data file is missing, and the variable 'b' is in it"):
        bundle.read("b")


def test_data_files_of_another_size_are_named(tmp_path):
    values = {name: np.arange(7, dtype=np.float32) for name in "abc"}
    bundle_writer.write_bundle(tmp_path / "model", values, num_shards=3)
    bundle = TensorBundle.open(tmp_path / "model")
    first, second, third = bundle.shard_paths
    assert bundle.odd_shards() == {}
    first.write_bytes(first.read_bytes() + b"x")
    second.write_bytes(second.read_bytes()[:-1])
    third.unlink()
    assert bundle.odd_shards() == {
        first: "has 29 bytes, but the index tells of 28",
        second: "has 27 bytes, but the index tells of 28",
    }


def test_an_unknown_variable_is_refused(tmp_path):
    bundle_writer.write_bundle(tmp_path / "model", {"a": np.arange(3)})
    with pytest.raises(BadInput, match="model: the checkpoint has no variable 'nope'"):
        TensorBundle.open(tmp_path / "model").read("nope")


@pytest.mark.parametrize(("number", "name"), [(7, "string"), (14, "bfloat16"), (21, "variant"), (999, "DataType 999")])
def test_a_type_that_numpy_lacks_is_listed_but_not_read(tmp_path, number, name):
    prefix = write_index(tmp_path, [(b"", header()), (b"odd", entry(number, (2,), size=11))])
    bundle = TensorBundle.open(prefix)
    found = bundle.entries["odd"]
    assert (found.dtype, found.tf_dtype, found.shape, found.size) == (None, name, (2,), 11)
    with pytest.raises(BadInput, match=f"the variable 'odd' is of type {name}, which is not supported"):
        bundle.read("odd")


def test_a_missing_index_and_a_folder_in_its_place_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"model\.index: the checkpoint's index cannot be read \(No such file"):
        TensorBundle.open(tmp_path / "model")
    (tmp_path / "model.index").mkdir()
    with pytest.raises(BadInput, match=r"model\.index: the checkpoint's index cannot be read"):
        TensorBundle.open(tmp_path / "model")


def test_a_folder_in_place_of_a_data_file_is_refused(tmp_path):
    bundle_writer.write_bundle(tmp_path / "model", {"a": np.arange(3)})
    (tmp_path / "model.data-00000-of-00001").unlink()
    (tmp_path / "model.data-00000-of-00001").mkdir()
    with pytest.raises(BadInput, match="data-00000-of-00001: this data file of the checkpoint cannot be read"):
        TensorBundle.open(tmp_path / "model").read("a")


def test_an_index_beyond_the_limit_is_refused_unread(tmp_path, monkeypatch):
    bundle_writer.write_bundle(tmp_path / "model", {"a": np.arange(3)})
    monkeypatch.setattr("weight_port.tensor_bundle.MAX_INDEX_BYTES", 10)
    with pytest.raises(BadInput, match="larger than 10 bytes"):
        TensorBundle.open(tmp_path / "model")


def test_more_variables_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("weight_port.tensor_bundle.MAX_VARIABLES", 2)
    bundle_writer.write_bundle(tmp_path / "model", {"a": np.arange(3), "b": np.arange(3)})
    assert len(TensorBundle.open(tmp_path / "model").entries) == 2
    bundle_writer.write_bundle(tmp_path / "model", {"a": np.arange(3), "b": np.arange(3), "c": np.arange(3)})
    with pytest.raises(BadInput, match="lists more than 2 variables"):
        TensorBundle.open(tmp_path / "model")


SLICE_KEY = b"\0name\0\x01\x02\x80\x81"
TOO_LONG_VARINT = b"\xff" * 10
BAD_RECORDS = {
    "big-endian": ([(b"", header(endianness=1))], "big-endian"),
    "newer format": ([(b"", header(min_consumer=2))], "in format version 2"),
    "no data files": ([(b"", header(num_shards=0))], "claims 0 data files"),
    "absurdly many data files": ([(b"", header(num_shards=2**31 - 1))], "claims 2147483647 data files"),
    "negative number of data files": ([(b"", header(num_shards=-1))], "claims -1 data files"),
    "no header": ([(b"a", entry())], "lacks the header"),
    "nothing at all": ([], "lacks the header"),
    "slices": ([(b"", header()), (b"a", entry() + (bytes_field(7, b"")))], "partitioned into slices"),
    "slice": ([(b"", header()), (SLICE_KEY, entry())], "partitioned into slices"),
    "name not UTF-8": ([(b"", header()), (b"a\xff", entry())], "is not UTF-8"),
    "a name twice": ([(b"", header()), (b"a", entry()), (b"a", entry())], "b'a' comes twice"),
    "names out of order": ([(b"", header()), (b"b", entry()), (b"a", entry())], "b'a' comes twice or out of order"),
    "no type": ([(b"", header()), (b"a", entry(0))], "impossible type 0"),
    "negative type": ([(b"", header()), (b"a", entry(-1))], "impossible type -1"),
    "size too small": ([(b"", header()), (b"a", entry(1, (2, 3), size=23))], r"shape \[2, 3\] cannot take 23 bytes"),
    "size too large": ([(b"", header()), (b"a", entry(2, (), size=9))], r"float64 and shape \[\] cannot take 9 bytes"),
    "negative size": ([(b"", header()), (b"a", entry(size=-4))], "negative place: -4 bytes at 0"),
    "negative offset": ([(b"", header()), (b"a", entry(offset=-1))], "negative place: 4 bytes at -1"),
    "negative dimension": ([(b"", header()), (b"a", entry(1, (-1, -1)))], r"negative dimension: \[-1, -1\]"),
    "too many dimensions": ([(b"", header()), (b"a", entry(1, (1,) * 65))], "more than 64 dimensions"),
    "unknown rank": ([(b"", header()), (b"a", number_field(1, 1) + bytes_field(2, number_field(3, 1)))], "no shape"),
    "huge empty shape": ([(b"", header()), (b"a", entry(1, (2**40, 0, 2**40), size=0))], "the impossible shape"),
    "no such data file": ([(b"", header(2)), (b"a", entry(shard=2))], "in data file 2, of 2"),
    "negative data file": ([(b"", header(2)), (b"a", entry(shard=-1))], "in data file -1, of 2"),
    "two shapes": ([(b"", header()), (b"a", entry() + (bytes_field(2, b"")))], "field 2 of a record comes twice"),
    "wrong wire type": ([(b"", header()), (b"a", entry() + (number_field(6, 1)))], "wire type 0"),
    "unknown wire type": ([(b"", header()), (b"a", entry() + (varint(9 << 3 | 3)))], "unknown wire type 3"),
    "field number 0": ([(b"", header()), (b"a", entry() + (b"\0\0"))], "field number 0"),
    "too long varint": ([(b"", header()), (b"a", entry() + (varint(9 << 3) + TOO_LONG_VARINT))], "longer than 64 bits"),
    "just too large varint": (
        [(b"", header()), (b"a", entry() + (varint(9 << 3) + b"\xff" * 9 + b"\x02"))],
        "longer than 64 bits",
    ),
    "cut-off varint": ([(b"", header()), (b"a", entry() + (varint(9 << 3) + b"\xff"))], "in the middle of a record"),
    "cut-off bytes": ([(b"", header()), (b"a", entry() + (b"\x4a\xff\xff\x03xx"))], "in the middle of a record"),
}


@pytest.mark.parametrize(("pairs", "message"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_sound_table_with_bad_records_is_refused(tmp_path, pairs, message):
    prefix = write_index(tmp_path, pairs)
    with pytest.raises(BadInput, match=rf"model\.index: .*{message}"):
        TensorBundle.open(prefix)


def test_unknown_fields_are_skipped(tmp_path):
    more = number_field(99, 2**64 - 1) + bytes_field(98, b"xyz") + varint(97 << 3 | 5) + b"1234"
    more += varint(96 << 3 | 1) + b"12345678"
    prefix = write_index(tmp_path, [(b"", header()), (b"a", entry(1, (2,), size=8) + more)])
    assert TensorBundle.open(prefix).entries["a"].shape == (2,)


HEADER_PAIR = (b"", header())
SOUND_BLOCK = (b"", bundle_writer.block([HEADER_PAIR]), 0)


def one_block(stored: bytes, kind: int = 0) -> bytes:
    return bundle_writer.assemble([(b"", stored, kind)])


def with_handle(offset: int, size: int) -> bytes:
    """A table whose only data block is said to be elsewhere."""
    meta = bundle_writer.block([])
    index = bundle_writer.block([(b"", varint(offset) + varint(size))])
    blocks = bundle_writer.with_trailer(meta, 0) + bundle_writer.with_trailer(index, 0)
    footer = varint(0) + varint(len(meta)) + varint(len(meta) + 5) + varint(len(index))
    return blocks + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


BAD_TABLES = {
    "no bytes": (b"", "it has 0 bytes"),
    "text": (b"model_checkpoint_path: 'vector-1000'\n" * 3, "the magic number"),
    "unknown compression": (one_block(SOUND_BLOCK[1], 2), "unknown compression 2"),
    "empty data block": (bundle_writer.assemble([SOUND_BLOCK, (b"a", bundle_writer.block([]), 0)]), "blocks is empty"),
    "the same block twice": (bundle_writer.assemble([SOUND_BLOCK, SOUND_BLOCK]), "comes twice or out of order"),
    "block too short": (one_block(b"\0\0"), "too short"),
    "too many restarts": (one_block(b"\0\0\0\0\xff\xff\xff\xff"), "more restart points"),
    "key shares too much": (one_block(b"\x01\x00\x00" + b"\0\0\0\0\1\0\0\0"), "shares more bytes"),
    "key too long": (
        bundle_writer.table([HEADER_PAIR, (b"k" * (MAX_KEY_BYTES + 1), entry())]),
        f"a key has {MAX_KEY_BYTES + 1} bytes",
    ),
    "value beyond the block": (one_block(b"\x00\x00\x7f" + b"\0\0\0\0\1\0\0\0"), "in the middle of a record"),
    "block far away": (with_handle(2**62, 5), "would end beyond"),
    "block over the footer": (with_handle(0, 30), "would end beyond"),
    "huge block": (with_handle(0, 2**64 - 1), "would end beyond"),
    "snappy bomb": (one_block(varint(2**32 - 1) + b"\0\0", 1), "claims 4294967295 bytes; the limit is"),
    "snappy just over the limit": (one_block(varint(MAX_BLOCK_BYTES + 1) + b"\0\0", 1), "the limit is"),
    "snappy garbage": (one_block(varint(100) + b"\xff\xff", 1), "cannot be unpacked"),
    "snappy of no bytes": (one_block(b"", 1), "in the middle of a record"),
    "snappy preamble cut off": (one_block(b"\x80", 1), "in the middle of a record"),
}


@pytest.mark.parametrize(("table", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_broken_table_is_refused(tmp_path, table, message):
    prefix = write_table(tmp_path, table)
    with pytest.raises(BadInput, match=rf"model\.index: .*{message}"):
        TensorBundle.open(prefix)


@pytest.mark.parametrize(("offset", "reads"), [(0, True), (5, True), (6, False), (2**62, False)])
def test_a_variable_must_lie_within_its_data_file(tmp_path, offset, reads):
    data = bytes(range(9))
    pairs = [HEADER_PAIR, (b"a", entry(offset=offset, crc32c=bundle_writer.masked(data[offset : offset + 4])))]
    prefix = write_index(tmp_path, pairs)
    (tmp_path / "model.data-00000-of-00001").write_bytes(data)
    bundle = TensorBundle.open(prefix)
    if reads:
        assert bundle.read("a").tobytes() == data[offset : offset + 4]
    else:
        with pytest.raises(BadInput, match=rf"of-00001: has 9 bytes, but the variable 'a' takes .* from {offset} on"):
            bundle.read("a")


def small_bundle(prefix: Path, snappy: bool) -> dict[str, np.ndarray]:
    expected = {
        "ab": np.array([1.5, -2.5], np.float32),
        "abc": np.array(7, np.int64),
        "b/empty": np.zeros((0, 2), np.float32),
        "b/flag": np.array([True, False, True]),
    }
    bundle_writer.write_bundle(prefix, expected, per_block=3, restart_interval=2, snappy=snappy)
    return expected


@pytest.mark.parametrize("snappy", [False, True])
def test_no_flipped_byte_of_an_index_goes_unnoticed(tmp_path, snappy):
    expected = small_bundle(tmp_path / "model", snappy)
    sound = (tmp_path / "model.index").read_bytes()
    unnoticed = set()
    for position in range(len(sound)):
        for mask in (0x01, 0x08, 0x80, 0xFF):
            damaged = bytearray(sound)
            damaged[position] ^= mask
            write_table(tmp_path, bytes(damaged))
            try:
                assert_holds(tmp_path / "model", expected)
                unnoticed.add(position)
            except BadInput:
                pass
    # The footer's padding says nothing, and neither does a leading zero of the number in front of it.
    handles = sound[-48:-8].rstrip(b"\0")
    assert unnoticed <= set(range(len(sound) - 48 + len(handles) - 1, len(sound) - 8))


@pytest.mark.parametrize("snappy", [False, True])
def test_no_cut_off_index_is_taken(tmp_path, snappy):
    small_bundle(tmp_path / "model", snappy)
    sound = (tmp_path / "model.index").read_bytes()
    for length in range(len(sound)):
        write_table(tmp_path, sound[:length])
        with pytest.raises(BadInput, match=r"model\.index"):
            TensorBundle.open(tmp_path / "model")


def test_a_flipped_byte_of_data_is_laid_to_its_variable_alone(tmp_path):
    expected = small_bundle(tmp_path / "model", False)
    path = tmp_path / "model.data-00000-of-00001"
    sound = path.read_bytes()
    entries = TensorBundle.open(tmp_path / "model").entries
    for position in range(len(sound)):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 0x10]) + sound[position + 1 :])
        bundle = TensorBundle.open(tmp_path / "model")
        for name, value in expected.items():
            if entries[name].offset <= position < entries[name].offset + entries[name].size:
                with pytest.raises(BadInput, match=f"{path.name}: the bytes of the variable '{name}' differ"):
                    bundle.read(name)
            else:
                assert_same(bundle.read(name), value)


def test_cut_off_data_is_laid_to_the_variables_that_it_lacks(tmp_path):
    expected = small_bundle(tmp_path / "model", False)
    path = tmp_path / "model.data-00000-of-00001"
    sound = path.read_bytes()
    entries = TensorBundle.open(tmp_path / "model").entries
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        bundle = TensorBundle.open(tmp_path / "model")
        for name, value in expected.items():
            if entries[name].offset + entries[name].size > length:
                with pytest.raises(BadInput, match=f"{path.name}: has {length} bytes, but the variable '{name}' takes"):
                    bundle.read(name)
            else:
                assert_same(bundle.read(name), value)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_a_checksum_covers_all_parts_however_they_are_cut(monkeypatch, chunk):
    monkeypatch.setattr(leveldb_table, "_CRC_CHUNK_BYTES", chunk)
    data = np.random.default_rng(0).bytes(200)
    for parts in ([data], [data[:70], data[70:]], [b"", data[:1], b"", data[1:]]):
        assert masked_crc32c(*parts) == bundle_writer.masked(data)
    assert masked_crc32c(memoryview(data)) == bundle_writer.masked(data)


def test_damage_anywhere_in_a_large_variable_is_noticed(tmp_path):
    large = np.arange(600_000, dtype=np.float32)  # more than two of the chunks that are summed
    bundle_writer.write_bundle(tmp_path / "model", {"a": large})
    path = tmp_path / "model.data-00000-of-00001"
    sound = path.read_bytes()
    assert_same(TensorBundle.open(tmp_path / "model").read("a"), large)
    for position in (0, 2**20 - 1, 2**20, 2**21 + 5, len(sound) - 1):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
        with pytest.raises(BadInput, match="the bytes of the variable 'a' differ"):
            TensorBundle.open(tmp_path / "model").read("a")


def test_a_wrong_checksum_of_an_empty_variable_is_noticed(tmp_path):
    prefix = write_index(tmp_path, [HEADER_PAIR, (b"a", entry(1, (0,), size=0, crc32c=1))])
    (tmp_path / "model.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(BadInput, match="the bytes of the variable 'a' differ"):
        TensorBundle.open(prefix).read("a")


def test_random_bytes_with_sound_checksums_never_break_the_reader(tmp_path):
    """Flipped bytes are caught by the checksums; here the records are changed before those are made."""
    random = np.random.default_rng(2)
    pairs = [HEADER_PAIR, (b"ab", entry(1, (2, 3), size=24, offset=8)), (b"abc", entry(3, (), offset=40))]
    plain = bundle_writer.block(pairs, 2)
    (tmp_path / "model.data-00000-of-00001").write_bytes(bytes(64))
    outcomes = {"listed": 0, "refused": 0}
    for _ in range(2000):
        mutated = bytearray(plain)
        for _ in range(random.integers(1, 3)):
            mutated[random.integers(len(mutated))] ^= 1 << random.integers(8)
        prefix = write_table(tmp_path, one_block(bytes(mutated)))
        try:
            bundle = TensorBundle.open(prefix)
        except BadInput:
            outcomes["refused"] += 1
            continue
        outcomes["listed"] += 1
        for name in bundle.entries:
            with pytest.raises(BadInput):
                bundle.read(name)
    assert min(outcomes.values()) > 30


@pytest.mark.skipif(not REAL.with_name("vector.index").is_file(), reason="the real data are not here")
def test_the_index_of_an_official_checkpoint_is_read():
    bundle = TensorBundle.open(REAL)
    assert bundle.missing_shards == [REAL.with_name("vector.data-00000-of-00001")]
    assert len(bundle.entries) == 56
    shapes = {name: found.shape for name, found in bundle.entries.items()}
    assert shapes["vector_rnn/RNN/LSTMCell/W_xh"] == (133, 2048)
    assert shapes["vector_rnn/ENC_RNN_mu/super_linear_w"] == (512, 128)
    assert shapes["vector_rnn/RNN/output_b"] == (123,)
    assert bundle.entries["vector_rnn/global_step"].dtype == np.int32
    # The trainer's initial learning rate is known, and with it the checksum of its four bytes.
    assert bundle.entries["vector_rnn/Variable"].crc32c == masked_crc32c(np.float32(0.001).tobytes())
    # The variables fill the data file without gaps.
    places = sorted((found.offset, found.size) for found in bundle.entries.values())
    assert [offset for offset, _ in places] == [0, *np.cumsum([size for _, size in places])[:-1]]
