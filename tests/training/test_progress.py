"""What a user sees of a run."""

import io
import re

import pytest
from rich.console import Console

from minillm.runs.progress import Reporter, clock, evaluation_line, summary

LINE = {"step": 25, "loss": 1.2345, "tokens_per_second": 12345.6, "seconds": 10.0}


@pytest.fixture
def watched():
    """A function that makes a reporter and the text of what it shows."""

    def make(terminal: bool):
        reporter = Reporter()
        screen = io.StringIO()
        reporter.console = Console(
            file=screen, force_terminal=terminal, width=200, markup=False
        )
        return reporter, screen

    return make


def test_the_time_left_follows_from_the_steps_so_far():
    assert summary(LINE, 100) == "loss 1.234  12,346 tokens/s  0:30 left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (90, "1:30"), (3661, "1:01:01")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(("per_byte", "said"), [(1.5, True), (None, False)])
def test_bits_per_byte_are_told_where_they_mean_something(per_byte, said):
    result = {"val_loss": 2.0, "val_bits_per_byte": per_byte, "val_accuracy": 0.25}
    text = evaluation_line(result, "nats/label")
    assert text.startswith("validation loss 2.0000 nats/label")
    assert ("1.500 bits/byte" in text) == said
    assert text.endswith("accuracy 25.0%")


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_without_a_terminal_there_are_lines(quick_train, watched, objective):
    reporter, screen = watched(terminal=False)
    quick_train("a", objective=objective, reporter=reporter)
    lines = screen.getvalue().splitlines()
    assert "书.txt by chars" in lines[0]
    assert lines[1].startswith("step 1/10  loss ")
    assert "step 10/10  validation loss " in lines[-1]
    # What fills no window is left out, as `eval` does not.
    assert lines[-1].endswith("  (every whole window of the validation part)")
    assert "\x1b" not in screen.getvalue()


def test_in_a_terminal_there_is_one_live_line(quick_train, watched):
    reporter, screen = watched(terminal=True)
    quick_train("a", reporter=reporter)
    assert re.search(r"10/10 loss \d\.\d{3}  [\d,]+ tokens/s  0:00 left", plain(screen))
    assert reporter.progress is None


def test_an_error_takes_the_live_line_away(quick_train, watched):
    reporter, _ = watched(terminal=True)
    reporter.evaluated = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        quick_train("a", reporter=reporter)
    assert reporter.progress is None


def plain(screen: io.StringIO) -> str:
    """What stands on a screen, without colours and movements."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
