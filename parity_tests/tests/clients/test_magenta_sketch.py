"""Google's own JavaScript program draws with our exports as we do: @magenta/sketch in Node.

It computes in float32. What it may be off by is measured: our own float32 decoder, with weights nudged in their last
bit, against our float64 one. Official models are chaotic, some of them so much that nothing stricter can be asked.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from parity_tests.record.draws import nudged
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.data.strokes import START_TOKEN, to_big_strokes
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.export.sketch_rnn_js import export_js
from weight_port.export.stored import read_stored
from weight_port.folder import convert_source
from weight_port.source import open_source

ROOT = Path(__file__).parents[3]
REAL = Path(__file__).parents[4] / "shared/data/models"
PACKAGE = "@magenta/sketch@0.2.0"
PARAMETERS = {
    "pi": "pi",
    "muX": "mu1",
    "muY": "mu2",
    "sigmaX": "sigma1",
    "sigmaY": "sigma2",
    "corr": "corr",
    "pen": "pen",
}
STEPS = 20
MEMBERS = 10  # of the ensemble
FACTOR = 4  # the error of one float32 program against the largest of an ensemble's
STRICT = 1e-5  # relative to the largest magnitude of a parameter; what is asked where nothing is chaotic

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no Node"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with the package."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def kanji() -> dict[str, list[np.ndarray]]:
    return kanji_splits(60, seed=3, valid_fraction=0.2, test_fraction=0.2)


def theirs(package: Path, model: Path, strokes: np.ndarray) -> dict[str, np.ndarray]:
    """Magenta's parameters at each step, as the package computes them [steps, M]."""
    (package / "strokes.json").write_text(json.dumps(strokes.tolist()))
    command = ["node", str(Path(__file__).with_name("get_pdf.cjs")), str(model), "strokes.json"]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    mixtures = json.loads(done.stdout)
    return {ours: np.array([mixture[name] for mixture in mixtures]) for name, ours in PARAMETERS.items()}


def ours(model: SketchRNN, strokes: np.ndarray) -> dict[str, np.ndarray]:
    """The same of our decoder, in the type of its weights."""
    inputs = np.concatenate([[START_TOKEN], strokes])[np.newaxis]
    with torch.no_grad():
        mixture = model.decode(inputs)
    return {name: getattr(mixture, name)[0].double().numpy() for name in PARAMETERS.values()}


def errors(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest error of each parameter, relative to its largest magnitude."""
    assert {name: value.shape for name, value in found.items()} == {name: value.shape for name, value in truth.items()}
    return {name: float(np.abs(found[name] - value).max() / np.abs(value).max()) for name, value in truth.items()}


def float32_errors(folder: Path, strokes: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest errors of our float32 decoder, with its weights as they are and nudged in their last bit."""
    model = SketchRNN.from_pretrained(folder, dtype=torch.float32)
    weights = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    found = [errors(ours(model, strokes), truth)]
    for member in range(MEMBERS):
        moved = nudged(weights, set(weights), "float32", member)
        model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in moved.items()})
        found.append(errors(ours(model, strokes), truth))
    return {name: max(error[name] for error in found) for name in truth}


def check(package: Path, folder: Path, sketch: np.ndarray, allowed: float | None = None) -> None:
    """Compare the package, on an export of a model, with the model that comes back from the export."""
    export_js(read_stored(folder), folder / "model.gen.json")
    with open_source(folder / "model.gen.json") as source:
        convert_source(source, folder / "back")
    model = SketchRNN.from_pretrained(folder / "back", dtype=torch.float64)
    strokes = to_big_strokes(sketch, len(sketch))[: STEPS - 1]
    strokes[:, :2] /= model.scale_factor
    truth = ours(model, strokes)
    limits = {name: FACTOR * error for name, error in float32_errors(folder / "back", strokes, truth).items()}
    found = errors(theirs(package, folder / "model.gen.json", strokes), truth)
    for name, error in found.items():
        assert error <= (max(limits[name], STRICT) if allowed is None else allowed), (name, found, limits)


def test_a_model_that_was_trained_here(package, kanji, tmp_path):
    write_npz(tmp_path / "kanji.npz", kanji)
    sizes = "dec_model=lstm,dec_rnn_size=48,conditional=false,batch_size=10,num_steps=31,save_every=30,max_seq_len=200"
    flags = [f"--data_dir={tmp_path}", f"--save_dir={tmp_path / 'run'}", f"--hparams=data_set=[kanji.npz],{sizes}"]
    command = [sys.executable, "train.py", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check(package, tmp_path / "run/best", kanji["test"][0], STRICT)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
@pytest.mark.parametrize("name", ["bird", "ambulance", "antyoga", "diving_board"])
def test_an_official_model(package, kanji, tmp_path, name):
    with open_source(REAL / f"{name}.gen.json") as source:
        convert_source(source, tmp_path / name)
    check(package, tmp_path / name, kanji["test"][0], STRICT if name == "bird" else None)
