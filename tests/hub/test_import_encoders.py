"""Folders in the layouts of BERT and Marian as runs: ours come back as they were, what
others save is read, and what is not like minillm's models is refused by name."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from minillm import embed, export_folder, fill, generate, import_folder, load_run, train
from minillm.errors import DataError
from minillm.learning.flat import FlatParameters
from minillm.models import build
from minillm.tasks.classification import classify
from minillm.weights import read_arrays

BASE = {
    "size": "pico",
    "data": "bilingual",
    "device": "cpu",
    "workers": "1",
    "context": 16,
    "batch": 4,
    "steps": 2,
    "width": 24,
    "heads": 4,
}
BERT = {"arch": "bert", "tokenizer": "wordpiece", "vocab": 300}
KINDS = {
    "masked": {**BERT, "objective": "mlm"},
    "next": {**BERT, "objective": "mlm+nsp"},
    "untied": {**BERT, "objective": "mlm", "tied": False, "bias": False},
    "erf": {**BERT, "objective": "mlm", "activation": "gelu_erf", "norm_eps": 1e-12},
    "classes": {"arch": "bert", "tokenizer": "chars", "objective": "classify"},
    "answers": {"objective": "seq2seq", "tokenizer": "chars"},
}
TEXT = "The lamp was lit."


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that trains a run of a kind, gives its vectors numbers that would show
    a mix-up, and exports it: the run, the folder. "sentences" has the weights of
    "masked" and no output."""
    made = {}

    def make(kind):
        if kind in made:
            return made[kind]
        folder = tmp_path_factory.mktemp("run")
        options = BASE | KINDS.get(kind, KINDS["masked"])
        if kind == "answers":
            options["data"] = str(folder / "pairs.tsv")
            write_pairs(folder / "pairs.tsv")
        if kind == "classes":
            options["data"] = str(folder / "labels.tsv")
            write_labels(folder / "labels.tsv")
        train(**options, out=str(folder / "run"), draw=False)
        run = load_run(folder / "run")
        rng = np.random.default_rng(0)
        for p in run.model.parameters():
            if p.ndim == 1:
                p.data += 0.1 * rng.standard_normal(p.shape).astype(p.dtype)
        if kind == "sentences":
            shape = replace(run.model.config, pooling="mean", activation="gelu_erf")
            model = build(shape, np.random.default_rng(0))
            FlatParameters(model)
            run = replace(run, model=model)
        made[kind] = run, export_folder(run, folder / "exported")
        return made[kind]

    return make


@pytest.fixture
def other(exported, tmp_path):
    """A function that makes a folder like the one of a kind, with changes: of its
    tensors, a function, and of its configuration; its run, and the folder."""

    def make(kind="masked", change=None, **settings):
        run, there = exported(kind)
        folder = tmp_path / "other"
        folder.mkdir()
        for file in there.rglob("*.json"):
            (folder / file.relative_to(there)).parent.mkdir(exist_ok=True)
            (folder / file.relative_to(there)).write_bytes(file.read_bytes())
        update(folder / "config.json", settings)
        tensors = read_arrays(there / "model.safetensors")
        if change is not None:
            change(tensors)
        save_file(tensors, folder / "model.safetensors")
        return run, folder

    return make


def write_labels(path):
    rows = [f"{w} {i}\t{w}\n" for w in ("sea", "lamp") for i in range(1, 9)]
    path.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")


def write_pairs(path):
    rows = [f"{word}{i}\t{i}{word}\n" for word in ("abc", "fade") for i in range(9)]
    path.write_text("source\ttarget\n" + "".join(rows), encoding="utf-8")


def imported(folder, run):
    """The path of a run; what a folder lacks is not looked at."""
    return import_folder(folder, run, note=lambda text: None)


def update(file, settings):
    content = json.loads(file.read_text("utf-8"))
    content |= {name: value for name, value in settings.items() if value != "gone"}
    content = {n: v for n, v in content.items() if settings.get(n) != "gone"}
    file.write_text(json.dumps(content), "utf-8")


def answers(run):
    """What a run says, by what it was made for."""
    if run.model.config.encodes_sentences:
        return embed(run, [TEXT, "x"]).tolist()
    match run.config.objective:
        case "mlm" | "mlm+nsp":
            return fill(run, "The [MASK] was lit.")
        case "classify":
            return classify(run, ["sea", "a lamp"])
        case "seq2seq":
            return generate(run, "abc", temperature=0, max_tokens=8)


@pytest.mark.parametrize("kind", [*KINDS, "sentences"])
def test_ours_comes_back(exported, kind, tmp_path):
    run, folder = exported(kind)
    back = load_run(imported(folder, tmp_path / "back"))
    assert answers(back) == answers(run)
    assert back.labels == run.labels
    assert back.config.objective == run.config.objective
    again = export_folder(back, tmp_path / "again")
    arrays = read_arrays(again / "model.safetensors")
    for name, array in read_arrays(folder / "model.safetensors").items():
        assert np.array_equal(arrays[name], array), name
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        kept = [json.loads((at / name).read_text("utf-8")) for at in (folder, again)]
        # Nobody knows how those weights were trained.
        for each in kept:
            [each.pop(key) for key in [*each] if "drop" in key]
        assert kept[0] == kept[1]


def test_older_names_and_what_is_no_weight(other, tmp_path):
    def change(tensors):
        for name in [*tensors]:
            older = name.removeprefix("bert.").replace("Norm.weight", "Norm.gamma")
            tensors[older.replace("Norm.bias", "Norm.beta")] = tensors.pop(name)
        tensors["embeddings.position_ids"] = np.arange(16)[None]
        table = tensors["embeddings.word_embeddings.weight"]
        tensors["cls.predictions.decoder.weight"] = table
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"] + 1

    run, folder = other("masked", change, id2label={"0": "LABEL_0"}, architectures=None)
    assert answers(load_run(imported(folder, tmp_path / "b"))) == answers(run)


def test_copies_of_the_table_and_sines_beside_it(other, tmp_path):
    def change(tensors):
        for side in ("encoder", "decoder"):
            name = f"model.{side}.embed_tokens.weight"
            tensors[name] = tensors["model.shared.weight"]
            name = f"model.{side}.embed_positions.weight"
            tensors[name] = np.zeros((16, 24), np.float32)
        tensors["lm_head.weight"] = tensors["model.shared.weight"]
        del tensors["final_logits_bias"]

    run, folder = other("answers", change)
    assert answers(load_run(imported(folder, tmp_path / "b"))) == answers(run)


def test_an_answer_may_begin_with_another_token(other, minillm, tmp_path):
    """As Marian's own do; and what goes on from such a run keeps to it."""
    run, folder = other("answers")
    pad = run.tokenizer.specials["[PAD]"]
    update(folder / "config.json", {"decoder_start_token_id": pad})
    back = load_run(imported(folder, tmp_path / "back"))
    assert back.tokenizer.begin == "[PAD]"
    table = tmp_path / "pairs.tsv"
    write_pairs(table)
    begun = ("finetune", str(back.path), "--task", "seq2seq", "--data", str(table))
    tuned = ("--no-baselines", "--epochs", "1", "--out", str(tmp_path / "tuned"))
    assert minillm(*begun, *tuned)[0] == 0
    assert load_run(tmp_path / "tuned").tokenizer.begin == "[PAD]"
    again = export_folder(tmp_path / "tuned", tmp_path / "again")
    for name in ("config.json", "generation_config.json"):
        found = json.loads((again / name).read_text("utf-8"))
        assert found["decoder_start_token_id"] == pad


def test_what_a_folder_lacks_is_drawn_and_said(exported, minillm, tmp_path):
    _, folder = exported("masked")
    out = str(tmp_path / "back")
    code, _, err = minillm("import", str(folder), out)
    assert code == 0
    assert "has no pooler, next_sentence: drawn anew" in err
    assert "minillm fill" in err
    assert minillm("import", str(exported("next")[1]), f"{out}2")[2].count("\n") == 1


def test_a_masked_model_may_have_more(exported, other, tmp_path):
    """As BERT's own weights do: pooler and next sentence are kept for `finetune`."""
    run, folder = other("next", architectures=["BertForMaskedLM"])
    back = load_run(imported(folder, tmp_path / "back"))
    assert back.config.objective == "mlm"
    ours = dict(run.model.named_parameters())
    for name, p in back.model.named_parameters():
        assert np.array_equal(p.numpy(), ours[name].numpy())


REFUSED = {
    "relu": ("masked", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
    "segments": ("masked", {"type_vocab_size": 1}, "type_vocab_size is 1"),
    "relative": (
        "masked",
        {"position_embedding_type": "relative_key"},
        "position_embedding_type is 'relative_key'",
    ),
    "decoder": ("masked", {"is_decoder": True}, "is_decoder is True"),
    "pruned": ("masked", {"pruned_heads": {"0": [1]}}, "pruned_heads is"),
    "eps": ("masked", {"layer_norm_eps": 0}, "layer_norm_eps is 0"),
    "new": ("masked", {"wave": 3}, "wave is 3, which minillm does not know"),
    "code": ("masked", {"auto_map": {"AutoModel": "m.M"}}, "never runs"),
    "other": (
        "masked",
        {"model_type": "roberta"},
        "'gpt2' or 'llama' or 'qwen3' or 'bert' or",
    ),
    "other code": (
        "masked",
        {"model_type": "new", "auto_map": {"AutoModel": "m.M"}},
        "never runs",
    ),
    "class": (
        "masked",
        {"architectures": ["BertForQuestionAnswering"]},
        "['BertForMaskedLM'] or ['BertForPreTraining'] or",
    ),
    "two classes": ("classes", {"architectures": "BertModel"}, "architectures is"),
    "many labels": (
        "classes",
        {"problem_type": "multi_label_classification"},
        "problem_type is 'multi_label_classification'",
    ),
    "one label": ("classes", {"id2label": {"0": "a"}}, "fewer than two distinct"),
    "twice": ("classes", {"id2label": {"0": "a", "1": "a"}}, "fewer than two"),
    "numbers": ("classes", {"id2label": {"0": "a", "2": "b"}}, "by its number"),
    "three labels": (
        "classes",
        {"id2label": {"0": "a", "1": "b", "2": "c"}},
        "classifier.weight has shape (2, 24) instead of (3, 24)",
    ),
    "tiny eps": ("masked", {"layer_norm_eps": "1e-12"}, "not a number above 0"),
    "swish": ("answers", {"activation_function": "swish"}, "is 'swish'"),
    "scale": ("answers", {"scale_embedding": False}, "scale_embedding is False"),
    "no scale": ("answers", {"scale_embedding": "gone"}, "scale_embedding is False"),
    "pre": ("answers", {"normalize_before": True}, "normalize_before is True"),
    "depth": ("answers", {"decoder_layers": 3}, "decoder_layers is 3"),
    "heads": ("answers", {"decoder_attention_heads": 2}, "decoder_attention_heads"),
    "two tables": (
        "answers",
        {"share_encoder_decoder_embeddings": False},
        "share_encoder_decoder_embeddings is False",
    ),
    "untied": ("answers", {"tie_word_embeddings": False}, "tie_word_embeddings is"),
    "vocabularies": ("answers", {"decoder_vocab_size": 99}, "decoder_vocab_size is 99"),
    "begin": ("answers", {"decoder_start_token_id": 2}, "token_id 2 is no special"),
    "no begin": ("answers", {"decoder_start_token_id": None}, "not the id of a token"),
}


@pytest.mark.parametrize(("kind", "settings", "said"), REFUSED.values(), ids=REFUSED)
def test_a_configuration_unlike_ours_is_refused(
    other, minillm, tmp_path, kind, settings, said
):
    _, folder = other(kind, **settings)
    code, out, err = minillm("import", str(folder), str(tmp_path / "back"))
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert said in err
    assert not (tmp_path / "back").exists()


def drop(tensors):
    del tensors[min(name for name in tensors if name.startswith(("bert", "model")))]


def add(tensors):
    tensors["qa_outputs.weight"] = np.zeros((2, 24), np.float32)


def turn(tensors):
    name = next(n for n in tensors if n.endswith(("fc1.weight", "diate.dense.weight")))
    tensors[name] = np.ascontiguousarray(tensors[name].T)


def spoil(tensors):
    tensors[min(tensors)][0] = np.inf


@pytest.mark.parametrize("kind", ["masked", "classes", "answers", "sentences"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop, " is missing"),
        (add, "qa_outputs.weight is left over"),
        (turn, " has shape (24, 96) instead of (96, 24)"),
        (spoil, " has numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    other, minillm, tmp_path, kind, change, said
):
    _, folder = other(kind, change)
    code, out, err = minillm("import", str(folder), str(tmp_path / "back"))
    assert (code, out) == (3, "")
    assert said in err.splitlines()[-1]
    assert not (tmp_path / "back").exists()


def test_a_bias_of_marians_that_ours_has_not(other, tmp_path):
    def change(tensors):
        tensors["final_logits_bias"][0, 3] = 1

    _, folder = other("answers", change)
    with pytest.raises(DataError, match="final_logits_bias has numbers that are not 0"):
        import_folder(folder, tmp_path / "back")


@pytest.mark.parametrize("kind", ["masked", "answers"])
def test_damage(other, minillm, tmp_path, kind):
    _, folder = other(kind)
    file = folder / "model.safetensors"
    raw = file.read_bytes()

    def said() -> str:
        code, _, err = minillm("import", str(folder), str(tmp_path / "back"))
        assert (code, err.count("\n")) == (3, 1)
        assert not (tmp_path / "back").exists()
        return err

    file.write_bytes(struct.pack("<Q", 1 << 60) + raw[8:])
    assert "cannot be read" in said()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "part-1.safetensors"}}), "utf-8")
    assert "part-1.safetensors: is missing" in said()
    index.unlink()
    file.unlink()
    (folder / "pytorch_model.bin").touch()
    assert "pickled" in said()
    (folder / "tokenizer.json").unlink()
    assert "tokenizer" in said()
    (folder / "config.json").write_text("[]", "utf-8")
    assert "holds no JSON object" in said()


def test_a_tokenizer_without_a_mask(other, tmp_path):
    _, folder = other("masked")
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    for token in content["added_tokens"]:
        if token["content"] == "[MASK]":
            token["special"] = False
    file.write_text(json.dumps(content), "utf-8")
    with pytest.raises(DataError, match=r"no special token \[MASK\]"):
        import_folder(folder, tmp_path / "back")


def dense(modules):
    kind = "sentence_transformers.models.Dense"
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": kind})


def code(modules):
    modules[1]["type"] = "own.Pooling"


def elsewhere(modules):
    modules[1]["path"] = "../1_Pooling"


def deeper(modules):
    modules[0]["path"] = "0_Transformer"


STEPS = {
    "dense": ("modules.json", dense, "Transformer, Pooling, Normalize, Dense"),
    "code": ("modules.json", code, "'own.Pooling' is code of its own"),
    "elsewhere": ("modules.json", elsewhere, "no name of a folder here"),
    "deeper": ("modules.json", deeper, "its Transformer lies in 0_Transformer"),
    "none": ("modules.json", lambda modules: modules[0].pop("type"), "type is missing"),
    "max": (
        "1_Pooling/config.json",
        {"pooling_mode_max_tokens": True},
        "pooling_mode_max_tokens is True",
    ),
    "both": (
        "1_Pooling/config.json",
        {"pooling_mode_cls_token": True},
        "pools in 2 ways",
    ),
    "new": ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "is 'lasttoken'"),
    "case": ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case is"),
    "long": ("sentence_bert_config.json", {"max_seq_length": "9"}, "is '9'"),
    "unknown": ("sentence_bert_config.json", {"wave": 1}, "wave is 1"),
}


@pytest.mark.parametrize(("file", "change", "said"), STEPS.values(), ids=STEPS)
def test_a_step_that_is_not_ours_is_refused(
    other, minillm, tmp_path, file, change, said
):
    _, folder = other("sentences")
    if isinstance(change, dict):
        update(folder / file, change)
    else:
        modules = json.loads((folder / file).read_text("utf-8"))
        change(modules)
        (folder / file).write_text(json.dumps(modules), "utf-8")
    result, out, err = minillm("import", str(folder), str(tmp_path / "back"))
    assert (result, out, err.count("\n")) == (3, "", 1)
    assert said in err
    assert not (tmp_path / "back").exists()


def test_a_prompt_before_each_text_is_refused(other, tmp_path):
    _, folder = other("sentences")
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    file = folder / "config_sentence_transformers.json"
    file.write_text(json.dumps(prompts), "utf-8")
    with pytest.raises(DataError, match="default_prompt_name is 'query'"):
        import_folder(folder, tmp_path / "back")
    file.write_text(json.dumps({**prompts, "default_prompt_name": None}), "utf-8")
    import_folder(folder, tmp_path / "back")


def test_a_sentence_encoder_reads_the_beginning_and_its_form(
    other, exported, minillm, tmp_path
):
    """Its length is a limit of its own, below that of the positions; newer files name
    the pooling; without Normalize it is said that vectors get length 1."""
    run, folder = other("sentences")
    update(folder / "sentence_bert_config.json", {"max_seq_length": 9})
    modules = json.loads((folder / "modules.json").read_text("utf-8"))[:2]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    pooling = {"embedding_dimension": 24, "pooling_mode": "cls", "include_prompt": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), "utf-8")
    out = str(tmp_path / "back")
    code, _, err = minillm("import", str(folder), out)
    assert (code, "brought to length 1 here" in err) == (0, True)
    assert "minillm embed" in err
    back = load_run(out)
    assert (back.model.config.context, back.model.config.pooling) == (9, "cls")
    long = "a lamp by the sea " * 9
    ids, segments = run.tokenizer.frame(run.tokenizer.encode(long), room=9)
    first = run.model.hidden(ids[None], segments=segments[None]).numpy()[0, 0]
    vector = embed(back, long)[0]
    assert np.abs(vector - first / np.linalg.norm(first)).max() < 1e-6
    code, _, err = minillm("embed", out, long, "x", "--out", str(tmp_path / "v.npy"))
    assert (code, "not the end of 1 of 2 texts" in err) == (0, True)
    file = tmp_path / "lines.txt"
    file.write_text(f"x\n{long}\nthe lamp\n" * 5, "utf-8")
    code, out_, err = minillm("search", out, "the lamp", "--corpus", str(file))
    assert (code, "not the end of 5 of 15 texts" in err) == (0, True)
    assert out_.splitlines()[3].split()[:2] == ["3", "1.000"]


def test_what_a_sentence_encoder_cannot_do_is_said(exported, minillm, tmp_path):
    out, table = str(tmp_path / "back"), tmp_path / "labels.tsv"
    assert minillm("import", str(exported("sentences")[1]), out)[0] == 0
    for command in (["fill", out, "a [MASK]"], ["eval", out, "--data", "bilingual"]):
        code, _, err = minillm(*command)
        assert (code, err.count("\n")) == (2, 1)
        assert f"{out}: is a sentence encoder, which predicts no tokens" in err
    write_labels(table)
    tuned = ("--no-baselines", "--epochs", "1", "--out", str(tmp_path / "tuned"))
    assert minillm("finetune", out, "--data", str(table), *tuned)[0] == 0
    assert minillm("classify", str(tmp_path / "tuned"), "sea")[0] == 0
    assert minillm("attention", out, "The lamp", "--json")[0] == 0


def test_a_masked_run_of_weights_from_elsewhere(exported, minillm, tmp_path):
    out, table = str(tmp_path / "back"), tmp_path / "labels.tsv"
    assert minillm("import", str(exported("erf")[1]), out)[0] == 0
    assert minillm("eval", out, "--data", "bilingual")[0] == 0
    assert minillm("embed", out, "The lamp", "--out", str(tmp_path / "v.npy"))[0] == 0
    write_labels(table)
    tuned = ("--no-baselines", "--epochs", "1", "--out", str(tmp_path / "tuned"))
    assert minillm("finetune", out, "--data", str(table), *tuned)[0] == 0
    shape = load_run(tmp_path / "tuned").model.config
    assert (shape.activation, shape.norm_eps) == ("gelu_erf", 1e-12)
    again = export_folder(tmp_path / "tuned", tmp_path / "again")
    config = json.loads((again / "config.json").read_text("utf-8"))
    assert (config["hidden_act"], config["layer_norm_eps"]) == ("gelu", 1e-12)
