"""Which orders and refunds a change concerns, and what they were: silver of the run before, and the rows that changed.

Ids travel as `key`, text that is empty where a row has no id, since rows without one change, too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import INPUT, LINE_REFUNDS, ORDERS, REFUNDS
from clv_lib.orders.currency import normalised_currency
from clv_lib.orders.disposition import counted
from clv_lib.orders.lines import LINE_REFUND_ENDING
from clv_lib.orders.refunds import BY_LATEST_ORDER, BY_ORDER_ID
from clv_lib.periods import month_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

KEY = "key"
CHANGE = "change_count"
_NAMES_ITS_ORDER = f"attribution = '{BY_ORDER_ID}'"
_A_YEAR = 12
_MOST_RANGES = 24
_SPARE_DAYS = 2
"""A day that is read as another one in another time zone is never further away."""


@dataclass(frozen=True)
class Source:
    """Columns of a source whose changes are followed: its id, its day and instant, its money."""

    key: str
    day: str
    instant: str
    amount: str


SOURCES = {
    ORDERS: Source("order_id", "ordered_date", "ordered_at", "net_amount"),
    REFUNDS: Source("refund_id", "refunded_date", "refunded_at", "refund_amount"),
}


@dataclass(frozen=True)
class Before:
    """Silver of the run before."""

    orders: DataFrame
    refunds: DataFrame
    months: DataFrame
    aside: DataFrame


def net_changes(added: DataFrame, removed: DataFrame) -> DataFrame:
    """Rows that are there more often or less often than before, with `change_count`. Grain: distinct row.

    Rows that only moved to another file, or were updated to what they had been, cancel out.
    """
    columns = [f"`{name}`" for name in added.columns]
    both = added.withColumn(CHANGE, F.lit(1)).unionByName(removed.withColumn(CHANGE, F.lit(-1)))
    return both.groupBy(*columns).agg(F.sum(CHANGE).alias(CHANGE)).where(F.col(CHANGE) != 0)


def added_rows(changes: DataFrame) -> DataFrame:
    """The rows that `net_changes` added, as often as they were added."""
    more = changes.where(F.col(CHANGE) > 0)
    return more.withColumn("_copy", F.explode(F.sequence(F.lit(1), F.col(CHANGE)))).drop("_copy", CHANGE)


def counted_changes(changes: DataFrame, source_name: str) -> DataFrame:
    """What `totals` adds up, of `net_changes`: rows that went count against those that came. Grain: kept."""
    amount = F.col(SOURCES[source_name].amount) * F.col(CHANGE)
    return counted(normalised_currency(changes), source_name, amount, F.lit(INPUT), F.col(CHANGE))


def taken_away(counted_rows: DataFrame) -> DataFrame:
    """Rows from `counted`, such that `totals` takes them off instead of adding them. Grain: kept."""
    return counted_rows.withColumns({"row_count": -F.col("row_count"), "amount": -F.col("amount")})


def key_of(column: str) -> Column:
    """The id in a column as `key`."""
    return F.coalesce(F.col(column), F.lit("")).alias(KEY)


def changed_rates(before: DataFrame, now: DataFrame) -> DataFrame:
    """Days and currencies whose rate differs, appeared or went away. Grain: `rate_day, rate_currency`.

    Both are `daily_rates` up to the same day.
    """
    other = now.withColumnRenamed("exchange_rate", "rate_now")
    joined = before.join(other, ["rate_day", "rate_currency"], "full")
    same = F.col("exchange_rate").eqNullSafe(F.col("rate_now"))
    return joined.where(~same).select("rate_day", "rate_currency")


def due(before: Before, source_name: str, as_of: dt.date) -> DataFrame:
    """Rows of a source that lay after the day of the run before and do so no more: their `key`."""
    rows = _aside(before, source_name).where(F.col("disposition") == "after_as_of")
    return rows.where(F.col("row_date") <= F.lit(as_of)).select(key_of("row_key"))


def converted_anew(before: Before, source_name: str, rates: DataFrame) -> DataFrame:
    """Rows of a source in a currency and of a day whose rate changed: their `key`."""
    of_day = (F.col("row_date") == F.col("rate_day")) & (F.col("currency_code") == F.col("rate_currency"))
    return known_rows(before, source_name).join(F.broadcast(rates), of_day, "left_semi").select(KEY)


def refunds_of_orders(orders: DataFrame) -> DataFrame:
    """The refunds that negative lines of the orders make: their `key`. `orders` are keys."""
    return orders.where(F.col(KEY) != "").select(F.concat(KEY, F.lit(LINE_REFUND_ENDING)).alias(KEY))


def known_rows(before: Before, source_name: str) -> DataFrame:
    """Rows of a source that the run before knew: `key`, `row_date` (NULL where unreadable) and `currency_code`.

    Of lines, those of an accepted order are one row, with the day of the first.
    """
    of = SOURCES[source_name]
    accepted = before.orders if source_name == ORDERS else before.refunds
    stored = accepted.select(key_of(of.key), F.col(of.day).alias("row_date"), "currency_code")
    return stored.unionByName(_aside(before, source_name).select(key_of("row_key"), "row_date", "currency_code"))


def customers_since(before: Before, orders: DataFrame, changes: DataFrame | None) -> DataFrame:
    """Customers of orders that may have changed, then and now, and the day before which nothing of it lies.

    Grain: `customer_id`; `since`, NULL where no order has a day. `orders` are keys, `changes` from `net_changes`.
    """
    of = SOURCES[ORDERS]
    stored = with_key(before.orders, of.key, orders).select("customer_id", F.col(of.day).alias("day"))
    aside = with_key(_aside(before, ORDERS), "row_key", orders).select("customer_id", F.col("row_date").alias("day"))
    found = stored.unionByName(aside)
    if changes is not None:
        found = found.unionByName(changes.select("customer_id", F.to_date(of.instant).alias("day")))
    since = F.date_sub(F.min("day"), _SPARE_DAYS).alias("since")
    return found.where("customer_id is not null").groupBy("customer_id").agg(since)


def orders_named(before: Before, refunds: DataFrame, changes: DataFrame | None) -> DataFrame:
    """Orders that some refunds name, then and now: their `key`. `refunds` are keys."""
    stored = with_key(before.refunds.where(_NAMES_ITS_ORDER), "refund_id", refunds).select("order_id")
    aside = with_key(_aside(before, REFUNDS), "row_key", refunds).select("order_id")
    named = stored.unionByName(aside)
    if changes is not None:
        named = named.unionByName(changes.select("order_id"))
    return named.where("order_id is not null").select(key_of("order_id"))


def refunds_naming(before: Before, orders: DataFrame) -> DataFrame:
    """Refunds of the source that name some orders: their `key`. `orders` are keys."""
    stored = before.refunds.where(_NAMES_ITS_ORDER).where(~_is_of_lines("refund_id"))
    named = with_key(stored, "order_id", orders).select(key_of("refund_id"))
    return named.unionByName(with_key(_aside(before, REFUNDS), "order_id", orders).select(key_of("row_key")))


def refunds_by_latest_order(before: Before) -> DataFrame:
    """Refunds that went, or would go, to the latest order of their customer: `key`, `customer_id`, `row_date`."""
    of = SOURCES[REFUNDS]
    stored = before.refunds.where(F.col("attribution") == BY_LATEST_ORDER)
    without_order = _aside(before, REFUNDS).where("order_id is null").unionByName(_aside(before, LINE_REFUNDS))
    return stored.select(key_of(of.key), "customer_id", F.col(of.day).alias("row_date")).unionByName(
        without_order.select(key_of("row_key"), "customer_id", "row_date")
    )


def with_another_latest_order(refunds: DataFrame, customers: DataFrame, earliest: dt.date | None) -> DataFrame:
    """Those of `refunds_by_latest_order` whose latest order may be another: their `key`.

    `customers` are `customers_since`: what was refunded before the first order that changed still has its order.
    `earliest` is the first of their days, so that files of before are not read.
    """
    may_be = refunds.where(F.col("row_date").isNull() | (F.col("row_date") >= F.lit(earliest)))
    is_after = F.col("row_date").isNull() | (F.col("row_date") >= F.col("since"))
    return may_be.join(customers, "customer_id").where(is_after).select(KEY)


def orders_of_line_refunds(refunds: DataFrame) -> DataFrame:
    """The orders whose negative lines make some refunds: their `key`. `refunds` are keys, also others."""
    order_id = F.expr(f"left({KEY}, length({KEY}) - {len(LINE_REFUND_ENDING)})")
    return refunds.where(_is_of_lines(KEY)).select(order_id.alias(KEY))


def refunded_otherwise(changes: DataFrame) -> DataFrame:
    """Orders whose refunds add up to another amount: `key`, `ordered_month`.

    `changes` are `net_changes` of rows of `customer_refunds`.
    """
    amounts = ("refund_amount", "cost_recovered_amount")
    of_order = changes.groupBy(key_of("order_id"), F.trunc("ordered_date", "month").alias("ordered_month"))
    sums = of_order.agg(*(F.sum(F.col(name) * F.col(CHANGE)).alias(name) for name in amounts))
    return sums.where(" or ".join(f"{name} <> 0" for name in amounts)).select(KEY, "ordered_month")


def within_months(instant: str, months: Sequence[dt.date | None], *, open_end: bool) -> Column | None:
    """Whether an instant lies in some of the months, with days to spare for time zones; None: anywhere.

    With `open_end` also later: the lines of an order are known by its first day.
    """
    days = sorted({day for day in months if day is not None})
    if len(days) < len(set(months)) or not days:
        return None
    spans = [(day, month_end(day)) for day in days]
    if open_end or len(spans) > _MOST_RANGES:
        spans = [(spans[0][0], dt.date.max if open_end else spans[-1][1])]
    found = F.lit(False)
    for first, last in spans:
        begin = F.lit(first - dt.timedelta(days=_SPARE_DAYS)).cast("timestamp")
        inside = F.col(instant) >= begin
        if last != dt.date.max:
            inside = inside & (F.col(instant) < F.lit(last + dt.timedelta(days=1 + _SPARE_DAYS)).cast("timestamp"))
        found = found | inside
    return found


def orders_sharing_lines(lines: DataFrame, orders: DataFrame, changes: DataFrame | None) -> DataFrame:
    """Orders that have a line whose id a line of the given orders has, or one that changed: their `key`.

    Lines with one id compete, also across orders. `lines` are all lines of the source with ids.
    """
    named = with_key(lines, "order_id", orders).select("order_line_id")
    if changes is not None:
        named = named.unionByName(changes.select("order_line_id"))
    shared = lines.join(named.where("order_line_id is not null").distinct(), "order_line_id", "left_semi")
    return shared.select(key_of("order_id"))


def without(rows: DataFrame, column: str, keys: DataFrame) -> DataFrame:
    """Rows whose id is none of the keys. Grain: kept."""
    return rows.withColumn(KEY, key_of(column)).join(keys, KEY, "left_anti").drop(KEY)


def with_key(rows: DataFrame, column: str, keys: DataFrame) -> DataFrame:
    """Rows whose id is one of the keys. Grain: kept."""
    return rows.withColumn(KEY, key_of(column)).join(keys, KEY, "left_semi").drop(KEY)


def first_changed_months(changes: DataFrame) -> DataFrame:
    """From which month on a customer's history is another. Grain: `customer_id`; `first_month`, `context_month`.

    `changes` are orders that are another or were. `context_month` is a year earlier: from there on orders are read for
    trailing sums.
    """
    first = changes.groupBy("customer_id").agg(F.min("ordered_month").alias("first_month"))
    return first.withColumn("context_month", F.add_months("first_month", -_A_YEAR))


def _is_of_lines(column: str) -> Column:
    return F.col(column).endswith(LINE_REFUND_ENDING)


def _aside(before: Before, source_name: str) -> DataFrame:
    return before.aside.where(F.col("source_name") == source_name)
