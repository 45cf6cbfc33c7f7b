"""Money of the demo as whole cents while it is computed, as exact decimals when it is handed over; exchange rates."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clv_lib.demo.parameters import DemoParameters

ORDER_AMOUNTS = (
    "gross_amount",
    "discount_amount",
    "tax_amount",
    "shipping_amount",
    "total_amount",
    "cost_amount",
    "payment_fee_amount",
)
REFUND_AMOUNTS = ("refund_amount", "tax_amount", "cost_recovered_amount")
RATE_DIGITS = 6

_LEAD_DAYS = 14


def decimal_of_cents(cents: int) -> Decimal:
    """Exact decimal with 4 digits after the point."""
    return Decimal(int(cents) * 100).scaleb(-4)


def with_decimals(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The frame with the given columns of cents as objects of type Decimal."""
    converted = {
        name: pd.Series([decimal_of_cents(cents) for cents in frame[name].tolist()], index=frame.index, dtype=object)
        for name in columns
    }
    return frame.assign(**converted)


def draw_exchange_rates(parameters: DemoParameters, rng: np.random.Generator) -> pd.DataFrame:
    """One row per business day without Christmas and New Year: foreign to reporting currency, two weeks of lead."""
    first = np.datetime64(parameters.history_start - timedelta(days=_LEAD_DAYS), "D")
    days = np.arange(first, np.datetime64(parameters.as_of, "D") + 1)
    holidays = [day for day in days if str(day)[5:] in ("12-25", "12-26", "01-01")]
    days = days[np.is_busday(days, holidays=holidays)]
    wave = 0.02 * np.sin(2 * np.pi * np.arange(len(days)) / 280.0)
    rate = parameters.mean_exchange_rate * np.exp(wave + rng.normal(0.0, 0.002, len(days)))
    return pd.DataFrame(
        {
            "rate_date": pd.Series(days.tolist(), dtype=object),
            "from_currency_code": parameters.foreign_currency,
            "to_currency_code": parameters.reporting_currency,
            "rate": pd.Series([Decimal(f"{value:.{RATE_DIGITS}f}") for value in rate], dtype=object),
        }
    )


def rate_units_by_day(parameters: DemoParameters, rates: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The last known rate on each day of the history, in units of 10^-6."""
    known = np.array(rates["rate_date"].tolist(), dtype="datetime64[D]")
    units = np.array([int(rate.scaleb(RATE_DIGITS)) for rate in rates["rate"]], dtype=np.int64)
    days = np.datetime64(parameters.history_start, "D") + np.arange(parameters.days)
    return units[np.searchsorted(known, days, side="right") - 1]
