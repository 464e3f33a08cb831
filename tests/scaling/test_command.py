"""`minillm scale`: what it prints, and how Ctrl-C and SIGTERM end it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minillm.runs.run import read_record
from minillm.series import scale
from minillm.series.ladder import PRESETS
from minillm_cli import scale as command
from minillm_cli.main import main

# The command line, with one more preset. A shell's background jobs, this test among
# them, hand on that Ctrl-C is to be ignored.
SCRIPT = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from minillm.series.ladder import PRESETS, Ladder
PRESETS["tiny"] = Ladder.from_json(json.loads(sys.argv[1]))
from minillm_cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def minillm(monkeypatch, tiny, capsys):
    """A function that runs the command line: (exit code, stdout, stderr)."""
    monkeypatch.setitem(PRESETS, "tiny", tiny)
    (preset,) = [p for p in command.command.params if p.name == "preset"]
    monkeypatch.setattr(preset.type, "choices", [*PRESETS])

    def run(*argv: str):
        return main([*argv]), *capsys.readouterr()

    return run


@pytest.fixture
def argv(words, copied) -> list[str]:
    """The command that started the series in the folder `copied`."""
    return ["scale", "--preset", "tiny", "--data", words, "--out", str(copied)]


def test_stdout_is_one_json_object(minillm, argv, series, quickly):
    code, out, err = minillm(*argv, "--json")
    assert code == 0
    result = json.loads(out)
    for key in ("law", "held_out", "sizes", "decoding", "tokens"):
        assert result[key] == series[1][key]
    assert "finished before" in err


@pytest.mark.slow
def test_people_get_tables_and_the_next_command(minillm, argv, series, quickly):
    code, out, err = minillm(*argv)
    assert code == 0
    result = series[1]
    assert f"{result['held_out']['measured']:.4f}" in out
    assert f"{result['held_out']['relative_error']:.2%}" in out
    for law in result["counting"].values():
        assert f"{law['alpha']:.3f}" in out
    for word in ("non-embedding *", "matrices and head", "total", "accuracy", "1 × 24"):
        assert word in out
    assert "49,152 tokens each; loss in nats/token; a token is a character" in out
    assert "E is L∞(D), the floor after D = 49,152 tokens" in out
    assert "49,152 tokens for each of 6 models" in err
    assert err.splitlines()[-1].startswith("next: minillm generate ")
    assert "24-s0" in err.splitlines()[-1]


@pytest.mark.slow
def test_a_series_of_masked_models_goes_through_without_a_law_of_writing(
    minillm, words, tmp_path
):
    out_folder = str(tmp_path / "masked")
    argv = ["scale", "--preset", "tiny", "--data", words, "--out", out_folder]
    code, out, err = minillm(*argv, "--objective", "mlm")
    assert code == 0
    assert "train_seconds" in out and "decode_seconds" not in out
    assert err.splitlines()[-1].startswith("next: minillm fill ")
    code, out, err = minillm("report", out_folder)
    assert code == 0
    assert "No law of seconds of decoding: nothing was measured." in out


def test_the_help_fits_a_screen(minillm):
    code, out, _ = minillm("scale", "--help")
    assert code == 0
    assert len(out.splitlines()) <= 24
    assert "Example:" in out


@pytest.mark.parametrize(
    ("argv", "code", "words_of_error"),
    [
        (["--preset", "decade"], 2, "decade"),
        (["--budget", "soon"], 2, "soon"),
        (["--objective", "rhyme"], 2, "rhyme"),
        (["--arch", "tree"], 2, "clm needs arch gpt or llama or lstm, got 'tree'"),
        (["--arch", "lstm", "--objective", "mlm"], 2, "mlm needs arch encoder"),
        (["--plan", "there-is-no-plan.json"], 3, "there-is-no-plan.json"),
        (["--workers", "0"], 2, "workers"),
        (["--seed", "-1"], 2, "seed must be at least 0"),
        (["--data", "there-is-no-such-text"], 3, "there-is-no-such-text"),
    ],
)
def test_bad_input_is_refused(minillm, tmp_path, argv, code, words_of_error):
    got, out, err = minillm("scale", *argv, "--out", str(tmp_path / "out"))
    assert (got, out) == (code, "")
    assert words_of_error in err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize(
    ("number", "code"),
    [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)],
)
def test_a_signal_stops_everything_and_the_rest_is_done_later(
    series, tiny, words, tmp_path, quickly, listener, number, code
):
    out = tmp_path / "stopped"
    argv = ["scale", "--preset", "tiny", "--data", words, "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(tiny.to_json()), *argv],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_steps(out / "runs", process)
    begun = time.monotonic()
    if number == "SIGTERM":
        process.terminate()
    else:  # as a terminal does: to the children as well
        os.killpg(process.pid, getattr(signal, number))
    err = process.communicate(timeout=30)[1].decode()
    assert time.monotonic() - begun < 15
    assert process.returncode == code, err
    last = err.splitlines()[-1]
    assert "of 6 runs are finished; go on with: minillm scale --preset tiny" in last
    assert str(out) in last
    assert "Traceback" not in err, err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody is left

    result = scale(tiny, data=words, out=out, reporter=listener)
    assert result["tokens"] == series[1]["tokens"]
    for key in ("law", "held_out"):
        assert result[key] == series[1][key]
    (text,) = {run["data"]["sha256"] for run in result["runs"]}
    assert text == read_record(series[0] / "runs" / "8-s0")["data"]["sha256"]


def wait_for_steps(runs: Path, process) -> None:
    """Until some run is in its training steps."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for metrics in runs.glob("*/metrics.jsonl"):
            if len(metrics.read_bytes().splitlines()) > 3:
                return
        time.sleep(0.02)
    raise AssertionError("no run has made a step")
