"""`minillm classify`: say which class a text is of."""

import click

from minillm_cli import common, output


@click.command(epilog='Example:  minillm classify runs/a "A fine film." "Dull."')
@click.argument("run")
@common.texts
@common.shared
def command(run: str, texts: tuple[str, ...], file: str | None, json: bool) -> None:
    """Say which class a text is of.

    RUN is the folder of a fine-tuned run (`minillm finetune`).
    """
    from minillm import load_run
    from minillm.tasks import classify, cut_note

    texts = common.given_texts(texts, file)
    loaded = load_run(run)
    predictions = classify(loaded, texts)
    output.note_lost(loaded.tokenizer, "the texts", *texts)
    output.note(cut_note(loaded, texts))
    if json:
        found = [
            {"text": text, "label": each.label, "probabilities": each.probabilities}
            for text, each in zip(texts, predictions, strict=True)
        ]
        return output.print_json({"run": run, "texts": found})
    labels = list(predictions[0].probabilities)
    rows = [
        [text, each.label, *(f"{p:.1%}" for p in each.probabilities.values())]
        for text, each in zip(texts, predictions, strict=True)
    ]
    output.print_table(["text", "label", *labels], rows)
