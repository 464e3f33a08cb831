"""Folders of Marian that transformers saves, with random weights, give the same logits
and the same answers here, and ours there."""

import shutil

import numpy as np
import pytest

from minillm import export_folder, generate, import_folder, load_run, train

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
CONTEXT = 12


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The folder of an exported run: its tokenizer is taken."""
    folder = tmp_path_factory.mktemp("run")
    table = folder / "pairs.tsv"
    rows = [f"{word}{i}\t{i}{word}\n" for word in ("abc", "fade") for i in range(9)]
    table.write_text("source\ttarget\n" + "".join(rows), "utf-8")
    options = {"size": "pico", "data": str(table), "tokenizer": "chars", "steps": 1}
    options |= {"objective": "seq2seq", "device": "cpu", "workers": "1"}
    train(**options, out=str(folder / "run"), draw=False)
    return export_folder(folder / "run", folder / "out")


KINDS = {
    "gelu": {},
    "tanh": {"activation_function": "gelu_new"},
    "bfloat16 in shards": {"dtype": "bfloat16"},
    "odd width": {"d_model": 27, "heads": 3},
    "begins with [BOS]": {"begin": "[BOS]"},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_an_encoder_decoder(ours, options, tmp_path):
    options = {
        "d_model": 24,
        "heads": 4,
        "begin": "[PAD]",
        "dtype": "float32",
    } | options
    heads, dtype = options.pop("heads"), options.pop("dtype")
    begin = options.pop("begin")
    tokenizer = transformers.AutoTokenizer.from_pretrained(ours)
    ids = tokenizer.get_vocab()
    config = transformers.MarianConfig(
        vocab_size=len(ids),
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=40,
        decoder_ffn_dim=40,
        max_position_embeddings=CONTEXT,
        scale_embedding=True,
        pad_token_id=ids["[PAD]"],
        eos_token_id=ids["[EOS]"],
        bos_token_id=None,
        decoder_start_token_id=ids[begin],
        forced_eos_token_id=None,
        **options,
    )
    torch.manual_seed(0)
    theirs = transformers.MarianMTModel(config)
    for name, p in theirs.named_parameters():
        if "embed_positions" not in name:
            p.data += 0.1 * torch.randn_like(p)
    folder = tmp_path / "theirs"
    shards = {"max_shard_size": "30KB"} if dtype == "bfloat16" else {}
    theirs.to(getattr(torch, dtype)).save_pretrained(folder, **shards)
    assert (len([*folder.glob("*.safetensors")]) > 1) == bool(shards)
    shutil.copy(ours / "tokenizer.json", folder)
    run = load_run(import_folder(folder, tmp_path / "run"))
    assert run.tokenizer.begin == begin

    again = export_folder(run, tmp_path / "again")
    reopened, info = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        again, output_loading_info=True
    )
    assert not any(info.values()), info
    read = transformers.MarianMTModel.from_pretrained(folder, dtype=torch.float32)
    rng = np.random.default_rng(1)
    target, source = rng.integers(0, len(ids), (2, 3, 9))
    logits = run.model(target, source).numpy()
    never = [i for name, i in run.tokenizer.specials.items() if name != "[EOS]"]
    for model in (read.eval(), reopened.eval()):
        with torch.no_grad():
            found = model(torch.tensor(source), decoder_input_ids=torch.tensor(target))
        assert np.abs(logits - found.logits.numpy()).max() < 1e-5
        for text in ("abc", "fade"):
            given = tokenizer(text, return_tensors="pt")
            written = model.generate(
                **given, num_beams=1, suppress_tokens=never, max_length=CONTEXT
            )
            answer = tokenizer.decode(written[0], skip_special_tokens=True)
            mine = generate(run, text, temperature=0, max_tokens=CONTEXT - 1)
            assert answer == mine
