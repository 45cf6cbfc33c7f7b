"""Step predictions of a run, for spark-submit: jobs/predictions.py --config FILE --as-of YYYY-MM-DD."""

from __future__ import annotations

import sys

from clv_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["step", "predictions", *sys.argv[1:]]))
