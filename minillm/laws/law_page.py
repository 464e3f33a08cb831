"""A law in a notebook: its formula, its unknowns with their intervals, its figure."""

import re

from minillm import markup
from minillm.figures import svg
from minillm.laws.law import LawFit
from minillm.laws.law_figure import draw_law, numbers


def law_html(fit: LawFit) -> str:
    rows = []
    for name, value in fit.parameters.items():
        low, high = fit.interval95[name]
        known = "fixed" if name in dict(fit.form.fixed) else f"{low:.4g} to {high:.4g}"
        rows.append([name, f"{value:.4g}", known])
    table = markup.table(["unknown", "value", "95 % interval"], rows)
    beyond = f"fitted to {fit.n} points, {len(fit.excluded)} left out"
    told = [beyond, *(f"warning: {warning}" for warning in fit.warnings)]
    picture = markup.picture(svg(draw_law(fit)), f"{fit.y_name} by {fit.variables[0]}")
    lines = "".join(map(markup.line, told))
    return f"<div>{formula(fit)}{markup.beside(picture, table)}{lines}</div>"


def formula(fit: LawFit) -> str:
    """The law with its numbers, as the figure has it, its exponents raised in HTML."""
    written = markup.escape(f"{fit.y_name} = {numbers(fit)}".replace(r"\$", "$"))
    raised = re.sub(r"[$]\^\{(.*?)\}[$]", r"<sup>\1</sup>", written)
    return f"<b>{raised}</b>"
