"""`minillm chat`: a dialogue with a trained model, in turns."""

import sys

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm chat runs/a --temperature 0.5")
@click.argument("run")
@click.option(
    "--template",
    metavar="TEXT",
    help=r"A turn.  ['User: {user}\nAssistant: {assistant}\n']",
)
@click.option("--max-tokens", metavar="N", default=100, help="Of a reply.  [100]")
@common.sampling
@common.stop
@click.option("--seed", metavar="N", default=0, help="Chooses the draws.  [0]")
@common.shared
def command(run: str, template: str | None, json: bool, **settings) -> None:
    """Talk with a trained model, a line for each turn.

    RUN is the folder of a run. Ctrl-D ends the dialogue, as does the end of a file.
    """
    from minillm.generation import Dialogue, unseen
    from minillm.generation.dialogue import TEMPLATE

    template = TEMPLATE if template is None else common.unescaped(template)
    dialogue = Dialogue(run, template=template, **settings)
    written = template.replace("{user}", "").replace("{assistant}", "")
    output.note_lost(dialogue.run.tokenizer, "the template", written)
    shown = set()
    for message in _messages():
        lost = dialogue.run.tokenizer.lost([message]).note("the message")
        for line in (lost, unseen(dialogue.run, dialogue.prompt(message))):
            if line not in shown:
                output.note(line)
            shown.add(line)
        for piece in dialogue.reply(message):
            if not json:
                click.echo(piece, nl=False)
        if not json:
            click.echo()
    if json:
        turns = [{"user": user, "assistant": reply} for user, reply in dialogue.turns]
        output.print_json({"run": run, "turns": turns})


def _messages():
    """The lines that are typed, or those of a file, without empty ones."""
    typed = sys.stdin.isatty()
    if not typed and hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    while True:
        try:
            message = input("> " if typed else "").strip()
        except EOFError:
            if typed:
                click.echo(err=True)
            return
        if message:
            yield message
