"""Places: where a layout keeps the weights of one parameter of ours."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """The tensors of a layout that one parameter of ours is cut into, side by side:
    their names, and how many of its columns each takes. `turned`: they lie transposed,
    [out, in], as in `torch.nn.Linear`.

    `rows` is None for a vector. Where ours `may_lack` it, zeros do the same. Where the
    layout has the numbers of a token in another order, `row_order` and `column_order`
    say which of ours comes where. `copies`: names under which it is written again.
    """

    names: tuple[str, ...]
    columns: tuple[int, ...]
    rows: int | None = None
    turned: bool = False
    may_lack: bool = False
    row_order: np.ndarray | None = None
    column_order: np.ndarray | None = None
    copies: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """That of our parameter."""
        width = sum(self.columns)
        return (width,) if self.rows is None else (self.rows, width)

    def zeros(self) -> dict[str, np.ndarray]:
        """What stands for a bias that our model does not have."""
        if not self.may_lack:
            raise ValueError(f"no parameter of ours for {self.names[0]}")
        return self.cut(np.zeros(self.shape, np.float32))

    def cut(self, array: np.ndarray) -> dict[str, np.ndarray]:
        """Our parameter as the layout's tensors, by name."""
        if array.shape != self.shape:
            raise ValueError(f"{self.names[0]}: {array.shape} is not {self.shape}")
        if self.row_order is not None:
            array = array[self.row_order]
        if self.column_order is not None:
            array = array[..., self.column_order]
        parts = np.split(array, np.cumsum(self.columns)[:-1], axis=-1)
        parts = [part.T if self.turned else part for part in parts]
        named = dict(zip(self.names, parts, strict=True))
        return named | dict.fromkeys(self.copies, parts[0])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Those of the layout's tensors."""
        if self.rows is None:
            sizes = [(width,) for width in self.columns]
        elif self.turned:
            sizes = [(width, self.rows) for width in self.columns]
        else:
            sizes = [(self.rows, width) for width in self.columns]
        return dict(zip(self.names, sizes, strict=True))

    def put(self, ours, name: str, rows: slice, part) -> None:
        """Copy these rows of the tensor `name` of the layout to where they belong in
        our parameter. What `cut` undoes."""
        at = self.names.index(name)
        first = sum(self.columns[:at])
        if self.turned or self.rows is None:
            columns = _some(self.column_order, first + rows.start, first + rows.stop)
            mine = _some(self.row_order, 0, self.rows)
        else:
            columns = _some(self.column_order, first, first + self.columns[at])
            mine = _some(self.row_order, rows.start, rows.stop)
        if self.rows is None:
            ours[columns] = part
        elif isinstance(mine, np.ndarray) and isinstance(columns, np.ndarray):
            ours[np.ix_(mine, columns)] = part.T if self.turned else part
        else:
            ours[mine, columns] = part.T if self.turned else part


def _some(order: np.ndarray | None, begin: int, end: int | None):
    """Which of ours lie at these places of the layout."""
    return slice(begin, end) if order is None else order[begin:end]


# Our parameter's name -> its place.
Places = dict[str, Place]


def table(ours: str, theirs: str, n: int, width: int) -> Places:
    """A vector for each of n numbers."""
    return {ours: Place((theirs,), (width,), n)}


def vector(ours: str, theirs: str, width: int, *, may_lack: bool = False) -> Places:
    """One number a column."""
    return {ours: Place((theirs,), (width,), may_lack=may_lack)}


def linear(
    ours: str,
    theirs: tuple[str, ...],
    d_in: int,
    d_outs: tuple[int, ...],
    *,
    bias: bool = True,
    turned: bool = True,
) -> Places:
    """A linear map of ours, and the maps of theirs that it holds side by side."""
    weights = tuple(f"{name}.weight" for name in theirs)
    found = {f"{ours}.weight": Place(weights, d_outs, d_in, turned)}
    if bias:
        biases = tuple(f"{name}.bias" for name in theirs)
        found[f"{ours}.bias"] = Place(biases, d_outs, may_lack=True)
    return found


def layer_norm(ours: str, theirs: str, width: int) -> Places:
    """A layer norm: a gain, which they call weight, and a bias."""
    gain = vector(f"{ours}.gain", f"{theirs}.weight", width)
    return gain | vector(f"{ours}.bias", f"{theirs}.bias", width, may_lack=True)
