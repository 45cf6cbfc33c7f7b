"""Marketing spend of the demo: for each channel exactly what its new customers truly cost, spread over the months."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd

from clv_lib.demo.money import decimal_of_cents
from clv_lib.demo.parameters import Channel, DemoParameters
from clv_lib.demo.purchases import FloatArray, IntArray, channel_inflow, month_labels, operational_clock

PAID_COST_TYPE = "media"
PLAN_COLUMNS = ("period_month", "channel", "planned_new_customers", "planned_spend_amount")

_MONTH_NOISE = 0.12
# Campaigns for companies take this share of the media spend of a channel, the others the rest.
_COMPANY_MEDIA_SHARE = 0.35


def make_marketing_spend(parameters: DemoParameters, new_customers: IntArray, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of spend_date x channel x campaign x cost_type: media daily, other costs on the first of the month.

    `new_customers` has one number per channel. Acquisition spend of a channel adds up to its CAC times that number.
    Media campaigns name the customer type that they are for. Retention and brand spend (the latter in the foreign
    currency) come on top and cost no acquisition.
    """
    parts = [
        _cost_rows(parameters, index, cost_type, share * int(new_customers[index]), rng)
        for index, channel in enumerate(parameters.channels)
        for cost_type, share in channel.cost_shares
        if channel.cac_amount is not None
    ]
    spend = pd.concat([*parts, *_other_purposes(parameters)], ignore_index=True)
    spend = spend.sort_values(["spend_date", "channel", "cost_type", "campaign_name"], ignore_index=True)
    spend["spend_id"] = [f"SPD-{number:06d}" for number in range(1, len(spend) + 1)]
    spend["spend_amount"] = pd.Series([decimal_of_cents(cents) for cents in spend["cents"].tolist()], dtype=object)
    spend["is_paid"] = spend["cost_type"] == PAID_COST_TYPE
    spend["segment_id"] = pd.Series([None if pd.isna(name) else name for name in spend["segment_id"]], dtype=object)
    return spend


def spend_totals(spend: pd.DataFrame, channel: str, reporting_currency: str) -> tuple[Decimal, Decimal | None]:
    """Acquisition spend of a channel over the whole history, and the paid part (None if there is no row of it)."""
    own = spend[(spend["channel"] == channel) & (spend["spend_purpose"] == "acquisition")]
    own = own[own["currency_code"] == reporting_currency]
    paid = own.loc[own["is_paid"], "spend_amount"]
    return sum(own["spend_amount"], Decimal(0)), sum(paid, Decimal(0)) if len(paid) else None


def _cost_rows(
    parameters: DemoParameters, index: int, cost_type: str, customers: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of one channel and cost type; the cents follow the expected inflow and add up exactly."""
    channel = parameters.channels[index]
    total = round(100 * (channel.cac_amount or 0.0) * customers)
    weights = _day_weights(parameters, channel, channel_inflow(parameters)[:, index], rng)
    if cost_type == PAID_COST_TYPE:
        campaigns = (("b2b", _COMPANY_MEDIA_SHARE), ("b2c", 1.0 - _COMPANY_MEDIA_SHARE))
        day = np.tile(np.arange(parameters.days), len(campaigns))
        weights = np.concatenate([share * weights for _, share in campaigns])
        names = np.repeat(np.array([f"{channel.name}_{name}" for name, _ in campaigns], dtype=object), parameters.days)
        segments = np.repeat(
            np.array([f"customer_type:{name}" for name, _ in campaigns], dtype=object), parameters.days
        )
    else:
        first, month = _month_starts(parameters)
        day, weights = first, np.bincount(month, weights=weights).astype(np.float64)
        names = np.full(len(first), f"{channel.name}_{cost_type}", dtype=object)
        segments = np.full(len(first), None, dtype=object)
    rows = _rows(parameters, day, _exact_split(total, weights), channel.name, names, cost_type)
    rows = rows.assign(segment_id=segments)
    return rows[~np.isin(month_labels(parameters)[day], channel.missing_months)]


def _day_weights(
    parameters: DemoParameters, channel: Channel, inflow: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Relative spend per day: season times inflow times a monthly deviation; 0 in paused and missing months."""
    months = month_labels(parameters)
    _, month = _month_starts(parameters)
    deviation = np.exp(rng.normal(0.0, _MONTH_NOISE, month[-1] + 1))[month]
    silent = np.isin(months, channel.paused_months + channel.missing_months)
    return np.where(silent, 0.0, np.diff(operational_clock(parameters)) * inflow * deviation)


def _exact_split(total: int, weights: FloatArray) -> IntArray:
    """Whole cents in proportion to the weights that add up to the total; a weight of 0 gets 0."""
    reached = np.rint(total * np.cumsum(weights) / np.sum(weights)).astype(np.int64)
    return np.diff(reached, prepend=0)


def _month_starts(parameters: DemoParameters) -> tuple[IntArray, IntArray]:
    """The first day index of each month, and the number of the month of each day."""
    _, first, month = np.unique(month_labels(parameters), return_index=True, return_inverse=True)
    return first.astype(np.int64), month.astype(np.int64)


def _other_purposes(parameters: DemoParameters) -> list[pd.DataFrame]:
    """Monthly e-mails to existing customers, and brand advertising that is paid in the foreign currency."""
    first, _ = _month_starts(parameters)
    letters = np.full(len(first), "customer_letters", dtype=object)
    posters = np.full(len(first), "posters", dtype=object)
    retention = np.full(len(first), round(100 * parameters.retention_month_amount), dtype=np.int64)
    brand = np.full(len(first), round(100 * parameters.brand_month_amount), dtype=np.int64)
    return [
        _rows(parameters, first, retention, "email", letters, "tool").assign(spend_purpose="retention"),
        _rows(parameters, first, brand, "paid_social", posters, "agency").assign(
            spend_purpose="brand", currency_code=parameters.foreign_currency
        ),
    ]


def _rows(
    parameters: DemoParameters,
    day: IntArray,
    cents: IntArray,
    channel: str,
    campaigns: np.typing.NDArray[np.object_],
    cost_type: str,
) -> pd.DataFrame:
    dates = np.datetime64(parameters.history_start, "D") + day
    return pd.DataFrame(
        {
            "channel": channel,
            "campaign_name": campaigns,
            "cost_type": cost_type,
            "spend_purpose": "acquisition",
            "currency_code": parameters.reporting_currency,
            "cents": cents,
            "spend_date": pd.Series(dates.tolist(), dtype=object),
        }
    )


def make_plans(parameters: DemoParameters) -> pd.DataFrame:
    """Rows of period_month x channel for the twelve months after the history: as many customers as came, at true CAC.

    The inflow per operational day goes on, with its seasons and without pauses; channels without recorded spend plan
    customers and no spend. No random numbers.
    """
    pace = parameters.customers / operational_clock(parameters)[-1]
    shares = np.array([channel.first_share for channel in parameters.channels])
    after = pd.date_range(parameters.as_of, periods=13, freq="MS", inclusive="right")[:12]
    rows = []
    for month in after:
        factor = parameters.season[month.month - 1] / float(np.mean(parameters.season))
        for channel, share in zip(parameters.channels, (shares / shares.sum()).tolist(), strict=True):
            customers = Decimal(round(pace * month.days_in_month * factor * share))
            spend = (
                None if channel.cac_amount is None else decimal_of_cents(round(100 * channel.cac_amount)) * customers
            )
            rows.append((month.date(), channel.name, customers, spend))
    return pd.DataFrame(rows, columns=list(PLAN_COLUMNS))
