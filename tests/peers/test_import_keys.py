"""Each key of a config.json that is passed over changes no logit of transformers."""

import pytest

from minillm.hub.keys import NO_MATTER

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
# The form of the answer, and how weights are drawn.
LEFT_OUT = ("return_dict", "initializer_range", "init_std")
IDS = torch.arange(8)[None]
BERT = {
    "vocab_size": 40,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
}


def bert(**settings):
    config = transformers.BertConfig(**{**BERT, **settings})
    return transformers.BertForMaskedLM(config)


def marian(**settings):
    sides = {}
    for side in ("encoder", "decoder"):
        sides[f"{side}_layers"], sides[f"{side}_attention_heads"] = 2, 4
        sides[f"{side}_ffn_dim"] = 40
    own = {"vocab_size": 40, "d_model": 24, "max_position_embeddings": 16}
    ids = {"pad_token_id": 38, "eos_token_id": 39, "decoder_start_token_id": 38}
    config = transformers.MarianConfig(**{**own, **ids, **sides, **settings})
    return transformers.MarianMTModel(config)


def logits(model):
    given = {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model.eval()(IDS, **given).logits


@pytest.mark.parametrize("make", [bert, marian])
def test_what_does_not_matter(make):
    torch.manual_seed(0)
    model = make()
    before = logits(model)
    numbers = {
        name: value
        for name, value in model.config.to_dict().items()
        if name in NO_MATTER and type(value) in (int, float, bool)
    }
    assert len(numbers) > 4
    for name, value in numbers.items():
        if name in LEFT_OUT:
            continue
        changed = {bool: not value, int: int(value / 2) or 1, float: value / 2 or 0.5}
        other = make(**{name: changed[type(value)]})
        other.load_state_dict(model.state_dict())
        # Of another size of chunks they are rounded otherwise.
        assert torch.allclose(logits(other), before, rtol=0, atol=1e-6), name


def test_what_matters_is_seen():
    """As a check of the check: an eps that is another changes the logits."""
    torch.manual_seed(0)
    model = bert()
    other = bert(layer_norm_eps=0.5)
    other.load_state_dict(model.state_dict())
    assert not torch.allclose(logits(other), logits(model), rtol=0, atol=1e-4)
