"""An earlier day: what a run of that day would have found is found from the silver tables of a later day."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from clv_lib.contracts.silver import CUSTOMER_REFUNDS
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN, boundary_sums, customer_metrics
from clv_lib.orders.as_of import months_as_of
from clv_lib.orders.history import customer_orders
from clv_lib.orders.months import customer_months
from clv_lib.orders.refunds import with_refunds

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

START, LATER = dt.date(2024, 1, 3), dt.date(2024, 12, 31)
ORDERS = (
    "order_id string, customer_id string, channel string, ordered_at timestamp, ordered_date date,"
    " currency_code string, net_amount_original decimal(18,4), gross_amount decimal(18,4),"
    " discount_amount decimal(18,4), cost_amount decimal(18,4), source_row_count int"
)
# Windows that end on the day are made from orders as they stand later, refunds of a later day included.
WINDOWED = ("net_amount_30d", "net_amount_60d", "net_amount_90d", "net_amount_365d", "refunded_order_count")

Rows = list[tuple[object, ...]]


def generated() -> tuple[Rows, Rows]:
    """300 orders of 40 customers, a third of them refunded in part, some on the day and some months later."""
    chance = random.Random(7)
    orders, refunds = [], []
    for number in range(300):
        day = START + dt.timedelta(days=chance.randrange(350))
        customer, amount = f"c{chance.randrange(40)}", Decimal(chance.randrange(500, 9000)) / 100
        at = dt.datetime(day.year, day.month, day.day, chance.randrange(24), tzinfo=dt.timezone.utc)
        cost = None if number % 29 == 0 else amount / 2
        zero = Decimal(0)
        orders.append((f"o{number}", customer, "shop", at, day, "GBP", amount, amount, zero, cost, 1))
        if number % 3 == 0:
            back = day + dt.timedelta(days=chance.choice((0, 3, 20, 45, 120)))
            refund = amount / (1 + number % 2)
            refunds.append(
                (
                    *(f"r{number}", f"o{number}", customer, "order_id", day, refund, refund / 4, "GBP", refund),
                    *(back, at, back.replace(day=1), 0),
                )
            )
    return orders, refunds


def silver(spark: SparkSession, as_of: dt.date) -> tuple[DataFrame, DataFrame]:
    """`customer_orders` and `customer_refunds` as an intake of the day writes them."""
    order_rows, refund_rows = generated()
    schema = ", ".join(f"{name} {kind}" for name, kind in CUSTOMER_REFUNDS.schema.items())
    orders = spark.createDataFrame(order_rows, ORDERS).where(f"ordered_date <= date'{as_of}'")
    refunds = spark.createDataFrame(refund_rows, schema).where(f"refunded_date <= date'{as_of}'")
    return customer_orders(with_refunds(orders, refunds)), refunds


def metrics(months: DataFrame, orders: DataFrame, day: dt.date) -> dict[str, dict[str, object]]:
    known = orders.where(f"ordered_date <= date'{day}'")
    facts = customer_metrics(
        months, boundary_sums(known, day), None, as_of=day, inactivity_days=90, value_basis=CONTRIBUTION_MARGIN
    )
    return {row["customer_id"]: row.asDict() for row in facts.drop(*WINDOWED).collect()}


@pytest.mark.parametrize("day", [dt.date(2024, 6, 17), dt.date(2024, 9, 1)])
def test_customers_of_an_earlier_day_are_those_that_a_run_of_that_day_finds(spark: SparkSession, day: dt.date) -> None:
    orders, refunds = silver(spark, LATER)
    found = metrics(months_as_of(customer_months(orders, refunds), orders, refunds, day), orders, day)
    orders_then, refunds_then = silver(spark, day)
    expected = metrics(customer_months(orders_then, refunds_then), orders_then, day)
    assert len(expected) > 30
    assert found == expected


def test_refunds_that_come_later_were_not_known(spark: SparkSession) -> None:
    """Without giving them back the customers would be worth less than anybody knew on that day."""
    day = dt.date(2024, 6, 17)
    _, refunds = generated()
    later = [row for row in refunds if row[4] <= day < row[9]]  # type: ignore[operator]
    assert len(later) > 5
    orders, stored = silver(spark, LATER)
    known = months_as_of(customer_months(orders, stored), orders, stored, day)
    net = known.selectExpr("sum(net_amount)").collect()[0][0]
    naive = orders.where(f"ordered_date <= date'{day}'").selectExpr("sum(net_amount)").collect()[0][0]
    assert net - naive == sum(row[5] for row in later)  # type: ignore[misc]
