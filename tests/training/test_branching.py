"""A longer run that starts where a shorter one's cooldown began."""

from pathlib import Path

import pytest

from minillm.errors import UsageError
from minillm.learning.schedule import cooldown_begins, learning_rate
from minillm.runs import checkpoint
from minillm.runs.train import train

STEPS = (10, 20, 40)


@pytest.fixture
def run(config, texts, tmp_path):
    """Train, into a folder of the temporary one."""

    def go(out: str, **options) -> dict:
        made = config(warmup=3, dropout=0.1, out=str(tmp_path / out), **options)
        return train(made, text=texts["clm"], draw=False)

    return go


def weights(folder: Path) -> bytes:
    newest = checkpoint.latest(folder / "checkpoints")
    return (newest / "model.safetensors").read_bytes()


def test_a_chain_of_branches_is_what_each_run_would_be_alone(run, tmp_path):
    before = None
    for steps in STEPS:
        record = run(f"b{steps}", steps=steps, branch=True, start=before)
        alone = run(f"a{steps}", steps=steps)
        assert record["results"]["val_loss"] == alone["results"]["val_loss"]
        assert weights(tmp_path / f"b{steps}") == weights(tmp_path / f"a{steps}")
        before = str(tmp_path / f"b{steps}")


def test_only_the_steps_after_the_branch_are_trained(run, tmp_path):
    run("short", steps=20, branch=True)
    stem = cooldown_begins_of(20)
    kept = checkpoint.at(tmp_path / "short" / "checkpoints", stem)
    assert checkpoint.is_whole(kept)
    run("long", steps=40, start=str(tmp_path / "short"))
    lines = (tmp_path / "long" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 40  # those of the trunk are there too


def cooldown_begins_of(steps: int) -> int:
    return steps - round(0.2 * steps)


def test_the_rate_falls_from_where_the_cooldown_begins(config):
    made = config(steps=20, warmup=3, lr=1.0)
    begins = cooldown_begins(made)
    rates = [learning_rate(made, step) for step in range(20)]
    assert begins == 16
    assert set(rates[3 : begins + 1]) == {1.0}
    assert rates[begins + 1] < 1.0


def test_what_cannot_be_a_start_is_refused(run, config, tmp_path):
    run("kept", steps=20, branch=True)
    run("not-kept", steps=20)
    kept = str(tmp_path / "kept")
    with pytest.raises(UsageError, match="branch=True"):
        run("x", steps=40, start=str(tmp_path / "not-kept"))
    with pytest.raises(UsageError, match="more than its 10"):
        run("y", steps=10, start=kept)
    with pytest.raises(UsageError, match=r"instead of 0\.5"):
        run("z", steps=40, start=kept, lr=0.5)
    with pytest.raises(UsageError, match="wsd"):
        config(schedule="cosine", branch=True)
