"""Numbers in any form as floating-point arrays."""

import numpy as np

from minillm.backend import switch


def as_float_array(data):
    """Numbers in any form as a floating-point array of the current backend.

    Lists, Python numbers and whole numbers become float32, floating-point arrays keep
    their type. Raises TypeError for text and other objects.
    """
    array = floating(data)
    if isinstance(array, np.ndarray):
        array = switch.current().asarray(array)
    return array


def floating(data):
    """The same, left where it is."""
    array = data if switch.of(data) else np.asarray(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a Tensor holds real numbers, not {data!r:.60}")
    # A list has no type of its own: float32 then, not NumPy's float64.
    if array.dtype.kind != "f" or not hasattr(data, "dtype"):
        array = array.astype(np.float32)
    return array
