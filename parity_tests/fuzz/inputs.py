"""The valid inputs that are changed: one folder for each sort of input, small, and the same in every run."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from parity_tests.fuzz.mutators.archives import write_members
from parity_tests.record.recording import FOLDER
from parity_tests.report.certificate import KIND, SCHEMA, hash_of
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.hparams import OURS_ALONE, HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.command import main as train
from weight_port.convert import expected_shapes
from weight_port.names import ADAM_POWERS, GLOBAL_STEP, SLOTS, slot_name, weight_names
from weight_port.rfeinman_layout import model_layout
from weight_port.sketch_rnn_js import DECODER_ORDER
from weight_port.tensor_bundle_writer import write_bundle

PREFIX = "vector-1000"
INDEX, DATA, CONFIG = f"{PREFIX}.index", f"{PREFIX}.data-00000-of-00001", "model_config.json"
RECORDINGS = ("cell-lstm", "data", "data-joined", "initial-lstm", "layer_norm-unconditional-as_is")
STEPS = 2  # of the run that is resumed

TINY = HParams(
    enc_model="layer_norm", dec_model="hyper", enc_rnn_size=3, dec_rnn_size=4, z_size=2, num_mixture=2, batch_size=4,
    max_seq_len=20, hyper_num_units=5, hyper_embedding_size=6, save_every=1,
)  # fmt: skip
# Magenta's model_config.json as a dict, as a list of its values, or as a list of its names, as Magenta writes today.
CONFIGS = ("dict", "values", "names")

_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="#000">
<g transform="translate(1,2) rotate(5)" id="a">
<path d="M 1 1 L 9 9 C 20 30 5 6 4 3 Q 1 2 3 4 A 5 4 0 0 1 9 9 z m 1 1 h 5 v 5 s 1 2 3 4 t 5 6"/>
<line x1="1" y1="2" x2="13" y2="14"/></g><polyline points="1,2 3,4 9 1" style="fill:none;stroke:black"/>
<polygon points="0,0 5,5 9,2"/><circle cx="9" cy="9" r="4"/>
<ellipse cx="5" cy="6" rx="3" ry="2" transform="scale(1.5)"/>
<rect x="1" y="2" width="6" height="7" rx="2"/></svg>
"""


def make_inputs(folder: Path) -> None:
    """Write every valid input below a folder, which must exist."""
    _checkpoints(folder)
    _js_model(folder / "js")
    _saved_model(folder / "saved")
    (folder / "state-dict").mkdir()
    write_state_dict(folder / "state-dict" / "model.pt")
    _stroke_sets(folder)
    _drawings(folder)
    for name in RECORDINGS:
        (folder / name).mkdir()
        shutil.copy(FOLDER / f"{name}.h5", folder / name / "recording.h5")
    _run(folder / "run")


def _checkpoints(folder: Path) -> None:
    """A checkpoint with each form of its config, and an archive of it."""
    shapes = expected_shapes(TINY)
    random = np.random.default_rng(1)
    names = {official: shapes[ours] for official, ours in weight_names(TINY).items()}
    variables: dict[str, np.ndarray] = {
        name: random.standard_normal(shape).astype(np.float32) for name, shape in names.items()
    }
    variables |= {slot_name(name, slot): np.abs(variables[name]) for name in names for slot in SLOTS}
    variables |= {name: np.array(0.5, np.float32) for name in ADAM_POWERS}
    variables[GLOBAL_STEP] = np.array(1000, np.int32)
    values = {name: value for name, value in TINY.to_dict().items() if name not in OURS_ALONE}
    forms = {"dict": values, "values": list(values.values()), "names": list(values)}
    for form, config in forms.items():
        home = folder / f"checkpoint-{form}"
        write_bundle(home / PREFIX, variables)
        (home / "checkpoint").write_text(f'model_checkpoint_path: "{PREFIX}"\n')
        (home / CONFIG).write_text(json.dumps(config))
    members = {
        f"sketch_rnn/cat/{path.name}": path.read_bytes() for path in sorted((folder / "checkpoint-dict").iterdir())
    }
    (folder / "zip").mkdir()
    (folder / "zip" / "models.zip").write_bytes(write_members(members))


def _js_model(folder: Path) -> None:
    shapes = expected_shapes(TINY.replace(conditional=False, num_mixture=20, dec_model="lstm"))
    random = np.random.default_rng(2)
    numbers = [random.integers(-32767, 32768, shapes[name]).astype("<i2") for name in DECODER_ORDER]
    info = {"mode": 2, "version": 6, "max_seq_len": 20, "name": "bird", "scale_factor": 70.5}
    blobs = [base64.b64encode(array.tobytes()).decode() for array in numbers]
    folder.mkdir()
    (folder / "bird.gen.json").write_text(json.dumps([info, [list(array.shape) for array in numbers], blobs]))


def _saved_model(folder: Path) -> None:
    """A model, and a certificate of it."""
    model = SketchRNN(TINY, 1)
    model.scale_factor = 70.5
    model.save_pretrained(folder / "model")
    ours = model.state_dict()
    sha256 = {official: hash_of(ours[name].numpy()) for official, name in weight_names(TINY).items()}
    described = {"source": "saved", "sha256": sha256, "hparams": TINY.to_dict()}
    content = {"kind": KIND, "schema": SCHEMA, "equal": True, "verdict": "EQUAL", "subject": "a port", "untested": []}
    text = json.dumps(content | {"model": described, "provenance": []}, indent=1)
    (folder / "certificate.json").write_text(text)


def write_state_dict(path: Path) -> None:
    """Write a model of rfeinman/Sketch-RNN as its trainer does."""
    hparams = TINY.replace(enc_model="lstm")
    ours, names = SketchRNN(hparams, 1).state_dict(), weight_names(hparams)
    official = {name: ours[names[name]].numpy() for name in names}
    tensors = {n: torch.tensor(value) for n, value in model_layout(hparams.to_dict()).to_port(official).items()}
    tensors |= {f"decoder.{name}": value for name, value in tensors.items() if name.startswith("cell.")}
    torch.save(tensors | {"loss_kl.factor": torch.tensor(0.9)}, path)


def _stroke_sets(folder: Path) -> None:
    """A set in both formats beside a model and a checkpoint, and one whose sketches are all of one length."""
    random = np.random.default_rng(3)

    def sketches(count: int, longest: int) -> list[np.ndarray]:
        made = [random.integers(-50, 51, (length, 3)) for length in random.integers(3, longest + 1, count)]
        for sketch in made:
            sketch[:, 2] = random.integers(0, 2, len(sketch))
        return [sketch.astype(np.int16) for sketch in made]

    home = folder / "sets"
    home.mkdir()
    splits = {"train": sketches(12, 12), "valid": sketches(4, 12), "test": sketches(4, 3)}
    write_npz(home / "set.npz", splits)
    with PackedWriter(home / "set.h5", 1.0) as writer:
        for split, items in splits.items():
            for sketch in items:
                writer.add(split, sketch)
    shutil.copytree(folder / "saved" / "model", home / "model")
    shutil.copytree(folder / "checkpoint-names", home / "checkpoint")


def _drawings(folder: Path) -> None:
    lines = [[[0, 50, 90, 10], [0, 40 + shift, 80, 99]] for shift in range(8)]
    drawings = [
        {"word": "cat", "recognized": True, "key_id": str(n), "drawing": [line, line]} for n, line in enumerate(lines)
    ]
    raw = [[[0.5, 50.25], [0, 40], [0, 17]], [[1, 300, 800], [2, 5, 900], [20, 21, 22]]]
    drawings.append({"word": "cat", "recognized": False, "drawing": raw})
    (folder / "ndjson").mkdir()
    (folder / "ndjson" / "cat.ndjson").write_text("".join(f"{json.dumps(drawing)}\n" for drawing in drawings))
    (folder / "svg" / "icons").mkdir(parents=True)
    (folder / "svg" / "icons" / "a.svg").write_text(_SVG)
    for number in range(3):
        path = f'<path d="M 0 0 L 9 {number} C 20 30 5 6 40 3"/>'
        (folder / "svg" / "icons" / f"good{number}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg">{path}</svg>'
        )


def _run(folder: Path) -> None:
    """A training of a few steps, and its data."""
    shutil.copytree(folder.parent / "sets", folder)
    torch.set_num_threads(1)
    sizes = ("enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", "batch_size", "max_seq_len")
    flags = [f"--{name}={getattr(TINY, name)}" for name in sizes]
    files = [f"--data_dir={folder}", "--data_set=set.npz", f"--save_dir={folder / 'run'}"]
    code = train([*flags, *files, f"--num_steps={STEPS}", "--save_every=1", "--keep=2"])
    if code != 0:
        raise RuntimeError(f"the training of the run to resume ended with exit code {code}")
