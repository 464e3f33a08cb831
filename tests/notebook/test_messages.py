"""How a message names an option, and what somebody may have meant."""

import pickle
from pathlib import Path

import pytest

from minillm import fit, load_run, train
from minillm.errors import (
    DivergedError,
    Interrupted,
    MinillmError,
    UsageError,
    brief,
    call,
    command_line,
    guess,
    option,
)

OPTIONS = [
    (("out",), "out=", "--out"),
    (("save_every", 5), "save_every=5", "--save-every 5"),
    (("resume", True), "resume=True", "--resume"),
    (("baselines", False), "baselines=False", "--no-baselines"),
    (("out", "a b"), "out='a b'", "--out 'a b'"),
    (("out", Path("a")), "out='a'", "--out a"),
    (("x", "N", "D"), "x=('N', 'D')", "--x N --x D"),
    (("lr", 0.1), "lr=0.1", "--lr 0.1"),
]


@pytest.mark.parametrize(("given", "called", "typed"), OPTIONS)
def test_an_option_is_named_as_whoever_asks_would_write_it(given, called, typed):
    assert option(*given) == called
    with command_line():
        assert option(*given) == typed
    assert option(*given) == called  # nobody types any more


def test_a_whole_call_can_be_pasted():
    given = {"resume": True, "out": Path("runs/it's")}
    assert call("train", **given) == """train(resume=True, out="runs/it's")"""
    assert call("demo", "numbers", seed=0) == "demo('numbers', seed=0)"
    with command_line():
        assert call("demo", "numbers", seed=0) == "minillm demo numbers --seed 0"


def test_an_error_of_the_command_does_not_change_the_words_of_python(minillm):
    code, _, err = minillm("train", "--resume")
    assert (code, "--resume needs --out" in err) == (2, True)
    with pytest.raises(UsageError, match=r"^resume= needs out="):
        train(resume=True)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UsageError("no such size"), "UsageError: no such size"),
        (Interrupted("stopped"), "Interrupted: stopped"),
        (DivergedError("in step 3", 3), "DivergedError: in step 3"),
        (MinillmError("a\x1b[31m\u202eb\n"), r"MinillmError: a\x1b[31m\u202eb\n"),
    ],
)
def test_in_ipython_an_error_is_its_sentence(error, line):
    assert error._render_traceback_() == [line]


def test_a_traceback_is_there_for_who_asks(monkeypatch):
    monkeypatch.setenv("MINILLM_TRACEBACK", "1")
    with pytest.raises(UsageError) as caught:
        train(size="huge")
    shown = "".join(caught.value._render_traceback_())
    assert "architectures.py" in shown and "unknown size 'huge'" in shown


def test_the_line_of_an_error_is_no_wall():
    (line,) = UsageError("begin " + "x" * 100_000 + " end")._render_traceback_()
    assert len(line) < 2_100 and line.endswith(" end")


def test_errors_are_pickled_by_workers():
    error = pickle.loads(pickle.dumps(UsageError("no")))
    assert error._render_traceback_() == ["UsageError: no"]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: train(siz="pico"), "did you mean 'size'?"),
        (lambda: train(width_=3), "did you mean 'width'?"),
        (lambda: train(size="nanno"), "did you mean 'nano'? choose one of pico"),
        (lambda: train(size="?"), "unknown size '?': choose one of pico"),
        (lambda: train(arch="lama"), "did you mean 'llama'?"),
        (lambda: train(data="stdlb"), "did you mean 'stdlib'?"),
    ],
)
def test_the_nearest_name_is_suggested(call, named):
    with pytest.raises(MinillmError) as caught:
        call()
    assert named in str(caught.value)


def test_of_many_names_the_nearest_is_enough():
    many = [f"name{i}" for i in range(50)]
    assert guess("name4", many) == ": did you mean 'name4'?"
    assert guess("zzz", many).startswith(": choose one of name0, name1")


TEXT = "Once upon a time there was a king. " * 300


@pytest.mark.parametrize(
    "call",
    [
        lambda text: train(data=text),
        lambda text: train(out=text),
        lambda text: train(base=text),
        lambda text: train(size=text),
        lambda text: train(optimizer=text),
        lambda text: load_run(text),
        lambda text: fit(text),
    ],
)
@pytest.mark.parametrize("text", [TEXT, TEXT.replace(".", ".\n")])
def test_a_text_in_the_place_of_a_name_is_cut(call, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MinillmError) as caught:
        call(text)
    message = str(caught.value)
    assert "Once upon a time" in message
    assert len(message) < 400 and "\n" not in message
    assert not list(tmp_path.iterdir())


def test_a_path_is_not_cut():
    assert brief(Path("runs/a")) == str(Path("runs/a"))
    assert brief("x" * 300) == "x" * 300
    assert brief("x" * 9_000) == repr("x" * 40) + " … (9,000 characters)"
