"""The table of faults: what is true of every row, and the runs that get damaged.

A row says what is wrong, which exit code the command ends with, and what the user sees.
"""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from minillm import train
from minillm.laws import fitting

QUICK = {
    "layers": 1,
    "width": 16,
    "heads": 2,
    "context": 16,
    "batch": 4,
    "steps": 6,
    "save_every": 2,
    "eval_every": 2,
    "tokenizer": "bytes",
    "device": "cpu",
    "workers": "1",
}
TRAIN = [
    "train",
    *(f"--{key.replace('_', '-')}={value}" for key, value in QUICK.items()),
]


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its path, as the sha256 of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """100 of a law, not 1,000: what intervals hold is asked in tests/scaling."""
    monkeypatch.setattr(fitting, "LARGEST_DRAW", 0)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder, and this process in it. No option comes from the environment."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick() -> list[str]:
    """The command line of a run of some hundred milliseconds, but for its `--data`."""
    return TRAIN


@pytest.fixture
def sees(here, minillm):
    """A function that runs a command line and holds what is true of every fault.

    It ends with the code (or one of several); a code other than 0 comes with one line
    on stderr, and `says` is in it; no traceback; every file that was there is still the
    same, but for those with the names `besides`. Returns stdout and stderr.
    """

    def run(
        *argv: str, code: int | tuple, says: str = "", besides: tuple[str, ...] = ()
    ) -> tuple[str, str]:
        before = contents(here)
        got, out, err = minillm(*argv)
        assert got in (code if isinstance(code, tuple) else (code,)), err
        assert "Traceback" not in out + err
        assert "to see where" not in err, "nobody thought of this error"
        errors = [line for line in err.splitlines() if line.startswith("minillm: ")]
        assert len(errors) == (got != 0), err
        assert re.search(says, errors[0] if errors else err), err
        kept = {k: v for k, v in before.items() if Path(k).name not in besides}
        assert kept.items() <= contents(here).items(), "something was lost"
        return out, err

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder with a text `text.txt` and a finished run on it, `run`, with checkpoints
    of steps 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("trained")
    text = folder / "text.txt"
    text.write_text(
        "She read all the books of the sea. 她读海。\n" * 60, encoding="utf-8"
    )
    train(data=str(text), out=str(folder / "run"), **QUICK, keep=3, draw=False)
    return folder


@pytest.fixture
def run(here, trained) -> Path:
    """A copy of the run and of its text in this folder, to be damaged: `run`."""
    shutil.copy(trained / "text.txt", here)
    return Path(shutil.copytree(trained / "run", here / "run")).relative_to(here)
