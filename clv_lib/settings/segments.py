"""Declarations of segment types: within one type every customer is in exactly one segment, `unknown` included."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from clv_lib.settings.numbers import Days
from clv_lib.settings.values import IDENTIFIER, SEGMENT_NAME, check_sql, refusal

UNKNOWN_SEGMENT = "unknown"
SUPPRESSED_SEGMENT = "suppressed"
RfmRuleSet = Literal["classic", "eleven"]


class Section(BaseModel):
    """A part of the settings: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


def _segment_type_name(name: str) -> str:
    if not SEGMENT_NAME.fullmatch(name):
        raise refusal("this name cannot be used", expected="lower-case letters, digits and _, starting with a letter")
    return name


def _column_name(name: str) -> str:
    if not IDENTIFIER.fullmatch(name):
        raise refusal("this is not a column name", expected="one column of the customers source, such as customer_type")
    return name


def _cases(cases: dict[str, str]) -> dict[str, str]:
    for name in cases:
        if not name.strip() or name.strip().lower() in (UNKNOWN_SEGMENT, SUPPRESSED_SEGMENT):
            raise refusal(
                f"the segment name {name!r} is reserved",
                expected="any other name",
                next_step="customers that fit no case are put in 'unknown' by themselves; leave that case out",
            )
    return cases


TypeName = Annotated[str, AfterValidator(_segment_type_name)]
SqlText = Annotated[str, AfterValidator(check_sql)]


class RfmSegments(Section):
    """Recency, frequency and monetary scores, named by a rule set."""

    type: Literal["rfm"] = Field(description="Segments by recency, frequency and monetary score.")
    name: TypeName = Field(default="rfm", description="Name of this segment type in the published tables.")
    rule_set: RfmRuleSet | None = Field(
        default=None,
        description="Names of this type's segments: classic or eleven; none: as rfm.rule_set. Two types may differ.",
    )


class ValueDecileSegments(Section):
    """Ten groups of customers by value; equal values are in the same group."""

    type: Literal["value_decile"] = Field(description="Ten segments by historic net revenue; 1 is the highest.")
    name: TypeName = Field(default="value_decile", description="Name of this segment type in the published tables.")


class CohortSegments(Section):
    """One segment per calendar month of the first order."""

    type: Literal["cohort"] = Field(description="One segment per calendar month of the first order.")
    name: TypeName = Field(default="cohort", description="Name of this segment type in the published tables.")


class ChannelSegments(Section):
    """One segment per acquisition channel."""

    type: Literal["channel"] = Field(description="One segment per acquisition channel.")
    name: TypeName = Field(default="channel", description="Name of this segment type in the published tables.")


class LifecycleSegments(Section):
    """Where customers stand by their latest orders: new, active, at_risk, lapsed or reactivated."""

    type: Literal["lifecycle"] = Field(description="New, active, at_risk, lapsed or reactivated, by inactivity.")
    name: TypeName = Field(default="lifecycle", description="Name of this segment type in the published tables.")
    new_for_days: Days = Field(default=30, description="Days from the first order in which a customer is new.")
    at_risk_after_days: Days | None = Field(
        default=None,
        description="Days without an order after which a customer is at risk; none: half of inactivity_days.",
    )

    @property
    def cases(self) -> dict[str, str]:
        """Segment name to SQL predicate over customer_metrics, as in `SqlSegments`; the last is always true."""
        inactivity_days = "date_diff(churn_due_date, last_order_date)"
        at_risk_after = self.at_risk_after_days or f"{inactivity_days} / 2"
        return {
            "lapsed": "is_churned",
            "new": f"days_since_first_order < {self.new_for_days}",
            "at_risk": f"days_since_last_order > {at_risk_after}",
            "reactivated": f"date_diff(as_of_date, reactivated_date) < {inactivity_days}",
            "active": "true",
        }


class AttributeSegments(Section):
    """One segment per value of a column of the customers source."""

    type: Literal["attribute"] = Field(description="One segment per value of a column of the customers source.")
    name: TypeName = Field(
        default="attribute", description="Name of this segment type in the published tables; default: the column."
    )
    column: Annotated[str, AfterValidator(_column_name)] = Field(
        description="Column of the customers contract, such as customer_type, industry or region."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_from_column(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("column"), str):
            return {"name": values["column"].lower(), **values}
        return values


class SqlSegments(Section):
    """Segments by SQL predicates: the first that is true decides, none gives `unknown`."""

    type: Literal["sql"] = Field(description="Segments by SQL predicates over customer_metrics.")
    name: TypeName = Field(description="Name of this segment type in the published tables.")
    cases: Annotated[dict[str, SqlText], Field(min_length=1), AfterValidator(_cases)] = Field(
        description="Segment name to SQL predicate over the columns of customer_metrics; the first true one decides."
    )


SegmentType = Annotated[
    RfmSegments
    | ValueDecileSegments
    | CohortSegments
    | ChannelSegments
    | LifecycleSegments
    | AttributeSegments
    | SqlSegments,
    Field(discriminator="type"),
]


def default_segments() -> tuple[SegmentType, ...]:
    """What is published when the configuration declares no segments."""
    return (
        RfmSegments(type="rfm"),
        ValueDecileSegments(type="value_decile"),
        CohortSegments(type="cohort"),
        ChannelSegments(type="channel"),
    )
