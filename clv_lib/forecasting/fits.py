"""The models on the day of the run, as they were published, and on earlier days, fitted anew to what was known then."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clv_lib.models import (
    MODELS_OF_ORDERS,
    FloatArray,
    GammaGamma,
    SpendStatistics,
    TransactionModel,
    TransactionStatistics,
    parameter_variance,
)
from clv_lib.scoring.fits import POOLED_SEGMENT, enough_spenders
from clv_lib.scoring.statistics import TIME_UNIT_DAYS


@dataclass(frozen=True)
class SpendFit:
    """Gamma-Gamma, None if it is not usable, and ratios of the customers to whom it was fitted.

    relative_variance: of the model's population mean, by the parameters; net_per_value: net revenue over value of
    repeat days; spread: mean square over squared mean of the value of repeat days between customers.
    """

    model: GammaGamma | None
    relative_variance: float = 0.0
    net_per_value: float = 1.0
    spread: float = 1.0


@dataclass(frozen=True)
class OrdersFit:
    """A usable model of days with orders, and the covariance of the logarithms of its parameters."""

    model: TransactionModel
    log_covariance: FloatArray


@dataclass(frozen=True)
class DayFit:
    """What forecasts from one day need besides its customers.

    orders: usable fits by `fit_segment_id`, all:all the pooled one, which is taken for groups without their own; spend:
    the same by `spend_fit_segment_id`; orders_per_day: orders over days with orders.
    """

    name: str
    orders: Mapping[str, OrdersFit]
    spend: Mapping[str, SpendFit]
    in_margin: bool
    orders_per_day: float

    @property
    def pooled(self) -> OrdersFit | None:
        """The fit of all customers, None if it is not usable: then there is no forecast."""
        return self.orders.get(POOLED_SEGMENT)

    def orders_of(self, fit_segment_id: str) -> OrdersFit:
        """The fit of a group, the pooled one if it has none; KeyError without a usable pooled fit."""
        return self.orders.get(fit_segment_id) or self.orders[POOLED_SEGMENT]

    def spend_of(self, spend_fit_segment_id: str) -> SpendFit:
        """The fit of spend of a group, the pooled one if it has none."""
        return self.spend.get(spend_fit_segment_id) or self.spend[POOLED_SEGMENT]

    @property
    def has_spend(self) -> bool:
        """Whether amounts can be forecast: groups have fits of spend only beside a usable pooled one."""
        return self.spend[POOLED_SEGMENT].model is not None

    @property
    def status(self) -> str:
        """Why there is no forecast, or no amount in it."""
        if self.pooled is None:
            return "model_unusable"
        return "ok" if self.has_spend else "spend_model_unusable"


def day_fits(
    published: Sequence[Mapping[str, Any]],
    histories: pd.DataFrame,
    spend: pd.DataFrame,
    days: Sequence[dt.date],
    *,
    in_margin: bool,
    minimum_customers: int,
) -> dict[dt.date, DayFit]:
    """A fit per day, the first of which is the day of the run.

    `published` are rows of `model_fits`: the first day takes its parameters from them, the others are fitted with the
    same model to the same groups of customers. `histories` and `spend` are the collected `counted_histories` and
    `counted_spend`.
    """
    rows = [row for row in published if row["is_published_model"]]
    name = next((name for name in MODELS_OF_ORDERS if any(row["model_id"] == name for row in rows)), None)
    stored = {} if name is None else _stored_orders(name, [row for row in rows if row["model_id"] == name])
    known_spend = _stored_spend([row for row in rows if row["model_id"] == GammaGamma.name])
    fits = {}
    for number, day in enumerate(days):
        own, spent = histories[histories["origin_date"] == day], spend[spend["origin_date"] == day]
        if number == 0:
            orders, of_spend = stored, known_spend
        elif name is None:
            orders, of_spend = {}, {}
        else:
            orders = _fitted_orders(name, own, list(stored), minimum_customers)
            of_spend = _fitted_spend(spent, list(known_spend), enough_spenders(minimum_customers))
        fits[day] = DayFit(name or "none", orders, _with_ratios(of_spend, spent), in_margin, _orders_per_day(own))
    return fits


def _stored_orders(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, OrdersFit]:
    kind = MODELS_OF_ORDERS[name]
    found = {}
    for segment in {row["segment_id"] for row in rows}:
        own = [row for row in rows if row["segment_id"] == segment]
        estimates, covariance = _stored(own, kind.parameter_names)
        model = kind(**dict(zip(kind.parameter_names, map(float, estimates), strict=True)))
        found[segment] = OrdersFit(model, covariance)
    return found


def _fitted_orders(
    name: str, histories: pd.DataFrame, segments: Sequence[str], minimum_customers: int
) -> dict[str, OrdersFit]:
    """Usable fits by segment: the pooled one of all customers, others of their own."""
    found = {}
    for segment in segments:
        own = histories if segment == POOLED_SEGMENT else histories[histories["fit_segment_id"] == segment]
        if own.empty:
            continue
        fitted = MODELS_OF_ORDERS[name].fit(_statistics(own), minimum_customers=minimum_customers)
        if fitted.model is not None:
            found[segment] = OrdersFit(fitted.model, fitted.log_covariance)
    return found


def _stored_spend(rows: Sequence[Mapping[str, Any]]) -> dict[str, SpendFit]:
    found = {}
    for segment in {row["segment_id"] for row in rows}:
        own = [row for row in rows if row["segment_id"] == segment]
        estimates, covariance = _stored(own, GammaGamma.parameter_names)
        model = GammaGamma(*map(float, estimates))
        found[segment] = SpendFit(model, _relative_variance(model, covariance))
    return found


def _fitted_spend(spend: pd.DataFrame, segments: Sequence[str], minimum_customers: int) -> dict[str, SpendFit]:
    """Usable fits by segment, as `_fitted_orders`; none without a usable pooled one."""
    found = {}
    for segment in segments:
        fitted = GammaGamma.fit(_spend(_of_segment(spend, segment)), minimum_customers=minimum_customers)
        if fitted.model is not None:
            found[segment] = SpendFit(fitted.model, _relative_variance(fitted.model, fitted.log_covariance))
    return found if POOLED_SEGMENT in found else {}


def _of_segment(spend: pd.DataFrame, segment: str) -> pd.DataFrame:
    return spend if segment == POOLED_SEGMENT else spend[spend["spend_fit_segment_id"] == segment]


def _with_ratios(fits: Mapping[str, SpendFit], spend: pd.DataFrame) -> dict[str, SpendFit]:
    """The fits with the ratios of their customers, and a pooled one without a model if there is none."""
    every = fits or {POOLED_SEGMENT: SpendFit(None)}
    return {segment: _with_ratios_of(fit, _of_segment(spend, segment)) for segment, fit in every.items()}


def _stored(rows: Sequence[Mapping[str, Any]], names: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Estimates and the covariance of their logarithms."""
    by_name = {row["parameter"]: row for row in rows}
    estimates = np.array([by_name[name]["estimate"] for name in names], dtype=np.float64)
    covariance = np.array([[by_name[one]["covariances"].get(two, 0.0) for two in names] for one in names])
    return estimates, covariance / np.outer(estimates, estimates)


def _relative_variance(model: GammaGamma, log_covariance: FloatArray) -> float:
    """Of p v / (q - 1), by the delta method in the logarithms of p, q, v."""
    return float(parameter_variance(np.array([1.0, -model.q / (model.q - 1), 1.0]), log_covariance))


def _statistics(rows: pd.DataFrame) -> TransactionStatistics:
    return TransactionStatistics(
        frequency=rows["btyd_frequency"].to_numpy(float),
        recency=rows["btyd_recency_days"].to_numpy(float) / TIME_UNIT_DAYS,
        age=rows["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS,
        weight=rows["customers"].to_numpy(float),
    )


def _spend(rows: pd.DataFrame) -> SpendStatistics:
    return SpendStatistics(
        frequency=rows["btyd_frequency"].to_numpy(float),
        mean_spend=rows["mean_spend"].to_numpy(float),
        weight=rows["customers"].to_numpy(float),
    )


def _orders_per_day(histories: pd.DataFrame) -> float:
    """Orders over days with orders; 1 where there are none."""
    days = float(histories["days"].sum())
    return float(histories["orders"].sum()) / days if days else 1.0


def _with_ratios_of(fit: SpendFit, spend: pd.DataFrame) -> SpendFit:
    """Ratios of sums; 1 where nothing is there to form them."""
    repeat_days = float((spend["btyd_frequency"] * spend["customers"]).sum())
    value, square = float(spend["value_sum"].sum()), float(spend["square_sum"].sum())
    return replace(
        fit,
        net_per_value=float(spend["net_sum"].sum()) / value if value else 1.0,
        spread=square * repeat_days / value**2 if value else 1.0,
    )
