"""weight_port.tensor_bundle_writer: our reader and TensorFlow read back what it writes, bit for bit."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import assert_same, sample_variables

from pytorch_sketch_rnn.errors import BadInput
from weight_port import tensor_bundle_writer as bundle_writer
from weight_port.tensor_bundle import TensorBundle


def test_names_are_sorted_and_the_files_are_the_same_whatever_the_order_given(tmp_path):
    variables = sample_variables()
    bundle_writer.write_bundle(tmp_path / "a" / "model", variables)
    bundle_writer.write_bundle(tmp_path / "b" / "model", reversed(variables.items()))
    for name in ("model.index", "model.data-00000-of-00001"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    names = list(TensorBundle.open(tmp_path / "a/model").entries)
    assert names == sorted(names, key=str.encode)
    assert len(names) == len(variables)


def test_big_endian_values_are_stored_little_endian(tmp_path):
    bundle_writer.write_bundle(tmp_path / "model", {"a": np.arange(3, dtype=">f4")})
    assert_same(TensorBundle.open(tmp_path / "model").read("a"), np.arange(3, dtype="<f4"))


def test_a_transposed_view_is_stored_in_the_order_of_its_rows(tmp_path):
    value = np.arange(6, dtype=np.float32).reshape(2, 3).T
    bundle_writer.write_bundle(tmp_path / "model", {"a": value})
    assert_same(TensorBundle.open(tmp_path / "model").read("a"), value)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ([("a", 1.0), ("b", 2.0), ("a", 3.0)], "the variable 'a' comes twice"),
        ([("", 1.0)], "'' cannot be the name of a variable"),
        ([("\0a", 1.0)], r"'\\x00a' cannot be the name"),
        ([("\ud800", 1.0)], r"'\\ud800' cannot be the name"),
        ([("a" * 2000, 1.0)], f"'{'a' * 60}' cannot be the name"),
        ([("a", "text")], "the variable 'a' holds <U4, a type that TensorFlow lacks"),
        ([("a", np.longdouble(1))], "the variable 'a' holds float128, a type that TensorFlow lacks"),
        ([("a", None)], "the variable 'a' holds object, a type that TensorFlow lacks"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused_and_nothing_is_written(tmp_path, variables, message):
    with pytest.raises(BadInput, match=rf"model: {message}"):
        bundle_writer.write_bundle(tmp_path / "model", variables)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    old = {"a": np.arange(5, dtype=np.float32)}
    bundle_writer.write_bundle(tmp_path / "model", old)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_bytes, written = Path.write_bytes, []

    def fail(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(BadInput, match=r"cannot be written \(No space left on device\)"):
        bundle_writer.write_bundle(tmp_path / "model", {"a": np.zeros(9)})
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert_same(TensorBundle.open(tmp_path / "model").read("a"), old["a"])


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"file/model: cannot be written \("):
        bundle_writer.write_bundle(tmp_path / "file" / "model", {})


# Runs in a process of its own: TensorFlow writes checkpoints, reads those and ours, and stores all values as .npz.
ORACLE = """
import sys
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
folder = sys.argv[1]
random = np.random.default_rng(3)
values = {
    "scalar": np.float32(0.001), "step": np.int64(12345), "empty": np.zeros((0, 4), np.float32),
    "flags": np.array([True, False, True]), "half": random.standard_normal((3, 2)).astype(np.float16),
    "double": random.standard_normal((5,)), "complex": np.array([1 + 2j], np.complex64),
    "bytes": np.arange(7, dtype=np.uint8), "special": np.array([np.nan, -np.inf, -0.0], np.float32),
}
for kind in ("int8", "int16", "int32", "uint16", "uint32", "uint64"):
    values[kind] = random.integers(0, 100, (2, 3)).astype(kind)
# Names so long and so different that the index takes several blocks of 256 KiB.
for index in range(400):
    name = "".join(random.choice(list("abcdefghijklmnop_/"), 900)).replace("/", "/x")[:900]
    values[f"v{index}/{name}"] = random.standard_normal(index % 7).astype(np.float32)

def save(path, build):
    with tf1.Graph().as_default(), tf1.Session() as session:
        build()
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, path, write_meta_graph=False)

def build_plain():
    for name, value in values.items():
        tf1.get_variable(name, initializer=value)
    tf1.get_variable("text", initializer=tf.constant(["some", "text"]))
    tf1.get_variable("brain", initializer=tf.constant([1.5], tf.bfloat16))

def build_partitioned():
    partitioner = tf1.fixed_size_partitioner(2)
    tf1.get_variable("whole", (4, 3), initializer=tf1.zeros_initializer(), partitioner=partitioner)

save(f"{folder}/plain", build_plain)
save(f"{folder}/partitioned", build_partitioned)

parts = []
for part in range(2):
    names = [name for index, name in enumerate(values) if index % 2 == part]
    parts.append(f"{folder}/part{part}")
    tensors = [tf.constant(values[name]) for name in names]
    tf.raw_ops.SaveV2(prefix=parts[-1], tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=f"{folder}/sharded")

for prefix in sys.argv[2:]:
    reader = tf.train.load_checkpoint(prefix)
    arrays = {name: reader.get_tensor(name) for name in reader.get_variable_to_dtype_map()}
    kept = {name: array for name, array in arrays.items() if name not in ("text", "brain")}
    np.savez(f"{prefix}.npz", names=list(arrays), keys=list(kept), **{f"a{i}": a for i, a in enumerate(kept.values())})
"""


@pytest.mark.oracle
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_tensorflow_and_this_reader_agree_bit_for_bit(tmp_path):
    ours = {"ours": {}, "ours-snappy": {"num_shards": 3, "snappy": True, "per_block": 5, "restart_interval": 3}}
    for name, layout in ours.items():
        bundle_writer.write_bundle(tmp_path / name, sample_variables(), **layout)
    prefixes = [tmp_path / name for name in ("plain", "sharded", *ours)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    command = [sys.executable, "-c", ORACLE, str(tmp_path), *map(str, prefixes)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr

    for prefix in prefixes:
        bundle = TensorBundle.open(prefix)
        with np.load(f"{prefix}.npz", allow_pickle=False) as archive:
            assert set(bundle.entries) == set(archive["names"].tolist())
            for index, name in enumerate(archive["keys"].tolist()):
                assert_same(bundle.read(name), archive[f"a{index}"])

    plain = TensorBundle.open(tmp_path / "plain")
    assert (tmp_path / "plain.index").stat().st_size > 300_000, "an index of one block proves too little"
    assert len(plain.entries) == 417
    assert {plain.entries[name].tf_dtype for name in plain.entries if plain.entries[name].dtype is None} == {
        "string",
        "bfloat16",
    }
    assert TensorBundle.open(tmp_path / "sharded").num_shards == 2
    with pytest.raises(BadInput, match="partitioned into slices"):
        TensorBundle.open(tmp_path / "partitioned")
