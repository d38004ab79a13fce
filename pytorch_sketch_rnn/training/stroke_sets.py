"""The stroke sets that a run trains on: from a folder, a URL, or kanji of the package kanjivg."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.make_set import PACKED_SUFFIXES
from pytorch_sketch_rnn.data.npz import SPLITS, read_npz
from pytorch_sketch_rnn.data.packed import open_foreign_packed
from pytorch_sketch_rnn.download import fetch_sets, is_url, without_query
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.regular_file import is_no_folder, refuse_special
from pytorch_sketch_rnn.training.settings import Settings


def read_sets(settings: Settings, files: ExitStack, report: Callable[[str], None]) -> Sets:
    """Read the stroke sets of a run.

    Args:
        settings: of the run.
        files: keeps a packed set open, since it is read during the training.
        report: prints a line for the user.

    Raises:
        BadInput: when they are missing or broken.
    """
    hparams = settings.hparams
    if settings.data_dir is None:
        return Sets.from_splits(kanji_splits(), hparams)
    paths = set_paths(settings)
    names = hparams.data_set
    if any(Path(name).suffix.lower() in PACKED_SUFFIXES for name in names):
        if len(names) > 1:
            raise BadInput(f"--data_set {','.join(names)}: a packed set stands alone; pack all sources into one")
        packed = files.enter_context(open_foreign_packed(paths[0]))
        if not packed.has_checksums:
            report(f"{paths[0]}: an older version packed it without checksums; not verified")
        with _naming_sets(settings.data_dir, settings):
            return Sets.from_packed(packed, hparams)
    splits: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for path in paths:
        for split, sketches in read_npz(path).items():
            splits[split] += sketches
    with _naming_sets(settings.data_dir, settings):
        return Sets.from_splits(splits, hparams)


def set_paths(settings: Settings) -> list[Path]:
    """The files of a run's stroke sets, after a download if they have a URL; none for kanji of the package kanjivg.

    Raises:
        BadInput: when one is missing or cannot be downloaded.
    """
    if settings.data_dir is None:
        return []
    folder = (_downloaded if is_url(settings.data_dir) else _local)(settings.data_dir, settings)
    return [folder / name for name in settings.hparams.data_set]


def _downloaded(url: str, settings: Settings) -> Path:
    """The folder in the cache that holds the sets of a URL."""
    names = settings.hparams.data_set
    if settings.sha256 and len(settings.sha256) != len(names):
        raise BadInput(f"--sha256: {len(settings.sha256)} of them for {len(names)} files of --data_set")
    return fetch_sets(url, names, sha256=dict(zip(names, settings.sha256, strict=False)))


def _local(folder: str, settings: Settings) -> Path:
    """The folder that holds the sets; raises BadInput when one of them is missing."""
    data_dir = Path(folder)
    if "://" in folder:
        raise BadInput(f"--data_dir {folder}: expected a folder, or a URL that begins with http or https")
    if settings.sha256:
        raise BadInput("--sha256: is checked after a download, but --data_dir is a folder; leave it out")
    if not data_dir.is_dir():
        refuse_special(data_dir)
        what = "is a file" if data_dir.exists() else "no such folder"
        raise BadInput(f"--data_dir {data_dir}: {what}; expected a folder of stroke sets")
    for name in settings.hparams.data_set:
        path = data_dir / name
        if not is_no_folder(path):
            suffixes = (".npz", *PACKED_SUFFIXES)
            there = sorted(p.name for p in data_dir.iterdir() if p.suffix.lower() in suffixes and p.is_file())
            what = "is no file" if path.is_dir() or path.is_symlink() else "no such file"
            raise BadInput(
                f"{path}: {what}; of stroke sets there are {', '.join(there[:10]) or 'none'}; choose by --data_set"
            )
    return data_dir


@contextmanager
def _naming_sets(data_dir: str, settings: Settings) -> Iterator[None]:
    """Put folder and names of the sets in front of an error that concerns all of them together."""
    try:
        yield
    except BadInput as error:
        where = f"{without_query(data_dir)}: {', '.join(settings.hparams.data_set)}"
        raise BadInput(f"{where}: {error}", name=error.name) from None
