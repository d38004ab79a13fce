"""The folder of a run, ``--save_dir``: made whole or not at all, and trained in by one run at a time."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.training.checkpoint import checkpoint_path, write_folder
from pytorch_sketch_rnn.training.run_state import Best, run_state
from pytorch_sketch_rnn.training.settings import Settings
from pytorch_sketch_rnn.training.trainer import Trainer

_UNFINISHED = ".run.tmp"  # ends the name of a folder that is still being made


def make_folder(folder: Path, settings: Settings, trainer: Trainer) -> None:
    """Make the folder of a new run, with the untrained model as its first checkpoint.

    Raises:
        BadInput: when it exists, or cannot be made; then nothing of it is left.
    """
    refuse_existing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with _unfinished(folder) as new:
            trainer.model.save_pretrained(new)
            settings.save(new)
            state = run_state(trainer, Best())
            write_folder(checkpoint_path(new, trainer.steps_done), trainer.model, trainer.optimizer, state)
            refuse_existing(folder)
            os.replace(new, folder)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror}); choose another --save_dir") from None


def refuse_existing(folder: Path) -> None:
    """Raise BadInput when the name is taken, even by a dangling link."""
    if folder.exists() or folder.is_symlink():
        raise BadInput(f"{folder}: exists already; go on with --resume, or choose another --save_dir")


@contextmanager
def only_run(folder: Path, group: Group) -> Iterator[None]:
    """Keep other runs from training in the same folder.

    Raises:
        BadInput: when another run is training there.
    """
    if not group.leads:
        yield
        return
    try:
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); expected the folder of a run") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(f"{folder}: another process is training there; wait for it, or stop it first") from None
        yield


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """Yield an empty folder on the same disk as ``folder``, with the permissions of a new folder there.

    It lies inside a private folder, whose ``lock`` is held until the end, so that another process can tell that it is
    in use (:func:`_remove_abandoned`).
    """
    while True:
        private = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_UNFINISHED, dir=folder.parent))
        try:
            try:
                lock = (private / "lock").open("w")
            except FileNotFoundError:
                continue  # another process took it for an abandoned one, since it was not locked yet
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not private.exists():
                    continue  # the same, a moment later
                new = private / folder.name
                new.mkdir()
                yield new
                return
        finally:
            shutil.rmtree(private, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what a killed process left when it was making this very folder."""
    name = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]{{8}}{re.escape(_UNFINISHED)}")  # as mkdtemp makes it
    for path in folder.parent.iterdir():
        if not name.fullmatch(path.name):
            continue
        try:
            with (path / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # in use, or gone
