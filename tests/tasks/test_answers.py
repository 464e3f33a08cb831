"""Fine-tuning an encoder–decoder, and how its answers are measured."""

import math

import pytest

from minillm import finetune, generate, load_run, train
from minillm.errors import UsageError
from minillm.runs.logbook import Silent
from minillm.tasks import answers
from minillm.tasks.answers import scores
from minillm.text.table import load_table

QUICK = {"device": "cpu", "workers": "1"}
SHAPE = {"layers": 1, "width": 32, "heads": 2, "context": 16}


@pytest.fixture(scope="module")
def reverser(tmp_path_factory) -> str:
    """A run that writes short strings backwards."""
    out = tmp_path_factory.mktemp("runs") / "reverser"
    options = {
        "objective": "seq2seq",
        "data": "reverse:longest=6",
        "tokenizer": "chars",
    }
    steps = {"batch": 64, "steps": 400, "lr": 0.005, "eval_every": 400}
    train(**options, **steps, **SHAPE, **QUICK, out=out, draw=False)
    return str(out)


@pytest.mark.slow
def test_what_it_can_already_makes_few_rows_enough(reverser, tmp_path):
    data = "reverse:rows=300,seed=1,longest=6"
    result = finetune(
        reverser, data, task="seq2seq", lr=0.001, out=tmp_path / "a", **QUICK
    )
    assert result["exact_match"] > 0.8
    assert set(result["baselines"]) == {"scratch"}
    assert result["baselines"]["scratch"]["exact_match"] < 0.2
    assert result["loss"] < 0.2 * result["baselines"]["scratch"]["loss"]


def test_an_answer_counts_if_it_is_the_target(reverser, monkeypatch):
    run = load_run(reverser)
    rows = load_table("reverse:rows=100,seed=2,longest=9", "pairs").val
    by_hand = [
        generate(run, source, temperature=0) == target for source, target in rows
    ]
    assert 0 < sum(by_hand) < len(by_hand)
    found = answers.measure(run, rows)
    assert found["answers"] == 10
    assert found["exact_match"] == sum(by_hand) / 10
    monkeypatch.setattr(answers, "MOST", 5)
    some = answers.measure(run, rows)
    assert (some["answers"], some["exact_match"]) == (5, sum(by_hand[::2]) / 5)


def test_without_the_extra_the_rest_is_measured_and_one_line_says_so(
    reverser, tmp_path, monkeypatch
):
    class Listener(Silent):
        def __init__(self):
            self.notes = []

        def note(self, text):
            self.notes.append(text)

    monkeypatch.setattr(answers, "installed", lambda: False)
    heard = Listener()
    options = {"epochs": 1, "baselines": False, "out": tmp_path / "a", **QUICK}
    data = "reverse:rows=50"
    result = finetune(reverser, data, task="seq2seq", reporter=heard, **options)
    assert (result["bleu"], result["rouge_l"]) == (None, None)
    assert 0 <= result["exact_match"] <= 1
    assert sum("pip install" in note for note in heard.notes) == 1


def test_each_task_needs_its_architecture(reverser, world, pretrained):
    with pytest.raises(UsageError, match="arch encdec, and task classify needs a run"):
        finetune(reverser, world.labelled)
    with pytest.raises(UsageError, match=r"arch gpt, and task seq2seq needs .* encdec"):
        finetune(pretrained("gpt"), "reverse", task="seq2seq")


@pytest.mark.scores
def test_bleu_by_hand():
    # All n-grams are there; one token of seven is missing at the end.
    short = scores(["the cat sat on the mat"], ["the cat sat on the mat."])
    assert short["bleu"] == pytest.approx(100 * math.exp(1 - 7 / 6))
    # 1-grams 7 of 8 + 5 of 6, 2-grams 5 of 7 + 4 of 5, 3-grams 3 of 6 + 3 of 4, 4-grams
    # 2 of 5 + 2 of 3; equal lengths.
    written = ["a b c d e x g h", "p q r s t u"]
    target = ["a b c d e f g h", "p q r s t v"]
    precisions = [12 / 14, 9 / 12, 6 / 10, 4 / 8]
    expected = 100 * math.prod(precisions) ** (1 / 4)
    assert scores(written, target)["bleu"] == pytest.approx(expected)
    assert "tok:13a" in short["bleu_signature"]


@pytest.mark.scores
def test_rouge_l_by_hand():
    # The longest common subsequence: "a b"; 2 of 3 written, 2 of 4 wanted.
    one = scores(["a c b"], ["a b C d!"])["rouge_l"]
    assert one == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert scores(["a c b", "море"], ["a b C d!", "Море"])["rouge_l"] == (one + 1) / 2


@pytest.mark.scores
def test_chinese_is_compared_by_its_characters():
    same = scores(["我爱北京天安门"], ["我爱北京天安门"])
    assert same["bleu"] == pytest.approx(100)
    assert same["rouge_l"] == 1.0
    assert "tok:zh" in same["bleu_signature"]
    half = scores(["我爱北京"], ["我爱北京天安门"])
    assert half["bleu"] == pytest.approx(100 * math.exp(1 - 7 / 4))
    assert half["rouge_l"] == pytest.approx(2 * 4 / 7 / (1 + 4 / 7))


@pytest.mark.scores
def test_nothing_written_scores_nothing():
    found = scores([""], ["the sea"])
    assert (found["bleu"], found["rouge_l"]) == (0.0, 0.0)
