"""The part of silver that changes touch: made again by the functions of a rebuild, and put in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ACCEPTED, LINE_REFUNDS, ORDERS, REFUNDS, ROWS_PUT_ASIDE
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS, CUSTOMER_REFUNDS
from clv_lib.lake import selecting
from clv_lib.orders import refresh as concern
from clv_lib.orders import refunds as refunding
from clv_lib.orders.disposition import REFUND_LINE
from clv_lib.orders.history import SEEN_OF_EARLIER_ORDERS, customer_bucket, customer_orders, sums_before
from clv_lib.orders.months import customer_months
from clv_lib.pipeline.order_states import (
    JudgedOrders,
    JudgedRefunds,
    has_refunds,
    is_by_line,
    judge_orders,
    judge_refunds,
    one_file_each,
    put_aside,
    union,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, Row

    from clv_lib.contracts.types import Table
    from clv_lib.pipeline.workspace import Workspace


@dataclass(frozen=True)
class Concerned:
    """Keys of the orders and refunds to judge again, and all rows of the sources that have them.

    `order_months` are the months in which these orders lay; there may be more.
    """

    orders: DataFrame
    refunds: DataFrame
    order_rows: DataFrame
    refund_rows: DataFrame | None
    order_months: Sequence[dt.date]


@dataclass(frozen=True)
class Refunds:
    """Accepted refunds that were judged again, `net_changes` of what they were, and the partitions of these."""

    rows: DataFrame
    changes: DataFrame
    places: Sequence[Row]


def replace_states(work: Workspace, before: concern.Before, concerned: Concerned, rates: DataFrame | None) -> Workspace:
    """Judge the rows concerned and replace, in each silver table of orders, the partitions in which rows changed."""
    orders = judge_orders(work, concerned.order_rows, rates)
    index = _index(work, before, concerned, orders)
    judged = judge_refunds(work, concerned.refund_rows, orders.rows, index, rates)
    work, refunds = _replace_refunds(work, before, concerned, judged)

    aside = work.keep(put_aside(orders, judged))
    aside_changes = work.keep(concern.net_changes(aside, _of_concerned(before.aside, concerned, is_kept=False)))
    aside_places = _places(ROWS_PUT_ASIDE, aside_changes)
    kept = _of_concerned(rows_in(before.aside, ROWS_PUT_ASIDE, aside_places), concerned, is_kept=True)
    again = rows_in(aside, ROWS_PUT_ASIDE, aside_places)
    work = _replace(work, ROWS_PUT_ASIDE, kept.unionByName(again), aside_places)

    work, order_places = _replace_orders(work, before, concerned, orders, refunds)
    return _replace_months(work, order_places, [] if refunds is None else refunds.places)


def _index(work: Workspace, before: concern.Before, concerned: Concerned, orders: JudgedOrders) -> DataFrame:
    """The orders that refunds may belong to: those judged again, and others of customers whose refunds name none."""
    judged = refunding.order_index(orders.orders)
    without_order = []
    if concerned.refund_rows is not None:
        without_order.append(concerned.refund_rows.where("order_id is null").select("customer_id"))
    if is_by_line(work):
        without_order.append(orders.rows.where(F.col("disposition") == REFUND_LINE).select("customer_id"))
    if not without_order:
        return judged
    customers, count = work.keep_ids(union(without_order).where("customer_id is not null").distinct())
    if not count:
        return judged
    others = concern.without(before.orders, "order_id", concerned.orders).join(customers, "customer_id", "left_semi")
    known = others.select(
        *("order_id", "customer_id", "ordered_at", "ordered_date", "currency_code"),
        F.lit(ACCEPTED).alias("disposition"),
        F.col("net_amount_original").alias("net_amount"),
        F.col("net_amount_original").alias("total_amount"),
    )
    return judged.unionByName(refunding.order_index(known))


def _of_concerned(aside: DataFrame, concerned: Concerned, *, is_kept: bool) -> DataFrame:
    """Rows put aside that are judged again, or those that are not."""
    of_orders = F.col("source_name") == ORDERS
    choose = concern.without if is_kept else concern.with_key
    return choose(aside.where(of_orders), "row_key", concerned.orders).unionByName(
        choose(aside.where(F.col("source_name").isin(REFUNDS, LINE_REFUNDS)), "row_key", concerned.refunds)
    )


def _replace_refunds(
    work: Workspace, before: concern.Before, concerned: Concerned, judged: JudgedRefunds
) -> tuple[Workspace, Refunds | None]:
    """Replace customer_refunds; returns the refunds concerned, None if there can be none."""
    if not has_refunds(work):
        return work, None
    again = work.keep(judged.accepted(work))
    were = concern.with_key(before.refunds, "refund_id", concerned.refunds)
    changes = work.keep(concern.net_changes(again, were))
    places = _places(CUSTOMER_REFUNDS, changes)
    kept = concern.without(rows_in(before.refunds, CUSTOMER_REFUNDS, places), "refund_id", concerned.refunds)
    rows = kept.unionByName(rows_in(again, CUSTOMER_REFUNDS, places))
    return _replace(work, CUSTOMER_REFUNDS, rows, places), Refunds(again, changes, places)


def _replace_orders(
    work: Workspace, before: concern.Before, concerned: Concerned, orders: JudgedOrders, refunds: Refunds | None
) -> tuple[Workspace, list[Row]]:
    """Replace customer_orders where histories change; returns the partitions."""
    accepted, keys, months = orders.accepted, concerned.orders, concerned.order_months
    others = None if refunds is None else _refunded_otherwise(work, concerned, refunds)
    if others is not None:
        keys, _ = work.keep_ids(keys.unionByName(others.select(concern.KEY)))
        months = [*months, *(row["ordered_month"] for row in others.select("ordered_month").distinct().collect())]
    lay = work.keep(concern.with_key(before.orders.where(F.col("ordered_month").isin(months)), "order_id", keys))
    if others is not None:
        accepted = accepted.unionByName(concern.with_key(lay, "order_id", others).select(*accepted.columns))
    valid = None
    if refunds is not None:
        stay = concern.without(before.refunds, "refund_id", concerned.refunds)
        valid = refunds.rows.unionByName(concern.with_key(stay, "order_id", keys))
    valued = work.keep(refunding.with_refunds(accepted, valid))
    buckets = work.settings.silver.customer_buckets
    placed = valued.select("*", F.trunc("ordered_date", "month").alias("ordered_month"), customer_bucket(buckets))
    changes = work.keep(concern.net_changes(placed, lay.select(*placed.columns)))
    starts, count = work.keep_ids(concern.first_changed_months(changes))
    if not count:
        return work, []
    histories = work.keep(_histories(work, before, valued, keys, starts))
    columns = CUSTOMER_ORDERS.partition_by
    places = _places(CUSTOMER_ORDERS, changes.select(*columns).unionByName(histories.select(*columns)))
    rest = rows_in(before.orders, CUSTOMER_ORDERS, places).join(starts, "customer_id", "left")
    kept = rest.where("first_month is null or ordered_month < first_month").select(*CUSTOMER_ORDERS.columns)
    return _replace(work, CUSTOMER_ORDERS, kept.unionByName(histories), places), places


def _refunded_otherwise(work: Workspace, concerned: Concerned, refunds: Refunds) -> DataFrame | None:
    """`refunded_otherwise` of orders that are not judged again, kept; None if there are none."""
    found = concern.refunded_otherwise(refunds.changes).join(concerned.orders, concern.KEY, "left_anti")
    others, count = work.keep_ids(found)
    return others if count else None


def _histories(
    work: Workspace, before: concern.Before, valued: DataFrame, keys: DataFrame, starts: DataFrame
) -> DataFrame:
    """Contract `customer_orders` of the customers in `starts`, from their first changed month on.

    The year before is read for trailing sums, in few columns, and what was before that as sums of months.
    """
    span = starts.agg(
        F.min("context_month").alias("earliest_context"),
        F.max("context_month").alias("latest_context"),
        F.min("first_month").alias("earliest_change"),
        F.max("first_month").alias("latest_change"),
        F.collect_set(customer_bucket(work.settings.silver.customer_buckets)).alias("buckets"),
    ).collect()[0]
    month, of_buckets = F.col("ordered_month"), F.col("customer_bucket").isin(span["buckets"])
    all_orders, all_months = before.orders.where(of_buckets), before.months.where(of_buckets)
    changing = all_orders.where(month >= F.lit(span["earliest_change"])).join(starts, "customer_id")
    unchanged = concern.without(changing.where("ordered_month >= first_month"), "order_id", keys)
    in_span = (month >= F.lit(span["earliest_context"])) & (month < F.lit(span["latest_change"]))
    a_year = all_orders.where(in_span).select("ordered_month", *SEEN_OF_EARLIER_ORDERS).join(starts, "customer_id")
    a_year = a_year.where("ordered_month >= context_month and ordered_month < first_month")
    unread = {name: F.lit(None).cast(kind) for name, kind in valued.dtypes if name not in SEEN_OF_EARLIER_ORDERS}
    seen = a_year.withColumns(unread).select(*valued.columns)
    since = valued.join(starts, "customer_id").where(F.trunc("ordered_date", "month") >= F.col("first_month"))
    orders = union([since.select(*valued.columns), unchanged.select(*valued.columns), seen])
    earlier = all_months.where(F.col("month") < F.lit(span["latest_context"])).join(starts, "customer_id")
    earlier = earlier.where("month < context_month")
    rows = customer_orders(orders, work.settings.silver.customer_buckets, sums_before(earlier))
    return rows.join(starts, "customer_id").where("ordered_month >= first_month").select(*CUSTOMER_ORDERS.columns)


def _replace_months(work: Workspace, order_places: Sequence[Row], refund_places: Sequence[Row]) -> Workspace:
    """Add up the months again in which orders or refunds were replaced."""
    months = {(row["ordered_month"], row["customer_bucket"]) for row in order_places}
    months |= {(row["refunded_month"], row["customer_bucket"]) for row in refund_places}
    if not months:
        return work
    spark = work.lake.spark
    places = spark.createDataFrame(sorted(months), "month date, customer_bucket int").collect()
    orders = work.read(CUSTOMER_ORDERS).withColumn("month", F.col("ordered_month"))
    refunds = work.read(CUSTOMER_REFUNDS).withColumn("month", F.col("refunded_month"))
    again = customer_months(rows_in(orders, CUSTOMER_MONTHS, places), rows_in(refunds, CUSTOMER_MONTHS, places))
    return _replace(work, CUSTOMER_MONTHS, again, places)


def _places(table: Table, rows: DataFrame) -> list[Row]:
    """The partitions of some rows of a table."""
    columns = table.partition_by
    return rows.select(*columns).distinct().orderBy(*columns).collect()


def rows_in(rows: DataFrame, table: Table, places: Sequence[Row]) -> DataFrame:
    """The rows in some partitions of a table."""
    return rows.where(selecting(table, places))


def _replace(work: Workspace, table: Table, rows: DataFrame, places: Sequence[Row]) -> Workspace:
    return work.replace_in_state(table, one_file_each(rows, table), places)
