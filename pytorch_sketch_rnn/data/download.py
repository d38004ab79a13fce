"""Stroke sets by URL, as in Magenta's ``sketch_rnn_train.py`` (``load_dataset``), each file fetched once and kept.

The fetching is ``torch.hub.download_url_to_file``. It takes whatever comes, for as long as it comes; what it should
refuse is refused here, by a handler of ``urllib.request``, through which it reads.
"""

import hashlib
import http.client
import os
import re
import string
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import torch.hub

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

MAX_BYTES = 4 << 30
TIMEOUT = 30.0  # seconds without an answer or the next bytes
_LONGEST_NAME = 190  # bytes; 255 is what file systems allow, and temporary names add to it


def is_url(text: str) -> bool:
    """Say whether a data folder as the user gives it is a URL to fetch from, http or https."""
    return re.match("https?://", text, re.IGNORECASE) is not None


def shown(text: str) -> str:
    """A data folder or URL as it may be shown: without the query, which may be a secret."""
    return text.partition("?")[0] if is_url(text) else text


def fetch_sets(
    base_url: str, names: Sequence[str], cache: Path | None = None, sha256: Mapping[str, str] | None = None
) -> Path:
    """Fetch the files ``base_url/name`` that are not kept yet; return the folder that holds them by their names.

    Beside each file its SHA-256 is kept, as ``name.sha256`` for ``sha256sum --check``; a kept file is verified.
    A bar shows the progress where stderr is a terminal.

    Args:
        base_url: an http or https URL of a folder; its query is sent along, and never shown, as it may be a secret.
        names: file names such as ``"the mona lisa.npz"``, as they are, without %20.
        cache: what holds the folder ``pytorch-sketch-rnn``; $XDG_CACHE_HOME or ~/.cache where None.
        sha256: the digests that named files must have, in hexadecimal.

    Raises:
        BadInput: for another kind of URL or name, where a file cannot be had whole, is a web page, is over 4 GiB,
            is not of its digest or was damaged in the cache, and where the cache cannot be written. A file that was
            refused is not kept.
    """
    base = _split(base_url)
    for name in names:
        _check_name(name)
    wanted = {name: _digest_wanted(name, (sha256 or {}).get(name)) for name in names}
    key = hashlib.sha256(urlunsplit(base).encode()).hexdigest()[:16]
    folder = (_default_cache() if cache is None else Path(cache)).absolute() / "pytorch-sketch-rnn" / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: the folder for downloads cannot be made ({error.strerror})") from None
    for name, digest in wanted.items():
        if (folder / name).exists() and _digest_path(folder / name).exists():
            _verify(folder / name, digest)
        else:
            _fetch(base, name, folder / name, digest)
    return folder


def _split(url: str) -> SplitResult:
    """Return the URL in parts, its path without a last slash; no message shows more of it than scheme and host."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadInput("the URL of the data: expected http(s)://host/folder, got a damaged host or port") from None
    if not url.isprintable() or not parts.netloc.isascii():
        raise BadInput("the URL of the data: expected printable characters and a host in ASCII, got others")
    if parts.scheme not in ("http", "https") or not host:
        got = ascii(f"{parts.scheme}://{host or ''}")[:100]
        raise BadInput(f"the URL of the data: expected http(s)://host/folder, got one that starts with {got}")
    if "@" in parts.netloc:
        raise BadInput(f"{parts.scheme}://{host}: expected a URL without user name and password; leave them out")
    path = quote(parts.path.rstrip("/"), safe=string.punctuation)
    return parts._replace(path=path, query=quote(parts.query, safe=string.punctuation), fragment="")


def _check_name(name: str) -> None:
    plain = name.isprintable() and not any(part in name for part in ("/", "\\", "..")) and name not in ("", ".")
    if not plain or name.endswith(".sha256") or len(name.encode()) > _LONGEST_NAME:
        raise BadInput(
            f"a file to download: expected a name of at most {_LONGEST_NAME} bytes, without / and .. "
            f"and not ending in .sha256, got {name[:100]!a}"
        )


def _digest_wanted(name: str, digest: str | None) -> str | None:
    if digest is None:
        return None
    if not re.fullmatch("[0-9a-f]{64}", digest.lower()):
        raise BadInput(f"{name}: expected a SHA-256 of 64 hexadecimal digits, got {digest[:80]!a}")
    return digest.lower()


def _default_cache() -> Path:
    """Where the XDG base directory specification puts what can be had again; it ignores a relative path."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest_line(digest: str, name: str) -> str:
    return f"{digest}  {name}\n"


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(path: Path, wanted: str | None) -> None:
    """Refuse a kept file that is no longer what was downloaded, or is not what the caller wants."""
    try:
        digest = _digest_of(path)
        kept = _digest_path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: a file downloaded before cannot be read ({error.strerror})") from None
    if kept != _digest_line(digest, path.name).encode():
        raise BadInput(
            f"{path}: expected the file as it was downloaded, got one of another SHA-256 than in "
            f"{_digest_path(path).name}; delete the file, and it is downloaded again"
        )
    if wanted not in (None, digest):
        raise BadInput(
            f"{path}: expected SHA-256 {wanted}, the file downloaded before has {digest}; "
            "correct the SHA-256, or delete the file, and it is downloaded again"
        )


def _fetch(base: SplitResult, name: str, path: Path, wanted: str | None) -> None:
    """Download a file and its digest, both or none."""
    place = base._replace(path=f"{base.path}/{quote(name)}")
    shown = urlunsplit(place._replace(query=""))
    with atomic_path(_digest_path(path)) as temporary_digest, atomic_path(path) as temporary:
        try:
            with _checked_urlopen():
                torch.hub.download_url_to_file(urlunsplit(place), str(temporary), progress=sys.stderr.isatty())
        except _Refused as error:
            raise BadInput(f"{shown}: {error}") from None
        except urllib.error.HTTPError as error:
            error.close()
            # not the server's own words: they may repeat a secret of the URL
            meaning = http.client.responses.get(error.code, "unknown")
            raise BadInput(
                f"{shown}: expected a stroke set, got HTTP status {error.code} ({meaning}); check address and name"
            ) from None
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise BadInput(f"{shown}: {_network_fault(error)}") from None
        digest = _digest_of(temporary)
        if wanted not in (None, digest):
            raise BadInput(f"{shown}: expected SHA-256 {wanted}, got a file with {digest}; it was not kept")
        temporary_digest.write_text(_digest_line(digest, name), encoding="utf-8")


class _Refused(Exception):
    """What was expected and what came, still without the address."""


def _network_fault(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"expected an answer within {TIMEOUT:g} seconds, got none; try again later"
    if isinstance(reason, http.client.IncompleteRead):
        return "expected a whole file, got a part, as the connection broke; try again"
    detail = (isinstance(reason, OSError) and reason.strerror) or type(reason).__name__
    return f"expected a stroke set, but the connection failed ({detail}); check the address and the network"


class _Checks(urllib.request.BaseHandler):
    """Gives every request a timeout, and every final answer a ``_Body``."""

    handler_order = 2000  # after redirects are followed and errors raised

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        request.timeout = TIMEOUT
        return request

    def ftp_request(self, request: urllib.request.Request) -> urllib.request.Request:
        raise _Refused("expected http or https, got a redirect to ftp")

    def http_response(self, request: urllib.request.Request, response: "http.client.HTTPResponse | _Body") -> "_Body":
        return response if isinstance(response, _Body) else _Body(response)  # a redirect's comes by twice

    https_request = http_request
    https_response = http_response


@contextmanager
def _checked_urlopen() -> Iterator[None]:
    """Let ``urllib.request.urlopen``, which torch.hub calls, check what it opens; proxies stay as they are.

    urllib has one opener for the whole process, so that other threads' requests are checked, too, while this lasts.
    """
    before = urllib.request._opener
    urllib.request.install_opener(urllib.request.build_opener(_Checks))
    try:
        yield
    finally:
        urllib.request.install_opener(before)


class _Body:
    """The body of an answer, as torch.hub reads it; raises ``_Refused`` where it cannot be a whole stroke set."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self._count = 0
        self._declared = response.headers.get("Content-Length")
        try:
            if self._declared is not None and not re.fullmatch("[0-9]{1,18}", self._declared):
                raise _Refused("expected a Content-Length in bytes, got a damaged one; the server is at fault")
            self._limit(int(self._declared or 0))
        except _Refused:
            response.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._response.close()

    def info(self) -> Message:
        return self._response.headers

    def read(self, size: int) -> bytes:
        try:
            data = self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            # Whatever else is an OSError is then the disk's.
            raise _Refused(_network_fault(error)) from None
        if self._count == 0:
            _check_start(data)
        self._count += len(data)
        self._limit(self._count)
        if not data and self._declared is not None and self._count != int(self._declared):
            raise _Refused(f"expected {self._declared} bytes, got {self._count}, as the connection broke; try again")
        return data

    def _limit(self, count: int) -> None:
        if count > MAX_BYTES:
            raise _Refused(f"expected at most {MAX_BYTES} bytes, got more; download it by other means")


def _check_start(data: bytes) -> None:
    """Refuse pages of sites and error messages of stores, which come as HTML or XML; no stroke set starts so."""
    if not data:
        raise _Refused("expected a stroke set, got an empty answer; check the address and the name")
    if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise _Refused("expected a stroke set, got a web page (HTML or XML); give the address of the files themselves")
