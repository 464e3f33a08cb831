"""Folders of BERT that transformers saves, with random weights, give the same numbers
here, and ours there: masked models, classifiers, sentence encoders."""

import json
import shutil

import numpy as np
import pytest

from minillm import embed, export_folder, fill, import_folder, load_run, train
from minillm.tasks.classification import classify
from minillm.text import Batch

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
CONTEXT = 20
TEXTS = ["The lamp was lit.", "Ünder the SEA", "灯塔 x", "no"]


def quiet(note):
    """What a folder lacks is not looked at."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A tokenizer.json of WordPiece, which lowers case, as BERT's do."""
    folder = tmp_path_factory.mktemp("run")
    options = {"size": "pico", "data": "bilingual", "tokenizer": "wordpiece"}
    options |= {"arch": "bert", "objective": "mlm", "vocab": 300, "steps": 1}
    train(**options, device="cpu", workers="1", out=str(folder / "run"), draw=False)
    file = export_folder(folder / "run", folder / "out") / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["normalizer"] |= {"lowercase": True, "strip_accents": None}
    file.write_text(json.dumps(content), "utf-8")
    return file


@pytest.fixture
def saved(tokenizer, tmp_path):
    """A function that saves a model of theirs, and imports it: theirs, ours."""

    def make(kind, dtype="float32", change=None, shards=False, **settings):
        vocab = len(json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"])
        config = transformers.BertConfig(
            vocab_size=vocab,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=40,
            max_position_embeddings=CONTEXT,
            **settings,
        )
        torch.manual_seed(0)
        theirs = getattr(transformers, kind)(config)
        for p in theirs.parameters():
            p.data += 0.1 * torch.randn_like(p)
        folder = tmp_path / "theirs"
        size = {"max_shard_size": "30KB"} if shards else {}
        theirs.to(getattr(torch, dtype)).save_pretrained(folder, **size)
        assert (len([*folder.glob("*.safetensors")]) > 1) == shards
        shutil.copy(tokenizer, folder)
        if change is not None:
            change(folder)
        run = load_run(import_folder(folder, tmp_path / "run", quiet))
        theirs = type(theirs).from_pretrained(folder, dtype=torch.float32)
        return theirs.eval(), run

    return make


def batch_of(run):
    """Three rows, two of them padded, of two segments: ours, and the same for them."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, run.tokenizer.vocab_size, (3, CONTEXT))
    segments = (np.arange(CONTEXT)[None] >= [[9], [20], [3]]).astype(np.int32)
    mask = np.arange(CONTEXT)[None] < [[20], [11], [7]]
    given = {"input_ids": ids, "token_type_ids": segments, "attention_mask": mask}
    given = {name: torch.tensor(value).long() for name, value in given.items()}
    return Batch(ids, None, 0, mask=mask, segments=segments), given


def without_prefix(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    names = {
        name: name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta")
        for name in tensors
    }
    tensors = {names[name]: value for name, value in tensors.items()}
    tensors["embeddings.position_ids"] = torch.arange(CONTEXT)[None]
    table = tensors["embeddings.word_embeddings.weight"].clone()
    tensors["cls.predictions.decoder.weight"] = table
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    save_file(tensors, folder / "model.safetensors")


MASKED = {
    "masked": {"kind": "BertForMaskedLM"},
    "tanh": {"kind": "BertForMaskedLM", "hidden_act": "gelu_new"},
    "eps": {"kind": "BertForMaskedLM", "layer_norm_eps": 1e-3},
    "untied": {"kind": "BertForMaskedLM", "tie_word_embeddings": False},
    "old names": {"kind": "BertForMaskedLM", "change": without_prefix},
    "bfloat16": {"kind": "BertForMaskedLM", "dtype": "bfloat16", "shards": True},
    "next sentence": {"kind": "BertForPreTraining"},
    "next sentence, untied": {
        "kind": "BertForPreTraining",
        "tie_word_embeddings": False,
        "dtype": "float16",
    },
}


@pytest.mark.parametrize("options", MASKED.values(), ids=MASKED)
def test_a_masked_model(saved, options, tmp_path):
    theirs, run = saved(**options)
    both = options["kind"] == "BertForPreTraining"
    batch, given = batch_of(run)
    x = run.model.read(batch)
    ours = run.model.project(x).numpy()
    again = export_folder(run, tmp_path / "again")
    reopened, info = type(theirs).from_pretrained(again, output_loading_info=True)
    assert not any(info.values()), info
    for model in (theirs, reopened.eval()):
        with torch.no_grad():
            found = model(**given)
        logits = (found.prediction_logits if both else found.logits).numpy()
        assert np.abs(ours - logits)[batch.mask].max() < 1e-5
        if both:
            labels = run.model.label_logits(x, batch).numpy()
            difference = labels - found.seq_relationship_logits.numpy()
            assert np.abs(difference).max() < 1e-5


def test_what_fills_a_gap(saved, tmp_path):
    _, run = saved("BertForMaskedLM")
    again = export_folder(run, tmp_path / "again")
    guess = transformers.pipeline("fill-mask", str(again))
    text = "The [MASK] was Lit."
    found = {each["token"]: each["score"] for each in guess(text, top_k=50)}
    for ours in fill(run, text, top=5)[0]:
        assert found[ours.id] == pytest.approx(ours.probability, abs=1e-5)


def test_a_classifier(saved, tmp_path):
    labels = {0: "sea", 1: "lamp", 2: "neither"}
    theirs, run = saved("BertForSequenceClassification", id2label=labels)
    assert run.labels == [*labels.values()]
    batch, given = batch_of(run)
    ours = run.model.label_logits(run.model.read(batch), batch).numpy()
    with torch.no_grad():
        assert np.abs(ours - theirs(**given).logits.numpy()).max() < 1e-5
    again = export_folder(run, tmp_path / "again")
    say = transformers.pipeline("text-classification", str(again), top_k=None)
    for text in TEXTS:
        (ours,) = classify(run, [text])
        for each in say([text])[0]:
            expected = ours.probabilities[each["label"]]
            assert each["score"] == pytest.approx(expected, abs=1e-5)


def vectors(folder, texts, pooling, most=CONTEXT):
    """What sentence-transformers does, step by step."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    given = tokenizer(
        texts, padding=True, truncation=True, max_length=most, return_tensors="pt"
    )
    with torch.no_grad():
        x = model(**given).last_hidden_state
    mask = given["attention_mask"][..., None]
    pooled = x[:, 0] if pooling == "cls" else (x * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(pooled).numpy()


def as_sentence_encoder(pooling, most, normalised=True):
    """A function that adds the files of sentence-transformers to a folder."""

    def change(folder):
        kinds = ["Transformer", "Pooling", "Normalize"][: 2 + normalised]
        modules = [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{kind}" if i else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, kind in enumerate(kinds)
        ]
        modes = {
            f"pooling_mode_{each}": each.startswith(pooling)
            for each in ("cls_token", "mean_tokens", "max_tokens")
        }
        (folder / "1_Pooling").mkdir()
        for name, content in (
            ("modules.json", modules),
            ("1_Pooling/config.json", {"word_embedding_dimension": 24, **modes}),
            ("sentence_bert_config.json", {"max_seq_length": most}),
            ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
        ):
            content = content | NAMES if name.startswith("tokenizer") else content
            (folder / name).write_text(json.dumps(content), "utf-8")

    return change


NAMES = {
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "unk_token": "[UNK]",
}


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM"])
def test_a_sentence_encoder(saved, pooling, kind, tmp_path):
    most = 12
    _, run = saved(kind, change=as_sentence_encoder(pooling, most))
    assert run.model.config.context == most
    texts = [*TEXTS, "a lamp by the sea " * 9]  # longer than it reads
    expected = vectors(tmp_path / "theirs", texts, pooling, most)
    found = embed(run, texts)
    assert np.abs(found - expected).max() < 1e-5
    again = export_folder(run, tmp_path / "again")
    assert np.abs(vectors(again, texts, pooling, most) - expected).max() < 1e-5
    back = load_run(import_folder(again, tmp_path / "back", quiet))
    assert back.model.config == run.model.config
    assert np.array_equal(embed(back, texts), found)


def test_bert_without_an_output_gives_means(saved, tmp_path):
    _, run = saved("BertModel", change=as_sentence_encoder("mean", 12))
    folder = tmp_path / "theirs"
    (folder / "modules.json").unlink()
    run = load_run(import_folder(folder, tmp_path / "bare", quiet))
    assert run.model.config.context == CONTEXT
    expected = vectors(folder, TEXTS, "mean")
    assert np.abs(embed(run, TEXTS) - expected).max() < 1e-5
