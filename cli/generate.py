"""`minillm generate`: let a trained model continue a text."""

import click

from minillm_cli import common


@click.command(epilog='Example:  minillm generate runs/a "def main" --max-tokens 60')
@click.argument("run")
@click.argument("prompt")
@click.option("--max-tokens", default=100, show_default=True, help="Tokens to add.")
@click.option(
    "--temperature",
    default=0.8,
    show_default=True,
    help="Below 1: likelier tokens more often. 0: always the likeliest.",
)
@click.option("--top-k", type=int, help="Draw from the K likeliest tokens only.")
@click.option("--seed", default=0, show_default=True, help="Chooses the random draws.")
@common.shared
def command(run: str, prompt: str, json: bool, **options) -> None:
    """Continue a text with a trained model.

    RUN is the folder of a run, PROMPT the text to go on from.
    """
    from minillm import generate

    text = generate(run, prompt, **options)
    if json:
        record = {"run": run, "prompt": prompt, "text": text, **options}
        return common.print_json(record)
    click.echo(prompt + text)
