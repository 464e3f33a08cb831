"""`minillm fill`: let a masked model fill the gaps in a text."""

import dataclasses

import click

from minillm_cli import common, output


@click.command(epilog='Example:  minillm fill runs/m "The [MASK] was lit." --top 3')
@click.argument("run")
@click.argument("text")
@click.option("--top", metavar="K", default=5, help="Candidates for each gap.  [5]")
@common.shared
def command(run: str, text: str, top: int, json: bool) -> None:
    """Fill the gaps in a text with a masked model.

    RUN is the folder of a run with --objective mlm, TEXT has a [MASK] in each gap.
    """
    from minillm import load_run
    from minillm.generation import fill
    from minillm.text import MASK

    loaded = load_run(run)
    gaps = fill(loaded, text, top=top)
    output.note_lost(loaded.tokenizer, "the text", *text.split(MASK))
    if json:
        found = [[dataclasses.asdict(each) for each in gap] for gap in gaps]
        return output.print_json({"run": run, "text": text, "gaps": found})
    for number, gap in enumerate(gaps, 1):
        rows = [[f"{each.probability:.1%}", _shown(each)] for each in gap]
        title = f"[MASK] {number}" if len(gaps) > 1 else None
        output.print_table(["probability", "token"], rows, title)


def _shown(candidate) -> str:
    """In quotes, for a space counts; half a character by its number."""
    if "\ufffd" in candidate.text:
        return f"(part of a character: token {candidate.id})"
    return repr(candidate.text)
