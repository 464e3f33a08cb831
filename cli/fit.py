"""`minillm fit`: the law behind a table of measurements."""

import click

from minillm.errors import UsageError
from minillm_cli import common, output

MOST_INFLUENTIAL = 5  # points that the table of influence shows
LOSSES = ["huber", "l1", "lsq"]


@click.command(epilog="Example:  minillm fit runs.csv --x N --y loss --plot law.svg")
@click.argument("file")
@click.option(
    "--x",
    metavar="COLUMN",
    multiple=True,
    default=["N"],
    help="Column of sizes; a second --x for a second one.  [N]",
)
@click.option(
    "--y", metavar="COLUMN", default="loss", help="What the law explains.  [loss]"
)
@click.option(
    "--loss",
    metavar="|".join(LOSSES),
    type=click.Choice(LOSSES),
    default="huber",
    help="What the fit makes small.  [huber]",
)
@click.option("--sigma", metavar="COLUMN", help="Standard deviations of y, for lsq.")
@click.option("--log-sigma", metavar="COLUMN", help="Those of ln y, for lsq.")
@click.option("--group", metavar="COLUMN", help="Which run a row is a branch of.")
@click.option("--tied", is_flag=True, help="One exponent for both sizes.")
@click.option(
    "--fix",
    metavar="NAME=VALUE",
    multiple=True,
    help="A parameter that is known, as E=1.6; may be repeated.",
)
@click.option(
    "--best", is_flag=True, help="Of rows of one size, those of the best setting."
)
@click.option("--no-floor", is_flag=True, help="A pure power law: E = 0.")
@click.option(
    "--bootstrap",
    metavar="N",
    default=0,
    help="Resamples; naming N adds standard errors.  [about 1000]",
)
@click.option("--seed", metavar="N", default=0, help="Chooses the resamples.  [0]")
@click.option(
    "--plot",
    metavar="FILE",
    type=common.WRITTEN,
    help="Draw points, law and band (svg, png).",
)
@common.decimal
@common.shared
def command(
    file, x, no_floor: bool, fix, plot: str | None, decimal, json: bool, **settings
) -> None:
    """Fit a scaling law to a table of measurements.

    FILE is a table with a header line and a row for each run. One size gives
    y = E + A x^(-alpha); with `--x N --x D` a term B D^(-beta) joins it.
    """
    from minillm.laws import fit
    from minillm.laws.runs_table import read_table

    table = read_table(file, decimal)
    law = fit(table, x, floor=not no_floor, fix=known(fix), **settings)
    output.say_notes(law.notes)
    if plot:
        from minillm.figures import save
        from minillm.laws.law_figure import draw_law

        save(draw_law(law), plot)
    if json:
        return output.print_json(law.to_json())
    print_law(law.to_json())
    output.say_plot(plot, "law.svg")


def known(fix: tuple[str, ...]) -> dict[str, float]:
    """{parameter: value} of texts such as E=1.6."""
    found = {}
    for text in fix:
        name, _, value = (part.strip() for part in text.partition("="))
        if name in found:
            raise UsageError(f"--fix {text}: {name} is {found[name]:g} already")
        try:
            found[name] = float(value)
        except ValueError:
            raise UsageError(f"--fix {text}: write it as E=1.6") from None
    return found


def print_law(law: dict) -> None:
    """The formula, its unknowns with their intervals, checks and warnings."""
    heads = ["unknown", "value", "95 % from", "to"]
    columns = [law["parameters"].values()]
    columns += zip(*law["interval95"].values(), strict=True)
    if law["standard_errors"]:
        heads.append("standard error")
        columns.append(law["standard_errors"].values())
    rows = [
        [name, *(f"{number:.5g}" for number in row)]
        for name, *row in zip(law["parameters"], *columns, strict=True)
    ]
    for row in rows:
        if row[0] in law["fixed"]:
            row[2:] = ["fixed", *["–"] * (len(heads) - 3)]
    output.print_table(heads, rows, law["law"])
    of_runs = f" of {law['runs']} runs" if law["runs"] < law["n"] else ""
    excluded = output.left_out(law["excluded"])
    click.echo(f"fitted to {law['n']} points{of_runs}, {excluded}")
    if law["leave_largest_out"] is not None:
        missed = f"{law['leave_largest_out']:.2%}"
        click.echo(f"the largest of them, predicted by the others: {missed} off")
    for line in (*_floor(law), *_models(law), *_correlations(law)):
        click.echo(line)
    print_influence(law)
    output.print_warnings(law)


def _floor(law: dict):
    verdict = law["floor"]
    if verdict and not any(verdict in warning for warning in law["warnings"]):
        yield verdict


def _models(law: dict):
    found = {name: aicc for name, aicc in law["models"].items() if aicc is not None}
    if len(found) > 1:
        best = min(found, key=found.get)
        others = ", ".join(
            f"{name} {aicc - found[best]:+.1f}"
            for name, aicc in sorted(found.items(), key=lambda item: item[1])
            if name != best
        )
        yield f"AICc: {best} {found[best]:.1f} (the lowest), {others}"


def print_influence(law: dict) -> None:
    """The change of the law without a point, for the most influential points."""
    influence = law["influence"][:MOST_INFLUENTIAL]
    if not influence:
        return
    named = list(influence[0]["change"])
    numbered = "line" if "line" in influence[0] else "row"
    sizes = [n for n in influence[0] if n not in ("row", "line", "change")]
    rows = [
        [
            each[numbered],
            *(f"{each[name]:.4g}" for name in sizes),
            *(
                "–"
                if each["change"].get(name) is None
                else f"{each['change'][name]:+.2g}"
                for name in named
            ),
        ]
        for each in influence
    ]
    heads = [f"without {numbered}", *sizes, *(f"{name} changes by" for name in named)]
    output.print_table(heads, rows)


def _correlations(law: dict):
    for names, correlation in law["correlations"].items():
        if abs(correlation) > 0.99:
            yield (
                f"{names}: correlated at {correlation:.3f}; trust the curve's band, "
                "not their single errors"
            )
