"""Folders, files and archives with a model, for the tests of what opens them."""

import base64
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.errors import BadInput
from weight_port import tensor_bundle_writer as bundle_writer
from weight_port.source import Source, open_source

REAL = Path(__file__).parents[4] / "shared/data/checkpoints/catbus-official"
VARIABLES = {"vector_rnn/a": np.arange(6, dtype=np.float32).reshape(2, 3), "vector_rnn/step": np.array(1001, np.int64)}
OTHER = {"vector_rnn/a": np.zeros(1, np.float32)}
CONFIG = {"dec_model": "lstm", "conditional": 1}
CHECKPOINT = 'model_checkpoint_path: "{0}"\nall_model_checkpoint_paths: "{0}"\n'


def make_folder(folder: Path, name: str = "vector-1000", **layout) -> Path:
    bundle_writer.write_bundle(folder / name, VARIABLES, **layout)
    (folder / "checkpoint").write_text(CHECKPOINT.format(name))
    (folder / "model_config.json").write_text(json.dumps(CONFIG))
    return folder


def js_model() -> str:
    shapes = [[1, 123], [123], [5, 4], [1, 4], [4]]
    blobs = [base64.b64encode(np.ones(shape, "<i2").tobytes()).decode() for shape in shapes]
    return json.dumps([{"mode": 2, "name": "bird"}, shapes, blobs])


def make_zip(path: Path, members: dict[str, Path | str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content.read_bytes() if isinstance(content, Path) else content)
    return path


def model_members(folder: Path, inside: str) -> dict[str, Path]:
    """The files of a folder as members of an archive."""
    return {f"{inside}{file.name}": file for file in sorted(folder.iterdir())}


def assert_is_the_model(source: Source) -> None:
    assert source.format == "tensor bundle"
    assert source.variables.names() == list(VARIABLES)
    for name, value in VARIABLES.items():
        assert source.variables.shape(name) == value.shape
        assert source.variables.dtype(name) == value.dtype
        np.testing.assert_array_equal(source.variables.read(name), value, strict=True)
    assert source.missing == []
    assert source.info == {}


def refuse(path: Path, message: str, member: str | None = None) -> str:
    """Opening must fail with a message that matches; the whole message."""
    with pytest.raises(BadInput, match=message) as caught, open_source(path, member):
        pass
    return str(caught.value)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
