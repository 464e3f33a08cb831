"""`minillm sizes` shows what the counting functions say."""

import json

from minillm.learning.config import TrainConfig
from minillm.models import SIZES, ModelConfig, count


def test_sizes_are_counted_for_the_vocabulary_asked_for(minillm):
    record = json.loads(minillm("sizes", "--vocab", "300", "--json")[1])
    assert list(record["sizes"]) == list(SIZES)
    nano = record["sizes"]["nano"]
    config = ModelConfig(300, 2, 32, 2, 128, tied=TrainConfig.tied)
    assert nano["parameters"] == count.parameters(config)
    assert nano["flops_per_token"] > 6 * nano["parameters"]["non_embedding"]
    assert nano["memory_bytes"] > 0


def test_more_replicas_and_longer_batches_take_more_memory(minillm):
    def memory(*argv):
        sizes = json.loads(minillm("sizes", *argv, "--json")[1])["sizes"]
        return sizes["tiny"]["memory_bytes"]

    assert memory("--batch", "1") < memory()
    assert memory() < memory("--workers", "2")


def test_the_table_fits_eighty_columns(minillm):
    out = minillm("sizes")[1]
    assert all(len(line) <= 80 for line in out.splitlines())
    assert all(name in out for name in SIZES)


def test_a_vocabulary_of_nothing_is_refused(minillm):
    assert minillm("sizes", "--vocab", "0")[0] == 2
