"""How a tensor and a module show themselves, on the screen and in a notebook."""

from collections.abc import Iterable

import numpy as np

from minillm import backend, markup
from minillm.backend.array_like import ArrayLike

MOST_LINES = 24  # of a tensor's values
MOST_LAYERS = 24  # of a module
LONGEST = 120  # characters, of the shapes of a layer


def tensor_text(tensor) -> str:
    """A tensor's values, its shape, and where it comes from."""
    origin = f", made by {tensor.made_by}" if tensor.made_by else ""
    grad = ", requires_grad=True" if tensor.requires_grad and not origin else ""
    return f"Tensor({_values(tensor)}, shape={tensor.shape}{grad}{origin})"


def tensor_html(tensor) -> str:
    numbers = tensor.numpy()
    told = [
        f"shape {tensor.shape}",
        f"{tensor.dtype}",
        *([f"made by {tensor.made_by}"] if tensor.made_by else []),
        *(["requires_grad"] if tensor.requires_grad and not tensor.made_by else []),
    ]
    if numbers.size > 1:
        low, mean, high = numbers.min(), numbers.mean(), numbers.max()
        told.append(f"least {low:.4g}, mean {mean:.4g}, largest {high:.4g}")
    gradient = vars(tensor).get("grad")  # tensor.grad may warn
    if gradient is not None:
        norm = np.linalg.norm(backend.to_numpy(gradient))
        told.append(f"norm of grad {norm:.4g}")
    line, values = markup.line("; ".join(told)), markup.verbatim(_values(tensor))
    return markup.shown("Tensor", line, values)


def _values(tensor) -> str:
    """The values in a few lines: of a large tensor those at the edges."""
    values = tensor.numpy()
    for edge in (3, 2, 1):
        found = np.array2string(
            values, precision=4, separator=", ", threshold=100, edgeitems=edge
        )
        if found.count("\n") < MOST_LINES:
            return found
    lines = found.split("\n")
    return "\n".join([*lines[:MOST_LINES], "..."])


def module_text(module, parts: Iterable[tuple]) -> str:
    """A module as a table of its layers. `parts` are (name, module or tensor) of all
    that is in it, as `Module` walks them."""
    total, rows = _layers(parts)
    title = f"{type(module).__name__}, {total:,} parameters"
    if not rows:
        return title
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"  {name:{widths[0]}}  {kind:{widths[1]}}  {shapes:{widths[2]}}"
        f"  {n:>{widths[3]}}".rstrip()
        for name, kind, shapes, n in rows
    ]
    return "\n".join([title, *lines])


def module_html(module, parts: Iterable[tuple]) -> str:
    total, rows = _layers(parts)
    title = f"{type(module).__name__}, {total:,} parameters"
    heads = ["layer", "class", "parameters", "number"]
    return markup.shown(title, markup.table(heads, rows) if rows else "")


def _layers(parts: Iterable[tuple]) -> tuple[int, list[list[str]]]:
    """The number of parameters, and (name, class, shapes, number) of each layer."""
    rows = []
    for name, found in parts:
        if not isinstance(found, ArrayLike):
            rows.append([name, type(found).__name__, "", 0])
        elif found.made_by is None:
            row = next(
                row  # the innermost that holds it; the first one has no name
                for row in reversed(rows)
                if not row[0] or name.startswith(f"{row[0]}.")
            )
            own = name.removeprefix(row[0]).removeprefix(".")
            row[2] += f"{', ' if row[2] else ''}{own} {found.shape}"
            row[3] += found.size
    total = sum(row[3] for row in rows)
    rows = [[*row[:2], _cut(row[2]), f"{row[3]:,}"] for row in rows if row[3]]
    if len(rows) > MOST_LAYERS:
        half = MOST_LAYERS // 2
        more = f"… and {len(rows) - 2 * half} more layers"
        rows = [*rows[:half], [more, "", "", ""], *rows[-half:]]
    return total, rows


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
