"""Marketing spend: judged, converted, and added up per month, channel, campaign and type of cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.acquisitions import NO_CAMPAIGN, UNATTRIBUTED
from clv_lib.contracts.inputs import spend_rules
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.orders.currency import converted, normalised_currency, with_exchange_rate
from clv_lib.orders.disposition import (
    QUARANTINED,
    with_broken_rules,
    with_competition,
    with_disposition,
    with_versions_resolved,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.settings.models import Settings

SPEND_KEY = "spend_id"

_ALL = "all"


def judged_spend(mapped: DataFrame, rates: DataFrame | None, settings: Settings, as_of: dt.date) -> DataFrame:
    """Mapped spend with `exchange_rate`, `reasons` and `competes`. Grain: booking, kept."""
    rules = spend_rules(settings.orders.earliest_date.isoformat(), int(settings.orders.max_amount))
    rated = with_exchange_rate(normalised_currency(mapped), rates, "spend_date", settings.reporting.currency)
    return with_competition(with_broken_rules(rated, rules), "spend_date", as_of)


def with_spend_dispositions(
    judged: DataFrame, repeated: DataFrame | None, purposes: Sequence[str], as_of: dt.date
) -> DataFrame:
    """Judged spend with one `disposition` each; spend for other purposes is `other_purpose`. Grain: booking, kept."""
    resolved = with_versions_resolved(
        judged.withColumn("updated_at", F.lit(None).cast("timestamp")), SPEND_KEY, repeated
    )
    own = (
        F.when(F.col("spend_date") > F.lit(as_of), "after_as_of")
        .when(F.size("reasons") > 0, QUARANTINED)
        .when(~F.lower("spend_purpose").isin(list(purposes)), "other_purpose")
        .otherwise(ACCEPTED)
    )
    return with_disposition(resolved, F.coalesce("version_disposition", own)).drop("version_disposition", "competes")


def monthly_spend(spend: DataFrame) -> DataFrame:
    """Accepted spend in the reporting currency, added up per month and everything that acquisition cost is split by.

    Grain: `period_month, channel, campaign_name, segment_id, cost_type, is_paid`; `spend_amount`. `campaign_name` is
    `none` where none is named, `segment_id` NULL. A channel or campaign that is called `all` is no single one: such
    spend is that of `unattributed` or `none`.
    """
    accepted = spend.where(F.col("disposition") == ACCEPTED)
    return accepted.groupBy(
        F.trunc("spend_date", "month").alias("period_month"),
        F.coalesce(F.nullif("channel", F.lit(_ALL)), F.lit(UNATTRIBUTED)).alias("channel"),
        F.coalesce(F.nullif("campaign_name", F.lit(_ALL)), F.lit(NO_CAMPAIGN)).alias("campaign_name"),
        "segment_id",
        F.lower("cost_type").alias("cost_type"),
        F.coalesce("is_paid", F.lit(False)).alias("is_paid"),
    ).agg(F.sum(converted("spend_amount")).cast(MONEY_SUM).alias("spend_amount"))
