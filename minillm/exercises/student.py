"""The student's file: read, looked at before it runs, and made a module."""

import ast
import sys
import types
from pathlib import Path

from minillm.errors import DataError
from minillm.exercises.exercise import Exercise, Failure
from minillm.exercises.table import exercise_of
from minillm.reading import Missing, read_bytes

MOST = 1_000_000  # bytes of a file
ARRAYS = ("np", "numpy", "xp")  # whose `matmul`, `exp` … anyone may use


def load(name: str, path: Path) -> types.ModuleType:
    """The module in a student's file for an exercise, made once. Raises Failure for
    what can be told without a call of its functions, and whatever the file raises."""
    module_name = f"student_{name}"
    if module_name not in sys.modules:
        sys.modules[module_name] = made(exercise_of(name), read(path), path)
    return sys.modules[module_name]


def made(exercise: Exercise, text: str, path: Path) -> types.ModuleType:
    """The module of a text that stands, or could stand, in a student's file."""
    refuse_borrowed(exercise, parse(text, path))
    module = types.ModuleType(f"student_{exercise.name}")
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
    for needed in exercise.cut.provides:
        if not callable(getattr(module, needed, None)):
            raise Failure("absent", f"{path.name} defines no {needed}")
    return module


def read(path: Path) -> str:
    """The text of a student's file. Raises Failure."""
    try:
        return read_bytes(path, MOST).decode("utf-8-sig")
    except Missing:
        raise Failure("absent", f"{path.name} is not there") from None
    except DataError as error:
        raise Failure("absent", str(error)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Failure(
            "syntax", f"{path.name}, line {line}: not UTF-8: save the file as UTF-8"
        ) from None


def parse(text: str, path: Path) -> ast.Module:
    """The syntax tree. Raises Failure with the line."""
    try:
        return ast.parse(text, str(path))
    except SyntaxError as error:
        line = (error.text or "").rstrip("\n")
        mark = " " * max((error.offset or 1) - 1, 0) + "^"
        raise Failure(
            "syntax",
            f"{path.name}, line {error.lineno}: {error.msg}\n    {line}\n    {mark}",
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Failure("syntax", f"{path.name}: {error}") from None


def refuse_borrowed(exercise: Exercise, tree: ast.Module) -> None:
    """Raise Failure where a file takes from elsewhere what it is to write."""
    forbidden = {*exercise.cut.provides, *exercise.forbidden}
    for node in ast.walk(tree):
        found = None
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            ours = (node.module or "").startswith("minillm")
            found = next(iter(sorted(names & forbidden)), None)
            if ours and "*" in names:
                found = "*"
        elif isinstance(node, ast.Attribute) and node.attr in forbidden:
            root = node
            while isinstance(root, ast.Attribute):
                root = root.value
            if not (isinstance(root, ast.Name) and root.id in ARRAYS):
                found = node.attr
        if found == "*":
            raise Failure(
                "imported",
                f"line {node.lineno} imports everything of {node.module}: import by "
                f"name what you need",
            )
        if found:
            raise Failure(
                "imported",
                f"line {node.lineno} takes {found} from elsewhere: write it yourself",
            )
