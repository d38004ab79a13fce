"""The folder that a run writes."""

from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path


def start(out: Path, *files: str) -> None:
    """Make the folder, and remove the files of an earlier run, so that they are not taken for new ones.

    Raises:
        BadInput: when the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in files:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror}); choose another --out") from None


def write(out: Path, texts: dict[str, str]) -> None:
    """Write files, each wholly or not at all."""
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
