"""Jobs that cannot be meant are refused before the first step."""

import sys
from pathlib import Path

import pytest

from minillm.errors import UsageError
from minillm.launcher import place, without_launcher
from minillm.learning.ranks import join

RUN = "import sys; from minillm_cli.main import answer; sys.exit(answer(%s))"


def test_a_launcher_is_seen_by_what_it_says():
    assert place({}) == (0, 1)
    assert place({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}) == (2, 4)
    assert place({"PMI_RANK": "1", "PMI_SIZE": "3"}) == (1, 3)
    # In a batch script of Slurm, before any srun, this is no rank.
    assert place({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) == (0, 1)
    assert place({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}) == (3, 4)


def test_a_child_is_no_rank():
    world = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "PATH": "/bin"}
    world |= {"PMIX_NAMESPACE": "x", "SLURM_PROCID": "1", "PMI_RANK": "1"}
    assert without_launcher(world) == {"PATH": "/bin"}


def test_alone_nothing_is_joined_and_mpi_does_not_start(monkeypatch):
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    assert join() is None
    assert "mpi4py.MPI" not in sys.modules


@pytest.mark.parametrize("command", ["train", "scale"])
def test_without_the_extra_nobody_trains_alone(command, tmp_path, monkeypatch, minillm):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(UsageError, match=r"4 processes.*alone.*pip install '.\[mpi\]'"):
        join()
    code, _, err = minillm(command)
    assert code == 2, err
    assert not list(tmp_path.iterdir())


def test_other_commands_are_not_started_by_a_launcher(monkeypatch, minillm):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    code, _, err = minillm("sizes")
    assert code == 2
    assert "4 processes" in err


@pytest.mark.ranks
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--batch=2"], "batch 2: 3 ranks are more"),
        (["--workers=2"], "--workers 2: each of the 3 ranks"),
    ],
)
def test_what_does_not_fit_ranks(options, says, train_on):
    code, said = train_on(3, *options)
    assert code == 2, said
    assert says in said
    assert said.count("minillm: ") == 1
    assert "rank 0" not in said  # each says it to itself, and nobody ends the others
    assert not Path("run").exists()


@pytest.mark.ranks
@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--lr=0.5", "rank 1 has lr 0.5 instead of "),
        ("--data=pairs.tsv", "rank 1 has data pairs.tsv instead of story.txt"),
    ],
)
def test_ranks_that_disagree_are_refused(option, says, ranks, options):
    train = ["-m", "minillm", "train", *options]
    code, said = ranks(2, *train, others=[sys.executable, *train, option])
    assert code == 2, said
    assert says in said
    assert said.count("minillm: ") == 1
    assert not Path("run").exists()


@pytest.mark.ranks
def test_ranks_of_another_text_of_the_same_name_are_refused(ranks, options, here):
    (here / "other").mkdir()
    (here / "other" / "story.txt").write_text("A sea of books. " * 400, "utf-8")
    train = ["-m", "minillm", "train", *options]
    elsewhere = f"import os; os.chdir({str(here / 'other')!r}); "
    other = [sys.executable, "-c", elsewhere + RUN % train[2:]]
    code, said = ranks(2, *train, others=other)
    assert code == 2, said
    assert "rank 1 has data " in said
    assert not Path("run").exists()


@pytest.mark.ranks
def test_ranks_of_other_code_are_refused(ranks, options):
    train = ["-m", "minillm", "train", *options]
    changed = "import minillm; minillm.__version__ = '9'; "
    other = [sys.executable, "-c", changed + RUN % train[2:]]
    code, said = ranks(2, *train, others=other)
    assert code == 2, said
    assert "rank 1 has minillm 9 instead of " in said
