"""The record of a series as `scale` returns it: a dictionary with attributes, which
shows itself in a notebook."""

import re
from pathlib import Path

from minillm import markup
from minillm.keyed import Keyed


class SeriesRecord(Keyed):
    """scale.json: its keys, as items and as attributes."""

    def _repr_html_(self) -> str:
        law = self["law"]
        unknowns = [
            [name, f"{value:.4g}", f"{low:.4g} to {high:.4g}"]
            for (name, value), (low, high) in zip(
                law["parameters"].items(), law["interval95"].values(), strict=True
            )
        ]
        sizes = [
            [
                f"{size['n_layers']} × {size['width']}",
                f"{size['parameters']['non_embedding']:,}",
                f"{size['tokens']:,}",
                f"{size['loss']:.4f}",
                "held out" if size["held_out"] else "",
            ]
            for size in self["sizes"]
        ]
        heads = ["layers × width", "N", "tokens", "loss", ""]
        return markup.shown(
            _with_numbers(law["law"], law["parameters"]),
            markup.beside(
                self._picture(),
                markup.table(["unknown", "value", "95 % interval"], unknowns)
                + markup.table(heads, sizes),
            ),
            *map(markup.line, self._told()),
        )

    def _told(self) -> list[str]:
        held = self["held_out"]
        told = []
        if held:
            told.append(
                f"held out, {held['parameters']:,} parameters: predicted "
                f"{held['predicted']:.4f}, measured {held['measured']:.4f} "
                f"({held['relative_error']:.2%} off)"
            )
        return told + [f"warning: {warning}" for warning in self["warnings"]]

    def _picture(self) -> str:
        for path in map(Path, self["figures"]):
            if path.name == "law.svg" and path.is_file():
                return markup.picture(path.read_text("utf-8"), "the law")
        return ""


def _with_numbers(formula: str, parameters: dict) -> str:
    """loss = E + A·N^(−alpha), with the numbers in place of E, A and alpha."""
    name, equals, terms = formula.partition(" = ")

    def number(found) -> str:
        value = parameters[found[0]]
        return f"{value:.2f}" if found[0] in ("alpha", "beta") else f"{value:.3g}"

    return name + equals + re.sub(rf"\b({'|'.join(parameters)})\b", number, terms)
