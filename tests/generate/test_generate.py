"""Continuing a text: prompts in, continuations out."""

import numpy as np
import pytest

import minillm
from minillm.errors import DataError, UsageError
from minillm.generation import generate, stream
from minillm.runs.train import train


@pytest.fixture(scope="module")
def run(runs):
    return minillm.load_run(runs["clm"])


def test_the_seed_decides_the_draws(runs):
    texts = [generate(runs["clm"], "灯塔", seed=seed, top_k=9) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    calm = [generate(runs["clm"], "The", temperature=0, seed=seed) for seed in (1, 2)]
    assert calm[0] == calm[1]


def test_chinese_and_english_come_back_from_a_short_run(runs):
    record = minillm.load_run(runs["clm"]).record
    assert record["results"]["train_loss"] < 0.5 * np.log(
        record["config"]["vocab_size"]
    )
    chinese = generate(runs["clm"], "在大海之前的最后一座小岛上，", max_tokens=60)
    english = generate(runs["clm"], "On the last island", max_tokens=60)
    assert any("\u4e00" <= character <= "\u9fff" for character in chinese)
    assert any("a" <= character <= "z" for character in english)


def test_what_was_learned_by_heart_is_said(runs):
    text = generate(runs["clm"], "The ships had learned to", temperature=0)
    assert text.startswith(" find their way by listening to the sky")


@pytest.mark.parametrize("prompt", ["", "🙂", "x" * 500, "[MASK]"])
def test_any_prompt_is_continued(runs, prompt):
    run = minillm.load_run(runs["clm"])
    text = generate(run, prompt, max_tokens=40)
    assert text and isinstance(text, str)


def test_a_masked_model_cannot_continue(runs):
    with pytest.raises(UsageError, match="masked model"):
        generate(runs["mlm"], "The")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_k", -3),
        ("max_tokens", -1),
        ("seed", -1),
        ("n", 0),
    ],
)
def test_settings_out_of_range_are_refused(runs, name, value):
    with pytest.raises(UsageError, match=f"{name} must be at least"):
        generate(runs["clm"], "The", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"),
        ("temperature", True),
        ("top_k", 2.5),
        ("top_p", "0.5"),
        ("max_tokens", 2.5),
        ("seed", 1.5),
        ("n", "3"),
    ],
)
def test_settings_of_another_type_are_refused_by_their_names(runs, name, value):
    with pytest.raises(UsageError, match=f"{name} must be a .*number, got {value!r}"):
        generate(runs["clm"], "The", **{name: value})
    generate(runs["clm"], "The", max_tokens=np.int64(1), temperature=np.float32(0.5))


def test_a_run_that_is_not_there_is_said():
    with pytest.raises(DataError, match="no/run"):
        generate("no/run", "The")


def test_several_continuations_come_from_the_seed_and_their_number(run):
    options = {"max_tokens": 20, "temperature": 2}
    five = generate(run, "The", n=5, **options)
    assert len(set(five)) == 5
    assert generate(run, "The", n=2, **options) == five[:2]
    assert generate(run, "The", **options) == five[0]


@pytest.mark.parametrize("temperature", [0, 2])
def test_a_batch_of_prompts_gives_what_each_gives_alone(run, temperature):
    prompts = ["灯塔", "The ships had learned to find their way", "", "x" * 60]
    options = {"temperature": temperature, "max_tokens": 50, "stop": ["the"]}
    together = generate(run, prompts, n=2, **options)
    assert together == [generate(run, each, n=2, **options) for each in prompts]
    assert together == generate(run, prompts, n=2, cached=False, **options)
    assert generate(run, []) == []


def test_the_text_ends_before_a_stop_text(run):
    whole = generate(run, "The ships had learned to", temperature=0)
    stop = ["never there", "listening", "by lis"]
    text = generate(run, "The ships had learned to", temperature=0, stop=stop)
    assert text == whole[: whole.index("by lis")]
    with pytest.raises(UsageError, match="must not be empty"):
        generate(run, "The", stop=[""])


@pytest.mark.parametrize("prompt", ["灯", "The"])
@pytest.mark.parametrize("stop", [[], ["the", "，"]])
def test_what_streams_is_what_is_generated(run, prompt, stop):
    options = {"stop": stop, "max_tokens": 80, "seed": 3}
    pieces = list(stream(run, prompt, **options))
    assert "".join(pieces) == generate(run, prompt, **options)
    assert stop or sum(map(bool, pieces)) > 20


def test_wordpiece_continues_a_word_and_parts_it_from_the_next(tmp_path):
    data = tmp_path / "cycle.txt"
    data.write_text("lamp sky " * 1_500, encoding="utf-8")
    options = {"size": "pico", "device": "cpu", "workers": "1", "lr": 0.03}
    shape = {"context": 16, "width": 32, "batch": 32, "steps": 60, "vocab": 15}
    out = str(tmp_path / "run")
    train(**options, **shape, data=str(data), tokenizer="wordpiece", out=out)
    for prompt, expected in [("sky la", "mp sky lamp"), ("lamp", " sky lamp sky")]:
        n = len(expected.replace(" ", ""))
        assert generate(out, prompt, max_tokens=n, temperature=0) == expected
        assert generate(out, prompt, max_tokens=n, beams=2) == expected
        assert generate(out, prompt, temperature=0, stop=expected[3:]) == expected[:3]
    with pytest.raises(UsageError, match="give a prompt of a word at least"):
        generate(out, " ")


def test_a_penalty_makes_a_text_less_repetitive(run):
    def variety(penalty):
        options = {"temperature": 0, "max_tokens": 200, "repetition_penalty": penalty}
        return len(set(run.tokenizer.encode(generate(run, "The", **options)).tolist()))

    assert variety(2.0) > variety(1.0)
