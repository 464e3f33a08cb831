"""Which files a command replaces: what minillm wrote, and what its user has named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from minillm.figures import new_figure, style
from minillm.files import is_ours

TABLE = "N,loss\n" + "".join(f"{n},{2 + n**-0.3}\n" for n in (1e3, 4e3, 2e4, 7e4, 3e5))
PAGE = "<html><body>my page</body></html>"


@pytest.fixture
def law(here) -> Path:
    (here / "law.csv").write_text(TABLE, "utf-8")
    return here / "law.csv"


def a_page(path: Path) -> None:
    path.write_text(PAGE, "utf-8")


def a_picture_of_matplotlib(path: Path) -> None:
    with style():
        new_figure()[0].savefig(path)


def an_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def a_talk_about_minillm(path: Path) -> None:
    path.write_text("# Notes on minillm\nfrom minillm import train\n", "utf-8")


def a_link(path: Path) -> None:
    a_page(Path("mine"))
    path.symlink_to("mine")


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


# (command, option, the file that a configuration names, what it is)
FOREIGN = [
    (["fit", "law.csv", "--x=N"], "plot", "law.svg", a_page),
    (["fit", "law.csv", "--x=N"], "plot", "law.png", a_picture_of_matplotlib),
    (["fit", "law.csv", "--x=N"], "plot", "law.svg", a_talk_about_minillm),
    (["fit", "law.csv", "--x=N"], "plot", "law.svg", a_link),
    (["fit", "law.csv", "--x=N"], "plot", "law.svg", a_link_to_nowhere),
    (["isoflop", "law.csv"], "plot", "law.svg", a_page),
    (["emergence", "run"], "plot", "law.svg", a_page),
    (["compare", "run", "run"], "plot", "law.svg", a_page),
    (["bench", "--profile"], "plot", "law.svg", a_page),
    (["attention", "run", "She"], "out", "heads.png", a_picture_of_matplotlib),
    (["embed", "run", "She"], "out", "vectors.npy", an_array),
    (["graph", "a * b"], "out", "step.dot", a_talk_about_minillm),
    (["report", "."], "out", "index.html", a_page),
]


@pytest.mark.parametrize(("argv", "option", "name", "make"), FOREIGN)
def test_a_configuration_replaces_nothing_of_others(
    sees, run, law, argv, option, name, make
):
    make(Path(name))
    Path("c.toml").write_text(f'{option} = "{name}"\n', "utf-8")
    says = rf"--{option} {name}: is there, and minillm did not write it: .*c\.toml"
    sees(*argv, "--config=c.toml", code=2, says=says)


def test_what_the_command_line_names_is_replaced(sees, law):
    for place in ("law.svg", "other.svg"):
        a_page(Path(place))
    Path("c.toml").write_text('plot = "other.svg"\n', "utf-8")
    sees("fit", "law.csv", "--plot=law.svg", code=0, besides=("law.svg",))
    assert is_ours(Path("law.svg"))
    argv = ["fit", "law.csv", "--config=c.toml", "--plot=law.svg"]
    sees(*argv, code=0, besides=("law.svg",))
    assert Path("other.svg").read_text("utf-8") == PAGE


def test_what_the_environment_names_is_replaced(sees, law, monkeypatch):
    a_page(Path("law.svg"))
    monkeypatch.setenv("MINILLM_FIT_PLOT", "law.svg")
    sees("fit", "law.csv", code=0, besides=("law.svg",))


# (command, option, the file, which minillm has written before)
OURS = [
    *(
        pytest.param(["fit", "law.csv", "--x=N"], "plot", name, marks=pytest.mark.slow)
        for name in ("law.svg", "law.png")
    ),
    (["attention", "run", "She"], "out", "heads.png"),
    (["graph", "a * b", "--shape=a=2", "--shape=b=2"], "out", "step.dot"),
    (["graph", "a * b", "--shape=a=2", "--shape=b=2"], "out", "step.mmd"),
    (["report", "."], "out", "page.html"),
]


@pytest.mark.parametrize(("argv", "option", "name"), OURS)
def test_a_configuration_is_used_twice(sees, run, law, argv, option, name):
    Path("c.toml").write_text(f'{option} = "{name}"\n', "utf-8")
    for _ in range(2):
        sees(*argv, "--config=c.toml", code=0, besides=(name,))
        assert is_ours(Path(name))


def test_a_run_is_repeated_from_its_record(sees, run):
    record = json.loads((run / "run.json").read_text("utf-8"))
    shutil.copy(run / "run.json", "again.json")
    sees("train", "--config=again.json", "--data=text.txt", "--out=again", code=0)
    sees("train", "--config=again.json", "--data=text.txt", "--out=again", code=0)
    again = json.loads(Path("again/run.json").read_text("utf-8"))
    assert again["results"]["val_loss"] == record["results"]["val_loss"]


def test_a_page_of_somebody_is_not_the_page_of_a_series(sees, run):
    a_page(Path("report.html"))
    sees("report", ".", code=2, says="report.html: is there, and minillm did not write")
    sees("report", ".", "--out=report.html", code=0, besides=("report.html",))
    sees("report", ".", code=0, besides=("report.html",))
    old = Path("report.html").read_text("utf-8").replace("generator", "")
    Path("report.html").write_text(old.replace("Written by minillm", ""), "utf-8")
    sees("report", ".", code=0, besides=("report.html",))


def test_another_run_is_not_replaced_by_a_configuration(sees, run, quick):
    Path("c.toml").write_text('out = "run"\nseed = 5\n', "utf-8")
    argv = [*quick, "--data=text.txt", "--config=c.toml"]
    sees(*argv, code=2, says="already holds another run, with seed")
    (run / "run.json").unlink()
    sees(*argv, code=2, says="is not empty and holds no run")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["embed", "run", "She", "--out=run/run.json"], "is part of a run"),
        (
            ["graph", "a * b", "--format=dot", "--out=run/metrics.jsonl"],
            "part of a run",
        ),
        (["embed", "run", "--file=law.csv", "--out=law.csv"], "is what is read"),
        (["embed", "run", "She", "--out={step}"], "is part of a run"),
        (["graph", "--config=c.toml", "--out=c.toml"], "is what is read"),
        (["graph", "--out="], "--out is empty: name a file"),
        (["train", "--steps=1", "--out="], "out is empty: name a folder"),
        (["scale", "--out="], "out is empty: name a folder"),
        (["demo", "copy", "--out="], "out is empty: name a folder"),
    ],
)
def test_what_is_read_and_what_a_run_keeps_is_never_replaced(
    sees, run, law, argv, says
):
    def held() -> dict:
        return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    Path("c.toml").write_text('size = "pico"', "utf-8")
    before = held()
    weights = next(path for path in before if path.name == "model.safetensors")
    argv = [word.replace("{step}", str(weights)) for word in argv]
    sees(*argv, code=2, says=says)
    assert held() == before


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--shape=x=2"], "--shape is for the variables of an expression"),
        (["x * 2", "--shape=x=2", "--size=nano"], "--size and --arch are for a model"),
        (["x", "--shape=x=2", "--shape=x=3"], "--shape x: is given twice"),
    ],
)
def test_nothing_that_graph_is_given_is_left_out(sees, here, argv, says):
    sees("graph", *argv, code=2, says=says)
