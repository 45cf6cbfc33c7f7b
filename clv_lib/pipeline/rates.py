"""Exchange rates in a run: those that can be trusted, by day."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from clv_lib.errors import ContractError
from clv_lib.orders.currency import daily_rates, rate_faults

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.lake import PinnedSource
    from clv_lib.pipeline.workspace import Workspace

SOURCE = "exchange_rates"


def exchange_rates(work: Workspace) -> DataFrame | None:
    """Rates per day into the reporting currency, or None without such a source. The intake refuses bad ones."""
    pinned = work.sources.get(SOURCE)
    return None if pinned is None else rates_as_of(work, pinned, work.as_of)


def rates_as_of(work: Workspace, pinned: PinnedSource, as_of: dt.date) -> DataFrame:
    """`daily_rates` of the source at some version, up to some day."""
    settings = work.settings
    return daily_rates(work.mapped_at(pinned), settings.reporting.currency, settings.orders.max_rate_age_days, as_of)


def refuse_bad_rates(rates: DataFrame, table: str) -> None:
    """ContractError for mapped rows of a table that cannot be used; later steps of a run read them unchecked."""
    faults = rate_faults(rates).orderBy("rate_date", "from_currency_code").limit(5).collect()
    if faults:
        listed = "; ".join(f"{r.rate_date} {r.from_currency_code}->{r.to_currency_code}: {r.fault}" for r in faults)
        raise ContractError(
            "the exchange rates cannot be trusted",
            where=f"sources.{SOURCE}: {table}",
            expected="one positive rate per day and pair of currencies",
            found=listed,
            next_step="correct the table, or leave bad rows out by sources.exchange_rates.filter",
        )
