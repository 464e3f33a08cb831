"""Pictures: written whole, with the right words in them."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from minillm import figures
from minillm.errors import UsageError
from minillm.laws import fit, fit_power
from minillm.laws.law_figure import LABELS, draw_law, draw_power_laws

SIZES = np.array([9216, 20736, 36864, 82944, 147456])
LOSSES = np.array([1.777, 1.591, 1.478, 1.375, 1.320])


@pytest.fixture(scope="module")
def law():
    return fit({"N": SIZES, "loss": LOSSES}, bootstrap=50)


def words(path):
    """All the text of an SVG file, in one string."""
    return " ".join(ElementTree.parse(path).getroot().itertext())


def test_a_law_shows_its_points_its_exponent_and_the_held_out_run(law, tmp_path):
    figure = draw_law(law, repeats={9216: [1.77, 1.78]}, held_out=(331776, 1.256))
    text = words(figures.save(figure, tmp_path / "new folder" / "law.svg"))
    low, high = law.interval95["alpha"]
    assert f"α = 0.44, 95 % interval {low:.2f} to {high:.2f}" in text
    assert "held out: 1.256, predicted 1.263 (+0.5 %)" in text
    assert "power law without a floor (−5.4 %)" in text
    assert "floor E = 1.13" in text
    assert "100 k" in text


@pytest.mark.parametrize("of_both", [False, True])
def test_a_column_has_its_own_name_unless_its_meaning_is_known(of_both):
    """Of anyone's table it is not known what N counts, nor in what unit the loss is."""
    N, D = map(np.ravel, np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e8, 1e9, 1e10]))
    columns = {"N": N, "D": D, "loss": 1.8 + 480 * N**-0.35 + 2100 * D**-0.37}
    variables = ("N", "D") if of_both else "N"
    law = fit(columns, variables, loss="lsq", bootstrap=20)

    def names(**options):
        axes = draw_law(law, **options).axes
        labels = [axes[1 if of_both else 0].get_xlabel(), axes[0].get_ylabel()]
        return labels + ([axes[-1].get_ylabel()] if of_both else [])

    assert names() == ["N", "loss", "D"][: 2 + of_both]
    known = ["parameters N (non-embedding)", "validation loss (nats/token)"]
    known += ["training tokens D"]
    assert names(labels=LABELS) == known[: 2 + of_both]
    accuracy = {"N": N, "accuracy": 1 - N**-0.1}
    power = fit_power(accuracy, y="accuracy", bootstrap=20)
    (panel,) = draw_power_laws({"accuracy": power}).axes
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("N", "accuracy")


def test_the_figure_and_the_warning_are_off_by_the_same():
    N, D = map(np.ravel, np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e8, 1e9, 1e10]))
    loss = 1.8 + 480 * N**-0.35 + 2100 * D**-0.37
    loss[5] *= 0.8
    law = fit({"N": N, "D": D, "loss": loss}, ("N", "D"), bootstrap=20)
    below = draw_law(law).axes[1].collections[0].get_offsets()[:, 1]
    assert below[5] == pytest.approx(-20, abs=0.2)
    assert any(f"the worst {-below[5]:.1f} % (" in text for text in law.warnings)


def test_labels_can_be_chosen_and_may_be_chinese(law, tmp_path):
    figure = draw_law(law, title="缩放定律", x_label="参数量", y_label="损失")
    text = words(figures.save(figure, tmp_path / "law.svg"))
    assert all(label in text for label in ("缩放定律", "参数量", "损失"))
    figures.save(figure, tmp_path / "law.png")
    assert figure.axes[0].get_title("left") == "缩放定律"


@pytest.mark.slow
def test_two_variables_are_told_apart_by_colour(tmp_path):
    N, D = (grid.ravel() for grid in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
    loss = 1.8 + 480 * N**-0.35 + 2100 * D**-0.37
    fitted = fit({"N": N, "D": D, "loss": loss}, ("N", "D"), bootstrap=20)
    text = words(figures.save(draw_law(fitted), tmp_path / "law.svg"))
    assert "α = 0.35" in text
    assert "β = 0.37" in text
    assert "off the law (%)" in text
    tied = fit({"N": N, "D": D, "loss": loss}, ("N", "D"), tied=True, bootstrap=20)
    text = words(figures.save(draw_law(tied), tmp_path / "tied.svg"))
    assert "α = β = 0.3" in text


def test_a_name_with_a_dollar_is_no_formula(tmp_path):
    names = {"$ and $": SIZES, "cost $": LOSSES}
    law = fit(names, "$ and $", "cost $", bootstrap=20)
    text = words(figures.save(draw_law(law), tmp_path / "law.svg"))
    assert "$ and $" in text
    assert "cost $" in text


def test_power_laws_have_a_panel_each(tmp_path):
    measured = {
        "accuracy": 0.66 - 7 * SIZES**-0.4,
        "train_seconds": 4 + 2e-4 * SIZES**1.1,
    }
    laws = {
        name: fit_power({"N": SIZES, name: y}, y=name, bootstrap=20)
        for name, y in measured.items()
    }
    figure = draw_power_laws(laws, labels={"accuracy": "hits"})
    assert len(figure.axes) == 2
    text = words(figures.save(figure, tmp_path / "laws.svg"))
    assert "n = −0.40" in text
    assert "n = 1.10" in text
    assert "hits" in text
    assert "train_seconds" in text


def test_equal_figures_are_equal_files(law, tmp_path):
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        figures.save(draw_law(law), tmp_path / name)
    for kind in ("svg", "png"):
        first, second = (tmp_path / f"{name}.{kind}" for name in "ab")
        assert first.read_bytes() == second.read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert not re.search(r"<dc:date>", (tmp_path / "a.svg").read_text(encoding="utf-8"))


def test_a_png_has_the_dots_it_should(law, tmp_path):
    from matplotlib.image import imread

    pixels = imread(figures.save(draw_law(law), tmp_path / "law.png"))
    assert pixels.shape[:2] == (660, 990)
    blue = np.abs(pixels[..., :3] - [0, 0x72 / 255, 0xB2 / 255]).sum(-1) < 0.02
    assert 1000 < blue.sum() < 20_000


def test_what_cannot_be_written_is_refused_and_leaves_nothing(law, tmp_path):
    figure = draw_law(law)
    with pytest.raises(UsageError, match=r"law\.pdf.*\.png or \.svg"):
        figures.save(figure, tmp_path / "law.pdf")
    (tmp_path / "taken.svg").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        figures.save(figure, tmp_path / "taken.svg")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        figures.save(figure, tmp_path / "file" / "law.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken.svg"]


def test_characters_without_a_font_are_written_as_codes(monkeypatch):
    known = frozenset(map(ord, "loss αN"))
    monkeypatch.setattr(figures, "drawable_characters", lambda: known)
    assert figures.legible("loss α") == "loss α"
    assert figures.legible("中 N\n文") == "\\u4e2d N\n\\u6587"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_note_says_which_characters_have_no_font(
    monkeypatch, tmp_path, caplog, suffix
):
    known = frozenset(map(ord, "abc "))
    monkeypatch.setattr(figures, "drawable_characters", lambda: known)
    figure = figures.new_figure()[0]
    figure.suptitle("灯塔 灯\nabc")
    path = figures.save(figure, tmp_path / f"a.{suffix}")
    noted = [record.getMessage() for record in caplog.records]
    if suffix == "svg":
        assert noted == []
    else:
        (note,) = noted
        assert note.startswith(f"note: {path}: no font here has '灯' '塔', so")
        assert ".svg" in note and "Noto Sans CJK" in note


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9216, "9.22 k"),
        (999.7, "1 k"),
        (331776, "332 k"),
        (1.5e9, "1.5 G"),
        (3e21, "3e21"),
        (0.012, "0.012"),
        (9e-5, "90 µ"),
        (0, "0"),
        (-2000, "-2 k"),
    ],
)
def test_short_numbers(value, text):
    assert figures.short(value) == text


def test_settings_are_put_back(law):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_law(law)
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_imported_only_to_draw_and_pyplot_never():
    program = """
import sys
from minillm.laws import fit
from minillm.laws.law_figure import draw_law
law = fit({"N": [1, 2, 4, 8], "loss": [4, 3, 2.5, 2.2]}, bootstrap=2)
assert "matplotlib" not in sys.modules
draw_law(law)
assert "matplotlib.figure" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
