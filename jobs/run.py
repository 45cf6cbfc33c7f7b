"""A whole run, for spark-submit: jobs/run.py --config FILE --as-of YYYY-MM-DD [--summary-json FILE]."""

from __future__ import annotations

import sys

from clv_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
