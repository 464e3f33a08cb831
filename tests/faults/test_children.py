"""A folder with a stranger's `pickle.py`: no command, and no child of one, runs it; and
with a stranger's `matplotlibrc`, which no picture obeys."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

MODULES = ["pickle", "socket", "numpy", "json", "multiprocessing", "signal", "click"]
EVIL = "open('ran-{name}', 'w').close()\nraise SystemExit('{name} of a stranger')\n"
SETTINGS = ["--layers=1", "--width=16", "--context=16", "--batch=4", "--steps=4"]
TABLE = "N,D,loss\n" + "".join(
    f"{n},{d},{2 + (n / 100) ** -0.3 + (d / 1e4) ** -0.3}\n"
    for n in (1e3, 4e3, 1.6e4, 6.4e4)
    for d in (1e5, 4e5, 1.6e6)
)
BENCH = ["bench", "--size=pico", "--seconds=0.5"]


@pytest.fixture
def gift(here) -> Path:
    """The current folder, with modules of a stranger, a text and a table."""
    for name in MODULES:
        (here / f"{name}.py").write_text(EVIL.format(name=name), "utf-8")
    (here / "text.txt").write_text("She read the books of the sea.\n" * 200, "utf-8")
    (here / "law.csv").write_text(TABLE, "utf-8")
    return here


@pytest.fixture(params=["minillm", pytest.param("python -m", marks=pytest.mark.slow)])
def command(request, gift, tmp_path_factory):
    """A function that runs a command line in the stranger's folder, as its user would;
    what has run of the stranger's."""
    script = tmp_path_factory.mktemp("bin") / "minillm"
    script.write_text(
        "import sys\nfrom minillm_cli.process import run\n"
        "if __name__ == '__main__':\n    sys.exit(run())\n",
        "utf-8",
    )
    start = {"minillm": [str(script)], "python -m": ["-m", "minillm"]}

    def run(*argv: str, **env: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *start[request.param], *argv],
            env={**os.environ, **env},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [path.name for path in gift.glob("ran-*")]

    return run


COMMANDS = {
    "bench": BENCH,
    "plan --time": ["plan", "--law=law.csv", "--time=1m"],
    "workers": ["train", "--data=text.txt", *SETTINGS, "--workers=2", "--out=run"],
    "fit": ["fit", "law.csv", "--x=N", "--x=D", "--plot=law.svg"],
}


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(COMMANDS[name], marks=pytest.mark.slow, id=name)
        if name != "workers"
        else pytest.param(COMMANDS[name], id=name)
        for name in COMMANDS
    ],
)
def test_a_command_runs_nothing_of_a_stranger(command, argv):
    assert command(*argv) == []


# As on Windows and macOS, and on a Python whose children start otherwise.
POOL = """
import multiprocessing, sys
from minillm.series import pool

def double(send, number):
    send("doubling")
    return 2 * number

def main(method):
    pool.forks = lambda: False
    real = multiprocessing.get_context
    multiprocessing.get_context = lambda _: real(method)
    events = pool.side_by_side([pool.Task("t", double, (3,))] * 2, 2)
    assert [e.value for e in events if e.kind == "answered"] == [6, 6]

if __name__ == "__main__":
    main(sys.argv[1])
"""
METHODS = {"spawn", "forkserver"}
if sys.platform == "win32":
    METHODS.remove("forkserver")


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_pool_runs_nothing_of_a_stranger(gift, tmp_path_factory, method):
    script = tmp_path_factory.mktemp("bin") / "pool_of_a_test.py"
    script.write_text(textwrap.dedent(POOL), "utf-8")
    done = subprocess.run(
        [sys.executable, str(script), method],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [*gift.glob("ran-*")]


def test_the_world_of_who_starts_them_is_put_back(monkeypatch):
    from minillm.children import NAME, safe_path

    monkeypatch.delenv(NAME, raising=False)
    with safe_path():
        assert os.environ[NAME] == "1"
    assert NAME not in os.environ
    monkeypatch.setenv(NAME, "0")
    with safe_path():
        assert os.environ[NAME] == "1"
    assert os.environ[NAME] == "0"


STRANGE = "text.usetex: True\naxes.facecolor: red\nbackend: module://socket\n"
DRAW = {
    "fit": ["fit", "law.csv", "--x=N", "--x=D", "--plot=law.png"],
    "train": ["train", "--data=text.txt", *SETTINGS, "--workers=1", "--out=run"],
    "attention": ["attention", "run", "She read", "--out=heads.png"],
    "report": ["report", "."],
    "bench": ["bench", "--size=pico", "--profile", "--plot=profile.png"],
}


@pytest.mark.parametrize(
    "name",
    ["fit", *(pytest.param(n, marks=pytest.mark.slow) for n in DRAW if n != "fit")],
)
@pytest.mark.skipif(os.name == "nt", reason="needs a pipe")
def test_no_picture_obeys_a_matplotlibrc_of_the_folder(spawn, gift, name):
    """It is a pipe: who opens it waits for ever."""
    for module in MODULES:
        (gift / f"{module}.py").unlink()
    if "run" in DRAW[name] or name == "report":
        assert spawn(*DRAW["train"]).returncode == 0
    os.mkfifo("matplotlibrc")
    done = spawn(*DRAW[name], timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_picture_looks_as_everywhere(spawn, gift):
    for module in MODULES:
        (gift / f"{module}.py").unlink()
    pictures = []
    for text in ("", STRANGE):
        Path("matplotlibrc").write_text(text, "utf-8")
        assert spawn(*DRAW["fit"]).returncode == 0
        pictures.append(Path("law.png").read_bytes())
    assert pictures[0] == pictures[1]


@pytest.mark.slow
def test_a_matplotlibrc_that_the_user_names_counts(spawn, gift):
    Path("mine").write_text("axes.facecolor: red\n", "utf-8")
    pictures = []
    for env in ({}, {"MATPLOTLIBRC": "mine"}):
        for module in MODULES:
            (gift / f"{module}.py").unlink(missing_ok=True)
        assert spawn(*DRAW["fit"], env=env).returncode == 0
        pictures.append(Path("law.png").read_bytes())
    assert pictures[0] != pictures[1]
