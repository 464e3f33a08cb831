"""`minillm doctor`: what the machine offers for training."""

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm doctor --json")
@common.shared
def command(json: bool) -> None:
    """Show what this machine offers for training.

    Versions, linear algebra library and its threads, what multiplies matrices and how
    fast on one core, cores, memory; for each device one matrix product and one kernel,
    or the reason why it cannot be used; on a GPU how far each faster body is off from
    its definition.
    """
    from minillm.inspect.doctor import examine

    found = examine()
    if json:
        return output.print_json(found)
    rows = [
        ["minillm", found["minillm"]],
        *another(found["another_minillm"]),
        ["Python", f"{found['python']} on {found['os']}"],
        *found["versions"].items(),
        *[["BLAS", describe_blas(blas)] for blas in found["blas"]],
        *[["products", line] for line in describe_products(found["products"])],
        ["cores", found["cores"]],
        ["memory", f"{found['memory_bytes'] / 2**30:.1f} GiB"],
        *[row for device in found["devices"] for row in describe_device(device)],
    ]
    output.print_table(["part", "found"], rows)
    output.say_next("minillm bench --size nano")


def another(version: str | None) -> list[list[str]]:
    """A row about the package `minillm` of somebody else, if it is installed."""
    if version is None:
        return []
    told = f"{version} of another project is installed, and may have replaced files "
    return [["minillm (!)", f"{told}of this one: pip uninstall minillm, install again"]]


def describe_blas(blas: dict) -> str:
    threads = "" if blas["threads"] is None else f", {blas['threads']} threads"
    kernels = f", kernels for {blas['architecture']}" if blas["architecture"] else ""
    return f"{blas['name']} {blas['version'] or ''}{threads}{kernels}"


def describe_products(products: dict) -> list[str]:
    """The library of products; then a problem of MKL, or the advice not to use it."""
    speeds = {name: x / 1e9 for name, x in products["flops_per_second"].items()}
    name = products["name"]
    line = f"{name} {products['version']}: {speeds[name]:,.0f} GFLOP/s on one core"
    if name == "NumPy":
        return [line, *filter(None, [products["problem"]])]
    line += f", NumPy's own {speeds['NumPy']:,.0f}"
    if speeds["MKL"] < 0.95 * speeds["NumPy"]:
        return [line, "MKL is the slower one here: MINILLM_MKL=0 leaves it unused"]
    return [line]


def describe_device(device: dict) -> list[list[str]]:
    """Its speeds; then, on a GPU, a row for each of its bodies."""
    if not device["usable"]:
        return [[device["name"], device["reason"]]]
    matmul = device["matmul_flops_per_second"] / 1e9
    gelu = device["gelu_bytes_per_second"] / 1e9
    speed = f"matrix product {matmul:,.0f} GFLOP/s, gelu {gelu:,.1f} GB/s"
    rows = [[device["name"], f"{device['reason']}: {speed}"]]
    for body in device["bodies"]:
        told = (
            "no case to check it"
            if body["off"] is None
            else f"off by {body['off']:.0e}"
        )
        if body["problem"]:
            told = f"left out, its definition runs: {body['problem']}"
        rows.append([f"  {body['name']}", f"{told} ({body['seconds']:.2f} s)"])
    return rows
