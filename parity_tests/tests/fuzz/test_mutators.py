"""Mutants are reproducible, differ from each other, and get past the checksums of their formats."""

import hashlib
import json
import zipfile
from collections import Counter
from random import Random

import numpy as np
import pytest
import safetensors.numpy

from parity_tests.fuzz import kinds
from parity_tests.fuzz.mutators import documents
from parity_tests.fuzz.mutators.archives import mutate_archive, read_members, write_members
from parity_tests.fuzz.mutators.arrays import mutate_array
from parity_tests.fuzz.mutators.bundle import mutate_index, mutate_message
from parity_tests.fuzz.mutators.documents import mutate_json
from parity_tests.fuzz.mutators.drawings import mutate_svg
from parity_tests.fuzz.mutators.hdf5 import mutate_recording
from parity_tests.fuzz.mutators.raw import MOST_BYTES, mutate_bytes
from parity_tests.fuzz.mutators.weights import mutate_weights
from parity_tests.record.recording import FOLDER, check_seal
from weight_port import tensor_bundle_writer as writer
from weight_port.leveldb_table import Damaged, read_table

INDEX = writer.table(
    [(b"", writer.header()), *((b"w%02d" % n, writer.entry(1, (2, 3), 0, 24 * n, 24)) for n in range(9))]
)
DOCUMENT = {"mode": 2, "names": ["a", "b"], "sizes": [[1, 2], [3.5]], "on": True}
SVG = b'<svg><g transform="scale(2)"><path d="M 0 0 L 9 9"/></g></svg>'
ARCHIVE = write_members({"train.npy": b"first", "valid.npy": b"second"})
WEIGHTS = safetensors.numpy.save({"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float32)})

MUTATORS = {
    "bytes": lambda random: mutate_bytes(random, b"some 12 bytes", (b"token",)),
    "json": lambda random: mutate_json(random, DOCUMENT),
    "index": lambda random: mutate_index(random, INDEX),
    "message": lambda random: mutate_message(random, writer.entry(1, (2, 3), 0, 24, 24)),
    "svg": lambda random: mutate_svg(random, SVG),
    "archive": lambda random: mutate_archive(random, ARCHIVE, lambda random, name, data: mutate_bytes(random, data)),
    "weights": lambda random: mutate_weights(random, WEIGHTS),
    "array": lambda random: repr(mutate_array(random, np.arange(6.0).reshape(2, 3))).encode(),
}  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATORS.values(), ids=MUTATORS)
def test_a_mutant_depends_on_its_seed_alone(mutate):
    mutants = [mutate(Random(f"kind {seed}")) for seed in range(100)]
    assert mutants == [mutate(Random(f"kind {seed}")) for seed in range(100)]
    assert len(set(mutants)) > 50
    assert max(map(len, mutants)) <= 2 * MOST_BYTES


def share(accepts, mutate, count=200):
    """The share of mutants that pass a first check."""
    return sum(accepts(mutate(Random(seed))) for seed in range(count)) / count


def test_most_changed_documents_are_json():
    def accepts(data):
        try:
            return bool(json.loads(data)) or True
        except (ValueError, RecursionError):
            return False

    assert 0.6 < share(accepts, MUTATORS["json"]) < 1


def test_most_changed_indexes_have_right_checksums():
    def accepts(data):
        try:
            return bool(list(read_table(data))) or True
        except Damaged:
            return False

    assert 0.5 < share(accepts, MUTATORS["index"]) < 1


def test_most_changed_archives_have_right_checksums():
    def accepts(data):
        try:
            return bool(read_members(data)) or True
        except (
            zipfile.BadZipFile,
            ValueError,
            EOFError,
            NotImplementedError,
            RuntimeError,
            OSError,
            zipfile.zlib.error,
        ):
            return False

    assert 0.6 < share(accepts, MUTATORS["archive"]) < 1


def test_most_changed_weights_can_be_read():
    def accepts(data):
        try:
            return bool(safetensors.numpy.load(data)) or True
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError):
            return False

    assert 0.4 < share(accepts, MUTATORS["weights"]) < 1


def test_every_changed_recording_is_sealed(tmp_path):
    path = tmp_path / "a.h5"
    sizes = Counter()
    of_bytes = [seed for seed in range(100) if Random(seed).random() < 0.1]  # see mutate_recording
    for seed in [*range(8), *of_bytes[:4]]:
        path.write_bytes((FOLDER / "data.h5").read_bytes())
        mutate_recording(Random(seed), path)
        check_seal(path)
        sizes[path.stat().st_size] += 1
    assert len(sizes) > 5


def test_the_original_is_not_changed():
    document, array = json.loads(json.dumps(DOCUMENT)), np.arange(6.0)
    for seed in range(100):
        mutate_json(Random(seed), document)
        mutate_array(Random(seed), array)
    assert document == DOCUMENT
    np.testing.assert_array_equal(array, np.arange(6.0))


def test_a_mutants_checksums_are_those_of_the_files_that_are_there(tmp_path):
    (tmp_path / "config.json").write_bytes(b"{}")
    recorded = tmp_path / "SHA256SUMS"
    lines = [f"{'0' * 64}  {name}\n" for name in ("owl" * 200, "config.json", "model.safetensors")]
    recorded.write_text("".join(lines))
    kinds._right_checksums(tmp_path)
    assert recorded.read_text() == f"{hashlib.sha256(b'{}').hexdigest()}  config.json\n"


def test_an_odd_value_in_a_document_can_be_changed_without_changing_the_next_one():
    odd, seen = [value for value in documents.ODD_VALUES if isinstance(value, list | dict)], 0
    for seed in range(500):
        holder = [0]
        documents._replace(Random(seed), holder, 0)
        seen += isinstance(holder[0], list | dict)
        assert not any(holder[0] is value for value in odd)
    assert seen > 50
