"""Emergence: what is counted, of which runs, and what is said about it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minillm import train
from minillm.errors import DataError, UsageError
from minillm.figures import save
from minillm.studies.emergence import (
    Emergence,
    Point,
    draw_emergence,
    emergence,
    measure,
)
from minillm.text import train_tokenizer
from minillm.text.synthetic.facts import Facts

FACTS = Facts(a=-1.0, keys=9, values=100, records=3_000)
DATA = FACTS.spec


class Clerk:
    """A model that looks up the lines it was given, by what it has read of them."""

    def __init__(self, tokenizer, lines):
        self.tokenizer = tokenizer
        self.next = {
            line[:i]: line[i] for line in lines for i in range(line.index("="), 5)
        }

    def __call__(self, ids):
        logits = np.zeros((*ids.shape, self.tokenizer.vocab_size))
        for row, sequence in enumerate(ids):
            text = self.tokenizer.decode(sequence)
            for t in range(len(text)):
                line = text[: t + 1].rpartition("\n")[2]
                guess = self.next.get(line, "?")
                logits[row, t, self.tokenizer.encode(guess)] = 1
        return SimpleNamespace(numpy=lambda: logits)


def run_of(lines, *, context=32, kind="chars", objective="clm"):
    tokenizer = train_tokenizer(kind, "0123456789=\n")
    return SimpleNamespace(
        path=Path("runs/clerk"),
        model=Clerk(tokenizer, lines),
        tokenizer=tokenizer,
        config=SimpleNamespace(context=context, objective=objective),
        record={"parameters": {"non_embedding": 7}, "results": {"tokens": 5}},
    )


def test_who_knows_all_is_right_everywhere():
    text = FACTS.texts()[1]
    point = measure(run_of(FACTS.lines), text, 2)
    assert (point.accuracy, point.exact_match) == (1.0, 1.0)
    assert (point.run, point.N, point.tokens) == ("clerk", 7, 5)
    # 5 characters a record; a window of 32 cuts off one record, and some at its end.
    assert 0.7 < point.values / text.count("\n") < 1


def test_characters_and_whole_values_are_counted_apart():
    """The first digit of all keys is known, the second of keys 1 to 4 only."""
    lines = [*FACTS.lines[:4], *(f"{line[:3]}x\n" for line in FACTS.lines[4:])]
    text = "".join(FACTS.lines) * 40
    point = measure(run_of(lines), text, 2)
    assert point.exact_match == pytest.approx(4 / 9, abs=0.02)
    assert point.accuracy == pytest.approx((1 + 4 / 9) / 2, abs=0.01)


def test_a_value_counts_where_its_whole_key_is_seen():
    """Windows of 6 and records of 5: the first of every window has lost its key."""
    text = "".join(FACTS.lines) * 40
    assert measure(run_of(FACTS.lines, context=9), text, 2).accuracy == 1.0
    with pytest.raises(UsageError, match="context of 3 shows no whole record"):
        measure(run_of(FACTS.lines, context=3), text, 2)


@pytest.mark.parametrize("options", [{"kind": "bpe"}, {"objective": "mlm"}])
def test_other_models_are_refused(options):
    with pytest.raises(UsageError, match="tokenizer='chars'"):
        measure(run_of(FACTS.lines, **options), "1=22\n" * 99, 2)


def found(*pairs, length=4) -> Emergence:
    points = [
        Point(f"run{i}", 1_000 * 2**i, 500, accuracy, exact, 99)
        for i, (accuracy, exact) in enumerate(pairs)
    ]
    return Emergence("facts", length, tuple(points))


def test_what_independent_errors_explain_is_said():
    series = found((0.1, 0.0), (0.7, 0.22), (0.99, 0.95))
    assert series.predicted == pytest.approx([0.1**4, 0.7**4, 0.99**4])
    assert series.explained
    assert "At N = 2 k 70% of" in series.sentence
    assert "but 22% of the values of 4 characters (0.70^4 = 24%)" in series.sentence
    assert "exact match ≈ accuracy^4" in series.sentence


def test_a_series_that_knows_all_has_nothing_to_explain():
    series = found((1.0, 1.0), (1.0, 1.0))
    assert series.fall == 1.0


def test_values_too_short_for_a_jump_are_said_to_be():
    series = found((0.1, 0.01), (0.7, 0.49), length=2)
    assert "show no jump" in series.sentence
    assert "values=1000000" in series.sentence


def test_what_they_do_not_explain_is_said_too():
    """A model that knows half of the values, and nothing of the others."""
    series = found((0.1, 0.0), (0.55, 0.5))
    assert not series.explained
    assert "≈" not in series.sentence
    assert series.fall == pytest.approx(0.15 / (0.65 - 0.1**4 - 0.55**4))
    assert "falls 27% as far below accuracy as accuracy^4" in series.sentence
    title = draw_emergence(series).axes[0].get_title(loc="left")
    assert "exact match is not" in title


def test_the_figure_shows_both_measures_of_the_same_models():
    series = found((0.1, 0.0), (0.7, 0.22), (0.99, 0.95))
    (axes,) = draw_emergence(series).axes
    lines = {line.get_label(): line for line in axes.lines}
    accuracy = lines["accuracy: characters of values right"]
    exact = lines["exact match: all 4 characters of a value right"]
    assert accuracy.get_ydata() == pytest.approx([0.1, 0.7, 0.99])
    assert exact.get_ydata() == pytest.approx([0.0, 0.22, 0.95])
    assert accuracy.get_xdata() == pytest.approx([1_000, 2_000, 4_000])
    assert axes.get_xscale() == "log"


# Runs


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    """Two sizes, one of them trained for less as well."""
    folder = tmp_path_factory.mktemp("系列")
    for name, width, steps in (("b", 8, 6), ("a", 16, 6), ("short", 8, 3)):
        train(
            data=DATA,
            tokenizer="chars",
            layers=1,
            width=width,
            heads=1,
            context=16,
            batch=4,
            steps=steps,
            workers="1",
            device="cpu",
            out=folder / "runs" / name,
        )
    return folder


def test_a_folder_of_runs_is_measured_by_size(series, tmp_path):
    measured = emergence(series)
    assert [point.run for point in measured.points] == ["b", "a"]
    assert measured.points[0].N < measured.points[1].N
    assert measured.data == DATA
    assert measured.length == 2
    assert measured.left_out == ({"run": "short", "reason": "192 tokens, not 384"},)
    assert all(point.values > 100 for point in measured.points)
    assert emergence(series / "runs") == measured
    assert emergence([series / "runs" / "a"]).points == measured.points[1:]
    record = json.loads(json.dumps(measured.to_json()))
    assert [point["N"] for point in record["points"]] == [p.N for p in measured.points]
    assert save(draw_emergence(measured), tmp_path / "e.png").stat().st_size > 10_000


def altered(series: Path, tmp_path: Path, change) -> Path:
    """A folder of one run whose record was changed."""
    record = json.loads((series / "runs" / "a" / "run.json").read_text("utf-8"))
    change(record)
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "run.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda r: r["options"].update(data="stdlib"), UsageError, "trained on stdlib"),
        (lambda r: r.update(status="running"), DataError, "none of the runs is fini"),
    ],
)
def test_other_runs_are_refused(series, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        emergence(altered(series, tmp_path, change))


def test_runs_of_two_corpora_are_refused(series, tmp_path):
    other = altered(series, tmp_path, lambda r: r["options"].update(data="facts"))
    with pytest.raises(UsageError, match="different corpora"):
        emergence([series / "runs" / "a", other / "a"])


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no run"):
        emergence(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        emergence(tmp_path / "nothing")
