"""Step audit of a run, for spark-submit: jobs/audit.py --config FILE --as-of YYYY-MM-DD."""

from __future__ import annotations

import sys

from clv_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["step", "audit", *sys.argv[1:]]))
