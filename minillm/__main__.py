"""`python -m minillm`: the command `minillm`, where its script is not on the path."""

import os
import sys


def leave_out_this_folder() -> None:
    """`python -m` looks for every module in the current folder first: for `pickle`,
    too. Unless minillm itself is there, it is not to look."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not sys.flags.safe_path and sys.path[0] == os.getcwd() != home:
        del sys.path[0]


if __name__ == "__main__":
    leave_out_this_folder()
    from minillm_cli.process import run

    sys.exit(run())
