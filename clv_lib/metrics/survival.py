"""How long customers stay, from counted lifetimes: survival by age, and what a segment's curve says in a few figures.

A lifetime runs from the first order to the first churn by the fixed rule, open at as_of. 1 / churn takes the risk as
constant; it falls with age, so the curve is published beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from clv_lib.contracts.churn import SURVIVAL_MONTHS
from clv_lib.metrics.order_gaps import Spells, segment_columns
from clv_lib.metrics.spells import LIFETIME
from clv_lib.models import Estimate, FloatArray, SurvivalCurve, kaplan_meier
from clv_lib.periods import DAYS_PER_MONTH
from clv_lib.settings.models import Churn

_MONTH = float(DAYS_PER_MONTH)
_DAYS_OF_FIRST_YEAR = 365


def customer_survival(
    spells: Mapping[str, Mapping[str, Spells]], confidence_level: float, as_of: dt.date
) -> list[dict[str, Any]]:
    """Rows of contract `customer_survival`: each whole month of age up to that of the oldest member, per segment."""
    return [
        {**segment_columns(segment_id), **row, "as_of_date": as_of}
        for segment_id, own in spells.items()
        for row in _curve_rows(own[LIFETIME], confidence_level)
    ]


def _curve_rows(lifetimes: Spells, level: float) -> list[dict[str, Any]]:
    curve = kaplan_meier(lifetimes.days, lifetimes.ended, lifetimes.opened)
    ages = np.arange(int(curve.longest / _MONTH) + 1)
    days = np.arange(int(curve.longest / _MONTH) + 1, dtype=np.float64) * _MONTH
    survival, (lower, upper) = curve.survival_at(days), curve.interval_at(days, level)
    # The month of age in which a spell ends: 0 for no days, k for more than k - 1 up to k months.
    month = np.ceil(lifetimes.days / _MONTH).astype(int)
    churned, censored = (np.bincount(month, n, len(ages) + 1) for n in (lifetimes.ended, lifetimes.opened))
    leaving = churned + censored
    at_risk = leaving[::-1].cumsum()[::-1]
    return [
        {
            "age_months": int(age),
            "survival": float(survival[age]),
            "survival_lower": _or_none(lower[age]),
            "survival_upper": _or_none(upper[age]),
            "at_risk_count": int(at_risk[age]),
            "churned_count": int(churned[age]),
            "censored_count": int(censored[age]),
        }
        for age in ages
    ]


def lifetime_figures(lifetimes: Spells, churn: Churn) -> dict[str, Any]:
    """Columns of contract `segment_churn` on how long customers stay.

    The mean is restricted to `lifetime_cap_months`, or to the age of the oldest member if that is less: beyond it
    nothing was seen. Times are in months of 30.4375 days; what the curve does not reach is NULL, as its status says.
    """
    curve, level = kaplan_meier(lifetimes.days, lifetimes.ended, lifetimes.opened), churn.confidence_level
    cap = churn.lifetime_cap_months * _MONTH
    until = min(cap, curve.known_until)
    mean, median = curve.restricted_mean(until, level), curve.quantile(0.5, level)
    reach = "ok" if until >= cap else "observed_age_only" if until > 0 else "not_observed"
    return {
        "ever_churned_customer_count": int(lifetimes.ended.sum()),
        **_in_months("restricted_mean_months", mean if until > 0 else Estimate(None, None, None)),
        "restricted_to_months": until / _MONTH,
        "restricted_mean_status": reach,
        **_in_months("median_lifetime_months", median),
        "median_lifetime_status": "not_reached" if median.value is None else "ok",
        **_survival_columns(curve, level),
        **_hazards(lifetimes, churn.inactivity_days),
    }


def _in_months(name: str, days: Estimate) -> dict[str, float | None]:
    parts = {name: days.value, f"{name}_lower": days.lower, f"{name}_upper": days.upper}
    return {column: None if value is None else value / _MONTH for column, value in parts.items()}


def _survival_columns(curve: SurvivalCurve, level: float) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for months in SURVIVAL_MONTHS:
        age = np.array([months * _MONTH])
        survival, (lower, upper) = curve.survival_at(age)[0], curve.interval_at(age, level)
        name = f"survival_{months}_months"
        columns |= {
            name: _or_none(survival),
            f"{name}_lower": _or_none(lower[0]),
            f"{name}_upper": _or_none(upper[0]),
            f"{name}_status": "ok" if np.isfinite(survival) else "not_observed",
        }
    return columns


def _hazards(lifetimes: Spells, inactivity_days: int) -> dict[str, Any]:
    """First churns and days at risk, both ends counted, in the first 365 days in which one can churn and later.

    Ages before `inactivity_days` are no days at risk, since nobody can be churned there.
    """
    at_risk = np.maximum(lifetimes.days - inactivity_days + 1, 0)
    is_early, lived = at_risk <= _DAYS_OF_FIRST_YEAR, lifetimes.ended + lifetimes.opened
    exposure = {
        "early": (lived * np.minimum(at_risk, _DAYS_OF_FIRST_YEAR)).sum(),
        "late": (lived * np.maximum(at_risk - _DAYS_OF_FIRST_YEAR, 0)).sum(),
    }
    churned = {"early": lifetimes.ended[is_early].sum(), "late": lifetimes.ended[~is_early].sum()}
    columns: dict[str, Any] = {}
    for period, days in exposure.items():
        columns[f"{period}_churned_customer_count"] = int(churned[period])
        columns[f"{period}_exposure_days"] = int(days)
    status = "ok" if exposure["late"] else "early_only" if exposure["early"] else "not_observed"
    return {**columns, "hazard_status": status}


def _or_none(value: FloatArray | float) -> float | None:
    return float(value) if np.isfinite(value) else None
