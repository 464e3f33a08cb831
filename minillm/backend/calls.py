"""Calls of an op: how its arguments are sorted, and how its rule is run on arrays."""

import inspect
import itertools
from collections.abc import Callable

from minillm import backend
from minillm.backend import switch
from minillm.backend.array_like import ArrayLike
from minillm.backend.arrays import (
    HALF,
    any_half,
    as_float_array,
    plain_number,
    widened,
)
from minillm.backend.registry import body_of

# Most settings are of these types, and go to the rule as they are.
PLAIN = {bool, int, float, str, tuple, slice, type(None)}


class Call:
    """Sorts the arguments of a call as a rule takes them: arrays by position, settings
    by name. A rule for any number of arrays also takes them as one list, and text
    before them, which is no array, as its first setting: `einsum("ij->i", x)`. To one
    that takes any name (`**others`) all is handed on as it comes.

    Then runs the rule, after `check`, where its arrays are, by its faster body there.
    """

    def __init__(self, rule: Callable, check: Callable | None = None):
        self.rule, self.check = rule, check
        self.name = rule.__name__
        written = inspect.signature(rule)
        parameters = list(written.parameters.values())
        settings = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        arrays = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.arrays = [p.name for p in arrays]
        self.first_setting = settings[0].name if settings else None
        # What has a default may be left out, and be given by name, whatever it is.
        self.least = sum(p.default is p.empty for p in arrays)
        self.known = {p.name for p in parameters if p.default is not p.empty}
        self.needed = {p.name for p in settings if p.default is p.empty}
        # Arrays that may be left out; given by name, they may want a gradient too.
        self.optional = {p.name for p in arrays if p.default is None}
        self.known |= self.needed
        self.any_number = any(p.kind is p.VAR_POSITIONAL for p in arrays)
        self.any_name = any(p.kind is p.VAR_KEYWORD for p in arrays)
        # So many arrays and nothing else need no sorting.
        fixed = not self.needed and not self.any_number and not self.optional
        self.n_arrays_without_settings = len(arrays) if fixed else None
        # Calls that need none either, as (number of arrays, *names of settings).
        self.fitting = set()
        by_position = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters]
        try:
            self.loose = written.replace(parameters=by_position)
        except ValueError:  # one that is needed follows one that is not
            self.loose = written
        self.shown = written if self.any_number or self.any_name else self.loose

    def sort(self, inputs: tuple, settings: dict) -> tuple[tuple, dict]:
        """(arrays, settings). Raises TypeError for what the op does not take."""
        if self.optional:
            self._refuse_booleans(inputs[self.least :])
        written = (len(inputs), *settings)
        if written in self.fitting:
            return inputs, settings
        listed = self.any_number and inputs and isinstance(inputs[0], (list, tuple))
        text = self.any_number and inputs and isinstance(inputs[0], str)
        if text and self.first_setting:
            settings = {self.first_setting: inputs[0], **settings}
            inputs = inputs[1:]
        fits = self.any_number or self.least <= len(inputs) <= len(self.arrays)
        by_name = self.optional and not self.optional.isdisjoint(settings)
        known = not by_name and self.needed <= settings.keys() <= self.known
        if fits and not listed and known:
            if not self.any_number:  # the first of which may be a list
                self.fitting.add(written)
            return inputs, settings
        if self.any_name:
            return inputs, settings
        try:
            signature = self.loose if listed else self.shown
            given = signature.bind(*inputs, **settings).arguments
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}: {self._how()}") from None
        first = itertools.takewhile(given.__contains__, self.arrays)
        arrays = [given.pop(name) for name in first]
        return tuple(arrays[0] if listed else arrays), given

    def settings(self, given: dict, recording: bool) -> dict:
        """What the rule gets for settings: no Tensor, and no number of NumPy. Raises
        TypeError for a Tensor that would want a gradient, while ops are recorded."""
        if PLAIN.issuperset(map(type, given.values())):
            return given
        return {key: self._plain(key, x, recording) for key, x in given.items()}

    def _plain(self, key: str, x, recording: bool):
        if type(x) in PLAIN:
            return x
        if isinstance(x, ArrayLike):
            if x.requires_grad and recording:
                raise TypeError(
                    f"{self.name} gives no gradient to its setting {key}: pass "
                    f"{key}.data" + ", or, where it learns, a bias" * (key == "mask")
                )
            x = x.data
        return plain_number(x)

    def _refuse_booleans(self, optional: tuple) -> None:
        """What looks like a mask and would be added as zeros and ones."""
        for name, x in zip(self.arrays[self.least :], optional, strict=False):
            if "bool" in str(getattr(x, "dtype", type(x))):
                raise TypeError(
                    f"{self.name}: {name} is of booleans, which have no gradient: give "
                    f"a setting by its name, such as mask=: {self._how()}"
                )

    def _how(self) -> str:
        bare = [p.replace(annotation=p.empty) for p in self.shown.parameters.values()]
        return f"it is {self.name}{inspect.Signature(bare)}"

    def run(self, arrays: list, settings: dict) -> tuple:
        """(value, pullbacks) of the rule. Half precision is computed in float32, and
        the value rounded to it where there was nothing else.

        An error of the rule gets a note with the op and its shapes. Raises TypeError
        for a rule that returns no pullback.
        """
        device = switch.of(*arrays)
        if device is None:  # only Python numbers: float32, as in Tensor(2)
            device = switch.current()
            arrays = [None if x is None else as_float_array(x) for x in arrays]
        if self.check is not None:
            self.check(*arrays, **settings)
        narrow = False
        if any_half(arrays):
            arrays, narrow = widened(arrays)
        body = body_of(self.rule, device.kind)
        try:
            answer = switch.run_in(device, body, arrays, settings)
        except Exception as error:
            backend.note_forward(error, self.name, self.arrays, arrays)
            raise
        if not isinstance(answer, tuple) or len(answer) < 2:
            raise TypeError(
                f"{self.name} must return its value and pullbacks, as a tuple"
            )
        value, *pullbacks = answer
        if type(value) is not device.array_type:  # a full sum may be a number
            value = device.xp.asarray(value)
        return value.astype(HALF) if narrow else value, pullbacks
