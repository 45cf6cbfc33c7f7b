"""`prediction_accuracy` and `prediction_calibration` from counted cells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clv_lib.contracts.accuracy import BASELINES, BY_GROUP, PREDICTION_ACCURACY
from clv_lib.models import (
    Cells,
    Fitted,
    normalised_gini,
    parameter_variance,
    predicted_decile,
    spearman,
    sum_interval,
    top_decile_capture,
)
from clv_lib.scoring.fits import POOLED_SEGMENT, Choice, Fits, Scorers
from clv_lib.scoring.forecasts import ORDER_PARAMETERS
from clv_lib.scoring.groups import FIT_SEGMENT, SPEND_FIT_SEGMENT
from clv_lib.scoring.holdout import ACTIVITY, AMOUNT, FREQUENCY, ORDERS

if TYPE_CHECKING:
    from clv_lib.scoring.holdout import Holdout

_GRADIENT = [f"by_{number}" for number in range(7)]


def accuracy_rows(
    cells: pd.DataFrame, fits: Fits, holdout: Holdout, sampled_share: float, as_of: dt.date
) -> list[dict[str, Any]]:
    """Rows of contract `prediction_accuracy` by column name; the published model is not marked yet.

    `cells` are the collected `holdout.cells` of `holdout.said`. A candidate without a usable fit has its row with a
    status.
    """
    fitted = {
        name: Scorers.of_pooled(fit, fit, fits.spend.fit)
        for name, fit in fits.compared.items()
        if fit.model is not None
    }
    rows = []
    for segment, group in cells.groupby("segment_id", sort=True):
        known = {str(model): _figures(own, fitted.get(str(model)), holdout) for model, own in group.groupby("model_id")}
        best = _least([known[name].get("orders_rmse") for name in BASELINES if name in known])
        customers = max(figures["customer_count"] for figures in known.values())
        for model in (*fits.compared, *BASELINES):
            figures = known.get(model, {"customer_count": customers, "accuracy_status": "model_unusable"})
            rows.append(_row(model, segment, figures, best, holdout, sampled_share, as_of))
    return rows


def group_accuracy_rows(
    cells: pd.DataFrame, others: Sequence[Mapping[str, Any]], scorers: Scorers, holdout: Holdout, as_of: dt.date
) -> list[dict[str, Any]]:
    """Rows of the fits per group, from cells of `holdout.said_by_group`; `others`: `accuracy_rows` of the holdout."""
    pooled = {row["segment_id"]: row for row in others}
    return [
        _row(
            BY_GROUP,
            segment,
            _figures(group, scorers, holdout),
            pooled[segment]["baseline_orders_rmse"],
            holdout,
            pooled[segment]["sampled_share"],
            as_of,
        )
        for segment, group in cells.groupby("segment_id", sort=True)
    ]


def _row(
    model: str,
    segment: object,
    figures: Mapping[str, Any],
    best: float | None,
    holdout: Holdout,
    sampled_share: float,
    as_of: dt.date,
) -> dict[str, Any]:
    return {
        "model_id": model,
        "calibration_end_date": holdout.calibration_end,
        "horizon_days": holdout.days,
        "segment_id": segment,
        "is_baseline": model in BASELINES,
        "is_published_model": False,
        "sampled_share": sampled_share,
        "interval_level": holdout.interval_level,
        "baseline_orders_rmse": best,
        "beats_baselines": None if model in BASELINES else _is_below(figures.get("orders_rmse"), best),
        "as_of_date": as_of,
        **figures,
    }


def _figures(group: pd.DataFrame, scorers: Scorers | None, holdout: Holdout) -> dict[str, Any]:
    """Every figure of one model in one segment, by column name; None where it is not defined."""
    by_measure = dict(iter(group.groupby("measure")))
    activity = by_measure[ACTIVITY]
    customers = int(activity["customers"].sum())
    figures: dict[str, Any] = {
        "customer_count": customers,
        "actual_active_share": activity["actual"].sum() / customers,
        "predicted_active_share": activity["predicted"].sum() / customers,
        "activity_brier_score": activity["squared_error"].sum() / customers,
    }
    for measure in (ORDERS, AMOUNT):
        figures |= _of_measure(by_measure[measure], measure, scorers, holdout.interval_level)
    if figures["predicted_orders"] is None:
        figures["accuracy_status"] = "activity_only"
    else:
        figures["accuracy_status"] = "ok" if figures["actual_orders"] else "no_orders_in_horizon"
    return figures


def _of_measure(rows: pd.DataFrame, measure: str, scorers: Scorers | None, level: float) -> dict[str, Any]:
    """Figures of orders or of amounts: of customers for whom both sides are known."""
    known = rows[rows["predicted_bin"].notna() & rows["actual_bin"].notna()]
    actual = float(rows["actual"].sum())
    predicted_name = {ORDERS: "predicted_orders", AMOUNT: "predicted_amount"}[measure]
    figures: dict[str, Any] = {f"actual_{measure}": actual, predicted_name: None}
    customers = float(known["customers"].sum())
    if not customers:
        return figures
    actual, predicted = float(known["actual"].sum()), float(known["predicted"].sum())
    counted = Cells(
        known["predicted_bin"].to_numpy(np.int64),
        known["actual_bin"].to_numpy(np.int64),
        known["customers"].to_numpy(float),
        known["actual"].to_numpy(float),
    )
    error, squared = float(known["absolute_error"].sum()), float(known["squared_error"].sum())
    figures |= {
        f"actual_{measure}": actual,
        predicted_name: predicted,
        f"{measure}_bias_ratio": _ratio(predicted, actual),
        f"{measure}_mae": error / customers,
        f"{measure}_rmse": (squared / customers) ** 0.5,
        f"{measure}_wape": _ratio(error, actual),
        f"{measure}_spearman": _number(spearman(counted)),
        f"{measure}_normalised_gini": _number(normalised_gini(counted)),
        f"{measure}_top_decile_capture": _number(top_decile_capture(counted)),
    }
    return figures | _intervals(known, measure, predicted, scorers, level)


def _intervals(
    known: pd.DataFrame, measure: str, predicted: float, scorers: Scorers | None, level: float
) -> dict[str, Any]:
    """Coverage of customers' predictive intervals, and the predictive interval of the sum; models only."""
    if scorers is None:
        return {}
    by_parameters = _by_parameters(known, FIT_SEGMENT, scorers.transactions, 0)
    if measure == AMOUNT:
        by_parameters += _by_parameters(known, SPEND_FIT_SEGMENT, scorers.spend, ORDER_PARAMETERS)
    lower, upper = sum_interval(predicted, float(known["variance"].sum()) + by_parameters, level)
    return {
        f"{measure}_interval_coverage": float(known["covered"].sum() / known["customers"].sum()),
        f"{measure}_total_lower": _number(float(lower)),
        f"{measure}_total_upper": _number(float(upper)),
    }


def _by_parameters(known: pd.DataFrame, column: str, fits: Mapping[str, Fitted[Any]], first: int) -> float:
    """Variance of the sum by estimated parameters: G'VG of each fit, whose derivatives begin at number `first`."""
    total = 0.0
    for segment, rows in known.groupby(column, sort=True):
        matrix = fits[str(segment)].log_covariance
        gradient = rows[_GRADIENT[first : first + len(matrix)]].sum().to_numpy(float)
        total += float(parameter_variance(gradient, matrix))
    return total


def calibration_rows(cells: pd.DataFrame, holdout: Holdout, as_of: dt.date) -> list[tuple[object, ...]]:
    """Rows of contract `prediction_calibration` from the cells of all customers."""
    everyone = cells[(cells["segment_id"] == POOLED_SEGMENT) & cells["predicted_bin"].notna()]
    rows: list[tuple[object, ...]] = []
    for (model, measure), group in everyone.groupby(["model_id", "measure"]):
        if measure == FREQUENCY:
            buckets, kind = group["predicted_bin"].astype(np.int64), "frequency"
        elif measure == ORDERS:
            bins, customers = group["predicted_bin"].to_numpy(np.int64), group["customers"].to_numpy(float)
            buckets, kind = pd.Series(predicted_decile(bins, customers), index=group.index), "predicted_decile"
        else:
            continue
        sums = group.groupby(buckets)[["customers", "actual", "predicted"]].sum(min_count=1)
        for bucket, customers, actual, predicted in sums.itertuples(name=None):
            rows.append(
                (model, holdout.calibration_end, holdout.days, kind, int(bucket), int(customers),
                 actual / customers, _number(predicted / customers), as_of)
            )  # fmt: skip
    return rows


def accuracy_table(rows: Sequence[Mapping[str, Any]], choice: Choice) -> list[tuple[object, ...]]:
    """The rows in the order of contract `prediction_accuracy`, with the published model marked.

    Where fits per group were judged, they are what is published, and not the pooled fit.
    """

    def holdout(row: Mapping[str, Any]) -> tuple[object, object]:
        return row["calibration_end_date"], row["horizon_days"]

    by_group = {holdout(row) for row in rows if row["model_id"] == BY_GROUP}

    def is_published(row: Mapping[str, Any]) -> bool:
        return bool(row["model_id"] == (BY_GROUP if holdout(row) in by_group else choice.name))

    return [
        tuple(
            is_published(row) if name == "is_published_model" else row.get(name) for name in PREDICTION_ACCURACY.columns
        )
        for row in rows
    ]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _is_below(value: float | None, limit: float | None) -> bool | None:
    return None if value is None or limit is None else value < limit


def _least(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if known else None
