"""`minillm report`: one page about a series."""

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm report runs/law")
@click.argument("runs")
@click.option(
    "--out",
    metavar="FILE",
    type=common.WRITTEN,
    help="The page.  [report.html in RUNS]",
)
@common.shared
def command(runs: str, out: str | None, json: bool) -> None:
    """Write a page about a series: its laws, curves and doubts.

    RUNS is a folder of `minillm scale`, or one that holds folders of `minillm
    train`. The page is one HTML file that needs no network.
    """
    from minillm.studies.report import report

    result = report(runs, out)
    if json:
        return output.print_json(result)
    click.echo(result["title"])
    for kind in ("findings", "not_shown", "missing"):
        for sentence in result[kind]:
            click.echo(f"- {sentence}")
    for bad in result["excluded"]:
        click.echo(f"left out: {bad['run']}: {bad['reason']}")
    output.print_warnings(result)
    click.echo(result["page"])
