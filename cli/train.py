"""`minillm train`: every field of TrainConfig is an option of the same name."""

import dataclasses
import typing

import click

from minillm.learning.config import (
    DEFAULT,
    OPTIMIZERS,
    SCHEDULES,
    TOKENIZERS,
    WORDS,
    TrainConfig,
)
from minillm.models import ARCHITECTURES, SIZES
from minillm.text import OBJECTIVES
from minillm_cli import common, output

FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}

# `--tokens` on the command line means that `steps` in a file is not wanted any more.
OVERRULED_BY = {
    "steps": ["tokens"],
    "tokens": ["steps"],
    "size": ["layers", "width", "heads", "context"],
}


def setting(name: str, help: str, metavar: str | None = None, choices=None):
    """The option for a field of TrainConfig, with the type and default it has there."""
    field = FIELDS[WORDS.get(name, name)]
    kind = (typing.get_args(field.type) or (field.type,))[0]
    flag = "--" + name.replace("_", "-")
    if kind is bool and field.default is not False:
        flag = f"{flag}/--no-{name}"
    if choices:
        kind = click.Choice(list(choices))
        metavar = metavar or "|".join(choices)
    if field.default is not None and field.default is not False:  # 0 is shown
        help = f"{help}  [{str(field.default).lower()}]"
    metavar = metavar or {int: "N", float: "X"}.get(kind)
    switch = {"is_flag": True} if kind is bool else {"type": kind, "metavar": metavar}
    return click.option(flag, default=field.default, help=help, **switch)


@click.command(epilog="Example:  minillm train --size nano --data book.txt --seed 7")
@setting("size", "A shape that `minillm sizes` lists.", "NAME", choices=SIZES)
@setting("layers", "Transformer blocks.")
@setting("width", "Width of the residual stream (d_model).")
@setting("heads", "Attention heads, a divisor of the width.")
@setting("context", "Tokens in a sequence.")
@setting("arch", f"{', '.join(ARCHITECTURES)}.", "NAME", ARCHITECTURES)
@setting("norm", "Layer norm before or after.", metavar="pre|post")
@setting("positions", "Where a token stands.", metavar="learned|sinusoidal")
@setting("tied", "Embedding is the output layer too.")
@setting("bias", "Layers and norms have a bias.")
@setting("init", "How weights are drawn.", metavar="gpt2|fan_in")
@setting("objective", f"{', '.join(OBJECTIVES)}.", "NAME", OBJECTIVES)
@setting("whole_words", "mlm hides whole words.")
@setting("data", "Corpus, text, folder or .zip.", "NAME|PATH")
@setting("tokenizer", "bpe, wordpiece, bytes, chars.", "NAME", choices=TOKENIZERS)
@setting("vocab", "Most entries of the vocabulary.")
@setting("batch", "Sequences in a step. Default: by size.")
@setting("steps", "Length of the run in optimizer steps ...")
@setting("tokens", "... or in tokens. Default: by size.")
@setting("optimizer", "Update rule.", choices=OPTIMIZERS)
@setting("lr", "Peak learning rate. Default: by width.")
@setting("min_lr", "Last learning rate. Default: by schedule.")
@setting("schedule", "How lr falls.", choices=SCHEDULES)
@setting("warmup", "Steps up to the peak learning rate.")
@setting("beta1", "AdamW's memory of the gradient.")
@setting("beta2", "AdamW's memory of its square.")
@setting("weight_decay", "Decay of matrices, times lr.")
@setting("clip", "Largest norm of the gradient.")
@setting("dropout", "Share of activations set to zero.")
@setting("accumulate", "Microbatches in a step. Default: by size.")
@setting("seed", "The same seed gives the same losses.")
@setting("device", "auto, cpu, cuda or cuda:N.", "NAME")
@setting("workers", "Workers that share a batch.", "N|auto")
@setting("out", "The run's folder. Default: new, in runs/.", "DIR")
@setting("eval_every", "Steps from one validation to the next.")
@setting("save_every", "Steps from one checkpoint to the next.")
@setting("keep", "Checkpoints to keep, beside the best.")
@setting("base", "Begin with the weights of this run.", "RUN")
@setting("fresh", "Only the shape and tokenizer of --base.")
@setting("start", "A shorter run, trained with --branch.", "RUN")
@setting("branch", "Let a longer run --start here.")
@common.follow_links
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--overwrite", is_flag=True, help="Remove the run in --out first.")
@common.shared
def command(resume: bool, overwrite: bool, json: bool, **options) -> None:
    """Train a language model on a text."""
    from minillm import train
    from minillm.runs.progress import Reporter

    sources = {k: v for k, v in common.sources().items() if k in options}
    drop_overruled(options, sources)
    record = train(
        TrainConfig.from_json(options),
        reporter=Reporter(),
        sources=sources,
        resume=resume,
        overwrite=overwrite,
    )
    if json:
        output.print_json(record)
    else:
        print_results(record)
    output.say_next_of(record, options["out"] or record["options"]["out"])


def drop_overruled(options: dict, sources: dict[str, str]) -> None:
    """Put back to its default what something said in a stronger place contradicts."""
    ranks = list(common.SOURCES.values())
    for name, others in OVERRULED_BY.items():
        for other in others:
            if ranks.index(sources[name]) < ranks.index(sources[other]):
                options[other] = FIELDS[WORDS.get(other, other)].default
                sources[other] = DEFAULT


def print_results(record: dict) -> None:
    results = record["results"]
    unit = TrainConfig.from_json(record["options"]).loss_unit
    best = results.get("best")  # not in a record of before
    rows = [
        *output.evaluation_rows(results, unit),
        ["training tokens", f"{results['tokens']:,}"],
        ["tokens per second", f"{results['tokens_per_second']:,.0f}"],
        ["seconds", f"{results['seconds']:.1f}"],
    ]
    if (
        best and best["step"] < results["steps"]
    ):  # of what evaluations on the way look at
        text = f"{best['val_loss']:.4f} after step {best['step']} (kept)"
        rows.insert(1, ["lowest on the way", text])
    output.print_table(["result", "value"], rows)
