"""The folder of a reader who follows the pages: models, drawings and an adapter of the reader's own."""

import json
import re
from importlib import metadata
from pathlib import Path

from sample_models import write_js_model
from shipped import shipped

from parity_tests.fuzz.inputs import write_state_dict
from weight_port.tensor_bundle_writer import write_bundle

FEW_KANJI = "few_kanji"  # a folder for PYTHONPATH


def make_reader_folder(folder: Path) -> None:
    """Write everything that the commands of the pages expect to find."""
    write_js_model(folder / "bird.gen.json")
    write_state_dict(folder / "model.pt")
    write_checkpoint(folder / "out/parity/layer_norm/magenta")
    write_drawings(folder)
    write_adapter(folder / "my_package")


def write_checkpoint(folder: Path) -> None:
    """A checkpoint in the place where ``make parity`` leaves one."""
    folder.mkdir(parents=True)
    write_bundle(folder / "vector-10", shipped()["layer_norm/as_is"]["weights"])
    (folder / "checkpoint").write_text('model_checkpoint_path: "vector-10"\n')


def write_drawings(folder: Path) -> None:
    """QuickDraw files and SVG drawings."""
    lines = [[[0, 50, 90, 10], [0, 40 + i, 80, 99]] for i in range(12)]
    drawings = [json.dumps({"word": "cat", "recognized": True, "drawing": [line, line]}) for line in lines]
    for name in ("cat.ndjson", "more.ndjson", "raw/a.ndjson", "raw/b.ndjson"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(drawings) + "\n")
    (folder / "my_drawings").mkdir()
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M 0 0 L 9 9 C 20 30 5 6 40 3"/></svg>'
    (folder / "my_drawings" / "a.svg").write_text(svg)


def write_adapter(package: Path) -> None:
    """An adapter of the reader's own."""
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "my_adapter.py").write_text("from parity_tests.examples.numpy_port import Adapter as Adapter\n")


def write_few_kanji(folder: Path, count: int = 200) -> Path:
    """Metadata of a ``kanjivg`` with a few of the installed drawings; returns the folder for PYTHONPATH."""
    files = metadata.files("kanjivg") or []
    drawings = [str(file.locate()) for file in files if re.fullmatch(r"0[4-9][0-9a-f]{3}\.svg", file.name)][:count]
    info = folder / FEW_KANJI / "kanjivg-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kanjivg\nVersion: 1\n")
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in drawings))
    return folder / FEW_KANJI
