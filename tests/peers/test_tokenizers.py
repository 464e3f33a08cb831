"""Tokenizers as transformers saves them give the same ids here, whatever the text."""

import json

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from minillm import generate, load_run
from minillm.hub.tokenizer import read_tokenizer
from minillm.text.tokenizer.allowed import PATTERNS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
CORPUS = [
    "The lamp was lit, and the keeper's café isn't far: 1234567 steps.",
    "灯塔亮着,海很黑。  Two  spaces\tand\n\n lines; naïve Ünïcode İstanbul",
    "She'll say: 'Well done!' 😀 e\u0301 ﬁ Ⅷ ½",
] * 5
TEXTS = [
    *CORPUS[:3],
    "",
    " ",
    "  lead",
    "trail  ",
    "\n",
    "a\r\nb\tc",
    "👩‍👩‍👧 zero‍width \u200b\ufeff",
    "ΑΒΓ אבג हिन्दी ไทย \x00\x07",
    "the [MASK] <s> </s> <|endoftext|> ▁ <0x41>",
    "x" * 300,
    "HELLO world DON'T don't",
    "￿\U0010ffff",
]
LONG = "".join(f"{text}  {text} " for text in CORPUS[:2]) * 700  # more than a chunk


def bpe_of(library, size=400, **model) -> dict:
    """The library's JSON after it learned from the corpus."""
    kinds = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(CORPUS, kinds)
    file = json.loads(library.to_str())
    file["model"] |= model
    return file


def gpt2() -> transformers.PreTrainedTokenizerBase:
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model = bpe_of(library)["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    return transformers.GPT2Tokenizer(vocab=model["vocab"], merges=merges)


def bert(**settings) -> transformers.PreTrainedTokenizerBase:
    library = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer(**settings)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=names, show_progress=False
    )
    library.train_from_iterator(CORPUS, trainer)
    return transformers.BertTokenizer(
        vocab=library.get_vocab(), do_lower_case=settings["lowercase"]
    )


def pieces() -> tuple[dict, list]:
    """A vocabulary as SentencePiece learns it, with bytes, and its merges."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    names = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500, special_tokens=names, limit_alphabet=60, show_progress=False
    )
    library.train_from_iterator(CORPUS, trainer)
    model = json.loads(library.to_str())["model"]
    for mark in ("▁▁", "▁▁▁▁"):  # Llama has tokens of spaces alone
        model["vocab"].setdefault(mark, len(model["vocab"]))
        model["merges"].append([mark[: len(mark) // 2]] * 2)
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def llama2(**settings) -> transformers.PreTrainedTokenizerBase:
    """As transformers 5 builds it, of Metaspace."""
    vocab, merges = pieces()
    return transformers.LlamaTokenizer(vocab=vocab, merges=merges, **settings)


def llama2_of_before(prepends=True) -> transformers.PreTrainedTokenizerBase:
    """As transformers 4 converted SentencePiece's model, of normalizers."""
    vocab, merges = pieces()
    model = models.BPE(
        vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    library = tokenizers.Tokenizer(model)
    rules = [normalizers.Prepend("▁")] * prepends + [normalizers.Replace(" ", "▁")]
    library.normalizer = normalizers.Sequence(rules)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    library.decoder = decoders.Sequence(
        [*steps, *[decoders.Strip(" ", 1, 0)] * prepends]
    )
    library.add_special_tokens(["<unk>", "<s>", "</s>"])
    library.post_processor = processors.TemplateProcessing(
        single="<s> $A",
        pair="<s> $A <s>:1 $B:1",
        special_tokens=[("<s>", vocab["<s>"])],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=library, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def llama3() -> transformers.PreTrainedTokenizerBase:
    library = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(tokenizers.Regex(PATTERNS[1]), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    library.decoder = decoders.ByteLevel()
    file = bpe_of(library, ignore_merges=True)
    begin = "<|endoftext|>"
    library = tokenizers.Tokenizer.from_str(json.dumps(file))
    library.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{begin} $A",
                pair=f"{begin} $A {begin}:1 $B:1",
                special_tokens=[(begin, library.token_to_id(begin))],
            ),
        ]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=library)


def model_of(kind: str, tokenizer, spare: int):
    """A model of random weights, with rows for more tokens than there are."""
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=len(tokenizer) + spare,
            n_positions=32,
            n_embd=24,
            n_layer=2,
            n_head=4,
        )
        return transformers.GPT2LMHeadModel(config)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer) + spare,
        max_position_embeddings=32,
        hidden_size=24,
        intermediate_size=72,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return transformers.LlamaForCausalLM(config)


KINDS = {
    "gpt2": gpt2,
    "bert, uncased": lambda: bert(lowercase=True),
    "bert, cased": lambda: bert(lowercase=False),
    "llama 2": llama2,
    "llama 2, not legacy": lambda: llama2(legacy=False),
    "llama 2, no prefix": lambda: llama2(add_prefix_space=False),
    "llama 2, of before": llama2_of_before,
    "llama 2, of before, no prefix": lambda: llama2_of_before(prepends=False),
    "llama 3": llama3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_ids(kind, tmp_path):
    KINDS[kind]().save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = read_tokenizer(tmp_path / "tokenizer.json")
    assert ours.vocab_size == len(theirs)
    library = theirs._tokenizer
    for text in [*TEXTS, LONG]:
        named = ours.encode(text, specials=True).tolist()
        assert named == theirs.encode(text, add_special_tokens=False)
        library.encode_special_tokens = True
        plain = ours.encode(text).tolist()
        assert plain == library.encode(text, add_special_tokens=False).ids
        framed = ours.frame(plain, room=10**6)[0].tolist()
        assert framed == library.encode(text).ids
        library.encode_special_tokens = False
        assert list(ours.encode_stream([text[:3], text[3:]])) == plain
        if kind.startswith("llama 2"):
            text = text.replace("▁", " ")  # it knows no difference
        if kind in ("gpt2", "llama 3", "llama 2, of before"):
            assert ours.decode(plain) == text
        assert ours.decode(plain) == theirs.decode(
            plain, clean_up_tokenization_spaces=False
        )
        if ours.keeps_spaces:
            spelled = b"".join(ours.token_bytes(i) for i in plain).decode("utf-8")
            assert spelled.lstrip(" ") == text.lstrip(" ")
    both = ours.encode_all(TEXTS)
    assert [ids.tolist() for ids in both] == [ours.encode(t).tolist() for t in TEXTS]


@pytest.mark.filterwarnings("ignore:.*the others are never written")
@pytest.mark.parametrize("prompt", ["The lamp", "灯塔", "a\nb"])
@pytest.mark.parametrize("kind", ["gpt2", "llama 2", "llama 2, of before", "llama 3"])
def test_the_same_greedy_text(kind, prompt, tmp_path):
    tokenizer = KINDS[kind]()
    model = model_of(kind, tokenizer, spare=5).eval()
    for p in model.parameters():
        p.data += 0.2 * torch.randn_like(p)
    model.config.eos_token_id = None  # the usual id is any token of these few
    model.generation_config.eos_token_id = None
    for saved in (tokenizer, model):
        saved.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    never = [*tokenizer.all_special_ids, *range(len(tokenizer), len(tokenizer) + 5)]
    given = tokenizer(prompt, return_tensors="pt")
    ids = model.generate(
        input_ids=given["input_ids"],
        attention_mask=given["attention_mask"],
        suppress_tokens=sorted({*never}),
        max_new_tokens=12,
        do_sample=False,
        pad_token_id=0,
    )[0]
    run = load_run(tmp_path)
    run.tokenizer.roles = {}  # as above, nothing ends a text
    expected = run.tokenizer.decode(ids.tolist())
    begins = run.tokenizer.decode(run.tokenizer.before)
    written = generate(run, prompt, max_tokens=12, temperature=0)
    expected = expected.removeprefix(begins).removeprefix(" ")
    assert (prompt + written).rstrip("\ufffd") == expected.rstrip("\ufffd")
