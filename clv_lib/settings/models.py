"""The settings of a run as frozen models; the descriptions here are the reference documentation of every key."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from clv_lib.settings import values as check
from clv_lib.settings.economics import Economics
from clv_lib.settings.experiments import Experiments
from clv_lib.settings.forecasts import Forecasts
from clv_lib.settings.numbers import Count, Money, Share, no_boolean
from clv_lib.settings.predictions import AUTO, FIRST_ORDER_VALUE_BAND, NO_GROUPS, Predictions
from clv_lib.settings.recurring import Recurring
from clv_lib.settings.segments import (
    AttributeSegments,
    ChannelSegments,
    RfmRuleSet,
    Section,
    SegmentType,
    default_segments,
)
from clv_lib.settings.silver import Maintenance, Retention, Silver
from clv_lib.settings.sources import OptionText, Source, Sources, empty_map, lower

FIXED_SPARK_KEYS = {
    "spark.sql.session.timezone": "timestamps are kept in UTC; set reporting.time_zone instead",
    "spark.sql.ansi.enabled": "every figure is checked with ANSI mode on",
}


LowerText = Annotated[str, BeforeValidator(lower), Field(min_length=1)]


class Reporting(Section):
    """The money and the days in which everything is published."""

    currency: Annotated[str, AfterValidator(check.check_currency)] = Field(
        description="ISO 4217 code of the currency of every published amount, such as GBP."
    )
    time_zone: Annotated[str, AfterValidator(check.check_time_zone)] = Field(
        default="UTC", description="IANA time zone in which a timestamp becomes a day, such as Europe/London."
    )


class Orders(Section):
    """Which orders count."""

    exclude_statuses: tuple[LowerText, ...] = Field(
        default=("cancelled", "canceled", "voided", "failed"),
        description="Order statuses, in any case, that are kept apart and counted but give no value.",
    )
    exclude_gift_cards: bool = Field(default=True, description="Keep gift card orders apart.")
    earliest_date: dt.date = Field(
        default=dt.date(1990, 1, 1), description="Orders before this day are quarantined as wrongly dated."
    )
    max_amount: Money = Field(
        default=Decimal(100_000_000), description="Orders above this amount, in their own currency, are quarantined."
    )
    max_rate_age_days: Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=366)] = Field(
        default=7, description="How many days old the last known exchange rate may be; older: quarantined."
    )


class Churn(Section):
    """When a customer without a contract counts as lost."""

    inactivity_days: Annotated[int, BeforeValidator(no_boolean), Field(ge=31, le=36_500)] = Field(
        default=180,
        description="Days without an order after which a customer is churned; 31 or more, so that nobody leaves in the "
        "month of the first order.",
    )
    gap_quantile: Annotated[float, BeforeValidator(no_boolean), Field(gt=0, lt=1)] = Field(
        default=0.9,
        description="Share of the gaps between orders that end within the days after which the quantile rule counts a "
        "customer as lost.",
    )
    minimum_gap_count: Count = Field(
        default=20, description="With fewer closed gaps than this a segment has no quantile of gaps."
    )
    lifetime_cap_months: Count = Field(
        default=60,
        description="Months at which the capped expected lifetime stops when churn is zero or very small, and up to "
        "which the mean of survival is taken.",
    )
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="Confidence level of published intervals, as a ratio: 0.95 is 95 %."
    )


class Rfm(Section):
    """How recency, frequency and monetary scores are named."""

    rule_set: RfmRuleSet = Field(
        default="classic", description="Names of the RFM segments: classic (ten names) or eleven."
    )


class SmallSegments(Section):
    """Which segments are too small to be shown by themselves."""

    minimum_customers: Annotated[int, BeforeValidator(no_boolean), Field(ge=0)] = Field(
        default=0,
        description="Segments with fewer customers are published together, as segment suppressed of their type; 0: "
        "all are shown.",
    )


class Gate(Section):
    """Limits above which candidate tables are not published."""

    max_quarantined_rate: Share = Field(
        default=0.05, description="Share of quarantined rows of a source above which nothing is published."
    )
    warn_quarantined_rate: Share = Field(
        default=0.005, description="Share of quarantined rows of a source above which the run warns."
    )
    allow_empty: bool = Field(default=False, description="Publish although no valid order was found.")

    @model_validator(mode="after")
    def _warns_first(self) -> Gate:
        if self.warn_quarantined_rate > self.max_quarantined_rate:
            raise check.refusal(
                "the warning comes after the refusal",
                expected=f"warn_quarantined_rate at most max_quarantined_rate ({self.max_quarantined_rate})",
                found=f"warn_quarantined_rate {self.warn_quarantined_rate}",
            )
        return self


class Settings(Section):
    """Everything that a run is told, besides --as-of."""

    lake: str = Field(
        description="Where clv writes: a path, a URI such as s3a://bucket/clv, schema or catalog.schema.",
        examples=["./build/lake"],
    )
    reporting: Reporting = Field(
        description="Currency and time zone of the published figures.",
        examples=["{currency: GBP, time_zone: Europe/London}"],
    )
    sources: Sources = Field(description="The input tables.", examples=["{orders: {table: ./orders}}"])
    orders: Orders = Field(default_factory=Orders, description="Which orders count.")
    churn: Churn = Field(default_factory=Churn, description="When a customer counts as lost.")
    segments: tuple[SegmentType, ...] = Field(
        default_factory=default_segments,
        description="Segment types to publish; default: rfm, value_decile, cohort, channel.",
    )
    small_segments: SmallSegments = Field(default_factory=SmallSegments, description="Segments too small to be shown.")
    rfm: Rfm = Field(default_factory=Rfm, description="How RFM scores are named.")
    predictions: Predictions = Field(default_factory=Predictions, description="Model and horizons of predictions.")
    economics: Economics = Field(default_factory=Economics, description="Value against cost of acquisition.")
    forecasts: Forecasts = Field(default_factory=Forecasts, description="Forecast of the months to come.")
    recurring: Recurring = Field(default_factory=Recurring, description="What counts as recurring revenue.")
    experiments: Experiments = Field(default_factory=Experiments, description="How variants are compared.")
    gate: Gate = Field(default_factory=Gate, description="Limits above which nothing is published.")
    silver: Silver = Field(default_factory=Silver, description="How silver is stored and refreshed.")
    retention: Retention = Field(default_factory=Retention, description="How much of the past is kept.")
    maintenance: Maintenance = Field(default_factory=Maintenance, description="How `clv maintain` keeps tables up.")
    spark: Annotated[dict[str, OptionText], BeforeValidator(empty_map)] = Field(
        default_factory=dict,
        description="Further Spark configuration, by its full key. Up to some hundred thousand order rows on one"
        " machine the `spark:` section of conf/demo.yaml takes less time, from a million on twice as much.",
    )

    @property
    def lake_is_path(self) -> bool:
        """True if the lake is a path or URI, False if it is a schema of a catalog."""
        return check.is_path(self.lake)

    @property
    def compared_groups(self) -> tuple[str, ...]:
        """Names of the groupings whose fits per group are compared with the pooled fit."""
        named = self.predictions.compare_groups
        channels = (kind.name for kind in self.segments if isinstance(kind, ChannelSegments))
        return (*channels, FIRST_ORDER_VALUE_BAND) if named is None else named

    @field_validator("lake")
    @classmethod
    def _lake(cls, lake: str) -> str:
        return check.check_location(lake, max_parts=2, shape="schema or catalog.schema")

    @field_validator("segments")
    @classmethod
    def _segment_names_differ(cls, segments: tuple[SegmentType, ...]) -> tuple[SegmentType, ...]:
        names = [segment.name for segment in segments]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise check.refusal("two segment types have one name", expected="unique names", found=", ".join(twice))
        return segments

    @field_validator("spark")
    @classmethod
    def _spark_keys(cls, conf: dict[str, str]) -> dict[str, str]:
        for key in conf:
            if not key.startswith("spark."):
                raise check.refusal(f"{key} is not a Spark key", expected=f"a full key, such as spark.{key}")
            if key.lower() in FIXED_SPARK_KEYS:
                raise check.refusal(f"{key} is set by clv", next_step=FIXED_SPARK_KEYS[key.lower()])
        return conf

    @model_validator(mode="before")
    @classmethod
    def _longest_horizon(cls, values: Any) -> Any:
        """Without its own horizon, the comparison with cost takes the longest predicted one."""
        if not isinstance(values, dict) or not isinstance(values.get("predictions"), dict):
            return values
        horizons, economics = values["predictions"].get("horizons_days"), values.get("economics") or {}
        plain = isinstance(horizons, list | tuple) and bool(horizons) and all(isinstance(d, int) for d in horizons)
        if plain and isinstance(economics, dict):
            return {**values, "economics": {"horizon_days": max(horizons), **economics}}
        return values

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Settings:
        faults = [
            *self._overlapping_places(),
            *self._missing_horizon(),
            *self._unfit_groups(),
            *self._unknown_segment_types(),
        ]
        if faults:
            raise ValidationError.from_exception_data("Settings", faults)
        return self

    def _missing_horizon(self) -> list[InitErrorDetails]:
        horizon, known = self.economics.horizon_days, self.predictions.horizons_days
        if horizon in known:
            return []
        expected = f"one of predictions.horizons_days: {', '.join(map(str, known))}"
        fault = check.refusal("no value is predicted for this horizon", expected=expected)
        return [InitErrorDetails(type=fault, loc=("economics", "horizon_days"), input=horizon)]

    def _unfit_groups(self) -> list[InitErrorDetails]:
        """Groupings that a customer's own purchases would move, that are not declared, or that are named twice."""
        fixed = [kind.name for kind in self.segments if isinstance(kind, AttributeSegments | ChannelSegments)]
        known, compared = (*fixed, FIRST_ORDER_VALUE_BAND), self.compared_groups
        faults: list[tuple[str, object, PydanticCustomError]] = []
        if not set(compared) <= set(known) or len(set(compared)) < len(compared):
            expected = f"each once, of the configured types attribute and channel and the band: {', '.join(known)}"
            why = "these customers cannot be fitted by group: membership must not depend on what they buy"
            faults.append(("compare_groups", compared, check.refusal(why, expected=expected)))
        if self.predictions.group_by not in (NO_GROUPS, AUTO, *compared):
            expected = f"one of none, auto, {', '.join(compared)}"
            fault = check.refusal("this grouping is not one of predictions.compare_groups", expected=expected)
            faults.append(("group_by", self.predictions.group_by, fault))
        return [InitErrorDetails(type=why, loc=("predictions", key), input=found) for key, found, why in faults]

    def economic_segment_types(self) -> tuple[str, ...]:
        """Names of the segment types with acquisition cost and unit economics."""
        named = self.economics.segment_types
        own = tuple(kind.name for kind in self.segments if isinstance(kind, AttributeSegments))
        return own if named is None else named

    def _unknown_segment_types(self) -> list[InitErrorDetails]:
        known = [kind.name for kind in self.segments]
        missing = [name for name in self.economics.segment_types or () if name not in known]
        if not missing:
            return []
        fault = check.refusal("these segment types are not configured", expected=f"some of {', '.join(known)}")
        return [InitErrorDetails(type=fault, loc=("economics", "segment_types"), input=", ".join(missing))]

    def _overlapping_places(self) -> list[InitErrorDetails]:
        return [
            InitErrorDetails(
                type=check.refusal(
                    "a source and the lake overlap",
                    expected=f"a place outside of the lake ({self.lake}) and not around it",
                    next_step="give clv a folder or a schema of its own as lake",
                ),
                loc=("sources", name, "table"),
                input=source.table,
            )
            for name, source in self.sources.configured().items()
            if self._overlaps(source)
        ]

    def _overlaps(self, source: Source) -> bool:
        if source.is_path != self.lake_is_path:
            return False
        if not source.is_path:
            return source.table.lower().startswith(self.lake.lower() + ".")
        lake, table = check.comparable_path(self.lake), check.comparable_path(source.table)
        return lake.startswith(table) or table.startswith(lake)
