"""`minillm scale`: from nothing to a measured scaling law."""

import click

from minillm.series import model_settings
from minillm.series.ladder import PRESETS
from minillm_cli import common, output

COUNTED = {
    "non_embedding": "non-embedding",
    "matrices_and_head": "matrices and head",
    "total": "total",
}


@click.command(epilog="Example:  minillm scale --preset smoke --out runs/law")
@click.option(
    "--preset",
    metavar="|".join(PRESETS),
    type=click.Choice(list(PRESETS)),
    help="Five minutes, or smoke: one.  [demo]",
)
@click.option("--budget", metavar="TIME", type=common.TIME, help="Such as 20m or 2h.")
@click.option(
    "--data",
    metavar="NAME|PATH",
    help="Corpus, text, folder or .zip.  [stdlib]",
)
@common.follow_links
@click.option(
    "--objective",
    metavar="clm|mlm",
    help="Next or masked tokens.  [clm]",
)
@click.option(
    "--arch",
    metavar="NAME",
    help="gpt, llama or lstm; for mlm encoder or bert.",
)
@click.option(
    "--set",
    "model",
    metavar="NAME=VALUE",
    multiple=True,
    help="For all models: positions=rotary.",
)
@click.option("--plan", metavar="FILE", help="Repeat the series of this plan.json.")
@click.option("--seed", metavar="N", type=int, help="Of the first repeat.  [0]")
@click.option(
    "--workers",
    metavar="N",
    type=int,
    help="Models side by side.  [one for each core]",
)
@click.option(
    "--executor",
    metavar="local|dask|mpi",
    type=click.Choice(["local", "dask", "mpi"]),
    default="local",
    help="Who does the runs.  [local]",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of Dask: tcp://host:8786.")
@click.option(
    "--out", metavar="DIR", help="The folder, given again to go on.  [in runs/]"
)
@common.shared
def command(json: bool, model: tuple, **settings) -> None:
    """Train a series of sizes and fit the law of their losses."""
    from minillm import scale
    from minillm.series.series_progress import Reporter

    model = model_settings.read(model)
    result = scale(**settings, model=model, reporter=Reporter())
    if result is None:  # a rank that worked for rank 0
        return None
    if json:
        return output.print_json(result)
    print_result(result)
    largest = max(result["runs"], key=lambda run: run["config"]["d_model"])
    name = f"{largest['config']['d_model']}-s{largest['seed']}"
    output.say_next_of(largest, f"{result['out']}/runs/{name}")


def print_result(result: dict) -> None:
    """The sizes, the law of the losses, its prediction, and the other laws."""
    from minillm.figures import short
    from minillm.series.series_text import TOKENS

    decoding = {row["width"]: row["seconds_per_token"] for row in result["decoding"]}
    rows = [
        [
            f"{size['n_layers']} × {size['width']}",
            *(short(size["parameters"][way]) for way in COUNTED),
            len(size["losses"]),
            f"{size['loss']:.4f}",
            f"{size['accuracy']:.1%}",
            f"{size['train_seconds']:.0f}",
            _microseconds(decoding[size["width"]]),
        ]
        for size in result["sizes"]
    ]
    heads = ["size", "N", "N + head", "N total", "seeds", "loss", "accuracy"]
    heads += ["train s", "µs/token"]
    kind = result["runs"][0]["data"]["tokenizer"]["kind"]
    title = f"{result['tokens']:,} tokens each; loss in {result['loss_unit']}"
    if kind in TOKENS:
        title += f"; a token is a {TOKENS[kind]}"
    output.print_table(heads, rows, title)
    print_law(result)
    print_lengths(result)
    print_truth(result["truth"])
    laws = result["laws"].items()
    rows = [
        [name, *(f"{law[key]:.4g}" for key in "anb"), _interval(law["interval95"]["n"])]
        for name, law in laws
    ]
    output.print_table(["y = a·N^n + b", "a", "n", "b", "95 % of n"], rows)
    for figure in result["figures"]:
        click.echo(figure)
    output.print_warnings(result)


def print_law(result: dict) -> None:
    rows = [
        [
            COUNTED[way] + (" *" if way == result["parameters_counted"] else ""),
            f"{law['alpha']:.3f}",
            _interval(law["interval95"]["alpha"]),
            f"{law['E']:.3f}",
            f"{law['held_out']['predicted']:.4f}",
            _percent(law["held_out"]["relative_error"]),
        ]
        for way, law in result["counting"].items()
    ]
    heads = ["N counts", "alpha", "95 %", "E", "held out, predicted", "error"]
    output.print_table(heads, rows, result["law"]["law"])
    click.echo(
        f"E is L∞(D), the floor after D = {result['tokens']:,} tokens, not the entropy "
        f"of the text"
    )
    held_out = result["held_out"]
    if held_out["measured"] is None:
        click.echo("the held-out model has no measured loss")
        return
    click.echo(
        f"the held-out model, which no fit has seen: {held_out['measured']:.4f} "
        f"measured; the law is "
        f"{_percent(held_out['relative_error'])} off, a power law without a floor "
        f"{_percent(held_out['pure_power_relative_error'])}"
    )


def print_truth(truth: dict | None) -> None:
    """The floors beside the entropy of a text whose law is known."""
    if truth:
        click.echo(
            f"the text's own entropy: {truth['entropy']:.4f} nats/character; an ideal "
            f"model of this context: {truth['floor']:.4f}"
        )
        for name, floor in truth["E"].items():
            error = _percent(truth["relative_error"][name])
            click.echo(f"  E of the {name.replace('_', ' ')}: {floor:.4f}, {error} off")


def print_lengths(result: dict) -> None:
    """The law of size and tokens, and the checks of the learning rate, if any."""
    law = result["law_of_size_and_tokens"]
    if law:
        rows = [
            [name, f"{law['parameters'][name]:.4g}", _interval(law["interval95"][name])]
            for name in law["parameters"]
        ]
        output.print_table(["unknown", "value", "95 %"], rows, law["law"])
    rows = [
        [
            check["width"],
            *(f"{rate:.3g} × lr: {loss:.4f}" for rate, loss in check["losses"].items()),
        ]
        for check in result["rate_checks"]
    ]
    if rows:
        heads = ["width", *[""] * (len(rows[0]) - 1)]
        output.print_table(heads, rows, "the learning rate at both ends of the series")


def _interval(ends: list[float]) -> str:
    return " to ".join(f"{end:.3g}" for end in ends)


def _microseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1e6 * seconds:.0f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
