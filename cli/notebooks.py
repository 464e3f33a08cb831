"""`minillm notebooks`: the notebooks of the house, in a folder of yours."""

import shlex

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm notebooks lab")
@click.argument("folder", metavar="DIR")
@common.shared
def command(folder: str, json: bool) -> None:
    """Lay down three notebooks for a course.

    A first gradient; a model and a loop of your own; a scaling law in five minutes.
    DIR is made if it is missing. A notebook that is there already stays as it is.
    """
    from minillm import write_notebooks

    found = write_notebooks(folder)
    if json:
        return output.print_json(
            {what: [str(path) for path in paths] for what, paths in found.items()}
        )
    for path in found["written"]:
        click.echo(path)
    for path in found["kept"]:
        click.echo(f"{path}: is there already and stays as it is", err=True)
    output.say_next(f"jupyter lab {shlex.quote(folder)}")
