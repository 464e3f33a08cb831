"""`minillm bench`: how fast this machine trains and decodes."""

import os

import click

from minillm_cli import common, output


@click.command(
    epilog="Example:  minillm bench --size tiny --against torch --seconds 20"
)
@click.option("--size", "sizes", metavar="NAME", multiple=True, help="May be repeated.")
@click.option("--arch", metavar="NAME", help="gpt, llama, bert, encdec, lstm.  [gpt]")
@click.option("--layers", metavar="N", type=int, help="A shape of your own:")
@click.option("--width", metavar="N", type=int, help="blocks, width,")
@click.option("--heads", metavar="N", type=int, help="and heads; --vocab N  [1024]")
@click.option("--vocab", metavar="N", type=int, hidden=True)  # 1,024 entries
@click.option("--batch", metavar="N", type=int, help="Sequences in a step.")
@click.option("--context", metavar="N", type=int, help="Tokens in a sequence.")
@click.option("--decode", is_flag=True, help="Write single tokens instead of training.")
@click.option("--against", metavar="NAMES", help="Such as torch,torch-compile,jax.")
@click.option("--profile", is_flag=True, help="The time of each op in a step.")
@click.option(
    "--plot", metavar="FILE", type=common.WRITTEN, help="Draw the profile (svg, png)."
)
@click.option("--seconds", metavar="X", type=float, help="Time for each.  [5, GPU: 3]")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.  [auto]")
@click.option("--workers", metavar="N|auto", help="Workers in training.  [auto]")
@common.shared
def command(profile: bool, plot: str | None, json: bool, **options) -> None:
    """Measure the speed of a size, alone or against other engines."""
    given = {
        k: v for k, v in options.items() if not (v is None or v is False or v == ())
    }
    if profile:
        return run_profile(given, plot, json)
    if plot:
        raise click.UsageError("--plot draws a profile: add --profile")
    from minillm.inspect.bench import bench

    names = given.pop("against", "").replace(" ", "").split(",")
    result = bench(
        list(given.pop("sizes", ())) or None,
        against=tuple(filter(None, names)),
        note=lambda text: click.echo(text, err=True),
        **given,
    )
    if json:
        return output.print_json(result)
    print_rows(result)
    arch = f" --arch {given['arch']}" if "arch" in given else ""
    output.say_next(f"minillm bench --size tiny{arch} --profile")


def run_profile(given: dict, plot: str | None, json: bool) -> None:
    from minillm.inspect.bench import profile

    for name in ("decode", "against", "workers", "seconds"):
        if name in given:
            raise click.UsageError(f"--profile takes no --{name}")
    sizes = given.pop("sizes", ())
    if len(sizes) > 1:
        raise click.UsageError("--profile takes one --size")
    result = profile(*sizes, **given)
    if plot:
        from minillm.figures import save
        from minillm.inspect.bench.profile import draw_profile

        save(draw_profile(result), plot)
    if json:
        return output.print_json(result)
    print_profile(result)
    output.say_plot(plot, "profile.svg")


def print_rows(result: dict) -> None:
    from minillm.backend import products
    from minillm.figures import short

    rows = [
        [
            row["size"] or "",
            f"{row['n_layers']} × {row['d_model']}",
            f"{row['batch']} × {row['context']}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['step_seconds']['median'] * 1e3:.2f}",
            f"{row['fraction_of_matmul_peak']:.0%}",
            short(row["peak_memory_bytes"]) + "B",
        ]
        for row in result["rows"]
    ]
    heads = ["size", "shape", "batch", "tokens/s", "step (ms)", "of peak", "memory"]
    workers = result["workers"]
    what = f"{result['work']}, {result['device']}, {workers['n']} {workers['kind']}"
    output.print_table(heads, rows, what)
    print_contests(result)
    click.echo(f"matrix products: {short(result['matmul_peak_flops'])}FLOP/s at most")
    if asked := os.environ.get("OPENBLAS_CORETYPE"):
        kernels = ", ".join(products.kernels()) or "unknown"
        click.echo(f"NumPy's kernels: {kernels}, by OPENBLAS_CORETYPE={asked}")


def print_contests(result: dict) -> None:
    from minillm.figures import short

    rows = [
        [
            row["size"] or f"{row['n_layers']} × {row['d_model']}",
            name,
            f"{peer['tokens_per_second']:,.0f}",
            short(peer["peak_memory_bytes"]) + "B",
            f"{peer['ratio']:.2f}",
            "{:.2f} to {:.2f}".format(*peer["ratio_range"]),
        ]
        for row in result["rows"]
        for name, peer in row["peers"].items()
    ]
    if rows:
        heads = ["size", "against", "tokens/s", "memory", "ratio", "of each turn"]
        output.print_table(heads, rows, "ratio: our tokens/s over the other's")


def print_profile(result: dict) -> None:
    rows = [
        [
            row["op"],
            row["body"],
            f"{row['calls']:.0f}" if row["calls"] else "",
            f"{row['forward_seconds'] * 1e3:.3f}",
            f"{row['backward_seconds'] * 1e3:.3f}",
            f"{row['share']:.1%}",
        ]
        for row in result["rows"]
    ]
    shape = f"{result['n_layers']} × {result['d_model']}"
    batch = f"{result['batch']} × {result['context']}"
    output.print_table(
        ["op", "body", "calls", "forward", "backward", "share"],
        rows,
        f"{shape}, {batch} tokens, one worker, milliseconds: a step takes "
        f"{result['step_seconds'] * 1e3:.1f}",
    )
