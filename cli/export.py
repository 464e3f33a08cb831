"""`minillm export`: a run as a folder that other tools open."""

import shlex
from pathlib import Path

import click

from minillm_cli import common, output

WRITTEN = "config.json, model.safetensors, tokenizer.json and a model card"


@click.command(epilog="Example:  minillm export runs/a exported")
@click.argument("run")
@click.argument("folder", metavar="DIR")
@common.shared
def command(run: str, folder: str, json: bool) -> None:
    """Write a trained model as a Hugging Face folder.

    RUN is the folder of a run, DIR a new folder. The library `transformers` opens it:
    GPT as GPT-2, llama as Llama (with --qk-norm as Qwen 3), bert as BERT, encdec as
    Marian.
    """
    from minillm import export_folder, load_run
    from minillm.hub.layouts import layout_of

    loaded = load_run(run)
    made = export_folder(loaded, folder)
    layout = layout_of(loaded)
    files = sorted(path.name for path in Path(made).iterdir())
    if json:
        return output.print_json(
            {"run": run, "folder": str(made), "layout": layout.name, "files": files}
        )
    click.echo(f"{made}: {WRITTEN}, in the layout of {layout.name}")
    code = f'from transformers import AutoModel; AutoModel.from_pretrained("{made}")'
    output.say_next(f"python -c {shlex.quote(code)}")
