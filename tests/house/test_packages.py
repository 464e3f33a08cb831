"""What gets installed: the list of packages, the wheel and the source archive."""

import configparser
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import minillm

ROOT = Path(__file__).parents[2]
FOLDERS = {"minillm": "minillm", "cli": "minillm_cli", "data": "minillm_data"}
FOR_THE_CHECKOUT = {
    "minillm/README.md",
    "minillm/ADD_YOUR_OWN.md",
    "data/law.svg",
}  # the tour, README's picture


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def test_the_list_of_packages_is_the_tree(config):
    tree = {
        ".".join([package, *path.parent.relative_to(ROOT / folder).parts])
        for folder, package in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert lines(config["options"]["packages"]) == sorted(tree)


def test_every_package_has_its_own_file():
    folders = {path.parent for name in FOLDERS for path in (ROOT / name).rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_requirements_are_one_a_line_without_comments(config):
    requirements = lines(config["options"]["install_requires"])
    for extra in config["options.extras_require"].values():
        requirements += lines(extra)
    assert not [line for line in requirements if "#" in line or "," in line]


def test_the_citation_names_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {minillm.__version__}\n" in citation


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source archive of a copy of this tree."""
    pytest.importorskip("setuptools", "77", "needs setuptools 77 or later")
    copy = tmp_path_factory.mktemp("build") / "tree"
    hidden = shutil.ignore_patterns(
        ".git", ".venv", "*.egg-info", "__pycache__", ".*cache"
    )
    made = {"build", "dist", "runs"}

    def leave_out(folder, names):
        return hidden(folder, names) | (made if Path(folder) == ROOT else set())

    shutil.copytree(ROOT, copy, ignore=leave_out)
    code = (
        "from setuptools import build_meta as b; "
        "b.build_sdist('dist'); b.build_wheel('dist')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return copy / "dist"


@pytest.fixture(scope="module")
def wheel(built) -> set[str]:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist(built) -> set[str]:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files_below(*folders: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.name.startswith(".")
    }


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "minillm",
        "minillm_cli",
        "minillm_data",
    }


def test_the_wheel_holds_every_file_a_program_reads(wheel):
    for file in files_below(*FOLDERS):
        folder, _, rest = file.partition("/")
        if file not in FOR_THE_CHECKOUT:
            assert f"{FOLDERS[folder]}/{rest}" in wheel


def test_the_wheel_holds_licence_and_command(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert any(name.endswith("entry_points.txt") for name in wheel)


def test_the_source_archive_holds_the_tests_and_what_builds_it(sdist):
    assert files_below(*FOLDERS, "tests", ".ci") <= sdist
    assert {"setup.cfg", "pyproject.toml", "LICENSE", "CITATION.cff"} <= sdist
