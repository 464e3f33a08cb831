"""The process around a command: `minillm`, or `python -m minillm`."""

import os
import sys


def run() -> int:
    """Run the command line of this process and return its exit code, whenever a signal
    arrives. What arrives later than that finds nothing to stop, and is not heard."""
    try:
        from minillm_cli import signals

        signals.heard()
        sys.unraisablehook = signals.once_more
        from minillm_cli import notes
        from minillm_cli.main import answer

        notes.take_warnings()
        return answer()
    except KeyboardInterrupt:  # amid imports, for one
        return tell("interrupted", 130)
    except SystemExit as end:
        return tell("terminated", end.code)


def tell(what: str, code: int) -> int:
    from minillm_cli import signals

    signals.ignored()
    os.write(2, f"minillm: {what}\n".encode())
    return code
