"""Downloads stroke sets, as Magenta's ``sketch_rnn_train.py`` (``load_dataset``) does, and models; each file once.

A file is checked while it arrives: its size, its length against the announced one, and whether it is a web page or a
Git LFS pointer instead of what was wanted.
"""

import hashlib
import http.client
import re
import string
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from tqdm import tqdm

from pytorch_sketch_rnn.cache import cache_folder
from pytorch_sketch_rnn.errors import BadInput, Refused, naming
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.regular_file import open_regular

MAX_BYTES = 4 << 30
STROKE_SET, MODEL = "a stroke set", "a model"
TIMEOUT = 30.0  # seconds without an answer or the next bytes
_CHUNK = 1 << 20  # bytes
_LONGEST_NAME = 190  # bytes; file systems allow 255, and temporary names are longer than the final ones


def is_url(text: str) -> bool:
    """Whether a data folder, as the user gives it, is an http or https URL."""
    return re.match("https?://", text, re.IGNORECASE) is not None


def without_query(text: str) -> str:
    """A data folder or URL for messages and logs: without the query, which may hold a secret."""
    return text.partition("?")[0] if is_url(text) else text


def fetch_model(url: str, cache: Path | None = None, sha256: str | None = None) -> Path:
    """Download the file of a model, if it is not cached yet; return its path in the cache.

    Args:
        url: http or https URL of the file, percent-encoded. Its query is sent and never printed.
        cache: see :func:`fetch_sets`.
        sha256: expected SHA-256 of the file, in hexadecimal.

    Raises:
        BadInput: as :func:`fetch_sets`.
    """
    before, mark, query = url.partition("?")
    base, _, name = before.rpartition("/")
    name = unquote(name)
    expected = {} if sha256 is None else {name: sha256}
    return fetch_sets(f"{base}{mark}{query}", [name], cache, expected, what=MODEL) / name


def fetch_sets(
    base_url: str,
    names: Sequence[str],
    cache: Path | None = None,
    sha256: Mapping[str, str] | None = None,
    *,
    what: str = STROKE_SET,
) -> Path:
    """Download the files ``base_url/name`` that are not cached yet; return the folder that holds them by name.

    The SHA-256 of each file is kept beside it as ``name.sha256``, in the form that ``sha256sum --check`` reads, and a
    cached file is checked against it. A progress bar is shown if stderr is a terminal.

    Args:
        base_url: http or https URL of a folder. Its query is sent with each request and never printed, as it may hold
            a secret.
        names: file names such as ``"the mona lisa.npz"``, not percent-encoded.
        cache: parent of the cache folder ``pytorch-sketch-rnn``; None for $XDG_CACHE_HOME or ~/.cache.
        sha256: expected SHA-256 of some of the files, in hexadecimal.
        what: each file is, for messages.

    Raises:
        BadInput: if the URL or a name is invalid, the cache cannot be written, or a file cannot be downloaded
            completely, is a web page or a Git LFS pointer, is larger than 4 GiB, has another SHA-256 than expected,
            or has changed in the cache. A refused file is not kept.
    """
    base = _parse_base(base_url, what)
    for name in names:
        _check_name(name)
    expected = {name: _expected_digest(name, (sha256 or {}).get(name)) for name in names}
    key = hashlib.sha256(urlunsplit(base).encode()).hexdigest()[:16]
    folder = cache_folder(cache).absolute() / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: the folder for downloads cannot be made ({error.strerror})") from None
    for name, digest in expected.items():
        if (folder / name).exists() and _digest_path(folder / name).exists():
            with naming(folder / name):
                _verify(folder / name, digest)
        else:
            _fetch(base, name, folder / name, digest, what)
    return folder


def _parse_base(url: str, what: str) -> SplitResult:
    """Split a URL and remove its path's last slash; messages show only its scheme and host."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadInput(f"the URL of {what}: expected http(s)://host/folder, got a damaged host or port") from None
    if not url.isprintable() or not parts.netloc.isascii():
        raise BadInput(f"the URL of {what}: expected printable characters and a host in ASCII, got others")
    if parts.scheme not in ("http", "https") or not host:
        start = ascii(f"{parts.scheme}://{host or ''}")[:100]
        raise BadInput(f"the URL of {what}: expected http(s)://host/folder, got one that starts with {start}")
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


def _expected_digest(name: str, digest: str | None) -> str | None:
    if digest is None:
        return None
    if not re.fullmatch("[0-9a-f]{64}", digest.lower()):
        raise BadInput(f"{name}: expected a SHA-256 of 64 hexadecimal digits, got {digest[:80]!a}")
    return digest.lower()


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest_line(digest: str, name: str) -> str:
    return f"{digest}  {name}\n"


def _verify(path: Path, expected: str | None) -> None:
    """Refuse a cached file that has changed since its download, or differs from the expected SHA-256."""
    try:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        recorded = _digest_path(path).read_bytes()
    except OSError as error:
        raise Refused(f"a file downloaded before cannot be read ({error.strerror})") from None
    if recorded != _digest_line(digest, path.name).encode():
        raise Refused(
            f"expected the file as it was downloaded, got one of another SHA-256 than in {_digest_path(path).name}; "
            "delete the file, and it is downloaded again"
        )
    if expected not in (None, digest):
        raise Refused(
            f"expected SHA-256 {expected}, the file downloaded before has {digest}; "
            "correct the SHA-256, or delete the file, and it is downloaded again"
        )


def _fetch(base: SplitResult, name: str, path: Path, expected: str | None, what: str) -> None:
    """Download a file and write its digest: both or neither."""
    url = base._replace(path=f"{base.path}/{quote(name)}")
    with (
        naming(urlunsplit(url._replace(query=""))),
        atomic_path(_digest_path(path)) as temporary_digest,
        atomic_path(path) as temporary,
    ):
        digest = _download(urlunsplit(url), temporary, what)
        if expected not in (None, digest):
            raise Refused(f"expected SHA-256 {expected}, got a file with {digest}; it was not kept")
        temporary_digest.write_text(_digest_line(digest, name), encoding="utf-8")


def _download(url: str, path: Path, what: str) -> str:
    """Copy the body of the answer to a file; return its SHA-256."""
    with _network_errors(what):
        response = urllib.request.build_opener(_Redirects).open(url, timeout=TIMEOUT)
    digest, count = hashlib.sha256(), 0
    with response, path.open("wb") as file:
        length = _announced_length(response.headers.get("Content-Length"))
        _check_size(length or 0)
        with tqdm(total=length, unit="B", unit_scale=True, leave=False, disable=None) as progress:
            while chunk := _read(response, what):
                if count == 0:
                    _check_start(chunk, what)
                count += len(chunk)
                _check_size(count)
                file.write(chunk)
                digest.update(chunk)
                progress.update(len(chunk))
    if count == 0:
        raise Refused(f"expected {what}, got an empty answer; check the address and the name")
    if length is not None and count != length:
        raise Refused(f"expected {length} bytes, got {count}, as the connection broke; try again")
    return digest.hexdigest()


def _read(response: http.client.HTTPResponse, what: str) -> bytes:
    with _network_errors(what):  # around this alone: other errors while a file is copied are the disk's
        return response.read(_CHUNK)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only; urllib's own handler follows ftp, too."""

    def redirect_request(
        self, request: urllib.request.Request, response: Any, code: int, message: str, headers: Any, new_url: str
    ) -> urllib.request.Request | None:
        if urlsplit(new_url).scheme == "ftp":
            response.close()
            raise Refused("expected http or https, got a redirect to ftp")
        return super().redirect_request(request, response, code, message, headers, new_url)


@contextmanager
def _network_errors(what: str) -> Iterator[None]:
    """Turn errors of the connection and of HTTP into Refused, without the server's words, which may repeat a secret."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        meaning = http.client.responses.get(error.code, "unknown")
        raise Refused(f"expected {what}, got HTTP status {error.code} ({meaning}); check address and name") from None
    except http.client.IncompleteRead:
        raise Refused("expected a whole file, got a part, as the connection broke; try again") from None
    except UnicodeError:
        raise Refused("expected the address of a server, got a host name that no server can have") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise Refused(f"expected an answer within {TIMEOUT:g} seconds, got none; try again later") from None
        detail = (isinstance(reason, OSError) and reason.strerror) or type(reason).__name__
        raise Refused(
            f"expected {what}, but the connection failed ({detail}); check the address and the network"
        ) from None


def _announced_length(text: str | None) -> int | None:
    if text is not None and not re.fullmatch("[0-9]{1,18}", text):
        raise Refused("expected a Content-Length in bytes, got a damaged one; the server is at fault")
    return None if text is None else int(text)


def _check_size(count: int) -> None:
    if count > MAX_BYTES:
        raise Refused(f"expected at most {MAX_BYTES} bytes, got more; download it by other means")


def _check_start(data: bytes, what: str) -> None:
    """Refuse web pages and storage services' error messages, which are HTML or XML, and Git LFS pointers."""
    if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise Refused(f"expected {what}, got a web page (HTML or XML); give the address of the files themselves")
    if data.startswith(b"version https://git-lfs"):
        raise Refused(f"expected {what}, got a Git LFS pointer; give the address of the files themselves")
