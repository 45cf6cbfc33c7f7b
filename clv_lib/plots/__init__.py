"""Pictures of customers and of fitted purchase models, under the names that lifetimes and PyMC-Marketing made known.

NumPy arrays and models in, matplotlib's Axes out. matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from clv_lib.plots.calibration import plot_calibration_by_decile, plot_calibration_purchases_vs_holdout_purchases
from clv_lib.plots.heterogeneity import plot_dropout_rate_heterogeneity, plot_transaction_rate_heterogeneity
from clv_lib.plots.histories import (
    plot_frequency_recency_matrix,
    plot_history_alive,
    plot_probability_alive_matrix,
)
from clv_lib.plots.transactions import (
    expected_cumulative_transactions,
    expected_customers_by_frequency,
    plot_cumulative_transactions,
    plot_incremental_transactions,
    plot_period_transactions,
)

__all__ = [
    "expected_cumulative_transactions",
    "expected_customers_by_frequency",
    "plot_calibration_by_decile",
    "plot_calibration_purchases_vs_holdout_purchases",
    "plot_cumulative_transactions",
    "plot_dropout_rate_heterogeneity",
    "plot_frequency_recency_matrix",
    "plot_history_alive",
    "plot_incremental_transactions",
    "plot_period_transactions",
    "plot_probability_alive_matrix",
    "plot_transaction_rate_heterogeneity",
]
