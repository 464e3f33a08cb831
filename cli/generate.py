"""`minillm generate`: let a trained model continue a text, or answer one."""

import click

from minillm.errors import UsageError
from minillm_cli import common, output


@click.command(epilog='Example:  minillm generate runs/a "def main" --max-tokens 60')
@click.argument("run")
@click.argument("prompt")
@click.option("--max-tokens", metavar="N", type=int, help="Most tokens to add.  [100]")
@common.sampling
@click.option("--beams", metavar="N", type=int, help="Search with N beams, no draws.")
@common.stop
@click.option("--n", metavar="N", default=1, help="Texts to write.  [1]")
@click.option("--seed", metavar="N", default=0, help="Chooses the draws.  [0]")
@click.option("--stream", is_flag=True, help="Print each piece as it comes.")
@common.shared
def command(run: str, prompt: str, stream: bool, json: bool, **options) -> None:
    """Continue a text with a trained model, or answer one.

    RUN is the folder of a run, PROMPT the text to go on from. A seq2seq run answers
    it: by default to the end, with the likeliest tokens.
    """
    from minillm import generate, load_run

    if stream:
        return _stream(run, prompt, json, **options)
    loaded = load_run(run)
    found = generate(loaded, prompt, **options)
    texts = [found] if isinstance(found, str) else found
    before = _before(loaded, prompt)
    if len(texts) < options["n"]:
        output.note(f"{len(texts)} of {options['n']}: the search found no more texts")
    if len(texts) > 1 and not options["beams"] and _is_greedy(loaded, options):
        output.note(
            "the likeliest text is always the same: add --beams or --temperature"
        )
    if json:
        record = {"run": run, "prompt": prompt, "text": texts[0], "texts": texts}
        return output.print_json({**record, **options})
    for number, text in enumerate(texts, 1):
        if len(texts) > 1:
            click.echo(f"--- {number}")
        click.echo(before + text)


def _is_greedy(run, options: dict) -> bool:
    """Whether each token is the likeliest, and none is drawn."""
    from minillm.generation import reads_source

    temperature = options["temperature"]
    return temperature == 0 or (temperature is None and reads_source(run))


def _stream(run: str, prompt: str, json: bool, n: int, beams, **options) -> None:
    from minillm import load_run
    from minillm.generation import stream

    if json or n != 1 or beams:
        raise UsageError(
            "--stream prints one text as it comes: without --json, --n and --beams"
        )
    loaded = load_run(run)
    pieces = stream(loaded, prompt, **options)
    first = next(pieces)  # so that an error comes before any text
    click.echo(_before(loaded, prompt) + first, nl=False)
    for piece in pieces:
        click.echo(piece, nl=False)
    click.echo()


def _before(run, prompt: str) -> str:
    """What is printed before a text: the prompt that it continues, if it does. Notes
    on stderr what the model does not see of the prompt."""
    from minillm.generation import reads_source, unseen

    answers = reads_source(run)
    output.note_lost(run.tokenizer, "the source" if answers else "the prompt", prompt)
    output.note(unseen(run, prompt))
    return "" if answers else prompt
