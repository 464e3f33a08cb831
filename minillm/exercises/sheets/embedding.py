"""Exercise: rows of a table, and the gradient of a row that is used twice."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise
from minillm.tensor import Tensor

exercise = Exercise(
    name="embedding",
    title="rows of a table, and the gradient of a repeated id",
    task="""
    An embedding is a table with a row for each token. To look up ids means to take
    their rows:

        table (V, D), ids (...) -> (..., D)        value[...] = table[ids[...]]

    g has the shape of the value, (..., D), and the gradient that of the table, (V, D).
    Each row of g belongs to one id, and goes to the row of that id. A token that occurs
    three times in a text gets three rows of g: they are added up. A row whose id does
    not occur gets zeros.

    NumPy has a trap here: `gradient[ids] += g` keeps only the last of several rows with
    the same id. Look for a function that adds them all.
    """,
    read="""the tour, stop 3; NumPy's page of `numpy.add.at`; `add_at` in
    minillm/backend/base.py.""",
    cut=Cut("minillm.ops.neural", {"embedding": ""}),
    hints=(
        "An array of ids is an index: table[ids] has the shape of ids, and the axis of "
        "the rows at its end.",
        "The pullback begins with zeros of the table's shape and type, and adds each "
        "row of g to the row of its id.",
        "gradient = xp.zeros_like(table); current().add_at(gradient, ids, g); return "
        "gradient   (np.add.at does the same for NumPy arrays)",
    ),
    forbidden=("definition_of",),
)


def rows(c: Cases) -> dict:
    table = c.numbers((c.integer(1, 5), c.integer(1, 3)))
    shape = c.shape(min_dims=1, max_dims=2)
    return {"table": table, "ids": c.ids(len(table), shape)}


def repeated(c: Cases) -> dict:
    table = c.numbers((c.integer(2, 4), c.integer(1, 3)))
    ids = c.ids(len(table), (c.integer(2, 5),))
    ids[-1] = ids[0]
    return {"table": table, "ids": ids, "g": c.numbers((*ids.shape, table.shape[1]))}


@exercise.property(points=1, inputs=rows)
def value(student, table, ids):
    """embedding(table, ids=ids) holds the row of each id."""
    expected = [table[int(i)] for i in ids.reshape(-1)]
    expected = np.array(expected).reshape(*ids.shape, table.shape[1])
    what = "embedding(table, ids=ids)"
    looking.equal(student.embedding(table, ids=ids), expected, what)


@exercise.property(points=3, inputs=repeated)
def repeated_ids(student, table, ids, g):
    """The gradients of an id that occurs several times are added up."""
    x = Tensor(table, requires_grad=True)
    student.embedding(x, ids=ids).backward(g)
    total, last, first = (np.zeros_like(table) for _ in range(3))
    count = np.zeros(len(table))
    for i, row in zip(ids.tolist(), g, strict=True):
        total[i] += row
        last[i] = row
        if not count[i]:
            first[i] = row
        count[i] += 1
    mean = total / np.maximum(count, 1)[:, None]
    lost = "A repeated id keeps only one of its gradients: add them up."
    looking.equal(
        x.grad,
        total,
        "the gradient of the table",
        instead=[
            ("missing terms", last, lost),
            ("missing terms", first, lost),
            ("scale", mean, "The gradients of a repeated id are averaged: add them."),
        ],
    )


@exercise.property(points=1, inputs=rows)
def gradient(student, table, ids):
    """The gradient of the table is that of its differences."""
    looking.gradients(student.embedding, table, ids=ids)


@exercise.property(points=1, inputs=rows)
def types(student, table, ids):
    """float32 in, float32 out."""
    looking.types(student.embedding, table, ids=ids)
