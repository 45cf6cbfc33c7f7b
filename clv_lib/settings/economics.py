"""Settings of acquisition cost and of value against it: horizon, targets, attribution, lag, segments."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from clv_lib.settings import values as check
from clv_lib.settings.numbers import Count, Days, Money, no_boolean
from clv_lib.settings.segments import Section

LagMonths = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=24)]


class Economics(Section):
    """How customer value is compared with the cost of acquisition."""

    horizon_days: Days = Field(
        default=365, description="Horizon of the predicted value; default: the longest of predictions.horizons_days."
    )
    target_ltv_to_cac: Money = Field(
        default=Decimal(3), description="Value over acquisition cost to be reached; gives the maximum cost."
    )
    payback_cap_months: Count = Field(
        default=12,
        description="Months after that of the first order in which a customer must have paid its cost; limits the "
        "maximum cost.",
    )
    spend_purposes: Annotated[tuple[Literal["acquisition", "retention", "brand"], ...], Field(min_length=1)] = Field(
        default=("acquisition",), description="Purposes of marketing spend that count as acquisition cost."
    )
    attribution_model: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Attribution model of unit_economics: one of customer_acquisitions, or declared_else_first_order; "
        "none: the only one of that source, else declared_else_first_order.",
    )
    spend_lag_months: Annotated[tuple[LagMonths, ...], Field(min_length=1)] = Field(
        default=(0,),
        description="Months from spend to the customers that it brings; each gives rows of acquisition_costs, the "
        "first is that of unit_economics.",
    )
    segment_types: tuple[str, ...] | None = Field(
        default=None,
        description="Segment types with CAC and unit economics; none: those of type attribute. What a customer became "
        "after the first order, such as rfm or value_decile, was not bought with the spend: good customers would look "
        "cheap and bad ones dear.",
    )

    @field_validator("spend_lag_months")
    @classmethod
    def _lags_differ(cls, lags: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(lags)) < len(lags):
            raise check.refusal("a lag is given twice", expected="different numbers of months")
        return lags
