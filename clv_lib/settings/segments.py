"""Declarations of segment types: within one type every customer is in exactly one segment, `unknown` included."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

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
    RfmSegments | ValueDecileSegments | CohortSegments | ChannelSegments | AttributeSegments | SqlSegments,
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
