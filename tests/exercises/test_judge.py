"""Marks in processes of their own: whatever a student's file does is a result."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from minillm.exercises import judge
from minillm.exercises.cutting import text_of
from minillm.exercises.table import exercise_of, file_name

SOLVED = text_of(exercise_of("mul"), solved=True)
BODY = "return x * y, lambda g: g * y, lambda g: g * x"


def write(folder: Path, name: str, text: str) -> None:
    (folder / file_name(name)).write_text(text, encoding="utf-8")


def with_body(body: str) -> str:
    assert BODY in SOLVED
    return SOLVED.replace(BODY, body)


def kinds(mark) -> set:
    return {each.kind for each in mark.verdicts}


@pytest.fixture
def check_mul(tmp_path, monkeypatch):
    """A function that checks a text as the file of `mul`."""
    monkeypatch.setattr(exercise_of("mul"), "seconds", 3.0)

    def check(text: str):
        write(tmp_path, "mul", text)
        (mark,) = judge.check(tmp_path, ["mul"])
        return mark

    return check


def test_a_solution_passes_and_what_it_prints_is_kept_apart(check_mul):
    mark = check_mul(with_body(f"print('seen', flush=True)\n    {BODY}"))
    assert mark.passed
    assert mark.points == mark.of == exercise_of("mul").points
    assert mark.printed.startswith("seen\n")


def test_what_is_written_while_the_judge_reads_is_not_lost(tmp_path, monkeypatch):
    """Whoever reads a file at a place must not move the place of who writes."""
    exercise = exercise_of("mul")
    records = [{"ready": True}]
    records += [{"name": each.name, "passed": True} for each in exercise.properties]
    script = "import sys, time\nfor line in sys.argv[1:]:\n" + (
        "    print(line, flush=True)\n    time.sleep(0.1)\n"
    )
    argv = [sys.executable, "-c", script, *map(json.dumps, records)]
    popen = judge.subprocess.Popen
    monkeypatch.setattr(
        judge.subprocess, "Popen", lambda _, **given: popen(argv, **given)
    )
    running = judge._Running(exercise, tmp_path / file_name("mul"), {}, [0])

    class Slow:
        """The file, at which time goes by between finding a place and reading."""

        def __init__(self, file):
            self.file, self.closed, self.close = file, False, file.close

        def seek(self, place):
            self.file.seek(place)
            time.sleep(0.25)

        def read(self):
            return self.file.read()

    running.lines = Slow(running.lines)
    while not running.advance():
        pass
    assert [each.passed for each in running.verdicts] == [True] * len(records[1:])


STRANGE = [
    *("hello", "[]", "[" * 100_000, '{"name": "types", "passed": true}'),
    '{"name": "value", "passed": true, "message": 7}',
]


@pytest.mark.parametrize("line", STRANGE, ids=range(len(STRANGE)))
def test_who_writes_between_the_verdicts_fails_alone(check_mul, line):
    """It is no sandbox, but the marks of others do not depend on it."""
    text = SOLVED + (
        f"\nimport os\n\nfor n in range(3, 12):\n    try:\n"
        f"        os.write(n, {line + chr(10)!r}.encode())\n"
        f"    except OSError:\n        pass\n"
    )
    mark = check_mul(text)
    assert mark.points == 0
    assert "writes where the check tells its verdicts" in mark.verdicts[0].message


def test_a_blank_file_has_no_points(tmp_path):
    """Also where the engine has a faster body by the name of what is to be written."""
    write(tmp_path, "clipping", text_of(exercise_of("clipping"), solved=False))
    (mark,) = judge.check(tmp_path, ["clipping"])
    assert mark.points == 0


def test_some_properties_are_some_points(check_mul):
    mark = check_mul(with_body(BODY.replace("g * x", "-g * x")))
    assert not mark.passed
    assert 0 < mark.points < mark.of
    assert {"sign", None} <= kinds(mark)
    failed = next(each for each in mark.verdicts if each.kind == "sign")
    assert "smallest case found: x = " in failed.message


def test_a_loop_without_end_is_a_result(check_mul):
    started = time.monotonic()
    mark = check_mul(with_body("while True:\n        pass"))
    assert kinds(mark) == {"time"}
    assert "within 3 s" in mark.verdicts[0].message
    assert time.monotonic() - started < 60


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_a_loop_without_end_ends_also_when_its_judge_is_gone(tmp_path, monkeypatch):
    """As where the judge is killed by a signal that it cannot hear."""
    monkeypatch.setattr(judge, "START_SECONDS", 1.0)
    exercise = exercise_of("mul")
    monkeypatch.setattr(exercise, "seconds", 1 / len(exercise.properties))
    write(tmp_path, "mul", "while True:\n    pass")
    running = judge._Running(exercise, tmp_path / file_name("mul"), {}, [0])
    try:
        assert running.process.wait(60) == -signal.SIGXCPU  # and nobody has killed it
    finally:
        running.end()


def test_a_loop_at_the_import_is_a_result(check_mul):
    assert kinds(check_mul(f"{SOLVED}\nwhile True:\n    pass\n")) == {"time"}


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("exit()", "exit", "ends the process"),
        ("raise SystemExit(0)", "exit", "ends the process"),
        ("import os; os._exit(0)", "exit", "ended in the middle"),
        ("import subprocess; subprocess.run(['true'])", "process", "starts another"),
        ("1 / 0", "error", "ZeroDivisionError"),
        ("return x * y", "error", "as a tuple"),
    ],
)
def test_what_a_body_does_is_a_result(check_mul, body, kind, words):
    mark = check_mul(with_body(body))
    assert kinds(mark) == {kind}
    assert words in mark.verdicts[0].message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_is_a_result(check_mul):
    mark = check_mul(with_body(f"import os\n    os.fork()\n    {BODY}"))
    assert kinds(mark) == {"process"}
    assert len(mark.verdicts) == len(exercise_of("mul").properties)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_list_without_end_is_out_of_memory(check_mul):
    mark = check_mul(with_body("return [0] * 10**10"))
    assert kinds(mark) == {"memory"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def mul(x, y:\n    pass\n", "line 1"),
        (SOLVED.replace("return x", "retrun x"), "retrun x * y"),
        ("\0", "null"),
    ],
)
def test_a_syntax_error_shows_its_line(check_mul, text, words):
    mark = check_mul(text)
    assert kinds(mark) == {"syntax"}
    assert words in mark.verdicts[0].message


def test_a_file_that_is_not_utf_8_or_not_there_is_a_result(tmp_path):
    (mark,) = judge.check(tmp_path, ["mul"])
    assert kinds(mark) == {"absent"}
    path = tmp_path / file_name("mul")
    path.write_bytes(SOLVED.encode("utf-16"))
    (mark,) = judge.check(tmp_path, ["mul"])
    assert kinds(mark) == {"syntax"}
    assert "UTF-8" in mark.verdicts[0].message


def test_a_file_without_the_function_is_told(check_mul):
    mark = check_mul("x = 1\n")
    assert kinds(mark) == {"absent"}
    assert "defines no mul" in mark.verdicts[0].message


def test_a_module_beside_it_is_not_taken_for_another(tmp_path):
    (tmp_path / "numpy.py").write_text("raise RuntimeError('taken')", encoding="utf-8")
    write(tmp_path, "mul", SOLVED)
    (mark,) = judge.check(tmp_path, ["mul"])
    assert mark.passed


def test_the_same_file_gets_the_same_marks_and_words(check_mul, monkeypatch):
    text = with_body("return x * y, lambda g: g * y * y, lambda g: g.sum() * x")
    first = check_mul(text).to_json()
    monkeypatch.setenv("CI", "true")  # Hypothesis has other settings there
    assert check_mul(text).to_json() == first


def test_earlier_exercises_are_the_student_s_where_solved(tmp_path):
    softmax = text_of(exercise_of("softmax"), solved=True)
    write(tmp_path, "softmax", f"{softmax}\nprint('my own softmax')\n")
    write(tmp_path, "cross_entropy", text_of(exercise_of("cross_entropy"), solved=True))
    (mark,) = judge.check(tmp_path, ["cross_entropy"])
    assert mark.passed
    assert (mark.uses, mark.printed) == (("softmax",), "my own softmax\n")
    (mark,) = judge.check(tmp_path, ["cross_entropy"], alone=True)
    assert mark.passed
    assert (mark.uses, mark.printed) == ((), "")


def test_an_earlier_one_that_fails_is_the_engine_s(tmp_path):
    write(tmp_path, "softmax", text_of(exercise_of("softmax")))
    write(tmp_path, "cross_entropy", text_of(exercise_of("cross_entropy"), solved=True))
    (mark,) = judge.check(tmp_path, ["cross_entropy"])
    assert mark.passed
    assert mark.uses == ()


def test_points_of_a_course_are_shared_out(check_mul, tmp_path):
    write(tmp_path, "mul", with_body(BODY.replace("g * x", "-g * x")))
    (own,) = judge.check(tmp_path, ["mul"])
    (mark,) = judge.check(tmp_path, ["mul"], points={"mul": 100})
    assert mark.of == 100
    assert mark.points == pytest.approx(100 * own.points / own.of)
