"""BERT, and the encoder–decoder, as transformers has them: with the same weights the
same outputs, loss and gradients."""

import numpy as np
import pytest

from minillm.inspect.attention import watched
from minillm.models import ModelConfig, build
from minillm.text import Batch

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.peers

VOCAB, WIDTH, HEADS, CONTEXT, LAYERS = 31, 24, 3, 10, 3
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, VOCAB, (4, CONTEXT))
TARGETS = np.where(RNG.random(IDS.shape) < 0.3, RNG.integers(0, VOCAB, IDS.shape), -1)
LENGTHS = np.array([[10], [7], [10], [4]])
MASK = np.arange(CONTEXT) < LENGTHS
SEGMENTS = (np.arange(CONTEXT) >= LENGTHS // 2).astype(np.int32)
LABELS = np.array([0, 1, 1, 0])
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def build_ours(arch, dtype, **settings):
    """A model whose gains are not 1 and whose biases are not 0, which would hide a
    mix-up."""
    config = ModelConfig(
        VOCAB, LAYERS, WIDTH, HEADS, CONTEXT, arch=arch, tied=True, **settings
    )
    model = build(config, np.random.default_rng(1), dtype)
    rng = np.random.default_rng(2)
    for p in model.parameters():
        if p.ndim == 1:
            p.data += 0.1 * rng.standard_normal(p.shape).astype(dtype)
    return model


def linear(name, *theirs) -> dict:
    """A linear map of ours, of one or more of theirs beside each other."""
    weights = [(layer.weight, True) for layer in theirs]
    biases = [(layer.bias, False) for layer in theirs]
    return {f"{name}.weight": weights, f"{name}.bias": biases}


def norm(name, theirs) -> dict:
    return {
        f"{name}.gain": [(theirs.weight, False)],
        f"{name}.bias": [(theirs.bias, False)],
    }


def table(theirs) -> list:
    return [(theirs.weight, False)]


def copy_weights(model, theirs: dict) -> None:
    """`theirs`: our name -> [(their tensor, whether it lies transposed)]"""
    for name, p in model.named_parameters():
        parts = np.split(p.numpy(), len(theirs[name]), -1)
        for (q, transposed), part in zip(theirs[name], parts, strict=True):
            q.data.copy_(torch.tensor(part.T if transposed else part))


def check_gradients_equal(model, theirs: dict, dtype) -> None:
    # Relative to the largest gradient of the model: a key's bias has none at all.
    largest = max(np.abs(p.grad).max() for p in model.parameters())
    bound = (1e-5 if dtype == np.float32 else 1e-9) * largest
    for name, p in model.named_parameters():
        parts = [q.grad.numpy().T if t else q.grad.numpy() for q, t in theirs[name]]
        assert np.abs(p.grad - np.concatenate(parts, -1)).max() < bound, name


def check_equal(ours, theirs, dtype) -> None:
    expected = theirs.detach().numpy()
    bound = (1e-5 if dtype == np.float32 else 1e-12) * np.abs(expected).max()
    assert np.abs(ours.numpy() - expected).max() < bound


def torch_of(array):
    return None if array is None else torch.tensor(array, dtype=torch.int64)


def torch_type(dtype):
    return torch.float64 if dtype == np.float64 else torch.float32


def bert(dtype):
    """Our BERT, transformers' with its weights, and which of them is which."""
    model = build_ours("bert", dtype, norm="post")
    peer = transformers.BertForPreTraining(
        transformers.BertConfig(
            vocab_size=VOCAB,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            hidden_act="gelu_new",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=CONTEXT,
            layer_norm_eps=1e-5,
        )
    ).to(torch_type(dtype))
    embeddings, output = peer.bert.embeddings, peer.cls.predictions
    theirs = {
        "tokens.weight": table(embeddings.word_embeddings),
        "positions": table(embeddings.position_embeddings),
        "segments.weight": table(embeddings.token_type_embeddings),
        **norm("embedding_norm", embeddings.LayerNorm),
        **linear("pooler", peer.bert.pooler.dense),
        **linear("transform.dense", output.transform.dense),
        **norm("transform.norm", output.transform.LayerNorm),
        "output_bias": [(output.bias, False)],
        **linear("next_sentence", peer.cls.seq_relationship),
    }
    for i, layer in enumerate(peer.bert.encoder.layer):
        name, attention = f"blocks.{i}", layer.attention
        qkv = attention.self.query, attention.self.key, attention.self.value
        theirs |= linear(f"{name}.attention.qkv", *qkv)
        theirs |= linear(f"{name}.attention.out", attention.output.dense)
        theirs |= norm(f"{name}.norm1", attention.output.LayerNorm)
        theirs |= linear(f"{name}.feed_forward.up", layer.intermediate.dense)
        theirs |= linear(f"{name}.feed_forward.down", layer.output.dense)
        theirs |= norm(f"{name}.norm2", layer.output.LayerNorm)
    copy_weights(model, theirs)
    return model, peer, theirs


@TYPES
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
@pytest.mark.parametrize("segments", [None, SEGMENTS], ids=["one text", "two texts"])
def test_bert_is_transformers(segments, mask, dtype):
    """Logits of tokens and of the next sentence, the loss and every gradient."""
    model, peer, theirs = bert(dtype)
    result = peer(
        torch_of(IDS),
        attention_mask=torch_of(mask),
        token_type_ids=torch_of(segments),
        labels=torch_of(np.where(TARGETS < 0, -100, TARGETS)),
        next_sentence_label=torch_of(LABELS),
    )
    result.loss.backward()
    n_targets = int((TARGETS >= 0).sum())
    batch = Batch(
        IDS, TARGETS, n_targets, 0, mask, segments, labels=LABELS, n_labels=len(LABELS)
    )
    x = model.read(batch)
    check_equal(model.project(x), result.prediction_logits, dtype)
    check_equal(model.label_logits(x, batch), result.seq_relationship_logits, dtype)
    loss = model.loss(batch)
    loss.backward()
    check_equal(loss, result.loss, dtype)
    check_gradients_equal(model, theirs, dtype)


def marian(dtype):
    """Our encoder–decoder, transformers' with its weights, and which is which.

    Theirs lays sines and cosines out in another order: its positions become ours.
    """
    model = build_ours("encdec", dtype, norm="post", positions="sinusoidal")
    side = {"layers": LAYERS, "attention_heads": HEADS, "ffn_dim": 4 * WIDTH}
    sides = {
        f"{at}_{key}": n for at in ("encoder", "decoder") for key, n in side.items()
    }
    peer = transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=VOCAB,
            d_model=WIDTH,
            max_position_embeddings=CONTEXT,
            activation_function="gelu_new",
            scale_embedding=True,
            dropout=0.0,
            pad_token_id=0,
            eos_token_id=0,
            decoder_start_token_id=0,
            forced_eos_token_id=None,
            **sides,
        )
    ).to(torch_type(dtype))
    encoder, decoder = peer.model.encoder, peer.model.decoder
    for half in (encoder, decoder):
        half.embed_positions.weight.data.copy_(torch.tensor(model.positions.numpy()))
    assert not peer.final_logits_bias.any()
    theirs = {"tokens.weight": table(peer.model.shared)}
    for i, layer in enumerate(encoder.layers):
        theirs |= marian_layer(f"encoder.{i}", layer)
    for i, layer in enumerate(decoder.layers):
        name, cross = f"decoder.{i}", layer.encoder_attn
        theirs |= marian_layer(name, layer)
        theirs |= linear(f"{name}.cross.q", cross.q_proj)
        theirs |= linear(f"{name}.cross.kv", cross.k_proj, cross.v_proj)
        theirs |= linear(f"{name}.cross.out", cross.out_proj)
        theirs |= norm(f"{name}.cross_norm", layer.encoder_attn_layer_norm)
    copy_weights(model, theirs)
    return model, peer, theirs


def marian_layer(name, layer) -> dict:
    attention = layer.self_attn
    qkv = attention.q_proj, attention.k_proj, attention.v_proj
    return {
        **linear(f"{name}.attention.qkv", *qkv),
        **linear(f"{name}.attention.out", attention.out_proj),
        **norm(f"{name}.norm1", layer.self_attn_layer_norm),
        **linear(f"{name}.feed_forward.up", layer.fc1),
        **linear(f"{name}.feed_forward.down", layer.fc2),
        **norm(f"{name}.norm2", layer.final_layer_norm),
    }


SOURCE = RNG.integers(1, VOCAB, (4, 8))
SOURCE_MASK = np.arange(8) < np.array([[8], [5], [8], [1]])


@TYPES
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
def test_the_encoder_decoder_is_transformers(masked, dtype):
    """Logits, loss and every gradient, with sources and targets of several lengths."""
    model, peer, theirs = marian(dtype)
    mask, source_mask = (MASK, SOURCE_MASK) if masked else (None, None)
    logits = peer(
        torch_of(SOURCE),
        attention_mask=torch_of(source_mask),
        decoder_input_ids=torch_of(IDS),
        decoder_attention_mask=torch_of(mask),
    ).logits
    their_loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, VOCAB), torch_of(TARGETS.ravel()), ignore_index=-1
    )
    their_loss.backward()
    ours = model(IDS, SOURCE, mask=mask, source_mask=source_mask)
    check_equal(ours, logits, dtype)
    n_targets = int((TARGETS >= 0).sum())
    loss = model.loss(
        Batch(
            IDS, TARGETS, n_targets, mask=mask, source=SOURCE, source_mask=source_mask
        )
    )
    loss.backward()
    check_equal(loss, their_loss, dtype)
    check_gradients_equal(model, theirs, dtype)


def gpt2(dtype):
    """Our GPT and transformers' with its weights."""
    model = build_ours("gpt", dtype)
    peer = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCAB,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            n_positions=CONTEXT,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            resid_pdrop=0.0,
        )
    ).to(torch_type(dtype))
    body = peer.transformer
    theirs = {
        "tokens.weight": table(body.wte),
        "positions": table(body.wpe),
        **norm("norm", body.ln_f),
    }
    for i, layer in enumerate(body.h):
        name = f"blocks.{i}"
        theirs |= norm(f"{name}.norm1", layer.ln_1)
        theirs |= norm(f"{name}.norm2", layer.ln_2)
        for ours, map_ in (
            ("attention.qkv", layer.attn.c_attn),
            ("attention.out", layer.attn.c_proj),
            ("feed_forward.up", layer.mlp.c_fc),
            ("feed_forward.down", layer.mlp.c_proj),
        ):
            theirs[f"{name}.{ours}.weight"] = [(map_.weight, False)]
            theirs[f"{name}.{ours}.bias"] = [(map_.bias, False)]
    copy_weights(model, theirs)
    return model, peer


@TYPES
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
@pytest.mark.parametrize("arch", ["gpt", "bert", "encdec"])
def test_attention_maps_are_those_of_transformers(arch, mask, dtype):
    """Of every layer and head, where they look: no map of a padded query."""
    model, peer = {"gpt": gpt2, "bert": bert, "encdec": marian}[arch](dtype)[:2]
    peer.set_attn_implementation("eager")  # any other has no weights to show
    source, given = None, {}
    if arch == "encdec":
        source, given = SOURCE, {"decoder_attention_mask": torch_of(mask)}
        inputs = {"input_ids": torch_of(SOURCE), "decoder_input_ids": torch_of(IDS)}
    else:
        given = {"attention_mask": torch_of(mask)}
        inputs = {"input_ids": torch_of(IDS)}
    result = peer(**inputs, **given, output_attentions=True)
    with watched() as found:
        model.read(Batch(IDS, mask=mask, source=source))
    if arch == "encdec":
        pairs = zip(result.decoder_attentions, result.cross_attentions, strict=True)
        expected = [
            *result.encoder_attentions,
            *(one for pair in pairs for one in pair),
        ]
    else:
        expected = result.attentions
    real = np.ones(IDS.shape, bool) if mask is None else mask
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        weights = theirs.detach().numpy()
        differences = np.abs(ours.weights - weights).max(axis=(1, 3))  # (B, T)
        queries = real if differences.shape == real.shape else ...
        assert differences[queries].max() < (1e-5 if dtype == np.float32 else 1e-12)
