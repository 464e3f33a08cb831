"""What `import minillm`, and packages whose names are opened later, offer."""

import subprocess
import sys

import pytest

import minillm
from minillm import models, text
from minillm.text import tokenizer


@pytest.mark.parametrize("name", minillm.__all__)
def test_every_name_opens_its_room(name):
    assert callable(getattr(minillm, name))


@pytest.mark.parametrize("package", [minillm, models, text, tokenizer])
def test_every_name_of_a_package_is_there(package):
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute"):
        _ = package.corpsu


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = minillm.trian


def test_the_import_alone_opens_no_room():
    code = "import sys, minillm; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
