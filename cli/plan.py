"""`minillm plan`: how large a model, and on how much text."""

import functools
import shlex

import click

from minillm_cli import common, output

BENCHED = ("pico", "nano", "micro", "tiny")  # in seconds


@click.command(epilog="Example:  minillm plan --law runs/law --time 20m")
@click.option(
    "--flops", metavar="C", type=common.NUMBER, help="Training FLOPs, as 6ND."
)
@click.option(
    "--time",
    "seconds",
    metavar="TIME",
    type=common.TIME,
    help="On this machine: 20m, 2h.",
)
@click.option(
    "--params",
    "parameters",
    metavar="N",
    type=common.NUMBER,
    help="Non-embedding: 300k, 2M.",
)
@click.option("--target-loss", metavar="L", type=float, help="In nats per token.")
@click.option(
    "--inference-tokens",
    metavar="T",
    type=common.NUMBER,
    help="Tokens that the trained model will read and write.",
)
@click.option(
    "--corpus-tokens",
    metavar="U",
    type=common.NUMBER,
    help="Tokens of the text.  [the law's own text]",
)
@click.option(
    "--law",
    metavar="FILE|DIR",
    help="A series, a CSV table, or `fit --json`.  [newest series in runs/]",
)
@click.option(
    "--speed",
    metavar="FLOPS",
    type=common.NUMBER,
    help="FLOPs a second.  [measured here]",
)
@common.decimal
@common.shared
def command(law, speed: float | None, decimal, json: bool, **settings) -> None:
    """Advise on model size and tokens, from a fitted law.

    Give a budget (--flops or --time), a size or a loss. --flops takes 1e15 or 20T.
    """
    from minillm.studies.advice import advise
    from minillm.studies.advice.source import read_law

    known = read_law(law, decimal=decimal)
    given = measured if speed is None else lambda shape: {"flops_per_second": speed}
    result = advise(known, speed=given, **settings)
    output.say_notes(result["notes"])
    if json:
        return output.print_json(result)
    print_advice(result)
    shape = result["shape"]
    output.say_next(
        f"minillm train {_arch(shape['arch'])}--layers {shape['n_layers']} "
        f"--width {shape['d_model']} --heads {shape['n_heads']} "
        f"--context {shape['context']} --tokens {result['optimum']['tokens']:.0f}"
        + "".join(f" --{k} {shlex.quote(v)}" for k, v in result["text"].items())
    )


def _arch(arch: str) -> str:
    """The options that train an architecture, where it is not the default."""
    from minillm.models import ARCHITECTURES, architectures_for

    objective = ARCHITECTURES[arch].objectives[0]
    options = "" if objective == "clm" else f"--objective {objective} "
    default = arch == architectures_for(objective)[0]
    return options if default else f"{options}--arch {arch} "


def measured(shape) -> dict:
    """FLOPs per second of training here, by a second of the named size nearest."""
    import math

    from minillm.models import SIZES, ModelConfig, count

    def parameters(name: str) -> int:
        size = SIZES[name]
        sides = size.n_layers, size.d_model, size.n_heads, size.context
        return count.parameters(ModelConfig(1, *sides))["non_embedding"]

    wanted = count.parameters(shape)["non_embedding"]
    nearest = min(BENCHED, key=lambda name: abs(math.log(parameters(name) / wanted)))
    return dict(_speed(nearest))


@functools.cache
def _speed(size: str) -> dict:
    from minillm.inspect.bench import bench

    row = bench([size], seconds=1.0)["rows"][0]
    return {
        "flops_per_second": row["flops_per_second"],
        "fraction_of_matmul_peak": row["fraction_of_matmul_peak"],
        "measured_on": size,
    }


def print_advice(result: dict) -> None:
    from minillm.figures import short

    law, best = result["law"], result["optimum"]
    title = "compute-optimal" if result["exponents"] else "by the law of N alone"
    points = {title: best}
    if result["inference"]:
        used = short(result["inference"]["inference_tokens"])
        points[f"with {used} tokens of use"] = result["inference"]
    if result["half_size"] and result["half_size"]["tokens"]:
        points[f"half the size, same {law['y']}"] = result["half_size"]
    rows = [
        [
            name,
            short(point["parameters"]),
            short(point["tokens"]),
            short(point["tokens_per_parameter"]),
            short(point["flops"]),
            f"{point['loss']:.4f}",
        ]
        for name, point in points.items()
    ]
    heads = ["", "parameters N", "tokens D", "D/N", "6ND", law["y"]]
    constants = ", ".join(f"{name} {v:.4g}" for name, v in law["parameters"].items())
    output.print_table(heads, rows, f"{law['law']}: {constants}\n({law['source']})")
    for line in lines(result):
        click.echo(line)
    output.print_warnings(result)


def lines(result: dict):
    """The rest of the answer, a line each."""
    from minillm.figures import short

    y = result["law"]["y"]
    names = {"parameters": "N", "tokens": "D", "loss": y}
    intervals = result["optimum"]["interval95"].items()
    if intervals:
        parts = (
            f"{names[key]} {'{} to {}'.format(*map(_digits, ends))}"
            for key, ends in intervals
        )
        yield "95 %: " + ", ".join(parts)
    exponents = result["exponents"]
    if exponents:
        yield f"the best N grows as C^{exponents['n']:.3f}, D as C^{exponents['d']:.3f}"
    inference = result["inference"]
    if inference:
        yield (
            f"trained longer than is best for training alone, the smaller model saves "
            f"{inference['saved']:.1%} of all FLOPs"
        )
    half = result["half_size"]
    if half and half["tokens"]:
        yield f"half the size costs {half['extra_compute']:+.1%} compute"
    elif half:
        yield (
            f"half the size never gets there: its {y} stays above "
            f"{half['least_loss']:.4f}"
        )
    shape, machine = result["shape"], result["machine"]
    yield (
        f"nearest shape: {shape['arch']}, {shape['n_layers']} × {shape['d_model']}, "
        f"heads: {shape['n_heads']}, {short(shape['parameters']['non_embedding'])} "
        f"parameters (vocabulary {shape['vocab_size']}, context {shape['context']})"
    )
    if machine["seconds"] is not None:
        speed = f"{machine['flops_per_second']:.3g} FLOP/s"
        if "measured_on" in machine:
            share = f"{machine['fraction_of_matmul_peak']:.0%} of the matmul peak"
            speed += f", {share}, measured on {machine['measured_on']}"
        yield f"its training: {_duration(machine['seconds'])} ({speed})"
    yield f"its memory: {short(machine['memory_bytes'])}B at the default batch"


def _digits(value: float) -> str:
    from minillm.figures import short

    return f"{value:.4f}" if value < 100 else short(value)


def _duration(seconds: float) -> str:
    units = {"years": 31_557_600, "days": 86400, "hours": 3600, "minutes": 60}
    for unit, length in units.items():
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
