"""Step experiments of a run, for spark-submit: jobs/experiments.py --config FILE --as-of YYYY-MM-DD."""

from __future__ import annotations

import sys

from clv_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["step", "experiments", *sys.argv[1:]]))
