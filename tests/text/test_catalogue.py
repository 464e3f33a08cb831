import dataclasses
import hashlib
import os
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from minillm.errors import DataError, UsageError
from minillm.text.sources import catalogue as module
from minillm.text.sources.catalogue import Entry, cached, catalogue, download, fetch

CONTENT = "".join(f"line {i}, 第{i}行\n" for i in range(20_000)).encode("utf-8")


class Server(ThreadingHTTPServer):
    """Serves CONTENT, well or badly, and remembers the Range headers it saw."""

    daemon_threads = True
    content = CONTENT
    way = "well"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/corpus.txt"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers["Range"]
        server.ranges.append(asked)
        content = server.content
        if server.way == "missing":
            return self.send_error(404)
        if server.way == "moved":
            self.send_response(302)
            self.send_header("Location", server.url.replace("http:", "https:"))
            return self.end_headers()
        if server.way == "refuses ranges" and asked:
            return self.send_error(416)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start and server.way != "ignores ranges":
            self.send_response(206)
            self.send_header(
                "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
            )
            content = content[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if server.way == "breaks off":
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def entry(server):
    return Entry(
        name="corpus",
        title="",
        licence="",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        format="text",
        url=server.url,
    )


def get(entry, folder, **settings):
    return download(entry, folder, schemes=("http",), timeout=5, **settings)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def test_a_download_is_verified_and_named(entry, tmp_path):
    seen = []
    path = get(entry, tmp_path / "new", progress=lambda *place: seen.append(place))
    assert path == only_file(tmp_path / "new") == tmp_path / "new" / "corpus.txt"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_wrong_hash_leaves_nothing(entry, tmp_path):
    wrong = dataclasses.replace(entry, sha256="0" * 64)
    with pytest.raises(DataError, match="wrong sha256"):
        get(wrong, tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_bytes_than_stated_are_not_taken(server, entry, tmp_path):
    server.content = CONTENT + b"x" * 1_000_000
    with pytest.raises(DataError, match=f"more than the {len(CONTENT):,} bytes"):
        get(entry, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_address_that_is_not_there(server, entry, tmp_path):
    server.way = "missing"
    with pytest.raises(DataError, match=r"cannot download corpus from .*: 404 Not"):
        get(entry, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there(entry, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    gone = dataclasses.replace(entry, url=f"http://127.0.0.1:{port}/")
    with pytest.raises(DataError, match="cannot download corpus"):
        get(gone, tmp_path)


def test_a_server_that_never_answers(entry, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        stuck = dataclasses.replace(entry, url=url)
        with pytest.raises(DataError, match="timed out"):
            download(stuck, tmp_path, schemes=("http",), timeout=0.1)


def test_a_folder_that_cannot_be_made(entry, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(DataError, match="cannot download corpus"):
        get(entry, file / "folder")


def test_a_broken_download_goes_on_where_it_ended(server, entry, tmp_path):
    server.way = "breaks off"
    with pytest.raises(DataError, match=f"ended after .* of {len(CONTENT):,} bytes"):
        get(entry, tmp_path)
    half = only_file(tmp_path)
    assert half.suffix == ".part"
    n = half.stat().st_size
    assert 0 < n < len(CONTENT)
    server.way = "well"
    get(entry, tmp_path)
    assert server.ranges == [None, f"bytes={n}-"]
    assert only_file(tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["ignores ranges", "refuses ranges", "well"])
@pytest.mark.parametrize(
    "left_over",
    [
        CONTENT[:1_000],
        b"something else entirely",
        b"x" * len(CONTENT),
        CONTENT + b"too long",
        CONTENT,
    ],
    ids=["beginning", "other", "other of the same size", "too long", "whole"],
)
def test_whatever_was_left_over_the_file_comes_out_right(
    server, entry, tmp_path, way, left_over
):
    server.way = way
    (tmp_path / "corpus.part").write_bytes(left_over)
    get(entry, tmp_path)
    assert only_file(tmp_path).read_bytes() == CONTENT


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX files")
@pytest.mark.parametrize("kind", ["link", "pipe", "link to nowhere"])
def test_what_lies_in_a_shared_cache_is_neither_followed_nor_waited_for(
    server, entry, tmp_path, kind
):
    diary, cache = tmp_path / "diary", tmp_path / "cache"
    diary.write_bytes(b"mine")
    cache.mkdir()
    if kind == "pipe":
        os.mkfifo(cache / "corpus.part")
    else:
        to = diary if kind == "link" else tmp_path / "new"
        (cache / "corpus.part").symlink_to(to)
    get(entry, cache)
    assert only_file(cache).read_bytes() == CONTENT
    assert diary.read_bytes() == b"mine"
    assert not (tmp_path / "new").exists()


def test_a_server_that_ignores_ranges_is_asked_once(server, entry, tmp_path):
    server.way = "ignores ranges"
    (tmp_path / "corpus.part").write_bytes(CONTENT[:1_000])
    get(entry, tmp_path)
    assert server.ranges == ["bytes=1000-"]


def test_an_unsafe_address_is_refused(server, entry, tmp_path):
    with pytest.raises(DataError, match="refused, only https"):
        download(entry, tmp_path)
    assert server.ranges == []


def test_a_redirect_to_another_scheme_is_refused(server, entry, tmp_path):
    server.way = "moved"
    with pytest.raises(DataError, match=r"https://127.*refused, only http is"):
        get(entry, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_redirect_to_http_is_refused():
    request = urllib.request.Request("https://host/corpus.txt")
    with pytest.raises(DataError, match=r"http://host/.*refused, only https is safe"):
        module._Redirects(("https",)).redirect_request(
            request, None, 302, "Found", {}, "http://host/corpus.txt"
        )


def test_two_downloads_at_once_do_not_disturb_each_other(entry, tmp_path):
    threads = [threading.Thread(target=get, args=(entry, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert only_file(tmp_path).read_bytes() == CONTENT


# The catalogue itself


def test_the_catalogue_is_complete():
    for name, entry in catalogue().items():
        assert entry.name == name
        assert entry.title
        assert entry.licence
        assert entry.format == "text"
        assert entry.size > 0
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert bool(entry.file) != bool(entry.url)
        assert entry.file or entry.url.startswith("https://")


def test_what_ships_with_minillm_is_whole():
    for name, entry in catalogue().items():
        if entry.file:
            assert fetch(name).stat().st_size == entry.size


def test_a_fetched_corpus_is_kept_and_a_damaged_one_is_not_used(
    server, entry, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "catalogue", lambda: {"corpus": entry})
    monkeypatch.setenv("MINILLM_CACHE", str(tmp_path))
    assert cached("corpus") is None
    path = get(entry, tmp_path)
    assert cached("corpus") == fetch("corpus") == path
    path.write_bytes(CONTENT.replace(b"line 7,", b"LINE 7,"))
    assert cached("corpus") is None
    with pytest.raises(DataError, match="refused, only https"):
        fetch("corpus")


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(UsageError, match=r"'novel'.*tinyshakespeare"):
        fetch("novel")
