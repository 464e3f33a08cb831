"""Courses: their file, the archives made of it, and many submissions."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from minillm.errors import DataError
from minillm.exercises import archives
from minillm.exercises.course import Course, read_course
from minillm.exercises.cutting import text_of
from minillm.exercises.table import exercise_of

ROOT = Path(__file__).parents[2]
COURSE = Course("Two", ("mul", "unbroadcast"), {"mul": 10}, (3, 4))
MUL = text_of(exercise_of("mul"), solved=True)


def test_a_course_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(COURSE.for_lecturers(), encoding="utf-8")
    assert read_course(path) == COURSE
    path.write_text(COURSE.for_students(), encoding="utf-8")
    assert read_course(path) == Course("Two", COURSE.names, {"mul": 10})
    assert "seeds" not in COURSE.for_students()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exercises = ['mull']", "'mull'"),
        ("exercises = []", "one at least"),
        ("exercise = ['mul']", "'exercise'"),
        ("title = 3", "title = 3"),
        ("[points]\nmul = 0", "points of mul"),
        ("[points]\nmul = true", "points of mul"),
        ("[hidden]\nseeds = 3", "seeds"),
        ("[hidden]\nseeds = [-1]", "seeds"),
        ("[hidden]\nseed = [1]", "seeds"),
        ("exercises = [", "c.toml"),
    ],
)
def test_a_wrong_course_is_one_line_with_the_file(tmp_path, text, words):
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_course(path)
    assert words in str(caught.value)
    assert "c.toml" in str(caught.value)


def test_the_requirements_are_those_of_the_package():
    declared = (ROOT / "setup.cfg").read_text(encoding="utf-8").split()
    assert set(archives.REQUIREMENTS) <= set(declared)


@pytest.mark.skipif(os.name == "nt", reason="Gradescope's scripts are for bash")
def test_the_autograder_runs_in_an_empty_folder(tmp_path):
    """With this Python in the place of the one that setup.sh makes."""
    starter, autograder = archives.pack(COURSE, tmp_path / "out")
    with zipfile.ZipFile(starter) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "submission")
    assert names == {"01_mul.py", "03_unbroadcast.py", "AGENTS.md", "course.toml"}
    with zipfile.ZipFile(autograder) as archive:
        archive.extractall(tmp_path / "source")
        modes = {info.filename: info.external_attr >> 16 for info in archive.filelist}
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    for script in ("setup.sh", "run_autograder"):
        subprocess.run(["bash", "-n", tmp_path / "source" / script], check=True)
    (tmp_path / "submission" / "01_mul.py").write_text(MUL, encoding="utf-8")
    record = autograded(tmp_path)
    tests = record["tests"]
    keys = {"name", "score", "max_score", "output", "visibility"}
    assert all(set(test) == keys for test in tests)
    assert {test["visibility"] for test in tests} == {"visible"}
    mul = [test for test in tests if test["name"].startswith("01 mul: ")]
    other = [test for test in tests if test["name"].startswith("03 unbroadcast: ")]
    assert len(mul) + len(other) == len(tests)
    assert sum(test["score"] for test in mul) == pytest.approx(10)
    assert sum(test["max_score"] for test in mul) == pytest.approx(10)
    assert {test["score"] for test in other} == {0.0}
    assert all(test["output"].startswith("unsolved: ") for test in other)


@pytest.mark.skipif(os.name == "nt", reason="Gradescope's scripts are for bash")
def test_an_empty_submission_has_a_results_file_too(tmp_path):
    _, autograder = archives.pack(COURSE, tmp_path / "out")
    with zipfile.ZipFile(autograder) as archive:
        archive.extractall(tmp_path / "source")
    (tmp_path / "submission").mkdir()
    record = autograded(tmp_path)
    assert record["score"] == 0
    assert "holds none of 01_mul.py" in record["output"]


def autograded(root: Path) -> dict:
    """The results of run_autograder, in an environment of nothing else."""
    python = root / "source" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (root / "elsewhere").mkdir()
    subprocess.run(
        ["bash", root / "source" / "run_autograder"],
        cwd=root / "elsewhere",
        env={"AUTOGRADER_ROOT": str(root), "PATH": os.environ["PATH"]},
        check=True,
    )
    return json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))


def test_submissions_are_graded_into_a_table(tmp_path, minillm):
    course = tmp_path / "c.toml"
    course.write_text(COURSE.for_lecturers(), encoding="utf-8")
    folder = tmp_path / "all"
    deep = folder / "ada" / "my work"
    deep.mkdir(parents=True)
    (deep / "01_mul.py").write_text(MUL, encoding="utf-8")
    (folder / "bob").mkdir()
    with zipfile.ZipFile(folder / "cy.zip", "w") as archive:
        archive.writestr("../../01_mul.py", MUL.replace("g * x", "-g * x"))
    (folder / "dan.zip").write_bytes(b"no archive")
    out = tmp_path / "marks.csv"
    code, said, err = minillm(
        "exercises", "grade", str(folder), "--course", str(course), "--out", str(out)
    )
    assert (code, said) == (0, f"{out}\n")
    assert "ada: 10 of 16 points\n" in err
    with out.open(encoding="utf-8", newline="") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert [*rows] == ["ada", "bob", "cy.zip", "dan.zip"]
    assert rows["ada"]["mul"] == rows["ada"]["points"] == "10"
    assert rows["bob"]["points"] == "0"
    assert "holds none" in rows["bob"]["error"]
    assert 0 < float(rows["cy.zip"]["points"]) < 10
    assert "cannot be unpacked" in rows["dan.zip"]["error"]
    assert not (tmp_path / "01_mul.py").exists()


def test_what_cannot_be_marked_is_a_row_and_no_formula(tmp_path, minillm):
    course = tmp_path / "c.toml"
    course.write_text('exercises = ["mul", "matmul"]', encoding="utf-8")
    folder = tmp_path / "all"
    for place in ("=cmd|x/v1", "=cmd|x/v2", "eve"):
        (folder / place).mkdir(parents=True)
        (folder / place / "01_mul.py").write_text(MUL, encoding="utf-8")
    with zipfile.ZipFile(folder / "flo.zip", "w") as archive:
        archive.writestr("v1/01_mul.py", MUL)
        archive.writestr("v2/01_mul.py", MUL)
    with zipfile.ZipFile(folder / "hal.zip", "w") as archive:
        for place in ("old/01_mul.py", "new/01_mul.py", "new/02_matmul.py"):
            archive.writestr(place, MUL if place.startswith("new") else "")
    for name in ("gus.tar.gz", "01_mul.py", "marks.csv", ".hidden"):
        (folder / name).write_text("", encoding="utf-8")
    code, said, _ = minillm("exercises", "grade", str(folder), "--course", str(course))
    assert code == 0
    rows = {row["submission"]: row for row in csv.DictReader(said.splitlines())}
    assert [*rows] == [
        "01_mul.py",
        "'=cmd|x",
        "eve",
        "flo.zip",
        "gus.tar.gz",
        "hal.zip",
    ]
    assert (
        "lie in v1 as in v2: put what counts into one folder"
        in rows["'=cmd|x"]["error"]
    )
    assert rows["eve"]["error"] == ""
    assert float(rows["eve"]["points"]) > 0
    assert rows["hal.zip"]["mul"] == rows["eve"]["mul"]
    assert "holds 01_mul.py twice" in rows["flo.zip"]["error"]
    assert "is no folder and no .zip" in rows["gus.tar.gz"]["error"]


def test_a_folder_without_submissions_is_refused(tmp_path, minillm):
    assert minillm("exercises", "grade", str(tmp_path))[0] == 3
    assert minillm("exercises", "grade", str(tmp_path / "none"))[0] == 3
