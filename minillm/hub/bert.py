"""BERT's layout (Devlin et al. 2019): maps lie [out, in].

The original has GELU by erf and ε = 1e-12; what a run has is said in config.json.
"""

from minillm.errors import DataError
from minillm.hub.gpt2 import ACTIVATIONS, READ
from minillm.hub.keys import Keys
from minillm.hub.places import Place, Places, layer_norm, linear, table
from minillm.nn import ModelConfig
from minillm.runs.run import Run

BODY = "bert."  # before the names of all but the outputs
HEAD = "cls.predictions.decoder.weight"
POSITIONS = "bert.embeddings.position_embeddings.weight"
OUTPUTS = ("bert.", "cls.", "classifier.")
# Of older versions: other names, and what is no weight.
RENAMED = {
    "LayerNorm.gamma": "LayerNorm.weight",
    "LayerNorm.beta": "LayerNorm.bias",
}
# The output's bias, under the name that counts where the output is tied, and where not.
BIASES = {True: "cls.predictions.bias", False: "cls.predictions.decoder.bias"}
GELUS = [theirs for theirs, ours in READ.items() if "gelu" in ours]

# By what a run was trained for. One for masked tokens alone has no pooler there.
CLASSES = {
    "mlm": "BertForMaskedLM",
    "mlm+nsp": "BertForPreTraining",
    "classify": "BertForSequenceClassification",
}


def shape_of(keys: Keys) -> ModelConfig:
    """The shape that a config.json describes. Raises DataError, which names the key,
    for what minillm's BERT is not."""
    activation = keys.must("hidden_act", *GELUS, default="gelu")
    keys.must("position_embedding_type", "absolute", default="absolute")
    keys.must("type_vocab_size", 2, default=2)
    keys.must("pruned_heads", {}, default={})
    for name in ("is_decoder", "add_cross_attention", "is_encoder_decoder"):
        keys.must(name, False, default=False)
    return ModelConfig(
        arch="bert",
        vocab_size=keys.number("vocab_size", 30522),
        n_layers=keys.number("num_hidden_layers", 12),
        d_model=keys.number("hidden_size", 768),
        n_heads=keys.number("num_attention_heads", 12),
        d_ff=keys.number("intermediate_size", 3072),
        context=keys.number("max_position_embeddings", 512),
        norm="post",
        activation=READ[activation],
        norm_eps=keys.real("layer_norm_eps", 1e-12),
        tied=keys.flag("tie_word_embeddings", True),
    )


def labels_of(keys: Keys) -> list[str]:
    """The classes of a classifier. Raises DataError for what is no classifier of one
    class a text."""
    single = "single_label_classification"
    keys.must("problem_type", single, default=single)
    usual = {str(i): f"LABEL_{i}" for i in range(2)}
    labels = keys.object("id2label", usual)
    numbers = [str(i) for i in range(len(labels))]
    named = [labels.get(i) for i in numbers]
    if not all(isinstance(each, str) and each for each in named):
        raise DataError(f"{keys.path}: id2label does not name each class by its number")
    if len(set(named)) < max(2, len(named)):
        raise DataError(f"{keys.path}: id2label has fewer than two distinct classes")
    return named


def renamed(name: str, config: ModelConfig) -> str | None:
    """The name of a tensor in this layout, of which older versions wrote others; None:
    it is no weight."""
    if name.endswith("embeddings.position_ids"):
        return None
    for before, after in RENAMED.items():
        name = name.replace(before, after)
    if name in BIASES.values():
        return BIASES[config.tied]
    return name if name.startswith(OUTPUTS) else BODY + name


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
        "architectures": [class_of(config, run.config.objective)],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context,
        "type_vocab_size": 2,
        "hidden_size": config.d_model,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "hidden_act": ACTIVATIONS[config.activation],
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "hidden_dropout_prob": rate,
        "attention_probs_dropout_prob": run.config.attention_dropout,
        **(classes if labels else {}),
    }


def class_of(config: ModelConfig, objective: str) -> str:
    """What `transformers` calls a model that was trained for this."""
    return "BertModel" if config.encodes_sentences else CLASSES[objective]


def places_of(config: ModelConfig, objective: str) -> Places:
    """Where each parameter lies."""
    width, vocab = config.d_model, config.vocab_size
    body = "bert.embeddings"
    places = table("tokens.weight", f"{body}.word_embeddings.weight", vocab, width)
    places |= table("positions", POSITIONS, config.context, width)
    places |= table("segments.weight", f"{body}.token_type_embeddings.weight", 2, width)
    places |= layer_norm("embedding_norm", f"{body}.LayerNorm", width)
    for i in range(config.n_layers):
        places |= _layer(f"blocks.{i}", f"bert.encoder.layer.{i}", config)
    square = width, (width,)
    if objective != "mlm" or config.encodes_sentences:
        places |= linear("pooler", ("bert.pooler.dense",), *square)
    if config.encodes_sentences:
        return places
    if objective == "classify":
        return places | linear("classes", ("classifier",), width, (config.n_classes,))
    head = "cls.predictions"
    places |= linear("transform.dense", (f"{head}.transform.dense",), *square)
    places |= layer_norm("transform.norm", f"{head}.transform.LayerNorm", width)
    copies = () if config.tied else (BIASES[True],)
    bias = Place((BIASES[config.tied],), (vocab,), may_lack=True, copies=copies)
    places["output_bias"] = bias
    if not config.tied:
        places |= table("head", HEAD, vocab, width)
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
