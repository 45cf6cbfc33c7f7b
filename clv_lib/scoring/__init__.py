"""The bridge between Spark and the models: counted statistics out, forecasts and their accuracy back."""

from __future__ import annotations

from clv_lib.scoring.fits import Choice, Fits, OfGroups, Scorers, churn_model, fit_models, model_fits, scorers
from clv_lib.scoring.forecasts import forecasts
from clv_lib.scoring.groups import Groupings, Taken, assigned, counted_by_group, with_groups
from clv_lib.scoring.predictions import (
    SCORED,
    customer_predictions,
    prediction_bands,
    segment_sums,
    spend_tier_cuts,
)
from clv_lib.scoring.segment_predictions import segment_predictions

__all__ = [
    "SCORED",
    "Choice",
    "Fits",
    "Groupings",
    "OfGroups",
    "Scorers",
    "Taken",
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
