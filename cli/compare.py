"""`minillm compare`: runs, or series, side by side."""

import click

from minillm_cli import common, output

AXES = ["tokens", "seconds", "flops"]


@click.command(epilog="Example:  minillm compare runs/a runs/b --plot curves.svg")
@click.argument("folders", nargs=-1, required=True)
@click.option(
    "--plot",
    metavar="FILE",
    type=common.WRITTEN,
    help="Draw curves, or laws (svg, png).",
)
@click.option(
    "--x",
    metavar="|".join(AXES),
    type=click.Choice(AXES),
    help="What learning curves are drawn over.  [tokens]",
)
@common.shared
def command(folders, plot: str | None, x: str | None, json: bool) -> None:
    """Put runs, or the laws of series, side by side.

    FOLDERS are those of runs, or of series. Runs of different tokenizers are compared
    in bits per byte. Series are drawn on one figure, each with its law and its band.
    """
    from minillm.studies.compare import compare

    result = compare(list(folders), plot=plot, x=x)
    if json:
        return output.print_json(result)
    if "runs" in result:
        print_runs(result)
    else:
        print_series(result)
    if result["figure"]:
        click.echo(result["figure"])
    output.print_warnings(result)
    if not plot:
        name = "curves.svg" if "runs" in result else "laws.svg"
        output.say_next_with(f"--plot {name}")


def print_runs(result: dict) -> None:
    """The settings that differ, and the results."""
    names = [run["name"] for run in result["runs"]]
    if not print_differences(result["differences"], names):
        click.echo("the runs have the same settings")
    heads = ["result", *names]
    rows = [
        [label, *(write(run[key]) for run in result["runs"])]
        for key, (label, write) in _results(result["unit"]).items()
    ]
    output.print_table(heads, rows)


def print_series(result: dict) -> None:
    """The laws, and the settings of the series that differ."""
    from minillm.figures import short

    labels = [series["label"] for series in result["series"]]
    print_differences(result["differences"], labels)
    rows = {
        "architecture": lambda one: one["arch"] or "–",
        "text": lambda one: one["data"] or "–",
        "tokens for each model": lambda one: short(one["tokens"]),
        "sizes": lambda one: one["law"]["n"],
        "N from": lambda one: short(one["law"]["ranges"]["N"][0]),
        "to": lambda one: short(one["law"]["ranges"]["N"][1]),
    }
    for name in ("E", "A", "alpha"):
        rows[name] = lambda one, name=name: f"{one['law']['parameters'][name]:.4g}"
        rows[f"  95 % of {name}"] = lambda one, name=name: " to ".join(
            f"{end:.3g}" for end in one["law"]["interval95"][name]
        )
    rows |= {
        "held out, N": lambda one: _held_out(one, "parameters", short),
        "  predicted": lambda one: _held_out(one, "predicted", "{:.4f}".format),
        "  measured": lambda one: _held_out(one, "measured", "{:.4f}".format),
        "  error": lambda one: _held_out(one, "relative_error", "{:.2%}".format),
    }
    cells = [[label, *map(write, result["series"])] for label, write in rows.items()]
    if result["at"]:
        at = short(result["at"]["parameters"])
        losses = [f"{loss:.4f}" for loss in result["at"]["loss"]]
        cells.append([f"by the law, loss at N = {at}", *losses])
        bands = [
            " to ".join(f"{end:.4f}" for end in band)
            for band in result["at"]["interval95"]
        ]
        cells.append(["  95 % of the curves", *bands])
    output.print_table(["L(N) = E + A·N^(−alpha)", *labels], cells)


def print_differences(differences: dict, names: list[str]) -> bool:
    """A row for each setting that differs; False where none does."""
    rows = [
        [setting, *("–" if value is None else _text(value) for value in values)]
        for setting, values in differences.items()
    ]
    if rows:
        output.print_table(["differs", *names], rows)
    return bool(rows)


def _held_out(series: dict, key: str, write) -> str:
    return write(series["held_out"][key]) if series["held_out"] else "–"


def _results(unit: str) -> dict:
    """{key: (label, how it is written)}"""
    from minillm.figures import short

    def known(write):
        return lambda value: "–" if value is None else write(value)

    return {
        "arch": ("architecture", known(str)),
        "parameters": ("parameters (non-embedding)", known(short)),
        "val_loss": (f"validation loss ({unit})", known("{:.4f}".format)),
        "val_accuracy": ("validation accuracy", known("{:.1%}".format)),
        "train_loss": (f"training loss ({unit})", known("{:.4f}".format)),
        "tokens": ("tokens", known(short)),
        "flops": ("FLOPs", known(short)),
        "seconds": ("seconds", known(short)),
        "tokens_per_second": ("tokens/s", known("{:,.0f}".format)),
        "peak_memory_bytes": ("peak memory (B)", known(short)),
    }


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
