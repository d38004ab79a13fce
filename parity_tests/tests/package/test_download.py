"""pytorch_sketch_rnn.download: sets by URL, from a server on this machine; a refused file is not kept."""

import errno
import hashlib
import io
import re
import urllib.request
from pathlib import Path

import pytest
from local_server import DATA, Server, serving

from pytorch_sketch_rnn import download
from pytorch_sketch_rnn.download import fetch_sets, is_url
from pytorch_sketch_rnn.errors import BadInput

DIGEST = hashlib.sha256(DATA).hexdigest()
SECRET = "sig=s3cret"


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def refusal(server: Server, cache: Path, name: str = "a.npz", **options: object) -> str:
    """The message of a download that must fail and leave no file."""
    with pytest.raises(BadInput) as caught:
        fetch_sets(server.url, [name], cache, **options)
    assert files_below(cache) == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("http://h/f", "https://h", "HTTPS://h")),
        *((text, False) for text in ("ftp://h", "http:/h", "data", "/http://h", "file:///h", "")),
    ],
)
def test_only_http_and_https_are_urls(text, expected):
    assert is_url(text) is expected


def test_files_are_stored_by_name_beside_their_digests_and_the_url_path_is_percent_encoded(server, tmp_path):
    server.serve("/sets/the%20mona%20lisa.npz")
    server.serve("/sets/100%25%3F%23.npz", b"other")
    folder = fetch_sets(f"{server.url}/sets/", ["the mona lisa.npz", "100%?#.npz"], tmp_path)
    assert (folder / "the mona lisa.npz").read_bytes() == DATA
    assert (folder / "100%?#.npz").read_bytes() == b"other"
    assert (folder / "the mona lisa.npz.sha256").read_text() == f"{DIGEST}  the mona lisa.npz\n"
    assert len(files_below(tmp_path)) == 4
    assert folder.parent == tmp_path / "pytorch-sketch-rnn"


def test_a_file_is_fetched_once_and_each_base_url_has_its_own_folder(server, tmp_path):
    server.serve("/a/x.npz")
    server.serve("/b/x.npz", b"other")
    first = fetch_sets(f"{server.url}/a", ["x.npz"], tmp_path)
    assert fetch_sets(f"{server.url}/a/", ["x.npz", "x.npz"], tmp_path) == first
    other = fetch_sets(f"{server.url}/b", ["x.npz"], tmp_path)
    assert server.requests == ["/a/x.npz", "/b/x.npz"]
    assert [(folder / "x.npz").read_bytes() for folder in (first, other)] == [DATA, b"other"]


@pytest.mark.parametrize(("given", "expected"), [("xdg", "xdg"), ("", ".cache"), (None, ".cache"), (".", ".cache")])
def test_the_cache_is_where_the_xdg_specification_says(server, tmp_path, monkeypatch, given, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / given) if given == "xdg" else given)
    server.serve("/a.npz")
    assert fetch_sets(server.url, ["a.npz"]).parent == tmp_path / expected / "pytorch-sketch-rnn"


def test_a_cached_file_without_a_digest_is_downloaded_again(server, tmp_path):
    server.serve("/a.npz")
    folder = fetch_sets(server.url, ["a.npz"], tmp_path)
    (folder / "a.npz.sha256").unlink()
    (folder / "a.npz").write_bytes(b"half")
    fetch_sets(server.url, ["a.npz"], tmp_path)
    assert (folder / "a.npz").read_bytes() == DATA


@pytest.mark.parametrize("damaged", ["a.npz", "a.npz.sha256"])
def test_a_damaged_cached_file_is_bad_input_that_says_to_delete_it(server, tmp_path, damaged):
    server.serve("/a.npz")
    folder = fetch_sets(server.url, ["a.npz"], tmp_path)
    content = bytearray((folder / damaged).read_bytes())
    content[10] ^= 1
    (folder / damaged).write_bytes(content)
    with pytest.raises(BadInput, match=f"^{re.escape(str(folder / 'a.npz'))}: .*delete the file"):
        fetch_sets(server.url, ["a.npz"], tmp_path)
    (folder / "a.npz").unlink()
    fetch_sets(server.url, ["a.npz"], tmp_path)
    assert (folder / "a.npz").read_bytes() == DATA


def test_an_expected_digest_is_checked_for_new_and_cached_files(server, tmp_path):
    server.serve("/a.npz")
    assert "expected SHA-256 " + "0" * 64 in refusal(server, tmp_path, sha256={"a.npz": "0" * 64})
    fetch_sets(server.url, ["a.npz"], tmp_path, {"a.npz": DIGEST.upper(), "other": "0" * 64})
    fetch_sets(server.url, ["a.npz"], tmp_path, {"a.npz": DIGEST})
    with pytest.raises(BadInput, match=r"expected SHA-256 0{64}, the file downloaded before has "):
        fetch_sets(server.url, ["a.npz"], tmp_path, {"a.npz": "0" * 64})
    with pytest.raises(BadInput, match=r"^a\.npz: expected a SHA-256 of 64 hexadecimal digits, got '1234'$"):
        fetch_sets(server.url, ["a.npz"], tmp_path, {"a.npz": "1234"})


def test_a_query_is_sent_and_a_redirect_followed_but_no_message_shows_the_query(server, tmp_path):
    server.serve(f"/a.npz?{SECRET}", b"", 302, Location=f"{server.url}/real?{SECRET}")
    server.serve(f"/real?{SECRET}")
    folder = fetch_sets(f"{server.url}?{SECRET}", ["a.npz"], tmp_path / "good")
    assert (folder / "a.npz").read_bytes() == DATA
    server.serve(f"/away?{SECRET}", b"", 302, Location=f"data:,{SECRET}")
    server.serve(f"/ftp?{SECRET}", b"", 302, Location=f"ftp://127.0.0.1/{SECRET}")
    server.serve(f"/loop?{SECRET}", b"", 302, Location=f"{server.url}/loop?{SECRET}")
    for name, got in (
        *(("none", r"HTTP status 404 \(Not Found\)"), ("away", "HTTP status 302"), ("loop", "HTTP status 302")),
        ("ftp", "a redirect to ftp"),
    ):
        with pytest.raises(BadInput, match=rf"^{server.url}/{name}: expected .* got {got}") as caught:
            fetch_sets(f"{server.url}?{SECRET}", [name], tmp_path / "bad")
        assert "s3cret" not in str(caught.value)
    assert files_below(tmp_path / "bad") == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", "..a", "a\0b", "a\nb", "\udc80", "a.sha256"])
def test_a_name_that_could_leave_the_folder_is_refused_before_any_request(server, tmp_path, name):
    assert refusal(server, tmp_path, name).startswith("a file to download: expected a name")
    assert "expected a name of at most" in refusal(server, tmp_path, "é" * 100)
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://h/f",
            "file:///etc",
            "data",
            "",
            "http://",
            "http:///f",
            "http://[::1",
            "http://h:x",
            "http://h:99999",
        ),
        *("http://ü.example/", "http://h/\udc80", "http://h/\n", "http://user:s3cret@h/f", "ftp://user:s3cret@h/"),
    ],
)
def test_another_kind_of_url_is_refused_and_no_password_is_shown(tmp_path, url):
    with pytest.raises(BadInput, match="expected") as caught:
        fetch_sets(url, ["a.npz"], tmp_path)
    assert "s3cret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_missing_file_is_bad_input_and_those_before_it_are_kept(server, tmp_path, status):
    server.serve("/a.npz")
    server.serve("/b.npz", b"the server's own words", status)
    with pytest.raises(BadInput, match=rf"^{server.url}/b\.npz: expected a stroke set, got HTTP status {status} \("):
        fetch_sets(server.url, ["a.npz", "b.npz"], tmp_path)
    assert files_below(tmp_path) == ["a.npz", "a.npz.sha256"]


@pytest.mark.parametrize("host", ["a..b", f"{'h' * 64}.example"])
def test_a_name_that_no_server_can_have_is_bad_input(tmp_path, host):
    with pytest.raises(BadInput, match="got a host name that no server can have"):
        fetch_sets(f"http://{host}/x", ["a.npz"], tmp_path)


def test_a_refused_connection_is_bad_input(server, tmp_path):
    with serving() as gone:
        server.url = gone.url
    assert "the connection failed (Connection refused)" in refusal(server, tmp_path)


def test_a_server_that_does_not_answer_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    assert "expected an answer within 0.05 seconds, got none" in refusal(server, tmp_path, "silent")


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        ({"Content_Length": "300001"}, DATA, "expected 300001 bytes, got 300000, as the connection broke"),
        ({"Content_Length": "9"}, b"", "got an empty answer"),
        ({}, b"", "got an empty answer"),
        ({"Content_Length": "-1"}, DATA, "a damaged one"),
        ({"Content_Length": "many"}, DATA, "a damaged one"),
        ({"Content_Length": "9" * 5000}, DATA, "a damaged one"),
        ({"Content_Length": "\xb2"}, DATA, "a damaged one"),
        ({"Content_Length": "", "Transfer_Encoding": "chunked"}, b"10\r\nhalf", "as the connection broke"),
        ({}, b"<!DOCTYPE html><html>Log in</html>", "got a web page"),
        ({}, b"\xef\xbb\xbf\n <HTML>", "got a web page"),
        ({}, b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "got a web page"),
        ({}, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "got a Git LFS pointer"),
    ],
)
def test_a_body_that_is_incomplete_or_no_stroke_set_is_bad_input(server, tmp_path, headers, body, message):
    server.serve("/a.npz", body, **headers)
    assert message in refusal(server, tmp_path)


def test_a_file_announced_as_larger_than_4_gib_is_refused(server, tmp_path):
    server.serve("/a.npz", b"the beginning", Content_Length=str(4 * 1024**3 + 1))
    assert "expected at most 4294967296 bytes, got more" in refusal(server, tmp_path)


def test_an_unannounced_file_over_the_limit_is_refused_while_it_arrives(server, tmp_path, monkeypatch):
    server.serve("/a.npz", DATA, Content_Length="")
    monkeypatch.setattr(download, "MAX_BYTES", len(DATA) - 1)
    assert f"expected at most {len(DATA) - 1} bytes, got more" in refusal(server, tmp_path)
    monkeypatch.setattr(download, "MAX_BYTES", len(DATA))
    assert (fetch_sets(server.url, ["a.npz"], tmp_path) / "a.npz").read_bytes() == DATA


def test_a_full_disk_is_bad_input_that_names_the_file_on_it(server, tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    server.serve("/a.npz")
    monkeypatch.setattr(Path, "open", lambda *_: Full())
    message = refusal(server, tmp_path)
    assert re.match(rf"{re.escape(str(tmp_path))}/.*/a\.npz: cannot be written \(No space left on device\)", message)


def test_ctrl_c_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    server.serve("/a.npz")
    monkeypatch.setattr(download, "_check_start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_sets(server.url, ["a.npz"], tmp_path)
    assert files_below(tmp_path) == []


def test_a_cache_that_cannot_be_made_is_bad_input(server, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="the folder for downloads cannot be made"):
        fetch_sets(server.url, ["a.npz"], tmp_path / "file")
    assert server.requests == []


def test_urllibs_global_opener_is_neither_used_nor_replaced(server, tmp_path, monkeypatch):
    def used(*_: object, **__: object) -> None:
        raise AssertionError("the opener belongs to the whole process")

    opener = urllib.request.build_opener()
    monkeypatch.setattr(opener, "open", used)
    monkeypatch.setattr(urllib.request, "_opener", opener)
    server.serve("/a.npz")
    fetch_sets(server.url, ["a.npz"], tmp_path)
    refusal(server, tmp_path / "other", "none")
    assert urllib.request._opener is opener


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(server, tmp_path, monkeypatch, capsys, terminal):
    server.serve("/a.npz")
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    fetch_sets(server.url, ["a.npz"], tmp_path)
    assert ("B/s" in capsys.readouterr().err) is terminal


def test_a_data_folder_is_shown_without_its_query():
    assert download.without_query(f"https://h/f?{SECRET}") == "https://h/f"
    assert download.without_query("a folder?") == "a folder?"
