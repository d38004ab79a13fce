"""Magenta's models as files, for the tests of the command line."""

import base64
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy
from sample_models import checkpoint, tiny, weight_shapes

import weight_port.__main__
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port import tensor_bundle_writer as bundle_writer
from weight_port.names import table, weight_names
from weight_port.sketch_rnn_js import DECODER_ORDER, VAE_ORDER

ROOT = Path(__file__).resolve().parents[3]
REAL = Path(__file__).parents[4] / "shared/data"
CONFIG = {"dec_model": "lstm", "max_seq_len": 33}
DATA = "vector-1000.data-00000-of-00001"
WEIGHTS_ALONE = ["config.json", "conversion.json", "model.safetensors"]
FILES = [*WEIGHTS_ALONE, "optimizer.safetensors"]


def call(*arguments: object) -> int:
    """The command line in this process; its exit code."""
    return run_command(weight_port.__main__.main, list(map(str, arguments)))


def spawn(*arguments: object, code: str | None = None, **more) -> subprocess.CompletedProcess:
    """The command line in a process of its own, or other Python code."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "weight_port"]), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **more)


def write_checkpoint(folder: Path, variables: dict | None = None, config: object = CONFIG, **layout) -> Path:
    """A folder such as Magenta's trainer leaves."""
    bundle_writer.write_bundle(folder / "vector-1000", checkpoint(tiny()) if variables is None else variables, **layout)
    (folder / "checkpoint").write_text('model_checkpoint_path: "vector-1000"\n')
    (folder / "model_config.json").write_text(json.dumps(config))
    return folder


def js_model(mode: object, encode: Callable[[np.ndarray], object]) -> tuple[list, dict[str, np.ndarray]]:
    """A sketch-rnn-js model, and the weights that it stands for."""
    hparams = tiny("lstm" if mode == 1 else None, "lstm").replace(num_mixture=20)
    order = [table(hparams).official(ours) for ours in (DECODER_ORDER if mode == 2 else VAE_ORDER)]
    shapes = weight_shapes(hparams)
    random = np.random.default_rng(2)
    numbers = {name: random.integers(-32767, 32768, shapes[name]).astype("<i2") for name in order}
    document = [{"mode": mode, "max_seq_len": 44}, [list(shapes[n]) for n in order], [*map(encode, numbers.values())]]
    return document, {name: (value.astype(int) * 10 / 32767).astype(np.float32) for name, value in numbers.items()}


def as_base64(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.tobytes()).decode()


def as_list(numbers: np.ndarray) -> list:
    return numbers.ravel().tolist()


def make_zip(path: Path, **folders: Path) -> Path:
    """An archive of model folders, each below a name."""
    with zipfile.ZipFile(path, "w") as archive:
        for inside, folder in folders.items():
            for file in sorted(folder.iterdir()):
                archive.write(file, f"sketch_rnn/{inside}/{file.name}")
    return path


def assert_holds(out: Path, variables: dict[str, np.ndarray], hparams: HParams) -> None:
    """A converted folder holds these weights bit for bit, and the model can be read."""
    found = safetensors.numpy.load_file(out / "model.safetensors")
    names = weight_names(hparams)
    assert set(found) == set(names.values())
    for official, ours in names.items():
        assert found[ours].dtype == variables[official].dtype
        assert found[ours].tobytes() == variables[official].tobytes(), official
    SketchRNN.from_pretrained(out)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, bytes | str]:
    """All that is below a folder, links as what they point to."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
