"""The picture of a profile: each colour means what the legend says."""

from matplotlib.colors import to_hex

from minillm.figures import COLOURS
from minillm.inspect.bench.profile import BETWEEN, draw_profile


def row(op: str, forward: float, backward: float) -> dict:
    return {
        "op": op,
        "body": "faster",
        "calls": 1,
        "forward_seconds": forward,
        "backward_seconds": backward,
        "share": forward + backward,
    }


def test_a_bar_for_each_op_that_counts_and_one_for_what_lies_between():
    rows = [row("linear", 0.3, 0.5), row("add", 0.0005, 0.0005), row(BETWEEN, 0.2, 0)]
    profile = {"rows": rows, "n_layers": 2, "d_model": 8, "batch": 4, "context": 16}
    figure = draw_profile(profile)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [BETWEEN, "linear"]
    assert [text.get_text() for text in axes.texts] == ["20%", "80%"]
    handles, names = axes.get_legend_handles_labels()
    colours = [to_hex(handle[0].get_facecolor()) for handle in handles]
    assert names == ["forward", "backward"]
    assert colours == [to_hex(COLOURS["blue"]), to_hex(COLOURS["orange"])]
    bars = [(b.get_width(), to_hex(b.get_facecolor())) for b in axes.patches]
    assert (300, colours[0]) in bars and (500, colours[1]) in bars
    assert bars[-1] == (200, to_hex(COLOURS["grey"]))
    shown = [to_hex(p.get_facecolor()) for p in axes.get_legend().get_patches()]
    assert shown == colours
