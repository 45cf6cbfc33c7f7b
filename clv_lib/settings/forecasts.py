"""Settings of the revenue forecast: how many months, and on how much of the past it is tested."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from clv_lib.settings.numbers import Count, no_boolean
from clv_lib.settings.segments import Section

Months = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=60)]


class Forecasts(Section):
    """The forecast of orders, revenue and margin by month, and its test on the past."""

    months: Months = Field(default=12, description="Whole calendar months after as_of that are forecast; 0: none.")
    backtest_origins: Months = Field(
        default=3,
        description="Earlier days from which the past is forecast again and compared, as far as at least 12 months lie "
        "before them; 0: no comparison.",
    )
    backtest_step_months: Count = Field(
        default=3, description="Months from one such day to the one before; the latest lies as much before as_of."
    )
    cohort_months: Count = Field(
        default=24, description="Latest months of first orders whose customers say what planned customers will do."
    )
