"""Periods in which attributes of customers had a value: judged by the row rules, and given one disposition each."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.attributes import attribute_history_rules
from clv_lib.contracts.put_aside import ACCEPTED
from clv_lib.contracts.types import MONEY
from clv_lib.orders.disposition import QUARANTINED, with_broken_rules, with_disposition

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

HISTORY_KEY = "customer_id"


def with_history_dispositions(mapped: DataFrame, as_of: dt.date) -> DataFrame:
    """Mapped periods with `reasons` and one `disposition` each; a start after as_of is `after_as_of`. Grain: kept.

    The attribute's name is lower-cased. `amount` and `currency_code` are NULL: these rows carry no money.
    """
    named = mapped.withColumns(
        {
            "attribute_name": F.lower("attribute_name"),
            "amount": F.lit(None).cast(MONEY),
            "currency_code": F.lit(None).cast("string"),
        }
    )
    own = (
        F.when(F.col("valid_from_date") > F.lit(as_of), "after_as_of")
        .when(F.size("reasons") > 0, QUARANTINED)
        .otherwise(ACCEPTED)
    )
    return with_disposition(with_broken_rules(named, attribute_history_rules()), own)
