"""Writes the page as a folder that works without a server of ours, offline too: the model runs in the page."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_sketch_rnn.demo.files import INDEX, INSIDE, page_files
from pytorch_sketch_rnn.demo.questions import describe
from pytorch_sketch_rnn.errors import BadInput, Refused
from pytorch_sketch_rnn.files import atomic_path

if TYPE_CHECKING:
    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

UNUSED = "encoder.presig."  # the page draws with means


def check_runs_in_page(model: "SketchRNN") -> None:
    """Check that the page can compute a model.

    Raises:
        BadInput: when it has other cells than LSTMs.
    """
    others = [f"{name} is {cell}" for name, cell in model.hparams.cells.items() if cell != "lstm"]
    if others:
        raise Refused(
            f"--static: {', '.join(others)}, and the page computes plain LSTMs only; serve it without --static"
        )


def model_script(model: "SketchRNN", name: str) -> str:
    """The model as a script: its weights in float32, little-endian, as base64."""
    weights = {
        key: {
            "shape": list(value.shape),
            "data": base64.b64encode(value.cpu().float().numpy().astype("<f4").tobytes()).decode(),
        }
        for key, value in model.state_dict().items()
        if not key.startswith(UNUSED)
    }
    return f"const MODEL = {json.dumps({'info': describe(model, name), 'weights': weights})};\n"


def write_static(model: "SketchRNN", name: str, folder: Path) -> list[str]:
    """Write the page and the model into a new or empty folder.

    Returns:
        The names of the files.

    Raises:
        BadInput: when the page cannot compute the model, or the folder holds something or cannot be written.
    """
    check_runs_in_page(model)
    files = page_files(INSIDE) | {"model.js": model_script(model, name).encode()}
    written: list[Path] = []
    with _empty(folder, written):
        for file in sorted(files, key=lambda file: file == INDEX):  # the page last: it needs the others
            with atomic_path(folder / file) as temporary:
                temporary.write_bytes(files[file])
            written.append(folder / file)
    return sorted(files)


@contextmanager
def _empty(folder: Path, written: list[Path]) -> Iterator[None]:
    """A new or empty folder, which is empty again if writing fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput(f"--static {folder}: holds something already; give a new or empty folder")
        try:
            yield
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise BadInput(f"--static {folder}: is a file, expected a folder") from None
    except OSError as error:
        raise BadInput(f"--static {folder}: cannot be written ({error.strerror})") from None
