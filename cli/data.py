"""`minillm data`: the corpora there are, fetching one, looking into one."""

from dataclasses import asdict

import click

from minillm_cli import common

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


@click.group(invoke_without_command=True, epilog="Example:  minillm data show stdlib")
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, download and look into corpora."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("list", epilog="Example:  minillm data list")
@common.shared
def list_(json: bool) -> None:
    """List the corpora that have a name."""
    from minillm.figures import short
    from minillm.text.catalogue import cached, catalogue
    from minillm.text.generated import GENERATED

    corpora = [{**STDLIB, "entropy": None}]
    corpora += [
        {**asdict(entry), "here": cached(entry.name) is not None, "entropy": None}
        for entry in catalogue().values()
    ]
    corpora += [drawn(kind()) for kind in GENERATED.values()]
    if json:
        return common.print_json({"corpora": corpora})
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
    common.print_table(heads, rows)
    click.echo("entropy: nats per character, where the law of the text is known")
    for kind in GENERATED.values():
        click.echo(f"{kind.name} takes {', '.join(kind.limits)}: {kind.example}")
    common.say_next("minillm data get NAME")


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


@command.command(epilog="Example:  minillm data get tinyshakespeare")
@click.argument("name")
@common.shared
def get(name: str, json: bool) -> None:
    """Download a corpus, verify it, and print where it lies."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from minillm.text.catalogue import catalogue, fetch

    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=common.console(stderr=True)) as bar:
        task = bar.add_task(name)
        path = fetch(
            name,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        entry = catalogue()[name]
        return common.print_json(
            {"name": name, "path": path, "bytes": entry.size, "sha256": entry.sha256}
        )
    click.echo(path)
    common.say_next(f"minillm train --data {name}")


@command.command(epilog="Example:  minillm data show book.txt")
@click.argument("data")
@common.shared
def show(data: str, json: bool) -> None:
    """Show how large a corpus is and how it begins.

    DATA is a name of `minillm data list`, a text file, or a folder of them.
    """
    from minillm.text import generated, load_corpus

    corpus = load_corpus(data)
    known = generated(data)
    record = {
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
        "beginning": corpus.train[:300],
    }
    if json:
        return common.print_json(record)
    beginning = record.pop("beginning")
    entropy, floors = record.pop("entropy"), record.pop("floors")
    if known:
        record["entropy"] = f"{entropy:.5f} nats per character"
        for context, floor in floors.items():
            record[f"least loss, context {context}"] = f"{floor:.5f}"
    common.print_table(
        ["corpus", "value"],
        [[k, f"{v:,}" if isinstance(v, int) else v] for k, v in record.items()],
    )
    click.echo(beginning)
