"""`python -m clv_lib.cli`, the same as `clv`."""

from __future__ import annotations

import sys

from clv_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
