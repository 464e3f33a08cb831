"""Inputs of the ops that a GPT does without: as in `inputs.py`."""

import math

import numpy as np

from minillm.testing import inputs
from minillm.testing.choices import DISTINCT, Choices, Domain


def unlike_pair(c: Choices, domain: Domain):
    """No number of the one equals one of the other: equal ones are a kink."""
    below, above = c.broadcastable(2)
    numbers = c.numbers((2, 64), DISTINCT).reshape(-1)
    return [
        numbers[:64][: math.prod(below)].reshape(below),
        numbers[64:][: math.prod(above)].reshape(above),
    ], {}


def clip(c: Choices, domain: Domain):
    """Limits that no number is at."""
    x = c.numbers(c.shape(), domain)
    places = np.sort(np.append(x.ravel(), (-9.0, 9.0)))
    between = (places[1:] + places[:-1]) / 2
    low, high = sorted((c.integer(0, x.size), c.integer(0, x.size)))
    limits = {"min": float(between[low]), "max": float(between[high])}
    return [x], {**limits, **c.one_of({}, {"min": None}, {"max": None})}


def stack(c: Choices, domain: Domain):
    shape = c.shape()
    arrays = [c.numbers(shape, domain) for _ in range(c.integer(1, 3))]
    return arrays, {"axis": c.integer(-len(shape) - 1, len(shape))}


def squeeze(c: Choices, domain: Domain):
    shape = tuple(c.one_of(1, n) for n in c.shape())
    ones = tuple(i for i, n in enumerate(shape) if n == 1)
    axis = c.one_of(None, ones, *[i - len(shape) for i in ones])
    return [c.numbers(shape, domain)], {"axis": axis}


def pad(c: Choices, domain: Domain):
    shape = c.shape(min_dims=1)
    each = tuple((c.integer(0, 2), c.integer(0, 2)) for _ in shape)
    settings = {"pad_width": c.one_of(1, (0, 2), each), "value": c.one_of(0.0, 3.0)}
    return [c.numbers(shape, domain)], settings


def broadcast_to(c: Choices, domain: Domain):
    shape, full = c.broadcastable(2)
    return [c.numbers(shape, domain)], {"shape": np.broadcast_shapes(shape, full)}


def take_along_axis(c: Choices, domain: Domain):
    """Some places twice, some not; the other axes are as long, or of length 1."""
    shape = c.shape(min_dims=1)
    axis = c.axis(len(shape))
    sides = [c.one_of(1, n) for n in shape]
    sides[axis] = c.integer(1, 5)
    indices = c.ids(shape[axis], tuple(sides)) - shape[axis] * c.integer(0, 1)
    return [c.numbers(shape, domain)], {"indices": indices, "axis": axis}


def tril(c: Choices, domain: Domain):
    return [c.numbers(c.shape(min_dims=2), domain)], {"k": c.integer(-2, 2)}


def einsum(c: Choices, domain: Domain):
    """Products, sums, diagonals, "...", axes that stretch, any number of arrays."""
    sides = {letter: c.integer(1, 3) for letter in "ijkl"}
    before = c.broadcastable(2, max_dims=2)
    subscripts = c.one_of(
        *("i->", "ij->ji", "ii", "ii->i", "iij->j", "i,i", "i,j->ij", "ij,jk", "ij,ij"),
        *("ij,kj->ik", "i,ij,j->", "ij,jk,kl->il", "iji,jk->ik", "ij,k->i", ",ij->j"),
        *("...ij,...jk->...ik", "...i,...i->...", "i...,...->...i", "...,...", "...ii"),
    )
    stretched = c.integer(0, 3)  # of the letters
    arrays = []
    for i, term in enumerate(subscripts.split("->")[0].split(",")):
        front, _, back = term.rpartition("...")
        leading = before[i] if "..." in term else ()
        sides_of = [
            tuple(1 if i and "ijkl"[stretched] == x else sides[x] for x in letters)
            for letters in (front, back)
        ]
        arrays.append(c.numbers((*sides_of[0], *leading, *sides_of[1]), domain))
    return arrays, {"subscripts": subscripts}


def variance(c: Choices, domain: Domain):
    [x], settings = inputs.reduction(c, domain)
    axis = settings["axis"]
    n = x.size // max(1, x.sum(axis).size)
    return [x], {**settings, "ddof": 1 if n > 1 and c.integer(0, 1) else 0}


def deviation(c: Choices, domain: Domain):
    """Of two numbers or more along the axes: that of one is 0, a kink."""
    [x], settings = variance(c, domain)
    if x.sum(settings["axis"]).size == x.size:
        x = c.numbers((*x.shape, 3), domain)
        settings |= {"axis": c.one_of(None, -1), "ddof": c.one_of(0, 1)}
    return [x], settings
