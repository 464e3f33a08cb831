"""Every file is written by one door, and what only some systems have is asked for."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("minillm", "cli", "data")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
DOOR = "minillm/files.py"
# What the door has handed out, to be written or thrown away.
HANDED_OUT = {"temporary", "part"}
WRITES = {"write_text", "write_bytes", "touch", "unlink", "rmtree", "remove"}

# Names that Python has on some systems only (Windows has none of these).
MODULES = {"fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "tty", "winreg"}
NAMES = {
    "os": {
        *("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_BINARY"),
        *("fork", "forkpty", "geteuid", "getuid", "getgid", "getpgid", "killpg"),
        *("mkfifo", "mknod", "chown", "lchown", "setsid", "nice", "getloadavg"),
        *("sched_getaffinity", "sched_setaffinity", "sysconf", "uname", "pread"),
        *("wait", "wait3", "wait4", "statvfs", "fchmod", "fchown", "posix_spawn"),
    },
    "signal": {
        *("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE"),
        *("alarm", "setitimer", "pause", "pthread_sigmask", "sigwait", "SIG_BLOCK"),
        *("SIG_SETMASK", "SIG_UNBLOCK"),
    },
    "time": {"tzset", "clock_gettime"},
}
GUARDS = ("hasattr", "getattr", "sys.platform", "os.name")


def writes(tree: ast.Module) -> list[int]:
    """The lines where a file is opened for writing, written or removed by itself."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        owner = name = None
        if isinstance(function, ast.Attribute):
            name, owner = function.attr, ast.unparse(function.value)
        elif isinstance(function, ast.Name):
            name = function.id
        if owner in HANDED_OUT:
            continue
        modes = [
            value.value
            for value in [*node.args, *(word.value for word in node.keywords)]
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
        ]
        opens = name == "open" and any(
            set(mode) <= set("rwxabt+") and set(mode) & set("wxa+") for mode in modes
        )
        creates = (owner, name) == ("os", "open") and "O_RDONLY" not in ast.unparse(
            node
        )
        devnull = "devnull" in ast.unparse(node)
        removes = name in WRITES and not (name == "remove" and owner != "os")
        if (opens or creates or removes) and not devnull:
            found.append(node.lineno)
    return found


def unguarded(tree: ast.Module) -> list[str]:
    """The names of one system that are used without a word about the system: in an `if`
    (or after one that leaves), or in a `try` that takes their absence."""
    found = []

    def visit(node, guarded: bool) -> None:
        if isinstance(node, ast.If | ast.IfExp) and asks(node.test):
            guarded = True
        if isinstance(node, ast.Try):
            taken = ast.unparse(node.handlers) if node.handlers else ""
            guarded |= "ImportError" in taken or "AttributeError" in taken
        if not guarded:
            found.extend(names(node))
        body = getattr(node, "body", None)
        for child in ast.iter_child_nodes(node):
            visit(child, guarded)
            leaves = isinstance(child, ast.If) and asks(child.test)
            if isinstance(body, list) and child in body and leaves:
                guarded |= isinstance(child.body[-1], ast.Return | ast.Raise)

    visit(tree, False)
    return found


def asks(test: ast.expr) -> bool:
    return any(guard in ast.unparse(test) for guard in GUARDS)


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        known = NAMES.get(node.value.id, ())
        return [f"{node.value.id}.{node.attr}"] if node.attr in known else []
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in MODULES]
    if isinstance(node, ast.ImportFrom):
        if node.module in MODULES:
            return [node.module]
        known = NAMES.get(node.module, ())
        return [f"{node.module}.{a.name}" for a in node.names if a.name in known]
    return []


def parsed(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), file)


def test_nobody_writes_but_by_the_door():
    others = [file for file in SOURCES if file != DOOR]
    assert not {file: writes(parsed(file)) for file in others if writes(parsed(file))}


def test_what_only_some_systems_have_is_asked_for():
    found = {file: unguarded(parsed(file)) for file in SOURCES}
    assert not {file: names for file, names in found.items() if names}


def test_a_process_that_is_started_anew_looks_for_modules_in_safe_places():
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in SOURCES}
    starts = [file for file, text in texts.items() if re.search(r"\.Process\(", text)]
    forks = [file for file in starts if '"spawn"' not in texts[file]]
    # With all that is imported already.
    assert forks == ["minillm/learning/worker_pool.py"]
    for file in starts:
        assert file in forks or "with safe_path()" in texts[file]
    others = [file for file, text in texts.items() if "import subprocess" in text]
    assert others == ["minillm/exercises/judge.py", "minillm/series/job.py"]
    assert all('SAFE_PATH: "1"' in texts[file] for file in others)


@pytest.mark.parametrize(
    "line",
    [
        "Path(out).write_text(text)",
        "with open(path, 'w') as file: pass",
        "with path.open(mode='ab') as file: pass",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "shutil.rmtree(path)",
        "for path in old:\n    path.unlink()",
    ],
)
def test_a_way_round_the_door_is_found(line):
    assert writes(ast.parse(line))


def test_reading_is_no_writing():
    assert not writes(ast.parse("open(path)\npath.open('rb')\nrows.remove(row)"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("flags = os.O_NOFOLLOW", ["os.O_NOFOLLOW"]),
        ("import fcntl", ["fcntl"]),
        ("def f():\n    from resource import getrusage", ["resource"]),
        ("from signal import SIGHUP", ["signal.SIGHUP"]),
        ("if os.name != 'nt':\n    import fcntl", []),
        ("flags = getattr(os, 'O_NOFOLLOW', 0)", []),
        ("n = os.fork() if hasattr(os, 'fork') else 0", []),
        ("def f():\n    if os.name == 'nt':\n        return\n    os.fork()", []),
        ("def f():\n    if os.name == 'nt':\n        g()\n    os.fork()", ["os.fork"]),
        ("try:\n    import resource\nexcept ImportError:\n    pass", []),
        ("try:\n    import resource\nexcept ValueError:\n    pass", ["resource"]),
    ],
)
def test_a_name_without_a_question_is_found(text, found):
    assert unguarded(ast.parse(text)) == found
