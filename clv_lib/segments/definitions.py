"""How each configured segment type gives a customer a name, and which types cannot be published."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import reduce
from typing import Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from clv_lib.contracts.attributes import CUSTOMER_ATTRIBUTES
from clv_lib.errors import ConfigurationError, did_you_mean
from clv_lib.segments.rfm_rules import rfm_segment
from clv_lib.settings.segments import (
    UNKNOWN_SEGMENT,
    AttributeSegments,
    ChannelSegments,
    CohortSegments,
    LifecycleSegments,
    RfmSegments,
    SegmentType,
    SqlSegments,
    ValueDecileSegments,
)

ALL = "all"
"""Type and name of the segment that holds every customer; its id is all:all."""

SegmentSource = Literal["customer_metrics", "customer_rfm", "customers"]


def source_of(kind: SegmentType) -> SegmentSource:
    """The table whose columns decide membership."""
    if isinstance(kind, AttributeSegments):
        return "customers"
    return "customer_rfm" if isinstance(kind, RfmSegments | ValueDecileSegments) else "customer_metrics"


def segment_name(kind: SegmentType) -> Column:
    """Name of a customer's segment, over the columns of `source_of(kind)`; `unknown` where it is not known."""
    return F.coalesce(_known_name(kind), F.lit(UNKNOWN_SEGMENT))


def _known_name(kind: SegmentType) -> Column:
    match kind:
        case RfmSegments():
            return _rfm_name(kind.rule_set)
        case ValueDecileSegments():
            return F.concat(F.lit("decile_"), F.lpad(F.col("value_decile").cast("string"), 2, "0"))
        case CohortSegments():
            return F.date_format("cohort_month", "yyyy-MM")
        case ChannelSegments():
            return F.col("acquisition_channel")
        case AttributeSegments():
            return F.nullif(F.trim(F.col(kind.column)), F.lit(""))
        case SqlSegments() | LifecycleSegments():
            return _first_true_case(kind.cases)


def _rfm_name(rule_set: str | None) -> Column:
    """The name by the rule set of customer_rfm, or by one of the type's own."""
    if rule_set is None:
        return F.col("rfm_segment")
    return rfm_segment(F.col("recency_score"), F.col("frequency_score"), F.col("monetary_score"), rule_set)


def _first_true_case(cases: dict[str, str]) -> Column:
    (name, predicate), *others = cases.items()
    first = F.when(F.expr(predicate), name)
    return reduce(lambda named, case: named.when(F.expr(case[1]), case[0]), others, first)


def definition(kind: SegmentType) -> str:
    """How membership is decided, in words, for the published `segments` table."""
    match kind:
        case RfmSegments():
            rules = f"the rule set {kind.rule_set}" if kind.rule_set else "the rule set of customer_rfm"
            return f"Name of the recency, frequency and monetary scores by {rules}."
        case ValueDecileSegments():
            return "Tenth of the customers by net revenue so far: 01 the highest; equal values share a segment."
        case CohortSegments():
            return "Calendar month of the first order."
        case ChannelSegments():
            return "Acquisition channel: from customers, else of the first order, else unattributed."
        case AttributeSegments():
            valid = "valid at as_of by customer_attributes_history, else as in customers"
            return f"Value of {kind.column}, {valid}; {UNKNOWN_SEGMENT}: not given."
        case SqlSegments() | LifecycleSegments():
            cases = "; ".join(f"{name}: {predicate}" for name, predicate in kind.cases.items())
            return f"The first that is true over customer_metrics, else {UNKNOWN_SEGMENT}: {cases}."


def absent_segment_types(kinds: Iterable[SegmentType], mapped_columns: Collection[str] | None) -> dict[str, str]:
    """Configured segment types that cannot be published, by name, with the reason.

    `mapped_columns` are the columns that the customers source offers; None if there is no such source.
    ConfigurationError for an attribute that is no column of the customers contract.
    """
    reasons = {}
    for kind in kinds:
        if isinstance(kind, AttributeSegments):
            _check_is_attribute(kind)
            if mapped_columns is None:
                reasons[kind.name] = "the source customers is not configured"
            elif kind.column not in mapped_columns:
                reasons[kind.name] = f"the source customers has no column {kind.column} and maps none"
    return reasons


def present_segment_types(
    kinds: Iterable[SegmentType], mapped_columns: Collection[str] | None
) -> tuple[SegmentType, ...]:
    """Configured segment types without those of `absent_segment_types`, in their order."""
    kinds = tuple(kinds)
    absent = absent_segment_types(kinds, mapped_columns)
    return tuple(kind for kind in kinds if kind.name not in absent)


def _check_is_attribute(kind: AttributeSegments) -> None:
    if kind.column not in CUSTOMER_ATTRIBUTES:
        raise ConfigurationError(
            f"{kind.column} is no attribute of customers",
            where=f"segments, {kind.name}, column",
            expected=f"one of {', '.join(CUSTOMER_ATTRIBUTES)}",
            found=kind.column,
            next_step=did_you_mean(kind.column, CUSTOMER_ATTRIBUTES),
        )
