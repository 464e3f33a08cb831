"""`minillm import`: a folder of other tools as a run."""

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm import gpt2 runs/gpt2")
@click.argument("folder", metavar="DIR|hf:OWNER/NAME")
@click.argument("run")
@common.shared
def command(folder: str, run: str, json: bool) -> None:
    """Make a run of a Hugging Face folder.

    DIR holds config.json, model.safetensors and tokenizer.json, in the layout of GPT-2,
    Llama, BERT or Marian; hf:OWNER/NAME is one that is downloaded. RUN is a new folder.
    """
    from minillm import import_folder, load_run

    loaded = load_run(import_folder(folder, run, output.note))
    total = loaded.record["parameters"]["total"]
    if json:
        return output.print_json(
            {"run": run, "arch": loaded.config.arch, "parameters": total}
        )
    click.echo(f"{run}: arch {loaded.config.arch}, {total:,} parameters")
    output.say_next_of(loaded.record, run)
