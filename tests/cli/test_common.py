"""What the commands share: where an option's value comes from, and JSON."""

import json

import click
import numpy as np
import pytest

from minillm_cli import common, output


@pytest.fixture
def probe(minillm, add_command):
    """Run a command with a few options: its values and where each came from."""

    @click.command()
    @click.option("--steps", type=int, default=10)
    @click.option("--min-lr", type=float)
    @click.option("--data", default="stdlib")
    @click.option("--out")
    @click.option("--deep", is_flag=True)
    @click.option("--tied/--no-tied", default=True)
    @click.option("--kind", type=click.Choice(["a", "b"]))
    @click.option("--x", multiple=True)
    @common.shared
    def command(json, **values):
        output.print_json({"values": values, "sources": common.sources()})

    add_command("probe", command)

    def run(*argv):
        code, out, err = minillm("probe", *argv)
        assert code == 0, err
        answer = json.loads(out)
        return answer["values"], answer["sources"]

    return run


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "options.toml") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def test_command_line_over_environment_over_file_over_default(
    probe, write, monkeypatch
):
    file = write('steps = 1\nmin-lr = 1\ndata = "书"')
    values, sources = probe("--config", file)
    assert (values["steps"], values["min_lr"], values["data"]) == (1, 1.0, "书")
    assert (sources["steps"], sources["tied"]) == ("file", "default")
    monkeypatch.setenv("MINILLM_PROBE_STEPS", "2")
    values, sources = probe("--config", file)
    assert (values["steps"], sources["steps"]) == (2, "environment")
    values, sources = probe("--config", file, "--steps", "3")
    assert (values["steps"], sources["steps"]) == (3, "command line")
    assert sources["min_lr"] == "file"


def test_the_file_itself_can_come_from_the_environment(probe, write, monkeypatch):
    monkeypatch.setenv("MINILLM_PROBE_CONFIG", write("steps = 4"))
    assert probe()[0]["steps"] == 4


def test_flags_choices_and_lists_in_a_file(probe, write):
    file = write('deep = true\ntied = false\nkind = "b"\nx = ["n", "d"]')
    values, _ = probe("--config", file)
    assert values["deep"] is True
    assert values["tied"] is False
    assert (values["kind"], values["x"]) == ("b", ["n", "d"])


def test_a_run_record_gives_its_options_but_not_its_folder(probe, write):
    record = {"options": {"steps": 5, "min_lr": None, "out": "runs/a"}, "config": {}}
    values, sources = probe("--config", write(json.dumps(record), "run.json"))
    assert (values["steps"], values["out"]) == (5, None)
    assert (sources["steps"], sources["min_lr"]) == ("file", "default")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("stpes = 1", 2, "unknown key 'stpes': did you mean 'steps'?"),
        ("zzz = 1", 2, "unknown key 'zzz'"),
        ("config = 'a.toml'", 2, "unknown key 'config'"),
        ('steps = "many"', 2, "steps: 'many' is not a valid integer"),
        ("steps = 1.5", 2, "steps: '1.5' is not a valid integer"),
        ("steps = true", 2, "steps = True"),
        ("steps = [1]", 2, "steps = [1]"),
        ("deep = 3", 2, "deep = 3"),
        ("x = 'n'", 2, "x = 'n'"),
        ("kind = 'c'", 2, "'c' is not one of"),
        ("steps.a = 1", 2, "steps = {'a': 1}"),
        ("steps =", 3, "cannot be read"),
    ],
)
def test_a_bad_file_is_refused_with_its_name(probe, minillm, write, text, code, words):
    file = write(text)
    got, out, err = minillm("probe", "--config", file)
    assert (got, out) == (code, "")
    assert file in err
    assert words in err


def test_a_missing_or_shapeless_file_is_bad_data(probe, minillm, write, tmp_path):
    missing = str(tmp_path / "no.toml")
    for file in (missing, write("[1]", "a.json"), write("\x00", "b.json")):
        code, _, err = minillm("probe", "--config", file)
        assert code == 3
        assert file in err


def test_json_is_one_object_with_null_for_what_is_not_a_number(capsys, tmp_path):
    record = {
        "nan": float("nan"),
        "scalar": np.float32(0.5),
        "array": np.array([1.0, np.inf]),
        "path": tmp_path,
        "书": ("说", 1, None, True),
    }
    output.print_json(record)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "书" in out
    assert json.loads(out) == {
        "nan": None,
        "scalar": 0.5,
        "array": [1.0, None],
        "path": str(tmp_path),
        "书": ["说", 1, None, True],
    }


def test_a_table_prints_text_as_it_is(capsys):
    output.print_table(["name", "n"], [["[bold]书[/] :smile:", "12"], ["x", "3"]])
    lines = capsys.readouterr().out.splitlines()
    assert any("[bold]书[/] :smile:  12" in line for line in lines)
