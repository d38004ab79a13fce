"""Files that are written completely or not at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput


@contextmanager
def atomic_path(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on any failure.

    Args:
        path: the file to write.
        private: whether only the file's owner may read it, from the start.

    Raises:
        BadInput: if the folder does not exist or cannot be written, or the disk is full. An OSError about another
            file passes unchanged.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        # Not tempfile.mkstemp, which makes every file private, whatever the umask.
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); expected a folder that exists") from None
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    try:
        yield temporary
        temporary.chmod(mode)  # safetensors replaces the file with a private one
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is not None and str(error.filename) != str(temporary):
            raise
        raise BadInput(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)
