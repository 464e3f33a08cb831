"""Training a GPT opens few files of the house, and no large library beside NumPy."""

import subprocess
import sys

import pytest

from minillm_cli.main import COMMANDS

# Each is made unimportable; what needs one of them has to ask for it itself.
WITHOUT = ("tokenizers", "safetensors", "matplotlib", "rich", "click")
BLOCK = f"import sys; sys.modules.update(dict.fromkeys({WITHOUT}))\n"

ENGINE = """
from minillm import Tensor, nn, ops
from minillm.testing import check_gradients
import numpy as np
layer = nn.Linear(3, 2, init=nn.Initializer(np.random.default_rng(0)))
ops.gelu(layer(Tensor(np.ones((4, 3), np.float32)))).sum().backward()
assert layer.weight.grad.shape == layer.weight.data.shape
check_gradients(ops.tanh, np.linspace(-1, 1, 5))
"""
BOOK = """
from pathlib import Path
Path("book.txt").write_text("the cat sat on the mat. " * 400, "utf-8")
"""
LEARNER = """
from minillm import Learner, TrainConfig, prepare
config = TrainConfig(
    size="pico", data="book.txt", steps=4, batch=4, tokenizer="chars"
).resolve()
with Learner(config, prepare(config)) as learner:
    losses = [learner.step(step).loss for step in range(4)]
    score = learner.evaluate()
assert losses[-1] < losses[0] and score.tokens.loss < losses[0]
"""
TRAIN = """
from minillm import train
shape = {"size": "pico", "steps": 2, "batch": 4, "workers": "2"}
train(data="book.txt", tokenizer="chars", out="run", draw=False, **shape)
"""
LAW = """
from minillm import fit
sizes = [1e4, 3e4, 1e5, 3e5, 1e6, 3e6]
found = fit({"N": sizes, "loss": [1.5 + 40 * n**-0.4 for n in sizes]})
assert abs(found.parameters["E"] - 1.5) < 0.01
"""


def run(code: str, folder) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code", [ENGINE, BOOK + LEARNER, LAW], ids=["engine", "gpt", "law"]
)
def test_numpy_is_all_that_is_needed(code, tmp_path):
    run(BLOCK + code, tmp_path)


def test_a_gpt_opens_few_files(tmp_path):
    """A reader who follows the imports of a training run has these to read."""
    count = "import sys; print(*(m for m in sys.modules if m.startswith('minillm')))"
    opened = run(BOOK + LEARNER + count, tmp_path).split()
    assert len(opened) <= 60, sorted(opened)


def test_a_run_waits_for_no_large_library(tmp_path):
    """Until its last step; only the picture of its curve needs matplotlib."""
    blocked = sorted({*WITHOUT} - {"rich", "click"})
    block = f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
    count = "print(*(m for m in sys.modules if m.startswith('minillm')))"
    opened = run(block + BOOK + TRAIN + count, tmp_path).splitlines()[-1].split()
    assert len(opened) <= 125, sorted(opened)


def test_the_package_itself_opens_next_to_nothing(tmp_path):
    """Its names are there at once; their files are opened when they are used."""
    heavy = "('minillm', 'numpy', 'matplotlib')"
    show = f"print(*sorted(m for m in sys.modules if m.startswith({heavy})))"
    opened = run(f"import sys, minillm; {show}", tmp_path).split()
    assert opened == ["minillm", "minillm.lazy"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_waits_for_no_large_library(command, tmp_path):
    """NumPy is needed where an option's choices stand beside the models."""
    needed = ("numpy",) if command in ("train", "scale", "graph") else ()
    argv = [*filter(None, [command]), "--help"]
    blocked = {*WITHOUT, "numpy"} - {"click", *needed}
    block = f"import sys; sys.modules.update(dict.fromkeys({sorted(blocked)}))\n"
    code = f"from minillm_cli.main import main; sys.exit(main({argv}))"
    assert "Usage: minillm" in run(block + code, tmp_path)
