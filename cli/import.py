"""`minillm import`: a folder of other tools as a run."""

import click

from minillm_cli import common, output


@click.command(epilog="Example:  minillm import gpt2 runs/gpt2")
@click.argument("folder", metavar="DIR|hf:OWNER/NAME")
@click.argument("run")
@click.option(
    "--tokenizer", metavar="FILE", help="A tokenizer.json, where DIR has none."
)
@common.shared
def command(folder: str, run: str, tokenizer: str | None, json: bool) -> None:
    """Make a run of a Hugging Face folder.

    DIR holds config.json, model.safetensors and tokenizer.json, in the layout of GPT-2,
    Llama, Qwen 3, BERT or Marian; hf:OWNER/NAME is one that is downloaded. RUN is a new
    folder.
    """
    from minillm import import_folder
    from minillm.runs import read_record

    record = read_record(import_folder(folder, run, output.note, tokenizer))
    arch, total = record["config"]["arch"], record["parameters"]["total"]
    if json:
        return output.print_json({"run": run, "arch": arch, "parameters": total})
    click.echo(f"{run}: arch {arch}, {total:,} parameters")
    output.say_next_of(record, run)
