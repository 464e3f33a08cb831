"""The model card, README.md: what was trained, on what, and what came of it."""

import json

from minillm.files import MARK
from minillm.hub.layouts import Layout
from minillm.json_files import read_lines
from minillm.reading import Missing
from minillm.runs import metrics
from minillm.runs.record import IMPORTED
from minillm.runs.run import Run
from minillm.visible import fit_for_xml

UNKNOWN = "unknown"
MOST_ROWS = 12  # of the loss curve
USES = {
    "clm": ("text-generation", "The "),
    "mlm": ("fill-mask", "The [MASK]"),
    "mlm+nsp": ("fill-mask", "The [MASK]"),
    "classify": ("text-classification", "A text."),
    "seq2seq": ("text2text-generation", "A text."),
}
PIPELINE = """from transformers import pipeline

print(pipeline("{task}", ".")("{text}"))"""
ANSWER = """from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForSeq2SeqLM.from_pretrained(".")
ids = model.generate(**tokenizer("{text}", return_tensors="pt"))
print(tokenizer.decode(ids[0], skip_special_tokens=True))"""
RESULTS = (
    "steps",
    "tokens",
    "train_loss",
    "val_loss",
    "val_perplexity",
    "val_bits_per_byte",
    "val_accuracy",
)


def card(run: Run, layout: Layout, losses: list[str], picture: str) -> str:
    """Markdown, below a head in YAML. `losses` are the rows of the curve, `picture` is
    the file it is drawn in. What is from the record, which may be a stranger's, stands
    in `code`."""
    record, (task, text) = run.record, USES[run.config.objective]
    if run.model.config.encodes_sentences:
        task, text = "feature-extraction", "A text."
    example = ANSWER if run.config.objective == "seq2seq" else PIPELINE
    licence, data = corpus_licence(run), record["data"]
    origin = "Trained from scratch with minillm"
    if record["status"] == IMPORTED:
        origin, data = "Weights from elsewhere, written by minillm", {}
    head = {
        "library_name": "transformers",
        "pipeline_tag": task,
        "tags": ["minillm", layout.file],
    }
    yaml = [f"{name}: {json.dumps(value)}" for name, value in head.items()]
    facts = [
        ("corpus", data.get("name", UNKNOWN)),
        ("corpus' licence", licence),
        ("corpus' sha256", data.get("sha256", UNKNOWN)),
        ("objective", run.config.objective),
        ("tokenizer", run.tokenizer.kind),
        *((k, v) for k, v in record["model"].items() if v is not None),
        ("parameters", (record.get("parameters") or {}).get("total")),
        ("seed", record.get("seed")),
        *((name, (record.get("results") or {}).get(name)) for name in RESULTS),
        *(
            (f"version of {name}", value)
            for name, value in (record.get("versions") or {}).items()
        ),
    ]
    lines = [
        "---",
        *yaml,
        "---",
        f"<!-- {MARK} -->",
        "",
        "# A small language model",
        "",
        f"{origin}, in the layout of {layout.name}.",
        "",
        "```python",
        example.format(task=task, text=text),
        "```",
        "",
        f"Licence of the corpus: {_code(licence)}.",
        "",
        "## Record",
        "",
        "Losses are nats per token, or per label of a classifier.",
        "",
        "| what | value |",
        "|---|---|",
        *(f"| {_code(name)} | {_code(value)} |" for name, value in facts),
    ]
    if losses:
        lines += ["", "## Loss curve", ""]
        if record.get("results"):
            lines += [f"![loss]({picture})", ""]
        lines += ["| step | tokens | training | validation |", "|---|---|---|---|"]
        lines += losses
    return "\n".join(lines) + "\n"


def corpus_licence(run: Run) -> str:
    """The licence of the text that a run read, if it is one of those that minillm knows
    by name; else, and after fine-tuning, "unknown"."""
    from minillm.text.sources.catalogue import catalogue
    from minillm.text.synthetic.by_name import GENERATED, TOYS

    name = run.record["data"]["name"]
    plain, _, _ = run.config.data.partition(":")
    if run.record["status"] == IMPORTED or run.config.base:
        return UNKNOWN
    if name.partition(":")[0] != plain:
        return UNKNOWN
    if plain == "stdlib":
        return "PSF-2.0"
    if plain in {**GENERATED, **TOYS}:
        return "MIT"
    entry = catalogue().get(plain)
    return UNKNOWN if entry is None else entry.licence


def curve(run: Run) -> list[str]:
    """Some lines of metrics.jsonl, spread over the run, as rows of a table; none where
    there is no such file. Raises DataError for a damaged one."""
    try:
        lines = list(read_lines(run.path / "metrics.jsonl", metrics.KIND))
    except Missing:
        return []
    step = max(1, -(-len(lines) // MOST_ROWS))
    rows = []
    for line in lines[::-1][::step][::-1]:
        found = (line.get(name) for name in ("step", "tokens", "loss", "val_loss"))
        cells = ["" if number is None else _number(number) for number in found]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _code(value) -> str:
    """A value in backticks, on one line, in which nothing is obeyed."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = fit_for_xml(" ".join(text.split()))
    text = text.replace("`", "'").replace("|", "¦")
    return f"`{text}`"
