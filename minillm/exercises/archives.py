"""Two archives for a course: what students start from, and Gradescope's autograder."""

import zipfile
from importlib import resources
from pathlib import Path

from minillm import files
from minillm.exercises.course import COURSE, Course
from minillm.exercises.cutting import text_of
from minillm.exercises.folder import GUIDE, guide
from minillm.exercises.table import exercise_of, file_name

STARTER, AUTOGRADER = "starter.zip", "autograder.zip"
# Those of setup.cfg that a check needs.
REQUIREMENTS = (
    "hypothesis>=6.100",
    "numpy>=2",
    "safetensors>=0.4.3",
    "threadpoolctl>=3.5",
    "tokenizers>=0.20",
)
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the same archive each time
RUN, TEXT = 0o755, 0o644
SETUP = """\
#!/usr/bin/env bash
# Written by minillm: what the autograder needs, once, when its image is built.
set -euo pipefail
source=${AUTOGRADER_ROOT:-/autograder}/source
found=
for python in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$python" >/dev/null &&
        "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
    then
        found=$python
        break
    fi
done
if [ -z "$found" ]; then
    apt-get update
    apt-get install -y python3.11 python3.11-venv
    found=python3.11
fi
"$found" -m venv "$source/.venv"
"$source/.venv/bin/python" -m pip install -r "$source/requirements.txt"
"""
RUN_AUTOGRADER = """\
#!/usr/bin/env bash
# Written by minillm: marks what lies in submission/ and writes results/results.json.
root=${AUTOGRADER_ROOT:-/autograder}
mkdir -p "$root/results"
cd "$root/source"
if ! said=$(.venv/bin/python -m minillm.exercises.gradescope "$root" 2>&1); then
    echo "$said"
    said=${said##*$'\\n'}
    said=${said//\\\\/}
    said=${said//\\"/}
    printf '{"score": 0, "output": "The autograder failed: %s"}\\n' "$said" \\
        >"$root/results/results.json"
fi
"""


def pack(course: Course, folder: Path) -> list[Path]:
    """Write starter.zip and autograder.zip into a folder. Raises DataError where the
    disk refuses."""
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return [
        _archive(folder / STARTER, starter(course)),
        _archive(folder / AUTOGRADER, autograder(course)),
    ]


def starter(course: Course) -> dict[str, str]:
    """What students get, by name: as `exercises start` makes it."""
    texts = {file_name(name): text_of(exercise_of(name)) for name in course.names}
    return texts | {GUIDE: guide(), COURSE: course.for_students()}


def autograder(course: Course) -> dict[str, str]:
    """Gradescope's archive, by name: this package's own files, the course with its
    hidden seeds, and the two scripts."""
    package = resources.files("minillm")
    return {
        "setup.sh": SETUP,
        "run_autograder": RUN_AUTOGRADER,
        "requirements.txt": "\n".join(REQUIREMENTS) + "\n",
        COURSE: course.for_lecturers(),
    } | {f"minillm/{name}": text for name, text in _texts(package)}


def _texts(folder, above: str = ""):
    """(name, text) of the files below a folder of the package."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            if item.name != "__pycache__":
                yield from _texts(item, f"{above}{item.name}/")
        elif item.name.endswith((".py", ".md", ".cu")):
            yield above + item.name, item.read_text("utf-8")


def _archive(path: Path, texts: dict[str, str]) -> Path:
    with (
        files.replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, text in texts.items():
            info = zipfile.ZipInfo(name, EARLIEST)
            script = text.startswith("#!")
            info.external_attr = (RUN if script else TEXT) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return path
