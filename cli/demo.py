"""`minillm demo`: let a small model learn a task whose best answer is known."""

import shlex

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm demo reverse")
@click.argument("name", required=False)
@click.option("--seed", metavar="N", default=0, help="The same gives the same.  [0]")
@click.option("--out", metavar="DIR", help="The run's folder.  [runs/demo-NAME]")
@click.option("--device", metavar="NAME", default="auto", help="auto, cpu, cuda, ...")
@click.option("--workers", metavar="N|auto", default="auto", help="As in `train`.")
@common.shared
def command(name: str | None, json: bool, **options) -> None:
    """Let a small model learn a task whose best answer is known.

    Without NAME the tasks are listed. Each takes under a minute on two free cores; what
    --out holds already is not trained again.
    """
    from minillm import demo
    from minillm.demos import DEMOS
    from minillm.runs.progress import Reporter

    if name is None:
        return print_list(DEMOS.values(), json)
    result = demo(name, **options, reporter=Reporter())
    if json:
        output.print_json(result)
    else:
        print_result(DEMOS[name], result)
    output.say_next(DEMOS[name].next.format(run=shlex.quote(result["run"])))


def print_list(demos, json: bool) -> None:
    listed = [
        {
            "name": each.name,
            "learned": each.learned,
            "objective": each.toy.objective,
            "arch": each.config().resolve().arch,
            "seconds": each.seconds,
        }
        for each in demos
    ]
    if json:
        return output.print_json({"demos": listed})
    rows = [[*list(each.values())[:-1], f"{each['seconds']} s"] for each in listed]
    heads = ["name", "what is learned", "objective", "by", "about"]
    output.print_table(heads, rows)
    output.say_next("minillm demo reverse")


def print_result(chosen, result: dict) -> None:
    """The task, ten answers, the score between chance and the best there is."""
    page = output.console()
    page.print(f"\n{chosen.name}: {chosen.learned}\n{chosen.known}")
    rows = [
        [*list(row.values())[:3], "right" if row["is_right"] else "WRONG"]
        for row in result["examples"]
    ]
    output.print_table(["held out", "right answer", "the model's", ""], rows)
    rows = [
        [f"{chosen.counted}", f"{result['score']:.1%}"],
        ["who always gives the most frequent answer", f"{result['chance']:.1%}"],
        ["the best possible", f"{result['best']:.1%}"],
    ]
    if result["floor"] is not None:
        unit = result["loss_unit"]
        rows.append([f"loss ({unit})", f"{result['loss']:.3f}"])
        rows.append(["the least possible", f"{result['floor']:.3f}"])
    output.print_table(["score", "value"], rows)
    verdict = "solved" if result["solved"] else "not solved"
    page.print(
        f"{verdict}: {result['way']:.1%} of the way from chance to the best possible; "
        f"{result['enough']:.0%} are enough\nto see next: {chosen.look}"
    )
