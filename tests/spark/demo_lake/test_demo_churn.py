"""Published gaps, survival and churn of the demo data against the parameters of that data, and against each other."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import rankdata

from clv_lib.lake import register_views

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Row, SparkSession


@pytest.fixture
def views(spark: SparkSession, published: Any) -> SparkSession:
    """The session with a view of every published table."""
    register_views(published.demo.lake, published.outcome.publication)
    return spark


def true_gap_days(published: Any, share: float) -> float:
    """Days within which a share of the customers orders again: a gamma mixture of exponentials (BG/NBD), by type."""

    def waiting(days: float) -> float:
        types = published.parameters.types
        return sum(float(kind.share * (kind.alpha_days / (kind.alpha_days + days)) ** kind.r) for kind in types)

    return float(brentq(lambda days: waiting(days) - (1 - share), 0, 10_000))


def test_the_first_gap_is_that_of_the_parameters_and_closed_gaps_are_too_short(
    published: Any, views: SparkSession
) -> None:
    rows = views.table("order_gaps").where("segment_id = 'all:all' and gap_kind = 'first'").collect()
    by_quantile: dict[float, Row] = {row.quantile: row for row in rows}
    for quantile in (0.5, 0.8):
        row = by_quantile[quantile]
        assert row.gap_status == "ok"
        assert row.gap_days_lower <= true_gap_days(published, quantile) <= row.gap_days_upper
        assert row.closed_gap_days < row.gap_days
    assert by_quantile[0.8].closed_gap_days < true_gap_days(published, 0.8)


def test_the_three_definitions_and_survival_agree_with_the_customers(views: SparkSession) -> None:
    row = views.table("segment_churn").where("segment_id = 'all:all'").collect()[0]
    known = views.sql(
        "SELECT count(1) AS customers, count_if(is_churned) AS churned,"
        " count_if(is_churned or reactivated_date is not null) AS ever_churned,"
        " avg(churn_probability) AS probability, count_if(reactivated_date is not null) AS returned"
        " FROM customer_metrics JOIN customer_predictions USING (customer_id) WHERE horizon_days = 365"
    ).collect()[0]
    assert row.fixed_rule_churned_customer_count == known.churned > 0
    assert row.ever_churned_customer_count == known.ever_churned > known.churned
    assert float(row.model_churn_probability_avg) == pytest.approx(known.probability, abs=1e-7)
    assert 0 < row.survival_24_months < row.survival_12_months < 1
    assert row.early_monthly_hazard > row.late_monthly_hazard  # the risk falls with age
    states = {r.segment_name for r in views.table("segments").where("segment_type = 'lifecycle'").collect()}
    assert {"active", "lapsed", "reactivated"} <= states <= {"active", "at_risk", "lapsed", "new", "reactivated"}


def test_reasons_of_churn_are_known_by_type(views: SparkSession) -> None:
    rows = views.table("churn_reasons").collect()
    assert {"voluntary", "involuntary"} <= {row.churn_type for row in rows}
    by_month: dict[Any, Any] = {}
    for row in rows:
        by_month[row.period_month] = by_month.get(row.period_month, 0) + row.amount_share
    assert all(float(total) == pytest.approx(1, abs=1e-6) for total in by_month.values())


def customers_and_truth(published: Any, views: SparkSession) -> pd.DataFrame:
    """What is published of each customer, beside what is true of them."""
    told = views.sql(
        "SELECT customer_id, is_churned, churn_due_date, btyd_frequency, churn_probability, probability_alive_lower,"
        " probability_alive_upper FROM customer_metrics JOIN customer_predictions USING (customer_id)"
        " WHERE horizon_days = 365"
    ).toPandas()
    both = told.merge(published.truth.customers, on="customer_id", validate="one_to_one")
    assert len(both) == len(published.truth.customers) == published.parameters.customers
    return both


def chance_to_rank_higher(values: Any, is_one: Any) -> float:
    """The chance that one of these has the higher value than one of the others; ties count half (AUC)."""
    ones = int(np.sum(is_one))
    others = len(is_one) - ones
    return float((rankdata(values)[is_one].sum() - ones * (ones + 1) / 2) / (ones * others))


def test_the_model_expects_as_many_alive_as_there_are_and_knows_who(published: Any, views: SparkSession) -> None:
    """Of all customers, and of those who came back: in the generator nobody leaves after the first order alone.

    Their number may differ by 3 standard errors: of chance, given the probabilities, and of the parameters, which move
    all customers together. Without any knowledge the rank is 0.5 with a standard error of 0.04.
    """
    known = customers_and_truth(published, views)
    for some in (known, known[known["btyd_frequency"] > 0]):
        alive, is_alive = 1 - some["churn_probability"].to_numpy(float), some["is_alive"].to_numpy(bool)
        width = (some["probability_alive_upper"] - some["probability_alive_lower"]).sum() / 2
        error = np.sqrt(np.sum(alive * (1 - alive)) + (width / 1.96) ** 2)
        assert error < 0.05 * len(some)
        assert abs(np.sum(alive) - np.sum(is_alive)) < 3 * error
        assert chance_to_rank_higher(alive, is_alive) > 0.75
        always_the_share = np.mean((np.mean(is_alive) - is_alive) ** 2)
        assert np.mean((alive - is_alive) ** 2) < 0.8 * always_the_share


def test_the_fixed_rule_finds_who_left_late_and_some_who_did_not(published: Any, views: SparkSession) -> None:
    """Who left is lost inactivity_days after the last order, on that very day.

    Who is alive is taken for lost after as many days of silence. Orders of the living come at the rate l (1 - d) per
    operational day, l the rate and d the chance to leave at an order: any other would have ended the life.
    """
    known, as_of = customers_and_truth(published, views), published.demo.as_of
    silence = dt.timedelta(days=published.demo.settings.churn.inactivity_days)
    left = known[~known["is_alive"].astype(bool)]
    assert (left["churn_due_date"] == left["left_date"] + silence).all()
    assert (left["is_churned"] == (left["left_date"] + silence <= as_of)).all()
    assert 0 < left["is_churned"].sum() < len(left)
    living = known[known["is_alive"].astype(bool) & (known["first_order_date"] + silence <= as_of)]
    season = np.array(published.parameters.season) / np.mean(published.parameters.season)
    days = [as_of - dt.timedelta(days=number) for number in range(silence.days)]
    operational = sum(season[day.month - 1] for day in days)
    rate = living["purchase_rate_per_day"].to_numpy(float) * (1 - living["dropout_probability"].to_numpy(float))
    silent = np.exp(-rate * operational)
    error = np.sqrt(np.sum(silent * (1 - silent)))
    assert 20 < np.sum(silent) < len(living) / 2
    assert abs(np.sum(living["is_churned"]) - np.sum(silent)) < 3 * error
