"""Credits of customers to channels: judged together, and made to add up to exactly 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.acquisitions import ACQUISITION_CREDITS, CREDITS_TOGETHER, NO_CAMPAIGN, UNATTRIBUTED
from clv_lib.contracts.inputs import acquisition_rules
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.types import MONEY, RATIO
from clv_lib.orders.disposition import QUARANTINED, with_broken_rules, with_disposition

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CREDIT_KEY = "customer_id"
NO_AMOUNT = "credited_amount"
NO_CURRENCY = "XXX"
"""ISO 4217 for no currency: credits are accounted for by their rows, not by money."""

_GROUP = ("customer_id", "attribution_model")


def uncosted(mapped: DataFrame) -> DataFrame:
    """Mapped credits with the columns of money under which every input is accounted for. Grain: kept."""
    return mapped.withColumns({"currency_code": F.lit(NO_CURRENCY), NO_AMOUNT: F.lit(None).cast(MONEY)})


def with_credit_dispositions(mapped: DataFrame) -> DataFrame:
    """Mapped credits with `reasons`, `credit_sum` and one `disposition` each. Grain: kept.

    A row that breaks a rule of its own adds nothing to `credit_sum`; if the sound credits of a customer and model do
    not add up to 1, all of them are quarantined.
    """
    judged = with_broken_rules(uncosted(mapped), acquisition_rules())
    is_sound = F.size("reasons") == 0
    total = F.sum(F.when(is_sound, F.col("credit"))).over(Window.partitionBy(*_GROUP))
    own = judged.withColumns({"credit_sum": total, "own_reasons": F.col("reasons")})
    together = with_broken_rules(own, CREDITS_TOGETHER)
    reasons = F.when(F.size("own_reasons") > 0, F.col("own_reasons")).otherwise(F.col("reasons"))
    resolved = together.withColumn("reasons", reasons).drop("own_reasons")
    return with_disposition(resolved, F.when(F.size("reasons") > 0, QUARANTINED).otherwise(ACCEPTED))


def acquisition_credits(rows: DataFrame) -> DataFrame:
    """Contract `acquisition_credits` from rows with dispositions. Grain: customer, model, channel and campaign.

    What is missing to 1 by rounding goes to the greatest credit of the customer, so that customers stay whole. A
    campaign or channel that is called `all` names none.
    """
    names = {
        "channel": F.coalesce(F.nullif("channel", F.lit("all")), F.lit(UNATTRIBUTED)),
        "campaign_name": F.coalesce(F.nullif("campaign_name", F.lit("all")), F.lit(NO_CAMPAIGN)),
    }
    greatest = Window.partitionBy(*_GROUP).orderBy(F.desc("credit"), "channel", "campaign_name")
    rest = F.when(F.row_number().over(greatest) == 1, 1 - F.col("credit_sum")).otherwise(0)
    accepted = rows.where(F.col("disposition") == ACCEPTED).withColumns(names)
    whole = accepted.withColumn("credit", F.col("credit") + rest)
    summed = whole.groupBy(*_GROUP, "channel", "campaign_name").agg(F.sum("credit").cast(RATIO).alias("credit"))
    return summed.select(*ACQUISITION_CREDITS.columns)
