"""The output folder of a command: earlier results are removed first, new ones are written whole or not at all."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path


def start_folder(folder: Path, results: Iterable[str]) -> None:
    """Make a folder without earlier results, so that those are not taken for the new ones if the run fails.

    Args:
        folder: made with its parents if it does not exist.
        results: names of the files that an earlier run may have left; other files stay.

    Raises:
        BadInput: when the folder cannot be made or written.
    """
    remove_results(folder, results)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def remove_results(folder: Path, results: Iterable[str]) -> None:
    """Remove earlier results from a folder, which need not exist.

    Raises:
        BadInput: when a file cannot be removed.
    """
    try:
        for name in results:
            if (folder / name).is_file():
                (folder / name).unlink()
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None


def write_results(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write text files into a folder, each atomically.

    Args:
        folder: must exist.
        texts: the text of each file by its name.

    Returns:
        The paths, in the order of ``texts``.

    Raises:
        BadInput: when a file cannot be written.
    """
    paths = [folder / name for name in texts]
    for path in paths:
        with atomic_path(path) as temporary:
            temporary.write_text(texts[path.name], encoding="utf-8")
    return paths


def empty_folder(folder: Path) -> None:
    """Empty the folder of an official process, so that nothing an earlier run left is taken for this run's.

    Raises:
        BadInput: when it holds something that no earlier run left, or cannot be replaced.
    """
    try:
        # every official process leaves its job file, see parity_tests/record/launch.py
        if folder.exists() and not (folder / f"{folder.name}.job.json").is_file() and any(folder.iterdir()):
            raise BadInput(f"{folder}: holds files that no earlier run wrote; choose another --out")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be replaced ({error.strerror}); choose another --out") from None
