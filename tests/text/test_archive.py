"""Archives are read like the folders that were packed, and damage never goes unseen."""

import gzip
import io
import shutil
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.errors import DataError
from minillm.text.corpus import load_corpus
from minillm.text.data_spec import is_archive
from minillm.text.sources import archive
from minillm.text.sources.archive import read_archive

TEXTS = {f"{place}/{i}.txt": f"text {i} 文\n" * 40 for place in "ab" for i in range(9)}
KINDS = {"zip": "zip", "tar": "tar", "gztar": "tar.gz"}


@pytest.fixture
def folder(tmp_path):
    for path, text in {**TEXTS, ".hidden/x": "\0", "a/blank": "\n"}.items():
        file = tmp_path / "texts" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "texts"


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_read_like_the_folder_that_was_packed(folder, tmp_path, kind):
    packed = load_corpus(shutil.make_archive(str(tmp_path / "packed"), kind, folder))
    plain = load_corpus(folder)
    assert (packed.sha256, packed.n_bytes) == (plain.sha256, plain.n_bytes)
    assert packed.documents("train") == plain.documents("train")
    assert packed.documents("val") == plain.documents("val")
    assert packed.note == f"an archive of {len(TEXTS)} text files"


def test_the_folder_around_all_files_does_not_count(folder, tmp_path):
    corpora = [load_corpus(folder), load_corpus(tmp_path)]
    for name, root, below in (("1", folder, "."), ("2", tmp_path, folder.name)):
        packed = shutil.make_archive(str(tmp_path / name), "zip", root, below)
        corpora.append(load_corpus(packed))
    assert len({corpus.sha256 for corpus in corpora}) == 1


def test_a_single_packed_file_is_cut_like_a_file(tmp_path):
    text = "".join(f"line {i}\n" for i in range(2_000)).encode()
    (tmp_path / "book.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "book.txt").write_bytes(text)
    packed, plain = (load_corpus(tmp_path / f"book.txt{end}") for end in (".gz", ""))
    assert (packed.train, packed.val) == (plain.train, plain.val)


def test_an_archive_is_known_by_its_name(tmp_path):
    for name in ("a.zip", "a.ZIP", "a.tar", "a.tar.gz", "a.tgz", "a.txt.gz"):
        assert is_archive(tmp_path / name)
    for name in ("zip", "a.txt", "a.zip.txt"):
        assert not is_archive(tmp_path / name)


def test_reading_leaves_nothing_on_the_disk(folder, tmp_path):
    path = tmp_path / "packed.zip"
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    shutil.rmtree(folder)
    before = sorted(tmp_path.rglob("*"))
    read_archive(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_counted_while_reading(folder, tmp_path, kind, monkeypatch):
    path = tmp_path / f"packed.{KINDS[kind]}"
    shutil.make_archive(str(tmp_path / "packed"), kind, folder)
    size = sum(map(len, read_archive(path).values()))
    monkeypatch.setattr(archive, "MOST_BYTES", size - 1)
    with pytest.raises(DataError, match="when unpacked: unpack it"):
        read_archive(path)


def packed(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, text in TEXTS.items():
                zipped.writestr(name, text)
    else:
        with tarfile.open(fileobj=file, mode="w:gz" if "gz" in kind else "w") as tar:
            for name, text in TEXTS.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


WHOLE = {kind: packed(kind) for kind in KINDS.values()}


@given(st.data())
@pytest.mark.parametrize("kind", WHOLE)
def test_a_damaged_byte_is_a_data_error_or_changes_one_place(
    tmp_path_factory, kind, data
):
    raw = bytearray(WHOLE[kind])
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / f"x.{kind}"
    path.write_bytes(raw)
    try:
        files = read_archive(path)
    except DataError as error:
        assert str(error).startswith(str(path))
    else:  # a date or a mode; a .tar has no checksum of its contents
        same = [name for name in TEXTS if files.get(name) == TEXTS[name].encode()]
        assert len(same) >= len(TEXTS) - 1


@given(st.data())
@pytest.mark.parametrize("kind", WHOLE)
def test_a_shortened_archive_is_a_data_error(tmp_path_factory, kind, data):
    raw = WHOLE[kind]
    # What fills a .tar up to 10 kB may be missing, as in those that others write.
    end = raw.rstrip(b"\0") if kind == "tar" else raw
    path = tmp_path_factory.mktemp("short") / f"x.{kind}"
    path.write_bytes(raw[: data.draw(st.integers(0, len(end) - 1))])
    with pytest.raises(DataError, match="damaged"):
        read_archive(path)
