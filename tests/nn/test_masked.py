"""Encoders compute what follows the last attention only where it is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm import backend
from minillm.errors import UsageError
from minillm.models import ModelConfig, build
from minillm.models.language_model import LanguageModel
from minillm.nn import Noise
from minillm.text import Batch

VOCAB, LENGTH = 11, 8
ENCODERS = pytest.mark.parametrize("arch", ["encoder", "bert"])


def model(arch, norm="post", **settings):
    config = ModelConfig(VOCAB, 2, 8, 2, LENGTH, arch=arch, norm=norm, **settings)
    return build(config, np.random.default_rng(1), np.float64)


def batch_of(kept, rng, *, lengths=None, labels=False) -> Batch:
    """A batch whose targets are at the places `kept` (B, T)."""
    ids = rng.integers(0, VOCAB, kept.shape)
    n_rows = len(ids)
    return Batch(
        ids,
        np.where(kept, ids, -1),
        max(1, int(kept.sum())),
        mask=None if lengths is None else np.arange(LENGTH) < lengths[:, None],
        segments=rng.integers(0, 2, kept.shape) if labels else None,
        labels=rng.integers(0, 2, n_rows) if labels else None,
        n_labels=n_rows if labels else 0,
    )


def loss_and_gradients(m, batch, loss) -> dict:
    for p in m.parameters():
        p.grad = None
    value = loss(m, batch)
    value.backward()
    found = {name: p.grad for name, p in m.named_parameters() if p.grad is not None}
    return {"loss": value.data, **found}


@given(
    arch=st.sampled_from(["encoder", "bert"]),
    norm=st.sampled_from(["pre", "post"]),
    activation=st.sampled_from(["gelu", "swiglu"]),
    n_rows=st.integers(1, 3),
    n_kept=st.integers(0, 3),
    padded=st.booleans(),
    labels=st.booleans(),
    seed=st.integers(0, 99),
)
def test_loss_and_gradients_are_those_of_the_whole_layer(
    arch, norm, activation, n_rows, n_kept, padded, labels, seed
):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, LENGTH + 1, n_rows) if padded else None
    kept = np.zeros((n_rows, LENGTH), bool)
    kept.reshape(-1)[rng.choice(kept.size, n_kept, replace=False)] = True
    batch = batch_of(kept, rng, lengths=lengths, labels=labels and arch == "bert")
    m = model(arch, norm, activation=activation)
    found = loss_and_gradients(m, batch, type(m).loss)
    whole = loss_and_gradients(m, batch, LanguageModel.loss)
    assert found.keys() == whole.keys()
    for name, expected in whole.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12)


def rows_of_gelu(m, batch, noise=None) -> list[int]:
    """How many positions each GELU of a loss gets."""
    seen = []

    def look_on(name, body):
        if name == "gelu":
            return lambda x, **form: (
                seen.append(x.size // x.shape[-1]) or body(x, **form)
            )
        return body

    with backend.observed(look_on):
        m.loss(batch, noise)
    return seen


@ENCODERS
def test_the_last_feed_forward_gets_the_rows_that_are_asked_for(arch):
    rng = np.random.default_rng(0)
    kept = np.zeros((3, LENGTH), bool)
    kept[:, 2] = kept[1, 5] = True
    transform = [4] if arch == "bert" else []
    batch = batch_of(kept, rng)
    assert rows_of_gelu(model(arch), batch) == [24, 4, *transform]
    # Dropout is drawn for whole batches: the workers that share one drop the same.
    assert rows_of_gelu(model(arch), batch, Noise(0.1, 1, 0)) == [24, 24, *transform]
    many = batch_of(~kept, rng)
    assert rows_of_gelu(model(arch), many)[:2] == [24, 24]


def test_labels_ask_for_the_first_position_of_each_text():
    kept = np.zeros((3, LENGTH), bool)
    kept[0, 4] = True
    batch = batch_of(kept, np.random.default_rng(0), labels=True)
    assert rows_of_gelu(model("bert"), batch) == [24, 4, 1]


@ENCODERS
def test_rows_of_the_last_layer_are_rows_of_all(arch):
    m, ids = model(arch), np.random.default_rng(0).integers(0, VOCAB, (2, LENGTH))
    rows = np.array([9, 0, 3, 9])
    whole = m.hidden(ids).numpy().reshape(-1, 8)
    np.testing.assert_allclose(m.hidden(ids, rows=rows).numpy(), whole[rows])


@ENCODERS
def test_rows_with_dropout_are_refused(arch):
    with pytest.raises(UsageError, match="without dropout"):
        model(arch).hidden(np.zeros((1, 3), int), noise=Noise(0.1, 1, 0), rows=[1])
