"""The options of a run: defaults by size, and what is refused."""

import math
from pathlib import Path

import pytest

from minillm.errors import UsageError
from minillm.learning.config import TOKENIZERS, TrainConfig
from minillm.models import SIZES
from minillm.models.architectures import default_heads


@pytest.mark.parametrize("name", SIZES)
def test_a_size_fills_in_everything(name):
    config, size = TrainConfig(size=name).resolve(), SIZES[name]
    assert config.size == name
    shape = config.shape(1000)
    assert (shape.n_layers, shape.d_model) == (size.n_layers, size.d_model)
    assert (shape.n_heads, shape.context) == (size.n_heads, size.context)
    tokens = config.steps * config.tokens_per_step
    assert tokens == pytest.approx(size.tokens, rel=0.01)
    assert config.resolve() == config
    assert TrainConfig.from_json(config.to_json()) == config


def test_the_default_is_nano():
    assert TrainConfig().resolve() == TrainConfig(size="nano").resolve()


def test_a_shape_of_one_s_own_has_no_name():
    own = TrainConfig(n_layers=3, d_model=100).resolve()
    assert (own.size, own.n_layers, own.d_model) == (None, 3, 100)
    assert 100 % own.n_heads == 0
    assert TrainConfig(size="tiny", n_layers=3).resolve().size is None
    assert TrainConfig(n_layers=3).resolve().d_model == SIZES["nano"].d_model
    assert TrainConfig(size="tiny", batch=3, context=9).resolve().size == "tiny"


@pytest.mark.parametrize("width", [1, 7, 16, 31, 33, 48, 96, 97, 100, 384, 768])
def test_heads_divide_any_width(width):
    heads = default_heads(width)
    assert width % heads == 0
    assert heads == 1 or width // heads >= 32


def test_the_words_of_the_command_name_the_shape_too():
    words = TrainConfig.from_json({"layers": 3, "width": 64, "heads": 2})
    assert words == TrainConfig(n_layers=3, d_model=64, n_heads=2)
    with pytest.raises(UsageError, match="width and d_model are one setting: give one"):
        TrainConfig.from_json({"width": 64, "d_model": 64})
    with pytest.raises(UsageError, match=r"^width \(d_model\) must be at least 1"):
        TrainConfig.from_json({"width": 0})


def test_tokens_become_steps():
    config = TrainConfig(size="nano", tokens=10_000, batch=4, context=50).resolve()
    assert (config.steps, config.tokens) == (50, None)
    assert TrainConfig(tokens=1).resolve().steps == 1


def test_a_shape_that_cannot_be_is_refused_before_any_text_is_read():
    with pytest.raises(UsageError, match="width 10 cannot be divided among 3"):
        TrainConfig(d_model=10, n_heads=3).resolve()


def test_a_vocabulary_that_is_learned_has_a_default_size():
    sizes = {kind: TrainConfig(tokenizer=kind).resolve().vocab for kind in TOKENIZERS}
    assert sizes == {"bpe": 1024, "wordpiece": 1024, "bytes": None, "chars": None}


def test_the_objective_decides_the_architecture():
    assert TrainConfig().resolve().arch == "gpt"
    assert TrainConfig(objective="mlm").resolve().arch == "encoder"
    lstm, gpt = (TrainConfig(arch=arch).resolve() for arch in ("lstm", "gpt"))
    assert lstm.arch == "lstm"
    assert lstm.lr == 2 * gpt.lr
    with pytest.raises(UsageError, match="clm needs arch gpt or llama or lstm"):
        TrainConfig(arch="encoder").resolve()
    with pytest.raises(UsageError, match="arch lstm is for objective clm or classify"):
        TrainConfig(arch="lstm", objective="mlm").resolve()


def test_bert_and_encdec_take_half_the_rate_behind_the_sums():
    whole = TrainConfig().resolve().lr
    for objective, arch in (("mlm", "bert"), ("seq2seq", "encdec")):
        about = {"objective": objective, "arch": arch, "data": "reverse"}
        assert TrainConfig(**about).resolve().lr == whole / 2
        assert TrainConfig(**about, norm="post").resolve().lr == whole / 2
        assert TrainConfig(**about, norm="pre").resolve().lr == whole
    assert TrainConfig(norm="post").resolve().lr == whole


def test_paths_and_numbers_are_understood_as_text():
    config = TrainConfig(data=Path("a.txt"), out=Path("b"), workers=2)
    assert (config.data, config.out, config.workers) == ("a.txt", "b", "2")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("size", "huge"),
        ("n_layers", 0),
        ("d_model", -1),
        ("n_heads", 1.5),
        ("batch", True),
        ("steps", "10"),
        ("tokens", 0),
        ("seed", -1),
        ("warmup", -1),
        ("lr", -0.1),
        ("lr", math.nan),
        ("lr", math.inf),
        ("weight_decay", -1),
        ("clip", "much"),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("attention_dropout", 1.0),
        ("beta1", 1),
        ("beta2", math.nan),
        ("accumulate", 0),
        ("accumulate", 3),
        ("keep", 0),
        ("tied", "yes"),
        ("init", "zeros"),
        ("norm", "mid"),
        ("positions", "alibi"),
        ("arch", "rnn"),
        ("objective", "rtd"),
        ("schedule", "step"),
        ("optimizer", "lion"),
        ("tokenizer", "words"),
        ("data", None),
        ("device", 1.5),
        ("out", []),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(option, value):
    with pytest.raises(UsageError) as caught:
        TrainConfig(**{option: value}).resolve()
    message = str(caught.value)
    assert "\n" not in message
    assert option in message or "size" in message or "microbatches" in message
    assert str(value) in message


def test_an_unknown_setting_is_named():
    with pytest.raises(UsageError, match="unknown setting 'layer'"):
        TrainConfig.from_json({"layer": 2})


def test_steps_and_tokens_exclude_each_other():
    with pytest.raises(UsageError, match="not both"):
        TrainConfig(steps=1, tokens=1).resolve()


def test_an_lstm_has_no_attention_weights_to_drop():
    with pytest.raises(UsageError, match=r"attention_dropout 0\.1: an LSTM has no att"):
        TrainConfig(arch="lstm", attention_dropout=0.1).resolve()
    assert TrainConfig(attention_dropout=0.1).resolve().attention_dropout == 0.1
