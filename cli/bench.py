"""`minillm bench`: how fast this machine trains."""

import click

from minillm_cli import common


@click.command(epilog="Example:  minillm bench --size nano --size tiny --seconds 3")
@click.option("--size", "sizes", metavar="NAME", multiple=True, help="May be repeated.")
@click.option("--layers", metavar="N", type=int, help="A shape of your own:")
@click.option("--width", metavar="N", type=int, help="blocks, width,")
@click.option("--heads", metavar="N", type=int, help="and attention heads.")
@click.option("--vocab", metavar="N", type=int, help="Vocabulary entries.  [1024]")
@click.option("--batch", metavar="N", type=int, help="Sequences in a step.")
@click.option("--context", metavar="N", type=int, help="Tokens in a sequence.")
@click.option("--seconds", metavar="X", type=float, help="Time for each size.  [5]")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.  [auto]")
@click.option("--workers", metavar="N|auto", help="Replicas in training.  [auto]")
@common.shared
def command(sizes: tuple[str, ...], json: bool, **options) -> None:
    """Measure the training speed of a size.

    Whole training steps on random tokens, beside the fastest matrix product.
    """
    from minillm.inspect.bench import bench

    given = {name: value for name, value in options.items() if value is not None}
    result = bench(list(sizes) or None, **given)
    if json:
        return common.print_json(result)
    print_rows(result)
    common.say_next("minillm train --size nano")


def print_rows(result: dict) -> None:
    from minillm.figures import short

    rows = [
        [
            row["size"] or "",
            f"{row['n_layers']} × {row['d_model']}",
            f"{row['batch']} × {row['context']}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['step_seconds']['median'] * 1e3:.1f}",
            short(row["flops_per_second"]),
            f"{row['fraction_of_matmul_peak']:.0%}",
        ]
        for row in result["rows"]
    ]
    heads = ["size", "shape", "batch", "tokens/s", "step (ms)", "FLOP/s", "of peak"]
    workers = result["workers"]
    common.print_table(
        heads, rows, f"{result['device']}, {workers['n']} {workers['kind']}"
    )
    click.echo(f"matrix products: {short(result['matmul_peak_flops'])}FLOP/s at most")
