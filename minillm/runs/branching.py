"""Branches: longer runs that begin where a shorter one's cooldown began.

A warmup-stable-decay run of D tokens and one of D/2 are the same run until the shorter
one cools down. Trained as branches of one trunk, runs of D/8, D/4, D/2 and D cost 1.175
times the last one alone (Hu et al. 2024, section 4), and are to the last bit what they
would be if trained apart.
"""

import shutil
from pathlib import Path

from minillm.errors import UsageError, option
from minillm.files import replacing
from minillm.learning.config import TrainConfig
from minillm.learning.schedule import cooldown_begins
from minillm.runs import checkpoint
from minillm.runs.resume import differences
from minillm.runs.run import read_record

LONGER = {"steps", "eval_every"}  # what a branch may have otherwise than its trunk


def stem_of(config: TrainConfig) -> Path:
    """The checkpoint of the shorter run that a run starts from: the one of where the
    cooldown began.

    Raises UsageError where the other run is another, not shorter, or keeps none.
    """
    source = Path(config.start)
    record = read_record(source)
    for name, old, new in differences(record, config):
        if name not in LONGER:
            raise UsageError(
                f"{option('start', source)}: was trained with {name} {old} instead of "
                f"{new}"
            )
    shorter = TrainConfig.from_json(record["options"])
    step = cooldown_begins(shorter)
    if step > cooldown_begins(config):
        raise UsageError(
            f"{option('start', source)}: has {shorter.steps} steps, this run must "
            f"have more "
            f"than its {config.steps}"
        )
    stem = checkpoint.at(source / checkpoint.FOLDER, step)
    if not checkpoint.is_whole(stem):
        raise UsageError(
            f"{option('start', source)}: keeps no checkpoint of step {step}, where "
            f"its cooldown "
            f"began: train it with {option('branch', True)}"
        )
    return stem


def copy_stem(stem: Path, folder: Path) -> None:
    """Copy a checkpoint of another run, and the metrics so far, into a run's folder.

    Raises DataError where the disk refuses.
    """
    # The checkpoint last: a run that is killed in between has none, and no gap.
    with replacing(folder / "metrics.jsonl") as temporary:
        shutil.copyfile(stem.parent.parent / "metrics.jsonl", temporary)
    checkpoint.copy(stem, folder / checkpoint.FOLDER)
