"""The names that others import: all listed, each once, with type hints."""

import importlib
import importlib.resources
import inspect
import subprocess
import sys

import pytest

import minillm

# What `from minillm import ...` offers: a name that goes missing breaks scripts.
OFFERED = """
    AdamW Learner SGD Tensor TrainConfig advise classify compare debug demo embed
    export_folder fill finetune fit fit_isoflop generate import_folder load_run no_grad
    op prepare report scale search threads train use
    write_notebooks
"""
LISTED = ["minillm", "minillm.ops", "minillm.nn", "minillm.testing", "minillm.backend"]
# Arrays of either backend have no type in common, and what NumPy takes for a shape, an
# index or a setting has no short one.
BARE = """
    self data x y q k v kv qkv mask memory_key_mask ids table weight bias gain hidden
    cell logits targets condition index indices arrays array host grad axis out axes
    new shape settings gate up cos sin recurrent
"""


def test_minillm_offers_these_names():
    assert set(OFFERED.split()) <= set(minillm.__all__)


@pytest.mark.parametrize("room", LISTED)
def test_each_public_name_is_there_and_listed_once(room):
    module = importlib.import_module(room)
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [name for name in module.__all__ if not hasattr(module, name)]


def test_the_installed_package_says_that_it_has_type_hints():
    assert (importlib.resources.files("minillm") / "py.typed").is_file()


def public_functions(room: str):
    """(name, function) of what a room offers: functions, and of classes what makes an
    object of them and their public methods."""
    module = importlib.import_module(room)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            for key, method in vars(value).items():
                public = not key.startswith("_") or key in ("__init__", "__call__")
                if inspect.isfunction(method) and public:
                    yield f"{name}.{key}", method
        elif callable(value):
            yield name, value


@pytest.mark.parametrize("room", LISTED[1:])
def test_public_parameters_have_type_hints(room):
    bare = [
        f"{name}({parameter.name})"
        for name, function in public_functions(room)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.annotation is parameter.empty
        and parameter.name not in BARE.split()
    ]
    assert not bare


def test_type_checkers_know_the_operators_that_ops_hang_on_a_tensor():
    code = (
        "from minillm.tensor import Tensor\n"
        "declared = {*dir(Tensor), *Tensor.__annotations__}\n"
        "from minillm import ops\n"
        "print('new:', *sorted(set(dir(Tensor)) - declared))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "new:\n", done.stderr


def test_an_operator_without_the_ops_says_so():
    code = "from minillm.tensor import Tensor; Tensor(1.0) + 1"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "has operators once minillm.ops is imported" in done.stderr
