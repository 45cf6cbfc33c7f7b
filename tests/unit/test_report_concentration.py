"""The lines of the report on the spread of value and on small segments, without Spark."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pyspark.sql import Row

from clv_lib.report.concentration import spread_lines, suppression_lines
from clv_lib.report.text import WIDTH


def segment(segment_type: str, name: str, gain: int | None, **changes: Any) -> Row:
    known = {
        "segment_id": f"{segment_type}:{name}",
        "segment_type": segment_type,
        "historic_top_decile_share": Decimal("0.4321"),
        "historic_gini": Decimal("0.6149"),
        "total_top_decile_share": Decimal("0.4"),
        "churn_point_discounted_gain_amount": None if gain is None else Decimal(gain),
        "churn_point_discounted_gain_avg": None if gain is None else Decimal(gain) / 100,
        "active_customer_count": 100,
        "churn_rate_12m_lower": Decimal("0.02"),
    }
    return Row(**{**known, **changes})


def text(lines: list[str]) -> str:
    assert all(len(line) <= WIDTH for line in lines)
    return " ".join(" ".join(lines).split())


def test_the_spread_of_value_and_where_less_churn_is_worth_most() -> None:
    rows = [
        segment("all", "all", 90_000),
        segment("region", "north", 12_000),
        segment("region", "south", 45_000),
        segment("region", "west", None),
        segment("region", "tiny", 99_000, churn_rate_12m_lower=Decimal("0.008")),
        segment("rfm", "lost", 80_000),
    ]
    said = text(spread_lines(rows, ["region"], "GBP"))
    assert "tenth of customers has 43 % of the value so far (Gini 0.61), 40 % with the predicted value" in said
    assert "worth GBP 90,000 (formula, discounted)" in said
    assert said.endswith(
        "by the rate of each segment most in region:south: GBP 45,000, GBP 450.00 for each of 100 active customers"
    )


def test_what_is_not_known_is_left_out_or_said() -> None:
    unknown = segment("all", "all", None, historic_top_decile_share=None)
    assert "not known" in text(spread_lines([unknown], [], "GBP")) and "not known" in text(spread_lines([], [], "GBP"))
    without = segment("all", "all", None, total_top_decile_share=None)
    assert text(spread_lines([without], [], "GBP")).endswith("of the value so far (Gini 0.61)")
    nothing = segment("region", "east", 0, active_customer_count=0)
    for segments in ([], [nothing]):
        said = text(spread_lines([segment("all", "all", 10), *segments], ["region"], "GBP"))
        assert said.endswith("(formula, discounted)")


def test_segments_that_are_not_shown_are_counted() -> None:
    assert suppression_lines([], 0) == []
    assert "every segment has 20 customers or more" in text(suppression_lines([], 20))
    rows = [Row(segment_type="industry", customer_count=31), Row(segment_type="region", customer_count=1)]
    said = text(suppression_lines(rows, 20))
    assert "fewer than 20 customers are shown together as suppressed" in said
    assert said.endswith("31 customers of industry, 1 customer of region")
