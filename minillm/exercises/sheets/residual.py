"""Exercise: the residual path, and the block of a transformer."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure
from minillm.nn import Initializer, ModelConfig
from minillm.tensor import Tensor

exercise = Exercise(
    name="residual",
    title="the residual path, and a transformer's block",
    task="""
    A layer f in a deep network is not put in the place of x: its output is *added* to
    x. So the gradient has a path around every layer (He et al. 2016). A norm keeps the
    size of the numbers. There are two orders:

        pre-norm     x + f(norm(x))       as in GPT-2; the path itself has no norm
        post-norm    norm(x + f(x))       as in BERT and the original transformer

    1. `Residual.around(f, x, norm, noise)`: one of the two, by `self.pre_norm`.
       `drop(y, noise)` is dropout, of what f returns, before it is added.

    2. `Block.__call__(x, mask, noise)`: attention around the path, with `self.norm1`,
       then the feed-forward around the path, with `self.norm2`. `self.attention` takes
       (h, mask, noise), `self.feed_forward` takes h. Shapes stay (B, T, D).
    """,
    read="""the tour, stop 4; He et al. 2016, section 3.1; Xiong et al. 2020 on the two
    orders.""",
    cut=Cut(
        "minillm.nn.block",
        {"Residual.around": "", "Block.__call__": ""},
    ),
    hints=(
        "Where does x itself go, without any layer on its way? To the sum, both times.",
        "around calls what it is given: f is a function of one argument. A function of "
        "three becomes one of one by `lambda h: self.attention(h, mask, noise)`.",
        "pre: return x + drop(f(norm(x)), noise); post: return norm(x + drop(f(x), "
        "noise)). In the block: x = self.around(…, x, self.norm1, noise), and again.",
    ),
    forbidden=("DecoderBlock",),
)


def inputs(c: Cases) -> dict:
    shape = (c.integer(1, 2), c.integer(1, 3), 4)
    return {"x": c.numbers(shape), "order": c.one_of("pre", "post"), "seed": c.seed()}


def config(order: str) -> ModelConfig:
    return ModelConfig(
        arch="gpt",
        vocab_size=8,
        n_layers=1,
        d_model=4,
        n_heads=2,
        context=8,
        norm=order,
    )


def triple(x: Tensor) -> Tensor:
    return x * 3.0


def halve(x: Tensor) -> Tensor:
    return x * 0.5 + 0.1


def block_of(student, order: str, seed: int):
    """A block in float64, with norms that are not the same."""
    of = config(order)
    init = Initializer.from_config(of, np.random.default_rng(seed), np.float64)
    block = student.Block(of, init, causal=True)
    for n, norm in enumerate((block.norm1, block.norm2), 1):
        norm.gain.data[...] += 0.3 * n
    return block


@exercise.property(points=3, inputs=inputs)
def around(student, x, order, seed):
    """around gives x + f(norm(x)), or norm(x + f(x)) for post-norm."""
    path = student.Residual(config(order))
    pre = x + 3 * (0.5 * x + 0.1)
    post = 0.5 * (x + 3 * x) + 0.1
    expected, other = (pre, post) if order == "pre" else (post, pre)
    found = path.around(triple, Tensor(x), halve)
    twice = 0.5 * (x + 3 * (0.5 * x + 0.1)) + 0.1
    looking.equal(
        found,
        expected,
        f"around(f, x, norm) with {order}-norm",
        instead=[
            ("order", other, "This is the other order of norm and sum."),
            (
                "missing terms",
                3 * (0.5 * x + 0.1) if order == "pre" else 0.5 * 3 * x + 0.1,
                "x itself is not added: there is no way around f.",
            ),
            ("order", (0.5 * x + 0.1) + 3 * (0.5 * x + 0.1), "x is added normalised."),
            ("order", x + 0.5 * 3 * x + 0.1, "The norm comes after f, before the sum."),
            ("extra terms", twice, "The norm acts twice."),
            ("missing terms", x + 3 * x, "The norm is missing."),
        ],
    )


@exercise.property(points=1)
def dropout_of_what_is_added(student):
    """Dropout acts on what f returns; x itself is never dropped."""
    from minillm.nn import Noise

    x = np.ones((2, 3, 400))
    for order in ("pre", "post"):
        path = student.Residual(config(order))
        noise = Noise(0.5, seed=1, step=0)
        found = path.around(triple, Tensor(x), lambda h: h, noise).numpy()
        if np.allclose(found, 4.0):
            raise Failure("missing terms", "Nothing is dropped: is drop(…) called?")
        if (found == 0).any():
            raise Failure("order", "x itself is dropped: only what is added may be.")
        if sorted({*found.reshape(-1).round(9)}) != [1.0, 7.0]:
            raise Failure("value", "Where nothing is dropped, f is doubled: 1 + 2 · 3.")


@exercise.property(points=3, inputs=inputs)
def block(student, x, order, seed):
    """The block is attention around the path, then the feed-forward around it."""
    it = block_of(student, order, seed)
    attention, forward = it.attention, it.feed_forward

    def whole(first, second, norms) -> np.ndarray:
        h = Tensor(x)
        for f, norm in zip((first, second), norms, strict=True):
            h = h + f(norm(h)) if order == "pre" else norm(h + f(h))
        return h.numpy()

    norms = it.norm1, it.norm2
    alone = Tensor(x)
    alone = (
        alone + attention(it.norm1(alone))
        if order == "pre"
        else it.norm1(alone + attention(alone))
    )
    looking.equal(
        it(Tensor(x)),
        whole(attention, forward, norms),
        f"Block(x) with {order}-norm",
        instead=[
            (
                "order",
                whole(forward, attention, norms),
                "The feed-forward comes first.",
            ),
            (
                "swapped",
                whole(attention, forward, norms[::-1]),
                "norm1 and norm2 are exchanged.",
            ),
            (
                "swapped",
                whole(attention, forward, (it.norm1, it.norm1)),
                "Both parts have the same norm.",
            ),
            (
                "swapped",
                whole(attention, forward, (it.norm2, it.norm2)),
                "Both parts have the same norm.",
            ),
            ("missing terms", alone.numpy(), "The feed-forward is missing."),
        ],
    )


@exercise.property(points=1, inputs=inputs)
def masks(student, x, order, seed):
    """The mask arrives at attention."""
    it = block_of(student, order, seed)
    x = np.concatenate([x, -x], axis=1)
    mask = np.ones((len(x), 1, 1, x.shape[1]), bool)
    mask[..., 0] = False
    with_mask, without = it(Tensor(x), mask).numpy(), it(Tensor(x)).numpy()
    if np.allclose(with_mask[:, -1], without[:, -1]):
        raise Failure("missing terms", "A mask changes nothing: is it handed on?")


@exercise.property(points=1)
def noise_arrives(student):
    """Dropout acts on what each part adds; attention gets the noise too."""
    from minillm.nn import Noise

    noise = Noise(0.5, seed=1, step=0)
    for part in ("attention", "feed-forward"):
        it, seen = block_of(student, "pre", 0), []
        adds = {part: 1.0}

        def attention(h, mask=None, noise=None, *, adds=adds, seen=seen):
            seen.append(noise)
            return h * 0.0 + adds.get("attention", 0.0)

        def feed_forward(h, adds=adds):
            return h * 0.0 + adds.get("feed-forward", 0.0)

        it.attention, it.feed_forward = attention, feed_forward
        x = np.zeros((2, 3, len(it.norm1.gain.data)))
        if np.allclose(it(Tensor(x), None, noise).numpy(), 1.0):
            raise Failure("missing terms", f"Nothing that the {part} adds is dropped.")
        if seen != [noise]:
            raise Failure("missing terms", "Attention does not get the noise.")
