"""What is kept of the default corpus: used if whole, made again if not."""

import hashlib
import threading

import numpy as np
import pytest

from minillm.learning import data
from minillm.learning.config import TrainConfig
from minillm.learning.data import prepare
from minillm.runs.train import train
from minillm.text import cache as module
from minillm.text.sources import stdlib
from minillm.text.tokenizer.base import Tokenizer

DEFAULT = TrainConfig(vocab=300)
PARTS = ("train", "val")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the files, for a corpus that is read within a moment."""
    monkeypatch.setenv("MINILLM_CACHE", str(tmp_path / "cache"))
    library = {
        f"module_{i}.py": f"def function_{i}(x):\n    return x + {i} * {i}\n" * 40
        for i in range(40)
    }
    monkeypatch.setattr(stdlib, "standard_library", lambda: library)
    return tmp_path / "cache" / "encoded"


@pytest.fixture
def nothing_is_encoded(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("encoded again")

    monkeypatch.setattr(data, "train_tokenizer", refuse)
    monkeypatch.setattr(Tokenizer, "encode", refuse)


def assert_equal(one, other):
    for part in PARTS:
        assert np.array_equal(getattr(one, part), getattr(other, part))
        assert getattr(one, part).dtype == getattr(other, part).dtype == np.int32
    assert one.tokenizer.sha256 == other.tokenizer.sha256
    assert one.train_lost == other.train_lost
    assert one.val_lost == other.val_lost


def only(folder):
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
@pytest.mark.parametrize(
    "objective", [{"objective": "clm"}, {"objective": "mlm", "arch": "bert"}]
)
def test_the_second_time_gives_what_the_first_did(kind, objective, request):
    config = TrainConfig(vocab=300, tokenizer=kind, **objective)
    first = prepare(config)
    request.getfixturevalue("nothing_is_encoded")
    assert_equal(first, prepare(config))
    assert prepare(config, first.tokenizer).tokenizer.sha256 == first.tokenizer.sha256


def test_a_run_has_the_same_losses_with_and_without(tmp_path, monkeypatch):
    def losses(name):
        record = train(
            size="pico", vocab=300, steps=3, batch=2, out=str(tmp_path / name)
        )
        return record["results"]["train_loss"], record["results"]["val_loss"]

    made, kept = losses("made"), losses("kept")
    monkeypatch.setenv("MINILLM_CACHE", __file__)  # no folder: nothing is kept
    assert made == kept == losses("without")


@pytest.mark.parametrize(
    "changed", [{"vocab": 310}, {"objective": "mlm"}, {"tokenizer": "wordpiece"}]
)
def test_other_settings_are_another_file(changed, folder):
    prepare(DEFAULT)
    text = prepare(TrainConfig(**{"vocab": 300, **changed}))
    assert text.tokenizer.kind == changed.get("tokenizer", "bpe")
    assert text.tokenizer.vocab_size <= changed.get("vocab", 300)
    assert bool(text.tokenizer.specials) == ("vocab" not in changed)
    assert len([*folder.iterdir()]) == 2


def test_another_text_is_another_file(folder, monkeypatch):
    library = stdlib.standard_library()
    first = prepare(DEFAULT)
    monkeypatch.setattr(stdlib, "standard_library", lambda: {**library, "a": "b" * 9})
    assert prepare(DEFAULT).sha256 != first.sha256
    assert len([*folder.iterdir()]) == 2


def test_what_a_user_reads_is_not_kept(folder, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("the cat sat on the mat\n" * 200, encoding="utf-8")
    prepare(TrainConfig(vocab=300, data=str(book)))
    assert not folder.exists()


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_byte_changed(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(b"")


def with_its_hash(path, change):
    """Change what follows the hash, and the hash."""
    content = change(path.read_bytes().partition(b"\n")[2])
    sha256 = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(sha256 + b"\n" + content)


def an_id_that_is_none(path):
    with_its_hash(path, lambda content: content[:-2] + b"\xff\xff")


def one_id_less(path):
    with_its_hash(path, lambda content: content[:-2])


def no_tokenizer(path):
    with_its_hash(path, lambda content: content.replace(b'"merges"', b'"mergez"'))


def no_lengths(path):
    with_its_hash(path, lambda content: b"[]" + content)


@pytest.mark.parametrize(
    "damage",
    [
        *(halved, one_byte_changed, emptied),
        *(an_id_that_is_none, one_id_less, no_tokenizer, no_lengths),
    ],
)
def test_a_damaged_file_is_said_once_and_made_again(damage, folder):
    first = prepare(DEFAULT)
    path = only(folder)
    whole = path.read_bytes()
    damage(path)
    notes = []
    assert_equal(first, prepare(DEFAULT, note=notes.append))
    (note,) = notes
    assert str(path) in note
    assert "made again" in note
    assert path.read_bytes() == whole
    prepare(DEFAULT, note=notes.append)
    assert len(notes) == 1


def test_where_nothing_can_be_kept_nothing_is_said(folder, monkeypatch):
    notes = []
    first = prepare(DEFAULT)
    path = only(folder)
    path.unlink()
    path.mkdir()  # stands where the file would be written
    assert_equal(first, prepare(DEFAULT, note=notes.append))
    monkeypatch.setenv("MINILLM_CACHE", __file__)  # no folder
    assert_equal(first, prepare(DEFAULT, note=notes.append))

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("MINILLM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module.Path, "home", homeless)
    assert_equal(first, prepare(DEFAULT, note=notes.append))
    assert notes == []


def test_a_link_is_replaced_and_not_followed(folder, tmp_path):
    prepare(DEFAULT)
    path, other = only(folder), tmp_path / "mine.txt"
    other.write_text("mine", encoding="utf-8")
    path.unlink()
    path.symlink_to(other)
    prepare(DEFAULT)
    assert other.read_text(encoding="utf-8") == "mine"
    assert not path.is_symlink()


def test_only_the_files_used_last_stay(folder, monkeypatch):
    monkeypatch.setattr(module, "FILES", 2)
    prepare(TrainConfig(vocab=301))
    (first,) = folder.iterdir()
    left_over = folder / f".x.ids.{'0' * 16}.minillm"
    left_over.write_bytes(b"of a process that was killed")
    for path, age in (first, 300), (left_over, 200):
        seconds = path.stat().st_mtime - age
        module.os.utime(path, (seconds, seconds))
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    prepare(TrainConfig(vocab=302))
    assert not first.exists()  # the oldest of three
    prepare(TrainConfig(vocab=303))
    assert not left_over.exists()
    assert len([*folder.glob("*.ids")]) == 2
    assert (folder / "mine.txt").exists()


def test_what_is_used_counts_as_new(folder):
    prepare(DEFAULT)
    path = only(folder)
    module.os.utime(path, (0, 0))
    prepare(DEFAULT)
    assert path.stat().st_mtime > 1


def test_another_tokenizer_that_is_given_is_used_and_not_kept(folder):
    first = prepare(DEFAULT)
    whole = only(folder).read_bytes()
    other = prepare(TrainConfig(vocab=280)).tokenizer
    text = prepare(DEFAULT, other)
    assert text.tokenizer is other
    assert len(text.train) > len(first.train)
    assert whole in [path.read_bytes() for path in folder.iterdir()]
    assert_equal(first, prepare(DEFAULT))


def test_many_that_write_and_read_at_once_see_whole_files():
    found, notes = [], []

    def work():
        for _ in range(5):
            text = prepare(DEFAULT, note=notes.append)
            cache = data._cache(DEFAULT, data.read_corpus("stdlib", "windows"))
            names = ("tokenizer", "train", "val", "train_lost", "val_lost")
            cache.keep({name: getattr(text, name) for name in names})
            found.append(text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert notes == []
    for text in found:
        assert_equal(text, found[0])


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_platform_has_a_place_for_the_cache(platform, monkeypatch, tmp_path):
    for name in ("MINILLM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module.sys, "platform", platform)
    monkeypatch.setattr(module.Path, "home", lambda: tmp_path)
    place = module.cache_folder()
    assert tmp_path in place.parents
    assert "minillm" in place.parts
    monkeypatch.setenv("XDG_CACHE_HOME", "here")  # relative: to be ignored
    assert module.cache_folder() == place
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "x"))
    moved = {"linux": "x/minillm", "win32": "x/minillm/Cache"}
    expected = tmp_path / moved[platform] if platform in moved else place
    assert module.cache_folder() == expected
