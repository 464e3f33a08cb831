"""What comes before a plan: the text of a series, and the speed of its sizes."""

from dataclasses import replace

import pytest

from minillm.errors import DataError, DeviceError, MinillmError, UsageError
from minillm.series import scale, speed
from minillm.series.series_text import prepared
from minillm.series.speed import probe


@pytest.mark.parametrize("budget", [0, -1.0, float("nan"), "1h"])
def test_a_budget_is_a_time(tiny, words, tmp_path, budget):
    with pytest.raises(UsageError, match="budget"):
        scale(tiny, data=words, out=tmp_path / "a", budget=budget)


def test_a_text_too_short_for_a_law_is_refused(tiny, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("to be or not to be\n" * 700, "utf-8")
    with pytest.raises(DataError, match=r"short.txt: .* needs at least 20,000"):
        scale(tiny, data=str(path), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_too_short_for_all_tokens_gives_fewer(tiny, words):
    text, kind, tokens, warnings = prepared(replace(tiny, tokens=10**7), words)
    assert kind == "chars"
    assert tokens % tiny.tokens_per_step == 0
    assert len(text.train) - 64 - 1024 <= tokens + 64 <= len(text.train)
    assert "instead of 10,000,000" in warnings[0]


def test_a_text_of_many_characters_is_read_by_bytes(tiny, tmp_path):
    path = tmp_path / "文.txt"
    path.write_text("".join(map(chr, range(0x4E00, 0x6E00))) * 4, "utf-8")
    text, kind, _, warnings = prepared(tiny, str(path))
    assert (kind, text.tokenizer.kind, text.tokenizer.vocab_size) == (
        "bytes",
        "bytes",
        256,
    )
    assert "nats per byte" in warnings[0]


def no_device(*_):
    raise DeviceError("there is none")


def test_a_probe_that_fails_keeps_its_exit_code(tiny, words, monkeypatch):
    monkeypatch.setattr(speed, "step_seconds", no_device)
    text, kind, tokens, _ = prepared(tiny, words)
    config = tiny.config(4, data=words, tokenizer=kind, tokens=tokens, seed=0)
    with pytest.raises(MinillmError, match="probing 4-0: there is none") as failure:
        probe({4: config}, text, workers=1, seconds=0.1)
    assert failure.value.exit_code == DeviceError.exit_code


def test_a_probe_measures_every_size_and_leaves_nothing(
    tiny, words, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    text, kind, tokens, _ = prepared(tiny, words)
    configs = {
        width: tiny.config(width, data=words, tokenizer=kind, tokens=tokens, seed=0)
        for width in (4, 128)
    }
    found = probe(configs, text, workers=3, seconds=0.3)
    assert set(found) == {4, 128}
    assert 0 < 1.5 * found[4] < found[128] < 1
    assert list(tmp_path.iterdir()) == []
