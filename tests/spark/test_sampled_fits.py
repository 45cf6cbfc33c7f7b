"""More distinct histories than the driver holds: a sample of customers that depends on nothing but their ids."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.sql import functions as F

from clv_lib.contracts.predictions import MODEL_FITS
from clv_lib.models import BgNbd, TransactionStatistics
from clv_lib.scoring import Choice, OfGroups, fit_models, model_fits
from clv_lib.scoring.statistics import distinct_histories, sampled, share_to_fit
from clv_lib.settings import Predictions
from tests.models.simulation import simulate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CUSTOMERS, LIMIT = 6_000, 800
SCHEMA = (
    "customer_id string, btyd_frequency int, btyd_recency_days int, btyd_age_days int,"
    " btyd_monetary_value decimal(28,8)"
)


@pytest.fixture(scope="module")
def customers(spark_session: SparkSession) -> Iterator[DataFrame]:
    """Customers who came in the same few weeks, so many share their history."""
    age = 7 * np.random.default_rng(1).integers(20, 28, CUSTOMERS)
    drawn = simulate((0.8, 8.0, 0.9, 2.5), age / 7, 2)
    recency = np.minimum(np.ceil(7 * drawn.recency), age).astype(int)
    x = np.minimum(drawn.frequency, recency).astype(int)
    rows = [
        (f"customer {n}", int(x[n]), int(recency[n]), int(age[n]), Decimal(10 + n % 7) if x[n] else None)
        for n in range(CUSTOMERS)
    ]
    yield spark_session.createDataFrame(rows, SCHEMA).persist()
    spark_session.catalog.clearCache()


def ids(frame: DataFrame) -> set[str]:
    return {row.customer_id for row in frame.select("customer_id").collect()}


def test_the_largest_sample_is_taken_whose_histories_are_within_the_limit(customers: DataFrame) -> None:
    distinct = distinct_histories(customers).count()
    assert distinct > 1.5 * LIMIT
    share = share_to_fit(customers, LIMIT)
    found = distinct_histories(sampled(customers, share)).count()
    assert 0.98 * LIMIT <= found <= LIMIT
    assert share < LIMIT / distinct, "many customers share a history, so less than in proportion"
    assert distinct_histories(sampled(customers, share * 1.05)).count() > LIMIT
    assert share_to_fit(customers, distinct) == share_to_fit(customers, CUSTOMERS) == 1.0
    assert sampled(customers, 1.0) is customers


def test_who_is_in_the_sample_depends_on_nothing_else(customers: DataFrame) -> None:
    share = share_to_fit(customers, LIMIT)
    chosen = ids(sampled(customers, share))
    assert share == share_to_fit(customers.repartition(5, "btyd_age_days"), LIMIT)
    assert ids(sampled(customers.orderBy(F.desc("customer_id")).repartition(3), share)) == chosen
    half = customers.where("btyd_age_days < 168")
    assert ids(sampled(half, share)) == chosen & ids(half)
    assert len(chosen) == pytest.approx(share * CUSTOMERS, abs=4 * np.sqrt(share * (1 - share) * CUSTOMERS))


def test_the_sample_is_fitted_and_its_size_and_errors_are_published(customers: DataFrame) -> None:
    whole = fit_models(customers, Predictions(model="bg_nbd", minimum_customers=100))
    few = fit_models(customers, Predictions(model="bg_nbd", minimum_customers=100, max_fit_rows=LIMIT))
    share = few.sampled_share
    assert whole.sampled_share == 1.0 and share == share_to_fit(customers, LIMIT)
    fit, every = few.candidates["bg_nbd"], whole.candidates["bg_nbd"]
    rows = sampled(customers, share).collect()
    x, recency, age = np.array([(r.btyd_frequency, r.btyd_recency_days / 7, r.btyd_age_days / 7) for r in rows]).T
    own = BgNbd.fit(TransactionStatistics.unweighted(x, recency, age))
    np.testing.assert_allclose(fit.parameters, own.parameters, rtol=1e-7)
    assert (fit.customer_count, every.customer_count) == (len(rows), CUSTOMERS)
    assert few.spend.fit.customer_count == np.sum(x > 0)
    # In logarithms, since the estimates differ, too.
    errors = [np.sqrt(np.diag(one.log_covariance)) for one in (fit, every)]
    np.testing.assert_allclose(errors[0] / errors[1], share**-0.5, rtol=0.5)
    assert (errors[0] > errors[1]).all()
    published = [
        dict(zip(MODEL_FITS.columns, row, strict=True))
        for row in model_fits(few, Choice("bg_nbd", {}), dt.date(2025, 6, 30), OfGroups())
    ]
    assert {row["sampled_share"] for row in published} == {share}
    assert {row["customer_count"] for row in published if row["model_id"] == "bg_nbd"} == {len(rows)}
