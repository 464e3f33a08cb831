"""BERT's layout (Devlin et al. 2019): maps lie [out, in].

The original has GELU by erf and ε = 1e-12; ours are said in config.json.
"""

from minillm.hub.places import Places, layer_norm, linear, table, vector
from minillm.nn import ModelConfig
from minillm.runs.run import Run

# By what a run was trained for. One for masked tokens alone has no pooler there.
CLASSES = {
    "mlm": "BertForMaskedLM",
    "mlm+nsp": "BertForPreTraining",
    "classify": "BertForSequenceClassification",
}


def config_of(run: Run) -> dict:
    """What config.json says beside the special tokens."""
    config, rate = run.model.config, run.config.dropout
    labels = dict(enumerate(run.labels))
    classes = {
        "id2label": {str(i): label for i, label in labels.items()},
        "label2id": {label: i for i, label in labels.items()},
        "problem_type": "single_label_classification",
    }
    return {
        "architectures": [CLASSES[run.config.objective]],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context,
        "type_vocab_size": 2,
        "hidden_size": config.d_model,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "hidden_act": "gelu_new",  # the tanh form
        "layer_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "hidden_dropout_prob": rate,
        "attention_probs_dropout_prob": run.config.attention_dropout,
        **(classes if labels else {}),
    }


def places_of(config: ModelConfig, objective: str) -> Places:
    """Where each parameter lies."""
    width, vocab = config.d_model, config.vocab_size
    body = "bert.embeddings"
    places = table("tokens.weight", f"{body}.word_embeddings.weight", vocab, width)
    n = config.context
    places |= table("positions", f"{body}.position_embeddings.weight", n, width)
    places |= table("segments.weight", f"{body}.token_type_embeddings.weight", 2, width)
    places |= layer_norm("embedding_norm", f"{body}.LayerNorm", width)
    for i in range(config.n_layers):
        places |= _layer(f"blocks.{i}", f"bert.encoder.layer.{i}", config)
    square = width, (width,)
    if objective != "mlm":
        places |= linear("pooler", ("bert.pooler.dense",), *square)
    if objective == "classify":
        return places | linear("classes", ("classifier",), width, (config.n_classes,))
    head = "cls.predictions"
    places |= linear("transform.dense", (f"{head}.transform.dense",), *square)
    places |= layer_norm("transform.norm", f"{head}.transform.LayerNorm", width)
    places |= vector("output_bias", f"{head}.bias", vocab, may_lack=True)
    if objective == "mlm+nsp":
        places |= linear("next_sentence", ("cls.seq_relationship",), width, (2,))
    return places


def _layer(ours: str, theirs: str, config: ModelConfig) -> Places:
    width, d_ff, attention = config.d_model, config.feed_forward_width, "attention"
    qkv = tuple(f"{theirs}.attention.self.{name}" for name in ("query", "key", "value"))
    out, norm = f"{theirs}.attention.output.dense", f"{theirs}.output.LayerNorm"
    up, down = f"{theirs}.intermediate.dense", f"{theirs}.output.dense"
    first = f"{theirs}.attention.output.LayerNorm"
    return {
        **linear(f"{ours}.{attention}.qkv", qkv, width, (width,) * 3),
        **linear(f"{ours}.{attention}.out", (out,), width, (width,)),
        **layer_norm(f"{ours}.norm1", first, width),
        **linear(f"{ours}.feed_forward.up", (up,), width, (d_ff,)),
        **linear(f"{ours}.feed_forward.down", (down,), d_ff, (width,)),
        **layer_norm(f"{ours}.norm2", norm, width),
    }
