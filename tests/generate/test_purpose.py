"""What a run was not trained for, it refuses, and says what it can do instead."""

import pytest

from minillm.errors import UsageError
from minillm.generation import Dialogue, fill, generate, stream

TASKS = {
    "generate": lambda run: generate(run, "a"),
    "generate with beams": lambda run: generate(run, "a", beams=2),
    "stream": lambda run: next(stream(run, "a")),
    "chat": lambda run: Dialogue(run),
    "fill": lambda run: fill(run, "a [MASK]"),
}
WRITE = {"generate", "generate with beams", "stream"}
CAN = {
    "clm": {*WRITE, "chat"},
    "seq2seq": WRITE,
    "mlm": {"fill"},
    "mlm+nsp": {"fill"},
    "classify": set(),
}
SAID = {
    "clm": "a causal model, which continues texts (`minillm generate`)",
    "seq2seq": "an encoder–decoder, which answers a source (`minillm generate`)",
    "mlm": "a masked model, which fills gaps (`minillm fill`)",
    "mlm+nsp": "a masked model, which fills gaps (`minillm fill`)",
    "classify": "a classifier, which labels texts (`minillm classify`)",
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("objective", CAN)
def test_a_run_does_what_it_was_trained_for(runs, reverser, objective, task):
    run = reverser.path if objective == "seq2seq" else runs[objective]
    if task in CAN[objective]:
        TASKS[task](run)
    else:
        with pytest.raises(UsageError) as error:
            TASKS[task](run)
        assert str(error.value).startswith(f"{run}: is {SAID[objective]}: it cannot ")
