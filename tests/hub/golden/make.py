"""Small folders that transformers saves, with random weights, and what it computes with
them, for those who do not have it. With the extra `peers`, in this folder:

    python make.py
"""

import json
import shutil
from pathlib import Path

import tokenizers
import torch
import transformers

HERE = Path(__file__).parent
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EOS]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz.,"
WORDS = ["the", "lamp", "sea", "was", "lit", "##es", "##ing"]
TEXT = "The lamps was Lit, the SÉA."
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}


def tokenizer(single: str, pair: str) -> tokenizers.Tokenizer:
    """WordPiece in lower case, as BERT has it."""
    pieces = [*LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]
    vocab = {piece: i for i, piece in enumerate([*SPECIALS, *pieces])}
    found = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            vocab,
            unk_token="[UNK]",
            continuing_subword_prefix="##",
            max_input_chars_per_word=100,
        )
    )
    found.normalizer = tokenizers.normalizers.BertNormalizer()
    found.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    found.decoder = tokenizers.decoders.WordPiece()
    found.add_special_tokens(SPECIALS)
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[(name, i) for i, name in enumerate(SPECIALS)],
    )
    return found


def save(name: str, model, frame: tuple[str, str]) -> Path:
    """Draw a model's weights, and write its folder in float16."""
    for p in model.parameters():
        p.data = 0.3 * torch.randn_like(p) + (p.ndim == 1)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.eval().half().save_pretrained(folder)
    tokenizer(*frame).save(str(folder / "tokenizer.json"))
    return folder


def main() -> None:
    torch.manual_seed(0)
    framed = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"
    ended = "$A [EOS]", "$A $B [EOS]"
    n = len(SPECIALS) + 2 * len(LETTERS) + len(WORDS)
    bert = transformers.BertConfig(vocab_size=n, **SHAPE)
    sides = {}
    for side in ("encoder", "decoder"):
        sides[f"{side}_layers"] = sides[f"{side}_attention_heads"] = 2
        sides[f"{side}_ffn_dim"] = 24
    marian = transformers.MarianConfig(
        vocab_size=n,
        d_model=16,
        max_position_embeddings=32,
        scale_embedding=True,
        pad_token_id=0,
        eos_token_id=5,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
        **sides,
    )
    models = {
        "masked": (transformers.BertForMaskedLM(bert), framed),
        "classes": (transformers.BertForSequenceClassification(bert), framed),
        "bare": (transformers.BertModel(bert), framed),
        "answers": (transformers.MarianMTModel(marian), ended),
    }
    expected = {"text": TEXT}
    for name, (model, frame) in models.items():
        folder = save(name, model, frame)
        model = type(model).from_pretrained(folder, dtype=torch.float32).eval()
        ids = torch.tensor([tokenizer(*frame).encode(TEXT).ids])
        given = {"decoder_input_ids": ids[:, :6]} if name == "answers" else {}
        with torch.no_grad():
            found = model(ids, **given)
        found = found.last_hidden_state if name == "bare" else found.logits
        rounded = [round(x, 5) for x in found[0].flatten().tolist()]
        expected[name] = {"ids": ids[0].tolist(), "logits": rounded}
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n", "utf-8")


if __name__ == "__main__":
    main()
