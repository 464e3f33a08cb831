"""`minillm compare`: runs side by side."""

import shlex

import click

from minillm_cli import common

AXES = ["tokens", "seconds", "flops"]


@click.command(epilog="Example:  minillm compare runs/a runs/b --plot curves.svg")
@click.argument("runs", nargs=-1, required=True)
@click.option("--plot", metavar="FILE", help="Draw learning curves (svg, png).")
@click.option(
    "--x",
    metavar="|".join(AXES),
    type=click.Choice(AXES),
    default="tokens",
    help="What they are drawn over.  [tokens]",
)
@common.shared
def command(runs, plot: str | None, x: str, json: bool) -> None:
    """Put the settings and results of runs side by side.

    RUNS are run folders. Those of different tokenizers are compared in bits per byte.
    """
    from minillm.scaling.compare import compare

    result = compare(list(runs), plot=plot, x=x)
    if json:
        return common.print_json(result)
    print_comparison(result)
    if not plot:
        common.say_next(f"minillm compare {shlex.join(runs)} --plot curves.svg")


def print_comparison(result: dict) -> None:
    """What differs, what came of it, and what to think of the comparison."""
    names = [run["name"] for run in result["runs"]]
    rows = [
        [setting, *("–" if value is None else _text(value) for value in values)]
        for setting, values in result["differences"].items()
    ]
    if rows:
        common.print_table(["differs", *names], rows)
    else:
        click.echo("the runs have the same settings")
    heads = ["result", *names]
    rows = [
        [label, *(write(run[key]) for run in result["runs"])]
        for key, (label, write) in _results(result["unit"]).items()
    ]
    common.print_table(heads, rows)
    if result["figure"]:
        click.echo(result["figure"])
    for warning in result["warnings"]:
        click.echo(f"warning: {warning}")


def _results(unit: str) -> dict:
    """{key: (label, how it is written)}"""
    from minillm.figures import short

    def known(write):
        return lambda value: "–" if value is None else write(value)

    return {
        "parameters": ("parameters", known(short)),
        "val_loss": (f"validation loss ({unit})", known("{:.4f}".format)),
        "val_accuracy": ("validation accuracy (of its tokens)", known("{:.1%}".format)),
        "train_loss": (f"training loss ({unit})", known("{:.4f}".format)),
        "tokens": ("tokens", known(short)),
        "flops": ("FLOPs", known(short)),
        "seconds": ("seconds", known(short)),
        "tokens_per_second": ("tokens/s", known("{:,.0f}".format)),
        "peak_memory_bytes": ("peak memory (B)", known(short)),
    }


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
