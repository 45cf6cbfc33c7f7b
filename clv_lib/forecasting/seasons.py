"""Seasons of a history: repeat orders by month beside what the model expects of the same customers' first days."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from clv_lib.forecasting.calendar import last_complete_month_end
from clv_lib.models import Seasonality, TransactionModel, seasonality
from clv_lib.periods import add_months, month_end, month_start
from clv_lib.scoring.statistics import TIME_UNIT_DAYS


def season_until(
    cohorts: pd.DataFrame, histories: pd.DataFrame, model: TransactionModel, day: dt.date, today: dt.date
) -> Seasonality:
    """Seasonality in the complete months up to a day, as it could be known then.

    `cohorts` are rows of `cohort_metrics` of all customers; `histories` numbers of `customers` by `btyd_age_days` of
    today, of all of them or of a sample. Expected are repeat orders of customers of whom only the first day is known,
    so the growth of the base, the customers' age and the days of the month are in the expectation.
    """
    known = cohorts[cohorts["cohort_month"] <= month_start(day)]
    repeat = known["order_count"] - known["cohort_size"].where(known["months_since_first_order"] == 0, 0)
    by_month = repeat.groupby(known["period_month"]).sum()
    ends = _month_ends(min(known["cohort_month"]), last_complete_month_end(day))
    by_age = histories.groupby("btyd_age_days")["customers"].sum()
    began = np.array([today.toordinal() - int(age) for age in by_age.index])
    until = np.array([end.toordinal() for end in ends])[:, None] - began[None, :]
    total = model.expected_purchases_new(np.maximum(until, 0) / TIME_UNIT_DAYS) @ by_age.to_numpy(float)
    return seasonality(
        by_month.reindex([month_start(end) for end in ends]).fillna(0.0).to_numpy(float),
        np.diff(total, prepend=0.0),
        np.array([end.month for end in ends], dtype=np.int64),
    )


def _month_ends(first_month: dt.date, last: dt.date) -> list[dt.date]:
    ends, month = [], first_month
    while month_end(month) <= last:
        ends.append(month_end(month))
        month = add_months(month, 1)
    return ends
