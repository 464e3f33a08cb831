"""Einstein summation: sums of products, written by the letters of the axes."""

import string

import numpy as np

from minillm.backend import joint, xp
from minillm.tensor import op


def _fits(*arrays, subscripts) -> None:
    _plan(subscripts, [np.shape(x) for x in arrays])


@op(check=_fits)
def einsum(*arrays, subscripts: str):
    """A sum of products: einsum("bij,bjk->bik", x, y) multiplies batches of matrices.

    Each axis has a letter; a letter that the result does not have is summed over, "..."
    stands for any further axes, and axes of length 1 stretch, as in NumPy. Without
    "->" the result has the letters that occur once, sorted.
    """
    shapes = [np.shape(x) for x in arrays]
    terms, result, lengths = _plan(subscripts, shapes)
    dtype = xp.result_type(*[x for x in arrays if hasattr(x, "dtype")])
    factors = [xp.asarray(x, dtype) for x in arrays]
    # An axis of length 1 among longer ones is left out: it has one place.
    kept = [
        [(letter, n) for letter, n in zip(*both, strict=True) if n == lengths[letter]]
        for both in zip(terms, shapes, strict=True)
    ]
    factors = [
        x.reshape([n for _, n in its]) for x, its in zip(factors, kept, strict=True)
    ]
    terms = ["".join(letter for letter, _ in its) for its in kept]
    # A diagonal, "ii", is a product with the identity: "ij" times "ij".
    free = iter(sorted({*string.ascii_letters} - {*lengths}))
    for i, term in enumerate(terms):
        for place, letter in enumerate(term):
            if letter in term[:place]:
                twin = next(free)
                lengths[twin] = lengths[letter]
                terms[i] = terms[i][:place] + twin + terms[i][place + 1 :]
                factors.append(xp.eye(lengths[letter], dtype=dtype))
                terms.append(letter + twin)

    def pullback(g):
        """The gradient takes the place of each factor in turn."""
        gradients = []
        for i, shape in enumerate(shapes):
            others = [g, *factors[:i], *factors[i + 1 :]]
            theirs = [result, *terms[:i], *terms[i + 1 :]]
            for letter in sorted({*terms[i]} - {*"".join(theirs)}):
                others.append(xp.ones(lengths[letter], dtype))  # was summed over
                theirs.append(letter)
            gradients.append(_product(theirs, terms[i], others).reshape(shape))
        return gradients

    return _product(terms, result, factors), joint(pullback)


def _product(terms: list, result: str, factors: list):
    return xp.einsum(f"{','.join(terms)}->{result}", *factors, optimize=len(terms) > 1)


def _plan(subscripts, shapes: list) -> tuple[list, str, dict]:
    """The letters of each array, those of the result, and each letter's length.

    Raises ValueError for what does not fit.
    """
    what = f"einsum {subscripts!r:.60} of shapes {', '.join(map(str, shapes))}"
    if not isinstance(subscripts, str):
        raise TypeError(f"{what}: text such as 'ij,jk->ik' is needed")
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"{what}: {len(terms)} groups of letters, not {len(shapes)}")
    pairs = [*zip(terms, shapes, strict=True)]
    most = max(
        (len(shape) - len(term) + 3 for term, shape in pairs if "..." in term),
        default=0,
    )
    spare = sorted({*string.ascii_letters} - {*subscripts}, reverse=True)
    further = "".join(spare[: max(most, 0)])
    full = []
    for term, shape in pairs:
        n = len(shape) - len(term) + 3  # what "..." stands for
        if "..." in term and n >= 0:
            term = term.replace("...", further[len(further) - n :])
        if len(term) != len(shape) or not {*term} <= {*string.ascii_letters}:
            raise ValueError(f"{what}: {term!r} does not name each axis of {shape}")
        full.append(term)
    lengths = {}
    for term, shape in zip(full, shapes, strict=True):
        for letter, n in zip(term, shape, strict=True):
            if lengths.get(letter, 1) == 1:
                lengths[letter] = n
            elif n not in (1, lengths[letter]):
                raise ValueError(
                    f"{what}: {letter!r} has lengths {lengths[letter]} and {n}"
                )
    letters = "".join(full)
    result = right.replace("...", further)
    if not arrow:
        once = {x for x in letters if letters.count(x) == 1} - {*further}
        result = further + "".join(sorted(once))
    if len({*result}) < len(result) or not {*result} <= {*letters}:
        raise ValueError(f"{what}: the result names {result!r}")
    return full, result, lengths
