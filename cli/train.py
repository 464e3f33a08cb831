"""`minillm train`: every field of TrainConfig is an option of the same name."""

import dataclasses

import click

from minillm import launcher
from minillm.learning.config import DEFAULT, TrainConfig
from minillm.learning.settings import WORDS, flag, kind_of
from minillm_cli import common, output

FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}

# `--tokens` on the command line means that `steps` in a file is not wanted any more.
OVERRULED_BY = {
    "steps": ["tokens"],
    "tokens": ["steps"],
    "size": ["layers", "width", "heads", "context"],
}


def settings(command):
    """Every field of TrainConfig as an option, with the type and default it has
    there."""
    for field in reversed(dataclasses.fields(TrainConfig)):
        command = _option(field)(command)
    return command


def _option(field: dataclasses.Field):
    kind, about = kind_of(field), field.metadata
    named, choices, help = flag(field.name), about["choices"], about["help"]
    if kind is bool and field.default is not False:
        named = f"{named}/--no-{named[2:]}"
    if field.default is not None and field.default is not False:  # 0 is shown
        help = f"{help}  [{str(field.default).lower()}]"
    usual = "|".join(choices) or {int: "N", float: "X"}.get(kind)
    metavar = about["metavar"] or usual
    if choices:
        kind = click.Choice(choices)
    switch = {"is_flag": True} if kind is bool else {"type": kind, "metavar": metavar}
    return click.option(
        named, default=field.default, help=help, hidden=about["rare"], **switch
    )


@click.command(epilog="Example:  minillm train --size nano --data book.txt --seed 7")
@settings
@common.follow_links
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--overwrite", is_flag=True, help="Remove the run in --out first.")
@common.shared
def command(resume: bool, overwrite: bool, json: bool, **options) -> None:
    """Train a language model on a text."""
    from minillm import train
    from minillm.runs.progress import Reporter

    sources = {k: v for k, v in common.sources().items() if k in options}
    drop_overruled(options, sources)
    record = train(
        TrainConfig.from_json(options),
        reporter=Reporter(),
        sources=sources,
        resume=resume,
        overwrite=overwrite,
    )
    rank, _ = launcher.place()
    if rank > 0:  # rank 0 says it all
        return
    if json:
        output.print_json(record)
    else:
        print_results(record)
    output.say_next_of(record, options["out"] or record["options"]["out"])


def drop_overruled(options: dict, sources: dict[str, str]) -> None:
    """Put back to its default what something said in a stronger place contradicts."""
    ranks = list(common.SOURCES.values())
    for name, others in OVERRULED_BY.items():
        for other in others:
            if ranks.index(sources[name]) < ranks.index(sources[other]):
                options[other] = FIELDS[WORDS.get(other, other)].default
                sources[other] = DEFAULT


def print_results(record: dict) -> None:
    results = record["results"]
    unit = TrainConfig.from_json(record["options"]).loss_unit
    best = results.get("best")  # not in a record of before
    rows = [
        *output.evaluation_rows(results, unit),
        ["training tokens", f"{results['tokens']:,}"],
        ["tokens per second", f"{results['tokens_per_second']:,.0f}"],
        ["seconds", f"{results['seconds']:.1f}"],
    ]
    if (
        best and best["step"] < results["steps"]
    ):  # of what evaluations on the way look at
        text = f"{best['val_loss']:.4f} after step {best['step']} (kept)"
        rows.insert(1, ["lowest on the way", text])
    output.print_table(["result", "value"], rows)
