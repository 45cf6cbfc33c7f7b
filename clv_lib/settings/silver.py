"""Settings of what is stored: how silver is kept and refreshed, and how much of the past stays."""

from __future__ import annotations

from pydantic import Field

from clv_lib.settings.numbers import Count
from clv_lib.settings.segments import Section


class Retention(Section):
    """How much of the past the lake keeps."""

    snapshots_to_keep: Count = Field(
        default=3,
        description="Latest published snapshots to keep; the published one and the one before it always stay.",
    )


class Silver(Section):
    """How the state between the sources and the published tables is stored and brought up to date."""

    refresh: bool = Field(
        default=True,
        description="Read only what changed in orders, refunds and exchange_rates since the published run, where their "
        "Delta tables can tell; false: each run reads them whole.",
    )
    customer_buckets: Count = Field(
        default=1,
        description="Parts into which each month is divided by a hash of the customer; a late order rewrites one of "
        "them. About one per million customers, on a cluster two or three per core; a change rebuilds silver.",
    )
