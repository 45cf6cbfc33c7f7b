"""Cost of acquisition in a run: credits of customers to channels, what customers cost and are worth, and budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.contracts.acquisition_costs import ACQUISITION_COSTS
from clv_lib.contracts.acquisitions import ACQUISITION_CREDITS, CUSTOMER_ACQUISITIONS
from clv_lib.contracts.budgets import MARKETING_BUDGETS, RETENTION_BUDGETS
from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.economics import UNIT_ECONOMICS
from clv_lib.contracts.experiments import EXPERIMENT_RESULTS
from clv_lib.contracts.predictions import CUSTOMER_PREDICTIONS, SEGMENT_PREDICTIONS
from clv_lib.customers.metrics import NET_REVENUE
from clv_lib.metrics.acquisition_costs import acquisition_costs, new_customers
from clv_lib.metrics.attribution import Attribution, attribution_of, memberships, with_places
from clv_lib.metrics.budgets import marketing_budgets, measured_uplifts, plans_by_place, retention_budgets
from clv_lib.metrics.predicted_values import predicted_values
from clv_lib.metrics.unit_economics import unit_economics
from clv_lib.orders.acquisitions import acquisition_credits, with_credit_dispositions
from clv_lib.pipeline.attributes import attribute_columns
from clv_lib.segments.definitions import present_segment_types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace

SOURCE = CUSTOMER_ACQUISITIONS.name


def credit_rows(work: Workspace) -> DataFrame | None:
    """Rows of the source customer_acquisitions with dispositions, kept; None without such a source."""
    mapped = work.mapped(SOURCE)
    return None if mapped is None else work.keep(with_credit_dispositions(mapped))


def write_acquisition_credits(work: Workspace, rows: DataFrame | None) -> Workspace:
    """Write acquisition_credits, without rows if there is no such source."""
    if rows is None:
        return work.write_state(ACQUISITION_CREDITS, work.frame(ACQUISITION_CREDITS))
    return work.write_state(ACQUISITION_CREDITS, acquisition_credits(rows))


def stored_credits(work: Workspace) -> DataFrame | None:
    """The run's credits, or None without the source."""
    return work.read(ACQUISITION_CREDITS) if SOURCE in work.sources else None


def attribution(work: Workspace, credited: DataFrame | None) -> Attribution:
    """The attribution models of the run, collected from the stored credits; ConfigurationError for an unknown one."""
    rows = [] if credited is None else credited.select("attribution_model").distinct().collect()
    return attribution_of([row["attribution_model"] for row in rows], work.settings.economics.attribution_model)


def _segment_types(work: Workspace) -> tuple[str, ...]:
    """The segment types with acquisition cost, without those whose attribute the source customers does not offer."""
    present = present_segment_types(work.settings.segments, attribute_columns(work))
    names = {kind.name for kind in present}
    return tuple(name for name in work.settings.economic_segment_types() if name in names)


def costs(
    work: Workspace,
    spend: DataFrame | None,
    credited: DataFrame | None,
    attribution: Attribution,
    members: DataFrame,
) -> DataFrame:
    """Contract `acquisition_costs`; `spend` is `monthly_spend`, None without the source; `members` `packed_members`."""
    types, lags = _segment_types(work), work.settings.economics.spend_lag_months
    metrics = work.read(CUSTOMER_METRICS)
    won = work.keep(new_customers(metrics, credited, memberships(members, types), attribution.models))
    return acquisition_costs(won, spend, work.as_of, types, attribution, lags)


def placed_customers(
    work: Workspace, credited: DataFrame | None, attribution: Attribution, members: DataFrame
) -> DataFrame:
    """Every customer with the channels and segments in which it counts, kept. `members` are `packed_members`.

    Grain: customer.
    """
    own = memberships(members, _segment_types(work))
    return work.keep(with_places(work.read(CUSTOMER_METRICS), credited, own, attribution.chosen))


def values_against_costs(work: Workspace, activity: DataFrame, placed: DataFrame) -> DataFrame:
    """Contract `unit_economics` from the stored costs; `activity` are `activity_sums`."""
    settings = work.settings
    level = settings.predictions.interval_level
    return unit_economics(
        activity,
        placed,
        work.keep(predicted_values(work.read(CUSTOMER_PREDICTIONS), placed, level)),
        work.read(ACQUISITION_COSTS),
        settings.economics,
        level,
        work.as_of,
    )


def write_budgets(work: Workspace) -> None:
    """Write marketing_budgets and retention_budgets."""
    plans, basis = work.mapped("plans"), work.run.value_basis or NET_REVENUE
    uplifts = measured_uplifts(work.read(EXPERIMENT_RESULTS), basis)
    planned = None if plans is None else plans_by_place(plans)
    work.write_all(
        (MARKETING_BUDGETS, marketing_budgets(work.read(UNIT_ECONOMICS), planned, work.as_of)),
        (RETENTION_BUDGETS, retention_budgets(work.read(SEGMENT_PREDICTIONS), uplifts, work.as_of)),
    )
