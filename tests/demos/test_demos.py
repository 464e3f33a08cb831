"""Every objective learns a task whose best answer is known, and says so."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from minillm import demo, load_run, train
from minillm.demos import DEMOS, ask, measure
from minillm.demos.questions import (
    WAYS,
    hidden_brackets,
    pairs_of_texts,
    repeated_words,
)
from minillm.errors import Interrupted, UsageError
from minillm.runs.logbook import Silent
from minillm.text import MASK
from minillm.text.synthetic.brackets import CLOSE, OPEN
from minillm.text.synthetic.by_name import TOYS

ONE = {"device": "cpu", "workers": "1"}
ASKED = "pairs", "labels"  # the kinds of tasks whose rows are the questions


# What is learned


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reverse", "languages", "topics"])
def test_a_demo_solves_its_task(name, tmp_path):
    result = demo(name, out=tmp_path / "run", **ONE)
    assert result["solved"]
    assert result["way"] >= result["enough"] == 0.95
    assert result["score"] < result["best"] + 0.02
    assert sum(row["is_right"] for row in result["examples"]) >= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps", "way", "n_right"),
    [
        ("copy", 200, 0.8, 7),
        ("numbers", 400, 0.8, 6),
        ("words", 400, 0.5, 4),
        ("brackets", 500, 0.6, 6),
        ("induction", 700, 0.7, 7),
    ],
)
def test_a_part_of_its_steps_leaves_chance_far_behind(
    name, steps, way, n_right, tmp_path
):
    out = tmp_path / "run"
    train(DEMOS[name].config(steps=steps, out=out, **ONE), draw=False)
    result = measure(DEMOS[name], out)
    assert way < result["way"] < 1.02
    assert sum(row["is_right"] for row in result["examples"]) >= n_right


# What is asked


def test_every_generated_task_has_a_demo_and_every_demo_a_task():
    assert {chosen.toy.name for chosen in DEMOS.values()} == set(TOYS)
    assert len({chosen.toy.spec for chosen in DEMOS.values()}) == len(DEMOS)
    for chosen in DEMOS.values():
        assert (chosen.task or chosen.name) == chosen.toy.spec
        assert chosen.config().resolve().objective == chosen.toy.objective


def test_a_hidden_bracket_is_the_one_that_makes_the_line_balanced():
    toy = DEMOS["brackets"].toy
    rows = hidden_brackets(toy)[:50]
    assert len({asked.index(MASK) for asked, _ in rows}) == toy.width
    for asked, right in rows:
        fitting = [b for b in toy.symbols if is_balanced(asked.replace(MASK, b))]
        assert fitting == [right]


def is_balanced(line: str) -> bool:
    stack = []
    for bracket in line:
        if bracket in OPEN:
            stack.append(bracket)
        elif not stack or OPEN.index(stack.pop()) != CLOSE.index(bracket):
            return False
    return not stack


def test_the_rest_of_a_repeated_word_is_certain_for_the_ideal_reader():
    toy = DEMOS["induction"].toy
    rows = repeated_words(toy)[:50]
    for asked, right in rows:
        # Not what stands just before, which a model could repeat without looking back.
        assert asked.split()[-2] != asked[-1] + right
        odds = list(toy.read("\n" + asked + right))[len(asked) : -1]
        assert odds == [{letter: 1.0} for letter in right]


def test_half_of_the_second_texts_follow_and_the_others_are_from_the_next_document():
    toy = DEMOS["topics"].toy
    text = toy.texts()[1]
    rows = pairs_of_texts(toy)
    assert len(rows) == toy.documents // 10 - 1
    for asked, right in rows:
        first, second = asked.split(" |")
        assert len(first.split()) == len(second.split()) == 2
        assert text.count(first) >= 1
        assert (first + second in text) == (right == "follows")
    assert 0 <= sum(1 if right == "follows" else -1 for _, right in rows) <= 1


@pytest.mark.parametrize("name", [n for n in DEMOS if DEMOS[n].toy.kind in ASKED])
def test_what_is_held_out_is_asked(name):
    toy = DEMOS[name].toy
    assert WAYS[toy.kind][0](toy) == toy.parts()[1]


# What is told, of models that have hardly begun


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A function that shortens a demo to so many steps; we stand in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def shorten(name: str, steps: int) -> None:
        settings = {**DEMOS[name].settings, "d_model": 16, "steps": steps}
        monkeypatch.setitem(DEMOS, name, replace(DEMOS[name], settings=settings))

    return shorten


@pytest.mark.parametrize(
    "name",
    [
        "numbers",
        "languages",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("topics", "induction")),
    ],
)
def test_who_has_learned_nothing_has_not_solved_it(quick, name):
    quick(name, 1)
    result = demo(name, **ONE)
    toy = DEMOS[name].toy
    assert result["run"] == f"runs/demo-{name}"
    assert not result["solved"]
    assert result["way"] < 0.5
    assert result["chance"] == toy.chance
    assert len(result["examples"]) == 10
    assert (result["floor"] is None) == (toy.kind != "text")
    for row in result["examples"]:
        assert row["is_right"] == (row["said"] == row["right"])
    json.dumps(result, allow_nan=False)


def test_the_score_is_the_share_of_right_answers(quick):
    quick("languages", 200)
    result = demo("languages", **ONE)
    answers = ask(load_run(result["run"]), DEMOS["languages"].toy, 5_000)
    assert len(answers) == 2_000
    assert 0.55 < result["score"] < 0.99
    assert result["score"] == sum(each.is_right for each in answers) / 2_000
    assert result["examples"][3]["said"] == answers[3].said


class Told(Silent):
    """Remembers which steps were taken, and acts at one of them."""

    def __init__(self, at: int = 0, action=None):
        self.at, self.action = at, action
        self.steps, self.notes = [], []

    def step(self, line: dict) -> None:
        self.steps.append(line["step"])
        if line["step"] == self.at:
            self.action()

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_second_call_trains_nothing_and_tells_the_same(quick):
    quick("numbers", 3)
    first = demo("numbers", **ONE)
    told = Told()
    assert demo("numbers", **ONE, reporter=told) == first
    assert told.steps == []
    assert "finished already" in told.notes[0]


def test_another_seed_is_another_run(quick):
    quick("numbers", 3)
    first, second = demo("numbers", **ONE), demo("numbers", seed=1, **ONE)
    assert second["run"] == "runs/demo-numbers-s1"
    assert second["seed"] == 1
    assert first["loss"] != second["loss"]
    with pytest.raises(UsageError, match="already holds another run, with seed 1"):
        demo("numbers", out=second["run"], **ONE)


def test_what_was_interrupted_goes_on(quick):
    quick("numbers", 20)
    stop = Told(10, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        demo("numbers", out="a b", **ONE, reporter=stop)
    assert caught.value.exit_code == 130
    how = "demo('numbers', seed=0, out='a b')"
    assert str(caught.value) == f"interrupted; go on with: {how}"
    with pytest.raises(UsageError, match="cannot go on with seed 1: this run has 0"):
        demo("numbers", seed=1, out="a b", **ONE)
    told = Told()
    result = demo("numbers", out="a b", **ONE, reporter=told)
    assert min(told.steps) > 10
    assert result["loss"] == demo("numbers", **ONE)["loss"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("revers", "no demo 'revers': did you mean 'reverse'?"),
        ("", "no demo '': choose one of copy, reverse, numbers, words, brackets,"),
        ("灯塔", "no demo '灯塔': choose one of copy"),
    ],
)
def test_an_unknown_name_is_told_what_there_is(quick, name, words):
    with pytest.raises(UsageError, match=r"no demo") as caught:
        demo(name)
    assert words in str(caught.value)
    assert not Path("runs").exists()
