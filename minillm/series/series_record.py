"""The record of a series as `scale` returns it: a dictionary with attributes, which
shows itself in a notebook."""

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
        heads = ["layers × width", "N", "tokens", "loss (nats/token)", ""]
        return markup.shown(
            law["law"],
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
