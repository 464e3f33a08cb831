"""Notebooks: laid down, kept where they are, and executed as a kernel does it."""

import json
import sys
from pathlib import Path

import pytest

from minillm import write_notebooks

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "data" / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in SOURCES]


def cells(path: Path, kind: str = "code") -> list[dict]:
    book = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in book["cells"] if cell["cell_type"] == kind]


def test_there_are_three_notebooks():
    assert NAMES == ["1_first_gradient", "2_own_model", "3_law_in_five_minutes"]


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_a_notebook_is_kept_without_what_a_run_has_printed(path):
    assert all(cell["outputs"] == [] for cell in cells(path))
    assert all(cell["execution_count"] is None for cell in cells(path))


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_a_notebook_installs_the_clone_before_anything_else(path):
    first = cells(path)[0]
    assert "%pip install -q {clone}" in "".join(first["source"])


def test_they_are_laid_down_and_work_that_is_there_stays(tmp_path, minillm):
    code, out, err = minillm("notebooks", str(tmp_path / "lab"))
    assert (code, len(out.splitlines())) == (0, 3)
    assert "jupyter lab" in err
    mine = tmp_path / "lab" / "2_own_model.ipynb"
    mine.write_text("my work", encoding="utf-8")
    (tmp_path / "lab" / "1_first_gradient.ipynb").unlink()
    code, out, err = minillm("notebooks", str(tmp_path / "lab"))
    assert code == 0
    assert out.split() == [str(tmp_path / "lab" / "1_first_gradient.ipynb")]
    assert f"{mine}: is there already and stays as it is" in err
    assert mine.read_text(encoding="utf-8") == "my work"


def test_what_is_laid_down_is_what_the_package_holds(tmp_path):
    found = write_notebooks(tmp_path)
    assert [path.name for path in found["written"]] == [
        f"{name}.ipynb" for name in NAMES
    ]
    for path, source in zip(found["written"], SOURCES, strict=True):
        assert path.read_bytes() == source.read_bytes()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, minillm):
    (tmp_path / "lab").touch()
    code, _, err = minillm("notebooks", str(tmp_path / "lab"))
    assert code == 3
    assert "is a file: name a folder" in err


def test_its_names_are_one_json_object(tmp_path, minillm):
    code, out, _ = minillm("notebooks", str(tmp_path), "--json")
    assert code == 0
    assert {key: len(paths) for key, paths in json.loads(out).items()} == {
        "written": 3,
        "kept": 0,
    }


@pytest.fixture
def execute(tmp_path):
    """A function that executes a notebook in a folder of its own, in a real kernel:
    what each cell of code has shown, as text."""
    nbclient = pytest.importorskip("nbclient", reason="the extra `notebook`")
    nbformat = pytest.importorskip("nbformat", reason="the extra `notebook`")

    def run(name: str, **parameters) -> list[str]:
        book = nbformat.read(
            ROOT / "data" / "notebooks" / f"{name}.ipynb", as_version=4
        )
        nbformat.validate(book)
        for cell in book.cells:
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = "\n".join(f"{k} = {v!r}" for k, v in parameters.items())
        where = {"metadata": {"path": str(tmp_path)}}
        client = nbclient.NotebookClient(
            book, timeout=600, kernel_name="python3", resources=where
        )
        client.execute()  # raises where a cell does
        return ["\n".join(map(shown, c.outputs)) for c in book.cells if "outputs" in c]

    return run


def shown(output) -> str:
    return output.get("text") or output.get("data", {}).get("text/plain", "")


@pytest.mark.notebook
@pytest.mark.skipif(sys.platform == "win32", reason="kernels there want another loop")
def test_the_first_gradient_is_computed(execute):
    told = execute("1_first_gradient")
    assert "array([2., 4., 6.]" in told[2]
    assert "kind: factor" in "".join(told)
    assert "step 60: loss 0.02" in told[-1]


@pytest.mark.notebook
def test_the_model_of_one_s_own_learns(execute):
    told = "\n".join(execute("2_own_model"))
    losses = {
        line.split(":")[0]: float(line.split()[1])
        for line in told.splitlines()
        if line.startswith(("MLP: ", "GPT: "))
    }
    assert losses["GPT"] < losses["MLP"] < 2.6  # 5.1 is that of characters at random


@pytest.mark.notebook
def test_the_law_is_fitted_and_tested(execute):
    told = "\n".join(execute("3_law_in_five_minutes", PRESET="smoke"))
    assert "95 % interval of alpha: 0." in told
    off = float(told.partition("\noff by ")[2].partition("%")[0])
    assert off < 3  # % of the held-out model's loss
