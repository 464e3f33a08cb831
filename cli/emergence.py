"""`minillm emergence`: does an ability appear suddenly, or does its measure jump?"""

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm emergence runs/facts --plot emergence.svg")
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--plot", metavar="FILE", type=common.WRITTEN, help="Draw both measures (svg, png)."
)
@common.shared
def command(runs: tuple[str, ...], plot: str | None, json: bool) -> None:
    """Measure the runs of a series on `facts` in two ways.

    By characters and by whole values: what rises steadily by the one appears suddenly
    by the other. RUNS is the folder of a series, or several folders of runs, trained
    with --tokenizer chars and, say, --data facts:a=-1,keys=128,values=1000000.
    """
    from minillm.studies.emergence import draw_emergence, emergence

    found = emergence(runs[0] if len(runs) == 1 else runs)
    if plot:
        from minillm.figures import save

        save(draw_emergence(found), plot)
    if json:
        return output.print_json(found.to_json())
    print_points(found)
    output.say_plot(plot, "emergence.svg")


def print_points(found) -> None:
    from minillm.figures import short

    rows = [
        [
            point.run,
            short(point.N),
            f"{point.accuracy:.1%}",
            f"{point.exact_match:.1%}",
            f"{predicted:.1%}",
        ]
        for point, predicted in zip(found.points, found.predicted, strict=True)
    ]
    heads = ["run", "N", "accuracy", "exact match", f"accuracy^{found.length}"]
    output.print_table(heads, rows, found.data)
    for run in found.left_out:
        click.echo(f"left out: {run['run']}: {run['reason']}")
    click.echo(found.sentence)
