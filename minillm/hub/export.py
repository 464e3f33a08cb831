"""Export: a run as a folder that the library `transformers` opens."""

import os
from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.files import holds_only, replacing, replacing_folder, write_json
from minillm.hub.layouts import layout_of
from minillm.hub.places import Places
from minillm.runs.curve import draw_curve
from minillm.runs.run import Run, open_run
from minillm.weights import write_arrays

CURVE = "loss.svg"


def export_folder(run: Run | str, folder: str | Path) -> Path:
    """Write a run as a Hugging Face folder, and return its path.

    `run` is a run (`load_run`) or the path of one, or of a checkpoint. The folder gets
    config.json, model.safetensors (float32), tokenizer.json, tokenizer_config.json,
    generation_config.json and a model card: README.md, with the picture of the loss.
    `transformers` computes the same logits from it, up to rounding.

    Raises UsageError, which names what no layout can say, and for the current folder;
    DataError for a damaged run, and for a folder in which something lies.
    """
    from minillm.hub.card import card, curve
    from minillm.hub.sentence import write_steps
    from minillm.hub.tokenizer import special_ids, tokenizer_config, tokenizer_json

    run, folder = open_run(run, task="be exported"), Path(folder)
    layout = layout_of(run)
    _check_free(folder)
    ids = special_ids(run.tokenizer)
    with replacing_folder(folder, ()) as made:
        config = layout.rules.config_of(run)
        write_json(made / "config.json", {**config, **ids, "dtype": "float32"})
        write_json(made / "generation_config.json", generation_config(run, ids))
        write_json(made / "tokenizer.json", tokenizer_json(run))
        write_json(made / "tokenizer_config.json", tokenizer_config(run))
        if run.model.config.encodes_sentences:
            write_steps(made, run.model.config)
        weights = weights_of(
            run, layout.rules.places_of(run.model.config, run.config.objective)
        )
        with replacing(made / "model.safetensors") as temporary:
            write_arrays(temporary, weights, {"format": "pt"})
        losses = curve(run)
        if losses and run.record.get("results"):
            draw_curve(run.path, run.record, made / CURVE)
        text = card(run, layout, losses, CURVE)
        with replacing(made / "README.md") as temporary:
            temporary.write_text(text, encoding="utf-8")
    return folder


def weights_of(run: Run, places: Places) -> dict[str, np.ndarray]:
    """The layout's tensors by name, from our parameters at their places."""
    model = run.model.body if run.model.config.n_classes else run.model
    ours = dict(run.model.named_parameters()) | dict(model.named_parameters())
    if model.positions is not None:  # sines are no parameter
        ours["positions"] = model.positions
    weights = {}
    for name, place in places.items():
        if name in ours:
            weights |= place.cut(ours[name].numpy())
        else:
            weights |= place.zeros()
    return weights


def generation_config(run: Run, ids: dict) -> dict:
    """The content of generation_config.json: the likeliest token, and as many as ours
    writes, unless somebody asks otherwise. The library counts what is read too: a
    prompt, or the one token that an encoder–decoder begins with."""
    most = run.model.config.context
    if run.config.objective == "seq2seq":
        most += 1
        begin = run.tokenizer.specials[run.tokenizer.begin]
        ids = {**ids, "decoder_start_token_id": begin}
        ids = {**ids, "suppress_tokens": run.tokenizer.never_written}
    elif not run.model.continues_text:
        return ids
    return {**ids, "do_sample": False, "max_length": most}


def _check_free(folder: Path) -> None:
    """DataError unless nothing is there, or an empty folder, which a new one replaces:
    UsageError for the current folder."""
    if folder.resolve() == Path.cwd():
        raise UsageError(f"{folder}: is the current folder: name another one")
    if os.path.lexists(folder) and not holds_only(folder, ()):
        raise DataError(
            f"{folder}: something is there, which export does not replace: choose "
            f"another folder, or move it away"
        )
