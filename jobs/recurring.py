"""Step recurring of a run, for spark-submit: jobs/recurring.py --config FILE --as-of YYYY-MM-DD."""

from __future__ import annotations

import sys

from clv_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["step", "recurring", *sys.argv[1:]]))
