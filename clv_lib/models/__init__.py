"""Statistical models of purchases, spend and contracts: NumPy and SciPy only, usable on their own in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clv_lib.models.accuracy import Cells, normalised_gini, predicted_decile, spearman, top_decile_capture
from clv_lib.models.beta_geometric_beta_binomial import BgBb, PeriodStatistics
from clv_lib.models.bg_nbd import BgNbd
from clv_lib.models.discounting import (
    discounted_purchases_if_alive,
    month_ends,
    residual_pairs_if_alive,
    residual_purchases_if_alive,
)
from clv_lib.models.fitting import CONVERGED, Fitted
from clv_lib.models.gamma_gamma import GammaGamma, SpendMoments
from clv_lib.models.kaplan_meier import Estimate, SurvivalCurve, kaplan_meier
from clv_lib.models.mbg_nbd import MbgNbd
from clv_lib.models.nbd import Nbd
from clv_lib.models.pareto_nbd import ParetoNbd
from clv_lib.models.protocol import TransactionModel
from clv_lib.models.seasonality import Seasonality, seasonality
from clv_lib.models.shifted_beta_geometric import RetentionStatistics, ShiftedBetaGeometric
from clv_lib.models.sufficient_statistics import FloatArray, SpendStatistics, TransactionStatistics
from clv_lib.models.survivors import (
    Residual,
    SurvivorTable,
    residual_gradient_if_alive,
    residual_if_alive,
    survivor_table,
)
from clv_lib.models.uncertainty import (
    gradient_of_product,
    mean_interval,
    order_interval,
    parameter_variance,
    probability_interval,
    sum_interval,
)
from clv_lib.models.value_uncertainty import (
    ValueForecast,
    order_forecast,
    residual_forecast,
    value_forecast,
    value_interval,
)
from clv_lib.models.windows import WindowMoments, window_moments

TRANSACTION_MODELS: Mapping[str, type[BgNbd | MbgNbd | ParetoNbd]] = MappingProxyType(
    {BgNbd.name: BgNbd, MbgNbd.name: MbgNbd, ParetoNbd.name: ParetoNbd}
)
"""Models in which customers leave, by name."""

MODELS_OF_ORDERS: Mapping[str, type[BgNbd | MbgNbd | ParetoNbd | Nbd]] = MappingProxyType(
    {**TRANSACTION_MODELS, Nbd.name: Nbd}
)
"""The same, and the NBD, which each of them becomes where nobody leaves."""

__all__ = [
    "CONVERGED",
    "MODELS_OF_ORDERS",
    "TRANSACTION_MODELS",
    "BgBb",
    "BgNbd",
    "Cells",
    "Estimate",
    "Fitted",
    "FloatArray",
    "GammaGamma",
    "MbgNbd",
    "Nbd",
    "ParetoNbd",
    "PeriodStatistics",
    "Residual",
    "RetentionStatistics",
    "Seasonality",
    "ShiftedBetaGeometric",
    "SpendMoments",
    "SpendStatistics",
    "SurvivalCurve",
    "SurvivorTable",
    "TransactionModel",
    "TransactionStatistics",
    "ValueForecast",
    "WindowMoments",
    "discounted_purchases_if_alive",
    "gradient_of_product",
    "kaplan_meier",
    "mean_interval",
    "month_ends",
    "normalised_gini",
    "order_forecast",
    "order_interval",
    "parameter_variance",
    "predicted_decile",
    "probability_interval",
    "residual_forecast",
    "residual_gradient_if_alive",
    "residual_if_alive",
    "residual_pairs_if_alive",
    "residual_purchases_if_alive",
    "seasonality",
    "spearman",
    "sum_interval",
    "survivor_table",
    "top_decile_capture",
    "value_forecast",
    "value_interval",
    "window_moments",
]
