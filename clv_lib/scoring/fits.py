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
from clv_lib.settings.predictions import AUTO

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.settings.predictions import Predictions

POOLED_SEGMENT = "all:all"

GroupFits = Mapping[str, Fitted[TransactionModel]]
"""Fits of one model by segment_id, those included that are not usable."""


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
    """What scoring needs: the published fits of orders, those that say who may have left, and the one of spend.

    transactions, churn: usable fits by segment_id, and the pooled one, usable or not, as POOLED_SEGMENT: that is all of
    them where no grouping is taken. Spend is pooled.
    """

    transactions: GroupFits
    churn: GroupFits
    spend: Fitted[GammaGamma]

    @classmethod
    def of_pooled(
        cls, transactions: Fitted[TransactionModel], churn: Fitted[TransactionModel], spend: Fitted[GammaGamma]
    ) -> Scorers:
        """One fit of each for everybody."""
        return cls({POOLED_SEGMENT: transactions}, {POOLED_SEGMENT: churn}, spend)

    @property
    def pooled(self) -> Fitted[TransactionModel]:
        """The fit of all customers."""
        return self.transactions[POOLED_SEGMENT]

    def churn_of(self, segment_id: str) -> Fitted[TransactionModel]:
        """The fit that says which customers of a group may have left."""
        return self.churn.get(segment_id, self.churn[POOLED_SEGMENT])

    @property
    def model_id(self) -> str:
        """Name of the combined model in `customer_predictions`."""
        return f"{self.pooled.name}+{self.spend.name}"


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


def churn_model(chosen: str) -> str:
    """The model that says who may have left: MBG/NBD where the chosen one is BG/NBD, else the chosen one."""
    return MbgNbd.name if chosen == BgNbd.name else chosen


def scorers(fits: Fits, chosen: str, groups: Mapping[str, GroupFits] | None = None) -> Scorers:
    """The fits that score: those of the chosen model, and of its `churn_model` for churn.

    `groups` are fits of both by the name of the model, if a grouping is taken; those that are not usable are left out.
    """

    def by_group(name: str) -> GroupFits:
        own = {} if groups is None else {key: fit for key, fit in groups[name].items() if fit.model is not None}
        return {POOLED_SEGMENT: fits.candidates[name], **own}

    return Scorers(by_group(chosen), by_group(churn_model(chosen)), fits.spend)


def model_fits(
    fits: Fits, choice: Choice, as_of: dt.date, groups: Mapping[str, GroupFits] | None = None
) -> list[tuple[object, ...]]:
    """Rows of contract `model_fits`. Grain: model, segment and parameter; `groups` as in `scorers`."""
    every: list[Fitted[Any]] = [*fits.candidates.values(), fits.baseline, fits.spend]
    rows = [row for fit in every for row in _fit_rows(fit, POOLED_SEGMENT, fits, choice, as_of)]
    for by_group in (groups or {}).values():
        for segment_id, fit in by_group.items():
            why = "scores its group" if fit.converged else "not usable: its group is scored by the pooled fit"
            own = Choice(choice.name, {fit.name: why})
            rows += _fit_rows(fit, segment_id, fits, own, as_of)
    return rows


def _fit_rows(
    fit: Fitted[Any], segment_id: str, fits: Fits, choice: Choice, as_of: dt.date
) -> list[tuple[object, ...]]:
    is_spend = fit.name == GammaGamma.name
    return [
        (
            fit.name,
            segment_id,
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
