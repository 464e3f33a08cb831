"""What `import minillm` offers."""

import subprocess
import sys

import pytest

import minillm


@pytest.mark.parametrize("name", minillm.__all__)
def test_every_name_opens_its_room(name):
    assert callable(getattr(minillm, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = minillm.trian


def test_the_import_alone_opens_no_room():
    code = "import sys, minillm; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
