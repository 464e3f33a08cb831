"""A run in a notebook: a table of its figures beside its learning curve."""

from pathlib import Path

from minillm import markup
from minillm.errors import MinillmError
from minillm.figures import short, svg
from minillm.learning.config import TrainConfig
from minillm.runs.curve import curve_of
from minillm.runs.record import model_of


def run_html(record: dict, folder: Path) -> str:
    """The figures of a run, and its learning curve if it still lies in its folder."""
    return markup.shown(
        f"{folder.name or 'run'}: {record['data']['name']}",
        markup.beside(_curve(folder, record), markup.numbers(rows_of(record))),
    )


def rows_of(record: dict) -> list[tuple[str, str]]:
    """(name, value) of what there is to know at a glance."""
    results = record.get("results")
    total = (record.get("parameters") or {}).get("total")
    rows = [("model", model_of(record))]
    rows += [] if total is None else [("parameters", f"{total:,}")]
    if not results:
        return [*rows, ("status", record["status"])]
    unit = TrainConfig.from_json(record["options"]).loss_unit
    found = [
        ("training tokens", "tokens", ",d"),
        (f"training loss ({unit})", "train_loss", ".4f"),
        (f"validation loss ({unit})", "val_loss", ".4f"),
        ("perplexity", "val_perplexity", ".2f"),
        ("bits per byte", "val_bits_per_byte", ".3f"),
        ("accuracy", "val_accuracy", ".1%"),
        ("tokens per second", "tokens_per_second", ",.0f"),
        ("seconds", "seconds", ",.1f"),
    ]
    rows += [
        (name, format(results[key], form))
        for name, key, form in found
        if results.get(key) is not None
    ]
    flops = (record.get("flops") or {}).get("total")
    rows += [("training FLOPs", short(flops))] if flops else []
    return [*rows, ("device", str(record.get("device")))]


def _curve(folder: Path, record: dict) -> str:
    try:
        drawn = svg(curve_of(folder, record))
    except (MinillmError, OSError):  # moved, or removed: the figures are there
        return ""
    return markup.picture(drawn, f"learning curve of {folder.name}")
