"""Whether what a command wrote is complete: each reader raises an exception if it is not."""

import json
from pathlib import Path
from xml.etree import ElementTree

from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.checkpoint import STATE_FILE, last_checkpoint
from pytorch_sketch_rnn.training.settings import Settings


def whole_model(path: str) -> None:
    """A folder with a model."""
    SketchRNN.from_pretrained(Path(path))


def whole_set(path: str) -> None:
    """A stroke set and the picture beside it."""
    read_npz(Path(path))
    whole_drawing(str(Path(path).with_suffix(".svg")))


def whole_drawing(path: str) -> None:
    """A page of sketches."""
    ElementTree.parse(path)


def whole_report(path: str) -> None:
    """The report of a comparison."""
    json.loads(Path(path, "parity.json").read_text(encoding="utf-8"))
    for name in ("parity.md", "report.html"):
        if not Path(path, name).stat().st_size:
            raise ValueError(f"{name} is empty")


def whole_run(path: str) -> None:
    """A run that can be resumed."""
    Settings.load(Path(path))
    _, checkpoint = last_checkpoint(Path(path))
    json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    whole_model(str(checkpoint))
