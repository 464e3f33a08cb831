"""`minillm completion`: what a shell must know to complete minillm's options."""

import click
from click.shell_completion import get_completion_class

from minillm_cli import common, output


@click.command(epilog="Example:  minillm completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common.shared
@click.pass_context
def command(ctx: click.Context, shell: str, json: bool) -> None:
    """Print the completion script of a shell."""
    make = get_completion_class(shell)
    script = make(ctx.find_root().command, {}, "minillm", "_MINILLM_COMPLETE").source()
    if json:
        return output.print_json({"shell": shell, "script": script})
    click.echo(script)
