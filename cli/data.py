"""`minillm data`: the corpora there are, fetching one, looking into one."""

from collections import Counter
from dataclasses import asdict
from itertools import islice

import click

from minillm_cli import common, output

# The corpus that every Python carries; its size differs a little between versions.
STDLIB = {
    "name": "stdlib",
    "title": "this Python's own standard library",
    "licence": "PSF-2.0",
    "size": 11_000_000,
    "here": True,
}

# A window begins in the middle of a word, so that its least loss is above the entropy.
CONTEXTS = (64, 128, 256)
# The columns of a table, by its kind.
HEADS = {"pairs": ["source", "target"], "labels": ["text", "label"]}


@click.group(invoke_without_command=True, epilog="Example:  minillm data show stdlib")
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, download and look into corpora."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("list", epilog="Example:  minillm data list")
@common.shared
def list_(json: bool) -> None:
    """List the corpora and the tasks that have a name."""
    from minillm.figures import short
    from minillm.text.sources.catalogue import cached, catalogue
    from minillm.text.synthetic.by_name import GENERATED, TOYS

    corpora = [{**STDLIB, "entropy": None}]
    corpora += [
        {**asdict(entry), "here": cached(entry.name) is not None, "entropy": None}
        for entry in catalogue().values()
    ]
    corpora += [drawn(kind()) for kind in GENERATED.values()]
    tasks = [task(toy()) for toy in TOYS.values()]
    if json:
        return output.print_json({"corpora": corpora, "tasks": tasks})
    rows = [
        [
            corpus["name"],
            corpus["title"],
            corpus["licence"],
            short(corpus["size"]) + "B",
            "yes" if corpus["here"] else "no",
            "?" if corpus["entropy"] is None else f"{corpus['entropy']:.5f}",
        ]
        for corpus in corpora
    ]
    heads = ["name", "what it is", "licence", "size", "here", "entropy"]
    output.print_table(heads, rows)
    click.echo("entropy: nats per character, where the law of the text is known")
    output.print_table(
        ["name", "what it is", "objective"],
        [[entry["name"], entry["title"], entry["objective"]] for entry in tasks],
        title="Generated tasks, whose best answer is known",
    )
    for recipe in (*GENERATED.values(), *TOYS.values()):
        click.echo(
            f"{recipe.name} takes {', '.join(recipe.limits())}: {recipe.example}"
        )
    output.say_next("minillm data get NAME")


def drawn(known) -> dict:
    """What the list says of a generated corpus."""
    return {
        "name": known.name,
        "title": known.title,
        "licence": "MIT",
        "size": round(known.characters),
        "here": True,
        "entropy": known.entropy,
        "parameters": asdict(known),
    }


def task(toy) -> dict:
    """What the list says of a generated task."""
    return {
        "name": toy.name,
        "title": toy.title,
        "kind": toy.kind,
        "objective": toy.objective,
        "chance": toy.chance,
        "parameters": asdict(toy),
    }


@command.command(epilog="Example:  minillm data get tinyshakespeare")
@click.argument("name")
@common.shared
def get(name: str, json: bool) -> None:
    """Download a corpus, verify it, and print where it lies."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from minillm.text.sources.catalogue import catalogue, fetch

    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.console(stderr=True)) as bar:
        task = bar.add_task(name, visible=False)  # until something comes
        path = fetch(
            name,
            lambda done, total: bar.update(
                task, completed=done, total=total, visible=True
            ),
        )
    if json:
        entry = catalogue()[name]
        return output.print_json(
            {"name": name, "path": path, "bytes": entry.size, "sha256": entry.sha256}
        )
    click.echo(path)
    output.say_next(f"minillm train --data {name}")


@command.command(epilog="Example:  minillm data show book.txt")
@click.argument("data")
@click.option(
    "--kind",
    type=click.Choice(["text", "pairs", "labels"]),
    help="How to read a file.  [by its name and first row]",
)
@common.follow_links
@common.shared
def show(data: str, kind: str | None, json: bool) -> None:
    """Show how large a corpus or a table is and how it begins.

    DATA is a name of `minillm data list`, a text file, or a folder of them, which may
    be packed (.zip, .tar.gz); or a file of rows, .tsv, .csv or .jsonl: pairs (source,
    target) or labels (text, label).
    """
    from minillm.text.synthetic.by_name import generated_task
    from minillm.text.table_files.rows import kind_of

    toy = generated_task(data)
    seems = None if kind or toy else kind_of(data)
    kind = kind or seems or (toy.kind if toy else "text")
    heads = HEADS.get(kind)
    record = of_table(data, kind, toy) if heads else of_text(data, toy)
    if json:
        return output.print_json(record)
    beginning = record.pop("beginning")
    output.print_table(["table" if heads else "corpus", "value"], about(record))
    if heads:
        beginning = [[cell[:80] for cell in row] for row in beginning]
        output.print_table(heads, beginning)
    else:
        click.echo(beginning)
    if seems:
        others = " or ".join(each for each in (*HEADS, "text") if each != seems)
        output.note(f"read as {seems}; otherwise with --kind {others}")


def of_text(data: str, toy) -> dict:
    """What is shown of a text."""
    from minillm.text import generated, load_corpus

    corpus = load_corpus(data)
    for line in corpus.notes:
        output.note(line)
    known, best = generated(data), toy.best if toy else None
    if toy and toy.kind == "text":  # of which a model sees windows
        known, best = toy, {context: toy.best(context) for context in CONTEXTS}
    return {
        "name": corpus.name,
        "note": corpus.note,
        "bytes": corpus.n_bytes,
        "train_characters": len(corpus.train),
        "val_characters": len(corpus.val),
        "sha256": corpus.sha256,
        "entropy": corpus.entropy,
        "floors": {context: known.floor(context) for context in CONTEXTS}
        if known
        else None,
        "best": best,
        "chance": toy.chance if toy else None,
        "beginning": corpus.train[:300],
    }


def of_table(data: str, kind: str, toy) -> dict:
    """What is shown of a table."""
    from minillm.text import load_table

    table = load_table(data, kind)
    for line in table.notes:
        output.note(line)
    labels = Counter(label for _, label in table.train + table.val)
    return {
        "name": table.name,
        "note": table.note,
        "bytes": table.n_bytes,
        "train_rows": len(table.train),
        "val_rows": len(table.val),
        "sha256": table.sha256,
        "labels": dict(labels.most_common()) if kind == "labels" else None,
        "best": toy.best if toy else None,
        "chance": toy.chance if toy else None,
        "beginning": table.train[:5],
    }


def about(record: dict) -> list[list]:
    """A record as rows of a table, without what is not known."""
    rows = []
    for name, value in record.items():
        if name == "entropy" and value is not None:
            rows.append([name, f"{value:.5f} nats per character"])
        elif name == "floors" and value:
            rows += [[f"least loss, context {c}", f"{v:.5f}"] for c, v in value.items()]
        elif name == "best" and isinstance(value, dict):
            rows += [
                [f"best accuracy, context {c}", f"{v:.1%}"] for c, v in value.items()
            ]
        elif name in ("best", "chance") and value is not None:
            rows.append([f"accuracy, {name}", f"{value:.1%}"])
        elif name == "labels" and value:
            rows += [
                [f"label {label[:40]!r}", f"{n:,}"]
                for label, n in islice(value.items(), 10)
            ]
        elif value is not None:
            rows.append([name, f"{value:,}" if isinstance(value, int) else value])
    return rows
