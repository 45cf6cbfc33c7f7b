"""Steps customers, segments, predictions and economics: silver becomes the tables that are published."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.customers import CUSTOMER_METRICS, CUSTOMER_RFM, RFM_THRESHOLDS
from clv_lib.contracts.economics import ACQUISITION_COSTS, UNIT_ECONOMICS
from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.contracts.predictions import CUSTOMER_PREDICTIONS, MODEL_FITS
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS, SEGMENT_METRICS, SEGMENTS
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS
from clv_lib.customers.attributes import current_attributes
from clv_lib.customers.metrics import NET_REVENUE, boundary_months, boundary_sums, customer_metrics
from clv_lib.customers.rfm import customer_rfm, cut_values, rfm_thresholds
from clv_lib.lake import read_source
from clv_lib.metrics.acquisition_costs import acquisition_costs
from clv_lib.metrics.segment_metrics import segment_metrics
from clv_lib.metrics.unit_economics import unit_economics
from clv_lib.orders.mapping import contract_expressions
from clv_lib.orders.spend import monthly_spend
from clv_lib.pipeline.intake import exchange_rates, spend_rows
from clv_lib.scoring import customer_predictions, fit_models, model_fits
from clv_lib.segments.definitions import absent_segment_types, present_segment_types
from clv_lib.segments.membership import customer_segments
from clv_lib.segments.membership import segments as listed_segments
from clv_lib.segments.rfm_rules import rfm_segment

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace


def customers(work: Workspace) -> Workspace:
    """Write customer_metrics, rfm_thresholds and customer_rfm."""
    months = work.read(CUSTOMER_MONTHS)
    boundary = work.read(CUSTOMER_ORDERS).where(F.col("ordered_month").isin(boundary_months(work.as_of)))
    facts = customer_metrics(
        months,
        boundary_sums(boundary, work.as_of),
        attributes(work),
        as_of=work.as_of,
        inactivity_days=work.settings.churn.inactivity_days,
        value_basis=work.run.value_basis or NET_REVENUE,
    )
    work.write(CUSTOMER_METRICS, facts)
    stored = work.read(CUSTOMER_METRICS)
    work.write(RFM_THRESHOLDS, rfm_thresholds(cut_values(stored), work.as_of))
    rule_set = work.settings.rfm.rule_set
    name = rfm_segment(F.col("recency_score"), F.col("frequency_score"), F.col("monetary_score"), rule_set)
    work.write(CUSTOMER_RFM, customer_rfm(stored, _cuts(work), name, rule_set))
    return work


def segments(work: Workspace) -> Workspace:
    """Write customer_segments and segments; a type whose attribute is not there is left out and reported."""
    offered = attribute_columns(work)
    for name, reason in absent_segment_types(work.settings.segments, offered).items():
        work.progress.note(f"segment type {name} is left out: {reason}")
    types = present_segment_types(work.settings.segments, offered)
    metrics, rfm = work.read(CUSTOMER_METRICS), work.read(CUSTOMER_RFM)
    work.write(CUSTOMER_SEGMENTS, customer_segments(metrics, rfm, attributes(work), types, work.as_of))
    work.write(SEGMENTS, listed_segments(work.read(CUSTOMER_SEGMENTS), types, work.as_of))
    return work


def predictions(work: Workspace) -> Workspace:
    """Fit the models; write model_fits and customer_predictions."""
    metrics = work.read(CUSTOMER_METRICS)
    fits = fit_models(metrics, work.settings.predictions)
    work.write(MODEL_FITS, model_fits(metrics, fits, work.as_of))
    work.write(CUSTOMER_PREDICTIONS, customer_predictions(metrics, fits, work.settings.predictions, work.as_of))
    return work


def economics(work: Workspace) -> Workspace:
    """Write segment_metrics, acquisition_costs and unit_economics."""
    settings = work.settings
    horizon = settings.economics.horizon_days
    predicted = work.read(CUSTOMER_PREDICTIONS).where(F.col("horizon_days") == horizon)
    metrics = work.read(CUSTOMER_METRICS)
    rate = settings.predictions.annual_discount_rate
    figures = segment_metrics(
        work.read(CUSTOMER_MONTHS), work.read(CUSTOMER_SEGMENTS), predicted, settings.churn, rate, work.as_of
    )
    work.write(SEGMENT_METRICS, figures)
    spend = spend_rows(work, exchange_rates(work))
    costs = acquisition_costs(metrics, None if spend is None else monthly_spend(spend), work.as_of)
    work.write(ACQUISITION_COSTS, costs)
    work.write(
        UNIT_ECONOMICS, unit_economics(metrics, predicted, work.read(ACQUISITION_COSTS), settings.economics, work.as_of)
    )
    return work


def attributes(work: Workspace) -> DataFrame | None:
    """One row of attributes per customer, or None without the source customers."""
    mapped = work.mapped("customers")
    return None if mapped is None else current_attributes(mapped)


def attribute_columns(work: Workspace) -> set[str] | None:
    """Columns of the customers contract that the source offers, or None without such a source."""
    pinned = work.sources.get("customers")
    if pinned is None:
        return None
    raw = read_source(work.lake.spark, pinned)
    return set(contract_expressions(raw, CONTRACTS["customers"], pinned.source.columns))


def _cuts(work: Workspace) -> dict[str, list[Decimal]]:
    cuts: dict[str, list[Decimal]] = defaultdict(list)
    for row in work.read(RFM_THRESHOLDS).orderBy("dimension", "cut_number").collect():
        cuts[row["dimension"]].append(row["cut_value"])
    return cuts
