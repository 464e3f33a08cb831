"""Notebooks: whether one shows us, and a place in it that is drawn anew.

The messages are those that every front end of Jupyter knows; no widget is needed.
"""

import sys
import time

BETWEEN = 0.5  # seconds from one drawing to the next


def running() -> bool:
    """Whether the kernel of a notebook runs this process. IPython in a terminal is
    none."""
    IPython = sys.modules.get("IPython")
    shell = IPython.get_ipython() if IPython else None
    return getattr(shell, "kernel", None) is not None


class Area:
    """A place below the cell that called us, which `draw` fills and fills again."""

    def __init__(self):
        self._handle = None
        self._drawn = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it was not drawn just now."""
        return time.monotonic() - self._drawn >= BETWEEN

    def draw(self, html: str, plain: str) -> None:
        """Show HTML, or the plain text where a front end has no HTML."""
        from IPython.display import display

        shown = {"text/html": html, "text/plain": plain}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
        self._drawn = time.monotonic()
