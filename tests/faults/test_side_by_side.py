"""Several processes at once: each has a folder of its own, or is told who was first."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minillm.runs import train as loop
from minillm.series import session

# Forks as many processes as asked for, which begin at the same moment; the streams of
# each go into files.
AT_ONCE = """
import os, sys
import minillm.runs.train, minillm.runs.curve
from minillm_cli.main import main
read, write = os.pipe()
for i in range(int(sys.argv[1])):
    if not os.fork():
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{i}.{name}", os.O_CREAT | os.O_WRONLY), number)
        os.close(write)
        os.read(read, 1)  # ends when the parent closes the other end
        code = main(sys.argv[2:])
        sys.stdout.flush()
        os._exit(code)
os.close(write)
print([os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(int(sys.argv[1]))])
"""


@pytest.fixture
def at_once(here):
    """A function that runs a command line n times at once: the exit codes, in order."""

    def run(n: int, *argv: str) -> list[int]:
        script = ["-W", "ignore::DeprecationWarning", "-c", AT_ONCE, str(n), *argv]
        done = subprocess.run(
            [sys.executable, *script], capture_output=True, text=True, check=True
        )
        assert not done.stderr
        return sorted(json.loads(done.stdout))

    return run


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")


@pytest.mark.slow
@FORKS
def test_five_at_once_have_a_folder_each(at_once, here, trained, quick):
    assert at_once(5, *quick, "--data", str(trained / "text.txt")) == [0] * 5
    runs = {f"1x16-clm-{i}" for i in range(1, 6)}
    assert {path.name for path in (here / "runs").iterdir()} == runs
    told = "".join(path.read_text("utf-8") for path in here.glob("*.err"))
    assert set(re.findall(r"next: minillm generate runs/(\S+)", told)) == runs


@FORKS
def test_of_three_in_one_folder_one_trains(at_once, here, trained, quick):
    steps = ["--steps", "60", "--data", str(trained / "text.txt"), "--out", "run"]
    codes = at_once(3, *quick, *steps)
    assert codes[0] == 0
    assert set(codes) <= {0, 2}
    told = [path.read_text("utf-8") for path in here.glob("*.err")]
    assert sum("step 60/60" in one for one in told) == 1
    for one in told:
        if "step 60/60" not in one:
            way = "process [0-9]+ is training here|another process has begun|finished"
            assert re.search(way, one), one
    lines = (here / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))


def test_who_comes_to_a_run_that_has_been_finished_meanwhile_leaves_it(
    sees, minillm, here, trained, quick, monkeypatch
):
    argv = [*quick, "--data", str(trained / "text.txt"), "--out", "run"]
    prepare = loop.prepare

    def while_another_trains(*args, **kwargs):
        monkeypatch.setattr(loop, "prepare", prepare)
        assert minillm(*argv)[0] == 0
        first.append((here / "run" / "run.json").read_bytes())
        return prepare(*args, **kwargs)

    first = []
    monkeypatch.setattr(loop, "prepare", while_another_trains)
    sees(*argv, code=2, says="run: another process has begun a run here meanwhile")
    assert first == [(here / "run" / "run.json").read_bytes()]


HOLD = """
import sys
from pathlib import Path
from minillm.runs.lock import locked
Path(sys.argv[1]).mkdir()
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_series_that_another_process_is_at_is_left_to_it(sees, here, monkeypatch):
    monkeypatch.setattr(session, "prepared", lambda *_: (None, None, None, None))
    begun = lambda *_: pytest.fail("it was begun")  # noqa: E731
    monkeypatch.setattr(session.Session, "_run", begun)
    argv = ["scale", "--preset", "smoke", "--out", "law"]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "law"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        says = f"law: process {other.pid} is training here: wait for it, or choose"
        sees(*argv, code=2, says=says)
        other.communicate("")
    assert [item.name for item in Path("law").iterdir()] == [".lock"]
