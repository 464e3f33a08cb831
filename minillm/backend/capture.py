"""A captured step: a computation that is recorded once and repeated as bare calls.

One token of a small model takes few multiplications: most of its time goes into what
stands around them. Each op sorts its arguments, checks them, chooses a backend and a
body, takes fresh memory for its value and makes pullbacks that nobody asks for. All of
that comes out the same for every token, since shapes, weights and settings are the
same: only the numbers in the arrays differ.

So the step is run once while a `Capture` stands in the place of every body. It gives
each op an array of its own for the value, which stays where it is, and notes the calls
of NumPy that fill it, such as `x.dot(w, out)`. `repeat` makes these calls again and
nothing else. The idea is that of a CUDA graph, which is captured and replayed.

What is captured must not change: the shapes, the arrays that hold weights, the settings
of the ops, and which way an `if` went. What may change are the numbers in the arrays.
Those that no op computes, such as positions, are made by `backend.anew`, which makes
them again with every repetition; and a kernel that is given a cache looks into it anew.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from minillm.backend.registry import capturing, is_kernel, is_ours

_makers: dict[str, Callable] = {}


def captured(name: str) -> Callable:
    """Register how an op or kernel of this name is captured on a CPU: a function of its
    arguments that returns the array of its value and the calls that fill it. It returns
    None for arguments that it does not cover."""

    def register(maker):
        _makers[name] = maker
        return maker

    return register


class Capture:
    """The calls of one step, in order.

    `known` are the arrays that the step begins with: weights, caches, token ids. An op
    on any other array is a `problem`: whoever made it would have to make it again for
    the next step, and the capture knows nothing of that. The step is computed to its
    end all the same, and is not to be repeated.
    """

    def __init__(self, known: Iterable[np.ndarray]):
        self.calls: list[Callable] = []
        self.problem: str | None = None
        # By id: equal arrays are two. They are kept, so that no id is used again.
        self._given = {id(array): array for array in known}
        self._computed = {}

    def run(self, step: Callable):
        """step(), captured. Returns what it returns."""
        with capturing(self), np.errstate(over="ignore"):
            return step()

    def repeat(self) -> None:
        """The same step with the numbers that now stand in the arrays."""
        with np.errstate(over="ignore"):  # of exp in a sigmoid, whose value is then 0
            for call in self.calls:
                call()

    def holds(self, array) -> bool:
        """Whether the step computes this very array."""
        return id(array) in self._computed

    def keep(self, make: Callable) -> np.ndarray:
        """See `backend.anew`."""
        value = np.array(make())
        return self._add(value, [lambda: np.copyto(value, make())], done=True)

    def body_for(self, name: str, body: Callable) -> Callable:
        """What runs in the place of this op's or kernel's body, see `observed`."""

        def run(*arrays, **settings):
            self._look_at(name, arrays, settings)
            value = self._value(name, body, arrays, settings)
            return value if is_kernel(name) else (value, None)

        return run

    def _value(self, name, body, arrays, settings) -> np.ndarray:
        made = None
        if name in _makers and is_ours(name, body):
            made = _makers[name](*arrays, **settings)
        if made is not None:
            return self._add(*made)
        if is_kernel(name):
            self.problem = self.problem or f"the kernel {name} cannot be captured"
            return body(*arrays, **settings)
        value = np.asarray(body(*arrays, **settings)[0])
        if any(np.may_share_memory(value, x) for x in _arrays_in(arrays)):
            return self._add(value, [])  # a view shows the numbers that now stand there

        def again():
            np.copyto(value, body(*arrays, **settings)[0])

        return self._add(value, [again], done=True)

    def _add(self, value, calls, *, done: bool = False) -> np.ndarray:
        if not done:
            for call in calls:
                call()
        self.calls += calls
        self._computed[id(value)] = value
        return value

    def _look_at(self, name, arrays, settings) -> None:
        for array in _arrays_in([*arrays, *settings.values()]):
            if id(array) not in self._given and not self.holds(array):
                self.problem = self.problem or (
                    f"{name} is given an array that no op made: backend.anew makes one "
                    f"for every step"
                )
        if name == "getitem" and not self.holds(arrays[0]):
            self.problem = self.problem or (
                "a part of what is given is taken, perhaps another one in each step: "
                "use embedding, with ids that backend.anew makes"
            )


def _arrays_in(values) -> Iterable[np.ndarray]:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _arrays_in(value)


def rows_of(x) -> tuple[np.ndarray, list[Callable]]:
    """(x as rows, the calls that bring them up to date): a view, or where x does not
    lie in rows a copy.   (..., D) -> (N, D)"""
    rows = x.reshape(-1, x.shape[-1])
    if np.may_share_memory(rows, x):
        return rows, []
    return rows, [partial(np.copyto, rows.reshape(x.shape), x)]
