"""Exercise: a step of AdamW, and where its decay ends."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="adamw",
    title="a step of AdamW",
    task="""
    Adam moves each number by its mean gradient, divided by the size that its gradients
    usually have (Kingma & Ba 2015; with decay apart: Loshchilov & Hutter 2019, alg. 2):

        m ← m + (1 − β₁) (g − m)          running mean of the gradient
        v ← v + (1 − β₂) (g² − v)         running mean of its square
        m̂ = m / (1 − β₁ˢ)                 both begin at 0: corrected for that
        v̂ = v / (1 − β₂ˢ)                 at step s = 1, 2, 3 …
        data ← data − lr (m̂ / (√v̂ + ε) + decay · data)

    `adamw` changes data, m and v *in place* (`+=`, `-=`) and returns nothing. The
    gradient is multiplied by `scale` first; the gradient itself is not changed.

    Decay acts on matrices only, not on biases and gains. All parameters lie in one
    buffer, the decayed ones first, `n_decayed` numbers of them. `by_decay(part,
    n_decayed, weight_decay)` cuts a slice of the buffer where decay ends: a list of
    (slice, its decay), without empty slices.
    """,
    read="""the tour, stop 6; Loshchilov & Hutter 2019, algorithm 2.""",
    cut=Cut("minillm.learning.optimizer", {"adamw": "", "by_decay": ""}),
    hints=(
        "m += (1 - beta1) * (g - m) changes the array in place; m = m + … "
        "would make a new one, and the caller would see nothing.",
        "Step 1 of β₁ = 0.9: m is 0.1 g, and 1 − β₁¹ is 0.1, so that m̂ is g. The decay "
        "uses data as it is before the step, and no moments.",
        "For by_decay: boundary = min(max(n_decayed, part.start), part.stop); then "
        "(start to boundary, weight_decay) and (boundary to stop, 0.0).",
    ),
    forbidden=("AdamW",),
)

BETAS = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-3}


def first_step(c: Cases) -> dict:
    shape = (c.integer(1, 4),)
    return {"data": c.numbers(shape), "grad": c.numbers(shape)}


def some_steps(c: Cases) -> dict:
    shape = (c.integer(1, 3),)
    return {
        "data": c.numbers(shape),
        "grads": [c.numbers(shape) for _ in range(c.integer(2, 4))],
        "decay": c.one_of(0.0, 0.5),
        "scale": c.one_of(1.0, 0.25),
    }


def slices(c: Cases) -> dict:
    start, size, n_decayed = c.integer(0, 5), c.integer(1, 5), c.integer(0, 8)
    return {"start": start, "stop": start + size, "n_decayed": n_decayed}


def reference(data, grads, *, lr, decay, first=1, corrected=True, inside=False):
    """Number by number, by the sums that the running means are."""
    b1, b2, eps = BETAS.values()
    data = data.tolist()
    for i in range(len(data)):
        for s in range(first, first + len(grads)):
            seen = [g[i] for g in grads[: s - first + 1]]
            age = range(len(seen) - 1, -1, -1)
            m = sum((1 - b1) * b1**a * g for a, g in zip(age, seen, strict=True))
            v = sum((1 - b2) * b2**a * g * g for a, g in zip(age, seen, strict=True))
            if corrected:
                m, v = m / (1 - b1**s), v / (1 - b2**s)
            size = (v + eps) ** 0.5 if inside else v**0.5 + eps
            data[i] -= lr * (m / size + decay * data[i])
    return np.array(data)


def forgetful(data, grads) -> np.ndarray:
    """Moments that are not kept from one step to the next."""
    b1, b2, eps = BETAS.values()
    for step, g in enumerate(grads, 1):
        m, v = (1 - b1) * g / (1 - b1**step), (1 - b2) * g * g / (1 - b2**step)
        data = data - 0.1 * m / (np.sqrt(v) + eps)
    return data


def run(student, data, grads, *, lr=0.1, decay=0.0, scale=1.0) -> np.ndarray:
    data, m, v = data.copy(), np.zeros_like(data), np.zeros_like(data)
    for step, grad in enumerate(grads, 1):
        student.adamw(
            data,
            grad.copy(),
            m,
            v,
            lr=lr,
            weight_decay=decay,
            step=step,
            scale=scale,
            **BETAS,
        )
    return data


@exercise.property(points=2, inputs=first_step)
def first(student, data, grad):
    """Step 1 moves each number by lr against the sign of its gradient."""
    plain = reference(data, [grad], lr=0.1, decay=0.0, corrected=False)
    looking.equal(
        run(student, data, [grad]),
        reference(data, [grad], lr=0.1, decay=0.0),
        "data after step 1",
        tolerance=1e-7,
        instead=[
            ("missing terms", data, "Nothing has moved: is data changed in place?"),
            ("scale", plain, "The moments are not corrected for their start at 0."),
            (
                "sign",
                reference(data, [-grad], lr=0.1, decay=0.0),
                "It walks uphill: the step is subtracted.",
            ),
            ("scale", data - 0.1 * grad, "The step is not divided by √v̂."),
        ],
    )


@exercise.property(points=2, inputs=some_steps)
def several_steps(student, data, grads, decay, scale):
    """Several steps follow the formula."""
    scaled = [scale * grad for grad in grads]
    settings = {"lr": 0.1, "decay": 0.0}
    looking.equal(
        run(student, data, grads, scale=scale),
        reference(data, scaled, **settings),
        f"data after {len(grads)} steps",
        tolerance=1e-7,
        instead=[
            (
                "scale",
                reference(data, scaled, **settings, corrected=False),
                "The moments are not corrected for their start at 0.",
            ),
            (
                "order",
                reference(data, scaled, **settings, first=2),
                "The correction is one step ahead: the first step is step 1.",
            ),
            (
                "missing terms",
                forgetful(data, scaled),
                "m and v begin at 0 again at each step: change them in place.",
            ),
        ],
    )


@exercise.property(points=2, inputs=some_steps)
def decay_apart(student, data, grads, decay, scale):
    """Decay pulls data towards 0, and is no part of the moments."""
    scaled = [scale * grad for grad in grads]
    decay = 0.5
    with_decay = [g + decay * data for g in scaled]
    looking.equal(
        run(student, data, grads, decay=decay, scale=scale),
        reference(data, scaled, lr=0.1, decay=decay),
        "data after steps with weight_decay=0.5",
        tolerance=1e-7,
        instead=[
            (
                "missing terms",
                reference(data, scaled, lr=0.1, decay=0.0),
                "Weight decay changes nothing.",
            ),
            (
                "sign",
                reference(data, scaled, lr=0.1, decay=-decay),
                "Decay pushes data away from 0.",
            ),
            (
                "scale",
                reference(data, scaled, lr=0.1, decay=decay / 0.1),
                "Decay is not multiplied by lr.",
            ),
            (
                "order",
                reference(data, with_decay[:1], lr=0.1, decay=0.0)
                if len(grads) == 1
                else np.full_like(data, np.inf),
                "Decay is added to the gradient: that is Adam with L2, not AdamW.",
            ),
        ],
    )


@exercise.property(points=1, inputs=first_step)
def decay_alone(student, data, grad):
    """With a gradient of 0, decay multiplies data by 1 − lr · decay."""
    zero = np.zeros_like(data)
    found = run(student, data, [zero], decay=0.5)
    if not np.isfinite(found).all():
        raise Failure("not finite", "A gradient of 0 gives nan: where is ε?")
    moved = reference(data, [0.5 * data], lr=0.1, decay=0.0)
    looking.equal(
        found,
        data * (1 - 0.1 * 0.5),
        "data after a step with a gradient of 0",
        tolerance=1e-6,
        instead=[
            ("order", moved, "Decay is in the gradient, and divided by its own size.")
        ],
    )


@exercise.property(points=1, inputs=first_step)
def in_place(student, data, grad):
    """data, m and v are changed in place, the gradient is not, and nothing returns."""
    data, m, v, kept = (
        data.copy(),
        np.zeros_like(data),
        np.zeros_like(data),
        grad.copy(),
    )
    got = student.adamw(
        data, grad, m, v, lr=0.1, weight_decay=0.0, step=1, scale=0.5, **BETAS
    )
    if not np.array_equal(grad, kept):
        raise Failure("write", "The gradient is written into.")
    if got is not None:
        raise Failure("type", "adamw returns something; it changes its arrays.")
    g = 0.5 * grad
    looking.equal(m, (1 - 0.9) * g, "m after step 1", tolerance=1e-7)
    looking.equal(
        v,
        (1 - 0.99) * g * g,
        "v after step 1",
        tolerance=1e-7,
        instead=[("value", (1 - 0.99) * g, "v is the mean of g², not of g.")],
    )


@exercise.property(points=2, inputs=slices)
def where_decay_ends(student, start, stop, n_decayed):
    """by_decay cuts a slice where decay ends."""
    found = student.by_decay(slice(start, stop), n_decayed, 0.1)
    try:
        pairs = [(piece.start, piece.stop, decay) for piece, decay in found]
    except (TypeError, AttributeError, ValueError):
        raise Failure("type", "by_decay returns a list of (slice, decay)") from None
    decays = {}
    for begin, end, decay in pairs:
        if begin >= end:
            raise Failure("shape", f"slice({begin}, {end}) is empty: leave it out")
        for place in range(begin, end):
            if place in decays:
                raise Failure("extra terms", f"place {place} is in two slices")
            decays[place] = decay
    if sorted(decays) != [*range(start, stop)]:
        raise Failure(
            "missing terms", f"the slices cover {sorted(decays)}, not {start} to {stop}"
        )
    for place, decay in decays.items():
        if decay and place >= n_decayed:
            raise Failure("extra terms", f"place {place} decays: it is no matrix")
        if decay != (0.1 if place < n_decayed else 0.0):
            raise Failure("value", f"place {place} has decay {decay}")
