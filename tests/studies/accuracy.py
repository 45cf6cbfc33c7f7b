"""How the models did on the last days of public data and of the demo; writes the tables of docs/accuracy.md.

`make accuracy-study ONLINE_RETAIL=online_retail.csv`: the steps up to the predictions, run over each data set. Without
the file of Online Retail its table is kept. A few minutes.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from clv_lib.contracts.accuracy import PREDICTION_ACCURACY
from clv_lib.demo import DemoParameters
from clv_lib.pipeline import run_step
from clv_lib.settings import Settings, load_settings

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "accuracy.md"
STEPS = ("intake", "customers", "segments", "predictions")
CDNOW = """
lake: {folder}/lake
reporting: {{currency: USD}}
sources:
  orders:
    table: {folder}/orders.csv
    format: csv
    columns: {{order_id: line, customer_id: customer, ordered_at: day, net_amount: dollars}}
predictions: {{holdout_days: 273}}
"""
ONLINE_RETAIL = """
lake: {folder}/lake
reporting: {{currency: GBP, time_zone: Europe/London}}
sources:
  orders:
    table: {file}
    format: csv
    grain: line
    columns:
      order_id: InvoiceNo
      customer_id: cast(CustomerID as int)
      ordered_at: InvoiceDate
      net_amount: Quantity * UnitPrice
"""


@dataclass(frozen=True)
class Study:
    """A data set: its name between the marks of the report, its settings, and the last day that counts."""

    name: str
    settings: Settings
    as_of: dt.date


def cdnow(folder: Path) -> Study:
    """The sample of CDNOW that comes with the package lifetimes, written as CSV with one row per purchase."""
    files = distribution("lifetimes").files or []
    path = next(str(file.locate()) for file in files if file.name == "CDNOW_sample.txt")
    lines = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    with (folder / "orders.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["line", "customer", "day", "dollars"])
        for number, (_, customer, day, _, dollars) in enumerate(lines):
            rows.writerow([f"line {number}", f"customer {customer}", f"{day[:4]}-{day[4:6]}-{day[6:]}", dollars])
    return Study("CDNOW", _settings(CDNOW, folder), dt.date(1998, 6, 30))


def online_retail(folder: Path, file: Path) -> Study:
    """The file of the UCI repository, saved as CSV."""
    settings = _settings(ONLINE_RETAIL, folder, file=str(file.resolve()))
    return Study("Online Retail", settings, dt.date(2011, 12, 9))


def demo(folder: Path, spark: SparkSession) -> Study:
    """The demo's sources, written into the folder."""
    from clv_lib.demo.tables import write_sources

    given = load_settings(ROOT / "conf" / "demo.yaml", environ={}).settings
    names = given.sources.configured()
    overrides = [f"lake={folder}/lake", *(f"sources.{name}.table={folder}/{name}" for name in names)]
    settings = load_settings(ROOT / "conf" / "demo.yaml", overrides, {}).settings
    parameters = DemoParameters()
    write_sources(spark, settings.sources, parameters, fresh=False)
    return Study("Demo", settings, parameters.as_of)


def _settings(text: str, folder: Path, **values: str) -> Settings:
    return load_settings(None, text=text.format(folder=folder, **values), environ={}).settings


def accuracy(spark: SparkSession, study: Study) -> list[Row]:
    """Rows of `prediction_accuracy` over all customers."""
    for name in STEPS:
        work = run_step(spark, study.settings, study.as_of, name, clock=lambda: dt.datetime.now(dt.timezone.utc))
    return work.read(PREDICTION_ACCURACY).where("segment_id = 'all:all'").collect()


def table(rows: Sequence[Row]) -> list[str]:
    """Markdown: a sentence about the holdout, and a line per model and simple rule."""
    first = next(row for row in rows if row.actual_orders is not None)
    came = f"{first.actual_orders:,.0f} days with orders came, worth {first.actual_amount:,.0f}"
    head = (
        "model", "orders predicted", "of what came", "rmse", "Gini", "best tenth", "customers held", "total held",
        "value predicted", "of what came", "customers held", "total held",
    )  # fmt: skip
    return [
        f"{first.customer_count:,} customers, {first.horizon_days} days after {first.calibration_end_date}: {came}.",
        "",
        f"| {' | '.join(head)} |",
        f"| --- |{' ---: |' * (len(head) - 1)}",
        *(_line(row) for row in sorted(rows, key=lambda row: (row.is_baseline, row.orders_rmse or float("inf")))),
    ]


def _line(row: Row) -> str:
    name = f"**{row.model_id}**" if row.is_published_model else row.model_id
    if row.predicted_orders is None:
        return f"| {name} | {row.accuracy_status} |{' |' * 10}"
    cells = [
        f"{row.predicted_orders:,.0f}",
        f"{row.orders_bias_ratio:.3f}",
        f"{row.orders_rmse:.3f}",
        f"{row.orders_normalised_gini:.3f}",
        _percent(row.orders_top_decile_capture),
        _percent(row.orders_interval_coverage),
        _held(row.actual_orders, row.orders_total_lower, row.orders_total_upper),
        *_value(row),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _value(row: Row) -> Iterable[str]:
    if row.predicted_amount is None:
        return ("", "", "", "")
    held = _held(row.actual_amount, row.amount_total_lower, row.amount_total_upper)
    return f"{row.predicted_amount:,.0f}", f"{row.amount_bias_ratio:.3f}", _percent(row.amount_interval_coverage), held


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _held(actual: float, lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return ""
    return f"{'yes' if lower <= actual <= upper else 'no'}: {lower:,.0f} to {upper:,.0f}"


def write(name: str, lines: Sequence[str]) -> None:
    """Put the lines between the marks of the data set in the report."""
    text, begin, end = REPORT.read_text(encoding="utf-8"), f"<!-- {name}: tests/studies/accuracy.py -->", "<!-- end -->"
    start = text.index(begin) + len(begin)
    stop = text.index(end, start)
    REPORT.write_text("\n".join([text[:start], "", *lines, "", text[stop:]]), encoding="utf-8")


def main() -> None:
    """Run the studies and write their tables."""
    from clv_lib.session import build_session

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--online-retail", type=Path, help="the data set as one CSV file")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "accuracy", help="emptied first")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    folders = {name: arguments.folder.resolve() / name for name in ("cdnow", "online_retail", "demo")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    small = load_settings(ROOT / "conf" / "demo.yaml", environ={}).settings.spark
    spark = build_session("clv-accuracy", {**small, "spark.driver.memory": "3g"})
    studies = [cdnow(folders["cdnow"]), demo(folders["demo"], spark)]
    if arguments.online_retail:
        studies.append(online_retail(folders["online_retail"], arguments.online_retail))
    for study in studies:
        lines = table(accuracy(spark, study))
        write(study.name, lines)
        sys.stdout.write("\n".join([f"\n{study.name}", *lines, ""]))
    spark.stop()


if __name__ == "__main__":
    main()
