"""Opens the file of a source, and unpacks it on the way if it is compressed by gzip."""

import gzip
import io
import zlib
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput, Refused
from pytorch_sketch_rnn.regular_file import open_regular

GZIP_SUFFIX = ".gz"
# Files of drawings become 4 to 10 times smaller; gzip itself can reach 1,000, with data that are no drawings.
_MOST_EXPANSION = 100
_ALWAYS_ALLOWED = 64 << 20  # bytes
_CHUNK = 1 << 20


def open_unpacked(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; one whose name ends in ``.gz`` is unpacked while it is read.

    Reading raises Refused if the compressed data are damaged, or unpack to more than 100 times their size.

    Raises:
        BadInput: if the file cannot be opened; see :func:`~pytorch_sketch_rnn.regular_file.open_regular`.
    """
    try:
        file = open_regular(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    if path.suffix.lower() != GZIP_SUFFIX:
        return file
    return io.BufferedReader(_Unpacked(file), _CHUNK)


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a gzip file, as long as they are not too many for it."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._unpacked = gzip.GzipFile(fileobj=file)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._unpacked.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise Refused(f"expected an intact gzip file, got one that cannot be unpacked ({error})") from None
        self._count += len(data)
        if self._count > _ALWAYS_ALLOWED + _MOST_EXPANSION * self._file.tell():
            raise Refused(f"unpacks to more than {_MOST_EXPANSION} times its size, which no drawings do")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._unpacked.close()
            self._file.close()
        super().close()
