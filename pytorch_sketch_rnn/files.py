"""Files that are either wholly written or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput

_UMASK = os.umask(0)  # once: it can only be read by setting it, and that would reach other threads' files
os.umask(_UMASK)


@contextmanager
def atomic_path(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on any failure.

    Only the file's owner can read it when ``private``, from the start.

    Raises:
        BadInput: when the folder does not exist or cannot be written, or the disk is full.
    """
    path = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); expected a folder that exists") from None
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        if not private:  # as mkstemp makes it
            temporary.chmod(0o666 & ~_UMASK)
        os.replace(temporary, path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)
