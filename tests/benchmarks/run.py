"""Measures clv and prints ratios: `make bench ORDERS=1000000`, `make bench-gold`, `-models` or `-nights`.

Nothing here is asserted: times depend on the machine, ratios of one run less so. Needs the development dependencies.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tests.benchmarks import fits, gold, nights, pipeline, scoring
from tests.benchmarks.population import population


def main() -> None:
    """Generate, measure, print."""
    arguments = _arguments()
    folder: Path = arguments.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if arguments.what == "job":
        pipeline.measure(folder, arguments.orders)
        return
    if arguments.what == "nights":
        how = {"is_skewed": arguments.skewed, "with_refunds": arguments.refunds}
        nights.measure(folder, arguments.orders, arguments.buckets, **how)
        return
    if arguments.what == "gold":
        gold.measure(folder, arguments.customers)
        return
    if arguments.more_customers:
        fits.measure(population(arguments.more_customers), with_peers=False)
    customers = population(arguments.customers)
    fitted = fits.measure(customers, with_peers=True)
    scoring.measure(folder, customers, fitted)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    job = what.add_parser("job", help="the whole job beside its floors and DuckDB")
    job.add_argument("--orders", type=int, default=1_000_000, help="orders to generate, roughly")
    job.add_argument("--folder", type=Path, default=Path("build/bench/job"), help="emptied first")
    every = what.add_parser("nights", help="silver of a night with one new day beside making it anew")
    every.add_argument("--orders", type=int, default=1_000_000, help="orders to generate, roughly")
    every.add_argument("--buckets", type=int, default=4, help="buckets of customers in silver")
    every.add_argument("--skewed", action="store_true", help="a tenth of the orders by one customer, half in one month")
    every.add_argument("--refunds", action="store_true", help="a tenth of the orders are refunded within six weeks")
    every.add_argument("--folder", type=Path, default=Path("build/bench/nights"), help="emptied first")
    tables = what.add_parser("gold", help="the steps after the intake, from customer_months without orders")
    tables.add_argument("--customers", type=int, default=1_000_000, help="customers with an order")
    tables.add_argument("--folder", type=Path, default=Path("build/bench/gold"), help="emptied first")
    models = what.add_parser("models", help="fits and scoring beside SciPy per row and lifetimes")
    models.add_argument("--customers", type=int, default=1_000_000, help="customers to fit and to score")
    models.add_argument("--more-customers", type=int, default=0, help="fit as many too, without lifetimes")
    models.add_argument("--folder", type=Path, default=Path("build/bench/models"), help="emptied first")
    return parser.parse_args()


if __name__ == "__main__":
    main()
