"""The ladder of sizes: the recipe, in the form that training takes."""

import json
from dataclasses import replace

import pytest

from minillm.errors import UsageError
from minillm.models import count
from minillm.series.ladder import (
    PRESETS,
    Ladder,
    heads,
    named,
    options,
)
from minillm.series.ladder import command as command_of
from minillm.series.model_settings import read, written
from minillm.series.scaling import _folder, scale

SETTINGS = {
    "name": "steps",
    "layers": 1,
    "widths": (4, 8, 12, 16),
    "seeds": (2, 1, 1, 1),
    "held_out": 24,
    "tokens": 50_000,
    "lr": 0.01,
    "budget": 10.0,
}


def config(ladder, width, tokens=None, tokenizer="chars"):
    return ladder.config(
        width,
        data="stdlib",
        tokenizer=tokenizer,
        tokens=tokens or ladder.tokens,
        seed=3,
    )


def test_the_demo_is_the_recipe():
    demo = named("demo")
    found = config(demo, 64).resolve()
    assert (found.n_layers, found.d_model, found.n_heads) == (3, 64, 4)
    assert (found.context, found.batch, found.steps) == (64, 16, 3906)
    assert (found.schedule, found.warmup, found.seed) == ("wsd", 100, 3)
    assert (found.beta1, found.beta2, found.weight_decay) == (0.9, 0.99, 0)
    assert (found.optimizer, found.clip) == ("adamw", 1)
    assert (found.bias, found.tied, found.init) == (False, False, "fan_in")
    assert (found.tokenizer, found.vocab, found.dropout) == ("chars", 98, 0)
    assert found.lr == pytest.approx(0.0075 * 2**-0.8)
    assert config(demo, 32).lr == pytest.approx(0.0075)
    assert config(named("smoke"), 32).lr == pytest.approx(0.0085)
    settings = {"data": "stdlib", "tokenizer": "chars", "tokens": 10**6, "seed": 0}
    assert demo.config(32, arch="lstm", **settings).lr == pytest.approx(0.015)
    settings |= {"objective": "mlm", "arch": "bert"}
    assert demo.config(32, **settings).lr == pytest.approx(0.0075 / 2)
    pre = replace(demo, model={"norm": "pre"})
    assert pre.config(32, **settings).lr == pytest.approx(0.0075)


@pytest.mark.parametrize(
    ("preset", "matrices"),
    [
        ("demo", [9_216, 20_736, 36_864, 82_944, 147_456, 331_776]),
        ("smoke", [6_144, 13_824, 24_576, 38_400, 55_296, 124_416]),
    ],
)
def test_the_sizes_are_those_of_the_recipe(preset, matrices):
    ladder = named(preset)
    found = []
    for width in (*ladder.widths, ladder.held_out):
        shape = config(ladder, width).resolve().shape(98)
        found.append(count.parameters(shape)["matrices_and_head"] - 98 * width)
    assert found == matrices


@pytest.mark.parametrize("ladder", PRESETS.values(), ids=PRESETS)
def test_every_size_reads_the_same_tokens_and_no_more_than_planned(ladder):
    widths = (*ladder.widths, ladder.held_out)
    configs = [config(ladder, width).resolve() for width in widths]
    tokens = {c.steps * c.tokens_per_step for c in configs}
    assert tokens == {ladder.whole_steps(ladder.tokens)}
    assert ladder.tokens - ladder.tokens_per_step < max(tokens) <= ladder.tokens


def test_nothing_is_evaluated_or_saved_on_the_way():
    found = config(named("demo"), 16).resolve()
    assert found.eval_every == found.save_every == found.steps


def test_the_warm_up_of_a_short_run_is_short():
    assert config(named("demo"), 16, tokens=102_400).warmup == 10


def test_bytes_have_no_alphabet():
    assert config(named("demo"), 16, tokenizer="bytes").vocab is None


@pytest.mark.parametrize(
    ("width", "expected"),
    [(4, 1), (17, 1), (24, 1), (32, 2), (40, 2), (48, 3), (72, 4), (96, 6), (512, 32)],
)
def test_heads_are_about_16_wide(width, expected):
    assert heads(width) == expected


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match=r"'demos'.*smoke, demo"):
        named("demos")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"widths": (4, 8, 16), "seeds": (1, 1, 1)}, "3 widths"),
        ({"widths": (4, 8, 8, 16)}, "3 widths"),
        ({"seeds": (1, 1, 1)}, "seeds"),
        ({"seeds": (1, 1, 0, 1)}, "seeds"),
        ({"held_out": 16}, "held-out width 16"),
    ],
)
def test_a_ladder_that_gives_no_law_is_refused(change, words):
    with pytest.raises(UsageError, match=words):
        Ladder(**{**SETTINGS, **change})


def test_a_ladder_comes_back_from_json():
    import json

    ladder = Ladder(**SETTINGS)
    assert Ladder.from_json(json.loads(json.dumps(ladder.to_json()))) == ladder


def test_the_settings_of_all_models_of_a_series():
    assert read(["kv-heads=1", "qk_norm=true", "positions=rotary"]) == {
        "kv_heads": 1,
        "qk_norm": True,
        "positions": "rotary",
    }
    asked = read(["kv_heads=1", "norm_kind=rms", "bias=true"])
    ladder = replace(named("demo"), model=asked)
    assert read(written(ladder.model)) == ladder.model
    given = {"data": "a", "tokenizer": "chars", "tokens": 9**9, "seed": 0}
    config = ladder.config(64, **given)
    assert (config.n_kv_heads, config.norm_kind, config.bias) == (1, "rms", True)
    assert named("demo").config(64, **given).bias is False
    assert Ladder.from_json(json.loads(json.dumps(ladder.to_json()))) == ladder
    before = named("demo").to_json()
    del before["model"]
    assert Ladder.from_json(before) == named("demo")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["positions"], "--set positions: a setting and its value are needed"),
        (["width=3"], "a series has no setting 'width' of its models: .* kv_heads$"),
        (["kv_heads=1", "n_kv_heads=1"], "kv_heads and n_kv_heads are one setting"),
    ],
)
def test_what_is_no_setting_of_its_models(words, message):
    with pytest.raises(UsageError, match=message):
        replace(named("demo"), model=read(words))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"n_kv_heads": 2}, "1 heads cannot share 2 heads"),
        ({"positions": "alibi"}, "positions must be one of"),
        ({"qk_norm": 3}, "qk_norm must be one of True, False"),
    ],
)
def test_a_series_of_no_models_is_refused_before_it_begins(
    model, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        scale("smoke", model=model, out="law")
    assert not list(tmp_path.iterdir())


def test_the_command_and_the_folder_name_the_settings():
    chosen = options("demo", {"positions": "rotary", "qk_norm": True}, arch="llama")
    line = command_of("runs/a", chosen)
    assert line == (
        "minillm scale --preset demo --arch llama --set positions=rotary "
        "--set qk_norm=true --out runs/a"
    )
    ladder = replace(named("demo"), model={"positions": "rotary"})
    folder = _folder(ladder, "facts", "clm", "llama", 0)
    assert folder.name == "scale-demo-llama-facts-positions-rotary"


@pytest.mark.parametrize(
    ("arch", "words"),
    [("bert", "'bert': arch bert is for objective mlm$"), ("encdec", "'encdec'$")],
)
def test_an_architecture_is_pointed_to_what_a_series_has(arch, words):
    with pytest.raises(UsageError, match=words):
        scale("smoke", arch=arch)
