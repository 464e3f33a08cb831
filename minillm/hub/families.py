"""What a folder holds by its config.json: a family, what its model is for, a shape."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from minillm.errors import DataError, UsageError
from minillm.hub.keys import Keys
from minillm.hub.layouts import LAYOUTS, Layout
from minillm.hub.places import Places
from minillm.hub.sentence import read_sentence_encoder
from minillm.nn import ModelConfig
from minillm.text import EOS, MASK, PAD

# Without these special tokens nothing can be asked of such a model.
SPECIALS = {"mlm": (MASK,), "mlm+nsp": (MASK,), "seq2seq": (PAD, EOS)}


@dataclass(frozen=True)
class Kind:
    """A family, what its model is for, its shape, and the labels of a classifier.

    `places`: where its parameters lie. A folder `may_lack` those whose names begin so;
    tensors whose names begin with one of `left_out` are not read, and of those in
    `shortened`, of so many rows, the first so many. `begin`: the id that an answer
    begins with.
    """

    layout: Layout
    objective: str
    shape: ModelConfig
    labels: list[str] = field(default_factory=list)
    places: Places = field(default_factory=dict)
    may_lack: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    shortened: dict[str, tuple[int, int]] = field(default_factory=dict)
    begin: int | None = None

    def renamed(self, name: str) -> str | None:
        """The name that the layout has for a tensor; None: it is not read."""
        usual = getattr(self.layout.rules, "renamed", None)
        name = usual(name, self.shape) if usual else name
        return None if name is None or name.startswith(self.left_out) else name

    @property
    def specials(self) -> tuple[str, ...]:
        """The special tokens without which nothing can be asked of the model."""
        if self.shape.encodes_sentences:
            return ()
        return SPECIALS.get(self.objective, ())


def read_kind(folder: Path, note) -> Kind:
    """What the config.json of a folder describes. `note(text)` hears what is done
    otherwise here. Raises DataError, which names the key, for what minillm's models are
    not."""
    keys = Keys(folder / "config.json")
    layout = LAYOUTS[keys.must("model_type", *LAYOUTS)]
    known = [[name] for name in layout.classes]
    (name,) = keys.must("architectures", *known, default=known[0])
    try:
        shape = layout.rules.shape_of(keys)
        kind = Kind(layout, layout.classes[name], shape)
        if layout.file == "bert":
            kind = _of_bert(folder, keys, kind, name, note)
        else:
            places = layout.rules.places_of(shape, kind.objective)
            kind = replace(kind, places=places, may_lack=layout.rules.MAY_LACK)
    except UsageError as error:  # no model has such a shape
        raise DataError(f"{keys.path}: {error}") from None
    if kind.objective == "seq2seq":
        kind = replace(kind, begin=keys.index("decoder_start_token_id"))
    keys.done()
    return kind


def _of_bert(folder: Path, keys: Keys, kind: Kind, name: str, note) -> Kind:
    """A masked model, a classifier, or a sentence encoder: BERT without an output."""
    rules, shape = kind.layout.rules, kind.shape
    sentence = read_sentence_encoder(folder)
    if sentence:
        context = min(shape.context, sentence.length)
        shape = replace(shape, pooling=sentence.pooling, context=context)
        if not sentence.normalised:
            note(f"{folder}: its vectors are brought to length 1 here")
        if name != "BertModel":
            note(f"{folder}: is a sentence encoder: its output for tokens is left out")
    elif name == "BertModel":
        shape = replace(shape, pooling="mean")
        note(f"{folder}: has no output: of a text it gives the mean of its tokens")
    elif kind.objective == "classify":
        labels = rules.labels_of(keys)
        shape = replace(shape, n_classes=len(labels))
        places = rules.places_of(shape, "classify")
        return replace(kind, shape=shape, labels=labels, places=places)
    return replace(
        kind,
        shape=shape,
        objective="mlm" if sentence else kind.objective,
        places=rules.places_of(shape, "mlm+nsp"),
        may_lack=("pooler.", "next_sentence.") if kind.objective == "mlm" else (),
        shortened={rules.POSITIONS: (kind.shape.context, shape.context)},
        left_out=("cls.",) if shape.encodes_sentences else (),
    )
