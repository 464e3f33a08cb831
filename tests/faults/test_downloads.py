"""A corpus that has to be fetched, from a server on this machine that misbehaves."""

import functools
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from minillm.text.sources import catalogue
from minillm.text.sources.catalogue import Entry, download

TEXT = ("She read all the books of the sea. 她读海。\n" * 200).encode()


class Handler(BaseHTTPRequestHandler):
    """Sends TEXT in the server's way."""

    def do_GET(self):
        way = self.server.way
        if way == "missing":
            return self.send_error(404)
        if way == "broken":
            return self.send_error(500)
        if way == "moved":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/text.txt")
            return self.end_headers()
        begin = int((self.headers["Range"] or "bytes=0-")[6:-1])
        content = {"other": b"x" * len(TEXT), "long": TEXT * 9}.get(way, TEXT)[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if way == "trickle":
            for i in range(60):
                self.wfile.write(content[i : i + 1])
                time.sleep(0.05)
        self.wfile.write(content[: 5_000 if way == "short" else None])
        self.server.sent.append(begin)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(here, monkeypatch):
    """A server, and a catalogue whose corpus `book` is fetched from it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.way, server.sent, server.daemon_threads = "well", [], True
    server.handle_error = lambda *_: None  # a client that hangs up
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    entry = Entry(
        name="book",
        title="A book",
        licence="MIT",
        sha256=hashlib.sha256(TEXT).hexdigest(),
        size=len(TEXT),
        format="text",
        url=f"http://127.0.0.1:{server.server_port}/text.txt",
    )
    monkeypatch.setattr(catalogue, "catalogue", lambda: {"book": entry})
    monkeypatch.setattr(
        catalogue,
        "download",
        functools.partial(download, schemes=("http",), timeout=0.5),
    )
    monkeypatch.setenv("MINILLM_CACHE", str(here / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# (what the server does, what the user sees, whether there is something to go on from)
WAYS = [
    ("missing", "cannot download book from http.*text.txt: 404 Not Found", False),
    ("broken", "cannot download book from http.*: 500 Internal Server Error", False),
    ("moved", "ftp://127.0.0.1/text.txt: refused, only http is safe", False),
    ("other", "not the file expected: wrong sha256", False),
    ("long", r"sent more than the [0-9,]+ bytes expected", False),
    ("short", r"ended after 5,000 of [0-9,]+ bytes; try again to go on", True),
    ("trickle", r"too slow, [0-9]+ bytes in . seconds; try again later", True),
]


@pytest.mark.parametrize(("way", "says", "begun"), WAYS, ids=[row[0] for row in WAYS])
def test_a_download_that_fails_leaves_no_corpus(sees, here, server, way, says, begun):
    server.way = way
    command = ["train", "--data=book"] if way == "short" else ["data", "get", "book"]
    sees(*command, code=3, says=says)
    left = [path.name for path in (here / "cache").iterdir()]
    assert left == (["book.part"] if begun else [])


def test_a_download_that_broke_off_goes_on(minillm, here, quick, server):
    server.way = "short"
    assert minillm("data", "get", "book")[0] == 3
    server.way = "well"
    code, _, err = minillm(*quick, "--data=book", "--out=run", "--steps=1")
    assert code == 0, err
    assert server.sent == [0, 5_000]
    assert (here / "cache" / "book.txt").read_bytes() == TEXT
