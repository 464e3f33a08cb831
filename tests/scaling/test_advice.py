"""The best size and length under a law: closed forms against plain minimisation."""

import json
from dataclasses import replace

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.models import SIZES, count
from minillm.studies.advice import advise
from minillm.studies.advice.compute_optimal import (
    Law,
    effective_tokens,
    tokens_to_be_worth,
)
from minillm.studies.advice.model_shape import nearest_shape
from minillm.studies.advice.source import KnownLaw, newest_series, read_law

HOFFMANN = Law(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
UNEQUAL = Law(E=0.5, A=30.0, B=9000.0, alpha=0.25, beta=0.6)
LAWS = [HOFFMANN, UNEQUAL]


def least(cost, low: float, high: float) -> float:
    """Where a cost is least, by looking closer and closer."""
    for _ in range(12):
        x = np.geomspace(low, high, 401)
        best = int(np.nanargmin(cost(x)))
        low, high = x[max(0, best - 1)], x[min(400, best + 1)]
    return float(np.sqrt(low * high))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("flops", [1e12, 5.76e23])
def test_the_optimum_for_flops_is_the_numerical_one(law, flops):
    n, d = law.best_for_flops(flops)
    assert 6 * n * d == pytest.approx(flops)
    found = least(lambda size: law.loss(size, flops / (6 * size)), n / 100, 100 * n)
    assert n == pytest.approx(found, rel=1e-5)


def test_hoffmann_constants_give_their_exponents_and_their_chinchilla():
    n, d = HOFFMANN.best_for_flops(5.76e23)
    ten_times, _ = HOFFMANN.best_for_flops(5.76e24)
    assert np.log10(ten_times / n) == pytest.approx(0.28 / 0.62)
    # Table A3 of Hoffmann et al. (2022), approach 3: 40 G for Gopher's FLOPs.
    assert n == pytest.approx(40e9, rel=0.25)
    assert d == pytest.approx(5.76e23 / 6 / n)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("tokens", [0.0, 1e8, 1e13])
def test_the_optimum_with_inference_is_the_numerical_one(law, tokens):
    loss = law.loss(*law.best_for_flops(1e20))
    n, d = law.best_for_loss(loss, tokens)
    assert law.loss(n, d) == pytest.approx(loss)

    def cost(size):
        length = law.tokens_for_loss(size, loss)
        return 6 * size * length + 2 * size * tokens

    assert n == pytest.approx(least(cost, n / 30, 30 * n), rel=1e-4)


def test_ways_to_the_same_optimum_agree():
    n, d = HOFFMANN.best_for_flops(1e21)
    assert HOFFMANN.best_for_size(n) == pytest.approx((n, d))
    assert HOFFMANN.best_for_loss(HOFFMANN.loss(n, d)) == pytest.approx((n, d))
    assert HOFFMANN.tokens_for_loss(n, HOFFMANN.loss(n, d)) == pytest.approx(d)


def test_no_tokens_bring_a_small_model_to_a_low_loss():
    assert HOFFMANN.tokens_for_loss(1e6, 2.0) == np.inf
    assert np.isnan(HOFFMANN.best_for_loss(1.5)[0])


def test_arrays_of_laws_are_solved_at_once():
    both = Law(*(np.array([getattr(law, k) for law in LAWS]) for k in FIELDS))
    for tokens in (0.0, 1e10):
        n, d = both.best_for_loss(np.array([3.0, 3.0]), tokens)
        for i, law in enumerate(LAWS):
            assert (n[i], d[i]) == pytest.approx(law.best_for_loss(3.0, tokens))


FIELDS = ("E", "A", "alpha", "B", "beta")


def test_epochs_are_worth_less_and_less():
    assert effective_tokens(50.0, 100.0) == 50.0
    assert effective_tokens(100.0, 100.0) == 100.0
    # Four epochs are nearly as good as fresh text (Muennighoff et al. 2023).
    assert effective_tokens(400.0, 100.0) == pytest.approx(373, abs=1)
    assert effective_tokens(1e9, 100.0) == pytest.approx(1640)
    assert tokens_to_be_worth(effective_tokens(700.0, 100.0), 100.0) == pytest.approx(
        700
    )
    assert tokens_to_be_worth(70.0, 100.0) == 70.0
    assert tokens_to_be_worth(1641.0, 100.0) is None


@pytest.mark.parametrize("arch", ["gpt", "lstm"])
@pytest.mark.parametrize("parameters", [5e3, 3e4, 1e6, 4.4e7, 1e9, 7e10])
def test_a_shape_near_any_size_can_be_built(parameters, arch):
    settings = {"vocab_size": 98, "context": 64, "bias": False, "arch": arch}
    shape = nearest_shape(parameters, settings)
    found = count.parameters(shape)["non_embedding"]
    assert found == pytest.approx(parameters, rel=0.05)
    assert {name: getattr(shape, name) for name in settings} == settings


@pytest.mark.parametrize("name", ["nano", "tiny", "mini", "base"])
def test_a_named_size_is_nearest_to_itself(name):
    size = SIZES[name]
    found = nearest_shape(12 * size.n_layers * size.d_model**2)
    assert (found.n_layers, found.d_model) == (size.n_layers, size.d_model)


def measured(law: Law = HOFFMANN, noise: float = 0.0, lengths=(1e6, 4e6, 1.6e7)):
    """A CSV table of runs that follow a law."""
    rng = np.random.default_rng(0)
    rows = ["N,D,loss"]
    for n in (1e4, 4e4, 1.6e5, 6.4e5):
        for d in lengths:
            loss = law.loss(n, d) * np.exp(noise * rng.standard_normal())
            rows.append(f"{n},{d},{float(loss)!r}")
    return "\n".join(rows)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(measured(noise=0.002), encoding="utf-8")
    return path


KNOWN = KnownLaw(HOFFMANN, "a paper", "L")


def test_an_answer_from_a_table_has_its_interval(table):
    known = read_law(table)
    truth = HOFFMANN.best_for_flops(1e13)[0]
    answer = advise(known, flops=1e13)
    low, high = answer["optimum"]["interval95"]["parameters"]
    assert low < truth < high
    assert low < answer["optimum"]["parameters"] < high
    low, high = answer["exponents"]["interval95"]["n"]
    assert low < 0.28 / 0.62 < high
    assert not [w for w in answer["warnings"] if "measured range" in w]


def test_an_answer_beyond_the_data_is_called_an_extrapolation(table):
    warnings = advise(read_law(table), flops=1e20)["warnings"]
    assert any("N = " in w and "above the measured range" in w for w in warnings)
    assert any("D = " in w and "above the measured range" in w for w in warnings)
    warnings = advise(read_law(table), parameters=100)["warnings"]
    assert any("below the measured range" in w for w in warnings)


def test_a_size_that_no_shape_has_is_told(table):
    warnings = advise(read_law(table), parameters=100)["warnings"]
    assert any("has 3.31e+03 parameters, not 100" in w for w in warnings)
    warnings = advise(read_law(table), parameters=1e5)["warnings"]
    assert not any("nearest shape" in w for w in warnings)


def test_columns_may_be_written_small(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(measured().replace("N,D,loss", "n,d,Loss"), encoding="utf-8")
    known = read_law(path)
    assert known.ranges == {"N": (1e4, 6.4e5), "D": (1e6, 1.6e7)}
    assert known.law.alpha == pytest.approx(0.34, rel=1e-4)


@pytest.mark.parametrize("names", ["params,tokens,val_loss", "Model size,D,LOSS"])
def test_columns_may_have_other_names(tmp_path, names):
    path = tmp_path / "runs.csv"
    path.write_text(measured().replace("N,D,loss", names), encoding="utf-8")
    known = read_law(path)
    assert known.law.alpha == pytest.approx(0.34, rel=1e-4)
    assert (known.y, known.ranges["D"]) == (names.split(",")[2], (1e6, 1.6e7))
    assert f"reads {names.split(',')[0]} as N" in known.notes[0]


@pytest.mark.parametrize("cell", ["", "NA", "0", "inf", "–"])
@pytest.mark.parametrize("lengths", [(1e6, 4e6, 1.6e7), (1e6,)])
def test_a_row_without_its_tokens_is_left_out(tmp_path, cell, lengths):
    """Its loss, which is off, would move the law."""
    path = tmp_path / "runs.csv"
    law = HOFFMANN if len(lengths) > 1 else Law(E=1.5, A=80.0, alpha=0.4)
    text = f"{measured(law, lengths=lengths)}\n8e4,{cell},9.9\n"
    path.write_text(text, encoding="utf-8")
    known = read_law(path)
    assert known.law.alpha == pytest.approx(law.alpha, rel=1e-4)
    assert known.tokens == (1e6 if len(lengths) == 1 else None)
    assert "1 left out: D is " in known.notes[0]
    assert known.notes[0].endswith(f"(line {4 * len(lengths) + 2})")
    advise(known, flops=1e12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            measured(lengths=(1e6, 4e6)),
            "D has 2 different values, .* needs 3; add such",
        ),
        ("N,D,loss\n1,20,9\n2,40,7\n3,60,6\n4,80,5\n5,100,4\n6,120,3", "one D alone"),
        ("N,D,loss\n1,20,9\n2,20,7\n3,20,6\n4,,5", r"need 4; 1 left out: .*line 5\)"),
        ("params,n_params,loss\n1,2,3", "params and n_params could each be the param"),
    ],
)
def test_a_table_that_is_not_enough_says_what_plan_can_do(tmp_path, text, words):
    path = tmp_path / "runs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        read_law(path)


def test_a_table_may_be_json(tmp_path):
    path = tmp_path / "runs.json"
    names, *rows = (line.split(",") for line in measured().splitlines())
    runs = [dict(zip(names, map(float, row), strict=True)) for row in rows]
    path.write_text("\n".join(map(json.dumps, runs)), encoding="utf-8")
    assert read_law(path).law.beta == pytest.approx(0.28, rel=1e-4)
    path.write_text(json.dumps(runs), encoding="utf-8")
    assert read_law(path).law.beta == pytest.approx(0.28, rel=1e-4)


def test_use_that_takes_the_length_beyond_the_text_is_told():
    answer = advise(KNOWN, flops=1e20, inference_tokens=1e13, corpus_tokens=1e11)
    assert any("with inference, D is" in warning for warning in answer["warnings"])


def test_half_the_size_and_use_change_the_cost_at_an_equal_loss():
    answer = advise(KNOWN, flops=1e21, inference_tokens=1e12)
    best, half, used = (answer[k] for k in ("optimum", "half_size", "inference"))
    assert half["parameters"] == best["parameters"] / 2
    assert half["loss"] == pytest.approx(best["loss"]) == pytest.approx(used["loss"])
    assert half["extra_compute"] == pytest.approx(half["flops"] / best["flops"] - 1)
    assert half["extra_compute"] > 0
    assert used["parameters"] < best["parameters"]
    total = best["flops"] + 2 * best["parameters"] * 1e12
    assert used["saved"] == pytest.approx(1 - used["total_flops"] / total)
    assert used["saved"] > 0


def test_half_the_size_that_never_gets_there_says_so():
    steep = replace(KNOWN, law=Law(E=1.0, A=5e3, alpha=0.7, B=5e4, beta=1.2))
    half = advise(steep, flops=1e16)["half_size"]
    assert half["tokens"] is None
    assert half["least_loss"] > advise(steep, flops=1e16)["optimum"]["loss"]


def test_a_time_buys_what_the_exact_flops_allow():
    speed = {"flops_per_second": 1e12}
    known = replace(KNOWN, model={"vocab_size": 1024, "context": 128})
    answer = advise(known, seconds=600, speed=lambda shape: speed)
    assert answer["machine"]["seconds"] == pytest.approx(600, rel=0.05)
    shape = answer["shape"]
    assert answer["machine"]["flops"] == pytest.approx(
        shape["flops_per_token"] * answer["optimum"]["tokens"]
    )
    assert answer["machine"]["memory_bytes"] > 12 * shape["parameters"]["total"]


@pytest.mark.parametrize("arch", ["gpt", "lstm"])
def test_a_speed_that_another_architecture_has_is_a_doubt(arch):
    known = replace(KNOWN, model={"arch": arch})
    speed = {"flops_per_second": 1e12, "measured_on": "nano"}
    answer = advise(known, flops=1e15, speed=lambda shape: speed)
    assert answer["shape"]["arch"] == arch
    assert any("on a gpt (nano)" in w for w in answer["warnings"]) == (arch == "lstm")


def test_a_small_text_is_read_again_and_worth_less():
    answer = advise(KNOWN, flops=1e21, corpus_tokens=5e9)
    corpus = answer["corpus"]
    assert corpus["epochs"] == pytest.approx(answer["optimum"]["tokens"] / 5e9)
    assert corpus["epochs"] > 4
    assert corpus["loss"] > answer["optimum"]["loss"]
    assert any("fresh ones" in warning for warning in answer["warnings"])


@pytest.mark.parametrize("kind", ["flops", "parameters", "target_loss"])
def test_a_law_of_one_length_knows_the_size_alone(tmp_path, kind):
    path = tmp_path / "one.csv"
    one = Law(E=1.5, A=80.0, alpha=0.4)
    path.write_text(measured(one, lengths=(1e6,)), encoding="utf-8")
    budget = {"flops": 6e11, "parameters": 1e5, "target_loss": one.loss(1e5)}[kind]
    answer = advise(read_law(path), **{kind: budget}, inference_tokens=1e9)
    assert answer["optimum"]["parameters"] == pytest.approx(1e5, rel=1e-3)
    assert answer["optimum"]["tokens"] == 1e6
    assert answer["half_size"] is answer["inference"] is answer["exponents"] is None
    assert "1e+06 tokens" in answer["warnings"][0]
    assert "cannot weigh training against use" in answer["warnings"][1]


def test_an_exponent_that_may_be_nothing_is_told():
    known = replace(KNOWN, interval95={"alpha": [-0.1, 0.5], "beta": [0.1, 0.4]})
    warnings = advise(known, flops=1e20)["warnings"]
    assert [w for w in warnings if "from 0" in w] == [
        "alpha is not distinguishable from 0 (95 % interval -0.1 to 0.5): so is the "
        "answer; widen the range or add seeds"
    ]


def test_no_interval_where_the_data_allow_laws_without_an_answer():
    doubtful = Law(*(np.full(100, getattr(HOFFMANN, k)) for k in FIELDS))
    doubtful.alpha[:10] = -0.1
    answer = advise(replace(KNOWN, samples=doubtful), flops=1e20)
    assert answer["optimum"]["interval95"] == {}
    assert any("10% of the laws" in warning for warning in answer["warnings"])


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({}, "give one of"),
        ({"flops": 1e9, "parameters": 1e9}, "give one of"),
        ({"flops": -1.0}, "positive"),
        ({"target_loss": 1.5}, "floor E = 1.69"),
        ({"seconds": 60.0}, "speed"),
    ],
)
def test_what_has_no_answer_is_refused(budget, words):
    with pytest.raises(UsageError, match=words):
        advise(KNOWN, **budget)


@pytest.mark.parametrize("change", [{"alpha": -0.1}, {"beta": 0.0}, {"B": 0.0}])
def test_a_law_without_a_gain_is_refused(change):
    with pytest.raises(UsageError, match="there is no best size"):
        advise(replace(KNOWN, law=replace(HOFFMANN, **change)), flops=1e20)


def test_what_fit_printed_is_a_law(tmp_path, table):
    from minillm.laws import fit

    law = fit(str(table), ("N", "D"))
    path = tmp_path / "law.json"
    path.write_text(json.dumps(law.to_json()), encoding="utf-8")
    answer, ours = (advise(read_law(p), flops=1e13) for p in (path, table))
    best = answer["optimum"]["parameters"]
    assert best == pytest.approx(ours["optimum"]["parameters"])
    assert not any("does not say" in warning for warning in answer["warnings"])
    record = law.to_json()
    del record["ranges"]  # as an earlier version wrote it
    path.write_text(json.dumps(record), encoding="utf-8")
    answer = advise(read_law(path), flops=1e13)
    assert any("does not say over which" in warning for warning in answer["warnings"])


@pytest.fixture
def series(tmp_path):
    """A function that writes a scale.json of runs at some lengths."""

    def write(lengths=(1e6, 4e6, 1.6e7), **more):
        runs = [
            {
                "options": {"out": f"{n}-{d}"},
                "config": {"d_model": 8},
                "model": {"vocab_size": 98, "context": 64, "bias": False},
                "data": {"train_tokens": 10_000_000},
                "parameters": {"non_embedding": n},
                "results": {"tokens": d, "val_loss": HOFFMANN.loss(n, d)},
            }
            for n in (1e4, 4e4, 1.6e5, 6.4e5)
            for d in lengths
        ]
        record = json.dumps({"runs": runs, **more})
        (tmp_path / "scale.json").write_text(record, encoding="utf-8")
        return tmp_path

    return write


def test_a_series_gives_its_law_its_shape_and_its_text(series):
    answer = advise(read_law(series()), flops=1e13)
    n, d = HOFFMANN.best_for_flops(1e13)
    assert answer["optimum"]["parameters"] == pytest.approx(n, rel=1e-3)
    assert answer["shape"]["vocab_size"] == 98
    assert answer["corpus"]["epochs"] == pytest.approx(d / 1e7, rel=1e-3)
    assert answer["law"]["ranges"] == {"N": (1e4, 6.4e5), "D": (1e6, 1.6e7)}


def test_a_series_of_too_few_runs_is_refused_by_its_name(series):
    folder = series(lengths=())
    with pytest.raises(DataError, match="holds no runs"):
        read_law(folder)
    record = json.loads((series() / "scale.json").read_text(encoding="utf-8"))
    record["runs"] = record["runs"][:2]
    (folder / "scale.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UsageError, match=f"{folder.name}: no law to plan with"):
        read_law(folder)


def test_a_series_of_one_length_gives_that_length(series):
    known = read_law(series(lengths=(1e6,)))
    assert (known.law.B, known.tokens) == (None, 1e6)


def test_the_law_that_a_series_states_goes_before_a_new_fit(series):
    stated = {"E": 1.0, "A": 50.0, "alpha": 0.3, "B": 900.0, "beta": 0.4}
    law = {"law": "stated", "parameters": stated, "interval95": {}, "warnings": ["w"]}
    known = read_law(series(law_of_size_and_tokens=law))
    assert known.law == Law(**stated)
    assert (known.formula, known.warnings, known.samples) == ("stated", ("w",), None)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('{"law": "loss = E + A·D^(−alpha)", "parameters": {}}', UsageError, "first"),
        ('{"rows": []}', DataError, "holds no law"),
        ("[1]", DataError, "no JSON object"),
        ("{", DataError, "cannot be read"),
    ],
)
def test_what_is_no_law_is_refused(tmp_path, text, error, words):
    path = tmp_path / "law.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=words):
        read_law(path)


def test_a_table_needs_its_columns(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("size,loss\n1,2\n", encoding="utf-8")
    with pytest.raises(UsageError, match="needs columns N and loss"):
        read_law(path)


def test_without_a_series_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="minillm scale"):
        newest_series()
