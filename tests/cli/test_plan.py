"""`minillm plan` on a table whose law is known."""

import json

import pytest

from minillm import TrainConfig
from minillm_cli.plan import _arch


@pytest.fixture
def table(tmp_path):
    rows = [
        f"{n},{d},{1.7 + 400 * n**-0.34 + 410 * d**-0.28!r}"
        for n in (1e4, 1e5, 1e6)
        for d in (1e6, 1e7, 1e8)
    ]
    path = tmp_path / "表.csv"
    path.write_text("\n".join(["N,D,loss", *rows]), encoding="utf-8")
    return str(path)


def test_an_answer_as_json(minillm, table):
    argv = ["--flops", "10T", "--inference-tokens", "1G", "--speed", "1e10", "--json"]
    code, out, err = minillm("plan", "--law", table, *argv)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["budget"] == {"kind": "flops", "value": 1e13}
    best = answer["optimum"]
    assert best["flops"] == pytest.approx(1e13)
    n = (0.34 * 400 / (0.28 * 410)) ** (1 / 0.62) * (1e13 / 6) ** (0.28 / 0.62)
    assert best["parameters"] == pytest.approx(n, rel=1e-3)
    assert answer["inference"]["parameters"] < best["parameters"]
    exact = answer["shape"]["flops_per_token"] * best["tokens"]
    assert answer["machine"]["seconds"] == pytest.approx(exact / 1e10)


@pytest.mark.parametrize(
    ("option", "value", "kind", "number"),
    [
        ("--time", "20m", "seconds", 1200),
        ("--time", "90", "seconds", 90),
        ("--params", "300k", "parameters", 3e5),
        ("--target-loss", "4.5", "target_loss", 4.5),
    ],
)
def test_other_budgets(minillm, table, option, value, kind, number):
    argv = ["--law", table, option, value, "--speed", "1e10", "--json"]
    code, out, _ = minillm("plan", *argv)
    assert code == 0
    assert json.loads(out)["budget"] == {"kind": kind, "value": number}


def test_people_get_a_table_and_the_next_command(minillm, table):
    argv = ["--flops", "1e13", "--inference-tokens", "1G", "--speed", "1e10"]
    code, out, err = minillm("plan", "--law", table, *argv)
    assert code == 0
    for words in (
        "compute-optimal",
        "with 1 G tokens of use",
        "half the size",
        "nearest shape",
        "its training",
    ):
        assert words in out
    assert err.startswith("next: minillm train --layers ")


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("gpt", "--layers"),
        ("lstm", "--arch lstm --layers"),
        ("encoder", "--objective mlm --layers"),
    ],
)
def test_the_next_command_trains_the_architecture_of_the_law(
    minillm, tmp_path, arch, options
):
    runs = [
        {
            "options": {"out": str(n), "data": "a b.txt", "tokenizer": "chars"},
            "model": {"arch": arch, "vocab_size": 98},
            "parameters": {"non_embedding": n},
            "results": {"val_loss": 1.5 + 80 * n**-0.4, "tokens": 10**6},
        }
        for n in (10_000, 20_000, 40_000, 80_000)
    ]
    path = tmp_path / "scale.json"
    path.write_text(json.dumps({"runs": runs}), encoding="utf-8")
    argv = ["--law", str(path), "--params", "50k", "--speed", "1e10"]
    code, out, err = minillm("plan", *argv)
    assert code == 0
    assert f"nearest shape: {arch}, " in out
    assert err.startswith(f"next: minillm train {options} ")
    assert err.endswith(" --data 'a b.txt' --tokenizer chars\n")


def test_how_the_table_was_read_is_told_beside_the_answer(minillm, table):
    with open(table, encoding="utf-8") as file:
        text = file.read().replace("N,D,loss", "params,D,val_loss")
    with open(table, "w", encoding="utf-8") as file:
        file.write(text + "\n1e5,,5\n")
    argv = ["plan", "--law", table, "--flops", "1e13", "--speed", "1e10"]
    code, out, err = minillm(*argv)
    notes = [
        f"note: {table}: reads params as N\n",
        f"note: {table}: 1 left out: D is missing (line 11)\n",
    ]
    assert (code, err.partition("next: ")[0]) == (0, "".join(notes))
    assert "6ND  val_loss" in out and "half the size, same val_loss" in out
    code, out, err = minillm(*argv, "--json")
    assert (code, err, json.loads(out)["law"]["y"]) == (0, "".join(notes), "val_loss")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--flops", "1e12", "--law", "no.csv"], 3, "no.csv"),
        (["--law", "{table}"], 2, "give one of"),
        (["--law", "{table}", "--time", "20x"], 2, "no time"),
        (["--law", "{table}", "--flops", "0"], 2, "more than 0"),
        (["--law", "{table}", "--flops", "1..2"], 2, "no number"),
        (["--law", "{table}", "--target-loss", "1.2", "--speed", "1e9"], 2, "floor E"),
        (["--law", "{table}", "--params", "1e20", "--speed", "1e9"], 2, "ask for less"),
    ],
)
def test_bad_input_is_refused(minillm, table, argv, code, words):
    got, out, err = minillm("plan", *(arg.format(table=table) for arg in argv))
    assert (got, out) == (code, "")
    assert words in err


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("gpt", ""),
        ("lstm", "--arch lstm "),
        ("encoder", "--objective mlm "),
        ("bert", "--objective mlm --arch bert "),
        ("encdec", "--objective seq2seq "),
    ],
)
def test_the_next_command_trains_the_architecture(arch, options):
    assert _arch(arch) == options
    words = options.replace("--", "").split()
    settings = dict(zip(words[::2], words[1::2], strict=True))
    assert TrainConfig(**settings).resolve().arch == arch
