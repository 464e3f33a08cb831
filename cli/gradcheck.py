"""`minillm gradcheck`: is every gradient right, on this machine and this device?"""

import click

from minillm.errors import MinillmError
from minillm_cli import common, output


@click.command(epilog="Example:  minillm gradcheck --op softmax --op attention")
@click.option("--op", "names", metavar="NAME", multiple=True, help="May be repeated.")
@click.option(
    "--device",
    metavar="NAME",
    default="cpu",
    show_default=True,
    help="auto, cpu, cuda or cuda:N.",
)
@common.shared
def command(names: tuple[str, ...], device: str, json: bool) -> None:
    """Check the gradient of every op against differences.

    In float64, on drawn inputs, along random directions; and each op's faster body
    against its definition. One line for each op, with slopes below one that fails;
    exit code 1 then.
    """
    from minillm.backend import use
    from minillm.testing import gradcheck

    with use(device) as where:
        results = []
        for result in gradcheck(names):
            results.append(result)
            if not json:
                click.echo(line(result))
    failed = [result.op for result in results if not result.ok]
    if json:
        output.print_json(
            {
                "device": where.name,
                "ok": not failed,
                "ops": [result.to_json() for result in results],
            }
        )
    if failed:
        raise MinillmError(
            f"{len(failed)} of {len(results)} ops failed: {', '.join(failed)}"
        )


def line(result) -> str:
    if not result.ok:
        return f"FAILED  {result.message}"
    body = "" if result.body_error is None else f"   body {result.body_error:.0e}"
    return (
        f"ok      {result.op:<21} {result.cases} cases   "
        f"gradient {result.gradient_error:.0e}{body}"
    )
