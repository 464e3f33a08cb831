"""`minillm attention`: what each head of a model looks at in a text."""

import dataclasses
from pathlib import Path

import click

from minillm_cli import common, output

DECIMALS = 4  # of the weights in the JSON object


@click.command(epilog='Example:  minillm attention runs/a "She sells sea shells."')
@click.argument("run")
@click.argument("text")
@click.option(
    "--text-b",
    metavar="TEXT",
    help="The second of a pair, or what encdec is to write.",
)
@click.option("--layer", metavar="N", type=int, help="Only this one, counted from 0.")
@click.option("--head", metavar="N", type=int, help="Only this one of each layer.")
@click.option(
    "--out",
    metavar="FILE",
    type=common.WRITTEN,
    help="A .png or .svg.  [RUN/attention.png]",
)
@common.shared
def command(run, text, text_b, layer, head, out, json) -> None:
    """Draw what each head of a trained transformer looks at.

    RUN is the folder of a run. The table says how many tokens away a head looks, and
    how much of its weight is on the first token, on the previous one, and so on.
    """
    from minillm import load_run
    from minillm.figures import save
    from minillm.inspect.attention import attention_maps, draw_attention, in_parts
    from minillm.inspect.attention.heads import most_decided
    from minillm.text import MASK

    loaded = load_run(run)
    maps = attention_maps(loaded, text, text_b, layer=layer, head=head)
    read = "\n".join(filter(None, (text, text_b)))
    if MASK in loaded.tokenizer.specials:
        read = read.replace(MASK, "")
    output.note_lost(loaded.tokenizer, "the text", read)
    if out or not json:
        figure = draw_attention(maps, f"Attention in {Path(run).resolve().name}")
        out = save(figure, out or Path(run) / _file_name(layer, head))
    if json:
        found = [as_json(each) for each in maps]
        return output.print_json({"run": run, "maps": found, "figure": out})
    for part in in_parts(maps):
        print_readings(part)
    click.echo("evenly: a head that gives the same weight to all it sees, to compare")
    click.echo(out)
    chosen = {"layer": layer, "head": head}
    decided = zip(chosen, most_decided(maps), strict=True)
    more = [f" --{name} {i}" for name, i in decided if chosen[name] is None]
    output.say_next(output.again() + ("".join(more) or " --json"))


def _file_name(layer: int | None, head: int | None) -> str:
    """A file name for each choice: no picture replaces another."""
    chosen = {"layer": layer, "head": head}
    parts = [f"{name}{i}" for name, i in chosen.items() if i is not None]
    return "-".join(["attention", *parts]) + ".png"


def as_json(found) -> dict:
    from minillm.inspect.attention.heads import readings

    return {
        **dataclasses.asdict(found),
        "weights": found.weights.astype(float).round(DECIMALS),
        "readings": readings(found),
    }


def print_readings(maps: list) -> None:
    """A table of one part of a model, with even looks in the last row."""
    from minillm.inspect.attention.attention_figure import TITLES
    from minillm.inspect.attention.heads import even_reading, readings

    rows = [{"layer": each.layer, **row} for each in maps for row in readings(each)]
    even = {"layer": "", "head": "evenly", **even_reading(maps[0]), "mostly": None}
    cells = [[shown(*item) for item in row.items()] for row in [*rows, even]]
    output.print_table(list(even), cells, TITLES.get(maps[0].part))


def shown(name: str, value) -> str:
    if name in ("layer", "head", "mostly"):
        return "" if value is None else str(value)
    if value is None:
        return "–"
    return f"{value:.1f}" if name == "distance" else f"{value:.0%}"
