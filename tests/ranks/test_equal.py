"""k ranks do what one does, and twice the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from minillm import load_run
from minillm_cli.main import main

pytestmark = pytest.mark.ranks
JOB = str(Path(__file__).with_name("job.py"))


def weights(run: str, step: int = 12) -> bytes:
    return Path(
        run, "checkpoints", f"step-{step:06d}", "model.safetensors"
    ).read_bytes()


def losses(run: str) -> list[float]:
    lines = Path(run, "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def workers(run: str) -> dict:
    return json.loads(Path(run, "run.json").read_text("utf-8"))["workers"]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_ranks_learn_what_one_process_learns_in_float64(n, ranks, here, learned):
    code, said = ranks(n, JOB, "equal", ".")
    assert code == 0, said
    found = [dict(np.load(f"rank-{rank}.npz")) for rank in range(n)]
    learn, archs = learned
    for arch in archs:
        for name, value in learn(arch).items():
            ours = found[0][f"{arch} {name}"]
            assert ours.dtype == value.dtype == np.float64
            within = {"gradient": 1e-12, "weights": 1e-9}.get(name, 1e-9)
            np.testing.assert_allclose(ours, value, rtol=0, atol=within)
            for other in found[1:]:  # to the last bit
                assert np.array_equal(other[f"{arch} {name}"], ours)


def test_two_ranks_train_as_two_processes_to_the_last_bit(train_on, options):
    code, said = train_on(2)
    assert code == 0, said
    assert said.count("next: minillm") == said.count("12/12") == 1  # of rank 0 alone
    assert "\x1b" not in said  # what a launcher says to a pipe is no terminal's
    assert workers("run") == {"kind": "ranks", "n": 2}
    assert main(["train", *options, "--out=alone", "--workers=2"]) == 0
    assert weights("run") == weights("alone")
    assert losses("run") == losses("alone")
    assert load_run("run").model.config == load_run("alone").model.config


def test_ranks_train_a_model_of_ones_own(ranks, here, own_model):
    code, said = ranks(2, JOB, "own", ".")
    assert code == 0, said
    assert workers("run") == {"kind": "ranks", "n": 2}
    alone = own_model(0, "alone", "2")
    for rank in (0, 1):
        found = np.load(f"rank-{rank}.npz")
        assert all(np.array_equal(found[name], alone[name]) for name in alone)


def test_two_runs_of_one_layout_are_the_same_to_the_last_bit(train_on):
    for run in ("a", "b"):
        code, said = train_on(4, f"--out={run}", "--dropout=0.1")
        assert code == 0, said
    assert weights("a") == weights("b")
    assert losses("a") == losses("b")


def test_a_run_of_four_ranks_goes_on_with_two_and_with_one_without_mpi(
    train_on, options, faulty
):
    assert main(["train", *options, "--out=alone", "--workers=1"]) == 0
    code, _ = faulty(4, "usr1", "step", 3, "--save-every=1")
    assert code == 143
    code, _ = faulty(2, "usr1", "evaluation", 1, "--resume")
    assert code == 143
    # The options of a run that goes on are its own: `--resume` and `--out` suffice.
    assert main(["train", "--resume", "--out=run"]) == 0
    record = json.loads(Path("run", "run.json").read_text("utf-8"))
    assert record["status"] == "finished"
    assert record["workers"]["kind"] != "ranks"
    assert np.allclose(losses("run"), losses("alone"), atol=1e-5)
    assert np.allclose(
        load_run("run").model.tokens.weight.data,
        load_run("alone").model.tokens.weight.data,
        atol=1e-3,
    )
