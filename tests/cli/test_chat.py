"""`minillm chat`: lines in, replies out, and ways to end."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

MESSAGES = "你好\n\nHello\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    from minillm import train

    out = str(tmp_path_factory.mktemp("runs") / "bytes")
    options = {"size": "pico", "data": "bilingual", "device": "cpu", "workers": "1"}
    train(**options, tokenizer="bytes", lr=0.02, steps=60, out=out)
    return out


@pytest.fixture
def chat(minillm, monkeypatch, run):
    """A function that talks: (exit code, stdout, stderr)."""

    def talk(text: str, *argv: str):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return minillm("chat", run, "--max-tokens", "12", *argv)

    return talk


def test_each_line_gets_a_reply(chat):
    code, out, err = chat(MESSAGES, "--json")
    assert (code, err) == (0, "")
    turns = json.loads(out)["turns"]
    assert [turn["user"] for turn in turns] == ["你好", "Hello"]
    printed = chat(MESSAGES)[1]
    assert [line.rstrip() for line in printed.splitlines()] == [
        line for turn in turns for line in turn["assistant"].split("\n")
    ]


def test_characters_that_the_model_does_not_know_are_named(
    minillm, monkeypatch, tmp_path
):
    from minillm import train

    out = str(tmp_path / "chars")
    options = {
        "size": "pico",
        "data": "facts:records=2000",
        "tokenizer": "chars",
        "steps": 1,
    }
    train(**options, device="cpu", workers="1", out=out)
    monkeypatch.setattr(sys, "stdin", io.StringIO("17=\n灯\n灯\n"))
    err = minillm("chat", out, "--max-tokens", "2")[2]
    told = "100.0% of the characters of the message ('灯'): "
    assert err.count(f"note: the model has no token for {told}") == 1
    assert "'1'" not in err


def test_settings_arrive(chat):
    plain = chat(MESSAGES)[1]
    assert chat(MESSAGES, "--seed", "5")[1] != plain
    assert chat(MESSAGES, "--top-k", "1")[1] != plain
    assert chat(MESSAGES, "--template", r"{user}\n- {assistant}\n\n")[1] != plain
    code, _, err = chat(MESSAGES, "--template", "{user}")
    assert code == 2
    assert "template" in err


def test_a_message_longer_than_the_context_is_said_and_answered(chat):
    code, out, err = chat("a" * 80 + "\nHello\n", "--json")
    assert code == 0
    assert len(json.loads(out)["turns"]) == 2
    opening = len("User: " + "\nAssistant:")
    first = 80 + opening - 64
    assert err.splitlines() == [
        f"note: the model sees 64 tokens at once, and not the first {first} of this "
        "prompt"
    ]


def test_no_lines_are_a_dialogue_without_turns(chat):
    assert chat("") == (0, "", "")
    assert json.loads(chat("", "--json")[1])["turns"] == []


def test_piped_bytes_are_utf8_whatever_the_locale(spawn, run):
    done = spawn(
        "chat",
        run,
        "--json",
        input="灯塔".encode(),
        env={"PYTHONIOENCODING": "latin-1"},
    )
    assert json.loads(done.stdout)["turns"][0]["user"] == "灯塔"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_an_interrupt_ends_in_one_line(run):
    # A shell's background jobs, this test among them, hand on that Ctrl-C is ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from minillm_cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "chat", run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    process.stdin.write(b"Hello\n")
    process.stdin.flush()
    process.stdout.read(1)  # it talks
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert err.strip() == "minillm: interrupted"
