"""``python -m gradcompile``: the same as the command ``gradcompile``."""

import sys

from gradcompile.cli import main

if __name__ == "__main__":
    sys.exit(main())
