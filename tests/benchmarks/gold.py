"""Gold from a `customer_months` that was made without orders: time, jobs, shuffles and scans of each step and table."""

from __future__ import annotations

import datetime as dt
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts import SILVER_TABLES
from clv_lib.contracts.silver import CUSTOMER_MONTHS
from clv_lib.pipeline import begin, compute
from clv_lib.pipeline.intake import value_basis
from clv_lib.pipeline.progress import LOGGER
from clv_lib.runs import STARTED, record
from clv_lib.settings import load_settings
from tests.benchmarks.events import StepTimes, show_work, work_by_step
from tests.benchmarks.gold_scans import scans_by_step
from tests.benchmarks.measuring import heading, session
from tests.benchmarks.pipeline import AS_OF, ORDERS_PER_CUSTOMER, generated_orders

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.pipeline.workspace import Workspace

STEPS = ("customers", "segments", "predictions", "experiments", "economics")
SCANNED = ("customer_months", "customer_segments", "customer_metrics", "customer_predictions")
CHANNELS = ("search", "social", "email")
_SPEND_PER_CUSTOMER = 20
_ASSIGNED = 20  # of so many customers one takes part in the experiment
SETTINGS = """
lake: {folder}/lake
reporting: {{currency: GBP}}
sources:
  orders: {{table: {folder}/orders}}
  customers: {{table: {folder}/customers}}
  marketing_spend: {{table: {folder}/spend}}
  experiment_assignments: {{table: {folder}/assignments}}
segments:
  - {{type: attribute, column: customer_type}}
  - {{type: attribute, column: region}}
  - {{type: channel}}
  - {{type: rfm}}
  - {{type: value_decile}}
  - {{type: cohort}}
  - {{type: lifecycle}}
  - {{type: sql, name: order_size, cases: {{large: average_order_value >= 60, small: average_order_value < 60}}}}
predictions: {{model: bg_nbd, holdout_days: 0, compare_groups: []}}
"""


class TableTimes(logging.Handler):
    """When each table was written, in seconds since its step began, in that order."""

    def __init__(self) -> None:
        """Nothing has been written yet."""
        super().__init__(logging.INFO)
        self.began = 0.0
        self.written: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note a table that was written."""
        text = record.getMessage()
        if text == "started":
            self.began, self.written = record.created, []
        elif text.startswith("wrote "):
            self.written.append((record.created - self.began, text.removeprefix("wrote ")))


def measure(folder: Path, customers: int) -> None:
    """Make silver for that many customers in the folder, run the steps after the intake, and print what they took."""
    settings = load_settings(None, text=SETTINGS.format(folder=folder), environ={}).settings
    spark = session(folder)
    began = time.monotonic()
    _write_sources(spark, folder, customers)
    work = begin(spark, settings, AS_OF, dt.datetime.now(dt.timezone.utc))
    with work.progress.step("silver"):
        work = _write_silver(work, generated_orders(spark, round(customers * ORDERS_PER_CUSTOMER)))
    seconds = time.monotonic() - began
    work = replace(work, run=replace(work.run, value_basis=value_basis(work)))
    record(work.lake, work.run, STARTED)
    rows = work.read(CUSTOMER_MONTHS).count()
    heading(f"{customers:,} customers in {rows:,} rows of customer_months, made in {seconds:.1f} s")
    spans = _run(work)
    spark.stop()
    heading("Work by step, from the event log")
    show_work(work_by_step(folder / "events", spans, (0.0, time.time())))
    for table in SCANNED:
        print(f"scans of {table}: {scans_by_step(folder / 'events', table, spans)}", flush=True)


def _run(work: Workspace) -> dict[str, tuple[float, float]]:
    """Run each step, print its seconds and when each of its tables was written; the spans of the steps."""
    logger, times, tables = logging.getLogger(LOGGER), StepTimes(), TableTimes()
    logger.setLevel(logging.INFO)
    for handler in (times, tables):
        logger.addHandler(handler)
    for name in STEPS:
        with work.progress.step(name):
            work, _ = compute(work, name, lambda: dt.datetime.now(dt.timezone.utc))
        print(f"{work.progress.steps[-1].seconds:9.2f} s  step {name}", flush=True)
        for seconds, table in tables.written:
            print(f"{'':11}  + {seconds:7.2f} s  {table}", flush=True)
    for handler in (times, tables):
        logger.removeHandler(handler)
    return times.spans


def _write_silver(work: Workspace, orders: DataFrame) -> Workspace:
    """customer_months of the orders; the other silver tables without rows."""
    for table in SILVER_TABLES:
        frame = work.frame(table)
        if table is CUSTOMER_MONTHS:
            frame = generated_months(orders).sortWithinPartitions("month", "customer_id")
        work = work.write_state(table, frame)
    return work


def generated_months(orders: DataFrame) -> DataFrame:
    """`customer_months` of `generated_orders`, in one group-by. Grain: customer and month.

    The first order of a customer, whose id ends with -0, stands for the first day and for the windows of first days;
    orders are taken to lie on days of their own, and gaps between days are not known. None of it changes what the steps
    have to do. Sums are of numbers alone, so that Spark hashes the rows.
    """
    is_first, day, net = F.col("order_id").endswith("-0"), F.to_date("ordered_at"), F.col("net_amount")
    number = F.array_position(F.array(*(F.lit(name) for name in CHANNELS)), F.col("channel"))
    named = {"day": day, "margin": net - F.col("cost_amount"), "first_net": F.when(is_first, net)}
    firsts = {"first_margin": F.when(is_first, named["margin"]), "number": F.when(is_first, number)}
    own = orders.select("customer_id", "net_amount", *(c.alias(name) for name, c in {**named, **firsts}.items()))
    first_net, count = F.coalesce(F.sum("first_net"), F.lit(0)), F.count(F.lit(1))
    facts = {
        "order_count": count,
        "active_day_count": F.least(count, F.date_diff(F.max("day"), F.min("day")) + 1),
        "gross_amount": F.sum("net_amount"),
        "net_amount": F.sum("net_amount"),
        "margin_amount": F.sum("margin"),
        "margin_order_count": count,
        "first_ordered_date": F.min("day"),
        "last_ordered_date": F.max("day"),
        "first_day_net_amount": first_net,
        "first_day_margin_amount": F.coalesce(F.sum("first_margin"), F.lit(0)),
        **{f"net_amount_first_{days}d": first_net for days in (30, 90, 365)},
        "number": F.max("number"),
    }
    made = own.groupBy("customer_id", F.trunc("day", "month").alias("month")).agg(
        *(column.alias(name) for name, column in facts.items())
    )
    channel = F.element_at(F.array(*(F.lit(name) for name in CHANNELS)), F.col("number").cast("int"))
    made = made.withColumn("first_order_channel", channel)
    unknown = {
        field.name: F.lit(0 if field.required else None).cast(field.type)
        for field in CUSTOMER_MONTHS.fields
        if field.name not in made.columns
    }
    return made.withColumns(unknown).select(*CUSTOMER_MONTHS.columns)


def _write_sources(spark: SparkSession, folder: Path, customers: int) -> None:
    """Customers with two attributes, spend per day and channel, an experiment, and orders that nothing reads."""
    ids = spark.range(customers).selectExpr("id", "concat('c', id) as customer_id")
    known = ids.selectExpr(
        "customer_id",
        "if(pmod(xxhash64(id, 3), 5) = 0, 'b2b', 'b2c') as customer_type",
        "element_at(array('north', 'south', 'east', 'west'), cast(pmod(xxhash64(id, 4), 4) + 1 as int)) as region",
    )
    days = f"explode(sequence(date'{AS_OF}' - interval 3 years, date'{AS_OF}'))"
    spend = spark.sql(
        f"""select spend_date, channel, cast({customers * _SPEND_PER_CUSTOMER / 1095 / 3:.4f} as decimal(18,4)) as
        spend_amount from (select {days} as spend_date)
        lateral view explode(array('search', 'social', 'email')) as channel"""
    )
    assigned = ids.where(f"pmod(xxhash64(id, 5), {_ASSIGNED}) = 0").selectExpr(
        "'offer' as experiment_id",
        "customer_id",
        "if(pmod(xxhash64(id, 6), 2) = 0, 'control', 'treated') as variant",
        f"timestamp'{AS_OF - dt.timedelta(days=200)} 12:00:00' as assigned_at",
    )
    order = "'o' as order_id, 'c' as customer_id, timestamp'2025-01-01' as ordered_at, 1 as net_amount"
    orders = spark.sql(f"select {order}")
    for name, frame in {"customers": known, "spend": spend, "assignments": assigned, "orders": orders}.items():
        frame.write.format("delta").save(str(folder / name))
