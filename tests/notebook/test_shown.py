"""What a result shows of itself: HTML and SVG that obey no text, and short texts."""

import base64
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from minillm import Tensor, figures, fit, load_run, markup, no_grad
from minillm.inspect import attention_maps, draw
from minillm.inspect.attention.maps import AttentionMap, Maps
from minillm.inspect.graph import model_step
from minillm.inspect.graph_figure import draw_svg, places
from minillm.models import ModelConfig, build
from minillm.runs.notebook_progress import POINTS, NotebookProgress
from minillm.series.series_record import SeriesRecord

SCREEN = 40  # lines
BAD = "<script>alert('x')</script>&"


class Read(HTMLParser):
    """The tags and the text of HTML; every tag must be closed."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.tags, self.text, self.images = [], [], "", []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes)["src"])
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def svgs(html: str) -> list[ET.Element]:
    """The pictures of HTML, as trees."""
    found = [image.split(",")[1] for image in Read(html).images]
    return [ET.fromstring(base64.b64decode(one)) for one in found]


def texts(svg: ET.Element) -> list[str]:
    return [node.text for node in svg.iter("{http://www.w3.org/2000/svg}text")]


def test_a_run_shows_its_figures_and_its_curve(record):
    read = Read(record._repr_html_())
    assert "<b onclick=x>&run" in read.text  # its name, as a text
    assert f"{record.results.val_loss:.4f}" in read.text
    assert "gpt 1 layers × 16" in read.text
    (picture,) = svgs(record._repr_html_())
    assert "tokens seen" in texts(picture)


def test_a_run_that_was_moved_shows_its_figures(record):
    moved = type(record)({**record, "options": {**record.options, "out": "/gone"}})
    read = Read(moved._repr_html_())
    assert (read.images, "validation loss" in read.text) == ([], True)


def test_a_loaded_run_shows_itself_too(record):
    run = load_run(record.options.out)
    assert Read(run._repr_html_()).text == Read(record._repr_html_()).text
    assert len(repr(run)) < 300 and f"{record.results.val_loss:.4f}" in repr(run)


def test_an_unfinished_run_says_so(record):
    html = type(record)({**record, "results": None, "status": "interrupted"})
    assert "interrupted" in Read(html._repr_html_()).text


def law(name: str = "N"):
    sizes = np.geomspace(1e4, 3e6, 6)
    return fit({name: sizes, "loss": 1.5 + 40 * sizes**-0.4}, x=name)


def test_a_law_shows_its_formula_as_the_figure_does():
    html = law()._repr_html_()
    assert html.startswith("<div><b>loss = 1.5 + 40·N<sup>−0.40</sup></b>")
    assert "95\xa0% interval" in Read(html).text
    (picture,) = svgs(html)
    assert "N" in texts(picture)


def test_a_law_of_a_strange_column_is_a_text():
    html = law(f"$x^2$ {BAD}")._repr_html_()
    read = Read(html)
    assert "script" not in read.tags and f"$x^2$ {BAD}" in read.text


def test_a_figure_needs_no_matplotlib_inline():
    figure = law().plot(title="my title")
    picture = ET.fromstring(figure._repr_svg_())
    assert "my title" in texts(picture)


def test_a_series_shows_its_law_and_its_sizes(tmp_path):
    (tmp_path / "law.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    size = {
        "n_layers": 2,
        "width": 16,
        "tokens": 10_000,
        "parameters": {"non_embedding": 6_224},
        "loss": 0.678,
        "held_out": True,
    }
    series = SeriesRecord(
        law=law().to_json(),
        sizes=[size],
        held_out={
            "parameters": 6_224,
            "predicted": 0.6,
            "measured": 0.7,
            "relative_error": 0.1429,
        },
        warnings=[BAD],
        figures=[str(tmp_path / "law.png"), str(tmp_path / "law.svg")],
    )
    html = series._repr_html_()
    read = Read(html)
    assert "loss = 1.5 + 40·N<sup>−0.40</sup>" in html
    assert f"warning: {BAD}" in read.text and "script" not in read.tags
    assert "6,224" in read.text and "14.29%" in read.text.replace("\xa0", "")
    assert len(svgs(html)) == 1


@pytest.mark.parametrize(
    "shape", [(), (1_000_000,), (1000, 1000), (7,) * 6, (1, 1, 100, 1, 1, 2), (0, 3)]
)
def test_a_tensor_fits_a_screen(shape):
    x = Tensor(np.zeros(shape, np.float32), requires_grad=True)
    assert len(repr(x).splitlines()) < SCREEN
    assert len(repr(x)) < 3_000
    assert f"shape {shape}" in Read(x._repr_html_()).text


def test_a_tensor_shows_what_a_look_at_it_wants_to_know():
    x = Tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)
    (x * 2).sum().backward()
    told = Read(x._repr_html_()).text
    assert "least 1, mean 3, largest 6" in told and "norm of grad 4" in told
    assert "[3., 6.]" in told
    y = x.exp()
    assert "made by exp" in Read(y._repr_html_()).text  # and no warning of y.grad


def test_a_module_of_many_layers_fits_a_screen():
    deep = build(ModelConfig(50, 100, 4, 1, 8), np.random.default_rng(0))
    lines = repr(deep).splitlines()
    assert len(lines) < SCREEN and max(map(len, lines)) < 160
    assert "more layers" in repr(deep) and "blocks.99.feed_forward.down" in repr(deep)
    read = Read(deep._repr_html_())
    assert read.text.startswith(lines[0]) and "blocks.0.norm1" in read.text


def test_attention_shows_itself_as_a_figure(record):
    maps = attention_maps(record.options.out, "the cat")
    assert isinstance(maps, list) and len(maps) == 1
    picture = ET.fromstring(maps._repr_svg_())
    assert "layer 0, head 0" in texts(picture)
    assert ET.fromstring(maps[0]._repr_svg_()).tag == picture.tag
    assert repr(maps) == "[AttentionMap(self, layer 0, heads [0]: 7 × 7 tokens)]"


def test_attention_too_large_for_a_page_is_a_short_text():
    many = [str(i) for i in range(900)]
    one = AttentionMap("self", 0, [0], np.ones((1, 900, 900)), many, many, True)
    maps = Maps([one] * 100)
    assert maps._repr_svg_() is None
    assert len(repr(maps).splitlines()) < SCREEN and "84 more" in repr(maps)


def test_a_graph_shows_its_nodes_and_edges():
    loss, model = model_step("pico")
    drawing = draw(loss, model)
    with no_grad():
        picture = ET.fromstring(drawing._repr_svg_())
    shown = texts(picture)
    assert "linear_cross_entropy" in shown and "tokens.weight" in shown
    tips = [x for x in picture.iter() if x.get("marker-end")]
    assert len(tips) == len(drawing.edges)
    assert len(repr(drawing)) < 300 and f"{len(drawing.nodes)} nodes" in repr(drawing)


def test_a_graph_obeys_no_name():
    picture = ET.fromstring(draw_svg([[BAD], ["sum", "()"]], [(0, 1)]))
    assert any("script" in text for text in texts(picture))
    assert not list(picture.iter("{http://www.w3.org/2000/svg}script"))


def test_a_node_stands_below_all_that_it_is_computed_from():
    edges = [(0, 2), (1, 2), (2, 3), (2, 4), (3, 4)]
    found = places(5, edges)
    assert len(set(found.values())) == 5
    assert all(found[a][1] < found[b][1] for a, b in edges)
    assert found[0][1] == found[1][1] == 0


def test_a_curve_holds_what_it_is_given_and_survives_what_is_not_finite():
    lines = [[(1, 3.0), (2, float("nan")), (3, 1.0)], [(3, 2.0)], []]
    drawn = ET.fromstring(markup.curve(lines, 100, 50))
    assert texts(drawn) == ["3", "1"]
    first = next(drawn.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(first.get("points").split()) == 2
    assert ET.fromstring(markup.curve([[(1, 2.0), (2, 2.0)]], 100, 50)) is not None


def test_a_long_run_draws_a_curve_of_few_points(monkeypatch):
    shown = []
    progress = NotebookProgress()
    monkeypatch.setattr(progress.area, "draw", lambda *given: shown.append(given))
    progress.steps, progress.title = 9_000, BAD
    line = {"loss": 2.0, "tokens_per_second": 9.0, "seconds": 1.0}
    for step in range(1, 9_001):
        progress.step({**line, "step": step})
    progress.close()
    html, plain = shown[-1]
    assert f"{BAD}\n9000/9000  9000 steps are done" in plain
    assert "script" not in Read(html).tags and BAD in Read(html).text
    assert len(html) < 12_000 and len(progress.losses) <= 2 * POINTS
    assert progress.losses[0][0] == 1


def test_pictures_are_whole_files():
    with figures.style():
        figure, axes = figures.new_figure()
        axes.set_title(BAD)
    html = markup.picture(figure._repr_svg_(), f'"{BAD}')
    assert re.match(r'<img src="data:image/svg\+xml;base64,[\w+/=]+" alt="', html)
    assert BAD in texts(svgs(html)[0])
