"""Cells in a kernel of Jupyter: what they show, and what an interrupt leaves."""

import json
import sys
from pathlib import Path

import pytest

from minillm.runs.lock import locked

pytestmark = pytest.mark.notebook


def test_a_run_is_drawn_in_one_place(kernel):
    told = kernel.run("r = train(steps=60, eval_every=30, out='a', **QUICK)")
    assert not told.error and not told.written
    first, *_, last = told.drawings
    assert "book.txt by chars" in first["text/plain"]
    assert "60/60  60 steps are done" in last["text/plain"]
    assert "step 60: validation loss" in last["text/plain"]
    assert "width:100.0%" in last["text/html"]
    assert "data:image/svg+xml;base64," in last["text/html"]


def test_the_same_cell_twice_trains_once_and_says_so(kernel):
    cell = "r = train(steps=20, out='twice', **QUICK)"
    kernel.run(cell)
    told = kernel.run(cell)
    (drawing,) = {each["text/plain"] for each in told.drawings}
    assert drawing == (
        "twice: finished already: nothing trained; choose another out=, or "
        "overwrite=True"
    )


def test_quiet_draws_nothing(kernel):
    told = kernel.run("train(steps=5, quiet=True, out='q', **QUICK).results.steps")
    assert (told.drawn, told.result["text/plain"]) == ({}, "5")


def test_a_reporter_of_ones_own_takes_the_place_of_the_bar(kernel):
    told = kernel.run(
        "from minillm.runs.logbook import Silent\n"
        "train(steps=5, reporter=Silent(), out='own', **QUICK).results.steps"
    )
    assert (told.drawn, told.result["text/plain"]) == ({}, "5")


def test_results_and_figures_show_themselves(kernel):
    kernel.run("r = train(steps=20, out='shown', **QUICK)")
    assert "<table>" in kernel.run("r").result["text/html"]
    assert "<table>" in kernel.run("load_run('shown')").result["text/html"]
    kernel.run("law = fit({'N': [1e4, 3e4, 1e5, 3e5], 'loss': [3, 2.5, 2.2, 2.0]})")
    assert "<sup>" in kernel.run("law").result["text/html"]
    shown = kernel.run("law.plot()").result
    assert shown["image/svg+xml"].rstrip().endswith("</svg>")


def test_an_error_of_ours_is_one_line(kernel):
    told = kernel.run("train(size='nanno')")
    (line,) = told.error
    assert not told.drawn
    assert line.startswith("UsageError: unknown size 'nanno': did you mean 'nano'?")
    assert len(kernel.run("1 / 0").error) > 1  # anybody else's is as it was


def test_an_interrupted_cell_has_written_a_checkpoint(kernel, place):
    many = "steps=100_000, eval_every=50, out='cut', **QUICK"
    told = kernel.run(f"train({many})", interrupt_at="step 50: ")
    (line,) = told.error
    assert "checkpoint written; go on with: train(resume=True, out='cut')" in line
    assert line.startswith("Interrupted: interrupted after step ")
    assert "  stopped" in told.drawings[-1]["text/plain"]
    record = json.loads((place / "cut" / "run.json").read_text("utf-8"))
    assert record["status"] == "interrupted"
    (line,) = kernel.run(f"train({many})").error
    assert line.startswith("UsageError: cut: holds this run, interrupted: add resume=")
    told = kernel.run("train(out='cut', resume=True)", interrupt_at="/100000  loss")
    assert "checkpoint written" in told.error[0]
    assert kernel.run("1 + 1").result["text/plain"] == "2"  # the kernel lives


def test_two_notebooks_at_once(kernel, place):
    kernel.run("train(steps=5, out='both', **QUICK)")
    cell = "train(steps=9, out='both', overwrite=True, draw=False, **QUICK)"
    with locked(Path(place, "both")):
        (line,) = kernel.run(cell).error
    assert "is training here: wait for it, or choose another out=" in line
    assert not kernel.run(cell).error


def test_a_command_in_a_cell_leaves_lines(kernel):
    words = "--steps 40 --data book.txt --tokenizer chars --size pico --out command"
    told = kernel.run(f"!{sys.executable} -m minillm train {words}")
    assert "\x1b[2K" not in told.written  # a line that is taken back
    assert "step 40/40  validation loss" in told.written
    assert "step 1/40  loss" in told.written
