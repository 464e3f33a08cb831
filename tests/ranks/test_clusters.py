"""A series on a cluster of Dask, and on the ranks of a job: what this machine does."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from minillm import load_run
from minillm.errors import Interrupted, MinillmError, UsageError
from minillm.learning.config import TrainConfig
from minillm.learning.settings import WORDS
from minillm.runs import checkpoint
from minillm.runs.run import read_record
from minillm.series import executors, job, scale
from minillm.series.results import Results

cluster = pytest.mark.cluster
MANY = 1_000_000  # steps, which no test waits for
NO_DISK = "from minillm.series import job\njob._sees = lambda *_: False\n"
OTHER_CODE = "from minillm.series import job\njob.versions = lambda: {'minillm': '9'}\n"
_spec = importlib.util.spec_from_file_location(
    "sweep_job", Path(__file__).with_name("sweep.py")
)
sweep = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sweep)
LADDER, Listener = sweep.LADDER, sweep.Listener


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Draw nothing."""
    monkeypatch.setattr(Results, "draw", lambda self, folder: [])


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> tuple[Path, dict]:
    """(folder with the text, result) of the series that the local pool did."""
    folder = tmp_path_factory.mktemp("local")
    sweep.write_words(folder / "words.txt")
    usual, Results.draw = Results.draw, lambda self, folder: []
    result = scale(LADDER, data=str(folder / "words.txt"), out=folder / "series")
    Results.draw = usual
    return folder, result


@pytest.fixture
def here(local, tmp_path, monkeypatch) -> Path:
    """An empty folder with the text, and this process in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(local[0] / "words.txt", tmp_path)
    return tmp_path


def opened(n: int, folder: Path, preload: str = ""):
    """A cluster of so many workers on this machine, which have done this first. What
    they keep for themselves lies in the folder."""
    from distributed import LocalCluster

    place = f"import tempfile\ntempfile.tempdir = {str(folder)!r}\n"
    (folder / "preload.py").write_text(place + preload, "utf-8")
    return LocalCluster(
        n_workers=n,
        threads_per_worker=1,
        dashboard_address=":0",
        silence_logs=60,
        local_directory=str(folder / "dask"),
        preload=[str(folder / "preload.py")],
    )


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    with opened(2, tmp_path_factory.mktemp("dask")) as found:
        yield found


def on(address: str, local, **more) -> dict:
    plan = local[0] / "series" / "plan.json"
    how = {"executor": "dask", "scheduler": address, "plan": plan, **more}
    return scale(out="series", **how)


def table(result: dict) -> list:
    return [(size["width"], size["tokens"], size["losses"]) for size in result["sizes"]]


def same(result: dict, local) -> bool:
    return table(result) == table(local[1]) and result["law"] == local[1]["law"]


@cluster
def test_a_cluster_gives_the_table_of_the_local_pool(dask, here, local):
    listener = Listener()
    result = on(dask.scheduler_address, local, reporter=listener)
    assert same(result, local)
    assert "2 workers, 2 runs at a time" in listener.notes[0]
    assert "a disk that they share" in listener.notes[0]
    assert sorted(listener.runs[:2]) == sorted(run["name"] for run in longest(local, 2))
    # Started again, it does what is missing.
    shutil.rmtree("series/runs/6-s0")
    listener = Listener()
    assert same(on(dask.scheduler_address, local, reporter=listener), local)
    assert listener.runs == ["6-s0"]


def longest(local, n: int) -> list[dict]:
    return read_json(local[0] / "series" / "plan.json")["runs"][:n]


def read_json(path) -> dict:
    return json.loads(Path(path).read_text("utf-8"))


@cluster
def test_without_a_shared_disk_folders_are_sent_back_whole(here, local, tmp_path):
    listener = Listener()
    with opened(2, tmp_path, NO_DISK) as found:
        with pytest.raises(Interrupted):
            on(found.scheduler_address, local, reporter=Listener(interrupt))
        saved = [run["status"] for run in records()]
        assert "interrupted" in saved or "finished" in saved
        assert same(on(found.scheduler_address, local, reporter=listener), local)
    assert "sent back whole" in listener.notes[0]
    assert load_run("series/runs/16-s0").config.d_model == 16


def interrupt():
    raise KeyboardInterrupt


def records() -> list[dict]:
    return [read_record(path.parent) for path in Path("series").glob("runs/*/run.json")]


def test_the_line_that_goes_on_names_who_did_the_runs():
    line = "minillm scale --out 'a b'"
    dask = executors.Dask.__new__(executors.Dask)
    dask.address = "tcp://one:8786"
    told = f"{line} --executor dask --scheduler tcp://one:8786"
    assert dask.command(line) == told
    ranks = executors.Mpi(None, SimpleNamespace(size=3))
    assert ranks.command(line) == f"mpiexec -n 3 {line} --executor mpi"


@cluster
def test_ctrl_c_cancels_what_has_not_begun_and_what_runs_saves(dask, here, local):
    with pytest.raises(Interrupted) as caught:
        on(dask.scheduler_address, local, reporter=Listener(interrupt))
    assert caught.value.exit_code == 130
    on_it = f"executor='dask', scheduler={dask.scheduler_address!r}, out='series')"
    assert str(caught.value).endswith(on_it)
    time.sleep(2 * job.TICK)
    assert len(records()) < 5
    for record in records():
        place = Path(record["options"]["out"])
        assert record["status"] in ("interrupted", "finished")
        assert list(place.glob("checkpoints/step-*"))
    assert same(on(dask.scheduler_address, local), local)


@cluster
def test_a_run_of_a_lost_worker_goes_on_elsewhere(here, local, tmp_path):
    with opened(1, tmp_path) as found, found.get_client() as client:

        def lose() -> None:
            (number,) = client.run(os.getpid).values()
            found.scale(2)
            os.kill(number, signal.SIGKILL)

        listener = Listener(lose)
        assert same(on(found.scheduler_address, local, reporter=listener), local)
    assert not listener.left_out


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a child")
def test_a_run_saves_when_its_worker_is_killed_and_goes_on(here, monkeypatch):
    monkeypatch.setenv("MINILLM_TRAIN_SEED", "7")  # a wish of the worker's user
    config = TrainConfig(
        n_layers=1,
        d_model=8,
        context=16,
        batch=4,
        steps=MANY,
        eval_every=MANY,
        save_every=MANY,
        tokenizer="chars",
        data="words.txt",
        out="run",
        workers="1",
        device="cpu",
    )
    code = (
        "from pathlib import Path; from minillm.learning.config import TrainConfig; "
        f"from minillm.series import job; job._train({config!r}, Path('stop'))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code])
    metrics = Path("run", "metrics.jsonl")
    wait_until(metrics.exists)
    worker.kill()
    worker.wait()
    wait_until(lambda: read_record("run")["status"] == "interrupted")
    saved = checkpoint.latest(Path("run", "checkpoints"))
    assert 0 < int(saved.name[5:]) < MANY
    assert read_record("run")["options"]["seed"] == 0
    # Another worker goes on, until it is asked to stop.
    before = metrics.stat().st_size

    def stop() -> None:
        wait_until(lambda: metrics.stat().st_size > before)
        job.ask_to_stop(".")

    threading.Thread(target=stop).start()
    answer = job._train(config, Path("stop"))
    assert answer.exit_code == 143
    assert "checkpoint written" in answer.said
    assert checkpoint.latest(Path("run", "checkpoints")) != saved


def wait_until(is_so) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_command_of_a_run_has_its_settings(here):
    """What `minillm train` makes of it is the configuration again."""
    from minillm_cli.main import commands

    config = LADDER.config(
        8, data="words.txt", tokenizer="chars", tokens=90_000, seed=3
    )
    config = replace(config, out="run", branch=True, tied=True)
    words = job.arguments(config)
    train = commands.get_command(None, "train")
    context = train.make_context("train", words)
    names = {WORDS.get(name, name) for name in context.params}
    given = {
        name: value
        for name, value in context.params.items()
        if WORDS.get(name, name) in config.to_json()
    }
    assert names >= set(config.to_json())
    assert TrainConfig.from_json(given) == config


def test_a_text_is_looked_at_in_each_session(here):
    values = ("words.txt", "chars", None, "clm", "gpt")
    asked = dict(zip(job.OF_TEXT, values, strict=True))
    before = job._hashes("a session", **asked)
    Path("words.txt").write_text("Another text. " * 900, "utf-8")
    assert job._hashes("a session", **asked) == before  # a run does not wait for it
    after = job._hashes("the next one", **asked)
    assert not set(before) & set(after)


def test_what_is_sent_back_and_is_no_file_of_a_run_is_refused(here):
    for name in ("../x", "runs/a/../../x", "x", "runs/a/x.py", "runs/a/b/c/d"):
        with pytest.raises(MinillmError, match="no file of a run"):
            job.unpack(here / "series", {name: b""})
    assert not (here / "series").exists()


@cluster
def test_a_scheduler_that_goes_ends_the_series_and_the_next_one_goes_on(
    here, local, dask
):
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    work = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads=2"]
    where = ["--scheduler-file", "scheduler.json"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([*start, "--port=0", *where], **quiet)
    worker = subprocess.Popen([*work, *where], **quiet)
    try:
        until = time.monotonic() + 30
        while not Path("scheduler.json").exists() and time.monotonic() < until:
            time.sleep(0.1)
        address = read_json("scheduler.json")["address"]
        with pytest.raises(MinillmError, match=f"the scheduler {address} is gone"):
            on(address, local, reporter=Listener(scheduler.kill))
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    assert "finished" not in [record["status"] for record in records()][4:]
    assert same(on(dask.scheduler_address, local), local)


@cluster
def test_workers_of_other_versions_are_named(here, local, tmp_path):
    with (
        opened(1, tmp_path, OTHER_CODE) as found,
        pytest.raises(UsageError, match=r"worker \S+ .* has minillm 9 instead of"),
    ):
        on(found.scheduler_address, local)


@cluster
def test_an_address_where_no_scheduler_is(here, local, dask, monkeypatch):
    monkeypatch.setattr(executors, "PATIENCE", 1)
    with pytest.raises(UsageError, match="nobody answers after 1 second"):
        on("tcp://127.0.0.1:9", local)
    begun = time.monotonic()
    with pytest.raises(UsageError, match=r"is no scheduler of Dask \(missing port"):
        on("nowhere", local)
    worker = next(iter(dask.scheduler_info["workers"]))
    with pytest.raises(UsageError, match=r"is no scheduler of Dask \(Worker\)"):
        on(worker, local)
    assert time.monotonic() - begun < 10  # a client left half open is waited for


@pytest.fixture
def sweep_by(ranks, here, local):
    """A function that lets three ranks do runs of the series anew, which is otherwise
    done: (exit code, what was said)."""
    shutil.copytree(local[0] / "series", here / "series")

    def run(again: list[str], *how: str):
        for name in again:
            shutil.rmtree(f"series/runs/{name}")
        Path("series/scale.json").unlink(missing_ok=True)
        script = str(Path(__file__).with_name("sweep.py"))
        return ranks(3, script, str(here), "series/plan.json", *how)

    return run


@pytest.mark.ranks
def test_the_ranks_of_one_job_give_the_table_of_the_local_pool(sweep_by, local):
    code, said = sweep_by(["16-s0", "12-s0", "6-s0"], "lose")
    assert code == 137, said
    code, said = sweep_by([])
    assert code == 0, said
    assert "2 workers, 2 runs at a time: folders lie on a disk" in said
    assert table(read_json("series/scale.json")) == table(local[1])


@pytest.mark.ranks
def test_ranks_that_do_not_see_the_disk_send_folders_back(sweep_by, local):
    code, said = sweep_by(["16-s0", "6-s0"], "apart")
    assert code == 0, said
    assert "folders are sent back whole; ['16-s0', '6-s0']" in said
    assert table(read_json("series/scale.json")) == table(local[1])
    assert not list(Path().glob("rank-*/*/runs/*/*.json"))  # all is back


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"executor": "mpi"}, "mpiexec -n 5 minillm scale --executor mpi"),
        ({"executor": "dask"}, "scheduler='ADDRESS' go together"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "scheduler='ADDRESS' go together"),
        ({"executor": "slurm"}, "choose one of local, dask, mpi"),
        ({"executor": "mpi", "workers": 2}, "workers=2"),
    ],
)
def test_what_cannot_be_meant(options, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=re.escape(says)):
        scale("smoke", **options)
    assert not list(tmp_path.iterdir())
