"""What ends a text in a folder from elsewhere ends it here, and is written again."""

import itertools
import json
import shutil

import numpy as np
import pytest

from minillm import export_folder, generate, import_folder, load_run, train
from minillm.errors import DataError
from minillm.generation import Decoder, Dialogue
from minillm.hub.roles import read_roles
from minillm.learning.data import read_corpus
from minillm.learning.encoded import all_batches
from minillm.runs.evaluation import evaluate_run
from minillm.tensor import no_grad
from minillm.text import EOS, Template
from minillm.text.tokenizer.base import BOS, PAD, UNK
from minillm.text.tokenizer.characters import ByteTokenizer
from minillm.weights import read_arrays, write_arrays

SPECIALS = ("<s>", "</s>", "<|eot|>")
BEGIN, END, TURN = 256, 257, 258
NAMES = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<?>"}


def write(path, content):
    path.write_text(json.dumps(content), "utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a small causal model, whose table has three rows beyond bytes."""
    folder = tmp_path_factory.mktemp("run")
    options = {"size": "pico", "data": "bilingual", "tokenizer": "bytes", "steps": 1}
    shape = {"context": 16, "tied": False}
    options |= {"device": "cpu", "workers": "1", "draw": False}
    train(**options, **shape, out=str(folder / "run"))
    there = export_folder(folder / "run", folder / "out")
    tensors = read_arrays(there / "model.safetensors")
    rng = np.random.default_rng(0)
    for name in ("transformer.wte.weight", "lm_head.weight"):
        more = rng.standard_normal((3, 16)).astype(np.float32)
        tensors[name] = np.concatenate([tensors[name], more])
    write_arrays(there / "model.safetensors", tensors, {"format": "pt"})
    config = json.loads((there / "config.json").read_text("utf-8"))
    write(there / "config.json", config | {"vocab_size": 259})
    ByteTokenizer(SPECIALS, Template("<s> $A")).save(there / "tokenizer.json")
    write(there / "tokenizer_config.json", {})
    write(there / "generation_config.json", {})
    return there


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "folder")


def say(folder, file, **content):
    before = json.loads((folder / file).read_text("utf-8"))
    write(folder / file, before | content)


@pytest.fixture
def always(monkeypatch):
    """A function after which every model finds these tokens the likeliest, in turn."""

    def make(tokens):
        def next_logits(decoder):
            logits = np.zeros((1, decoder.model.config.vocab_size), np.float32)
            logits[:, next(coming)] = 9
            return logits

        coming = itertools.chain(tokens, itertools.repeat(tokens[-1]))
        monkeypatch.setattr(Decoder, "_next_logits", next_logits)

    return make


WRITTEN = {
    "numbers": ("config.json", {"eos_token_id": END}, {EOS: (END,)}),
    "the other file first": (
        "generation_config.json",
        {"eos_token_id": [TURN, END], "bos_token_id": BEGIN, "pad_token_id": -1},
        {EOS: (TURN, END), BOS: (BEGIN,)},
    ),
    "names": ("tokenizer_config.json", NAMES, {BOS: (BEGIN,), EOS: (END,)}),
    "an ordinary token": ("config.json", {"eos_token_id": 10}, {EOS: (10,)}),
    "nothing": ("config.json", {}, {}),
}


@pytest.mark.parametrize(("file", "said", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_the_roles_of_a_folder(folder, tmp_path, file, said, expected):
    say(folder, "config.json", eos_token_id=3 if file.startswith("gen") else None)
    say(folder, file, **said)
    assert load_run(folder).tokenizer.roles == expected
    run = load_run(import_folder(folder, tmp_path / "run"))
    assert run.tokenizer.roles == expected
    again = load_run(export_folder(run, tmp_path / "again"))
    assert again.tokenizer.roles == expected
    names = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())
    special = {BEGIN: "<s>", END: "</s>", TURN: "<|eot|>"}
    for role, key in ((EOS, "eos_token"), (BOS, "bos_token")):
        ids = expected.get(role, (None,))
        assert names.get(key) == special.get(ids[0])


def test_a_token_of_our_own_name_needs_no_role(tmp_path):
    tokenizer = ByteTokenizer((PAD, EOS, UNK))
    write(tmp_path / "config.json", {"eos_token_id": 257, "pad_token_id": 256})
    assert read_roles(tmp_path, tokenizer, note=None) == {}
    assert (tokenizer.ids_of(EOS), tokenizer.ids_of(BOS)) == ((257,), ())


def test_a_text_ends_at_the_end_token(folder, always, tmp_path):
    say(folder, "config.json", eos_token_id=[END, TURN])
    run = load_run(import_folder(folder, tmp_path / "run"))
    for end in (END, TURN):
        always([*b"ab", end, *b"c"])
        assert generate(run, "The", temperature=0, max_tokens=9) == "ab"
    always([*b"ab", end, *b"c"])
    dialogue = Dialogue(run, temperature=0, max_tokens=9)
    assert "".join(dialogue.reply("The")) == "ab"
    run.tokenizer.roles = {}  # then it is never written: its logit counts for nothing
    always([*b"ab", END, *b"c"])
    assert len(generate(run, "The", temperature=0, max_tokens=4)) == 4


@pytest.mark.parametrize("limit", [None, 40])
def test_each_window_begins_as_the_tokenizer_says(folder, tmp_path, limit):
    """Then each token is predicted once, the first of the text too."""
    file = tmp_path / "text.txt"
    file.write_text("The lamp by the sea is lit, it says. " * 23, "utf-8")
    run = load_run(folder)
    ids = run.tokenizer.encode(read_corpus(str(file), "windows").val)
    nats = []
    for start in range(0, len(ids), 16):
        row = np.concatenate([[BEGIN], ids[start : start + 16]])
        with no_grad():
            logits = run.model(row[None, :-1]).numpy()[0].astype(float)
        p = logits[np.arange(len(row) - 1), row[1:]] - np.log(np.exp(logits).sum(-1))
        nats.append(-p)
    found = evaluate_run(run, str(file), limit=limit)
    if limit:  # three windows, at equal distances among the whole ones
        n = (len(ids) - 1) // 16
        nats = [nats[i * n // 3] for i in range(3)]
    nats = np.concatenate(nats)
    assert found["val_tokens"] == len(nats)
    assert found["val_loss"] == pytest.approx(nats.mean(), abs=1e-5)
    assert limit or len(nats) == len(ids)


def test_after_nothing_a_text_begins_with_its_begin_token(folder, tmp_path):
    from minillm.generation.prompt import encode_prompt

    assert encode_prompt(load_run(folder), "").ids.tolist() == [BEGIN]
    ByteTokenizer(SPECIALS).save(folder / "tokenizer.json")
    assert encode_prompt(load_run(folder), "").ids.tolist() == [10]
    say(folder, "config.json", bos_token_id=END)
    assert encode_prompt(load_run(folder), "").ids.tolist() == [END]


def test_an_end_that_is_no_token_is_said(folder, minillm, tmp_path):
    say(folder, "config.json", eos_token_id=50256)
    code, _, err = minillm("import", str(folder), str(tmp_path / "run"))
    assert (code, "eos_token_id 50256 is none of the model's 259" in err) == (0, True)
    for wrong in ("</s>", True, [1, None]):
        say(folder, "config.json", eos_token_id=wrong)
        with pytest.raises(DataError, match="not the id of a token"):
            load_run(folder)


def test_a_record_that_names_a_token_beyond_the_model_is_damaged(folder, tmp_path):
    say(folder, "config.json", eos_token_id=END)
    run = import_folder(folder, tmp_path / "run")
    record = json.loads((run / "run.json").read_text("utf-8"))
    for wrong in ([259], [-1], "x"):
        record["data"]["tokenizer"]["roles"] = {EOS: wrong}
        write(run / "run.json", record)
        with pytest.raises(DataError):
            load_run(run)


def test_a_failure_leaves_nothing_and_a_second_try_works(folder, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(ByteTokenizer, "save", fail)
        with pytest.raises(DataError, match="No space left"):
            import_folder(folder, run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]
    run.mkdir()  # an empty folder is free
    load_run(import_folder(folder, run))


def test_the_current_folder_is_not_replaced(folder, minillm, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    code, _, err = minillm("import", str(folder), ".")
    assert (code, "is the current folder" in err) == (2, True)


def test_a_folder_that_is_not_there(minillm, tmp_path):
    code, _, err = minillm("import", str(tmp_path / "no"), str(tmp_path / "run"))
    assert (code, err) == (3, f"minillm: {tmp_path}/no: there is no such folder\n")


@pytest.mark.parametrize("n", [33, 40, 48])
def test_the_last_token_is_predicted_too(folder, n):
    run = load_run(folder)
    batches = all_batches(np.arange(n, dtype=np.int32), run.config, run.tokenizer)
    assert [i for each in batches for i in each.targets.ravel()] == [*range(n)]
