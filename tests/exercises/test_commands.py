"""`minillm exercises` as a student types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minillm.exercises import watching
from minillm.exercises.cutting import text_of
from minillm.exercises.table import SHEETS, exercise_of, file_name

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, minillm, monkeypatch) -> Path:
    """A folder of exercises, the current one."""
    assert minillm("exercises", "start", str(tmp_path / "ex"))[0] == 0
    monkeypatch.chdir(tmp_path / "ex")
    return Path()


def solve(name: str) -> None:
    text = text_of(exercise_of(name), solved=True)
    Path(file_name(name)).write_text(text, encoding="utf-8")


def test_start_writes_every_exercise_and_keeps_what_is_there(folder, minillm):
    names = {*map(file_name, SHEETS), "AGENTS.md", "course.toml"}
    assert {path.name for path in folder.iterdir()} == names
    Path("01_mul.py").write_text("mine", encoding="utf-8")
    Path(file_name("softmax")).unlink()
    code, _, err = minillm("exercises", "start", ".")
    assert code == 0
    assert "kept as they are: 01_mul.py" in err
    assert Path("01_mul.py").read_text(encoding="utf-8") == "mine"
    assert Path(file_name("softmax")).exists()


def test_a_folder_with_other_work_is_refused(tmp_path, minillm):
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    for place in (tmp_path, tmp_path / "thesis.tex"):
        code, out, err = minillm("exercises", "start", str(place))
        assert (code, out) == (3, "")
        assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(
    os.name == "nt" or getattr(os, "geteuid", lambda: 1)() == 0,
    reason="needs a folder that may not be written to",
)
def test_no_write_access_is_one_line(tmp_path, minillm):
    tmp_path.chmod(0o500)
    code, _, err = minillm("exercises", "start", str(tmp_path / "ex"))
    tmp_path.chmod(0o700)
    assert code == 3
    assert "cannot be written" in err


def test_a_folder_without_exercises_is_named(tmp_path, minillm):
    for words in (["check", "mul"], ["next"], ["reset", "mul"], ["watch"]):
        code, _, err = minillm("exercises", *words, "--folder", str(tmp_path))
        assert code == 3
        assert "minillm exercises start" in err


def test_check_prints_marks_and_ends_with_1_until_all_passes(folder, minillm):
    solve("mul")
    code, out, err = minillm("exercises", "check", "mul")
    assert (code, err) == (0, "")
    assert out == "passed  mul: 5 of 5 points\n"
    code, out, err = minillm("exercises", "check", "mul", "unbroadcast")
    assert code == 1
    assert "FAILED  unbroadcast: 0 of" in out
    assert "not solved yet" in out
    assert "the same" in out
    assert "5 of 11 points" in out
    assert "1 of 2 exercises do not pass: unbroadcast" in err
    assert "next: minillm exercises hint unbroadcast" in err


def test_check_as_json_whatever_the_student_prints(folder, minillm):
    solve("mul")
    with Path("01_mul.py").open("a", encoding="utf-8") as file:
        file.write("\nprint('{')\n")
    code, out, _ = minillm("exercises", "check", "01_mul.py", "--json")
    record = json.loads(out)
    assert code == 0
    assert set(record) == {"exercises", "points", "of"}
    (mul,) = record["exercises"]
    assert set(mul) == {"name", "passed", "points", "of", "properties"}
    assert all(
        set(p) == {"name", "passed", "kind", "message"} for p in mul["properties"]
    )
    assert record["points"] == record["of"] == mul["of"] == 5


def test_check_alone_checks_what_is_begun(folder, minillm):
    code, _, err = minillm("exercises", "check")
    assert code == 2
    assert "no exercise is begun yet" in err
    solve("mul")
    assert minillm("exercises", "check")[:2] == (0, "passed  mul: 5 of 5 points\n")


def test_next_is_the_first_that_does_not_pass(folder, minillm):
    assert minillm("exercises", "next")[1].startswith("01_mul.py: ")
    solve("mul")
    record = json.loads(minillm("exercises", "next", "--json")[1])
    assert (record["name"], record["file"]) == ("matmul", "02_matmul.py")


def test_hints_come_in_three_steps(minillm):
    said = [minillm("exercises", "hint", "mul", "--step", step)[1] for step in "123"]
    assert [text.strip() for text in said] == [*exercise_of("mul").hints]
    code, _, err = minillm("exercises", "hint", "mul", "--step", "4")
    assert code == 2
    assert "1 to 3" in err


def test_an_unknown_exercise_is_a_usage_error(folder, minillm):
    for words in (["check", "mull"], ["hint", "99"], ["show", "x"], ["reset", "../x"]):
        code, _, err = minillm("exercises", *words)
        assert code == 2
        assert "choose among mul, " in err


def test_show_tells_the_task_and_the_points(minillm):
    code, out, _ = minillm("exercises", "show", "mul")
    assert code == 0
    assert "dL/dx = g · y" in out
    assert "float64 in, float64 out" in " ".join(out.split())
    record = json.loads(minillm("exercises", "show", "1", "--json")[1])
    assert record["name"] == "mul"


def test_reset_keeps_a_copy(folder, minillm):
    for n in (1, 2):
        Path("01_mul.py").write_text(f"mine {n}", encoding="utf-8")
        assert minillm("exercises", "reset", "mul")[0] == 0
        text = Path("01_mul.py").read_text(encoding="utf-8")
        assert text == text_of(exercise_of("mul"))
    kept = [path.read_text(encoding="utf-8") for path in folder.glob("*kept*")]
    assert sorted(kept) == ["mine 1", "mine 2"]


def test_solve_refuses_to_write_over_what_is_begun(folder, minillm):
    Path("01_mul.py").write_text("mine", encoding="utf-8")
    code, _, err = minillm("exercises", "solve", "--all", ".")
    assert code == 3
    assert "01_mul.py" in err
    assert minillm("exercises", "solve", "matmul", ".")[0] == 0
    assert minillm("exercises", "check", "2")[0] == 0
    assert minillm("exercises", "solve", "mul", "--all", ".")[0] == 2


def test_watch_sees_a_file_that_is_saved(folder, monkeypatch):
    monkeypatch.setattr(watching, "PAUSE", 0.0)
    seen = watching.saved(folder, ("mul", "matmul"))
    rest = iter([lambda: None, lambda: solve("matmul"), Path("01_mul.py").unlink])
    monkeypatch.setattr(watching.time, "sleep", lambda _: next(rest)())
    assert next(seen) == "matmul"
    with pytest.raises(StopIteration):
        try:
            next(seen)
        except RuntimeError as error:  # the generator's own
            raise error.__cause__ from None


def test_without_hypothesis_one_line_says_what_to_install(minillm, monkeypatch):
    from minillm_cli import exercises

    monkeypatch.setattr(exercises.importlib.util, "find_spec", lambda name: None)
    code, out, err = minillm("exercises", "start", "ex")
    assert (code, out) == (1, "")
    assert "pip install '.[course]' in the clone" in err
    assert err.count("\n") == 1
    assert not Path("ex").exists()


@pytest.mark.slow
def test_the_plain_install_says_what_to_install(tmp_path):
    """In an environment of its own, without the extra."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    folder = "Scripts" if os.name == "nt" else "bin"
    python = tmp_path / "venv" / folder / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-compile", ROOT],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"pip cannot install here: {done.stderr[-200:]}")
    done = subprocess.run(
        [python, "-m", "minillm", "exercises", "start", "ex"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "pip install '.[course]' in the clone" in done.stderr
    assert "Traceback" not in done.stderr
