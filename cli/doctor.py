"""`minillm doctor`: what the machine offers for training."""

import click

from minillm_cli import common


@click.command(epilog="Example:  minillm doctor --json")
@common.shared
def command(json: bool) -> None:
    """Show what this machine offers for training.

    Versions, linear algebra library and its threads, cores, memory; for each device
    one matrix product and one kernel, or the reason why it cannot be used.
    """
    from minillm.inspect.doctor import examine

    found = examine()
    if json:
        return common.print_json(found)
    rows = [
        ["minillm", found["minillm"]],
        ["Python", f"{found['python']} on {found['os']}"],
        *found["versions"].items(),
        *[["BLAS", describe_blas(blas)] for blas in found["blas"]],
        ["cores", found["cores"]],
        ["memory", f"{found['memory_bytes'] / 2**30:.1f} GiB"],
        *[[device["name"], describe_device(device)] for device in found["devices"]],
    ]
    common.print_table(["part", "found"], rows)
    common.say_next("minillm bench --size nano")


def describe_blas(blas: dict) -> str:
    threads = "" if blas["threads"] is None else f", {blas['threads']} threads"
    return f"{blas['name']} {blas['version'] or ''}{threads}"


def describe_device(device: dict) -> str:
    if not device["usable"]:
        return device["reason"]
    matmul = device["matmul_flops_per_second"] / 1e9
    gelu = device["gelu_bytes_per_second"] / 1e9
    speed = f"matrix product {matmul:,.0f} GFLOP/s, gelu {gelu:,.1f} GB/s"
    return f"{device['reason']}: {speed}"
