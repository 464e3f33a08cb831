"""`minillm finetune`: teach a trained model a task, and measure it."""

import shlex

import click

from minillm_cli import common, output

FIGURES = {
    "accuracy": ("accuracy", "{:.1%}"),
    "macro_f1": ("macro F1", "{:.1%}"),
    "exact_match": ("right to the letter", "{:.1%}"),
    "bleu": ("BLEU", "{:.1f}"),
    "rouge_l": ("ROUGE-L", "{:.3f}"),
}


@click.command(epilog="Example:  minillm finetune runs/a --data reviews.csv --epochs 5")
@click.argument("run")
@click.option(
    "--task",
    metavar="classify|seq2seq",
    default="classify",
    help="To tell labels or to answer sources.  [classify]",
)
@click.option(
    "--data",
    metavar="FILE",
    required=True,
    help="Rows, .tsv, .csv or .jsonl; or FILE:text=NAME,label=NAME.",
)
@click.option("--epochs", metavar="N", default=3, help="Times it sees each row.  [3]")
@click.option("--lr", metavar="X", type=float, help="Peak learning rate.")
@click.option("--batch", metavar="N", default=16, help="Rows in a step.  [16]")
@click.option("--seed", metavar="N", default=0, help="The same gives the same.  [0]")
@click.option("--out", metavar="DIR", help="The run's folder. Default: new, in runs/.")
@click.option("--no-baselines", is_flag=True, help="Without what it has to beat.")
@click.option("--device", metavar="NAME", default="auto", help="auto, cpu, cuda, ...")
@click.option("--workers", metavar="N|auto", default="auto", help="As in `train`.")
@common.shared
def command(run: str, no_baselines: bool, json: bool, **settings) -> None:
    """Teach a trained model a task, and measure it.

    RUN is the folder of a run, whose weights to begin with. A tenth of the rows is held
    out to measure it on. What --out holds already is not trained again.
    """
    from minillm import finetune
    from minillm.runs.progress import Reporter

    result = finetune(run, **settings, baselines=not no_baselines, reporter=Reporter())
    if json:
        output.print_json(result)
    else:
        if result["task"] == "classify":
            print_classes(result)
        print_baselines(result)
    ask = {"classify": 'classify {} "TEXT"', "seq2seq": 'generate {} "SOURCE"'}
    output.say_next(f"minillm {ask[result['task']].format(shlex.quote(result['run']))}")


def print_classes(result: dict) -> None:
    """How well each class is recognised, and which others it is taken for."""
    figures = ("precision", "recall", "f1")
    rows = [
        [label, *(f"{row[name]:.1%}" for name in figures), row["n"]]
        for label, row in result["per_class"].items()
    ]
    macro = (f"{result[f'macro_{name}']:.1%}" for name in figures)
    rows.append(["mean of the classes", *macro, result["data"]["held_out"]])
    output.print_table(["class", "precision", "recall", "F1", "texts"], rows)
    labels, counts = result["confusion"].values()
    rows = [[label, *row] for label, row in zip(labels, counts, strict=True)]
    title = "rows: what they are; columns: what they were taken for"
    output.print_table(["", *labels], rows, title)


def print_baselines(result: dict) -> None:
    """Beside what it has to beat."""
    labels = {"majority": "always the commonest class", "scratch": "from new weights"}
    rows = {"fine-tuned": result} | {
        labels[name]: baseline for name, baseline in result["baselines"].items()
    }
    # Only what was measured is there.
    columns = {
        name: head for name, head in FIGURES.items() if result.get(name) is not None
    }
    heads = ["", *(head for head, _ in columns.values())]
    cells = [
        [name, *(form.format(row[key]) for key, (_, form) in columns.items())]
        for name, row in rows.items()
    ]
    title = f"on {result['data']['held_out']:,} held-out rows"
    output.print_table(heads, cells, title)
