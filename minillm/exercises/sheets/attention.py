"""Exercise: scaled dot-product attention and its masks."""

import math

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="attention",
    title="scaled dot-product attention and its masks",
    task="""
    Each query looks at all keys and takes a mean of their values (Vaswani et al. 2017,
    eq. 1):

        scores = q kᵀ / √d            (..., T, d), (..., S, d) -> (..., T, S)
        weights = softmax(scores)     along the keys: each row sums to 1
        value = weights v             (..., T, S), (..., S, e) -> (..., T, e)

    Three parts are yours.

    1. `causal_mask`: True where a query may look. The queries are the *last* of the
       n_keys positions: the last query sees all keys, the one before it all but one.

    2. The scores, from `scores =` to the softmax. `keys` are k, and scale is 1/√d.
       A bias is added if there is one. Where a mask forbids a key, its score becomes
       −∞, *before* the softmax, so that the other weights still sum to 1. `mask` is
       boolean (True: may look), or it is added to the scores.

    3. The two pullbacks. That of the weights gets g (..., T, S), the gradient of the
       weights, and returns three gradients, those of q, k and bias. `pull_scores(g)` is
       that of the scores, and the scale stands between scores and q kᵀ. That of
       `attention` gets the gradient of the value and returns those of q, k and v, and
       of bias as a fourth only where `bias` is not None. With dropout (`if rate`) the
       gradient of `kept` goes through `pull_kept` to that of the weights. In a product
       y = a b the gradients are

        dL/da = g bᵀ        dL/db = aᵀ g

    Keys and values may have fewer heads than queries: `repeat_heads` repeats them, and
    `sum_over_groups` adds up the gradients of those that were repeated.
    """,
    read="""the tour, stop 3; `softmax.rule` is softmax without recording: it returns
    the value and the pullback.""",
    cut=Cut(
        "minillm.ops.attention",
        {
            "attention_weights": ("scores =", "weights, pull_scores"),
            "attention_weights.pullback": "",
            "causal_mask": "",
            "attention.pullback": "",
        },
    ),
    hints=(
        "`keys.swapaxes(-1, -2)` is kᵀ. xp.where(allowed, scores, -math.inf) puts −∞ "
        "where a boolean mask is False.",
        "Number the queries by their position: the first is n_keys − n_queries. A "
        "query may look at key j if j is at most its own position.",
        "gs = pull_scores(g) * scale is the gradient of q kᵀ: that of q is gs @ keys, "
        "that of k is gsᵀ @ q. In `attention`: gw = g @ valuesᵀ, gv = keptᵀ @ g.",
    ),
    builds_on=("softmax",),
    forbidden=("self_attention", "cross_attention", "definition_of"),
)


def sequences(c: Cases) -> dict:
    n_queries, n_keys, d = c.integer(1, 3), c.integer(1, 4), c.integer(2, 4)
    leading = c.shape(max_dims=1)
    return {
        "q": c.numbers((*leading, n_queries, d)),
        "k": c.numbers((*leading, n_keys, d)),
    }


def one_sequence(c: Cases) -> dict:
    length, d = c.integer(1, 4), c.integer(1, 3)
    q, k = c.numbers((length, d)), c.numbers((length, d))
    return {"q": q, "k": k, "v": c.numbers((length, c.integer(1, 3)))}


def masked(c: Cases) -> dict:
    found = one_sequence(c)
    length = len(found["q"])
    mask = c.mask((length, length))
    mask[:, c.integer(0, length - 1)] = True  # each query sees one at least
    return {**found, "mask": mask}


def grouped(c: Cases) -> dict:
    groups, share = c.integer(1, 2), c.integer(1, 2)
    n, d = c.integer(1, 3), c.integer(1, 2)
    return {
        "q": c.numbers((groups * share, n, d)),
        "k": c.numbers((groups, n, d)),
        "v": c.numbers((groups, n, d)),
    }


def reference(q, k, allowed=None, bias=None, power: float = 0.5) -> np.ndarray:
    """Query by query and key by key, in Python's own numbers."""
    weights = np.zeros((*q.shape[:-1], k.shape[-2]))
    for *lead, i in np.ndindex(q.shape[:-1]):
        place = tuple(lead)
        row = []
        for j in range(k.shape[-2]):
            dot = math.fsum(q[(*place, i)] * k[(*place, j)]) / q.shape[-1] ** power
            dot += 0.0 if bias is None else float(bias[i, j])
            seen = allowed is None or allowed[i, j]
            row.append(math.exp(dot) if seen else 0.0)
        total = math.fsum(row)
        weights[(*place, i)] = [each / total if total else 0.0 for each in row]
    return weights


def weights_of(student, *arrays, **settings) -> np.ndarray:
    found = student.attention_weights(*arrays, **settings)
    if not isinstance(found, tuple) or len(found) != 2:
        raise Failure("type", "attention_weights returns (weights, pullback)")
    return looking.array_of(found[0], "the weights")


@exercise.property(
    points=1, inputs=lambda c: {"t": c.integer(1, 4), "more": c.integer(0, 3)}
)
def who_may_look(student, t, more):
    """causal_mask(T, S): the last query sees all keys, each one before it one less."""
    s = t + more
    expected = np.array([[j <= i + more for j in range(s)] for i in range(t)])
    found = looking.array_of(student.causal_mask(t, s), "causal_mask")
    if found.dtype != bool:
        raise Failure(
            "type", f"causal_mask has numbers of type {found.dtype}, not bool"
        )
    ones = expected.astype(int)
    query, key = np.arange(t)[:, None], np.arange(s)
    looking.equal(
        found.astype(int),
        ones,
        f"causal_mask({t}, {s})",
        instead=[
            (
                "order",
                (key <= query).astype(int),
                "Query 0 stands at position n_keys − n_queries, not at 0.",
            ),
            ("order", (key < query + more).astype(int), "A query sees itself, too."),
            (
                "order",
                (key <= query + more + 1).astype(int),
                "A query sees what follows.",
            ),
            ("sign", 1 - ones, "True and False are exchanged: True is who may look."),
            ("order", (key >= query + more).astype(int), "It looks ahead, not back."),
        ],
    )


@exercise.property(points=2, inputs=sequences)
def weights(student, q, k):
    """The weights are the softmax of q kᵀ / √d along the keys."""
    found = weights_of(student, q, k)
    along = np.exp((q @ k.swapaxes(-1, -2)) / math.sqrt(q.shape[-1]))
    looking.equal(
        found,
        reference(q, k),
        "the weights",
        instead=[
            ("scale", reference(q, k, power=0), "The scores are not divided by √d."),
            ("scale", reference(q, k, power=1), "Divide the scores by √d, not by d."),
            ("scale", reference(q, k, power=-0.5), "The scores are multiplied by √d."),
            (
                "wrong axis",
                along / along.sum(-2, keepdims=True),
                "The weights of a key sum to 1; those of a query are to.",
            ),
        ],
    )


@exercise.property(points=2, inputs=masked)
def masks(student, q, k, v, mask):
    """A key that may not be seen has weight 0; the others still sum to 1."""
    after = reference(q, k) * mask
    seen = "A boolean mask is True where a query may look."
    cases = [("mask=mask", {"mask": mask}, mask, after, seen)]
    if len(q) > 1:
        below = np.tril(np.ones(mask.shape, bool))
        late = reference(q, k) * below
        cases.append(("causal=True", {"causal": True}, below, late, seen))
    added = np.where(mask, 0.0, -np.inf)
    says = "This mask is not boolean: add it to the scores."
    what = "mask=np.where(mask, 0, −∞)"
    cases.append((what, {"mask": added}, mask, after, says))
    for what, settings, allowed, late, opposite in cases:
        looking.equal(
            weights_of(student, q, k, **settings),
            reference(q, k, allowed),
            f"the weights with {what}",
            instead=[
                (
                    "order",
                    late,
                    "The mask comes after the softmax, so that rows do not sum to 1.",
                ),
                ("sign", reference(q, k, ~allowed), opposite),
                ("missing terms", reference(q, k), f"{what} changes nothing."),
            ],
        )


@exercise.property(points=1, inputs=masked)
def bias(student, q, k, v, mask):
    """A bias is added to the scores, after the scale."""
    bias = np.where(mask, 0.5, -0.7)
    before = bias / math.sqrt(q.shape[-1])
    looking.equal(
        weights_of(student, q, k, bias),
        reference(q, k, bias=bias),
        "the weights with a bias",
        instead=[
            ("order", reference(q, k, bias=before), "The bias is scaled, too."),
            ("missing terms", reference(q, k), "The bias changes nothing."),
        ],
    )


@exercise.property(points=1, inputs=one_sequence)
def nothing_to_see(student, q, k, v):
    """A query that may see nothing gets zeros, and not nan."""
    mask = np.zeros((len(q), len(q)), bool)
    found = weights_of(student, q, k, mask=mask)
    looking.equal(found, np.zeros(mask.shape), "the weights where nothing may be seen")


@exercise.property(points=3, inputs=one_sequence)
def gradients(student, q, k, v):
    """The gradients of q, k and v are those of their differences."""
    looking.gradients(student.attention, q, k, v)


@exercise.property(points=2, inputs=masked)
def gradients_under_masks(student, q, k, v, mask):
    """The gradients are right with masks and with a bias."""
    looking.gradients(student.attention, q, k, v, causal=True)
    bias = np.where(mask, 0.5, -0.7)
    looking.gradients(student.attention, q, k, v, bias, mask=mask)


@exercise.property(points=1, inputs=one_sequence, examples=5)
def gradients_through_dropout(student, q, k, v):
    """The gradients are right where weights are dropped."""
    looking.gradients(student.attention, q, k, v, rate=0.4, key=3)


@exercise.property(points=1, inputs=grouped)
def shared_heads(student, q, k, v):
    """Gradients of keys and values that several heads of queries share add up."""
    looking.gradients(student.attention, q, k, v)


@exercise.property(points=1, inputs=one_sequence)
def types(student, q, k, v):
    """float32 in, float32 out."""
    looking.types(student.attention, q, k, v, causal=True)
