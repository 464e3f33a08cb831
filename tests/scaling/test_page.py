"""The page about a series, from made-up folders."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.markup import table, text
from minillm.studies.report import report
from minillm.studies.report.html import document
from minillm.visible import visible

CORPUS = "<b>红楼梦</b> & co"
WIDTHS = (16, 24, 32, 48, 64)
LENGTHS = (1_000_000, 2_000_000, 4_000_000)


def loss(n: float, d: float) -> float:
    return 1.2 + 40 * n**-0.4 + 300 * d**-0.5


def record(width: int, tokens: int, seed: int = 0, noise=0.0, lr: float = 0.01) -> dict:
    n = 24 * width**2
    measured = float(loss(n, tokens) * np.exp(noise))
    return {
        "status": "finished",
        "config": {
            "arch": "lstm",
            "n_layers": 2,
            "d_model": width,
            "n_heads": 1,
            "objective": "clm",
        },
        "options": {"width": width, "lr": lr, "seed": seed},
        "data": {
            "name": CORPUS,
            "note": "a <text> \x1b[31m\x9b",
            "sha256": "ab" * 32,
            "epochs": 0.4,
            "tokenizer": {"kind": "chars", "vocab_size": 98, "sha256": "cd" * 32},
        },
        "parameters": {"non_embedding": n},
        "flops": {"per_token": 8 * n, "total": 8 * n * tokens},
        "results": {
            "tokens": tokens,
            "val_loss": measured,
            "val_accuracy": 0.7 - 2 * n**-0.3,
            "val_bits_per_byte": measured / 0.69,
            "seconds": 3 + 1e-3 * n**0.9,
        },
        "seed": seed,
        "device": "cpu",
        "versions": {"minillm": "0.1.0", "numpy": "2.4"},
    }


def write_run(folder, found: dict) -> None:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(found), encoding="utf-8")
    tokens = (found["results"] or {"tokens": 1e6})["tokens"]
    lines = [
        {"step": i, "tokens": int(tokens * i / 50), "loss": 2 + 3 / i, "seconds": i}
        for i in range(1, 51)
    ]
    text = "\n".join(map(json.dumps, lines))
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A series with branches, repeats, checks of the rate, and a run that diverged."""
    folder = tmp_path_factory.mktemp("series") / "law <1> & 律"
    rng = np.random.default_rng(0)
    for width in WIDTHS:
        for seed in (0, 1) if width == 16 else (0,):
            for tokens in LENGTHS:
                made = record(width, tokens, seed, 1e-3 * rng.standard_normal())
                name = f"{width}-s{seed}-{tokens / 1e6:.2f}M"
                write_run(folder / "runs" / name, made)
    write_run(folder / "runs" / "96-s0", record(96, LENGTHS[-1]))
    for width in (16, 64):
        for rate in (0.5, 2.0):
            made = record(width, LENGTHS[0], 0, 0.01, lr=0.01 * rate)
            write_run(folder / "runs" / f"{width}-s0-rate{rate}", made)
    bad = {**record(16, LENGTHS[-1], 2), "status": "diverged", "results": None}
    write_run(folder / "runs" / "16-s2", bad)
    widths = (*WIDTHS, 96)
    plan = {
        "ladder": {"name": "smoke"},
        "data": "my text.txt",
        "budget": 90,
        "seed": 3,
        "arch": "lstm",
        "sizes": [{"width": width, "lr": 0.01} for width in widths],
        "runs": [{"name": "96-s0", "held_out": True}],
    }
    scale = {
        "law": {"excluded": [{"run": "16-s2", "reason": "it diverged at <step 5>"}]},
        "decoding": [
            {
                "parameters": {"non_embedding": 24 * width**2},
                "seconds_per_token": 1e-4 + 1e-9 * width**2.0,
            }
            for width in widths
        ],
        "warnings": ["this & that is <odd>"],
    }
    for name, found in (("plan", plan), ("scale", scale)):
        (folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said(series):
    return report(series)


@pytest.fixture(scope="module")
def page(said) -> str:
    with open(said["page"], encoding="utf-8") as file:
        return file.read()


VOID = {"meta", "br", "use", "path", "rect"}


class Outline(HTMLParser):
    """Headings, ids and text of a page; fails where tags do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.headings = [], [], [], []
        self.tags, self.shown = set(), ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name.endswith(("href", "src")):
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.shown += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def outline(page) -> Outline:
    found = Outline()
    found.feed(page)
    assert found.open == []
    return found


def test_the_page_has_every_section(outline):
    assert outline.headings == [
        "What was found",
        "What is not shown",
        "Warnings",
        "The law of size",
        "The law of size and text",
        "Learning curves",
        "Accuracy, speed and cost",
        "The models",
        "Checks of the learning rate",
        "Left out",
        "To repeat it",
    ]


def test_the_page_needs_nothing_else(page, outline):
    assert all(link.startswith(("#", "data:")) for link in outline.links)
    assert not {"script", "link", "img", "iframe"} & outline.tags
    assert not re.search(r"@import|url\((?!#)", page)


def test_no_byte_of_a_name_is_a_control_character(page):
    assert r"a &lt;text&gt; \x1b[31m\x9b" in page
    assert visible(page) == page


def test_ids_are_of_one_picture_each(page, outline):
    assert len(set(outline.ids)) == len(outline.ids)
    used = {
        *re.findall(r'href="#([^"]+)"', page),
        *re.findall(r"url\(#([^)]+)\)", page),
    }
    assert used
    assert used <= set(outline.ids)


def test_names_are_shown_as_they_are_and_never_run(page, outline):
    assert CORPUS in outline.shown
    assert "it diverged at <step 5>" in outline.shown
    assert "this & that is <odd>" in outline.shown
    assert "<b>红楼梦" not in page
    assert "<odd>" not in page


def test_the_pictures_follow_the_page_from_light_to_dark(page):
    svgs = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(svgs) == 6
    for svg in svgs:
        assert "var(--" in svg
        assert not re.search(r": #[0-9a-f]{6}", svg)
        assert "width=" not in svg[: svg.index(">")]
        assert "viewBox" in svg


def test_the_sentences_hold_the_numbers(said):
    found = " ".join(said["findings"])
    assert said["title"] == f"“{CORPUS}”: 6 sizes of lstm"
    assert "each lstm trained on 4 M tokens" in found
    # At the longest, with its repeats: 1.2 + 300/sqrt(4e6) is the floor.
    alpha = float(re.search(r"The exponent is α = ([\d.]+)", found)[1])
    assert alpha == pytest.approx(0.4, abs=0.1)
    assert "5 sizes, 6 runs" in found
    assert "A model of 221 k parameters, 2.2 times the largest" in found
    assert "3 lengths, 1 M to 4 M tokens" in found
    growth = float(re.search(r"size grows as C\^([\d.]+)", found)[1])
    assert growth == pytest.approx(0.5 / 0.9, abs=0.1)
    assert "seconds of training grow as N^0.9" in found


@pytest.mark.slow
def test_the_law_of_tokens_and_what_a_transition_leaves_out_are_told(series, tmp_path):
    folder = shutil.copytree(series, tmp_path / "series")
    scale = json.loads((folder / "scale.json").read_text(encoding="utf-8"))
    scale["law_of_tokens"] = {
        "parameters": {"E": 1.5, "A": 30.0, "alpha": 0.25},
        "interval95": {"alpha": [0.2, 0.3]},
    }
    scale["branches"] = [
        {"parameters": {"non_embedding": 24 * width**2}, "tokens": tokens}
        for width in WIDTHS
        for tokens in LENGTHS
        if (width, tokens) != (24, LENGTHS[0])
    ]
    (folder / "scale.json").write_text(json.dumps(scale), encoding="utf-8")
    said = report(folder)
    found = " ".join(said["findings"])
    assert "L(D) = 1.500 + 30·D^(−0.250); 95 % interval of the exponent 0.200" in found
    assert [bad["run"] for bad in said["excluded"]] == [
        "16-s2",
        "N = 13.8 k after 1 M tokens",
    ]


def test_what_is_not_shown_is_told(said):
    told = " ".join(said["not_shown"])
    assert "The intervals of L(N, D) allow for it" in told
    assert "4 of 5 sizes were trained once" in told
    assert f"One architecture (lstm), one text (“{CORPUS}”)" in told
    assert "other learning rates" not in told
    assert "The floor E of L(N) is L∞(D)" in told
    assert "after D = 4 M tokens" in told
    assert "One length" not in told
    assert said["missing"] == []


def test_the_command_repeats_the_series(outline):
    assert (
        "minillm scale --preset smoke --budget 90 --data 'my text.txt' --arch lstm "
        "--seed 3 --out 'law <1> & 律'\n"
        "minillm scale --plan 'law <1> & 律/plan.json' --out 'law <1> & 律-again'\n"
        "minillm report 'law <1> & 律'" in outline.shown
    )


def test_the_command_can_be_typed_where_the_page_was_made(tmp_path, monkeypatch):
    write_run(tmp_path / "runs" / "law" / "16", record(16, LENGTHS[0]))
    monkeypatch.chdir(tmp_path)
    with open(report("runs/law")["page"], encoding="utf-8") as file:
        page = file.read()
    commands = "minillm train --config runs/law/16/run.json\nminillm report runs/law"
    assert commands in page


def test_other_rates_stand_beside_the_rule_s(outline):
    assert "times the rate" in outline.shown
    assert "+1." in outline.shown


@pytest.mark.slow
def test_runs_of_one_length_say_what_is_missing(tmp_path):
    for width in WIDTHS:
        write_run(tmp_path / f"{width}", record(width, LENGTHS[0], noise=1e-4))
    said = report(tmp_path, tmp_path / "pages" / "页.html")
    told = " ".join(said["not_shown"])
    assert (tmp_path / "pages" / "页.html").exists()
    assert "One length: every model read 1 M tokens" in told
    assert "One seed" in told
    assert "No model was held out" in told
    assert any("α = 0.4" in sentence for sentence in said["findings"])
    assert said["missing"] == ["No law of seconds of decoding: nothing was measured."]


def test_lengths_are_told_from_the_shortest(tmp_path):
    for width, tokens in ((16, 999_424), (24, 8_000_000)):
        write_run(tmp_path / f"{width}", record(width, tokens))
    with open(report(tmp_path)["page"], encoding="utf-8") as file:
        assert "999&nbsp;k to 8&nbsp;M" in file.read()


def test_too_few_runs_have_a_page_without_a_law(tmp_path):
    for width in WIDTHS[:2]:
        write_run(tmp_path / f"{width}", record(width, LENGTHS[0]))
    said = report(tmp_path)
    assert "No law of the loss" in said["missing"][0]
    with open(said["page"], encoding="utf-8") as file:
        page = file.read()
    assert "Learning curves" in page
    assert "The law of size" not in page
    assert f"minillm train --config {tmp_path.name}/16/run.json" in page


def test_runs_of_other_texts_have_no_law(tmp_path):
    for width in WIDTHS:
        made = record(width, LENGTHS[0])
        made["data"] = {**made["data"], "sha256": str(width)}
        write_run(tmp_path / f"{width}", made)
    said = report(tmp_path)
    assert "different texts" in said["missing"][0]
    assert said["findings"] == []


@pytest.mark.slow
def test_runs_that_differ_in_more_than_size_are_told(tmp_path):
    for width in WIDTHS:
        made = record(width, LENGTHS[0])
        made["options"]["batch"] = width
        write_run(tmp_path / f"{width}", made)
    warnings = report(tmp_path)["warnings"]
    assert any("more than their size (batch: 16, 24" in w for w in warnings)


@pytest.mark.slow
def test_runs_still_going_on_are_left_out(tmp_path):
    for width in WIDTHS:
        write_run(tmp_path / f"{width}", record(width, LENGTHS[0]))
    write_run(tmp_path / "new", {**record(80, 1), "status": "running", "results": None})
    assert report(tmp_path)["excluded"] == [
        {"run": "new", "reason": "it is not finished"}
    ]


def test_places_that_cannot_be_read_or_written_are_refused(tmp_path, series):
    with pytest.raises(DataError, match="holds no runs"):
        report(tmp_path)
    with pytest.raises(UsageError, match="is a folder"):
        report(series, tmp_path)


@pytest.mark.parametrize(
    ("plain", "html"),
    [
        ("a < b & c", "a &lt; b &amp; c"),
        ("N^(−0.53)", "N<sup>−0.53</sup>"),
        ("C^0.45, 31 % of 6 k", "C<sup>0.45</sup>, 31&nbsp;% of 6&nbsp;k"),
        ("6 kinds", "6 kinds"),
        ("N^(<i>)", "N^(&lt;i&gt;)"),
    ],
)
def test_text_is_escaped_and_set(plain, html):
    assert text(plain) == html


def test_columns_of_figures_stand_to_the_right():
    found = table(["a <", "b"], [["1 k", "x"], ["−2", "3"], ["–", "4"]])
    left = 'class="t" style="text-align:left"'
    assert f'<th class="n">a &lt;</th><th {left}>b</th>' in found
    assert f'<td class="n">1&nbsp;k</td><td {left}>x</td>' in found
    assert "<title>a &lt; b</title>" in document("a < b", [])


def test_a_known_truth_and_what_theory_does_not_say_are_told():
    from types import SimpleNamespace

    from minillm.studies.report.findings import _theory, _truth

    truth = {
        "entropy": 0.9943,
        "floor": 1.0161,
        "E": {"law": 1.0377},
        "relative_error": {"law": 0.0213},
    }
    (sentence,) = _truth(SimpleNamespace(scale={"truth": truth}))
    assert "0.9943" in sentence and "1.0161" in sentence
    assert "L(N) is 1.0377, 2.1" in sentence
    assert list(_truth(SimpleNamespace(scale={}))) == []
    run = SimpleNamespace(get=lambda *_: "facts:a=0.5")
    (sentence,) = _theory(SimpleNamespace(fitted=[run], runs=[run]))
    assert "measured, not predicted" in sentence


def test_runs_of_several_kinds_are_not_called_one(tmp_path):
    for arch, objective, tokenizer in (
        ("gpt", "clm", "chars"),
        ("encoder", "mlm", "wordpiece"),
        ("encdec", "clm", "bpe"),
    ):
        found = record(16, LENGTHS[0])
        found["config"] |= {"arch": arch, "objective": objective}
        found["data"] = found["data"] | {
            "tokenizer": {"kind": tokenizer, "vocab_size": 98, "sha256": tokenizer}
        }
        write_run(tmp_path / arch, found)
    told = " ".join(report(tmp_path)["not_shown"])
    assert "One architecture" not in told and "one tokenizer" not in told
    assert f"one text (“{CORPUS}”), several tokenizers (bpe and chars" in told
    assert "several objectives (clm and mlm): each has a law of its own." in told
    assert "Several architectures (" in told
