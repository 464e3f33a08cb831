"""`python -m minillm_cli` is the command `minillm`."""

import sys

from minillm_cli.main import main

sys.exit(main())
