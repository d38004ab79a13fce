"""The folder of a run, ``--save_dir``: made whole or not at all, and trained in by one run at a time."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE, write_checksums
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.saved_model import FILES as MODEL_FILES
from pytorch_sketch_rnn.training.checkpoint import CHECKPOINTS, checkpoint_path, write_folder
from pytorch_sketch_rnn.training.publish import BEST, SAMPLES
from pytorch_sketch_rnn.training.run_log import CURVES_FILE, PLOT_FILE, TENSORBOARD
from pytorch_sketch_rnn.training.run_state import Best, run_state
from pytorch_sketch_rnn.training.settings import SETTINGS_FILE, Settings
from pytorch_sketch_rnn.training.trainer import Trainer

_UNFINISHED = ".run.tmp"  # ends the name of a folder that is still being made
_LOCK = ".lock"
# what a run writes; best/ holds the files of a model as well
_OF_MODEL = (*MODEL_FILES, CHECKSUMS_FILE)
_FILES = (*_OF_MODEL, SETTINGS_FILE, CURVES_FILE, PLOT_FILE)
_FOLDERS = (BEST, CHECKPOINTS, SAMPLES, TENSORBOARD)


def make_folder(folder: Path, settings: Settings, trainer: Trainer) -> None:
    """Make the folder of a new run, with the untrained model as its first checkpoint, and as its best one so far.

    Raises:
        BadInput: when it exists, or cannot be made; then nothing of it is left.
    """
    refuse_existing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with _unfinished(folder) as new:
            for place in (new, new / BEST):
                trainer.model.save_pretrained(place)
                write_checksums(place, MODEL_FILES)
            settings.save(new)
            state = run_state(trainer, Best())
            write_folder(checkpoint_path(new, trainer.steps_done), trainer.model, trainer.optimizer, state)
            refuse_existing(folder)
            os.replace(new, folder)
    except (OSError, NotImplementedError) as error:  # filelock raises the latter where a disk has no locks
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"{folder}: cannot be made ({why}); choose another --save_dir") from None


def refuse_existing(folder: Path) -> None:
    """Raise BadInput when the name is taken, even by a dangling link."""
    if folder.exists() or folder.is_symlink():
        raise BadInput(f"{folder}: exists already; go on with --resume, or choose another --save_dir")


def check_places(folder: Path) -> None:
    """Check that a run can be continued in its folder, before anything is written there.

    Raises:
        BadInput: when something else has the name of a file or folder of the run, or one cannot be written.
    """
    folders = [folder, *(folder / name for name in _FOLDERS)]
    files = [folder / name for name in _FILES] + [folder / BEST / name for name in _OF_MODEL]
    for path, right, kind in [(p, p.is_dir(), "folder") for p in folders] + [(p, p.is_file(), "file") for p in files]:
        if not right and (path.exists() or path.is_symlink()):
            raise BadInput(f"{path}: expected a {kind}, got something else; remove it")
    for path in folders:  # files are replaced, for which their folder must be writable
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            raise BadInput(f"{path}: cannot be written (Permission denied); expected the folder of a run of yours")
    if (folder / CURVES_FILE).exists() and not os.access(folder / CURVES_FILE, os.W_OK):
        raise BadInput(f"{folder / CURVES_FILE}: cannot be written (Permission denied); expected a file of yours")


@contextmanager
def only_run(folder: Path, group: Group) -> Iterator[None]:
    """Keep other runs from training in the same folder. A refusal inside leaves no new lock file.

    Raises:
        BadInput: when another run is training there.
    """
    if not group.leads:
        yield
        return
    path = folder / _LOCK
    is_new, lock = not path.exists(), FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(f"{folder}: another process is training there; wait for it, or stop it first") from None
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"{folder}: cannot be written ({why}); expected the folder of a run") from None
    try:
        yield
    except BadInput:
        if is_new:
            with suppress(OSError):  # Windows keeps an open file
                path.unlink()
        raise
    finally:
        lock.release()


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """Yield an empty folder on the same disk as ``folder``, with the permissions of a new folder there.

    It lies inside a private folder, whose ``lock`` is held until the end, so that another process can tell that it is
    in use (:func:`_remove_abandoned`).
    """
    while True:
        private = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_UNFINISHED, dir=folder.parent))
        lock = FileLock(private / "lock", timeout=0, thread_local=False)
        try:
            new = private / folder.name
            try:
                new.mkdir()
                lock.acquire()  # makes the private folder again if it is gone
            except (Timeout, FileNotFoundError):
                continue  # another process took it for an abandoned one, since it was not locked yet
            if not new.exists():
                continue  # the same, a moment later
            yield new
            return
        finally:
            lock.release()
            shutil.rmtree(private, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what a killed process left when it was making this very folder."""
    name = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]{{8}}{re.escape(_UNFINISHED)}")  # as mkdtemp makes it
    for path in folder.parent.iterdir():
        if not name.fullmatch(path.name):
            continue
        try:
            with FileLock(path / "lock", timeout=0, thread_local=False):
                shutil.rmtree(path, ignore_errors=True)
        except (Timeout, OSError):
            continue  # in use, or gone
        shutil.rmtree(path, ignore_errors=True)  # Windows does not delete the lock while it is open
