"""An exported folder, opened by transformers: no key is missing or left over, and the
logits, the ids and the texts are ours."""

import contextlib
import io
import warnings

import numpy as np
import pytest

from minillm import export_folder, fill, generate, load_run, train
from minillm.tasks.classification import classify
from minillm.text import Batch

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.peers,
    # Of transformers and torch about themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

BASE = {
    "size": "pico",
    "data": "bilingual",
    "device": "cpu",
    "workers": "1",
    "context": 32,
    "batch": 8,
    "steps": 20,
    "lr": 0.02,
}
BPE = {"tokenizer": "bpe", "vocab": 300}
LLAMA = {"arch": "llama", "width": 32, "heads": 4}
CAUSAL = {
    "gpt, bytes": {"tokenizer": "bytes"},
    "gpt, characters": {"tokenizer": "chars", "tied": True},
    "gpt, sines": {**BPE, "positions": "sinusoidal"},
    "gpt without biases": {"tokenizer": "chars", "bias": False},
    "gpt, relu2": {"tokenizer": "chars", "activation": "relu2"},
    "gpt, of its own": {
        "tokenizer": "bytes",
        "activation": "gelu_erf",
        "d_ff": 50,
        "norm_eps": 1e-3,
    },
    "llama": {**LLAMA, **BPE},
    "qwen 3": {**LLAMA, **BPE, "qk_norm": True, "kv_heads": 2},
    "llama, of its own": {
        **LLAMA,
        "tokenizer": "bytes",
        "rope_base": 50.0,
        "d_ff": 50,
        "norm_eps": 1e-3,
    },
    "llama, tied, with biases": {**LLAMA, **BPE, "tied": True, "bias": True},
    "llama, grouped": {**LLAMA, "tokenizer": "bytes", "kv_heads": 2},
}
MASKED = {
    "wordpiece": {"objective": "mlm", "tokenizer": "wordpiece", "vocab": 300},
    "bpe": {"objective": "mlm", **BPE},
    "characters": {"objective": "mlm", "tokenizer": "chars", "bias": False},
    "next sentence": {"objective": "mlm+nsp", **BPE},
}
TEXTS = ["The lamp was lit.", "灯塔 and   two  spaces\n\tthen ☃ a tab", " x", ""]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A function that trains a run, gives its vectors numbers that would show a mix-up,
    and exports it: the run, and the folder."""
    made = {}

    def make(**options):
        key = tuple(sorted(options.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("run")
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                train(**BASE | options, out=str(folder / "run"), draw=False)
                run = load_run(folder / "run")
                rng = np.random.default_rng(0)
                for p in run.model.parameters():
                    if p.ndim == 1:  # gains of 1 and biases of 0 would hide one
                        p.data += 0.1 * rng.standard_normal(p.shape).astype(p.dtype)
                made[key] = run, export_folder(run, folder / "exported")
        return made[key]

    return make


def load(auto, folder):
    """A model of theirs, none of whose weights was made up and none left over."""
    model, info = auto.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


def check_tokenizer(run, folder) -> "transformers.PreTrainedTokenizerFast":
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(theirs) == run.tokenizer.vocab_size
    assert theirs.model_max_length == run.model.config.context
    for text in TEXTS:
        ids = run.tokenizer.encode(text)
        assert theirs.encode(text, add_special_tokens=False) == ids.tolist()
        assert theirs.decode(ids) == run.tokenizer.decode(ids)
    framed = run.tokenizer.frame(run.tokenizer.encode(TEXTS[0]), room=99)[0]
    assert theirs.encode(TEXTS[0]) == framed.tolist()
    assert theirs.get_added_vocab() == run.tokenizer.specials
    return theirs


def check_card(folder) -> str:
    """What the code of the model card prints."""
    card = (folder / "README.md").read_text("utf-8")
    code = card.partition("```python\n")[2].partition("```")[0]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace('"."', repr(str(folder))), {})
    return printed.getvalue()


def tokens(run) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, run.tokenizer.vocab_size, (3, run.model.config.context))


@pytest.mark.parametrize("options", CAUSAL.values(), ids=CAUSAL)
def test_a_causal_model(opened, options):
    run, folder = opened(**options)
    check_tokenizer(run, folder)
    theirs = load(transformers.AutoModelForCausalLM, folder)
    ids = tokens(run)
    with torch.no_grad():
        logits = theirs(torch.tensor(ids)).logits.numpy()
    assert np.abs(run.model(ids).numpy() - logits).max() < 1e-5

    write = transformers.pipeline("text-generation", str(folder))
    ours = generate(run, "The lamp", max_tokens=12, temperature=0)
    found = write("The lamp", max_new_tokens=12, max_length=None)
    written = found[0]["generated_text"].rstrip("\ufffd")  # half a character
    assert written == "The lamp" + ours.rstrip("\ufffd")
    assert check_card(folder).startswith("[{'generated_text': 'The ")
    assert len(write("The lamp")[0]["generated_text"]) > len("The lamp")


@pytest.mark.parametrize("options", MASKED.values(), ids=MASKED)
def test_a_masked_model(opened, options):
    run, folder = opened(arch="bert", **options)
    check_tokenizer(run, folder)
    both = options["objective"] == "mlm+nsp"
    auto = transformers.AutoModelForPreTraining if both else None
    theirs = load(auto or transformers.AutoModelForMaskedLM, folder)
    ids = tokens(run)
    segments = np.arange(ids.shape[1])[None] >= [[9], [32], [0]]
    mask = np.arange(ids.shape[1])[None] < [[32], [20], [7]]
    batch = Batch(ids, None, 0, mask=mask, segments=segments.astype(np.int32))
    with torch.no_grad():
        found = theirs(
            torch.tensor(ids),
            attention_mask=torch.tensor(mask.astype(int)),
            token_type_ids=torch.tensor(segments.astype(int)),
        )
    x = run.model.read(batch)
    logits = found.prediction_logits if both else found.logits
    assert np.abs(run.model.project(x).numpy() - logits.numpy())[mask].max() < 1e-5
    if both:
        difference = run.model.label_logits(x, batch).numpy() - np.asarray(
            found.seq_relationship_logits
        )
        assert np.abs(difference).max() < 1e-5

    guess = transformers.pipeline("fill-mask", str(folder))
    assert "'score': " in check_card(folder)
    text = "The lamp [MASK] was lit."
    found = {each["token"]: each["score"] for each in guess(text, top_k=50)}
    for ours in fill(run, text, top=5)[0]:
        assert found[ours.id] == pytest.approx(ours.probability, abs=1e-5)


def test_an_encoder_decoder(opened):
    options = {"objective": "seq2seq", "data": "reverse", "tokenizer": "chars"}
    run, folder = opened(**options, width=32, heads=4, steps=300)
    theirs = load(transformers.AutoModelForSeq2SeqLM, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rng = np.random.default_rng(1)
    ids, source = rng.integers(0, run.tokenizer.vocab_size, (2, 3, 9))
    with torch.no_grad():
        logits = theirs(torch.tensor(source), decoder_input_ids=torch.tensor(ids))
    difference = run.model(ids, source).numpy() - logits.logits.numpy()
    assert np.abs(difference).max() < 1e-5
    for text in ("abc", "fadeb"):
        written = theirs.generate(**tokenizer(text, return_tensors="pt"))[0]
        found = tokenizer.decode(written, skip_special_tokens=True)
        assert found == generate(run, text, temperature=0)
    never = [*theirs.generation_config.suppress_tokens, tokenizer.eos_token_id]
    endless = theirs.generate(
        **tokenizer("abc", return_tensors="pt"), suppress_tokens=never
    )
    assert endless.shape[1] == 1 + run.model.config.context  # as many as ours writes
    assert check_card(folder)


def test_a_classifier(opened, tmp_path):
    table = tmp_path / "labels.tsv"
    rows = [f"the {w * i}\t{w}\n" for w in ("sea", "lamp") for i in range(1, 9)]
    table.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    run, folder = opened(
        arch="bert", objective="classify", data=str(table), tokenizer="chars"
    )
    assert load(transformers.AutoModelForSequenceClassification, folder)
    say = transformers.pipeline("text-classification", str(folder), top_k=None)
    text = "the sea"
    (ours,) = classify(run, [text])
    for each in say([text])[0]:
        expected = ours.probabilities[each["label"]]
        assert each["score"] == pytest.approx(expected, abs=1e-5)
    assert "'label': " in check_card(folder)
