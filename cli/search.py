"""`minillm search`: the lines of a file that are most like a query."""

import dataclasses

import click

from minillm_cli import common, output


@click.command(epilog='Example:  minillm search runs/a --corpus book.txt "a lamp"')
@click.argument("run")
@click.option("--corpus", metavar="FILE", required=True, help="Its lines are searched.")
@click.argument("query")
@click.option("--top", metavar="K", default=5, help="Lines to show.  [5]")
@common.shared
def command(run: str, corpus: str, query: str, top: int, json: bool) -> None:
    """Find the lines of a file that are most like a query.

    RUN is the folder of a run of any architecture.
    """
    from minillm import load_run
    from minillm.tasks import search
    from minillm.tasks.lines import read_lines

    loaded = load_run(run)
    lines = read_lines(corpus)  # once: it may be a pipe
    texts = [lines.get(number, "") for number in range(1, max(lines) + 1)]
    hits = search(loaded, texts, query, top=top)
    output.note_lost(loaded.tokenizer, "the query", query)
    output.note_lost(loaded.tokenizer, "the corpus", *texts)
    if json:
        found = [dataclasses.asdict(hit) for hit in hits]
        return output.print_json(
            {"run": run, "corpus": corpus, "query": query, "hits": found}
        )
    rows = [[hit.line, f"{hit.score:.3f}", hit.text] for hit in hits]
    output.print_table(["line", "cosine", "text"], rows)
