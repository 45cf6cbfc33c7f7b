"""Fitted models of a run: the candidates, the baseline without death, spend, and which of them is published."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_lib.models import (
    TRANSACTION_MODELS,
    BgNbd,
    Fitted,
    GammaGamma,
    MbgNbd,
    Nbd,
    TransactionModel,
)
from clv_lib.scoring.statistics import (
    TIME_UNIT_DAYS,
    sampled,
    share_to_fit,
    spend_statistics,
    transaction_statistics,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.settings.predictions import Predictions

POOLED_SEGMENT = "all:all"
AUTO = "auto"


@dataclass(frozen=True)
class Fits:
    """The fits at one day. A fit without `model` is published with its status and not scored.

    spend_correlation: of x and the mean value, which Gamma-Gamma takes as 0; None where it is not defined.
    """

    candidates: Mapping[str, Fitted[TransactionModel]]
    baseline: Fitted[Nbd]
    spend: Fitted[GammaGamma]
    excluded_spenders: int
    spend_correlation: float | None
    sampled_share: float


@dataclass(frozen=True)
class Choice:
    """The model that is published, and why each candidate was taken or not, by name."""

    name: str
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Scorers:
    """What scoring needs: the published fits, and the one that says who may have left."""

    transactions: Fitted[TransactionModel]
    churn: Fitted[TransactionModel]
    spend: Fitted[GammaGamma]

    @property
    def model_id(self) -> str:
        """Name of the combined model in `customer_predictions`."""
        return f"{self.transactions.name}+{self.spend.name}"


def candidate_names(settings: Predictions) -> tuple[str, ...]:
    """Models of orders to fit: all of them for `auto`; beside BG/NBD its modification, which tells who has left."""
    if settings.model == AUTO:
        return tuple(TRANSACTION_MODELS)
    return (BgNbd.name, MbgNbd.name) if settings.model == BgNbd.name else (settings.model,)


def fit_models(states: DataFrame, settings: Predictions) -> Fits:
    """Fit the models on the driver, on distinct statistics with their counts.

    `states` has `btyd_frequency`, `btyd_recency_days`, `btyd_age_days` and `btyd_monetary_value` per customer, as in
    `customer_metrics`. With more than `max_fit_rows` distinct (x, t_x, T) a sample of customers by hash of their id is
    fitted, the same one in every run; its share is kept. Collects two small tables.
    """
    share = share_to_fit(states, settings.max_fit_rows)
    sample = sampled(states, share)
    transactions = transaction_statistics(sample)
    spend, excluded, correlation = spend_statistics(sample)
    enough = settings.minimum_customers
    return Fits(
        candidates={
            name: TRANSACTION_MODELS[name].fit(transactions, minimum_customers=enough)
            for name in candidate_names(settings)
        },
        baseline=Nbd.fit(transactions, minimum_customers=enough),
        spend=GammaGamma.fit(spend, minimum_customers=max(2, enough // 10)),
        excluded_spenders=excluded,
        spend_correlation=correlation,
        sampled_share=share,
    )


def scorers(fits: Fits, chosen: str) -> Scorers:
    """The fits that score: the chosen one, and for churn MBG/NBD where the chosen one is BG/NBD."""
    churn = MbgNbd.name if chosen == BgNbd.name else chosen
    return Scorers(fits.candidates[chosen], fits.candidates[churn], fits.spend)


def model_fits(fits: Fits, choice: Choice, as_of: dt.date) -> list[tuple[object, ...]]:
    """Rows of contract `model_fits`. Grain: model and parameter."""
    every: list[Fitted[Any]] = [*fits.candidates.values(), fits.baseline, fits.spend]
    return [row for fit in every for row in _fit_rows(fit, fits, choice, as_of)]


def _fit_rows(fit: Fitted[Any], fits: Fits, choice: Choice, as_of: dt.date) -> list[tuple[object, ...]]:
    is_spend = fit.name == GammaGamma.name
    return [
        (
            fit.name,
            POOLED_SEGMENT,
            parameter,
            estimate,
            error,
            _covariances(fit, number),
            finite(fit.log_likelihood),
            fit.customer_count,
            fit.distinct_statistics_count,
            fits.excluded_spenders if is_spend else 0,
            fits.sampled_share,
            fits.spend_correlation if is_spend else None,
            fit.converged,
            finite(fit.gradient_norm),
            fit.status,
            fit.name in (choice.name, GammaGamma.name) and fit.converged,
            choice.reasons.get(fit.name),
            TIME_UNIT_DAYS,
            as_of,
        )
        for number, (parameter, (estimate, error)) in enumerate(fit.estimates().items())
    ]


def _covariances(fit: Fitted[Any], number: int) -> dict[str, float]:
    pairs = zip(fit.parameter_names, fit.covariance[number], strict=True)
    return {name: float(value) for name, value in pairs if finite(value) is not None}


def finite(value: float) -> float | None:
    """The number, or None where it is infinite or not a number."""
    return float(value) if abs(value) < float("inf") else None
