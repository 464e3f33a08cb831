"""What README.md promises: its printed numbers, its op, its commands."""

import ast
import contextlib
import io
import json
import re
import shlex
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from minillm import threads
from minillm.backend import faster_names, registry
from minillm.testing import CheckError, check_body

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def test_the_tensor_example_prints_what_it_says():
    code = next(block for block in blocks("python") if "softmax" in block)
    promised = re.findall(r"^print.*?# (.*)$", code, re.M)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert len(promised) == 3
    assert printed.getvalue().splitlines() == promised


def test_the_tensor_example_has_ten_lines():
    code = next(block for block in blocks("python") if "softmax" in block)
    assert "in ten lines" in README
    assert len([line for line in code.splitlines() if line.strip()]) == 10


def test_the_op_of_the_readme_passes_its_own_check():
    definition, check = [block for block in blocks("python") if "softplus" in block]
    exec(definition + check, {})


def test_a_wrong_pullback_in_the_readme_would_be_found():
    definition, check = [block for block in blocks("python") if "softplus" in block]
    wrong = definition.replace("g / (1 + xp.exp(-x))", "g / (1 + xp.exp(x))")
    assert wrong != definition
    with pytest.raises(AssertionError):
        exec(wrong + check, {})


def test_the_failure_of_the_readme_is_what_the_check_prints():
    definition, check = [block for block in blocks("python") if "softplus" in block]
    (promised,) = blocks("text")
    wrong = definition.replace("lambda g: g /", "lambda g: -g /")
    with pytest.raises(CheckError) as caught:
        exec(wrong + check, {})
    assert caught.value.kind == "sign"
    assert f'its `kind` is `"{caught.value.kind}"`' in README
    number = r"-?\d+\.?\d*(?:e[+-]\d+)?"
    printed = str(caught.value)
    assert re.sub(number, "n", printed).split() == re.sub(number, "n", promised).split()
    numbers = [re.findall(number, text) for text in (printed, promised)]
    for one, other in zip(*numbers, strict=True):
        assert float(one) == pytest.approx(float(other), rel=1e-5)


def test_a_function_of_another_project_is_checked_as_the_readme_says():
    (code,) = [block for block in blocks("python") if "op(cube)" in block]
    exec(code, {})
    with pytest.raises(CheckError) as caught:
        exec(code.replace("3 * x**2 * g", "2 * x**2 * g"), {})
    assert caught.value.kind == "factor"


def test_the_loop_of_the_readme_has_the_losses_of_train(tmp_path, monkeypatch):
    from minillm import train

    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("the sea and the lamp, she read.\n" * 300, "utf-8")
    code = next(block for block in blocks("python") if "Learner" in block)
    code = code.replace("steps=100", "steps=5, device='cpu'")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    train(size="pico", data="book.txt", steps=5, device="cpu", workers=1, out="run")
    lines = Path("run/metrics.jsonl").read_text("utf-8").splitlines()
    assert [float(line.split()[2]) for line in printed.getvalue().splitlines()] == [
        json.loads(line)["loss"] for line in lines
    ]


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).splitlines()
    found = [
        shlex.split(line, comments=True)
        for line in lines
        if line.startswith("minillm ")
    ]
    assert len(found) > 5
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_of_the_readme_exists_with_its_options(command):
    import importlib

    module = importlib.import_module(f"minillm_cli.{command[1]}")
    flags = {flag for param in module.command.params for flag in param.opts}
    assert flags >= {word for word in command[2:] if word.startswith("--")}


def test_every_room_of_the_readme_is_there():
    rooms = re.findall(r"`(minillm/[\w./]*)`", README)
    assert len(rooms) > 5
    for room in rooms:
        assert (ROOT / room).exists(), room


def test_links_and_pictures_of_both_readmes_are_there():
    for page in (ROOT / "README.md", ROOT / "minillm" / "README.md"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)


def test_every_file_of_the_tour_is_there():
    tour = (ROOT / "minillm" / "README.md").read_text(encoding="utf-8")
    there = {path.name for path in (ROOT / "minillm").rglob("*.py")}
    for part in tour.split("\n## ")[1:]:
        room = re.search(r"`([\w/]+/)`", part.splitlines()[0])
        for name in re.findall(r"`([\w/]+\.py)`", part):
            places = [
                ROOT,
                ROOT / "minillm",
                *([ROOT / "minillm" / room[1]] if room else []),
            ]
            found = any((place / name).exists() for place in places)
            assert found or ("/" not in name and name in there), name


ENGINE = ["ops", "nn", "models", "text", "text/tokenizer", "learning", "generation"]


@pytest.mark.parametrize("room", [*ENGINE, "runs", "laws", "testing", "backend"])
def test_the_tour_names_every_file_of_the_engine(room):
    tour = (ROOT / "minillm" / "README.md").read_text(encoding="utf-8")
    named = {Path(name).name for name in re.findall(r"`([\w/]+\.py)`", tour)}
    there = {path.name for path in (ROOT / "minillm" / room).glob("*.py")}
    assert there - {"__init__.py"} <= named


def where() -> list[tuple[str, str]]:
    """(file, name) of each place in the table of the tour."""
    tour = (ROOT / "minillm" / "README.md").read_text(encoding="utf-8")
    (table,) = [part for part in tour.split("\n## ") if part.startswith("Where does")]
    return re.findall(r"`([\w/]+\.py)`: `([\w.]+)`", table)


def test_the_table_of_the_tour_has_thirty_rows():
    assert len(where()) >= 30


@pytest.mark.parametrize(("file", "name"), where())
def test_what_the_table_of_the_tour_names_is_there(file, name):
    found = ast.parse((ROOT / "minillm" / file).read_text(encoding="utf-8"))
    for part in name.split("."):
        there = {each.name: each for each in found.body if hasattr(each, "name")}
        assert part in there, sorted(there)
        found = there[part]


def test_the_tour_names_every_op_that_has_a_faster_body():
    tour = (ROOT / "minillm" / "README.md").read_text(encoding="utf-8")
    (rules,) = [part for part in tour.split("\n## ") if part.startswith("3. The rules")]
    named = set(re.findall(r"`(\w+)`", rules))
    assert set(faster_names()) <= named


@pytest.fixture
def run_block(capsys, tmp_path, monkeypatch):
    """A function that runs the README's piece of code with these words in it, just as
    it stands there: (its lines of code, what it prints)."""
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> tuple[int, str]:
        (code,) = [block for block in blocks("python") if words in block]
        with threads(1):  # puts back what the code sets
            exec(code, {})
        lines = [line for line in code.splitlines() if line.strip()]
        return len(lines), capsys.readouterr().out

    return run


def test_the_loop_on_two_spirals_tells_them_apart(run_block):
    n_lines, printed = run_block("np.cos(angle)")
    assert n_lines <= 15
    assert float(printed.rstrip("%\n")) >= 97


def test_the_loop_on_names_learns_what_follows_a_letter(run_block):
    n_lines, printed = run_block("stdlib_module_names")
    assert n_lines <= 15
    loss, _, names = printed.partition(" ")
    assert float(loss) < 2.65  # 3.7 is that of letters at random
    assert len(names) == 61  # tokens, and the end of the line


def test_the_loop_of_a_gpt_learns_and_writes(run_block):
    n_lines, printed = run_block("GPT(config.shape")
    assert n_lines <= 15
    loss, _, text = printed.partition(" ")
    assert float(loss) < 3.0  # 5.7 is that of characters at random
    assert len(text) == 101


def test_a_model_of_one_s_own_is_trained_by_train_as_the_readme_says(run_block):
    _, printed = run_block("train(config, model=model")
    loss, _, text = printed.partition(" ")
    assert float(loss) < 3.6
    assert len(text) == 101
    record = json.loads(Path("runs/mlp/run.json").read_text("utf-8"))
    assert record["config"]["class"] == "MLP"


OWN = (ROOT / "minillm" / "ADD_YOUR_OWN.md").read_text(encoding="utf-8")


@pytest.fixture
def own_code(monkeypatch) -> list[str]:
    """The pieces of code of ADD_YOUR_OWN.md; what they register is gone afterwards."""
    monkeypatch.setattr(registry, "_bodies", dict(registry._bodies))
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    # A reader may have added it to the house, where its name is taken.
    code = OWN.replace("softplus", "softplus_of_the_tour")
    return re.findall(r"^```python\n(.*?)^```", code, re.M | re.S)


def test_an_op_of_one_s_own_and_its_faster_body_pass_their_checks(own_code):
    code = own_code[0]
    exec(code, {})
    with pytest.raises(AssertionError, match="softplus"):
        exec(code.replace("return xp.maximum(x, 0) +", "return xp.maximum(x, 1) +"), {})


def test_its_body_for_cuda_is_the_same_formula(own_code, monkeypatch):
    """With NumPy for CuPy, and `fuse` for a function that changes nothing."""
    stand_in = types.SimpleNamespace(**vars(np), fuse=lambda function: function)
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    names = {}
    exec(own_code[0] + own_code[1], names)
    registry._bodies["cpu", "softplus_of_the_tour"] = names["fused"]
    check_body(names["softplus_of_the_tour"], names["x"])


@pytest.mark.gpu
def test_its_body_for_cuda_passes_its_check(own_code):
    exec("".join(own_code), {})


@pytest.mark.parametrize("page", ["README.md", "ADD_YOUR_OWN.md"])
def test_the_files_that_add_your_own_names_are_there(page):
    text = (ROOT / "minillm" / page).read_text(encoding="utf-8")
    for name in re.findall(r"`((?:minillm|tests|cli)/[\w/]+\.py)`", text):
        assert (ROOT / name).exists(), name


def test_every_question_of_the_tour_has_an_answer():
    for page in ("README.md", "ADD_YOUR_OWN.md"):
        text = (ROOT / "minillm" / page).read_text(encoding="utf-8")
        after = text.split("*Question:*")[1:]
        assert after
        assert all("<summary>Answer</summary>" in part for part in after)


def test_the_lines_of_the_tour_are_short():
    tour = (ROOT / "minillm" / "README.md").read_text(encoding="utf-8")
    prose = [line for line in tour.splitlines() if not line.startswith("|")]
    assert max(map(len, prose)) <= 90


@pytest.mark.parametrize("line", "\n".join(blocks("sh")).splitlines())
def test_a_line_for_a_shell_can_be_pasted_into_any(line):
    """zsh takes a `#` behind a command for a word, and an odd apostrophe for the
    beginning of a text."""
    words = shlex.split(line.removesuffix("&"))
    assert "#" not in words
    assert words or not line
