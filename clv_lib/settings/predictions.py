"""Settings of the models: which one, how far it predicts, and how it is compared with what it had not seen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from clv_lib.settings import values as check
from clv_lib.settings.numbers import Count, Days, Share, no_boolean
from clv_lib.settings.segments import Section, TypeName
from clv_lib.settings.sources import lower

FIRST_ORDER_VALUE_BAND = "first_order_value_band"
"""The grouping that needs no segment type: quarters of the customers by the value of their first day with orders."""

NO_GROUPS = "none"
AUTO = "auto"


class Predictions(Section):
    """Which model predicts customer value, and how far."""

    model: Annotated[Literal["auto", "bg_nbd", "mbg_nbd", "pareto_nbd"], BeforeValidator(lower)] = Field(
        default="auto",
        description="Model of future orders: bg_nbd, mbg_nbd or pareto_nbd; auto: the best of them on the holdout.",
    )
    horizons_days: Annotated[tuple[Days, ...], Field(min_length=1)] = Field(
        default=(90, 180, 365), description="Days after as_of for which orders and value are predicted; each a row."
    )
    annual_discount_rate: Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=10)] = Field(
        default=0.10, description="Discount rate per year, as a ratio, compounded."
    )
    interval_level: Annotated[float, BeforeValidator(no_boolean), Field(ge=0.5, le=0.995)] = Field(
        default=0.95, description="Level of the intervals of predictions, as a ratio: 0.95 is 95 %."
    )
    holdout_days: Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=3_650)] = Field(
        default=180, description="Last days that the models do not see when they are compared; 0: no comparison."
    )
    holdout_horizons_days: tuple[Days, ...] = Field(
        default=(), description="Shorter parts of a holdout that are judged as well; each number costs as much again."
    )
    holdout_origins: Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=12)] = Field(
        default=1, description="How many holdouts, one before the other, as far as the history reaches."
    )
    max_accuracy_customers: Count = Field(
        default=200_000, description="Most customers that are compared on a holdout; more: a sample by hash."
    )
    churn_risk_cuts: tuple[Share, Share] = Field(
        default=(0.3, 0.7), description="Churn probabilities from which the risk is medium, and high."
    )
    spend_tier_shares: tuple[Share, Share] = Field(
        default=(0.2, 0.5),
        description="Share of the customers, by predicted value, in tier high, and in high and medium together.",
    )
    minimum_customers: Count = Field(default=100, description="With fewer customers than this no model is fitted.")
    compare_groups: tuple[TypeName, ...] | None = Field(
        default=None,
        description="Groupings whose fits per group are compared with the pooled fit on the holdout: names of segment"
        " types attribute and channel, and first_order_value_band. Name only attributes that never change with what a"
        " customer buys. Default: the channel types and first_order_value_band; []: none.",
    )
    group_by: Annotated[str, BeforeValidator(lower)] = Field(
        default=AUTO,
        description="Grouping whose fits score the customers: none, one of compare_groups, or auto: the best of them if"
        " it beats the pooled fit on the holdout, for orders and for their value apart.",
    )
    minimum_group_customers: Count = Field(
        default=1_000,
        description="Groups with fewer customers than this take the pooled fit; for value also those with repeat orders"
        " of fewer than a tenth of it.",
    )
    max_fit_rows: Count = Field(
        default=5_000_000, description="Most distinct (frequency, recency, age) rows that the driver fits."
    )

    @field_validator("horizons_days")
    @classmethod
    def _ascending(cls, horizons: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(horizons)) < len(horizons):
            raise check.refusal("a horizon is given twice", expected="different numbers of days")
        return tuple(sorted(horizons))

    @field_validator("holdout_horizons_days")
    @classmethod
    def _within_the_holdout(cls, horizons: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        whole = info.data.get("holdout_days", 0)
        if len(set(horizons)) < len(horizons) or any(days >= whole for days in horizons):
            raise check.refusal(
                "these are no shorter parts of the holdout", expected=f"different numbers of days below {whole}"
            )
        return tuple(sorted(horizons, reverse=True))

    @field_validator("churn_risk_cuts", "spend_tier_shares")
    @classmethod
    def _cuts_ascend(cls, cuts: tuple[float, float]) -> tuple[float, float]:
        if not 0 < cuts[0] < cuts[1] < 1:
            raise check.refusal("the cuts are not in order", expected="two ascending numbers between 0 and 1")
        return cuts
