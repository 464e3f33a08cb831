"""The learning curve's own chart: where its lines lie, and what stands at its axes."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from minillm.figures import COLOURS
from minillm.runs.line_chart import BOTTOM, RIGHT, TOP, Line, line_chart

SVG = "{http://www.w3.org/2000/svg}"
NOTHING = np.array([])


def chart(x, y, title="a", **options) -> ET.Element:
    line = Line(np.array(x), np.array(y), COLOURS["blue"], **options)
    return ET.fromstring(line_chart([line], title, "tokens", "loss"))


def texts(picture: ET.Element) -> list[str]:
    return [node.text for node in picture.iter(f"{SVG}text")]


def points(picture: ET.Element) -> np.ndarray:
    """Those of the first line, (n, 2)."""
    found = picture.find(f"{SVG}polyline").get("points").split()
    return np.array([point.split(",") for point in found], float).reshape(-1, 2)


def place_of(picture: ET.Element, text: str) -> np.ndarray:
    (node,) = [node for node in picture.iter(f"{SVG}text") if node.text == text]
    return np.array([node.get("x"), node.get("y")], float)


def test_lines_lie_where_the_numbers_of_the_axes_say():
    picture = chart([1e3, 1e4, 1e6], [7.0, 6.0, 4.0])
    (x3, _), (x4, _), (x6, _) = (place_of(picture, f"10{n}") for n in "³⁴⁶")
    (_, y7), (_, y6), (_, y4) = (
        place_of(picture, text) for text in ("7.0", "6.0", "4.0")
    )
    below = y7 - points(picture)[0, 1]  # a text stands on its foot
    found = points(picture) + np.array([0, below])
    np.testing.assert_allclose(found, [[x3, y7], [x4, y6], [x6, y4]], atol=0.11)
    assert below == pytest.approx(3.8, abs=0.11)
    assert x3 < x4 < x6 and y7 < y6 < y4  # an SVG counts down from the top


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([3.5, 7.45], ["3.5", "4.0", "4.5", "5.0", "5.5", "6.0", "6.5", "7.0", "7.5"]),
        ([0.1, 0.3], ["0.100", "0.125", "0.150", "0.175", "0.200", "0.225", "0.250"]),
        ([10, 90], ["10", "20", "30", "40", "50", "60", "70", "80", "90"]),
        ([-0.5, 0.5], ["−0.4", "−0.2", "0.0", "0.2", "0.4"]),
        ([1e9, 9e9], ["1e+09", "2e+09", "3e+09", "4e+09", "5e+09", "6e+09"]),
    ],
)
def test_round_numbers_stand_at_the_left(y, expected):
    found = texts(chart([1e3, 1e6], y))
    assert found[4 : 4 + len(expected)] == expected


def test_an_axis_of_less_than_ten_times_has_numbers_too():
    assert texts(chart([1500, 7000], [2.0, 1.0]))[:3] == ["2×10³", "3×10³", "5×10³"]


@pytest.mark.parametrize(
    ("x", "y"), [([512], [3.0]), ([0, 5], [2.0, 2.0]), ([7], [1e30]), ([], [])]
)
def test_whatever_there_is_lies_within_the_axes(x, y):
    picture = chart(x, y, label="training")
    assert "training" in texts(picture)
    drawn = points(picture)
    assert len(drawn) == len(x)
    for low, values, high in ((25, drawn[:, :1], RIGHT), (TOP, drawn[:, 1:], BOTTOM)):
        assert np.all((low < values) & (values < high))


def test_a_title_may_hold_anything():
    title = "a<b>&\x1b[31m 书"
    assert "a<b>&\\x1b[31m 书" in texts(chart([1, 2], [1.0, 2.0], title=title))


def test_dots_mark_the_points_and_the_legend():
    picture = chart([10, 20, 30], [3.0, 2.0, 1.0], dots=True, label="validation")
    assert len(list(picture.iter(f"{SVG}circle"))) == 3 + 1
