"""Settings of experiments: how long an outcome is, what others are compared with, and how many customers it takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from clv_lib.settings.numbers import Count, no_boolean
from clv_lib.settings.segments import Section
from clv_lib.settings.sources import empty_map

Weight = Annotated[float, BeforeValidator(no_boolean), Field(gt=0)]


class Experiments(Section):
    """How the variants of experiments are compared."""

    outcome_months: Count = Field(
        default=3,
        description="Whole calendar months after that of the assignment whose value is compared; as many before it are "
        "the history.",
    )
    control_variants: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=("control",),
        description="Names of the variant with which others are compared; the first that an experiment has.",
    )
    variant_weights: Annotated[dict[str, Weight], BeforeValidator(empty_map)] = Field(
        default_factory=dict,
        description="EXPERIMENT:VARIANT to its weight in the intended ratio of customers; a variant without one has 1.",
    )
    minimum_cell_customers: Annotated[int, BeforeValidator(no_boolean), Field(ge=2)] = Field(
        default=50, description="Customers of a variant in a segment below which nothing is published of them."
    )
    confidence_level: Annotated[float, BeforeValidator(no_boolean), Field(ge=0.5, le=0.995)] = Field(
        default=0.95, description="Confidence level of the intervals and tests, as a ratio: 0.95 is 95 %."
    )
