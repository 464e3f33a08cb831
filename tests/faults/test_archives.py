"""Archives as `--data`: what could do harm is refused in a line, and nothing of an
archive ever comes to lie on the disk."""

import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile

import pytest

from minillm.errors import DataError
from minillm.text.sources import archive

TEXT = ("She read all the books of the sea. 她读海。\n" * 99).encode()


def zipped(name: str, content: bytes = TEXT, mode: int = 0, flags: int = 0) -> bytes:
    """A .zip of a good text, and a second member of this mode and with these flags."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("good.txt", TEXT)
        second = zipfile.ZipInfo(name)
        second.external_attr = mode << 16
        file.writestr(second, content)
        second.flag_bits |= flags  # the directory is written last
    return packed.getvalue()


def tarred(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A .tar of a good text, and a second member of this kind."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        for member in (tarfile.TarInfo("good.txt"), tarfile.TarInfo(name)):
            member.size = len(TEXT)
            if member.name == name and kind != tarfile.REGTYPE:
                member.type, member.size, member.linkname = kind, 0, "/etc/passwd"
            file.addfile(member, io.BytesIO(TEXT))
    return packed.getvalue()


def sparse(size: int) -> bytes:
    """A .tar of a file `c` that is said to have so many bytes, nearly all holes."""
    header = bytearray(tarfile.TarInfo("c").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = f"{size:011o}\0".encode()  # its real size
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + bytes(1024)


def changed(packed: bytes, place: int) -> bytes:
    """With one bit turned over."""
    place %= len(packed)
    return packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]


LINK, DEVICE = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666
ZIP, TAR = zipped("c"), tarred("c")
TGZ = gzip.compress(TAR)
OUT = "refused, it leads out of the archive"
SPECIAL = "'c': refused, it is a link or a device"
NO_ARCHIVE = "x[.a-z]*: damaged, or no archive"

# (what is wrong, the ending of the file's name, its bytes, what the user sees)
ARCHIVES = [
    ("an absolute path", "zip", zipped("/etc/c"), f"x.zip, '/etc/c': {OUT}"),
    ("a path upwards", "zip", zipped("a/../../c"), f"'a/../../c': {OUT}"),
    ("a path of Windows", "zip", zipped("C:\\c"), OUT),
    ("a path upwards in Windows", "zip", zipped("..\\c"), OUT),
    ("an absolute path", "tar", tarred("/etc/c"), f"x.tar, '/etc/c': {OUT}"),
    ("a path upwards", "tar", tarred("../c"), f"'../c': {OUT}"),
    ("a symbolic link", "zip", zipped("c", b"/etc/passwd", mode=LINK), SPECIAL),
    ("a device", "zip", zipped("c", mode=DEVICE), SPECIAL),
    ("a symbolic link", "tar", tarred("c", tarfile.SYMTYPE), SPECIAL),
    ("a hard link", "tar", tarred("c", tarfile.LNKTYPE), SPECIAL),
    ("a device", "tar", tarred("c", tarfile.CHRTYPE), SPECIAL),
    ("a queue", "tar", tarred("c", tarfile.FIFOTYPE), SPECIAL),
    ("holes", "tar", sparse(8**10), "'c': refused, it is sparse, mostly holes"),
    ("holes", "tgz", gzip.compress(sparse(8**10)), "'c': refused, it is sparse"),
    ("encrypted", "zip", zipped("c", flags=1), "'c': refused, it is encrypted"),
    ("a name twice", "tar", tarred("./good.txt"), "two files of this name"),
    ("an archive in it", "zip", zipped("c", TGZ), "'c': is packed .*unpack it"),
    ("empty", "zip", b"", NO_ARCHIVE),
    ("empty", "tar.gz", b"", NO_ARCHIVE),
    ("plain text", "zip", TEXT, f"{NO_ARCHIVE} .*not a zip"),
    ("plain text", "tar", TEXT, NO_ARCHIVE),
    ("plain text", "tgz", TEXT, f"{NO_ARCHIVE} .*Not a gzip"),
    ("plain text", "txt.gz", TEXT, f"{NO_ARCHIVE} .*Not a gzip"),
    ("cut short", "zip", ZIP[:-9], NO_ARCHIVE),
    ("cut inside a file", "tar", TAR[: len(TEXT)], "'good.txt': damaged"),
    ("cut between files", "tar", TAR[: TAR.index(b"c\0")], "breaks off at byte"),
    ("a broken header", "tar", changed(TAR, TAR.index(b"c\0")), "breaks off at byte"),
    ("cut short", "tar.gz", TGZ[:-9], NO_ARCHIVE),
    ("a wrong checksum", "tar.gz", changed(TGZ, -6), f"{NO_ARCHIVE} .*CRC"),
    ("a wrong checksum", "zip", changed(ZIP, 60), "'good.txt': damaged"),
]


@pytest.mark.parametrize(
    ("ending", "content", "says"),
    [row[1:] for row in ARCHIVES],
    ids=[f"{row[0]}, {row[1]}" for row in ARCHIVES],
)
def test_an_archive_is_refused_for(sees, here, ending, content, says):
    (here / f"x.{ending}").write_bytes(content)
    sees("train", f"--data=x.{ending}", "--out=run", code=3, says=says)
    assert [path.name for path in here.iterdir()] == [f"x.{ending}"]


@pytest.mark.parametrize(
    ("ending", "content"), [("zip", ZIP), ("tar", TAR), ("tgz", TGZ), ("tar.gz", TGZ)]
)
def test_a_good_archive_is_shown_and_trained_on(sees, here, quick, ending, content):
    (here / f"x.{ending}").write_bytes(content)
    out, _ = sees("data", "show", f"x.{ending}", code=0)
    assert "an archive of 2 text files" in out
    sees(*quick, f"--data=x.{ending}", "--out=run", "--steps=1", code=0)
    assert not list(here.rglob("good.txt"))


@pytest.mark.parametrize("ending", ["zip", "txt.gz", "tar.gz"])
def test_a_bomb_is_refused_before_it_fills_the_memory(sees, here, monkeypatch, ending):
    """Whatever its headers say: those of the .zip say that it is short."""
    monkeypatch.setattr(archive, "MOST_BYTES", 100_000)
    zeros = bytes(200_000)
    packed = gzip.compress(zeros)
    if ending == "zip":
        packed = zipped("c", zeros).replace(
            len(zeros).to_bytes(4, "little"), (9).to_bytes(4, "little")
        )
    (here / f"x.{ending}").write_bytes(packed)
    says = f"x.{ending}.*(more than 100,000 bytes when unpacked: unpack|damaged)"
    sees("data", "show", f"x.{ending}", code=3, says=says)


@pytest.mark.parametrize("method", ["DEFLATED", "BZIP2", "LZMA"])
def test_what_grows_a_hundred_times_is_refused(sees, here, monkeypatch, method):
    """Text does not: it was made to fill the memory."""
    monkeypatch.setattr(archive, "SMALL", 100_000)
    for name, times, code in (("good", 10, 0), ("bad", 1_000, 3)):
        with zipfile.ZipFile(
            f"{name}.zip", "w", getattr(zipfile, f"ZIP_{method}")
        ) as z:
            z.writestr("a.txt", TEXT * times)
        says = "bad.zip, 'a.txt': more than .* bytes when unpacked" if code else ""
        sees("data", "show", f"{name}.zip", code=code, says=says)


@pytest.mark.parametrize(
    "method",
    [zipfile.ZIP_BZIP2, pytest.param(zipfile.ZIP_LZMA, marks=pytest.mark.slow)],
)
def test_a_few_bytes_are_not_unpacked_at_once(here, monkeypatch, method):
    monkeypatch.setattr(archive, "SMALL", 1 << 20)
    with zipfile.ZipFile("x.zip", "w", method) as z:
        z.writestr("a.txt", bytes(1 << 27))
    tracemalloc.start()
    with pytest.raises(DataError, match="bytes when unpacked"):
        archive.read_archive(here / "x.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


def test_a_million_files_are_refused(sees, here, monkeypatch):
    monkeypatch.setattr(archive, "MOST_FILES", 1)
    (here / "x.zip").write_bytes(ZIP)
    sees("data", "show", "x.zip", code=3, says="more than 1 files: unpack it")


def test_hidden_and_blank_files_do_not_count(sees, here):
    (here / "x.zip").write_bytes(zipped("__MACOSX/._good.txt", b"\0\xff"))
    assert "an archive of 1 text" in sees("data", "show", "x.zip", code=0)[0]
    (here / "x.tar").write_bytes(tarred("c").replace(TEXT, b" " * len(TEXT)))
    sees("data", "show", "x.tar", code=3, says="x.tar: no file in it holds text")
