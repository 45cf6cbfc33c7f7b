"""The demo data as Delta tables, at the places that a configuration names as its sources."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from clv_lib.errors import ConfigurationError
from clv_lib.lake.demo_sources import source_exists, write_frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.demo.parameters import DemoParameters
    from clv_lib.settings.sources import Source, Sources

_LOGGER = logging.getLogger("clv")
_WRITTEN_AT_A_TIME = 3

SCHEMAS: Mapping[str, str] = {
    "orders": (
        "order_id string, customer_id string, channel string, store_id string, order_status string,"
        " currency_code string, gross_amount decimal(18,4), discount_amount decimal(18,4), tax_amount decimal(18,4),"
        " shipping_amount decimal(18,4), total_amount decimal(18,4), cost_amount decimal(18,4),"
        " payment_fee_amount decimal(18,4), item_count int, is_test_order boolean, is_gift_card_order boolean,"
        " is_deleted boolean, ordered_at timestamp, updated_at timestamp, source_system string, ingested_at timestamp"
    ),
    "refunds": (
        "refund_id string, order_id string, customer_id string, currency_code string, refund_amount decimal(18,4),"
        " tax_amount decimal(18,4), cost_recovered_amount decimal(18,4), reason string, refunded_at timestamp,"
        " updated_at timestamp"
    ),
    "customers": (
        "customer_id string, customer_type string, industry string, employee_band string, region string,"
        " country_code string, acquisition_channel string, acquisition_campaign string, created_at timestamp,"
        " updated_at timestamp, is_deleted boolean"
    ),
    "customer_attributes_history": (
        "customer_id string, attribute_name string, attribute_value string, valid_from_date date, valid_to_date date"
    ),
    "marketing_spend": (
        "spend_id string, channel string, campaign_name string, cost_type string, spend_purpose string,"
        " currency_code string, spend_amount decimal(18,4), is_paid boolean, spend_date date, segment_id string"
    ),
    "customer_acquisitions": (
        "customer_id string, attribution_model string, channel string, campaign_name string, credit decimal(9,8)"
    ),
    "subscriptions": (
        "subscription_period_id string, subscription_id string, customer_id string, plan_id string,"
        " billing_interval string, currency_code string, recurring_amount decimal(18,4),"
        " discount_amount decimal(18,4), quantity int, status string, cancellation_type string,"
        " cancellation_reason string, started_date date, ended_date date, updated_at timestamp"
    ),
    "plans": (
        "period_month date, channel string, planned_new_customers decimal(18,4), planned_spend_amount decimal(18,4)"
    ),
    "experiment_assignments": "experiment_id string, variant string, customer_id string, assigned_at timestamp",
    "exchange_rates": ("rate_date date, from_currency_code string, to_currency_code string, rate decimal(18,6)"),
}
"""Columns of each source table as SQL declares them, in the order of the frames."""


def write_sources(spark: SparkSession, sources: Sources, parameters: DemoParameters, *, fresh: bool) -> tuple[str, ...]:
    """Write the sources that do not exist yet, with `fresh` all of them, and return their names.

    The same parameters give the same rows, so a missing table fits the others. ConfigurationError if a source is not
    stored as Delta, or, with `fresh`, if its table was not made by the demo.
    """
    configured = sources.configured()
    _require_delta(configured)
    wanted = [name for name, source in configured.items() if fresh or not source_exists(spark, source)]
    for name in [name for name in configured if name not in wanted]:
        _say(f"kept source {name}: {configured[name].table} exists")
    if not wanted:
        return ()
    _say(f"drawing the demo data: {parameters.customers:,} customers, {parameters.history_start} to {parameters.as_of}")
    from clv_lib.demo.generator import generate

    frames = generate(parameters).tables()

    def write(name: str) -> None:
        write_frame(spark, configured[name], frames[name], SCHEMAS[name])
        _say(f"wrote source {name}: {len(frames[name]):,} rows to {configured[name].table}")

    with ThreadPoolExecutor(max_workers=_WRITTEN_AT_A_TIME) as pool:
        list(pool.map(write, wanted))  # raises what the first failed write raised
    return tuple(wanted)


def _require_delta(configured: Mapping[str, Source]) -> None:
    for name, source in configured.items():
        if source.format != "delta":
            raise ConfigurationError(
                "the demo writes its sources as Delta tables",
                where=f"sources.{name}.format",
                expected="delta",
                found=source.format,
                next_step="use conf/demo.yaml; for data of your own: clv run",
            )


def _say(text: str) -> None:
    _LOGGER.info(text, extra={"step": "demo"})
