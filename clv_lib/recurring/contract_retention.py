"""How long subscribers stay, and what they are worth: sBG by segment, beside the formula with one churn rate.

A lifetime is a run of months with MRR, from new or reactivation to churn: who comes back begins another one. Each month
after the first is a renewal, due or made. Only complete months count: in the present one those who stay are not known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from clv_lib.contracts.contract_retention import CONTRACT_RETENTION
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.models.fitting import Fitted
from clv_lib.models.shifted_beta_geometric import (
    SMALLEST_DISCOUNT_RATE,
    RetentionStatistics,
    ShiftedBetaGeometric,
    expected_periods,
)
from clv_lib.models.sufficient_statistics import FloatArray
from clv_lib.periods import add_months, month_start, monthly_discount_rate
from clv_lib.recurring.movements import is_churn
from clv_lib.recurring.mrr_metrics import memberships

MONTHS_OF_SURVIVAL = 12

_MEANS = ("expected_lifetime_months", "residual_lifetime_months")
_MONEY_STEP = Decimal("1e-4")


def last_complete_month(as_of: dt.date) -> dt.date:
    """First day of the last calendar month that had ended at as_of."""
    return add_months(month_start(as_of + dt.timedelta(days=1)), -1)


def lifetime_counts(movements: DataFrame, customer_segments: DataFrame, last_month: dt.date) -> DataFrame:
    """Lifetimes by how many renewals they had made or missed, up to `last_month`, from `mrr_movements`.

    Grain: segment and `age_months`, months since the first with MRR. Columns `segment_id, age_months, lost_count` (left
    in that month), `active_count` (still there at the end of `last_month`) and `mrr_amount` of the latter.
    """
    life = Window.partitionBy("customer_id").orderBy("period_month")
    is_last = F.col("period_month") == F.lit(last_month)
    begins = F.col("movement_type").isin("new", "reactivation")
    marks = movements.where((F.col("period_month") <= F.lit(last_month)) & (begins | is_churn() | is_last))
    began = F.when(is_churn(), F.lag("period_month").over(life)).otherwise(F.col("paying_since_month"))
    is_active = is_last & (F.col("mrr_end") > 0)
    ends = marks.withColumns({"began_month": began, "is_active": is_active}).where(is_churn() | is_active)
    lived = ends.withColumn("age_months", F.expr("datediff(month, began_month, period_month)"))
    members = memberships(lived.select("customer_id").distinct(), customer_segments)
    return (
        lived.join(members, on="customer_id")
        .groupBy("segment_id", "age_months")
        .agg(
            F.count_if(is_churn()).alias("lost_count"),
            F.count_if("is_active").alias("active_count"),
            F.sum("mrr_end").cast(MONEY_SUM).alias("mrr_amount"),
        )
    )


@dataclass(frozen=True)
class RetentionTerms:
    """What lifetimes are judged by: fewer are not fitted, discount rate per year, months at which a lifetime is cut."""

    minimum_lifetimes: int
    annual_discount_rate: float
    cap_months: int

    @property
    def monthly_rate(self) -> float:
        """Discount rate per month; one that is too small to discount is 0."""
        rate = monthly_discount_rate(self.annual_discount_rate)
        return rate if rate >= SMALLEST_DISCOUNT_RATE else 0.0


@dataclass(frozen=True)
class _Lifetimes:
    """Lifetimes of a segment by age, each an array, and the MRR of the active ones."""

    ages: FloatArray
    active: FloatArray
    mrr: FloatArray
    mrr_amount: Decimal
    statistics: RetentionStatistics

    @classmethod
    def of_rows(cls, rows: list[Mapping[str, Any]]) -> _Lifetimes:
        ages, lost, active, mrr = (
            np.array([float(row[name]) for row in rows])
            for name in ("age_months", "lost_count", "active_count", "mrr_amount")
        )
        total = sum((row["mrr_amount"] for row in rows), Decimal(0))
        return cls(ages, active, mrr, total, RetentionStatistics(ages, lost, active))

    @property
    def subscriber_count(self) -> int:
        return round(float(self.active.sum()))


def retention_rows(
    counts: Iterable[Mapping[str, Any]], terms: RetentionTerms, as_of: dt.date
) -> list[tuple[object, ...]]:
    """Rows of contract `contract_retention`, its own columns in their order, from the collected `lifetime_counts`."""
    ordered = sorted(counts, key=lambda row: (str(row["segment_id"]), int(row["age_months"])))
    rows = []
    for segment_id, own in groupby(ordered, key=lambda row: str(row["segment_id"])):
        kind, _, name = segment_id.partition(":")
        row = {
            "segment_id": segment_id,
            "segment_type": kind,
            "segment_name": name,
            "period_month": last_complete_month(as_of),
            **_figures(_Lifetimes.of_rows(list(own)), terms),
            "annual_discount_rate": terms.annual_discount_rate,
            "as_of_date": as_of,
        }
        rows.append(tuple(row[column] for column in CONTRACT_RETENTION.own_columns))
    return rows


def _figures(lifetimes: _Lifetimes, terms: RetentionTerms) -> dict[str, object]:
    statistics = lifetimes.statistics
    lost, stayed = (whole.sum() for whole in statistics.decisions())
    due, subscribers = round(float(lost + stayed)), lifetimes.subscriber_count
    arpa = lifetimes.mrr_amount / subscribers if subscribers else None
    churn = Decimal(round(float(lost))) / due if due else None
    fitted = ShiftedBetaGeometric.fit(statistics, minimum_customers=terms.minimum_lifetimes)
    return {
        "lifetime_count": statistics.customer_count,
        "renewal_count": due,
        "lost_count": round(float(lost)),
        "subscriber_count": subscribers,
        "mrr_amount": lifetimes.mrr_amount,
        "observed_survival_12m": observed_survival(statistics, MONTHS_OF_SURVIVAL),
        **_fit(fitted),
        **_staying(fitted.model, lifetimes, terms),
        **_worth(fitted.model, lifetimes, arpa, terms.monthly_rate),
        **_simple(arpa, churn, terms.monthly_rate),
    }


def observed_survival(statistics: RetentionStatistics, periods: int) -> float | None:
    """Kaplan-Meier: share left after so many renewals, of lifetimes of any length; None if nobody met the last one."""
    lost, stayed = statistics.decisions()
    if len(lost) < periods:
        return None
    met = (lost + stayed)[:periods]
    return float(np.prod(stayed[:periods] / met))


def _fit(fitted: Fitted[ShiftedBetaGeometric]) -> dict[str, object]:
    estimates = fitted.estimates()
    found: dict[str, object] = {}
    for name, (estimate, error) in estimates.items():
        found |= {name: estimate, f"{name}_standard_error": error}
    likelihood = fitted.log_likelihood
    return {
        **found,
        "log_likelihood": likelihood if np.isfinite(likelihood) else None,
        "fit_status": fitted.status,
    }


def _staying(model: ShiftedBetaGeometric | None, lifetimes: _Lifetimes, terms: RetentionTerms) -> dict[str, object]:
    """Shares that stay, and months: expected of a new subscriber, and further ones of those of now."""
    names = ("survival_1m", "survival_12m", "capped_lifetime_months", *_MEANS)
    if model is None:
        return {**dict.fromkeys(names), "lifetime_status": "no_model"}
    found: dict[str, object] = dict.fromkeys(_MEANS)
    if model.alpha > 1:
        residual = model.discounted_residual_lifetime(lifetimes.ages, 0.0)
        found["expected_lifetime_months"] = float(model.discounted_lifetime(0.0))
        found["residual_lifetime_months"] = (
            float(lifetimes.active @ residual / lifetimes.active.sum()) if lifetimes.subscriber_count else None
        )
    return {
        **found,
        "survival_1m": float(model.survival(1)),
        "survival_12m": float(model.survival(MONTHS_OF_SURVIVAL)),
        "capped_lifetime_months": float(expected_periods(model.alpha, np.asarray(model.beta), terms.cap_months)),
        "lifetime_status": "ok" if model.alpha > 1 else "infinite_mean",
    }


def _worth(
    model: ShiftedBetaGeometric | None, lifetimes: _Lifetimes, arpa: Decimal | None, rate: float
) -> dict[str, object]:
    """Value of a new subscriber, the first month in full, and of the months to come of present ones, the next in full.

    Fader and Hardie 2010 (DEL and DERL): each subscriber's MRR stays what it is, and ages count.
    """
    names, status = ("residual_value_amount", "new_subscriber_clv_amount"), "ok"
    if model is None:
        status = "no_model"
    elif arpa is None:
        status = "no_subscribers"
    elif rate == 0 and model.alpha <= 1:
        status = "infinite_lifetime"
    if model is None or arpa is None or status != "ok":
        return {**dict.fromkeys(names), "clv_status": status}
    residual = lifetimes.mrr @ model.discounted_residual_lifetime(lifetimes.ages, rate) / lifetimes.subscriber_count
    new = float(arpa) * float(model.discounted_lifetime(rate))
    return {**dict(zip(names, map(_money, (float(residual), new)), strict=True)), "clv_status": status}


def _simple(arpa: Decimal | None, churn: Decimal | None, rate: float) -> dict[str, object]:
    """The formula with one churn rate for all ages: ARPA / c, and discounted ARPA (1 + d) / (d + c)."""
    status = "ok"
    if arpa is None:
        status = "no_subscribers"
    elif churn is None:
        status = "no_renewals_due"
    elif not churn:
        status = "zero_churn"
    plain = discounted = None
    if arpa is not None and churn:
        plain = _money(float(arpa) / float(churn))
        discounted = _money(float(arpa) * (1 + rate) / (rate + float(churn)))
    return {"simple_clv_amount": plain, "simple_discounted_clv_amount": discounted, "simple_clv_status": status}


def _money(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(_MONEY_STEP, ROUND_HALF_UP)
