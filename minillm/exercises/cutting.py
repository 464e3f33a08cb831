"""The student's file, cut from a module's own text by line ranges of its syntax tree.

Comments stay with what they stand above, and nothing can drift from the engine: the
text is read when the file is made.
"""

import ast
import importlib
import textwrap
from pathlib import Path

from minillm.exercises.exercise import Cut, Exercise
from minillm.exercises.table import exercise_of, file_name, number_of

WIDTH = 88
NAMED = (ast.FunctionDef, ast.ClassDef)


def text_of(exercise: Exercise, *, solved: bool = False) -> str:
    """The student's file: the task, the imports, and the code with its blanks, or
    solved."""
    source = _Source(exercise.cut)
    code = source.code(solved)
    imports = source.imports(code, exercise.builds_on)
    return f'"""{task_of(exercise)}"""\n\n{imports}\n\n\n{code}'


def task_of(exercise: Exercise) -> str:
    """The docstring of the student's file."""
    name = exercise.name
    parts = [
        f"Exercise {number_of(name)}, {name}: {exercise.title}.",
        *textwrap.dedent(exercise.task).strip().split("\n\n"),
        "Read: " + exercise.read,
    ]
    if exercise.builds_on:
        files = ", ".join(map(file_name, exercise.builds_on))
        parts.append(f"Builds on {files}: yours where solved, else the engine's.")
    parts.append(f"Check it:  minillm exercises check {name}")
    return "\n\n".join(map(_filled, parts)) + "\n"


def _filled(part: str) -> str:
    """Prose is filled to the width; what is indented, as formulas are, stays."""
    if part.startswith(" "):
        return part
    return textwrap.fill(" ".join(part.split()), WIDTH, break_on_hyphens=False)


class _Source:
    """A module's text, and what an exercise takes from it."""

    def __init__(self, cut: Cut):
        self.cut = cut
        file = importlib.util.find_spec(cut.module).origin
        self.text = Path(file).read_text(encoding="utf-8")
        self.lines = self.text.splitlines()
        self.tree = ast.parse(self.text)
        self.wanted = {*cut.provides, *cut.also}

    def code(self, solved: bool) -> str:
        """The wanted definitions in the order of the module."""
        blanks = {}  # first line -> (last line, what stands there instead)
        if not solved:
            for name, where in self.cut.blanks.items():
                first, last, instead = self._blank(name, where)
                blanks[first] = last, instead
        parts = [self._part(node, blanks) for node in self._chosen()]
        return "\n\n\n".join(parts) + "\n"

    def _chosen(self) -> list[ast.stmt]:
        chosen = [node for node in self.tree.body if self.wanted & _defined(node)]
        missing = self.wanted - {name for node in chosen for name in _defined(node)}
        assert not missing, f"{self.cut.module} has no {missing}"
        return chosen

    def _part(self, node: ast.stmt, blanks: dict) -> str:
        """The lines of a definition, with the comments above it."""
        number, end = _first_line(node), node.end_lineno
        while number > 1 and self.lines[number - 2].startswith("#"):
            number -= 1
        found = []
        while number <= end:
            if number in blanks:
                last, instead = blanks[number]
                found += instead
                number = last
            else:
                found.append(self.lines[number - 1])
            number += 1
        return "\n".join(found)

    def _blank(self, name: str, where) -> tuple[int, int, list[str]]:
        start, stop = (where, None) if isinstance(where, str) else where
        node = self.tree
        for part in name.split("."):
            node = next(
                each
                for each in ast.walk(node)
                if isinstance(each, NAMED) and each.name == part
            )
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        first = self._statement(body, start) if start else 0
        after = self._statement(body, stop) if stop else len(body)
        line = _first_line(body[first])
        indent = " " * body[first].col_offset
        words = f'"{name}: to be written"'
        instead = [
            f"{indent}# Your code goes here, in place of the next line.",
            f"{indent}raise NotImplementedError({words})",
        ]
        return line, body[after - 1].end_lineno, instead

    def _statement(self, body: list[ast.stmt], start: str) -> int:
        for place, node in enumerate(body):
            if self.lines[_first_line(node) - 1].strip().startswith(start):
                return place
        raise AssertionError(f"{self.cut.module}: no statement begins with {start!r}")

    def imports(self, code: str, builds_on: tuple[str, ...]) -> str:
        """What the code needs, as the module imports it; earlier exercises' functions
        from the student's files, and other names of the module from the module."""
        # A blank may need more than what is left around it.
        tree = ast.parse(self.code(solved=True))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        # Notes of types may be text.
        earlier = {
            name
            for each in builds_on
            for name in exercise_of(each).cut.provides
            if name in used
        }
        used -= earlier | self.wanted
        found = [
            kept
            for node in self.tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            and (kept := _only(node, used))
        ]
        own = {
            name
            for node in self.tree.body
            if not isinstance(node, ast.Import | ast.ImportFrom)
            for name in _defined(node)
        }
        if names := sorted(own & used):
            found.append(f"from {self.cut.module} import {', '.join(names)}")
        if earlier:
            names = ", ".join(sorted(earlier))
            found.append(f"from minillm.exercises.earlier import {names}")
        ours = [line for line in found if "minillm" in line.split()[1]]
        others = [line for line in found if line not in ours]
        parts = [map(_wrapped, part) for part in (others, ours) if part]
        return "\n\n".join("\n".join(part) for part in parts)


def _defined(node: ast.stmt) -> set[str]:
    """The names that a statement of a module gives a meaning to."""
    if isinstance(node, NAMED):
        return {node.name}
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    names = [name for each in targets if each for name in ast.walk(each)]
    return {name.id for name in names if isinstance(name, ast.Name)}


def _first_line(node: ast.stmt) -> int:
    """With its decorators."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def _only(node: ast.Import | ast.ImportFrom, used: set[str]) -> str:
    """The import, of the names that are used."""
    kept = [
        alias
        for alias in node.names
        if (alias.asname or alias.name.partition(".")[0]) in used
    ]
    if not kept:
        return ""
    if isinstance(node, ast.Import):
        return ast.unparse(ast.Import(kept))
    return ast.unparse(ast.ImportFrom(node.module, kept, node.level))


def _wrapped(line: str) -> str:
    """An import, one name a line where it is too long for one."""
    if len(line) <= WIDTH:
        return line
    begin, names = line.split(" import ")
    rows = "".join(f"    {name},\n" for name in names.split(", "))
    return f"{begin} import (\n{rows})"
