"""The bridge between Spark and the models: counted statistics out, forecasts and their accuracy back."""

from __future__ import annotations

from clv_lib.scoring.fits import Choice, Fits, Scorers, churn_model, fit_models, model_fits, scorers
from clv_lib.scoring.forecasts import forecasts
from clv_lib.scoring.groups import Groupings, assigned, counted_by_group, with_groups
from clv_lib.scoring.predictions import (
    customer_predictions,
    prediction_bands,
    segment_predictions,
    segment_sums,
    spend_tier_cuts,
)

__all__ = [
    "Choice",
    "Fits",
    "Groupings",
    "Scorers",
    "assigned",
    "churn_model",
    "counted_by_group",
    "customer_predictions",
    "fit_models",
    "forecasts",
    "model_fits",
    "prediction_bands",
    "scorers",
    "segment_predictions",
    "segment_sums",
    "spend_tier_cuts",
    "with_groups",
]
