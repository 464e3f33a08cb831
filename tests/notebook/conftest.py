"""A text, a quick run on it, and a kernel of Jupyter that runs cells."""

import os
import queue
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from minillm import train

QUICK = {
    "layers": 1,
    "width": 16,
    "heads": 1,
    "context": 16,
    "batch": 8,
    "tokenizer": "chars",
    "device": "cpu",
    "workers": "1",
}
PATIENCE = 60  # seconds for a cell


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with `book.txt`."""
    folder = tmp_path_factory.mktemp("notebook")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "mat"], 5_000)
    (folder / "book.txt").write_text(" ".join(words), "utf-8")
    return folder


@pytest.fixture(scope="session")
def record(place):
    """The record of a run of ten steps, with a name that HTML must not obey."""
    out = place / "<b onclick=x>&run"
    return train(data=str(place / "book.txt"), steps=10, out=str(out), **QUICK)


@dataclass
class Told:
    """What a cell has shown: the drawings of each place in turn, the lines that were
    written, the result by its MIME types, and the traceback of its error."""

    drawn: dict[str, list[dict]] = field(default_factory=dict)
    written: str = ""
    result: dict = field(default_factory=dict)
    error: list[str] = field(default_factory=list)

    @property
    def drawings(self) -> list[dict]:
        """Those of the one place there is."""
        (found,) = self.drawn.values()
        return found


class Kernel:
    def __init__(self, folder):
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(cwd=str(folder))

    def run(self, code: str, interrupt_at: str | None = None) -> Told:
        """Run a cell; it is interrupted once a drawing holds this text."""
        request, told = self.client.execute(code), Told()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind in ("display_data", "update_display_data"):
                name = content["transient"].get("display_id")
                if kind == "display_data":  # a place of its own
                    assert name not in told.drawn
                    told.drawn[name] = []
                told.drawn[name].append(content["data"])
                if interrupt_at and interrupt_at in content["data"]["text/plain"]:
                    self.manager.interrupt_kernel()
                    interrupt_at = None
            elif kind == "stream":
                told.written += content["text"]
            elif kind == "execute_result":
                told.result = content["data"]
            elif kind == "error":
                told.error = content["traceback"]
            elif kind == "status" and content["execution_state"] == "idle":
                return told
        raise TimeoutError(f"{code}: no end of it; so far {told}")

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(place):
    before = os.environ.get("JUPYTER_PLATFORM_DIRS")
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"  # or it warns of those of before
    kernel = Kernel(place)
    asked = kernel.run(f"from minillm import *\nQUICK = {QUICK | {'data': 'book.txt'}}")
    assert not asked.error
    yield kernel
    kernel.stop()
    if before is None:
        del os.environ["JUPYTER_PLATFORM_DIRS"]
