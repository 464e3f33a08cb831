"""Exercise: GPT put together, and trained to a stated loss."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure
from minillm.nn import ModelConfig

STEPS, GOAL = 60, 0.1  # nats per token; the periods' first tokens cannot be known

exercise = Exercise(
    name="gpt",
    title="GPT put together",
    task="""
    All the parts are there: token and position vectors, blocks with a causal mask, a
    last norm, an output matrix. `GPT.hidden` puts them together:

        ids (B, T)
        checked     -> ids, all of them in the vocabulary     `self.checked(ids)`
        embedded    -> (B, T, D)       `self.embed(ids)`: tokens plus positions
        dropout     -> (B, T, D)       `drop(x, noise)`
        each block  -> (B, T, D)       block(x, key_mask, noise), one after the other
        last norm   -> (B, T, D)       `normed(x, self.norm)`

    `mask` (B, T) is False where a token is padding; `to_key_mask` gives it the shape
    that the blocks want. The layers are made in `__init__`, above the blank.

    The last property trains your GPT for 60 steps on sequences that repeat
    themselves, (3, 1, 4, 3, 1, 4, 3, …). It has to reach a loss of 0.1 nats per token;
    a model that knows only how frequent the tokens are stays at 2.1.
    """,
    read="""the tour, stop 4; `decode` below the blank, which does the same for one more
    token; Radford et al. 2019.""",
    cut=Cut("minillm.models.gpt", {"GPT.hidden": ""}),
    hints=(
        "Every step of the list above is one line, and each x is the input of the next "
        "line.",
        "The key mask is the same for all blocks: make it once, before the loop. What "
        "a block returns is the input of the next block.",
        "for block in self.blocks: x = block(x, key_mask, noise); and at the end: "
        "return normed(x, self.norm)",
    ),
    builds_on=("residual",),
    forbidden=("ARCHITECTURES", "build"),
    seconds=90,
)


def config(n_layers: int = 2, width: int = 8) -> ModelConfig:
    return ModelConfig(
        arch="gpt",
        vocab_size=8,
        n_layers=n_layers,
        d_model=width,
        n_heads=2,
        context=24,
    )


def model_of(student, seed: int, dtype=np.float64, **shape):
    return student.GPT(config(**shape), np.random.default_rng(seed), dtype)


def sequences(c: Cases) -> dict:
    ids = c.ids(8, (c.integer(1, 2), c.integer(2, 5)))
    return {"ids": ids, "seed": c.seed()}


@exercise.property(points=3, inputs=sequences, examples=8)
def in_order(student, ids, seed):
    """The hidden vectors are embedding, blocks and last norm, one after the other."""
    model = model_of(student, seed)
    model.norm.gain.data[...] += 0.5

    def run(blocks, norm=True, positions=True) -> np.ndarray:
        x = model.embed(ids) if positions else model.tokens(ids)
        for block in blocks:
            x = block(x)
        return (model.norm(x) if norm else x).numpy()

    first, second = model.blocks
    parallel = model.norm(second(model.embed(ids))).numpy()
    looking.equal(
        model.hidden(ids),
        run((first, second)),
        "hidden(ids)",
        instead=[
            ("missing terms", run((first, second), norm=False), "No last norm."),
            ("missing terms", run((first, second), positions=False), "No positions."),
            ("missing terms", run(()), "The blocks are missing."),
            ("missing terms", run((first,)), "Only the first block is used."),
            ("missing terms", parallel, "Each block begins anew from the embedding."),
            ("order", run((second, first)), "The blocks come in the wrong order."),
        ],
    )


@exercise.property(points=1, inputs=sequences, examples=8)
def looks_back_only(student, ids, seed):
    """What comes later does not change what stands before."""
    model, other = model_of(student, seed), ids.copy()
    other[:, -1] = (other[:, -1] + 1) % 8
    before, after = (model.hidden(each).numpy()[:, :-1] for each in (ids, other))
    if not np.allclose(before, after, atol=1e-12):
        raise Failure("extra terms", "A token changes the vectors of those before it.")


@exercise.property(points=1, inputs=sequences, examples=8)
def padding(student, ids, seed):
    """Nothing looks at padding."""
    model, mask = model_of(student, seed), np.ones(ids.shape, bool)
    mask[:, 0] = False
    other = ids.copy()
    other[:, 0] = (other[:, 0] + 1) % 8
    one, two = (model.hidden(each, mask=mask).numpy()[:, 1:] for each in (ids, other))
    if not np.allclose(one, two, atol=1e-12):
        raise Failure("extra terms", "A token of padding is looked at: use the mask.")


@exercise.property(points=1)
def dropout_acts(student):
    """With noise, the embedding and the blocks drop."""
    from minillm.nn import Noise

    ids = np.arange(8)[None]
    for n_layers, what in ((0, "the embedding"), (1, "the blocks")):
        model = model_of(student, 1, n_layers=max(n_layers, 1))
        if not n_layers:
            model.blocks = []
        calm = model.hidden(ids).numpy()
        wild = model.hidden(ids, noise=Noise(0.5, seed=1, step=0)).numpy()
        if np.allclose(calm, wild):
            raise Failure("missing terms", f"Noise changes nothing in {what}.")
    model = model_of(student, 1, n_layers=1)
    noise, seen = Noise(0.0, seed=1, step=0), []
    model.blocks = [lambda x, mask, noise=None: seen.append(noise) or x]
    model.hidden(ids, noise=noise)
    if seen != [noise]:
        raise Failure("missing terms", "The blocks do not get the noise.")


@exercise.property(points=1)
def gradients_everywhere(student):
    """Every parameter gets a gradient."""
    model = model_of(student, 3)
    model(np.arange(8)[None]).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not np.abs(parameter.grad).max():
            raise Failure("zero", f"No gradient arrives at {name}.")


@exercise.property(points=3)
def learns(student):
    """Trained for 60 steps on repetitions, it reaches 0.1 nats per token."""
    from minillm import AdamW, ops

    rng = np.random.default_rng(0)
    model = model_of(student, 0, np.float32, width=16)
    optimizer = AdamW(model, lr=1e-2)
    for _ in range(STEPS):
        period = rng.integers(0, 8, (16, 3))
        ids = np.tile(period, 9)[:, :25]
        loss = ops.cross_entropy(model(ids[:, :-1])[:, 4:], ids[:, 5:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    final = float(loss.item())
    if not final <= GOAL:
        raise Failure("value", f"After {STEPS} steps the loss is {final:.2f} nats.")
