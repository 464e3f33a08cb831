"""Writes of a rule into what is not its own: found, and named with op and argument.

On NumPy rules and pullbacks get read-only views. What goes round them, as through
`.base`, and what happens on CuPy, which has no such flag, is found by comparing a
checksum of each array before and after. Kernels, made to write, are left alone.
"""

import collections
import contextlib
import contextvars
import copy
import functools
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from minillm.backend.notes import calling_line, note_pullback_of, parameters
from minillm.backend.pullbacks import joint
from minillm.backend.registry import is_kernel, observed
from minillm.backend.switch import to_numpy

_answers = contextvars.ContextVar("answers of watched pullbacks", default=None)
G = "the incoming gradient g"


class WriteError(RuntimeError):
    """An array was written into that others still need. `kind` is "write", or "shared"
    where it is a gradient that a pullback has returned before."""

    def __init__(self, message: str, kind: str = "write"):
        super().__init__(message)
        self.kind = kind

    def add_note(self, note: str) -> None:
        """It has said where it was raised."""


@dataclass
class Answer:
    """A gradient that a pullback returned, and what was in it then."""

    op: str
    array: object
    contents: object

    def verify(self) -> None:
        if contents(self.array) != self.contents:
            raise WriteError(
                f"the pullback of {self.op} returns a gradient that is written into "
                f"later, while others need it: return a new array each time",
                "shared",
            )


@contextlib.contextmanager
def watching(keep: bool = False) -> Iterator[Collection[Answer]]:
    """Have rules and pullbacks that write into what they are given raise WriteError, in
    this thread, for the length of the block; so do arrays that change between forward
    and backward. Yields the gradients that pullbacks return, if they are to be kept."""
    answers = [] if keep else collections.deque(maxlen=0)
    token = _answers.set(answers)
    try:
        with observed(_watched):
            yield answers
        for answer in answers:
            answer.verify()
    finally:
        _answers.reset(token)


def _watched(name: str, body: Callable) -> Callable:
    """The body of an op, watched."""
    if is_kernel(name):
        return body

    @functools.wraps(body)  # its signature has the names of the arguments
    def run(*arrays, **settings):
        return _Run(name, body, arrays, settings).forward()

    return run


@dataclass
class _Run:
    """One call of a rule, and then of its pullbacks."""

    name: str
    body: Callable
    arrays: tuple
    settings: dict
    answers: list[Answer] = field(default_factory=list)

    def forward(self):
        self.called = f"{self.name} was called at {calling_line()}"
        self.names = parameters(self.body, len(self.arrays))
        named = zip(self.names, self.arrays, strict=True)
        self.given = {f"argument {name}": array for name, array in named}
        self.given |= {f"setting {name}": x for name, x in self.settings.items()}
        self.before = {what: contents(x) for what, x in self.given.items()}
        arrays, settings = map(read_only, self.arrays), read_only(self.settings)
        try:
            answer = self.body(*arrays, **settings)
        except Exception as error:
            self._blame(error, None)
            raise
        for what in self._changed(self.given):
            raise self._error(f"the forward of {self.name}", what)
        if not isinstance(answer, tuple) or len(answer) < 2:
            return answer  # the op says what is wrong
        value, *pullbacks = answer
        _release(value, self.arrays)
        self.given["the value"] = value
        self.before["the value"] = contents(value)
        return value, *(self._guarded(p, i) for i, p in enumerate(pullbacks))

    def _guarded(self, pullback, place: int):
        if not callable(pullback):
            return pullback
        # A marked one has it inside; `adding` is left off: it then answers an array.
        inner = getattr(pullback, "pullback", pullback)
        is_joint = isinstance(pullback, joint)
        known = not is_joint and place < len(self.names)
        argument = self.names[place] if known else "all arguments"

        @functools.wraps(inner)
        def guarded(g):
            return self.pull(inner, place, argument, g)

        return joint(guarded) if is_joint else guarded

    def pull(self, pullback, place: int, argument: str, g):
        if _answers.get() is None:  # the block is over
            return pullback(g)
        for what in self._changed(self.given):
            raise WriteError(
                f"{what} of {self.called.replace(' was called', '')} was changed after "
                f"the op ran and before its gradient was taken, which would be that of "
                f"another place: change data after backward(), or a copy of it"
            )
        given, self.before[G] = {**self.given, G: g}, contents(g)
        try:
            answer = pullback(read_only(g))
        except Exception as error:
            self._blame(error, place, g)
            note_pullback_of(error, self.name, argument, given)
            raise
        for what in self._changed(given):
            raise self._error(f"the pullback of {self.name}", what)
        for earlier in self.answers:
            earlier.verify()
        found = answer if isinstance(answer, (tuple, list)) else (answer,)
        found = [Answer(self.name, array, contents(array)) for array in found]
        self.answers.extend(found)
        _answers.get().extend(found)
        return answer

    def _changed(self, given: dict) -> list[str]:
        return [what for what, x in given.items() if contents(x) != self.before[what]]

    def _error(self, who: str, what: str) -> WriteError:
        noun = what.replace("argument", "input") if "forward" in who else what
        its = "" if noun.startswith("the ") else "its "
        return WriteError(f"{who} writes into {its}{noun} ({self.called})")

    def _blame(self, error: Exception, place: int | None, g=None) -> None:
        """Raise WriteError where it was a read-only flag that a rule ran into: the one
        that stops it on copies, of which all others may be written into."""
        if not _says_read_only(error):
            return
        if self._stops(None, place, g):
            return  # an array of the rule's own is read-only
        who = f"the {'forward' if place is None else 'pullback'} of {self.name}"
        for what in [*self.given] if place is None else [*self.given, G]:
            if self._stops(what, place, g):
                raise self._error(who, what) from error

    def _stops(self, locked: str | None, place: int | None, g) -> bool:
        """Whether a rule that gets copies, this one read-only, runs into its flag."""
        try:
            self._rerun(locked, place, g)
        except Exception as error:
            return _says_read_only(error)
        return False

    def _rerun(self, locked: str | None, place: int | None, g) -> None:
        """The forward, and the pullback at this place, with one array read-only."""
        arrays, settings, g = copy.deepcopy((list(self.arrays), self.settings, g))
        for i, name in enumerate(self.names):
            if locked == f"argument {name}":
                arrays[i] = read_only(arrays[i])
        for name, value in settings.items():
            if locked == f"setting {name}":
                settings[name] = read_only(value)
        answer = self.body(*arrays, **settings)
        if place is not None:
            answer[1 + place](read_only(g) if locked == G else g)


def _says_read_only(error: Exception) -> bool:
    return "read-only" in str(error)


def read_only(value):
    """Arrays, alone or among others, as views that cannot be written into, where the
    library has such."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if type(value) is dict:
        return {name: read_only(part) for name, part in value.items()}
    if type(value) is tuple:
        return tuple(map(read_only, value))
    return value


def _release(value, arrays) -> None:
    """Let a value that is a view of an argument be written into as before: it is data,
    which its owner may change after backward."""
    if isinstance(value, np.ndarray) and not value.flags.writeable:
        owners = [a for a in arrays if isinstance(a, np.ndarray) and a.flags.writeable]
        if any(np.may_share_memory(value, array) for array in owners):
            with contextlib.suppress(ValueError):  # stretched over axes, for one
                value.flags.writeable = True


def contents(value):
    """A short print of what can be written into; of all else, nothing."""
    if isinstance(value, (tuple, list)):
        return [repr(x) if isinstance(x, (int, float)) else contents(x) for x in value]
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return zlib.crc32(np.ascontiguousarray(to_numpy(value)).reshape(-1).view("u1"))
    return None
