"""Gold table of what customers cost, by channel, campaign and segment."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, money, status
from clv_lib.contracts.types import RATIO, Field, Metric, Rule, Table

_SUMMED = (("spend", "spend_amount"), ("new", "new_customer_count"))
SEGMENT_TYPES = "count(distinct case when level = 'segment' then substring_index(segment_id, ':', 1) end)"
"""Segment types of a table, as an aggregate."""


def _of_level(level: str, column: str) -> str:
    return f"coalesce(sum(case when level = '{level}' then {column} end), 0)"


CAC_TYPE = status(
    "cac_type",
    "paid: spend marked paid. blended: all acquisition spend of type media. fully_loaded: every cost type.",
    "blended",
    "paid",
    "fully_loaded",
)


def attributed(name: str, meaning: str) -> Field:
    """A number of customers of whom parts can belong to several channels."""
    return Field(name, RATIO, meaning, True, f"{name} >= 0")


ACQUISITION_COSTS = Table(
    name="acquisition_costs",
    layer="gold",
    grain="one row per month, type of CAC, attribution model, lag, and all, a channel, a campaign, or a segment",
    key=("period_month", "cac_type", "channel", "campaign_name", "segment_id", "attribution_model", "lag_months"),
    partition_by=SNAPSHOT,
    fields=(
        Field("period_month", "date", "First day of the month of the new customers.", required=True),
        status(
            "level",
            "What the row is of: the channels add up to all, the campaigns, and the segments of a type, too.",
            "all",
            "channel",
            "campaign",
            "segment",
        ),
        CAC_TYPE,
        Field("channel", "string", "Channel; all: every channel; unattributed: no channel known.", required=True),
        Field(
            "campaign_name",
            "string",
            "Campaign of the channel; all: every campaign; none: no campaign known. Campaigns have rows in months with"
            " spend or customers alone.",
            required=True,
        ),
        Field(
            "segment_id",
            "string",
            "Segment; all:all: everybody; TYPE:unallocated: spend of channels that brought no customers.",
            required=True,
        ),
        Field(
            "attribution_model",
            "string",
            "How customers got their channel: declared_else_first_order, or a model of customer_acquisitions.",
            required=True,
        ),
        Field("lag_months", "int", "The spend is that of so many months before period_month.", True, "lag_months >= 0"),
        Field("is_primary", "boolean", "The attribution model and lag of unit_economics.", required=True),
        money(
            "spend_amount",
            "Spend of the month lag_months before; NULL: spend_missing. All and the segments have the sum of what is"
            " known, so that channels add up to it; spend_incomplete says where that is not all.",
        ),
        money("allocated_amount", "The part of it that was allocated by new customers; NULL: the row has no spend."),
        status(
            "allocation_method",
            "How the row got its spend. direct: the spend names channel, campaign or segment; allocated: at least a"
            " part by the segment's share of its channel's new customers; none: no spend, or not allocated.",
            "direct",
            "allocated",
            "none",
        ),
        attributed(
            "new_customer_count",
            "Customers whose first order lies in the month; where several channels won one, their credits.",
        ),
        Metric(
            "cac_amount",
            RATIO,
            "Customer acquisition cost.",
            numerator="spend_amount",
            denominator="new_customer_count",
            unit="currency per new customer",
            over="amount",
            defined_when="cac_status <> 'spend_incomplete'",
            status_column="cac_status",
        ),
        status(
            "cac_status",
            "Why CAC is NULL or 0. spend_missing: a channel or campaign with spend of the type in an earlier month has"
            " no row in this one, or nobody has; spend_incomplete, of all and the segments: the spend of a channel is"
            " missing that had new customers in the month.",
            "ok",
            "zero_spend",
            "no_new_customers",
            "spend_missing",
            "spend_incomplete",
        ),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "level_names_the_row",
            "level = case when segment_id <> 'all:all' then 'segment' when campaign_name <> 'all' then 'campaign'"
            " when channel <> 'all' then 'channel' else 'all' end",
            "the level says what the row is of",
        ),
        Rule(
            "allocated_part_of_spend",
            "coalesce(allocated_amount between 0 and spend_amount, true)",
            "no more is allocated than was spent",
        ),
        Rule(
            "missing_spend_has_no_amount",
            "(spend_amount is null) = (cac_status = 'spend_missing')",
            "spend is there exactly where its status says so",
        ),
        Rule(
            "only_sums_are_incomplete",
            "cac_status <> 'spend_incomplete' or level in ('all', 'segment')",
            "the spend of a channel or campaign is known or missing",
        ),
    ),
    measures={
        **{f"spend_{level}": _of_level(level, "spend_amount") for level in ("all", "channel", "campaign")},
        **{f"new_{level}": _of_level(level, "new_customer_count") for level in ("all", "channel", "campaign")},
        **{f"{name}_segment": _of_level("segment", column) for name, column in _SUMMED},
        **{f"{name}_all_by_types": f"({_of_level('all', column)}) * {SEGMENT_TYPES}" for name, column in _SUMMED},
        "new_primary": (
            "sum(case when level = 'all' and is_primary and cac_type = 'blended' then new_customer_count end)"
        ),
        "new_primary_by_rows": (
            "sum(case when level = 'all' and is_primary then new_customer_count end)"
            " * count(distinct attribution_model) * count(distinct lag_months)"
        ),
    },
    adds_up_over="the months, and the rows of one level (segments: of one type), of one CAC type, model and lag",
)
