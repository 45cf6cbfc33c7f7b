"""`segment_churn`: who is lost by each of three definitions, side by side, and how long customers stay."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clv_lib.metrics.order_gaps import Spells, segment_columns
from clv_lib.metrics.spells import FIRST_GAP, LATER_GAP, LIFETIME
from clv_lib.metrics.survival import lifetime_figures

if TYPE_CHECKING:
    from pyspark.sql import Row

    from clv_lib.settings.models import Churn

_GAP_KINDS = (FIRST_GAP, LATER_GAP)


def segment_churn(
    spells: Mapping[str, Mapping[str, Spells]],
    gaps: Sequence[Mapping[str, Any]],
    predicted: Mapping[str, Row],
    expected: Mapping[str, Row],
    churn: Churn,
    as_of: dt.date,
) -> list[dict[str, Any]]:
    """Rows of contract `segment_churn` without its metrics, one per segment.

    `gaps` are the rows of `order_gaps`; `predicted` those of `predicted_of_segments` and `expected` those of
    `segment_metrics` at as_of, by segment. The three definitions are never mixed: each has its own count, denominator
    and status.
    """
    rules = {(row["segment_id"], row["gap_kind"]): row for row in gaps if row["is_rule"]}
    return [
        {
            **segment_columns(segment_id),
            **_by_fixed_rule(own, churn.inactivity_days),
            **_by_quantile_rule([rules[segment_id, kind] for kind in _GAP_KINDS]),
            **_by_model(predicted.get(segment_id), _customers(own)),
            **lifetime_figures(own[LIFETIME], churn),
            **_constant_hazard(expected.get(segment_id)),
            "as_of_date": as_of,
        }
        for segment_id, own in spells.items()
    ]


def _customers(own: Mapping[str, Spells]) -> int:
    return int(own[LIFETIME].ended.sum() + own[LIFETIME].opened.sum())


def _by_fixed_rule(own: Mapping[str, Spells], inactivity_days: int) -> dict[str, Any]:
    gaps = [own[kind] for kind in _GAP_KINDS if kind in own]
    churned = int(sum(part.opened[part.days >= inactivity_days].sum() for part in gaps))
    return {
        "customer_count": _customers(own),
        "fixed_rule_churned_customer_count": churned,
    }


def _by_quantile_rule(rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One-time buyers are judged by the first gap, others by later gaps; who has no quantile is not judged."""
    usable = [rule for rule in rules if rule["gap_days"] is not None]
    judged = sum(rule["open_gap_count"] for rule in usable)
    churned = sum(rule["overdue_customer_count"] for rule in usable)
    everyone = sum(rule["open_gap_count"] for rule in rules)
    first, later = rules
    return {
        "quantile_rule_first_gap_days": first["gap_days"],
        "quantile_rule_later_gap_days": later["gap_days"],
        "quantile_rule_judged_customer_count": judged,
        "quantile_rule_churned_customer_count": churned if judged else None,
        "quantile_rule_status": "ok" if judged == everyone else "partly_judged" if judged else "no_rule",
    }


def _by_model(row: Row | None, customers: int) -> dict[str, Any]:
    count: int = row["predicted"] if row else 0
    return {
        "model_predicted_customer_count": count,
        "model_churn_probability_sum": row["probability"] if row and count else None,
        "model_status": "ok" if count == customers else "partly_predicted" if count else "not_predicted",
    }


def _constant_hazard(row: Row | None) -> dict[str, Any]:
    names = ("expected_lifetime_months", "lifetime_status")
    return {name: row[name] if row else None for name in names}
