"""The demo data agrees with the truth it claims: rows, money, costs, subscriptions and the latent purchase process."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from clv_lib.contracts.inputs import SUBSCRIPTIONS
from clv_lib.demo import DemoData, DemoParameters, DirtRates, SubscriptionRates, generate
from clv_lib.demo.generator import ORDER_COLUMNS, REFUND_COLUMNS, SPEND_COLUMNS, SUBSCRIPTION_COLUMNS
from clv_lib.errors import ConfigurationError

SMALL = DemoParameters(seed=7, customers=600)


@pytest.fixture(scope="module")
def small() -> DemoData:
    return generate(SMALL)


@pytest.fixture(scope="module")
def full() -> DemoData:
    return generate(DemoParameters())


def without_copies(orders: pd.DataFrame) -> pd.DataFrame:
    return orders.drop_duplicates()


def accepted_orders(orders: pd.DataFrame) -> pd.DataFrame:
    """What a job with the default rules accepts, written again from the contract."""
    rows = without_copies(orders)
    rows = rows[rows["order_id"].notna() & (rows["currency_code"] != "XXX")]
    rows = rows[(rows["gross_amount"] >= 0) & (rows["ordered_at"] >= pd.Timestamp("1990-01-01", tz="UTC"))]
    latest = rows[rows["updated_at"] == rows.groupby("order_id")["updated_at"].transform("max")]
    latest = latest[~latest["order_id"].duplicated(keep=False)]
    flags = latest["is_test_order"] | latest["is_gift_card_order"] | latest["is_deleted"]
    status = latest["order_status"].isin(["cancelled", "voided", "failed"])
    return latest[~flags & ~status & latest["customer_id"].notna()]


def test_same_seed_gives_the_same_rows(small: DemoData) -> None:
    again = generate(SMALL)
    for name, frame in small.tables().items():
        pd.testing.assert_frame_equal(frame, again.tables()[name])
    pd.testing.assert_frame_equal(small.truth.customers, again.truth.customers)


def test_another_seed_gives_other_rows(small: DemoData) -> None:
    other = generate(replace(SMALL, seed=8))
    assert not small.orders.equals(other.orders)


def test_columns_follow_the_input_contract(small: DemoData) -> None:
    assert tuple(small.orders.columns) == ORDER_COLUMNS
    assert tuple(small.refunds.columns) == REFUND_COLUMNS
    assert tuple(small.marketing_spend.columns) == SPEND_COLUMNS
    assert tuple(small.subscriptions.columns) == SUBSCRIPTION_COLUMNS
    assert set(SUBSCRIPTION_COLUMNS) - set(SUBSCRIPTIONS.columns) == set()
    assert str(small.orders["ordered_at"].dtype) == "datetime64[ns, UTC]"
    money = small.orders["total_amount"].map(lambda value: value.as_tuple().exponent)
    assert set(money) == {-4}
    missing = small.orders.loc[small.orders["customer_id"].isna(), "customer_id"]
    assert all(value is None for value in missing)


def test_rules_of_the_contract_accept_exactly_the_true_orders(small: DemoData) -> None:
    accepted = accepted_orders(small.orders)
    truth = small.truth
    assert len(accepted) == truth.accepted_orders == truth.order_rows_by_fault["accepted"]
    assert accepted["customer_id"].nunique() == truth.accepted_customers == SMALL.customers
    for currency, rows in accepted.groupby("currency_code"):
        expected = truth.accepted_money[str(currency)]
        assert {name: rows[name].sum() for name in expected} == dict(expected)
    by_customer = accepted.groupby("customer_id").size()
    assert by_customer.to_dict() == dict(
        zip(truth.customers["customer_id"], truth.customers["order_count"], strict=True)
    )


def test_rows_and_money_are_conserved_over_the_faults(small: DemoData) -> None:
    truth = small.truth
    assert sum(truth.order_rows_by_fault.values()) == len(small.orders) == truth.order_money["row_count"].sum()
    assert sum(truth.refund_rows_by_fault.values()) == len(small.refunds)
    for currency, rows in truth.order_money.groupby("currency_code"):
        stored = small.orders.loc[small.orders["currency_code"] == currency, "total_amount"]
        assert rows["total_amount"].sum() == stored.sum()


def test_each_fault_is_visible_as_often_as_the_truth_says(small: DemoData) -> None:
    orders, faults = small.orders, small.truth.order_rows_by_fault
    distinct = without_copies(orders)
    versions = distinct[distinct["order_id"].notna()]
    rivals = versions.duplicated(["order_id", "updated_at"], keep=False)
    found = {
        "anonymous": orders["customer_id"].isna().sum(),
        "test_order": orders["is_test_order"].sum(),
        "cancelled": orders["order_status"].isin(["cancelled", "voided", "failed"]).sum(),
        "gift_card": orders["is_gift_card_order"].sum(),
        "deleted": orders["is_deleted"].sum(),
        "exact_duplicate": len(orders) - len(distinct),
        "superseded_version": versions["order_id"].duplicated().sum() - rivals.sum() // 2,
        "conflicting_version": rivals.sum(),
        "negative_amount": (orders["gross_amount"] < 0).sum(),
        "missing_order_id": orders["order_id"].isna().sum(),
        "unknown_currency": (orders["currency_code"] == "XXX").sum(),
        "implausible_date": (orders["ordered_at"] < pd.Timestamp("1990-01-01", tz="UTC")).sum(),
    }
    assert found == {name: count for name, count in faults.items() if name != "accepted"}


def test_every_kind_of_fault_occurs_even_at_rate_zero() -> None:
    rare = replace(SMALL, customers=100, dirt=DirtRates(*[0.0] * 14))
    truth = generate(rare).truth
    assert min(truth.order_rows_by_fault.values()) >= 1
    assert {"orphan_refund", "refund_exceeds_order"} < set(truth.refund_rows_by_fault)


def test_total_is_the_sum_of_its_parts_in_every_row(small: DemoData) -> None:
    orders = small.orders
    parts = orders["gross_amount"] - orders["discount_amount"] + orders["tax_amount"] + orders["shipping_amount"]
    assert (parts == orders["total_amount"]).all()


def test_refunds_belong_to_accepted_orders_and_stay_below_them(small: DemoData) -> None:
    accepted = accepted_orders(small.orders).set_index("order_id")
    net = accepted["gross_amount"] - accepted["discount_amount"]
    refunds = small.refunds
    known = refunds["order_id"].isin(accepted.index)
    assert (~known).sum() == small.truth.refund_rows_by_fault["orphan_refund"]
    assert not refunds.loc[~known, "order_id"].isin(small.orders["order_id"]).any()
    refunded = refunds[known].groupby("order_id")["refund_amount"].sum()
    exceeding = refunded > net.loc[refunded.index]
    assert exceeding.sum() == small.truth.refund_rows_by_fault["refund_exceeds_order"]
    assert (refunds["refund_amount"] > 0).all()
    ordered_at = refunds.loc[known, "order_id"].map(accepted["ordered_at"])
    assert (refunds.loc[known, "refunded_at"] > ordered_at).all()


def test_no_time_lies_outside_the_history_in_either_zone(small: DemoData) -> None:
    end = pd.Timestamp(SMALL.as_of + timedelta(days=1), tz="Europe/London")
    start = pd.Timestamp(SMALL.history_start, tz="Europe/London")
    ordered_at = small.orders.loc[small.orders["ordered_at"].dt.year > 1990, "ordered_at"]
    assert ordered_at.between(start, end, inclusive="left").all()
    assert (ordered_at.dt.date == ordered_at.dt.tz_convert("Europe/London").dt.date).all()
    assert (small.orders["ingested_at"] < end).all()
    assert (small.orders["updated_at"] > small.orders["ordered_at"]).all()
    assert small.refunds["refunded_at"].between(start, end, inclusive="left").all()
    assert small.marketing_spend["spend_date"].between(SMALL.history_start, SMALL.as_of).all()


def test_every_day_has_a_rate_that_is_at_most_a_week_old(small: DemoData) -> None:
    known = set(small.exchange_rates["rate_date"])
    assert all(day.weekday() < 5 for day in known)
    for number in range(SMALL.days):
        day = SMALL.history_start + timedelta(days=number)
        assert any(day - timedelta(days=age) in known for age in range(8))


def test_net_value_in_reporting_currency_uses_the_last_known_rate(small: DemoData) -> None:
    quoted = small.exchange_rates
    rates: dict[date, Decimal] = dict(zip(quoted["rate_date"].tolist(), quoted["rate"].tolist(), strict=True))

    def last_known(day: date) -> Decimal:
        return next(rates[day - timedelta(days=age)] for age in range(8) if day - timedelta(days=age) in rates)

    accepted = accepted_orders(small.orders)
    net = (accepted["gross_amount"] - accepted["discount_amount"]).tolist()
    days = accepted["ordered_at"].dt.date.tolist()
    rows = zip(net, days, accepted["currency_code"].tolist(), strict=True)
    total = sum(amount * (Decimal(1) if currency == "GBP" else last_known(day)) for amount, day, currency in rows)
    assert total == small.truth.accepted_net_amount


def test_true_cac_is_spend_over_new_customers(small: DemoData) -> None:
    spend = small.marketing_spend[small.marketing_spend["spend_purpose"] == "acquisition"]
    customers = small.customers.merge(small.truth.customers[["customer_id"]], on="customer_id")
    new_customers = customers["acquisition_channel"].fillna("unattributed").value_counts()
    for channel in SMALL.channels:
        truth = small.truth.channels[channel.name]
        assert truth.new_customers == new_customers[channel.name]
        own = spend[spend["channel"] == channel.name]
        if channel.cac_amount is None:
            assert own.empty
            assert (truth.cac_amount, truth.spend_amount) == (None, None)
            continue
        assert truth.cac_amount == own["spend_amount"].sum() / truth.new_customers
        assert float(truth.cac_amount) == pytest.approx(channel.cac_amount, abs=0.005)
        paid = own.loc[own["is_paid"], "spend_amount"]
        assert truth.paid_spend_amount == (paid.sum() if len(paid) else None)
    assert small.truth.cac_amount == spend["spend_amount"].sum() / SMALL.customers


def test_credits_of_a_customer_add_up_to_one_unless_doubtful(full: DemoData) -> None:
    rows, truth = full.customer_acquisitions, full.acquisition_truth
    sums = rows.groupby(["customer_id", "attribution_model"])["credit"].sum()
    doubtful = sums[(sums - 1).abs() > Decimal("0.000001")]
    linear = rows[
        (rows["attribution_model"] == "linear") & rows["customer_id"].isin(doubtful.reset_index()["customer_id"])
    ]
    assert len(linear) == truth.quarantined_rows > 0
    assert {float(sum(places.values())) for places in truth.credits.values()} == {float(DemoParameters().customers)}
    known = full.truth.customers["acquisition_channel"] != "unattributed"
    first = rows[rows["attribution_model"] == "first_touch"].set_index("customer_id")["channel"]
    expected = full.truth.customers[known].set_index("customer_id")["acquisition_channel"]
    assert first.to_dict() == expected.to_dict()


def test_true_spend_of_campaigns_adds_up_to_that_of_their_channel(small: DemoData) -> None:
    spend, declared = small.acquisition_truth.spend, small.acquisition_truth.declared
    for name, channel in small.truth.channels.items():
        assert sum(amount for (own, _), amount in spend.items() if own == name) == (channel.spend_amount or 0)
        assert sum(count for (own, _), count in declared.items() if own == name) == channel.new_customers


def test_paused_months_spend_zero_and_missing_months_have_no_rows(small: DemoData) -> None:
    spend = small.marketing_spend[small.marketing_spend["spend_purpose"] == "acquisition"]
    month = spend["spend_date"].map(lambda day: f"{day:%Y-%m}")
    monthly = spend.groupby(["channel", month])["spend_amount"].sum()
    assert (spend["spend_amount"] >= 0).all()
    for channel in SMALL.channels:
        for paused in channel.paused_months:
            assert monthly[channel.name, paused] == 0
        for missing in channel.missing_months:
            assert (channel.name, missing) not in monthly.index


def test_first_order_comes_through_the_channel_of_the_customer(small: DemoData) -> None:
    accepted = accepted_orders(small.orders).sort_values(["ordered_at", "order_id"])
    first = accepted.drop_duplicates("customer_id").merge(small.customers, on="customer_id")
    assert first["channel"].fillna("-").equals(first["acquisition_channel"].fillna("-"))
    assert (first["created_at"] < first["ordered_at"]).all()


def test_companies_have_an_industry_and_consumers_none(small: DemoData) -> None:
    is_company = small.customers["customer_type"] == "b2b"
    assert small.customers["industry"].notna().equals(is_company)
    assert len(small.customers) == SMALL.customers + small.truth.prospects
    assert small.customers["customer_id"].is_unique


def test_full_demo_has_the_size_and_shape_it_promises(full: DemoData) -> None:
    assert 12_000 < len(full.orders) < 16_000
    assert full.truth.accepted_refunds / full.truth.accepted_orders == pytest.approx(0.04, abs=0.01)
    by_type = full.truth.customers.groupby("customer_type")
    order_count = by_type["order_count"].mean()
    mean_spend = by_type["mean_spend"].mean()
    assert order_count["b2b"] > 2 * order_count["b2c"]
    assert mean_spend["b2b"] > 4 * mean_spend["b2c"]
    days = accepted_orders(full.orders).assign(day=lambda rows: rows["ordered_at"].dt.date)
    assert days.duplicated(["customer_id", "day"]).sum() > 150
    assert sum(full.truth.alive_customers.values()) == full.truth.customers["is_alive"].sum()
    assert full.truth.customers["left_date"].isna().equals(full.truth.customers["is_alive"])


def test_latent_rates_have_the_means_of_their_distributions(full: DemoData) -> None:
    for name, kind in full.truth.types.items():
        own = full.truth.customers[full.truth.customers["customer_type"] == name]
        assert own["dropout_probability"].mean() == pytest.approx(kind.mean_dropout, rel=0.15)
        assert own["purchase_rate_per_day"].mean() == pytest.approx(kind.r / kind.alpha_days, rel=0.1)
        assert own["mean_spend"].mean() == pytest.approx(kind.mean_spend, rel=0.1)


def test_one_in_each_mean_dropout_leaves_after_a_repeat_purchase(full: DemoData) -> None:
    customers = full.truth.customers
    repeats = customers["purchase_day_count"] - 1
    expected = (repeats * customers["dropout_probability"]).sum()
    assert (~customers["is_alive"]).sum() == pytest.approx(expected, rel=0.06)


def test_winter_months_sell_more_than_the_months_around_them(full: DemoData) -> None:
    month = accepted_orders(full.orders)["ordered_at"].dt.strftime("%Y-%m").value_counts()
    for year in (2023, 2024):
        winter = np.mean([month[f"{year}-11"], month[f"{year}-12"]])
        around = np.mean([month[f"{year}-10"], month[f"{year + 1}-01"]])
        assert winter > 1.08 * around


def sound_periods(data: DemoData) -> pd.DataFrame:
    """The periods that a job with the default rules accepts, written again from the contract."""
    rows = data.subscriptions
    ends = rows["ended_date"].fillna(date.max)
    return rows[rows["billing_interval"].isin(["month", "year"]) & (ends >= rows["started_date"])]


def mrr_from_changes(periods: pd.DataFrame, months: list[date]) -> dict[date, Decimal]:
    """MRR at each month's end as the sum of all starts and ends up to it: what begins and ends within one cancels."""
    changed = dict.fromkeys(months, Decimal(0))
    for row in periods[periods["status"].isin(["active", "past_due"])].itertuples():
        charge = row.recurring_amount - row.discount_amount
        mrr = round(charge / (12 if row.billing_interval == "year" else 1), 4)
        changed[row.started_date.replace(day=1)] += mrr
        if row.ended_date is not None:
            changed[row.ended_date.replace(day=1)] -= mrr
    return dict(zip(months, np.cumsum([changed[month] for month in months]), strict=True))


def test_subscriptions_change_no_other_table(small: DemoData) -> None:
    other = generate(replace(SMALL, subscriptions=SubscriptionRates(subscriber_share=0.9)))
    assert len(other.subscriptions) > 2 * len(small.subscriptions)
    for name, frame in small.tables().items():
        if name != "subscriptions":
            pd.testing.assert_frame_equal(frame, other.tables()[name])


def test_periods_of_a_subscription_follow_the_first_order_without_overlap(full: DemoData) -> None:
    periods = sound_periods(full).sort_values(["customer_id", "started_date"])
    first_ordered = full.truth.customers.set_index("customer_id")["first_order_date"]
    assert (periods["started_date"] > periods["customer_id"].map(first_ordered)).all()
    ends = periods["ended_date"].fillna(date.max)
    assert (periods["started_date"] < ends).all()
    following = periods.groupby("customer_id")["started_date"].shift(-1).fillna(date.max)
    assert (ends <= following).all()
    assert periods["ended_date"].dropna().max() <= DemoParameters().as_of
    is_same = periods["subscription_id"] == periods.groupby("customer_id")["subscription_id"].shift(-1)
    assert (ends[is_same] == following[is_same]).all()
    assert (full.subscriptions["updated_at"] < pd.Timestamp(DemoParameters().as_of + timedelta(days=1), tz="UTC")).all()


def test_region_moves_change_no_other_table_and_end_in_the_region_of_today(small: DemoData) -> None:
    other = generate(replace(SMALL, moved_share=0.5))
    for name, frame in small.tables().items():
        if name != "customer_attributes_history":
            pd.testing.assert_frame_equal(frame, other.tables()[name])
    moves, history = other.truth.region_moves, other.customer_attributes_history
    assert 150 < len(moves) < 300 and len(history) == 2 * len(moves)
    assert (moves["from_region"] != moves["to_region"]).all()
    current = history[history["valid_to_date"].isna()].set_index("customer_id")["attribute_value"]
    today = other.customers.set_index("customer_id").loc[current.index]
    assert (today["region"] == current).all() and (today["country_code"] == "GB").all()


def test_faults_of_subscriptions_are_as_many_as_the_truth_says(small: DemoData) -> None:
    rows, faults = small.subscriptions, small.truth.recurring.rows_by_fault
    sound = sound_periods(small)
    assert len(sound) == faults["accepted"] and sum(faults.values()) == len(rows)
    assert (rows["billing_interval"] == "fortnight").sum() == faults["unknown_interval"] == 1
    known = rows["billing_interval"] != "fortnight"
    assert known.sum() - len(sound) == faults["ended_before_started"] == 1
    assert not set(rows["subscription_id"][~rows.index.isin(sound.index)]) & set(sound["subscription_id"])
    assert rows["subscription_period_id"].is_unique


def test_true_mrr_of_each_month_is_what_started_and_ended_up_to_it(full: DemoData) -> None:
    months = full.truth.recurring.months
    expected = mrr_from_changes(sound_periods(full), months["period_month"].tolist())
    assert dict(zip(months["period_month"], months["mrr_end"], strict=True)) == expected
    assert (months["mrr_start"][1:].to_numpy() == months["mrr_end"][:-1].to_numpy()).all()
    gained = months["new_amount"] + months["reactivation_amount"] + months["expansion_amount"]
    lost = months["contraction_amount"] + months["churn_amount"]
    assert (months["mrr_start"] + gained - lost == months["mrr_end"]).all()
    come = months["new_customer_count"] + months["reactivated_customer_count"]
    counted = months["customer_count_start"] + come - months["churned_customer_count"]
    assert (counted == months["customer_count_end"]).all()


def test_movements_of_a_customer_follow_each_other(full: DemoData) -> None:
    lives = full.truth.recurring.movements.groupby("customer_id")
    for _, life in lives:
        kinds = life["movement_type"].tolist()
        assert kinds[0] == "new" and "new" not in kinds[1:]
        came_back = [before == "churn" for before in kinds[:-1]]
        assert came_back == [kind == "reactivation" for kind in kinds[1:]]
        assert (life["mrr_end"].to_numpy()[:-1] == life["mrr_start"].to_numpy()[1:]).all()


def test_subscriptions_of_the_full_demo_hold_every_kind_of_life(full: DemoData) -> None:
    periods, recurring = sound_periods(full), full.truth.recurring
    assert periods["customer_id"].nunique() == pytest.approx(100, abs=12)
    types = full.customers.set_index("customer_id")["customer_type"]
    assert set(periods["customer_id"].map(types)) == {"b2b"}
    assert set(periods["status"]) == {"active", "past_due", "paused", "trialing"}
    assert set(periods["plan_id"]) == {"basic", "standard", "premium"}
    kinds = recurring.movements["movement_type"].value_counts()
    assert set(kinds.index) == {"new", "reactivation", "expansion", "contraction", "churn"} and kinds.min() >= 10
    types = recurring.movements["churn_type"].value_counts()
    assert set(types.index) == {"voluntary", "involuntary", "unknown"} and types.min() >= 5
    assert "paused" in set(recurring.movements["churn_reason"])
    assert (periods["subscription_id"].str.endswith("-2")).any()
    assert periods["ended_date"].isna().sum() > 40


@pytest.mark.parametrize(("voluntary", "involuntary"), [(0.02, 0.01), (0.03, 0.09)])
def test_realised_churn_of_all_months_has_the_rates_of_the_parameters(voluntary: float, involuntary: float) -> None:
    rates = SubscriptionRates(
        subscriber_share=0.9,
        voluntary_churn_rate=voluntary,
        involuntary_churn_rate=involuntary,
        churn_concentration=None,
    )
    truth = generate(replace(SMALL, customers=2000, subscriptions=rates)).truth.recurring
    at_risk = int(truth.months["customer_count_start"].sum())
    assert truth.monthly_churn_rate == pytest.approx(voluntary + involuntary)
    for kind, rate in (("voluntary", voluntary), ("involuntary", involuntary)):
        lost = int(truth.months[f"{kind}_churned_customer_count"].sum())
        interval = binomtest(lost, at_risk).proportion_ci(0.95, method="wilson")
        assert interval.low <= rate <= interval.high


def test_churn_of_subscribers_who_differ_falls_with_age_and_is_that_of_those_at_risk() -> None:
    rates = SubscriptionRates(subscriber_share=0.9, churn_concentration=4.0)
    truth = generate(replace(SMALL, customers=2000, subscriptions=rates)).truth.recurring
    cancelled = (
        truth.months[["voluntary_churned_customer_count", "involuntary_churned_customer_count"]].to_numpy().sum()
    )
    at_risk = int(truth.months["customer_count_start"].sum())
    interval = binomtest(int(cancelled), at_risk).proportion_ci(0.95, method="wilson")
    assert interval.low <= truth.monthly_churn_rate <= interval.high
    assert truth.monthly_churn_rate < 0.6 * rates.monthly_churn_rate


def test_the_smallest_demo_has_subscribers_and_few_faults() -> None:
    smallest = generate(replace(SMALL, customers=100))
    assert sound_periods(smallest)["customer_id"].nunique() == 30
    faults = dict(smallest.truth.recurring.rows_by_fault)
    accepted = faults.pop("accepted")
    assert sum(faults.values()) < 0.05 * accepted


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"customers": 10}, "customers"),
        ({"history_start": date(2025, 6, 1)}, "history_start"),
        ({"season": (1.0,) * 11}, "season"),
        ({"season": (0.0, *(1.0,) * 11)}, "season"),
    ],
)
def test_impossible_worlds_are_refused(changes: dict[str, object], place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DemoParameters(**changes)  # type: ignore[arg-type]
    assert place in caught.value.where
