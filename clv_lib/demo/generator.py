"""The demo data: a shop of companies and consumers with known truth, as pandas frames of the input contract.

The same parameters give the same rows; no Spark, no clock and no network are used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clv_lib.demo.acquisitions import (
    ACQUISITION_COLUMNS,
    AcquisitionTruth,
    collect_acquisition_truth,
    make_acquisitions,
)
from clv_lib.demo.attribute_history import draw_region_moves, make_attribute_history
from clv_lib.demo.dirt import add_order_faults, add_refund_faults, add_subscription_faults
from clv_lib.demo.experiments import (
    ASSIGNMENT_COLUMNS,
    added_values,
    collect_experiment_truth,
    draw_assignments,
    experiment_stream,
)
from clv_lib.demo.marketing import make_marketing_spend, make_plans
from clv_lib.demo.money import ORDER_AMOUNTS, REFUND_AMOUNTS, draw_exchange_rates, rate_units_by_day, with_decimals
from clv_lib.demo.orders import ACCEPTED, make_customers, make_orders, make_refunds, seconds_of
from clv_lib.demo.parameters import DemoParameters
from clv_lib.demo.purchases import IntArray, draw_customers, draw_purchases
from clv_lib.demo.subscriptions import PERIOD_COLUMNS, SUBSCRIPTION_AMOUNTS, make_subscriptions, subscription_stream
from clv_lib.demo.truth import DemoTruth, collect_truth

ORDER_COLUMNS = (
    "order_id",
    "customer_id",
    "channel",
    "store_id",
    "order_status",
    "currency_code",
    *ORDER_AMOUNTS,
    "item_count",
    "is_test_order",
    "is_gift_card_order",
    "is_deleted",
    "ordered_at",
    "updated_at",
    "source_system",
    "ingested_at",
)
REFUND_COLUMNS = (
    "refund_id",
    "order_id",
    "customer_id",
    "currency_code",
    *REFUND_AMOUNTS,
    "reason",
    "refunded_at",
    "updated_at",
)
SPEND_COLUMNS = (
    "spend_id",
    "channel",
    "campaign_name",
    "cost_type",
    "spend_purpose",
    "currency_code",
    "spend_amount",
    "is_paid",
    "spend_date",
    "segment_id",
)
SUBSCRIPTION_COLUMNS = (*PERIOD_COLUMNS, "updated_at")


@dataclass(frozen=True)
class DemoData:
    """The input tables and the truth behind them.

    Money and rates are `Decimal` objects (4 and 6 digits after the point), `_at` columns are UTC timestamps, `_date`
    columns are `datetime.date` objects, missing strings are None.
    """

    orders: pd.DataFrame
    refunds: pd.DataFrame
    customers: pd.DataFrame
    customer_attributes_history: pd.DataFrame
    marketing_spend: pd.DataFrame
    customer_acquisitions: pd.DataFrame
    subscriptions: pd.DataFrame
    plans: pd.DataFrame
    experiment_assignments: pd.DataFrame
    exchange_rates: pd.DataFrame
    truth: DemoTruth
    acquisition_truth: AcquisitionTruth

    def tables(self) -> dict[str, pd.DataFrame]:
        """Source name to frame, as the settings name the sources."""
        return {
            "orders": self.orders,
            "refunds": self.refunds,
            "customers": self.customers,
            "customer_attributes_history": self.customer_attributes_history,
            "marketing_spend": self.marketing_spend,
            "customer_acquisitions": self.customer_acquisitions,
            "subscriptions": self.subscriptions,
            "plans": self.plans,
            "experiment_assignments": self.experiment_assignments,
            "exchange_rates": self.exchange_rates,
        }


def generate(parameters: DemoParameters) -> DemoData:
    """Draw the demo world. Deterministic by `parameters.seed`; about 2 seconds for 4,000 customers."""
    rng = np.random.default_rng(parameters.seed)
    rates = draw_exchange_rates(parameters, rng)
    buyers = draw_customers(parameters, rng)
    purchases, is_alive = draw_purchases(parameters, buyers, rng)
    assignments = draw_assignments(parameters, purchases, experiment_stream(parameters))
    treated = purchases.assign(value=purchases["value"] + added_values(parameters, purchases, assignments))
    clean = make_orders(parameters, buyers, treated, rate_units_by_day(parameters, rates), rng)
    order_rows = add_order_faults(parameters, clean, rng)
    accepted = order_rows[order_rows["fault"] == ACCEPTED].reset_index(drop=True)
    refund_rows = add_refund_faults(parameters, make_refunds(parameters, accepted, rng), accepted, rng)
    first_ordered = seconds_of(accepted.groupby("customer")["ordered_at"].min())
    customers = make_customers(parameters, buyers, first_ordered, rng)
    new_customers = np.bincount(buyers["channel"], minlength=len(parameters.channels))
    spend = make_marketing_spend(parameters, new_customers, rng)
    touches = make_acquisitions(parameters, buyers, customers)
    prospects = len(customers) - len(buyers)
    subscription_rows = _draw_subscriptions(parameters, buyers, first_ordered)
    truth = collect_truth(parameters, buyers, is_alive, order_rows, refund_rows, spend, subscription_rows, prospects)
    return DemoData(
        orders=with_decimals(order_rows, ORDER_AMOUNTS)[list(ORDER_COLUMNS)],
        refunds=with_decimals(refund_rows, REFUND_AMOUNTS)[list(REFUND_COLUMNS)],
        customers=customers,
        customer_attributes_history=make_attribute_history(parameters, draw_region_moves(parameters, buyers)),
        marketing_spend=spend[list(SPEND_COLUMNS)],
        customer_acquisitions=touches[list(ACQUISITION_COLUMNS)],
        subscriptions=with_decimals(subscription_rows, SUBSCRIPTION_AMOUNTS)[list(SUBSCRIPTION_COLUMNS)],
        plans=make_plans(parameters),
        experiment_assignments=assignments[list(ASSIGNMENT_COLUMNS)],
        exchange_rates=rates,
        truth=replace(truth, experiments=collect_experiment_truth(parameters, purchases, assignments)),
        acquisition_truth=collect_acquisition_truth(parameters, buyers, customers, spend, touches),
    )


def _draw_subscriptions(parameters: DemoParameters, buyers: pd.DataFrame, first_ordered: IntArray) -> pd.DataFrame:
    rng = subscription_stream(parameters)
    return add_subscription_faults(parameters, make_subscriptions(parameters, buyers, first_ordered, rng), rng)
