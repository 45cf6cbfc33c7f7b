"""Experiments of the demo: who was assigned, and that the treated bought for more by exactly the true uplift."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from clv_lib.contracts.experiments import EXPERIMENT_ASSIGNMENTS
from clv_lib.demo import DemoData, DemoParameters, Experiment, generate

COUPON = Experiment("coupon", "half_price", date(2024, 8, 12), 0.5)
SMALL = DemoParameters(seed=7, customers=600, experiments=(COUPON,))


@pytest.fixture(scope="module")
def small() -> DemoData:
    return generate(SMALL)


@pytest.fixture(scope="module")
def untreated() -> DemoData:
    return generate(replace(SMALL, experiments=()))


def test_experiments_change_the_values_of_treated_orders_and_nothing_else(small: DemoData, untreated: DemoData) -> None:
    assert untreated.experiment_assignments.empty and not untreated.truth.experiments
    for name, frame in small.tables().items():
        if name not in ("orders", "refunds", "experiment_assignments"):
            pd.testing.assert_frame_equal(frame, untreated.tables()[name])
    before, after = untreated.orders, small.orders
    is_changed = (before["gross_amount"] != after["gross_amount"]).to_numpy()
    rows = after[is_changed]
    variants = small.experiment_assignments.groupby("customer_id")["variant"].agg(set)
    known = rows[rows["customer_id"].notna()]
    assert len(known) > 80 and known["customer_id"].map(variants).map({"half_price"}.__eq__).all()
    assert set(rows["ordered_at"].dt.strftime("%Y-%m")) == {"2024-09", "2024-10", "2024-11"}
    uplift = rows["gross_amount"].astype(float) / before.loc[is_changed, "gross_amount"].astype(float) - 1
    # versions that contradict an order, or came before it, differ by a fixed amount
    assert uplift.median() == pytest.approx(0.5, abs=1e-3)
    pd.testing.assert_frame_equal(before.drop(columns=AMOUNTS), after.drop(columns=AMOUNTS))


AMOUNTS = [
    "gross_amount",
    "discount_amount",
    "tax_amount",
    "shipping_amount",
    "total_amount",
    "cost_amount",
    "payment_fee_amount",
]


def test_half_of_the_customers_of_the_day_are_treated(small: DemoData) -> None:
    rows, truth = small.experiment_assignments, small.truth.experiments["coupon"]
    assert tuple(rows.columns) == EXPERIMENT_ASSIGNMENTS.columns
    first = small.truth.customers.set_index("customer_id")["first_order_date"]
    assert set(rows["customer_id"]) == set(first[first < COUPON.assigned_date].index)
    variants = rows.groupby("customer_id")["variant"].agg(["nunique", "size", "first"])
    alone = variants[variants["nunique"] == 1]
    assert alone["first"].value_counts().to_dict() == dict(truth.customers)
    assert abs(truth.customers["control"] - truth.customers["half_price"]) <= 3
    assert (variants["nunique"] > 1).sum() == truth.conflicting_customers == round(0.01 * len(variants))
    assert (alone["size"] - 1).sum() == truth.repeated_rows == round(0.01 * len(variants))
    assert set(rows["assigned_at"].dt.date) == {COUPON.assigned_date, date(2024, 8, 15)}


def test_the_true_effect_is_what_was_added_per_treated_customer(small: DemoData, untreated: DemoData) -> None:
    truth = small.truth.experiments["coupon"]
    added = float(small.truth.accepted_net_amount - untreated.truth.accepted_net_amount)
    assert added / truth.customers["half_price"] == pytest.approx(truth.effect_amount, rel=0.002)
    assert truth.uplift == 0.5


def test_experiments_outside_of_the_history_are_left_out() -> None:
    later = replace(COUPON, assigned_date=date(2025, 7, 1))
    assert generate(replace(SMALL, customers=100, experiments=(later,))).experiment_assignments.empty


def test_a_random_half_is_like_the_other_before_the_experiment() -> None:
    data = generate(DemoParameters(customers=4000))
    rows = data.experiment_assignments
    variants = rows[rows["experiment_id"] == "retention_coupon"].drop_duplicates("customer_id")
    spend = data.truth.customers.set_index("customer_id")["mean_spend"].reindex(variants["customer_id"]).to_numpy()
    treated = (variants["variant"] == "coupon").to_numpy()
    error = np.sqrt(spend[treated].var() / treated.sum() + spend[~treated].var() / (~treated).sum())
    assert abs(spend[treated].mean() - spend[~treated].mean()) < 3 * error
