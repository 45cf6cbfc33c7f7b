"""The whole job on generated orders and the night after, beside what any job over these rows must do.

And beside what one would do on one machine instead: DuckDB over all orders, and lifetimes for models and scores.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from clv_lib.pipeline import run_all
from clv_lib.pipeline.progress import LOGGER
from clv_lib.scoring.statistics import TIME_UNIT_DAYS
from clv_lib.settings import load_settings
from tests.benchmarks import peers
from tests.benchmarks.events import StepTimes, show_work, work_by_step
from tests.benchmarks.measuring import better_of_two, heading, noop, session, show, timed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.pipeline import Outcome
    from clv_lib.settings import Settings

AS_OF = dt.date(2025, 6, 30)
HISTORY_DAYS = 3 * 365
CROWDED_MONTH = dt.date(2024, 11, 1)
ORDERS_PER_CUSTOMER = 8.8
PURCHASES = {"alpha": 41.84, "s": 0.6, "beta": 200.0}
SPEND_SCALE = 45.0
_PRIME = 9007199254740881
_UNIT = "the same, written once"
SETTINGS = """
lake: {folder}/lake
reporting: {{currency: GBP}}
sources:
  orders: {{table: {folder}/orders}}
"""


@dataclass(frozen=True)
class Run:
    """How the job ended, the span of the whole and of each step in seconds since the epoch."""

    outcome: Outcome
    span: tuple[float, float]
    steps: dict[str, tuple[float, float]]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.span[1] - self.span[0]


def measure(folder: Path, count: int) -> None:
    """Generate about `count` orders in the folder, run the job on them and print it beside floors and DuckDB."""
    settings = load_settings(None, text=SETTINGS.format(folder=folder), environ={}).settings
    spark = session(folder)
    orders = generated_orders(spark, count)
    of_last_day = F.col("ordered_at") >= F.lit(AS_OF)
    before = orders.where(~of_last_day).repartitionByRange(8, "ordered_at").sortWithinPartitions("ordered_at")
    seconds = timed(lambda: before.write.format("delta").save(str(folder / "orders")))
    written = spark.read.format("delta").load(str(folder / "orders")).count()
    heading(f"{written:,} orders, generated and written in {seconds:.1f} s")
    heading(f"Floors, the better of two runs, as multiples of `{_UNIT}`")
    base = better_of_two(floors(spark, folder))
    unit = base[_UNIT]
    show(base, unit)
    run = run_job(partial(_run_all, spark, settings, AS_OF - dt.timedelta(days=1)))
    _show_run("The job, run once", "the whole job", run, unit)
    new = orders.where(of_last_day).coalesce(1)
    new.write.format("delta").mode("append").save(str(folder / "orders"))
    night = run_job(partial(_run_all, spark, settings, AS_OF))
    _show_run("The night after, with one new day", "the whole night", night, unit)
    print(f"{night.seconds / run.seconds:11.1%}          of the whole job")
    heading("DuckDB with two threads, the better of two runs, and lifetimes with a row per customer")
    alone = better_of_two({"windows, months and customers, to Parquet": partial(aggregate_with_duckdb, folder)})
    show({**alone, **lifetimes_of_customers(folder)}, unit)
    snapshot = night.outcome.publication.snapshot_id
    print(f"             customers and sums of DuckDB are {agreement(spark, folder, snapshot)}")
    fits = spark.read.format("delta").load(str(folder / "lake" / "gold" / "model_fits"))
    fits = fits.where(F.col("snapshot_id") == snapshot)
    heading("Models that the job fitted")
    for row in fits.select("model_id", "fit_status", "is_published_model").distinct().orderBy("model_id").collect():
        print(f"  {row[0]}: {row[1]}{', published' if row[2] else ''}")
    spark.stop()
    for what, one in (("job", run), ("night after", night)):
        heading(f"Work of the {what} by step, from the event log")
        show_work(work_by_step(folder / "events", one.steps, one.span))


def _run_all(spark: SparkSession, settings: Settings, as_of: dt.date) -> Outcome:
    return run_all(spark, settings, as_of, clock=lambda: dt.datetime.now(dt.timezone.utc))


def _show_run(title: str, whole: str, run: Run, unit: float) -> None:
    steps = {f"step {step.name}": step.seconds for step in run.outcome.progress.steps}
    heading(title)
    show({**steps, whole: run.seconds}, unit)
    print(f"{steps['step audit'] / run.seconds:11.1%}          of it is its gate (audit)", flush=True)


def generated_orders(spark: SparkSession, count: int) -> DataFrame:
    """About `count` orders of customers of Pareto/NBD with r = 1 who spend by Gamma-Gamma; grain: order.

    Everything is drawn from hashes of customer and order, so that every run makes the same ones. Given how long a
    customer was seen alive, the number of repeat orders is geometric when r = 1, and their times are uniform.
    """
    left = f"({HISTORY_DAYS * 86400} - start)"
    life = "{beta} * 86400 * (pow({u}, -1 / {s}) - 1)".format(u=_uniform("customer", 2), **PURCHASES)
    stay = f"(alive / (alive + {PURCHASES['alpha']} * 86400))"
    customers = (
        spark.range(max(1, round(count / ORDERS_PER_CUSTOMER)))
        .selectExpr("id as customer")
        .selectExpr("*", f"{_uniform('customer', 1)} * {HISTORY_DAYS * 86400 - 1} as start")
        .selectExpr("*", f"least({life}, {left}) as alive", f"{SPEND_SCALE} / {_gamma('customer', 4, 10)} as scale")
        .selectExpr("*", f"cast(ln({_uniform('customer', 3)}) / ln({stay}) as int) as repeats")
    )
    begin = dt.datetime.combine(AS_OF, dt.time(), dt.timezone.utc) - dt.timedelta(days=HISTORY_DAYS - 1)
    since = f"start + if(number = 0, 0, alive * {_uniform('customer, number', 4)})"
    amount = f"cast(scale * {_gamma('customer, number', 2, 20)} as decimal(18,4))"
    return (
        customers.selectExpr("customer", "start", "alive", "scale", "explode(sequence(0, repeats)) as number")
        .selectExpr("*", f"timestamp_seconds({begin.timestamp():.0f} + cast({since} as bigint)) as ordered_at")
        .selectExpr("*", f"greatest({amount}, 0.01) as net_amount")
        .selectExpr(
            "concat('o', customer, '-', number) as order_id",
            "concat('c', customer) as customer_id",
            "ordered_at",
            "net_amount",
            "cast(net_amount * 0.6 as decimal(18,4)) as cost_amount",
            "element_at(array('search', 'social', 'email'), cast(pmod(customer + number, 3) + 1 as int)) as channel",
        )
    )


def skewed(orders: DataFrame) -> DataFrame:
    """The same orders, but a tenth of them by one customer, and half of them in one month. Grain: order."""
    draw = "pmod(xxhash64(order_id), 20)"
    into_month = "make_dt_interval(pmod(xxhash64(order_id, 1), 30), pmod(xxhash64(order_id, 2), 24))"
    crowded = f"timestamp'{CROWDED_MONTH}' + {into_month}"
    return orders.withColumns(
        {
            "customer_id": F.expr(f"if({draw} < 2, 'c0', customer_id)"),
            "ordered_at": F.expr(f"if({draw} % 2 = 0, {crowded}, ordered_at)"),
        }
    )


def refunds_of(orders: DataFrame) -> DataFrame:
    """Refunds of a tenth of the orders within six weeks, a third of the money each; grain: refund.

    A tenth of them names no order, and belongs to the customer's latest.
    """
    given = orders.where("pmod(xxhash64(order_id, 3), 10) = 0")
    after = "make_dt_interval(pmod(xxhash64(order_id, 4), 42), pmod(xxhash64(order_id, 5), 24))"
    return given.selectExpr(
        "concat('r', order_id) as refund_id",
        "if(pmod(xxhash64(order_id, 6), 10) = 0, null, order_id) as order_id",
        "customer_id",
        f"ordered_at + {after} as refunded_at",
        "cast(net_amount / 3 as decimal(18,4)) as refund_amount",
    )


def _uniform(columns: str, salt: int) -> str:
    """A number above 0 and below 1 that hashes to the columns."""
    return f"((pmod(xxhash64({columns}, {salt}), {_PRIME}) + 0.5D) / {_PRIME}D)"


def _gamma(columns: str, shape: int, salt: int) -> str:
    """A gamma variable of whole shape and scale 1: a sum of exponential ones."""
    return f"(-{' - '.join(f'ln({_uniform(columns, salt + number)})' for number in range(shape))})"


def floors(spark: SparkSession, folder: Path) -> dict[str, Callable[[], None]]:
    """What any job over these rows must do at least, by name."""
    orders = spark.read.format("delta").load(str(folder / "orders"))
    totals = orders.groupBy("customer_id").agg({"net_amount": "sum", "ordered_at": "max", "*": "count"})
    sorted_rows = orders.repartition("customer_id").sortWithinPartitions("customer_id", "ordered_at")
    written = str(folder / "sorted")
    return {
        "scan of all columns": lambda: noop(orders),
        "minimal group-by customer": lambda: noop(totals),
        "repartition and sort by customer": lambda: noop(sorted_rows),
        _UNIT: lambda: sorted_rows.write.format("delta").mode("overwrite").save(written),
    }


def run_job(action: Callable[[], Outcome]) -> Run:
    """Run the job and note when its steps began and ended."""
    logger, times = logging.getLogger(LOGGER), StepTimes()
    logger.addHandler(times)
    logger.setLevel(logging.INFO)
    began = time.time()
    try:
        outcome = action()
    finally:
        logger.removeHandler(times)
    names = [step.name for step in outcome.progress.steps]
    return Run(outcome, (began, time.time()), {name: times.spans[name] for name in names})


def aggregate_with_duckdb(folder: Path) -> None:
    """Windows over orders, months of customers and customers, to Parquet."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set threads to 2; set timezone = 'UTC'")
        connection.execute(
            f"""copy (select *, row_number() over w as order_number,
            ordered_at::date - lag(ordered_at::date) over w as gap,
            sum(net_amount) over (w rows unbounded preceding) as cumulative_net_amount,
            first_value(ordered_at::date) over w as first_day
            from read_parquet('{folder}/orders/*.parquet')
            window w as (partition by customer_id order by ordered_at, order_id))
            to '{folder}/duck_orders.parquet'"""
        )
        connection.execute(
            f"""copy (select customer_id, date_trunc('month', ordered_at) as month, count(*) as order_count,
            count(*) filter (gap is null or gap > 0) as active_day_count, sum(net_amount) as net_amount,
            sum(net_amount) filter (ordered_at::date > first_day) as repeat_net_amount,
            min(ordered_at) as first_at, max(ordered_at) as last_at
            from '{folder}/duck_orders.parquet' group by all) to '{folder}/duck_months.parquet'"""
        )
        connection.execute(
            f"""copy (select customer_id, sum(order_count) as orders, sum(active_day_count) - 1 as x,
            sum(net_amount) as net_amount, sum(repeat_net_amount) as repeat_net_amount,
            min(first_at) as first_at, max(last_at) as last_at
            from '{folder}/duck_months.parquet' group by all) to '{folder}/duck_customers.parquet'"""
        )


def lifetimes_of_customers(folder: Path) -> dict[str, float]:
    """Seconds of fitting BG/NBD and Gamma-Gamma to the customers of DuckDB and scoring them by lifetimes, to Parquet.

    NaN, and its error is printed, where it fails.
    """
    customers = pd.read_parquet(folder / "duck_customers.parquet")
    days = {name: customers[name].dt.tz_localize(None).dt.normalize() for name in ("first_at", "last_at")}
    frequency = customers["x"].to_numpy(float)
    spent = customers["repeat_net_amount"].astype(float).fillna(0.0).to_numpy()
    rows = pd.DataFrame(
        {
            "frequency": frequency,
            "recency": (days["last_at"] - days["first_at"]).dt.days / TIME_UNIT_DAYS,
            "T": (pd.Timestamp(AS_OF) - days["first_at"]).dt.days / TIME_UNIT_DAYS,
            "monetary_value": np.divide(spent, frequency, out=np.zeros(len(customers)), where=frequency > 0),
        }
    )
    scored = peers.values(rows, folder / "lifetimes.parquet")
    return {f"lifetimes: {name}": seconds for name, seconds in scored.items()}


def agreement(spark: SparkSession, folder: Path, snapshot_id: str) -> str:
    """Whether customers, orders, repeat days and money of DuckDB are those that the job published."""
    import duckdb

    with duckdb.connect() as connection:
        theirs = connection.execute(
            f"select count(*), sum(orders), sum(x), sum(net_amount) from '{folder}/duck_customers.parquet'"
        ).fetchone()
    metrics = spark.read.format("delta").load(str(folder / "lake" / "gold" / "customer_metrics"))
    metrics = metrics.where(F.col("snapshot_id") == snapshot_id)
    ours = metrics.selectExpr(
        "count(*)", "sum(lifetime_order_count)", "sum(btyd_frequency)", "sum(lifetime_net_amount)"
    ).first()
    if theirs is None or ours is None or tuple(theirs) != tuple(ours):
        return f"not the job's: {theirs} and {ours}"
    return "equal to the job's"
