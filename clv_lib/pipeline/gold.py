"""Steps customers, segments and economics: silver becomes the tables that are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib import __version__
from clv_lib.contracts import GOLD_TABLES
from clv_lib.contracts.acquisition_costs import ACQUISITION_COSTS
from clv_lib.contracts.catalogue import METRIC_DEFINITIONS
from clv_lib.contracts.cohorts import COHORT_METRICS
from clv_lib.contracts.concentration import SEGMENT_CONCENTRATION
from clv_lib.contracts.customers import CUSTOMER_METRICS, CUSTOMER_RFM, RFM_SEGMENT_RULES, RFM_THRESHOLDS
from clv_lib.contracts.economics import UNIT_ECONOMICS
from clv_lib.contracts.predictions import CUSTOMER_PREDICTIONS
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS, SEGMENT_METRICS, SEGMENTS
from clv_lib.contracts.silver import CUSTOMER_MONTHS
from clv_lib.customers.rfm import cut_values, rfm_thresholds
from clv_lib.metrics.acquisition_costs import credited_costs
from clv_lib.metrics.activity import activity_sums, packed_members, packed_types
from clv_lib.metrics.catalogue import metric_definitions
from clv_lib.metrics.cohort_metrics import cohort_metrics
from clv_lib.metrics.member_values import member_values
from clv_lib.metrics.segment_concentration import segment_concentration
from clv_lib.metrics.segment_metrics import segment_metrics
from clv_lib.orders.spend import monthly_spend
from clv_lib.pipeline.acquisitions import SOURCE as CREDITS_SOURCE
from clv_lib.pipeline.acquisitions import (
    attribution,
    costs,
    placed_customers,
    stored_credits,
    values_against_costs,
    write_budgets,
)
from clv_lib.pipeline.attributes import attribute_columns, attributes
from clv_lib.pipeline.churn import write_churn
from clv_lib.pipeline.forecasting import write_forecasts
from clv_lib.pipeline.intake import spend_rows
from clv_lib.pipeline.rates import exchange_rates
from clv_lib.pipeline.states import customers_as_of, scored_rfm
from clv_lib.pipeline.strangers import note_strangers
from clv_lib.pipeline.workspace import at_once
from clv_lib.segments.definitions import absent_segment_types, present_segment_types
from clv_lib.segments.membership import customer_segments, types_without_values
from clv_lib.segments.membership import segments as listed_segments
from clv_lib.segments.rfm_rules import RULE_SETS, named_codes
from clv_lib.settings.segments import CohortSegments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def customers(work: Workspace) -> Workspace:
    """Write customer_metrics, rfm_thresholds, rfm_segment_rules and customer_rfm."""
    work.write(CUSTOMER_METRICS, customers_as_of(work, work.as_of))
    stored = work.read(CUSTOMER_METRICS)
    work.write_all(
        (RFM_THRESHOLDS, rfm_thresholds(cut_values(stored), work.as_of)), (RFM_SEGMENT_RULES, _rfm_rules(work))
    )
    work.write(CUSTOMER_RFM, scored_rfm(work, stored, work.read(RFM_THRESHOLDS)))
    return work


def _rfm_rules(work: Workspace) -> DataFrame:
    rows = [
        (rule_set, f"{r}{f}{m}", r, f, m, name) for rule_set in RULE_SETS for r, f, m, name in named_codes(rule_set)
    ]
    return work.frame(RFM_SEGMENT_RULES, rows)


def segments(work: Workspace) -> Workspace:
    """Write customer_segments and segments; a type whose attribute is not there is left out and reported."""
    offered = attribute_columns(work)
    for name, reason in absent_segment_types(work.settings.segments, offered).items():
        work.progress.note(f"segment type {name} is left out: {reason}")
    types = present_segment_types(work.settings.segments, offered)
    metrics, rfm = work.read(CUSTOMER_METRICS), work.read(CUSTOMER_RFM)
    known, smallest = attributes(work, work.as_of), work.settings.small_segments.minimum_customers
    work.write(CUSTOMER_SEGMENTS, customer_segments(metrics, rfm, known, types, work.as_of, smallest))
    work.write(SEGMENTS, listed_segments(work.read(CUSTOMER_SEGMENTS), types, work.as_of, smallest))
    for row in types_without_values(work.read(SEGMENTS), types).collect():
        source = "customers" if "customers" in work.sources else "customer_attributes_history"
        note_strangers(work, source, f"segment type {row['segment_type']}: no customer with orders has a value")
    return work


def economics(work: Workspace) -> Workspace:
    """Write the figures of segments, cohorts and channels, of churn and concentration, budgets, and the forecasts."""
    credited = stored_credits(work)
    attributed = attribution(work, credited)
    members = work.keep(packed_members(work.read(CUSTOMER_SEGMENTS), _packs(work)))
    placed = placed_customers(work, credited, attributed, members)
    inactivity_days = work.settings.churn.inactivity_days
    # The one time that the figures of segments, cohorts and channels read customer_months.
    activity = work.keep(activity_sums(work.read(CUSTOMER_MONTHS), placed, members, inactivity_days, work.as_of))
    at_once(
        lambda: _write_costs(work, costs(work, _spend(work), credited, attributed, members), activity, placed),
        lambda: _write_segments(work, activity, members),
        lambda: _write_cohorts(work, activity, members),
    )
    return work


def _packs(work: Workspace) -> list[list[str]]:
    """Segment types that are added up together, by the number of their segments."""
    counted = work.read(SEGMENTS).groupBy("segment_type").agg(F.count(F.lit(1)).alias("segments")).collect()
    return packed_types({row["segment_type"]: row["segments"] for row in counted})


def _spend(work: Workspace) -> DataFrame | None:
    """`monthly_spend`, None without the source."""
    rows = spend_rows(work, exchange_rates(work))
    return None if rows is None else monthly_spend(rows)


def _write_costs(work: Workspace, acquisition: DataFrame, activity: DataFrame, placed: DataFrame) -> None:
    """acquisition_costs, then what customers are worth against them, then budgets."""
    work.write(ACQUISITION_COSTS, acquisition)
    if CREDITS_SOURCE in work.sources and credited_costs(work.read(ACQUISITION_COSTS)).isEmpty():
        what = f"{CREDITS_SOURCE}: no customer with orders is credited to a channel"
        note_strangers(work, CREDITS_SOURCE, what)
    work.write(UNIT_ECONOMICS, values_against_costs(work, activity, placed))
    write_budgets(work)


def _write_segments(work: Workspace, activity: DataFrame, members: DataFrame) -> None:
    """segment_metrics, then churn and concentration, which read it."""
    predictions = work.read(CUSTOMER_PREDICTIONS).where(F.col("horizon_days") == work.settings.economics.horizon_days)
    values = work.keep(member_values(work.read(CUSTOMER_METRICS), members, predictions))
    rate = work.settings.predictions.annual_discount_rate
    work.write(SEGMENT_METRICS, segment_metrics(activity, values, work.settings.churn, rate, work.as_of))
    work.write(SEGMENT_CONCENTRATION, segment_concentration(values, work.read(SEGMENT_METRICS), rate, work.as_of))
    write_churn(work, activity, values)


def _write_cohorts(work: Workspace, activity: DataFrame, members: DataFrame) -> None:
    """The definitions of metrics; cohort_metrics, then the forecasts, whose past is compared with them."""
    rows = metric_definitions(GOLD_TABLES, __version__)
    work.write(METRIC_DEFINITIONS, work.frame(METRIC_DEFINITIONS, rows))
    types = [kind.name for kind in work.settings.segments if isinstance(kind, CohortSegments)]
    work.write(COHORT_METRICS, cohort_metrics(activity, types, work.as_of))
    write_forecasts(work, members)
