"""`minillm sizes`: what the named shapes look like and cost."""

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm sizes --vocab 4096")
@click.option("--vocab", default=1024, show_default=True, help="Vocabulary entries.")
@click.option("--batch", type=int, help="Sequences in a step.  [default: by size]")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Workers in training.",
)
@common.shared
def command(vocab: int, batch: int | None, workers: int, json: bool) -> None:
    """Show the named sizes and what each one costs.

    FLOPs are exact for training, forward and backward; memory is the predicted peak
    of a training process on the CPU, without its text, which comes on top.
    """
    from minillm.backend import Backend
    from minillm.figures import short
    from minillm.learning.config import TrainConfig
    from minillm.models import SIZES, count

    sizes = {}
    for name, size in SIZES.items():
        config = TrainConfig(size=name, vocab=vocab, batch=batch).resolve()
        shape = config.shape(vocab)
        at_a_time = config.sequences_at_a_time(Backend.numbers_at_a_time, workers)
        sizes[name] = {
            "n_layers": size.n_layers,
            "d_model": size.d_model,
            "n_heads": size.n_heads,
            "context": size.context,
            "batch": config.batch,
            "accumulate": config.accumulate,
            "tokens": size.tokens,
            "parameters": count.parameters(shape),
            "flops_per_token": count.flops_per_token(shape),
            "memory_bytes": count.memory_bytes(shape, at_a_time, workers),
        }
    if json:
        return output.print_json(
            {"sizes": sizes, "vocab_size": vocab, "workers": workers}
        )
    heads = ["size", "shape", "heads", "context", "embedding", "others"]
    heads += ["FLOPs", "memory", "tokens"]
    rows = [
        [
            name,
            f"{row['n_layers']} × {row['d_model']}",
            row["n_heads"],
            row["context"],
            short(row["parameters"]["embedding"]),
            short(row["parameters"]["non_embedding"]),
            short(row["flops_per_token"]),
            short(row["memory_bytes"]) + "B",
            short(row["tokens"]),
        ]
        for name, row in sizes.items()
    ]
    output.print_table(heads, rows)
    click.echo("shape: layers × width; embedding, others: parameters; FLOPs: a token's")
    click.echo(
        "in training; memory: of training, without its text, which comes on top;"
    )
    click.echo("tokens: what `minillm train --size` trains on by default")
    output.say_next("minillm train --size nano")
