"""The plan of the house: imports go down, never round in circles."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GIT = shutil.which("git")

# A file imports from lower floors, or from its own room. `minillm/__init__.py` hands
# names of every floor on and stands outside.
FLOORS = [
    [
        *("minillm.errors", "minillm.keyed", "minillm.kinds", "minillm.launcher"),
        *("minillm.lazy", "minillm.notebook"),
    ],
    ["minillm.children", "minillm.files", "minillm.reading", "minillm.visible"],
    ["minillm.figures", "minillm.json_files", "minillm.markup", "minillm.backend"],
    ["minillm.display", "minillm.text", "minillm.weights"],
    ["minillm.tensor", "minillm.laws"],
    ["minillm.ops"],
    ["minillm.nn"],
    ["minillm.models", "minillm.testing"],
    ["minillm.learning"],
    ["minillm.runs"],
    ["minillm.generation", "minillm.hub", "minillm.series"],
    ["minillm.tasks", "minillm.inspect", "minillm.studies"],
    ["minillm.demos", "minillm.exercises"],
    ["minillm_cli", "minillm_data"],
    ["minillm.__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FOLDERS = {"minillm": "minillm", "cli": "minillm_cli", "data": "minillm_data"}


def read_modules(root: Path) -> dict[str, tuple[Path, ast.Module]]:
    """Every module below `root` by its name, a package under its own name."""
    modules = {}
    for folder, package in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = [package, *path.relative_to(root / folder).with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            modules[".".join(parts)] = path, tree
    return modules


def imports_of(name: str, modules) -> list[str]:
    """The modules of the house that a module imports, anywhere in its text."""
    path, tree = modules[name]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if is_package(path) else name.split(".")[:-1]
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            found += [full if full in modules else base for full in inner]
    return [module for module in found if module.split(".")[0] in FOLDERS.values()]


def is_package(path: Path) -> bool:
    return path.name == "__init__.py"


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] != "minillm" else ".".join(parts[:2])


def upward_imports(modules) -> list[str]:
    """`who imports whom` for each import that leaves its room without going down."""
    wrong = []
    for name in modules:
        if name == "minillm":
            continue
        for target in imports_of(name, modules):
            here, there = room_of(name), room_of(target)
            if there not in ("minillm", here) and FLOOR[there] >= FLOOR[here]:
                wrong.append(f"{name} imports {target}")
    return wrong


def circles(modules) -> list[str]:
    """Each circle of imports, without the packages that only hand names on."""
    working = [
        name
        for name, (path, tree) in modules.items()
        if not (is_package(path) and only_hands_on(tree))
    ]
    found, finished = [], set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in finished:
            for target in imports_of(name, modules):
                if target in working:
                    visit(target, [*trail, name])
            finished.add(name)

    for name in working:
        visit(name, [])
    return found


def only_hands_on(tree: ast.Module) -> bool:
    """Whether a file holds imports, plain names and `__getattr__`, and no work."""
    return all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr)
        or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
        for node in tree.body
    )


def missing_imports(modules) -> list[str]:
    """Imports of modules of the house that are not there."""
    return [
        f"{name} imports {target}"
        for name in modules
        for target in imports_of(name, modules)
        if target not in modules
    ]


def names_cupy(modules) -> list[str]:
    """The modules outside the backend in which the word stands."""
    return [
        name
        for name, (path, _) in modules.items()
        if room_of(name) != "minillm.backend"
        and "cupy" in path.read_text(encoding="utf-8")
    ]


HOUSE = read_modules(ROOT)


def test_every_room_is_on_a_floor():
    homeless = {room_of(name) for name in HOUSE} - {"minillm"} - set(FLOOR)
    assert not homeless


def test_imports_go_down():
    assert not upward_imports(HOUSE)


def test_what_is_imported_is_there():
    assert not missing_imports(HOUSE)


def test_imports_make_no_circle():
    assert not circles(HOUSE)


def test_only_the_backend_names_cupy():
    assert not names_cupy(HOUSE)


def test_the_top_level_stays_tidy():
    expected = {
        "CITATION.cff",
        "LICENSE",
        "MANIFEST.in",
        "README.md",
        "cli",
        "data",
        "minillm",
        "pyproject.toml",
        "setup.cfg",
        "tests",
    }
    made_by_tools = {"PKG-INFO", "build", "dist", "runs"}
    found = {
        name
        for name in top_level(ROOT)
        if not name.startswith(".") and not name.endswith(".egg-info")
    }
    assert found - made_by_tools <= expected


def top_level(root: Path) -> set[str]:
    """What lies in the house: of a clone what git tracks, not its user's own files."""
    if GIT and (root / ".git").exists():
        tracked = subprocess.run(
            [GIT, "-C", root, "ls-files", "-z"], capture_output=True
        )
        if tracked.returncode == 0:  # it may refuse a clone of another user
            paths = tracked.stdout.decode().rstrip("\0").split("\0")
            return {path.split("/")[0] for path in paths}
    return {path.name for path in root.iterdir()}


@pytest.mark.skipif(not GIT, reason="needs git")
def test_only_what_git_tracks_counts_in_a_clone(tmp_path):
    for name in ("kept.txt", "book.txt"):
        (tmp_path / name).touch()
    assert top_level(tmp_path) == {"kept.txt", "book.txt"}
    for command in (["init", "-q"], ["add", "kept.txt"]):
        subprocess.run([GIT, "-C", tmp_path, *command], check=True)
    assert top_level(tmp_path) == {"kept.txt"}


@pytest.fixture
def build(tmp_path):
    """A function that writes a small house and reads its modules."""

    def write(files: dict[str, str]):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return read_modules(tmp_path)

    return write


def test_an_upward_import_is_found_however_it_is_written(build):
    modules = build(
        {
            "minillm/ops/a.py": "from minillm.nn import layers",
            "minillm/ops/b.py": "def f():\n    import minillm.nn.layers",
            "minillm/ops/c.py": "from minillm import nn",
            "minillm/ops/d.py": "from ..nn.layers import Linear",
            "minillm/nn/__init__.py": "",
            "minillm/nn/layers.py": "from minillm.ops import a",
        }
    )
    assert upward_imports(modules) == [
        "minillm.ops.a imports minillm.nn.layers",
        "minillm.ops.b imports minillm.nn.layers",
        "minillm.ops.c imports minillm.nn",
        "minillm.ops.d imports minillm.nn.layers",
    ]


def test_rooms_of_one_floor_do_not_import_each_other(build):
    modules = build(
        {
            "minillm/text/a.py": "from minillm.models.gpt import GPT",
            "minillm/models/gpt.py": "",
        }
    )
    assert upward_imports(modules) == ["minillm.text.a imports minillm.models.gpt"]


def test_a_circle_is_found_also_when_a_function_imports(build):
    modules = build(
        {
            "minillm/nn/a.py": "from minillm.nn.b import y",
            "minillm/nn/b.py": "def f():\n    from minillm.nn.a import x",
        }
    )
    assert circles(modules) == ["minillm.nn.a -> minillm.nn.b -> minillm.nn.a"]


def test_a_package_is_part_of_a_circle_only_when_it_does_work(build):
    passing = "from minillm.nn.a import x\n__all__ = ['x']"
    files = {"minillm/nn/__init__.py": passing, "minillm/nn/a.py": "import minillm.nn"}
    assert not circles(build(files))
    files["minillm/nn/__init__.py"] += "\ndef work():\n    return x"
    assert circles(build(files)) == ["minillm.nn -> minillm.nn.a -> minillm.nn"]


def test_an_import_of_nothing_is_found(build):
    modules = build({"minillm/nn/a.py": "from minillm.ops.gone import x"})
    assert missing_imports(modules) == ["minillm.nn.a imports minillm.ops.gone"]


def test_cupy_is_found_outside_the_backend_only(build):
    modules = build(
        {
            "minillm/backend/cuda.py": "import cupy",
            "minillm/ops/a.py": "def f():\n    import cupy as cp",
        }
    )
    assert names_cupy(modules) == ["minillm.ops.a"]
