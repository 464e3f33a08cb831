"""`minillm eval`: how well a trained model predicts a text."""

import os

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm eval runs/a --data other.txt")
@click.argument("run")
@click.option(
    "--data",
    metavar="NAME|PATH",
    help="Corpus whose validation part is read, or a file of rows, all of which are. "
    "Default: the run's own.",
)
@common.follow_links
@click.option(
    "--limit", type=int, metavar="N", help="About so many tokens, in whole sequences."
)
@common.shared
def command(run: str, data: str | None, limit: int | None, json: bool) -> None:
    """Measure a trained model's loss on a text.

    RUN is the folder of a run.
    """
    from minillm import load_run
    from minillm.learning.data import TABLES
    from minillm.runs.evaluation import evaluate_run
    from minillm.text import OBJECTIVES

    loaded = load_run(run)
    if data is None and os.path.exists(loaded.config.data):
        output.note(f"the text is {loaded.config.data}, as {run} says")
    result = evaluate_run(loaded, data=data, limit=limit, note=output.note)
    if data is None and result["data"]["sha256"] != loaded.record["data"]["sha256"]:
        output.note("it is not the same text that the run was trained on")
    if json:
        return output.print_json(result)
    rows = output.evaluation_rows(result, loaded.config.loss_unit)
    for name in ("tokens", "labels"):
        if result[f"val_{name}"]:
            rows.append([f"validation {name}", f"{result[f'val_{name}']:,}"])
    by_rows = OBJECTIVES[loaded.config.objective].kind in TABLES
    part = "rows" if by_rows and data is not None else "the validation part"
    title = f"{run} on {part} of {result['data']['name']}"
    output.print_table(["result", "value"], rows, title)
