"""`minillm isoflop`: the best size for each compute budget in a table."""

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm isoflop runs.csv --plot isoflop.svg")
@click.argument("file")
@click.option("--n", metavar="COLUMN", help="Parameters.  [N, or C/(6D)]")
@click.option("--d", metavar="COLUMN", help="Tokens.  [D, or C/(6N)]")
@click.option("--c", metavar="COLUMN", help="Training FLOPs.  [C, or 6ND]")
@click.option("--y", metavar="COLUMN", default="loss", help="The loss.  [loss]")
@click.option(
    "--best", is_flag=True, help="Of rows of one size, those of the best setting."
)
@click.option(
    "--bootstrap", metavar="N", default=1000, help="Resamples of the noise.  [1000]"
)
@click.option("--seed", metavar="N", default=0, help="Chooses the resamples.  [0]")
@click.option(
    "--plot",
    metavar="FILE",
    type=common.WRITTEN,
    help="Draw profiles and laws (svg, png).",
)
@common.decimal
@common.shared
def command(file, plot: str | None, decimal, json: bool, **settings) -> None:
    """Find the best model size of each compute budget.

    FILE has a row for each run: its loss, and two of parameters, tokens and FLOPs.
    Runs of nearly the same FLOPs share a budget; a parabola in ln N through the five
    sizes around its lowest loss gives N_opt and D_opt, which follow power laws of C.
    Intervals are of new noise about the parabolas.
    """
    from minillm.laws.isoflop import fit_isoflop
    from minillm.laws.runs_table import read_table

    found = fit_isoflop(read_table(file, decimal), **settings)
    output.say_notes(found.notes)
    if plot:
        from minillm.figures import save
        from minillm.laws.isoflop_figure import draw_isoflop

        save(draw_isoflop(found), plot)
    if json:
        return output.print_json(found.to_json())
    print_isoflop(found.to_json())
    output.say_plot(plot, "isoflop.svg")


def print_isoflop(found: dict) -> None:
    """The best size of each budget, the laws that they follow, and warnings."""
    heads = ["C", "sizes", "N_opt", "from", "to", "spline", "D_opt", "D/N", "loss"]
    rows = []
    for budget in found["budgets"]:
        figures = [budget["N_opt"], *(budget["interval95"] or [None, None])]
        figures += [budget["spline"]["N_opt"], budget["D_opt"]]
        figures.append(budget["tokens_per_parameter"])
        cost = _figure(budget["C"]) + ("" if budget["used"] else " *")
        loss = f"{budget['loss']:.4f}"
        rows.append([cost, budget["sizes"], *map(_figure, figures), loss])
    title = "the best size of each budget (from, to: its 95 % interval)"
    output.print_table(heads, rows, title)
    if not all(budget["used"] for budget in found["budgets"]):
        click.echo("* not in the laws, see the warnings")
    for name, law in found["laws"].items():
        line = f"{name} = {law['a']:.4g}·C^{law['n']:.4f}"
        if law["interval95"]:
            low, high = law["interval95"]["n"]
            line += f"  (95 % interval of the exponent {low:.4f} to {high:.4f})"
        click.echo(line)
    if found["envelope"]:
        p = found["envelope"]["parameters"]
        floor = f"{p['E']:.4g} + " if "E" in p else ""
        click.echo(f"envelope: loss = {floor}{p['A']:.4g}·C^(−{p['alpha']:.4f})")
    if found["derived"]:
        missing = found["derived"][0]
        click.echo(f"{found['derived']}, as no column of {missing} is there")
    click.echo(f"fitted to {found['n']} runs, {output.left_out(found['excluded'])}")
    output.print_warnings(found)


def _figure(value: float | None) -> str:
    """Three digits, `3e20` for 3e+20."""
    if value is None:
        return "–"
    return f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
