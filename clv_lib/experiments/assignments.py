"""Assignments of customers to variants: judged, and reduced to one row per experiment and customer."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.experiments import assignment_rules
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.types import MONEY
from clv_lib.orders.disposition import (
    QUARANTINED,
    with_broken_rules,
    with_competition,
    with_disposition,
    with_local_date,
)
from clv_lib.orders.mapping import PAYLOAD

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.settings.models import Settings

ASSIGNMENT_KEY = "assignment_key"
ASSIGNMENT_AMOUNT = "assignment_amount"
CONFLICTING = "conflicting_assignment"
REPEATED = "repeated_assignment"

_WORKING = ("competes", "is_conflicting", "assignment_number")


def accountable_assignments(mapped: DataFrame, currency: str) -> DataFrame:
    """Mapped assignments with what every source is accounted by: a key, and money, of which there is none.

    Grain: kept. The currency is that of reporting, the amount NULL.
    """
    return mapped.withColumns(
        {
            ASSIGNMENT_KEY: F.concat_ws("/", "experiment_id", "customer_id"),
            ASSIGNMENT_AMOUNT: F.lit(None).cast(MONEY),
            "currency_code": F.lit(currency),
        }
    )


def judged_assignments(assignments: DataFrame, settings: Settings, as_of: dt.date) -> DataFrame:
    """Assignments with `assigned_date` in reporting time, `reasons` and one `disposition` each. Grain: kept.

    Of the sound ones up to as_of: all of a customer with several variants of an experiment are
    `conflicting_assignment`, and all but the first of a customer with one variant `repeated_assignment`.
    """
    local = with_local_date(assignments, "assigned_at", "assigned_date", settings.reporting.time_zone)
    rules = assignment_rules(settings.orders.earliest_date.isoformat())
    judged = with_competition(with_broken_rules(local, rules), "assigned_date", as_of)
    customer = Window.partitionBy("experiment_id", "customer_id", "competes")
    all_of_it = customer.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    placed = judged.withColumns(
        {
            "is_conflicting": F.min("variant").over(all_of_it) != F.max("variant").over(all_of_it),
            "assignment_number": F.row_number().over(customer.orderBy("assigned_at", F.to_json(PAYLOAD))),
        }
    )
    disposition = (
        F.when(F.col("assigned_date") > F.lit(as_of), "after_as_of")
        .when(F.size("reasons") > 0, QUARANTINED)
        .when(F.col("is_conflicting"), CONFLICTING)
        .when(F.col("assignment_number") > 1, REPEATED)
        .otherwise(ACCEPTED)
    )
    return with_disposition(placed, disposition).drop(*_WORKING)


def assigned_customers(judged: DataFrame) -> DataFrame:
    """Who takes part. Grain: experiment and customer; columns `experiment_id, customer_id, variant, assigned_date`.

    `variant` is NULL for a customer with several; `assigned_date` is the first.
    """
    taking_part = judged.where(F.col("disposition").isin(ACCEPTED, CONFLICTING))
    variant = F.min(F.when(F.col("disposition") == ACCEPTED, F.col("variant")))
    return taking_part.groupBy("experiment_id", "customer_id").agg(
        variant.alias("variant"), F.min("assigned_date").alias("assigned_date")
    )
