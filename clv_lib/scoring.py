"""The bridge between Spark and the models: counted statistics out, fitted figures back as native columns."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from clv_lib.contracts.predictions import CUSTOMER_PREDICTIONS, MODEL_FITS
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.models import (
    TRANSACTION_MODELS,
    BgNbd,
    Fitted,
    GammaGamma,
    MbgNbd,
    Nbd,
    SpendStatistics,
    TransactionStatistics,
    discounted_purchases_if_alive,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from clv_lib.settings.models import Predictions

TIME_UNIT_DAYS = 7.0
POOLED_SEGMENT = "all:all"
_EXACT_SPEND_ROWS = 200_000
_SPEND_BIN_WIDTH = 0.01
_HASH_BUCKETS = 1_000_000


@dataclass(frozen=True)
class Fits:
    """The fitted models of a run. A fit without `model` is published with its status and not scored."""

    transactions: Fitted[BgNbd] | Fitted[MbgNbd]
    churn: Fitted[MbgNbd]
    baseline: Fitted[Nbd]
    spend: Fitted[GammaGamma]
    excluded_spenders: int
    sampled_share: float

    @property
    def model_id(self) -> str:
        """Name of the combined model in `customer_predictions`."""
        return f"{self.transactions.name}+{self.spend.name}"


def fit_models(metrics: DataFrame, settings: Predictions) -> Fits:
    """Fit the models on the driver, on distinct statistics with their counts.

    `metrics` is `customer_metrics`. With more than `max_fit_rows` distinct (x, t_x, T) a sample of customers by hash of
    their id is fitted, the same one in every run; its share is kept. Collects two small tables.
    """
    share = _share_to_fit(metrics, settings.max_fit_rows)
    sample = _sampled(metrics, share)
    transactions = _transaction_statistics(sample)
    spend, excluded = _spend_statistics(sample)
    enough = settings.minimum_customers
    chosen = TRANSACTION_MODELS[settings.model].fit(transactions, minimum_customers=enough)
    churn = chosen if chosen.name == MbgNbd.name else MbgNbd.fit(transactions, minimum_customers=enough)
    return Fits(
        transactions=chosen,
        churn=churn,  # type: ignore[arg-type]  # the name says that it is MBG/NBD
        baseline=Nbd.fit(transactions, minimum_customers=enough),
        spend=GammaGamma.fit(spend, minimum_customers=max(2, enough // 10)),
        excluded_spenders=excluded,
        sampled_share=share,
    )


def _distinct_histories(metrics: DataFrame) -> DataFrame:
    """Grain: (x, t_x, T) in days with the number of customers, in ascending order."""
    key = ("btyd_frequency", "btyd_recency_days", "btyd_age_days")
    return metrics.groupBy(*key).agg(F.count(F.lit(1)).alias("customers")).orderBy(*key)


def _share_to_fit(metrics: DataFrame, max_rows: int) -> float:
    """1, or the share of customers that keeps the distinct rows below the limit (they grow slower than customers)."""
    distinct = _distinct_histories(metrics).count()
    return 1.0 if distinct <= max_rows else int(_HASH_BUCKETS * max_rows / distinct) / _HASH_BUCKETS


def _sampled(metrics: DataFrame, share: float) -> DataFrame:
    if share >= 1.0:
        return metrics
    return metrics.where(F.pmod(F.xxhash64("customer_id"), F.lit(_HASH_BUCKETS)) < int(share * _HASH_BUCKETS))


def _transaction_statistics(metrics: DataFrame) -> TransactionStatistics:
    rows = _distinct_histories(metrics).toPandas()
    return TransactionStatistics(
        frequency=rows["btyd_frequency"].to_numpy(float),
        recency=rows["btyd_recency_days"].to_numpy(float) / TIME_UNIT_DAYS,
        age=rows["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS,
        weight=rows["customers"].to_numpy(float),
    )


def _spend_statistics(metrics: DataFrame) -> tuple[SpendStatistics, int]:
    """Distinct (x, m) of repeat customers, and how many were left out for a mean value that is not positive.

    Above 200,000 repeat customers, values are put into bins of 1 % by their logarithm and stand for it with their mean,
    which moves the parameters by less than 0.02 %.
    """
    repeaters = metrics.where("btyd_frequency > 0 and btyd_monetary_value is not null")
    usable = repeaters.where("btyd_monetary_value > 0")
    excluded, count = repeaters.agg(F.count_if(F.col("btyd_monetary_value") <= 0), F.count(F.lit(1))).collect()[0]
    value = F.col("btyd_monetary_value")
    bin_or_value = F.floor(F.log(value.cast("double")) / _SPEND_BIN_WIDTH) if count > _EXACT_SPEND_ROWS else value
    grouped = usable.groupBy("btyd_frequency", bin_or_value.alias("bin")).agg(
        F.avg(value).cast("double").alias("mean_spend"), F.count(F.lit(1)).alias("customers")
    )
    rows = grouped.orderBy("btyd_frequency", "bin").toPandas()
    statistics = SpendStatistics(
        frequency=rows["btyd_frequency"].to_numpy(float),
        mean_spend=rows["mean_spend"].to_numpy(float),
        weight=rows["customers"].to_numpy(float),
    )
    return statistics, int(excluded)


def model_fits(metrics: DataFrame, fits: Fits, as_of: dt.date) -> DataFrame:
    """The fits as contract `model_fits`. Grain: model and parameter."""
    by_name = {fit.name: fit for fit in (fits.transactions, fits.churn, fits.baseline, fits.spend)}
    rows = [row for fit in by_name.values() for row in _fit_rows(fit, fits, as_of)]
    schema = ", ".join(f"{name} {kind}" for name, kind in MODEL_FITS.schema.items())
    return metrics.sparkSession.createDataFrame(rows, schema)


def _fit_rows(fit: Fitted[Any], fits: Fits, as_of: dt.date) -> list[tuple[object, ...]]:
    return [
        (
            fit.name,
            POOLED_SEGMENT,
            parameter,
            estimate,
            error,
            _finite(fit.log_likelihood),
            fit.customer_count,
            fit.distinct_statistics_count,
            fits.excluded_spenders if fit.name == GammaGamma.name else 0,
            fits.sampled_share,
            fit.converged,
            _finite(fit.gradient_norm),
            fit.status,
            TIME_UNIT_DAYS,
            as_of,
        )
        for parameter, (estimate, error) in fit.estimates().items()
    ]


def _finite(value: float) -> float | None:
    return float(value) if abs(value) < float("inf") else None


def customer_predictions(metrics: DataFrame, fits: Fits, settings: Predictions, as_of: dt.date) -> DataFrame:
    """Contract `customer_predictions` from `customer_metrics`. Grain: customer and horizon.

    E[orders | x, t_x, T] = P(alive | x, t_x, T) G(x, T): G is evaluated once per distinct (x, T) on the driver and
    joined as a broadcast, the rest are native columns. Every customer is scored, one-time buyers at the population mean
    spend; without a usable model the figures are NULL and `prediction_status` says why.
    """
    horizons = F.explode(F.array(*(F.lit(days) for days in settings.horizons_days)))
    base = metrics.withColumn("horizon_days", horizons)
    model = fits.transactions.model
    if model is None:
        nothing = F.lit(None).cast("double")
        scored = base.withColumns(
            dict.fromkeys(("probability_alive", "orders_if_alive", "discounted_if_alive"), nothing)
        )
    else:
        table = survivor_table(metrics, model, settings)
        scored = base.join(F.broadcast(table), ["btyd_frequency", "btyd_age_days", "horizon_days"], "left")
        scored = scored.withColumn("probability_alive", _alive(model))
    return scored.withColumns(_figures(fits)).withColumns(_value(fits, as_of)).select(*CUSTOMER_PREDICTIONS.columns)


def survivor_table(metrics: DataFrame, model: BgNbd | MbgNbd, settings: Predictions) -> DataFrame:
    """Expected and discounted orders of a customer who is alive. Grain: (x, T) and horizon; times in days."""
    pairs = (
        metrics.select("btyd_frequency", "btyd_age_days")
        .distinct()
        .orderBy("btyd_frequency", "btyd_age_days")
        .toPandas()
    )
    x = pairs["btyd_frequency"].to_numpy(float)
    age = pairs["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS
    rate = settings.annual_discount_rate
    tables = [
        pairs.assign(
            horizon_days=days,
            orders_if_alive=model.expected_purchases_if_alive(days / TIME_UNIT_DAYS, x, age),
            discounted_if_alive=discounted_purchases_if_alive(
                model, x, age, horizon_days=days, annual_discount_rate=rate, time_unit_days=TIME_UNIT_DAYS
            ),
        )
        for days in settings.horizons_days
    ]
    import pandas as pd

    schema = (
        "btyd_frequency int, btyd_age_days int, horizon_days int, orders_if_alive double, discounted_if_alive double"
    )
    return metrics.sparkSession.createDataFrame(pd.concat(tables), schema)


def _alive(model: BgNbd | MbgNbd) -> Column:
    weeks = (f"(cast({name} as double) / {TIME_UNIT_DAYS}D)" for name in ("btyd_recency_days", "btyd_age_days"))
    return F.expr(model.probability_alive_sql("cast(btyd_frequency as double)", *weeks))


def _figures(fits: Fits) -> dict[str, Column]:
    nothing = F.lit(None).cast("double")
    alive = F.col("probability_alive")
    return {
        "model_id": F.lit(fits.model_id),
        "churn_probability": 1 - _alive(fits.churn.model) if fits.churn.model else nothing,
        "expected_orders": alive * F.col("orders_if_alive"),
        "discounted_orders": alive * F.col("discounted_if_alive"),
        "expected_order_value": _expected_order_value(fits.spend.model) if fits.spend.model else nothing,
    }


def _expected_order_value(spend: GammaGamma) -> Column:
    """Fader and Hardie 2013, note 025: p (v + x m) / (p x + q - 1); a mean that is not positive counts as 0."""
    x = F.col("btyd_frequency").cast("double")
    mean = F.greatest(F.col("btyd_monetary_value").cast("double"), F.lit(0.0))
    known = spend.p * (spend.v + x * mean) / (spend.p * x + spend.q - 1)
    return F.when(x == 0, F.lit(spend.population_mean)).when(F.col("btyd_monetary_value").isNotNull(), known)


def _value(fits: Fits, as_of: dt.date) -> dict[str, Column]:
    predicted = F.when(
        F.col("historic_clv_amount").isNotNull(), F.col("discounted_orders") * F.col("expected_order_value")
    )
    amount = predicted.cast(MONEY_SUM)
    if fits.transactions.model is None:
        is_small = fits.transactions.status == "too_few_customers"
        status = F.lit("too_few_customers" if is_small else "model_not_converged")
    elif fits.spend.model is None:
        status = F.lit("spend_model_unusable")
    else:
        status = F.when(F.col("historic_clv_amount").isNull(), "margin_unknown").otherwise("ok")
    return {
        "predicted_clv_amount": amount,
        "total_clv_amount": (F.col("historic_clv_amount") + amount).cast(MONEY_SUM),
        "prediction_status": status,
        "as_of_date": F.lit(as_of),
    }
