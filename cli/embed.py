"""`minillm embed`: a vector for a text."""

from pathlib import Path

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm embed runs/a --file texts.txt --out a.npy")
@click.argument("run")
@common.texts
@click.option(
    "--out",
    metavar="FILE",
    type=common.WRITTEN,
    help="Write the vectors as a NumPy array.",
)
@common.shared
def command(
    run: str, texts: tuple[str, ...], file: str | None, out: str | None, json: bool
) -> None:
    """Give a vector for each text: like texts, like vectors.

    RUN is the folder of a run of any architecture. The vectors have length 1.
    """
    from minillm import load_run
    from minillm.tasks import cut_note, embed, save_vectors

    texts = common.given_texts(texts, file)
    loaded = load_run(run)
    vectors = embed(loaded, texts)
    output.note_lost(loaded.tokenizer, "the texts", *texts)
    if loaded.model.config.encodes_sentences:
        output.note(cut_note(loaded, texts))
    if out is not None:
        save_vectors(Path(out), vectors)
    if json:
        record = {"run": run, "texts": texts, "shape": vectors.shape, "out": out}
        return output.print_json(
            record if out else {**record, "vectors": vectors.tolist()}
        )
    if out is None:
        for vector in vectors.tolist():
            click.echo(" ".join(f"{x:.6g}" for x in vector))
    else:
        click.echo(f"{out}: {vectors.shape[0]:,} vectors of {vectors.shape[1]} numbers")
