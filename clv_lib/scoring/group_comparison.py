"""Fits per group of customers beside the pooled fit, on days that neither has seen: `prediction_groupings`."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clv_lib.contracts.accuracy import ORDER_VALUE, ORDERS, PREDICTION_GROUPINGS
from clv_lib.models import MODELS_OF_ORDERS, Fitted, FloatArray, GammaGamma, TransactionModel, TransactionStatistics
from clv_lib.scoring.fits import POOLED_SEGMENT, GroupFits, GroupSpend, SpendFit, enough_spenders
from clv_lib.scoring.groups import LATER_SPEND, group_column
from clv_lib.scoring.statistics import HISTORY, TIME_UNIT_DAYS, SpendRows
from clv_lib.settings.predictions import AUTO, NO_GROUPS

if TYPE_CHECKING:
    from clv_lib.scoring.holdout import Holdout

STANDARD_ERRORS = 2.0
"""By how many standard errors the fits of the groups must score better than the pooled fit to be taken."""

LATER = ("later_frequency", "later_recency_days")
"""x and t_x of the same customers at the end of the holdout."""


@dataclass(frozen=True)
class Comparison:
    """One grouping on the holdout: rows by column name, the first of all customers; reason and verdict of the whole."""

    measure: str
    grouping: str
    rows: Sequence[Mapping[str, Any]]
    reason: str
    is_taken: bool = False

    @property
    def total(self) -> Mapping[str, Any]:
        """Figures over all customers."""
        return self.rows[0]


def fit_groups(counted: pd.DataFrame, grouping: str, model_name: str, minimum_customers: int) -> GroupFits:
    """Fit a model of orders in each group of `groups.counted_by_group`; small groups give a fit with that status."""
    fits = {}
    for segment_id, rows in counted.groupby(group_column(grouping), sort=True):
        x, recency, age = _weeks(rows, HISTORY)
        statistics = TransactionStatistics(x, recency, age, rows["customers"].to_numpy(float))
        fits[str(segment_id)] = MODELS_OF_ORDERS[model_name].fit(statistics, minimum_customers=minimum_customers)
    return fits


def fit_spend_groups(counted: pd.DataFrame, spend: pd.DataFrame, grouping: str, minimum_customers: int) -> GroupSpend:
    """Fit Gamma-Gamma in each group of `groups.counted_spend_by_group`; small groups give a fit with that status.

    Small is a group of fewer than `minimum_customers`, of which `groups.counted_by_group` has all, or with a repeat
    value for fewer than a tenth of that number.
    """
    group, fits = group_column(grouping), {}
    customers = counted.groupby(group, sort=True)["customers"].sum()
    for segment_id, number in customers.items():
        rows = SpendRows.of(spend[spend[group] == segment_id])
        enough = enough_spenders(minimum_customers) if number >= minimum_customers else sys.maxsize
        fits[str(segment_id)] = SpendFit.to(rows, enough)
    return fits


def compare(
    outcomes: pd.DataFrame, grouping: str, fits: GroupFits, pooled: Fitted[TransactionModel], holdout: Holdout
) -> Comparison:
    """Score the customers of a holdout by the fits of orders of their groups and by the pooled fit.

    `outcomes` are `counted_by_group` of customers at the end of calibration with LATER. A group whose fit is not usable
    takes the pooled one. The log score of a customer is ln f(whole history) - ln f(history at the end of calibration):
    the log-density of what came, a proper score (Gneiting and Raftery 2007), so the true model has the highest mean.
    """
    actual = (outcomes[LATER[0]] - outcomes[HISTORY[0]]).to_numpy(float)
    return _Scores(ORDERS, actual, partial(_scored, holdout=holdout)).compare(outcomes, grouping, fits, pooled, holdout)


def compare_spend(
    outcomes: pd.DataFrame, grouping: str, fits: GroupSpend, pooled: Fitted[GammaGamma], holdout: Holdout
) -> Comparison:
    """Score what the buyers of a holdout spent by the fits of spend of their groups and by the pooled fit.

    `outcomes` are `counted_later_spend`. The value of a customer's days is compared with what was expected of so many;
    the log score is the log-density of their mean value, given what the customer had spent before.
    """
    actual = (outcomes["later_days"] * outcomes["later_mean_spend"]).to_numpy(float)
    own = {segment_id: one.fit for segment_id, one in fits.items()}
    return _Scores(ORDER_VALUE, actual, _scored_spend).compare(outcomes, grouping, own, pooled, holdout)


@dataclass(frozen=True)
class _Scores:
    """How rows of outcomes are judged: what came, and what a model expected with its log score, on a last axis."""

    measure: str
    actual: FloatArray
    scored: Callable[[pd.DataFrame, Any], FloatArray]

    def compare(
        self,
        outcomes: pd.DataFrame,
        grouping: str,
        fits: Mapping[str, Fitted[Any]],
        pooled: Fitted[Any],
        holdout: Holdout,
    ) -> Comparison:
        if pooled.model is None:
            raise ValueError(f"groups are compared with a usable pooled fit; this one is {pooled.status}")
        segments = outcomes[group_column(grouping)]
        by_pooled = self.scored(outcomes, pooled.model)
        by_group = by_pooled.copy()
        for segment_id, fit in fits.items():
            own = (segments == segment_id).to_numpy()
            if fit.model is not None and own.any():
                by_group[own] = self.scored(outcomes[own], fit.model)
        is_own = segments.isin([name for name, fit in fits.items() if fit.model is not None]).to_numpy()
        groups = [(POOLED_SEGMENT, np.ones(len(outcomes), dtype=bool))]
        groups += [(name, (segments == name).to_numpy()) for name in sorted(set(segments))]
        weight = outcomes["customers"].to_numpy(float)
        rows = [
            {
                "measure": self.measure,
                "grouping": grouping,
                "segment_id": name,
                "model_id": pooled.name,
                "calibration_end_date": holdout.calibration_end,
                "horizon_days": holdout.days,
                "fitted_customer_count": pooled.customer_count
                if name == POOLED_SEGMENT
                else _customers(fits.get(name)),
                "fit_used": _used(is_own[inside]),
                "fit_status": fits[name].status if name in fits else None,
                **_figures(weight[inside], self.actual[inside], by_pooled[inside], by_group[inside]),
            }
            for name, inside in groups
        ]
        return Comparison(self.measure, grouping, rows, _finding(rows[0], fits))


def _customers(fit: Fitted[Any] | None) -> int:
    return 0 if fit is None else fit.customer_count


def _used(is_own: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    return "own" if is_own.all() else "mixed" if is_own.any() else "pooled"


def _weeks(rows: pd.DataFrame, names: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """x, t_x and T of the columns, times in weeks."""
    x, recency, age = (rows[name].to_numpy(float) for name in names)
    return x, recency / TIME_UNIT_DAYS, age / TIME_UNIT_DAYS


def _scored(rows: pd.DataFrame, model: TransactionModel, holdout: Holdout) -> FloatArray:
    """Expected orders and log score of each row, on a last axis."""
    before, length = _weeks(rows, HISTORY), holdout.days / TIME_UNIT_DAYS
    # Added up in days: in weeks the sum may fall short of the recency of who bought on the last day.
    later = _weeks(rows.assign(later_age_days=rows[HISTORY[2]] + holdout.days), (*LATER, "later_age_days"))
    score = model.log_likelihood(*later) - model.log_likelihood(*before)
    return np.stack([model.expected_purchases(length, *before), score], axis=-1)


def _scored_spend(rows: pd.DataFrame, model: GammaGamma) -> FloatArray:
    """Expected value of the later days and log score of each row, on a last axis."""
    x, m, days, mean = (rows[name].to_numpy(float) for name in LATER_SPEND)
    return np.stack([days * model.expected_spend(x, m), model.later_log_likelihood(x, m, days, mean)], axis=-1)


def _figures(weight: FloatArray, actual: FloatArray, pooled: FloatArray, grouped: FloatArray) -> dict[str, Any]:
    """Figures of customers by column name: of both kinds of fit, and of the difference of their log scores."""
    customers, came = weight.sum(), float(weight @ actual)
    figures: dict[str, Any] = {"customer_count": round(customers), "actual_value": came}
    for who, (expected, score) in (("pooled", pooled.T), ("grouped", grouped.T)):
        error = expected - actual
        predicted, absolute = float(weight @ expected), float(weight @ np.abs(error))
        figures |= {
            f"{who}_predicted_value": predicted,
            f"{who}_bias_ratio": predicted / came if came else None,
            f"{who}_mae": absolute / customers,
            f"{who}_rmse": float(weight @ error**2 / customers) ** 0.5,
            f"{who}_wape": absolute / came if came else None,
            f"{who}_log_score": float(weight @ score / customers),
        }
    gain = grouped[:, 1] - pooled[:, 1]
    mean = float(weight @ gain / customers)
    spread = float(weight @ (gain - mean) ** 2)
    error_of_mean = (spread / (customers - 1) / customers) ** 0.5 if customers > 1 else None
    figures |= {"log_score_gain": mean, "log_score_gain_standard_error": error_of_mean}
    return figures | {"beats_pooled": _beats(figures)}


def _beats(figures: Mapping[str, Any]) -> bool:
    """Whether the gain is more than chance gives, and what was expected is closer to what came, too."""
    gain, error = figures["log_score_gain"], figures["log_score_gain_standard_error"]
    is_closer = figures["grouped_rmse"] < figures["pooled_rmse"]
    return bool(error is not None and gain > STANDARD_ERRORS * error and is_closer)


def _finding(total: Mapping[str, Any], fits: Mapping[str, Fitted[Any]]) -> str:
    """What the holdout says of a grouping, as the beginning of a sentence about why it was taken or not."""
    if total["fit_used"] == "pooled":
        found = ", ".join(f"{name.partition(':')[2]} {fit.status}" for name, fit in fits.items())
        return f"no group has a usable fit of its own ({found})"
    gain, error = total["log_score_gain"], total["log_score_gain_standard_error"]
    what = {ORDERS: "orders", ORDER_VALUE: "value"}[total["measure"]]
    errors = f"error of {what} {total['grouped_rmse']:.4g} against {total['pooled_rmse']:.4g} by the pooled fit"
    scores = f"log score per customer {gain:+.4f} (standard error {error or 0:.4f})"
    if total["beats_pooled"]:
        return f"beats the pooled fit on the holdout: {scores}, {errors}"
    if gain <= 0:
        return f"no better than the pooled fit on the holdout: {scores}, {errors}"
    if gain <= STANDARD_ERRORS * (error or np.inf):
        return f"no more than chance: {scores} is within {STANDARD_ERRORS:.0f} standard errors of 0, {errors}"
    return f"a better log score, but {what} no closer: {scores}, {errors}"


def choose_grouping(comparisons: Sequence[Comparison], group_by: str) -> list[Comparison]:
    """The comparisons of one measure with their verdicts: at most one is taken, for `auto` that with the highest gain.

    A grouping that the configuration names is taken as named if a group has a usable fit, whatever the holdout says.
    """
    better = [one for one in comparisons if one.total["beats_pooled"]]
    best = max(better, key=lambda one: one.total["log_score_gain"], default=None)
    chosen = best.grouping if group_by == AUTO and best else group_by
    return [_judged(one, chosen, group_by) for one in comparisons]


def _judged(one: Comparison, chosen: str, group_by: str) -> Comparison:
    is_taken = one.grouping == chosen and one.total["fit_used"] != "pooled"
    if group_by == NO_GROUPS:
        reason = f"not asked for (predictions.group_by: none); {one.reason}"
    elif group_by != AUTO:
        named = "named by the configuration" if one.grouping == group_by else f"the configuration names {group_by}"
        reason = f"{named}; {one.reason}"
    elif one.total["beats_pooled"] and not is_taken:
        reason = f"{chosen} did better still; {one.reason}"
    else:
        reason = one.reason
    return replace(one, reason=reason, is_taken=is_taken)


def grouping_rows(
    comparisons: Sequence[Comparison],
    limits: Mapping[str, tuple[float | None, float | None]],
    sampled_share: float,
    as_of: dt.date,
) -> list[tuple[object, ...]]:
    """Rows of contract `prediction_groupings`; `limits` are lower and upper value by segment_id of the band."""
    rows = []
    for one in comparisons:
        shared = {
            "sampled_share": sampled_share, "is_taken": one.is_taken, "reason": one.reason, "as_of_date": as_of
        }  # fmt: skip
        for row in one.rows:
            lower, upper = limits.get(row["segment_id"], (None, None))
            cells = {**row, **shared, "lower_value": lower, "upper_value": upper}
            rows.append(tuple(cells[name] for name in PREDICTION_GROUPINGS.columns))
    return rows
