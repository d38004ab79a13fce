"""The page that needs no server of ours: its JavaScript computes what the PyTorch model computes."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.data.strokes import START_TOKEN, to_big_strokes
from pytorch_sketch_rnn.demo.files import FOLDER
from pytorch_sketch_rnn.demo.static import write_static
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.redrawing import slerp
from pytorch_sketch_rnn.model.sampler import END
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

SMALL = HParams(dec_rnn_size=24, enc_rnn_size=12, z_size=6, num_mixture=5, max_seq_len=40)
STROKES = np.array([[0.5, -1, 0], [2, 0.25, 1], [-1, 1, 0], [0.5, 0.5, 1], [0.1, -0.7, 0]], np.float32)
ALLOWED = 1e-5  # float32 in JavaScript, against float64; relative to the largest magnitude; 2e-6 were seen
ALLOWED_DRAWN = 1e-4  # at temperature 1e-6, 40 points one after another; 1.6e-5 were seen
NAMES = {"penLogits": "pen_logits", "mu1": "mu1", "mu2": "mu2", "sigma1": "sigma1", "sigma2": "sigma2", "corr": "corr"}


def make(**changes) -> SketchRNN:
    model = SketchRNN(SMALL.replace(**changes), seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.decoder.output_b.data[END] -= 2  # it draws for a while
    return model


def close(found: object, expected: np.ndarray, allowed: float = ALLOWED) -> None:
    found = np.array(found)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= allowed * np.abs(expected).max()


@pytest.mark.node
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node")
@pytest.mark.parametrize("conditional", [False, True])
def test_the_page_computes_what_the_model_computes(tmp_path, conditional):
    model = make(conditional=conditional)
    write_static(model, "sheep", tmp_path / "page")
    (tmp_path / "question.json").write_text(json.dumps({"strokes": STROKES.tolist(), "other": STROKES[:2].tolist()}))
    files = [str(tmp_path / name) for name in ("page/local_engine.js", "page/model.js", "question.json")]
    command = ["node", str(Path(__file__).with_name("local_engine.cjs")), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    model = model.double()
    inputs = np.concatenate([[START_TOKEN], to_big_strokes(STROKES, len(STROKES))])[np.newaxis]
    # nearly without chance, points are the means of the likeliest components
    close(found["certain"], model.complete(STROKES, 1, 1e-6)[0], ALLOWED_DRAWN)
    with torch.no_grad():
        z = model.encode(inputs[:, 1:], [len(STROKES)])[0] if conditional else None
        mixture = model.decode(inputs, z)
        if z is not None:
            close(found["z"], z[0].numpy())
            other = model.encode(inputs[:, 1:3], [2])[0]
            close(found["between"], torch.stack([slerp(z[0], other[0], f) for f in (0, 0.25, 1)]).numpy())
            morphed = model.interpolate(STROKES, STROKES[:2], 4, 1e-6)
            for drawing, expected in zip(found["morphed"], morphed, strict=True):
                close(drawing, expected, ALLOWED_DRAWN)
    for name, ours in NAMES.items():
        close([step[name] for step in found["mixtures"]], getattr(mixture, ours)[0].numpy())
    logits = np.array([step["piLogits"] for step in found["mixtures"]])
    close(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), mixture.pi[0].numpy())

    assert found["completed"] == found["again"]
    assert len(found["completed"]) == len(found["begun"]) == 3
    for drawing in found["completed"]:
        close(drawing[: len(STROKES)], STROKES.astype(float))
        assert len(drawing) <= SMALL.max_seq_len
        assert all(len(point) == 3 and point[2] in (0, 1) and np.isfinite(point).all() for point in drawing)


@pytest.mark.node
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node")
def test_the_page_draws_points_with_the_distribution_of_their_mixture(tmp_path):
    model = make(conditional=False)
    write_static(model, "sheep", tmp_path / "page")
    script = """
    const fs = require("fs");
    const { LocalModel } = require(process.argv[1]);
    const model = new LocalModel(new Function(fs.readFileSync(process.argv[2], "utf8") + "; return MODEL;")());
    let seed = 1;
    const random = () => { seed = (seed * 48271) % 2147483647; return seed / 2147483647; };
    const point = [0.5, -1, 1, 0, 0];
    const drawn = Array.from({ length: 20000 }, () => model.draw(point, null, model.initial(null), 1, 0.5, random));
    process.stdout.write(JSON.stringify(drawn.map((strokes) => strokes[0] || null)));
    """
    files = [str(tmp_path / "page/local_engine.js"), str(tmp_path / "page/model.js")]
    done = subprocess.run(["node", "-e", script, *files], capture_output=True, text=True, check=True, timeout=60)
    drawn = json.loads(done.stdout)
    model = model.double()
    with torch.no_grad():
        mixture = model.decode([[[0.5, -1, 1, 0, 0]]])
    pi, pen = (torch.softmax(value[0, 0].log() / 0.5, 0).numpy() for value in (mixture.pi, mixture.pen))
    shares = [
        np.mean([d is not None and d[2] == 0 for d in drawn]),
        np.mean([d is not None and d[2] == 1 for d in drawn]),
    ]
    assert np.abs(np.array(shares) - pen[:2]).max() < 5 * 0.5 / 20000**0.5
    offsets = np.array([d[:2] for d in drawn if d is not None])
    for axis, (mu, sigma) in enumerate(((mixture.mu1, mixture.sigma1), (mixture.mu2, mixture.sigma2))):
        mu, sigma = mu[0, 0].numpy(), 0.5 * sigma[0, 0].numpy()
        mean = pi @ mu
        variance = pi @ (sigma**2 + mu**2) - mean**2
        assert abs(offsets[:, axis].mean() - mean) < 5 * (variance / len(offsets)) ** 0.5
        assert abs(offsets[:, axis].var() / variance - 1) < 0.1


def test_the_folder_holds_the_page_and_needs_nothing_else(tmp_path):
    assert write_static(make(), "sheep", tmp_path / "new/page") == [
        "index.html", "local_engine.js", "model.js", "page.css", "page.js",
    ]  # fmt: skip
    index = (tmp_path / "new/page/index.html").read_text()
    assert index.index("model.js") < index.index("local_engine.js") < index.index("page.js")
    for path in (*(tmp_path / "new/page").iterdir(), *FOLDER.iterdir()):
        text = path.read_text()
        assert "https:" not in text
        assert text.count("http:") == text.count('"http://www.w3.org/2000/svg"')


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"dec_model": "layer_norm"}, "dec_model is layer_norm"), ({"enc_model": "hyper"}, "enc_model is hyper")],
)
def test_other_cells_are_refused(tmp_path, changes, reason):
    with pytest.raises(BadInput, match=f"--static: {reason}, and the page computes plain LSTMs only"):
        write_static(make(**changes), "sheep", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page/mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="holds something already; give a new or empty folder"):
        write_static(make(), "sheep", tmp_path / "page")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["mine.txt"]
    with pytest.raises(BadInput, match="is a file, expected a folder"):
        write_static(make(), "sheep", tmp_path / "page/mine.txt")
