"""Names of files and folders as people and disks have them."""

import os
import shutil
import sys

import pytest

LONG = "x" * 300
DEEP = "/".join(["y" * 100] * 60)
BYTES = pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode here")

# (what the name is, the name)
ODD = [
    ("with spaces", "a  b c"),
    ("with a new line", "a\nb"),
    ("with a leading dash", "-x"),
    ("Chinese", "红楼梦"),
    ("decomposed", "e\u0301"),
    ("with quotes", "a'b\"c"),
    ("with brackets", "[red]*?\\n"),
]


@pytest.mark.skipif(os.name == "nt", reason="Windows has fewer names")
@pytest.mark.parametrize("name", [row[1] for row in ODD], ids=[row[0] for row in ODD])
def test_a_name_is(sees, here, trained, quick, name):
    shutil.copy(trained / "text.txt", here / f"{name}.txt")
    own = [f"--data={name}.txt", f"--out={name}"]
    err = sees(*quick, *own, code=0)[1]
    told = err[err.index("next: ") :]
    assert told.count("\n") == 1 + name.count("\n")
    sees("generate", "--max-tokens", "2", "--", name, "the", code=0)


# (what the name is, the command line, exit code, what the user sees)
TOO_MUCH = [
    ("a long --out", ["--data=text.txt", f"--out={LONG}"], 3, "File name too long"),
    ("a deep --out", ["--data=text.txt", f"--out={DEEP}"], 3, "File name too long"),
    ("a long --data", [f"--data={LONG}", "--out=out"], 3, "no such file or folder"),
    ("a deep --data", [f"--data={DEEP}", "--out=out"], 3, "no such file or folder"),
    ("a device as --out", ["--data=text.txt", "--out=/dev/null"], 2, "is a file"),
    ("a device as --data", ["--data=/dev/null", "--out=out"], 3, "is a device"),
    ("below a file", ["--data=text.txt", "--out=text.txt/out"], 3, "cannot be written"),
]


@pytest.mark.skipif(os.name == "nt", reason="written for POSIX")
@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [row[1:] for row in TOO_MUCH],
    ids=[row[0] for row in TOO_MUCH],
)
def test_no_run_begins_with(sees, here, trained, quick, argv, code, says):
    shutil.copy(trained / "text.txt", here)
    sees(*quick, *argv, code=code, says=says)
    assert [item.name for item in here.iterdir()] == ["text.txt"]


# A byte that is no UTF-8, as Python hands it on.
LATIN = os.fsdecode(b"caf\xe9")


@BYTES
@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["train", f"--data={LATIN}", "--out=out"], 2, r"data 'caf\\udce9' is no name"),
        (["train", "--data=text.txt", f"--out={LATIN}"], 2, r"out 'caf\\udce9' is no"),
        (["scale", f"--data={LATIN}", "--out=out"], 2, r"data 'caf\\udce9' is no name"),
        (["scale", "--preset=smoke", f"--out={LATIN}"], 2, r"out 'caf\\udce9' is no"),
        (["generate", "run", LATIN], 2, r"not valid Unicode: '\\udce9'"),
        (["generate", f"no {LATIN}", "the"], 3, r"no caf\\udce9: there is no such run"),
        (["fit", f"no {LATIN}"], 3, r"no caf\\udce9: No such file"),
        (["report", f"no {LATIN}"], 3, r"no caf\\udce9: there is no such folder"),
        (["eval", "run", f"--data={LATIN}"], 0, ""),
        (["data", "show", LATIN], 0, ""),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_name_that_is_not_utf_8(sees, here, run, argv, code, says):
    shutil.copy("text.txt", LATIN)
    sees(*argv, code=code, says=says)
    assert not (here / "out").exists()
