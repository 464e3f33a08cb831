"""Series side by side, from made-up folders whose laws are known."""

import json

import pytest

from minillm import figures
from minillm.errors import DataError, UsageError
from minillm.studies.compare import compare
from minillm.studies.compare.compare_series import SeriesLaw
from minillm.studies.compare.comparison_figures import draw_series
from minillm.studies.run_folders import read_series

SIZES = (1000, 4000, 16_000, 64_000, 256_000)
LAWS = {"gpt": (1.5, 20.0, 0.4), "lstm": (1.2, 12.0, 0.3)}


def record(n: int, arch: str, tokens=1_000_000, lr=1.0, **data) -> dict:
    E, A, alpha = LAWS[arch]
    text = {"name": "a text", "sha256": "aa", "tokenizer": {"sha256": "bb"}}
    return {
        "status": "finished",
        "config": {"arch": arch, "d_model": n, "objective": "clm"},
        "options": {"width": n, "lr": lr / n, "context": 64, "out": f"runs/{n}"},
        "data": {**text, **data},
        "parameters": {"non_embedding": n},
        "results": {"val_loss": E + A * n**-alpha, "tokens": tokens},
    }


@pytest.fixture
def series(tmp_path):
    """A function that writes a folder of `scale` and returns it."""

    def write(name: str, arch: str, sizes=SIZES, **options):
        folder = tmp_path / name
        folder.mkdir()
        runs = [record(n, arch, **options) for n in sizes]
        found = {"runs": runs, "sizes": [{"width": sizes[-1], "held_out": True}]}
        (folder / "scale.json").write_text(json.dumps(found), encoding="utf-8")
        return folder

    return write


def test_the_laws_stand_side_by_side(series):
    folders = [series(f"series of {arch}", arch) for arch in LAWS]
    result = compare(folders)
    assert [one["label"] for one in result["series"]] == ["gpt", "lstm"]
    for one, law in zip(result["series"], LAWS.values(), strict=True):
        assert list(one["law"]["parameters"].values()) == pytest.approx(law)
        assert one["law"]["ranges"]["N"] == [1000, 64_000]
        assert one["held_out"]["parameters"] == 256_000
        assert one["held_out"]["relative_error"] < 1e-6
        assert (one["data"], one["tokens"]) == ("a text", 1_000_000)
    assert result["at"]["parameters"] == 64_000
    expected = [E + A * 64_000**-alpha for E, A, alpha in LAWS.values()]
    assert result["at"]["loss"] == pytest.approx(expected)
    assert result["differences"] == {}
    assert not [w for w in result["warnings"] if not w.startswith(("gpt:", "lstm:"))]


def test_two_rates_of_one_architecture_are_told(series):
    told = "different learning rates (0.002, 0.001 at one width)"
    half = series("half", "gpt", lr=2.0), series("whole", "gpt", lr=1.0)
    assert any(told in warning for warning in compare(half)["warnings"])
    for other in (series("same", "gpt", lr=2.0), series("lstm", "lstm")):
        found = compare([half[0], other])["warnings"]
        assert not any("learning rates" in warning for warning in found)


def test_series_of_one_architecture_are_told_apart_by_their_folders(series):
    result = compare([series("long", "gpt"), series("longer", "gpt")])
    assert [one["label"] for one in result["series"]] == ["long", "longer"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "cc"}, "different texts"),
        ({"tokens": 2_000_000}, "(1 M, 2 M for each model)"),
        ({"tokenizer": {"sha256": "dd", "vocab_size": 256}}, "(vocabularies of None, "),
        ({"sizes": tuple(100 * n for n in SIZES)}, "no size in common"),
    ],
)
def test_what_makes_losses_incomparable_is_told(series, change, words):
    result = compare([series("a", "gpt"), series("b", "lstm", **change)])
    assert any(words in warning for warning in result["warnings"])
    assert (result["at"] is None) == ("sizes" in change)


def test_the_doubts_of_each_law_are_told_with_its_name(series):
    narrow = series("narrow", "lstm", sizes=(1000, 1500, 2000, 3000, 4000))
    warnings = compare([series("a", "gpt"), narrow])["warnings"]
    assert any(w.startswith("lstm: N spans a factor of 3;") for w in warnings)


def test_the_picture_has_every_law_with_its_points(series, tmp_path):
    found = [
        SeriesLaw(label, one, one.law_of_size, one.prediction(one.law_of_size))
        for label in LAWS
        for one in [read_series(series(label, label))]
    ]
    axes = draw_series(found).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["gpt", "lstm"]
    assert "1.5 + 20" in labels[0]
    assert len(axes.collections) == 2  # a band each
    low, high = axes.get_xlim()
    assert low < 1000 and high > 256_000
    assert "1 M tokens of a text for each model" in axes.get_title(loc="left")
    path = tmp_path / "out" / "laws.svg"
    result = compare([tmp_path / "gpt", tmp_path / "lstm"], plot=path)
    assert result["figure"] == str(path)
    assert "parameters N" in path.read_text(encoding="utf-8")
    assert figures.save(draw_series(found), tmp_path / "laws.png").stat().st_size > 0


def test_bad_input_is_refused(series, tmp_path):
    good = series("good", "gpt")
    with pytest.raises(UsageError, match="at least two"):
        compare([good])
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps(record(1, "gpt")), encoding="utf-8")
    with pytest.raises(UsageError, match=r"run is no series, but .*good is"):
        compare([good, run])
    with pytest.raises(UsageError, match="drawn over parameters"):
        compare([good, good], x="seconds")
    with pytest.raises(UsageError, match=r"few: no law to compare: .*3 different N"):
        compare([good, series("few", "gpt", sizes=SIZES[:4])])
    (series("broken", "gpt") / "scale.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        compare([good, tmp_path / "broken"])


def test_runs_of_two_architectures_follow_no_one_law(series, tmp_path):
    mixed = series("mixed", "gpt")
    found = json.loads((mixed / "scale.json").read_text(encoding="utf-8"))
    found["runs"][1]["config"]["arch"] = "lstm"
    (mixed / "scale.json").write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(UsageError, match="different architectures"):
        compare([mixed, series("good", "gpt")])
