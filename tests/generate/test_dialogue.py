"""A dialogue: its template, its window, its replies."""

import numpy as np
import pytest

import minillm
from minillm.errors import UsageError
from minillm.generation import Dialogue, dialogue
from minillm.runs.train import train

WORDS = {"1": "one", "2": "two", "3": "three", "一": "yi", "二": "er"}


@pytest.fixture(scope="module")
def namer(tmp_path_factory):
    """A model that has learned to name numbers when asked."""
    folder = tmp_path_factory.mktemp("namer")
    rng = np.random.default_rng(0)
    asked = rng.choice(list(WORDS), 4_000)
    turns = [f"User: {each}\nAssistant: {WORDS[each]}\n" for each in asked]
    (folder / "turns.txt").write_text("".join(turns), encoding="utf-8")
    out = str(folder / "run")
    train(
        size="pico",
        width=32,
        context=64,
        batch=16,
        steps=200,
        lr=0.01,
        data=str(folder / "turns.txt"),
        tokenizer="chars",
        device="cpu",
        workers="1",
        out=out,
        draw=False,
    )
    return minillm.load_run(out)


def test_every_question_is_answered_also_beyond_the_window(namer):
    talk = Dialogue(namer, temperature=0, max_tokens=20)
    questions = ["1", "二", "3", "2", "一", "1", "3", "3", "二", "2"]
    replies = ["".join(talk.reply(each)) for each in questions]
    assert replies == [WORDS[each] for each in questions]
    assert talk.turns == list(zip(questions, replies, strict=True))


def test_the_prompt_is_the_latest_whole_turns_that_fit(namer):
    talk = Dialogue(namer, max_tokens=20)
    assert talk.prompt("1") == "User: 1\nAssistant:"
    talk.turns = [(str(i), "x" * i) for i in range(6)]
    prompt = talk.prompt("二")
    assert prompt == "User: 5\nAssistant: xxxxx\nUser: 二\nAssistant:"
    assert len(prompt) <= 64 - 20
    assert len("User: 4\nAssistant: xxxx\n" + prompt) > 64 - 20


def test_a_turn_stays_as_long_as_a_reply_has_room(namer):
    talk = Dialogue(namer, max_tokens=20)  # of 64
    for length, kept in [(6, True), (7, False)]:
        talk.turns = [("1", "x" * length)]
        turn = f"User: 1\nAssistant: {'x' * length}\n"
        opening = "User: 2\nAssistant:"
        assert (len(turn + opening) <= 44) == kept
        assert talk.prompt("2") == (turn if kept else "") + opening


def test_a_message_longer_than_the_window_is_answered(namer):
    talk = Dialogue(namer, temperature=0, max_tokens=20)
    assert "".join(talk.reply("1" * 200 + "\nAssistant: one\nUser: 2")) == "two"


def test_another_template_is_followed(namer, monkeypatch):
    asked = {}

    def stream(run, prompt, **options):
        asked.update(options, prompt=prompt)
        yield from (" ", "", " yes ", "sir ")

    monkeypatch.setattr(dialogue, "stream", stream)
    talk = Dialogue(namer, template="Q {user} A: {assistant}", stop="!?", top_k=3)
    assert list(talk.reply("a")) == ["", "", "yes ", "sir "]
    assert asked["prompt"] == "Q a A:"
    assert asked["stop"] == ["\nQ", "!?"]
    assert asked["top_k"] == 3
    first_seed = asked["seed"]
    list(talk.reply("b"))
    assert asked["prompt"] == "Q a A: yes sir\nQ b A:"
    assert asked["seed"] != first_seed


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{user}",
        "{assistant}{user}",
        "{user}{user}{assistant}",
        "{user}{assistant} ",
    ],
)
def test_a_template_that_cannot_be_is_refused(namer, template):
    with pytest.raises(UsageError, match="template"):
        Dialogue(namer, template=template)


@pytest.mark.slow
def test_wordpiece_ends_a_reply_without_line_ends(tmp_path):
    """Its tokens spell the next turn's beginning, "\nUser:", as "User :"."""
    rng = np.random.default_rng(0)
    asked = rng.choice(list(WORDS), 2_000)
    turns = [f"User: {each}!\nAssistant: it is {WORDS[each]}.\n" for each in asked]
    (tmp_path / "turns.txt").write_text("".join(turns), encoding="utf-8")
    options = {"size": "pico", "device": "cpu", "workers": "1", "lr": 0.01}
    shape = {"context": 64, "width": 32, "batch": 16, "steps": 250}
    out, data = str(tmp_path / "run"), str(tmp_path / "turns.txt")
    train(**options, **shape, tokenizer="wordpiece", data=data, out=out)
    talk = Dialogue(out, temperature=0, max_tokens=20)
    replies = ["".join(talk.reply(f"{each}!")) for each in "1二3"]
    assert [each.rstrip() for each in replies] == [
        "it is one .",
        "it is er .",
        "it is three .",
    ]
    assert talk.turns[2] == ("3!", "it is three .")
    with pytest.raises(UsageError, match="only spaces between two turns, as wordpiece"):
        Dialogue(out, template="{user}\n{assistant}\n")
    with pytest.raises(UsageError, match=r"must not be empty \(wordpiece has no"):
        Dialogue(out, stop="\n")


def test_a_setting_out_of_range_is_refused_before_the_first_turn(namer):
    with pytest.raises(UsageError, match="top_p"):
        Dialogue(namer, top_p=2)
