"""`minillm validate`: is the scaling laboratory right where the truth is known?"""

import time

import click

from minillm.errors import MinillmError
from minillm_cli import common, output


@click.command(epilog="Example:  minillm validate --series 200")
@click.option(
    "--series",
    metavar="N",
    default=40,
    show_default=True,
    help="Simulated series for each level of noise.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Chooses texts and noise.",
)
@common.shared
def command(series: int, seed: int, json: bool) -> None:
    """Check the scaling laboratory where the truth is known.

    A memoriser's exponents and entropy, laws without noise, and how often intervals
    hold the truth. One line for each check; exit code 1 when one fails.
    """
    from minillm.studies.calibration import calibrate

    began = time.perf_counter()
    checks = []
    for check in calibrate(series, seed):
        checks.append(check)
        if not json:
            click.echo(line(check))
    failed = [check.name for check in checks if not check.ok]
    if json:
        output.print_json(
            {
                "ok": not failed,
                "checks": [check.to_json() for check in checks],
                "seconds": time.perf_counter() - began,
            }
        )
    if failed:
        raise MinillmError(
            f"{len(failed)} of {len(checks)} checks failed: {'; '.join(failed)}"
        )


def line(check) -> str:
    verdict = "ok    " if check.ok else "FAILED"
    error = f"{check.error:.2g} (limit {check.limit:.2g})"
    return f"{verdict} {check.name:<31} {error:<22} {check.detail}"
