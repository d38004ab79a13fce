"""The notebook runs from its first cell to its last, on small models in place of those that it downloads."""

import json
import sys
import types

import numpy as np
import pytest
from pages import ROOT
from sample_models import tiny, write_js_model

from pytorch_sketch_rnn import fetch_sets
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.export.checkpoint import export_checkpoint
from weight_port.export.stored import read_stored

NOTEBOOK = json.loads((ROOT / "examples/sketch_rnn.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
SETS = "https://github.com/hardmaru/sketch-rnn-datasets/raw/master/aaron_sheep"


@pytest.fixture
def shown(monkeypatch) -> list[str]:
    """What the notebook displays."""
    found: list[str] = []
    display = types.ModuleType("IPython.display")
    display.SVG, display.display = str, found.append
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return found


def test_every_cell_runs(tmp_path, monkeypatch, shown):
    SketchRNN(tiny("layer_norm", "layer_norm").replace(max_seq_len=30), 1).save_pretrained(tmp_path / "saved")
    export_checkpoint(read_stored(tmp_path / "saved"), tmp_path / "sheep")
    write_js_model(tmp_path / "bird.gen.json")
    rng = np.random.RandomState(0)
    sketches = [
        np.column_stack([rng.randint(-9, 10, (20, 2)), np.arange(20) == 19]).astype(np.int16) for _ in range(12)
    ]
    write_npz(tmp_path / "aaron_sheep.npz", dict.fromkeys(("train", "valid", "test"), sketches))
    monkeypatch.chdir(tmp_path)
    install, *cells = CODE
    assert install == '%pip install --quiet "..[demo]"'  # the clone that it is in
    local = {"zoo:aaron_sheep/layer_norm": "sheep", "zoo:bird": "bird.gen.json"}
    namespace: dict[str, object] = {}
    for cell in cells:
        for address, path in local.items():
            cell = cell.replace(f'convert_model("{address}"', f'convert_model("{path}"')
        cell = cell.replace(f'fetch_sets("{SETS}", ["aaron_sheep.npz"])', 'Path(".")')
        exec(f"from pathlib import Path\n{cell}", namespace)
    assert "Path" in namespace
    assert callable(fetch_sets)
    assert [svg.count("<g transform") for svg in shown] == [12, 6, 10, 6, 15]


def test_it_is_a_notebook_without_leftovers():
    assert NOTEBOOK["nbformat"] == 4
    assert NOTEBOOK["cells"][0]["cell_type"] == "markdown"
    for cell in NOTEBOOK["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
