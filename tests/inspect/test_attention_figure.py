"""Pictures of attention maps: what stands where, that it can be read, and how much."""

import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from minillm.errors import UsageError
from minillm.figures import legible_texts, save
from minillm.inspect import draw_attention
from minillm.inspect.attention import AttentionMap

RNG = np.random.default_rng(0)


def made(queries, keys=None, *, layers=1, heads=1, part="self", causal=False):
    """Maps of drawn weights between these tokens."""
    queries = list(queries)
    keys = queries if keys is None else list(keys)
    scores = RNG.random((layers, heads, len(queries), len(keys)))
    if causal:
        scores = np.tril(scores)
    weights = scores / scores.sum(-1, keepdims=True)
    return [
        AttentionMap(part, i, list(range(heads)), weights[i], queries, keys, causal)
        for i in range(layers)
    ]


def panels(figure) -> list:
    return [axes for axes in figure.axes if axes.get_title(loc="left")]


def labels(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_layer_and_head_has_a_panel_and_the_outer_ones_have_labels():
    figure = draw_attention(made("abc", layers=2, heads=3), "A title")
    found = panels(figure)
    titles = [axes.get_title(loc="left") for axes in found]
    assert titles == [f"layer {i}, head {j}" for i in range(2) for j in range(3)]
    places = [axes.get_position() for axes in found]
    assert places[0].x0 < places[1].x0 < places[2].x0
    assert places[3].x0 == places[0].x0
    assert places[3].y0 < places[0].y0
    n_labels = [len(labels(axes)) for axes in found]
    assert n_labels == [3, 0, 0, 6, 3, 3]
    assert "A title" in [text.get_text() for text in figure.texts]


def test_the_heads_of_one_layer_are_nearly_a_square():
    found = panels(draw_attention(made("abc", heads=5)))
    places = [axes.get_position() for axes in found]
    assert len({round(place.x0, 3) for place in places}) == 3
    assert len({round(place.y0, 3) for place in places}) == 2
    assert [len(labels(axes)) for axes in found] == [3, 0, 3, 6, 3]


def test_rows_are_queries_and_columns_keys_from_the_upper_left_corner():
    (found,) = made("ab", "xyz", part="cross")
    (axes,) = panels(draw_attention([found]))
    (image,) = axes.images
    assert np.array_equal(image.get_array(), found.weights[0])
    place = {text.get_text(): text.xy for text in axes.texts}
    assert [place[key][0] for key in "xyz"] == [0, 1, 2]
    assert [place[query][1] for query in "ab"] == [0, 1]
    assert axes.yaxis_inverted()


def test_what_a_causal_query_cannot_see_is_left_out():
    (axes,) = panels(draw_attention(made("abcd", causal=True)))
    hidden = np.ma.getmaskarray(axes.images[0].get_array())
    assert np.array_equal(hidden, np.triu(np.ones((4, 4), bool), 1))


def test_all_panels_have_the_colours_of_one_bar_from_0_to_1():
    figure = draw_attention(made("abc", layers=2, heads=2))
    limits = {axes.images[0].get_clim() for axes in panels(figure)}
    assert limits == {(0, 1)}
    bars = [axes for axes in figure.axes if axes.get_ylabel() == "weight"]
    assert len(bars) == 1


def test_the_parts_of_an_encoder_decoder_stand_side_by_side():
    parts = (
        made("abc", layers=2, heads=2, part="encoder"),
        made("xy", layers=2, heads=2, part="decoder", causal=True),
        made("xy", "abc", layers=2, heads=2, part="cross"),
    )
    figure = draw_attention([each for part in parts for each in part])
    assert len(panels(figure)) == 12
    told = [text.get_text() for text in figure.texts]
    assert [name for line in told for name in re.findall(r"^(\w+): the", line)] == [
        "encoder",
        "decoder",
        "cross",
    ]
    check_legible(figure)


@pytest.mark.parametrize(
    "tokens",
    [
        ["a", "␣the", "internation…", "↵"],
        ["守", "塔", "守塔人念着书书也念着"],
        ["守", "塔", "龘"],
        ["[CLS]", "e4 b8", "$x$", r"\x00", "[SEP]"],
        ["a"],
        ["␣word"] * 60,
        [*"abcdefgh"] * 4,
    ],
    ids=lambda tokens: tokens[-1],
)
def test_labels_lie_on_the_page_and_apart(tokens):
    check_legible(draw_attention(made(tokens)))
    if len(tokens) < 10:
        check_legible(draw_attention(made(tokens, layers=3, heads=4)))


def check_legible(figure) -> None:
    """All text is inside the figure, none on another, and none too small."""
    canvas = FigureCanvasAgg(figure)
    with legible_texts(figure):
        canvas.draw()
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
        boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
        assert text.get_fontsize() >= 5.5
    shrunk = [box.shrunk(0.9, 0.7) for box in boxes]
    for i, box in enumerate(shrunk):
        for other, text in zip(shrunk[:i], texts[:i], strict=True):
            assert not box.overlaps(other), (texts[i], text)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 4), (6, 1)])
def test_the_longest_text_that_a_page_shows_is_named(shape):
    layers, heads = shape
    with pytest.raises(UsageError) as caught:
        draw_attention(made("a" * 200, layers=layers, heads=heads))
    room = int(re.search(r"show (\d+) each", str(caught.value))[1])
    assert ("layer=" in str(caught.value)) == (layers * heads > 1)
    draw_attention(made("a" * room, layers=layers, heads=heads))
    with pytest.raises(UsageError):
        draw_attention(made("a" * (room + 1), layers=layers, heads=heads))


def test_an_svg_keeps_the_tokens_as_text(tmp_path):
    tokens = ["守塔人", "␣a", "$5 and $6", "<&>"]
    path = save(draw_attention(made(tokens)), tmp_path / "图.svg")
    text = path.read_text(encoding="utf-8")
    for written in ("守塔人", "␣a", "$5 and $6", "&lt;&amp;&gt;"):
        assert text.count(written) >= 2
