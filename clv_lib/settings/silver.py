"""Settings of what is stored: how silver is refreshed, how much of the past stays, how tables are kept up."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from clv_lib.settings.numbers import Count, no_boolean
from clv_lib.settings.segments import Section

SILVER_RETENTION_DAYS = 30
"""Least days for which silver tables keep removed files, and so versions that are not the newest."""


class Retention(Section):
    """How much of the past the lake keeps."""

    snapshots_to_keep: Count = Field(
        default=3,
        description="Latest published snapshots to keep; the published one and the one before it always stay.",
    )


class Maintenance(Section):
    """What `clv maintain` does to the tables of the lake."""

    files_per_partition: Count = Field(
        default=4, description="A partition with more files than this is written again as fewer, larger ones."
    )
    target_file_megabytes: Count = Field(
        default=256, description="Size up to which files are put together, in MB; files of this size stay as they are."
    )
    retention_days: Annotated[int, BeforeValidator(no_boolean), Field(ge=7, le=3650)] = Field(
        default=7,
        description="Days for which files that a table no longer uses are kept: as long as a query over it may take. "
        f"Silver tables keep theirs {SILVER_RETENTION_DAYS} days at least, and longer where a kept run needs them.",
    )
    abandoned_after_days: Count = Field(
        default=3,
        description="Days after its start from which a run that neither ended nor was refused counts as dead, so that "
        "what it wrote is removed; more than the longest run takes.",
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
