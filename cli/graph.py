"""`minillm graph`: the computation graph, drawn."""

from pathlib import Path

import click

from minillm.errors import UsageError
from minillm.files import MARK, replacing
from minillm.models import ARCHITECTURES
from minillm_cli import common, output

COMMENT = {"dot": "//", "mermaid": "%%"}
SUFFIXES = {".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".md": "mermaid"}


@click.command(epilog='Example:  minillm graph "tanh(x @ w)" --shape x=2,3 --shape w=3')
@click.argument("expression", required=False)
@click.option(
    "--shape", "shapes", metavar="X=N,N", multiple=True, help="Of a variable."
)
@click.option("--size", metavar="NAME", help="Of a model.  [pico]")
@click.option("--arch", type=click.Choice(list(ARCHITECTURES)), help="[gpt]")
@click.option("--forward-only", is_flag=True, help="No backward, no gradient norms.")
@click.option("--format", type=click.Choice(["dot", "mermaid"]), help="[mermaid]")
@click.option(
    "--out",
    metavar="FILE",
    type=common.WRITTEN,
    help="Write here instead of to stdout.",
)
@common.shared
def command(expression, shapes, size, arch, forward_only, format, out, json) -> None:
    """Draw the graph of an expression, or of one model step.

    Each box shows the op, its shape and, after backward, the norm of the gradient.
    """
    import numpy as np

    from minillm.inspect.expression import evaluate
    from minillm.inspect.graph import draw, model_step

    shapes = [read_shape(text) for text in shapes]
    names = [name for name, _ in shapes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--shape {twice[0]}: is given twice")
    if expression is None:
        if shapes:
            raise UsageError("--shape is for the variables of an expression: give one")
        value, names = model_step(size or "pico", arch or "gpt")
    else:
        if size or arch:
            raise UsageError("--size and --arch are for a model: leave EXPRESSION out")
        value, names = evaluate(expression, dict(shapes))
    drawing = draw(value, names)
    if not forward_only:
        value.backward(np.ones(value.shape))
    if json:
        return output.print_json(
            {**drawing.to_json(), "dot": drawing.dot(), "mermaid": drawing.mermaid()}
        )
    suffix = Path(out or "stdout.mmd").suffix
    if format is None and suffix not in SUFFIXES:
        raise UsageError(
            f"--out {out}: a graph is written as text, {', '.join(SUFFIXES)}; --format "
            f"chooses for another name"
        )
    format = format or SUFFIXES[suffix]
    text = drawing.dot() if format == "dot" else drawing.mermaid()
    if out is None:
        return click.echo(text)
    with replacing(Path(out), through=True) as temporary:
        temporary.write_text(f"{COMMENT[format]} {MARK}\n{text}\n", encoding="utf-8")
    return None


def read_shape(text: str) -> tuple[str, tuple]:
    """`x=2,3` -> ("x", (2, 3)); `x=` is a scalar."""
    name, equals, sides = text.partition("=")
    try:
        shape = tuple(int(side) for side in sides.split(",") if side)
    except ValueError:
        shape = (-1,)
    if not (name and equals) or min(shape, default=0) < 0:
        raise UsageError(f"--shape {text}: write it as x=2,3")
    return name, shape
