"""A population of customers as in CDNOW, but up to three years old: BG/NBD purchases, Gamma-Gamma spend."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clv_lib.models import TransactionStatistics
from clv_lib.scoring.statistics import TIME_UNIT_DAYS
from tests.models.simulation import simulate, simulate_spend

PURCHASES = (0.243, 4.414, 0.793, 2.426)
"""r, alpha, a, b of BG/NBD as estimated from CDNOW, time in weeks (Fader, Hardie and Lee 2005)."""
SPEND = (6.25, 3.74, 15.44)
"""p, q, v of Gamma-Gamma as estimated from CDNOW, in dollars (Fader and Hardie 2013, note 025)."""
LONGEST_DAYS = 3 * 365


def population(customers: int, seed: int = 1) -> pd.DataFrame:
    """The four btyd columns of `customer_metrics` for that many customers, first bought on any day of three years.

    Times are whole days, as in the job: the last purchase counts on the day in which it falls, and no more repeat
    purchases than days. A value is NaN without a repeat purchase.
    """
    age_days = np.random.default_rng(seed).integers(1, LONGEST_DAYS + 1, customers)
    drawn = simulate(PURCHASES, age_days / TIME_UNIT_DAYS, seed + 1)
    recency_days = np.minimum(np.ceil(drawn.recency * TIME_UNIT_DAYS), age_days)
    frequency = np.minimum(drawn.frequency, recency_days)
    mean_spend = np.full(customers, np.nan)
    repeated = frequency > 0
    mean_spend[repeated], _ = simulate_spend(SPEND, frequency[repeated], seed + 2)
    return pd.DataFrame(
        {
            "btyd_frequency": frequency.astype(np.int32),
            "btyd_recency_days": recency_days.astype(np.int32),
            "btyd_age_days": age_days.astype(np.int32),
            "btyd_monetary_value": mean_spend,
        }
    )


def counted(customers: pd.DataFrame) -> TransactionStatistics:
    """Distinct (x, t_x, T) in weeks with their customers."""
    recency, age = (customers[f"btyd_{name}_days"].to_numpy(float) / TIME_UNIT_DAYS for name in ("recency", "age"))
    distinct = TransactionStatistics.unweighted(customers["btyd_frequency"], recency, age).distinct()
    x, t_x, ages = (column.rows for column in distinct.columns)
    return TransactionStatistics(x, t_x, ages, distinct.weight)
