"""`minillm attention`: its picture, its table, its object, its refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

OPTIONS = {"size": "pico", "data": "bilingual", "device": "cpu", "workers": "1"}
SHAPE = {"heads": 2, "context": 96, "steps": 2, "tokenizer": "bytes"}
KINDS = {
    "gpt": {},
    "lstm": {"arch": "lstm"},
    "encoder": {"objective": "mlm"},
    "bert": {"objective": "mlm", "arch": "bert"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, str]:
    """Folders of runs hardly begun, by architecture."""
    from minillm import train

    folder = tmp_path_factory.mktemp("runs")
    for arch, options in KINDS.items():
        train(**OPTIONS, **SHAPE, **options, out=str(folder / arch))
    return {arch: str(folder / arch) for arch in KINDS}


def test_a_picture_is_drawn_and_its_heads_are_read(minillm, runs):
    code, out, err = minillm("attention", runs["gpt"], "The lamp")
    picture = Path(runs["gpt"]) / "attention.png"
    assert code == 0
    assert out.splitlines()[-1] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = [line.split() for line in out.splitlines() if "%" in line]
    assert [row[:2] for row in rows[:-1]] == [[i, j] for i in "01" for j in "01"]
    assert rows[-1][0] == "evenly"
    assert out.splitlines()[-2].startswith("evenly: a head that gives the same weight")
    assert out.split()[:7] == [
        *("layer", "head", "distance", "first", "previous", "itself", "mostly")
    ]
    assert err.startswith(f"next: minillm attention {runs['gpt']} 'The lamp' --layer ")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_chinese_and_half_characters_are_drawn(minillm, runs, tmp_path, suffix):
    out = tmp_path / "新" / f"图.{suffix}"
    code, printed, _ = minillm("attention", runs["bert"], "灯塔 a", "--out", str(out))
    assert code == 0
    assert printed.splitlines()[-1] == str(out)
    if suffix == "svg":
        text = out.read_text(encoding="utf-8")
        assert all(f">{label}<" in text for label in ("[CLS]", "e7", "␣", "a"))


def test_the_next_command_can_be_typed(minillm, runs):
    import shlex

    err = minillm("attention", runs["encoder"], "it's a lamp")[2]
    command = shlex.split(err.removeprefix("next: minillm "))
    assert command[3::2] == ["--layer", "--head"]
    code, out, err = minillm(*command)
    assert code == 0
    name = f"attention-layer{command[4]}-head{command[6]}.png"
    assert out.splitlines()[-1] == str(Path(runs["encoder"]) / name)
    assert (Path(runs["encoder"]) / name).exists()
    assert len([line for line in out.splitlines() if "%" in line]) == 2
    assert err.rstrip().endswith("--json")


def test_json_is_one_object_with_the_weights_and_no_picture_unless_asked(
    minillm, runs, tmp_path
):
    arguments = ("attention", runs["bert"], "a", "--text-b", "bc", "--head", "1")
    code, out, err = minillm(*arguments, "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["figure"] is None
    for layer, found in enumerate(record["maps"]):
        assert (found["part"], found["layer"], found["heads"]) == ("self", layer, [1])
        tokens = ["[CLS]", "a", "[SEP]", "b", "c", "[SEP]"]
        assert found["queries"] == found["keys"] == tokens
        assert np.shape(found["weights"]) == (1, 6, 6)
        assert np.allclose(np.sum(found["weights"], -1), 1, atol=5e-4)
        assert found["readings"][0]["head"] == 1
    drawn = json.loads(
        minillm(*arguments, "--json", "--out", str(tmp_path / "a.svg"))[1]
    )
    assert drawn["figure"] == str(tmp_path / "a.svg")
    assert drawn["maps"] == record["maps"]


def test_a_text_that_no_page_shows_has_its_json(minillm, runs):
    text = "a" * 80
    code, out, err = minillm("attention", runs["gpt"], text)
    assert (code, out) == (2, "")
    assert "80 tokens, and 4 panels on a page show 65 each" in err
    code, out, err = minillm("attention", runs["gpt"], text, "--json")
    assert (code, err) == (0, "")
    assert np.shape(json.loads(out)["maps"][1]["weights"]) == (2, 80, 80)
    one = ("--layer", "1", "--head", "0")
    assert minillm("attention", runs["gpt"], text, *one)[0] == 0


@pytest.mark.parametrize(
    ("arch", "arguments", "code", "words"),
    [
        ("lstm", ["a"], 2, "lstm: is an LSTM, which has no attention"),
        ("gpt", [""], 2, "'' has no tokens"),
        ("gpt", ["a" * 97], 2, "97 tokens, special ones included"),
        ("gpt", ["a", "--layer", "2"], 2, "layer 2: "),
        ("gpt", ["a", "--head", "-1"], 2, "heads 0 to 1, counted from 0"),
        ("gpt", ["a", "--head", "x"], 2, "'--head'"),
        ("gpt", ["a", "--text-b", "b"], 2, "leave out --text-b"),
        ("gpt", ["a", "--out", "a.pdf"], 2, "a.pdf: a figure is written as .png"),
        ("gpt", ["a", "--out", f"{__file__}/a.png"], 2, "a.png: cannot be written"),
        ("gpt", [], 2, "'TEXT'"),
        ("nothing", ["a"], 3, "nothing: there is no such run"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(minillm, runs, arch, arguments, code, words):
    run = runs.get(arch, arch)
    got, out, err = minillm("attention", run, *arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
