"""Measures the job beside its floor, DuckDB and lifetimes in one run, and prints ratios: `make bench ORDERS=1000000`.

Nothing here is asserted: times depend on the machine, ratios of one run less so. Needs the development dependencies.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_lib.models import BgNbd, TransactionStatistics
from clv_lib.pipeline import run_all
from clv_lib.session import build_session
from clv_lib.settings import load_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = dt.date(2025, 6, 30)
HISTORY_DAYS = 3 * 365
ORDERS_PER_CUSTOMER = 8
SETTINGS = """
lake: {folder}/lake
reporting: {{currency: GBP}}
sources:
  orders: {{table: {folder}/orders}}
"""


def generated_orders(spark: SparkSession, count: int) -> DataFrame:
    """Orders by hashes of their number, so that every run makes the same ones; some customers order far more."""
    customers = max(1, count // ORDERS_PER_CUSTOMER)
    u = "(pmod(xxhash64(id, {salt}), 1000003) / 1000003D)"
    customer = f"cast(floor(pow({u.format(salt=1)}, 1.6) * {customers}) as bigint)"
    day = f"cast(floor(pow({u.format(salt=2)}, 0.9) * {HISTORY_DAYS}) as int)"
    amount = f"cast(5 + 60 * pow({u.format(salt=3)}, 2) as decimal(18,4))"
    seconds = "pmod(xxhash64(id, 4), 86400)"
    start = f"timestamp'{AS_OF - dt.timedelta(days=HISTORY_DAYS)} 00:00:00'"
    return spark.range(count).selectExpr(
        "concat('o', id) as order_id",
        f"concat('c', {customer}) as customer_id",
        f"{start} + make_dt_interval({day}, 0, 0, {seconds}) as ordered_at",
        f"{amount} as net_amount",
        f"cast({amount} * 0.6 as decimal(18,4)) as cost_amount",
        "element_at(array('search', 'social', 'email'), cast(pmod(id, 3) + 1 as int)) as channel",
    )


def timed(action: Callable[[], Any]) -> float:
    """Seconds that the action takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def floors(spark: SparkSession, folder: Path) -> dict[str, float]:
    """What any job over these rows must do at least."""
    orders = spark.read.format("delta").load(str(folder / "orders"))

    def noop(frame: DataFrame) -> None:
        frame.write.format("noop").mode("overwrite").save()

    sorted_rows = orders.repartition("customer_id").sortWithinPartitions("customer_id", "ordered_at")
    return {
        "scan of all columns": timed(lambda: noop(orders)),
        "minimal group-by customer": timed(
            lambda: noop(orders.groupBy("customer_id").agg({"net_amount": "sum", "ordered_at": "max", "*": "count"}))
        ),
        "repartition and sort by customer": timed(lambda: noop(sorted_rows)),
        "the same, written once": timed(
            lambda: sorted_rows.write.format("delta").mode("overwrite").save(str(folder / "sorted"))
        ),
    }


def duckdb_seconds(folder: Path) -> float:
    """Windows, months and customers by DuckDB with as many threads, to Parquet."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set threads to 2; set timezone = 'UTC'")
    connection.execute(f"create view orders as select * from read_parquet('{folder}/orders/*.parquet')")
    statements = (
        f"""copy (select *, row_number() over w as order_number,
            ordered_at::date - lag(ordered_at::date) over w as gap,
            sum(net_amount) over (w rows unbounded preceding) as cumulative_net_amount
            from orders window w as (partition by customer_id order by ordered_at, order_id))
            to '{folder}/duck_orders.parquet'""",
        f"""copy (select customer_id, date_trunc('month', ordered_at) as month, count(*) as order_count,
            count(*) filter (gap is null or gap > 0) as active_day_count, sum(net_amount) as net_amount,
            min(ordered_at) as first_at, max(ordered_at) as last_at
            from '{folder}/duck_orders.parquet' group by all) to '{folder}/duck_months.parquet'""",
        f"""copy (select customer_id, sum(order_count) as orders, sum(active_day_count) - 1 as x,
            sum(net_amount) as net_amount, min(first_at) as first_at, max(last_at) as last_at
            from '{folder}/duck_months.parquet' group by all) to '{folder}/duck_customers.parquet'""",
    )
    return timed(lambda: [connection.execute(statement) for statement in statements])


def fits(spark: SparkSession, folder: Path) -> dict[str, float]:
    """The BG/NBD fit of the published customers, ours on counted statistics and lifetimes on the same, with weights."""
    rows = (
        spark.read.format("delta")
        .load(str(folder / "lake" / "gold" / "customer_metrics"))
        .groupBy("btyd_frequency", "btyd_recency_days", "btyd_age_days")
        .count()
        .toPandas()
    )
    x, t_x, age, weight = (rows[name].to_numpy(float) for name in rows.columns)
    statistics = TransactionStatistics(x, t_x / 7, age / 7, weight)
    ours = timed(lambda: BgNbd.fit(statistics))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter

        theirs = timed(lambda: BetaGeoFitter().fit(x, t_x / 7, age / 7, weights=weight))
    return {"fit, clv": ours, "fit, lifetimes with weights": theirs, "distinct statistics": float(len(x))}


def shuffles(log_folder: Path, windows: list[tuple[str, float, float]]) -> dict[str, tuple[int, int, float]]:
    """Jobs, stages that shuffle and gigabytes shuffled per step, from Spark's event log."""
    found: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for path in (path for path in log_folder.rglob("*") if path.is_file()):
        for line in path.read_text().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            kind = event.get("Event")
            if kind not in ("SparkListenerJobStart", "SparkListenerStageCompleted"):
                continue
            at = event.get("Submission Time") or event["Stage Info"].get("Submission Time", 0)
            step = next((name for name, begin, end in windows if begin <= at / 1000 <= end), "outside")
            if kind == "SparkListenerJobStart":
                found[step][0] += 1
                continue
            accumulables = {a["Name"]: a.get("Value", 0) for a in event["Stage Info"]["Accumulables"]}
            written = int(accumulables.get("internal.metrics.shuffle.write.bytesWritten", 0))
            found[step][1] += written > 0
            found[step][2] += written / 1e9
    return {step: (int(jobs), int(stages), size) for step, (jobs, stages, size) in found.items()}


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "events").mkdir(parents=True)
    settings = load_settings(None, text=SETTINGS.format(folder=folder), environ={}).settings
    conf = {
        "spark.master": "local[2]",
        "spark.driver.memory": "6g",
        "spark.sql.shuffle.partitions": "16",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.dir": (folder / "events").as_uri(),
    }
    spark = build_session("clv-bench", conf)
    print(f"{arguments.orders:,} orders")
    orders = generated_orders(spark, arguments.orders)
    print(f"{timed(lambda: orders.write.format('delta').save(str(folder / 'orders'))):8.1f} s  generated and written")
    base = floors(spark, folder)
    unit = base["the same, written once"]
    _print(base, unit)
    began = time.time()
    started = time.monotonic()
    outcome = run_all(spark, settings, AS_OF, clock=lambda: dt.datetime.now(dt.timezone.utc))
    total = time.monotonic() - started
    steps = {f"step {step.name}": step.seconds for step in outcome.progress.steps}
    _print(steps, unit)
    _print({"the whole job": total, "DuckDB, windows + months + customers": duckdb_seconds(folder)}, unit)
    print(f"{steps['step audit'] / total:8.1%}    share of the gate (audit) in the job")
    fitted = fits(spark, folder)
    ratio = fitted["fit, lifetimes with weights"] / fitted["fit, clv"]
    print(f"{fitted['fit, clv']:8.2f} s  BG/NBD fit on {fitted['distinct statistics']:,.0f} tuples")
    print(f"{ratio:8.1f}x    lifetimes on the same tuples, over that")
    spark.stop()
    windows, at = [], began + total - sum(steps.values())
    for name, seconds in steps.items():
        windows.append((name, at, at + seconds))
        at += seconds
    for step, (jobs, stages, size) in shuffles(folder / "events", windows).items():
        if step != "outside":
            print(f"{jobs:4d} jobs {stages:4d} shuffles {size:8.3f} GB  {step}")


def _print(seconds: dict[str, float], unit: float) -> None:
    for name, value in seconds.items():
        print(f"{value:8.1f} s  {value / unit:6.2f}x  {name}", flush=True)


if __name__ == "__main__":
    main()
